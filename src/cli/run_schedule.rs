//! What `run` does by itself and when: it asks `schedule/`, and remembers what the jobs said.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::Context;
use super::invocation::GIVE_WAY;
use super::run_args::RunArgs;
use super::run_job::Done;
use super::verify;
use crate::config::age_text;
use crate::schedule::{Due, Follow, Job, Last, Looks, Schedule, Timing, Why};
use crate::store_url::{Location, Service};

/// The shortest time between two looks.
const LEAST: Duration = Duration::from_millis(100);

/// The schedule of a run.
#[derive(Debug)]
pub(super) struct Planner {
    schedule: Schedule,
    looks: Looks,
    backup: Last,
    /// When each of the other jobs ran last.
    ran: [Option<DateTime<Utc>>; 4],
    /// Jobs that wait for the one that runs.
    waiting: VecDeque<Job>,
    look_at: Instant,
    /// Whether the backup of the start is still to be made; no recent one of others stands for it.
    is_first: bool,
    words: Words,
}

/// The arguments that the jobs get.
#[derive(Debug)]
struct Words {
    set: Vec<String>,
    if_changed: bool,
    /// The rule that follows from the schedule where the configuration has none.
    keep_hourly: Option<u32>,
    verify: Vec<String>,
    /// Whether archives of the kind `pre-update` are thinned out later than others, and each store takes them.
    has_pre_update: bool,
}

impl Planner {
    /// The schedule that the configuration and the flags give. `started` is the clock at the start of the application.
    pub(super) fn new(args: &RunArgs, context: &Context, started: DateTime<Utc>) -> Self {
        let mut settings = context.settings.schedule.clone();
        if let Some(every) = args.every {
            settings.every = every;
            settings.cron = Vec::new();
        }
        if settings.cron.is_empty() {
            settings.check_every = settings.check_every.min(settings.every);
        }
        let effective = &context.configuration.effective;
        let of_run = effective.settings_of_run().retention.hourly;
        let copies = context.settings.copies.iter().map(|copy| &copy.location);
        let is_pin = |location: &Location| matches!(location, Location::Remote(url) if url.service == Service::Connect);
        let words = Words {
            set: args.set.iter().flat_map(|set| ["--set".to_owned(), set.to_string()]).collect(),
            if_changed: settings.if_changed,
            keep_hourly: of_run.filter(|_| context.settings.retention.hourly.is_none()),
            verify: verify::by_schedule(&context.settings),
            has_pre_update: !effective.counts_only() && !copies.chain([&context.settings.store]).any(is_pin),
        };
        let mut planner = Self {
            schedule: settings.of_host(&context.host.label, context.settings.time_zone),
            looks: Looks::none(started),
            backup: Last::default(),
            ran: [None; 4],
            waiting: VecDeque::new(),
            look_at: Instant::now(),
            is_first: settings.backs_up_at_start(),
            words,
        };
        if planner.is_first {
            planner.waiting.push_back(Job::Backup);
            planner.looks.latest = Some(started);
        } else if settings.cron.is_empty() {
            planner.look_at += settings.check_every;
        }
        planner
    }

    /// Returns whether the last backup decides what is due at the start.
    pub(super) fn asks_for_last(&self) -> bool {
        !self.is_first && matches!(self.schedule.backup, Some(Timing::At(_)))
    }

    /// Remembers the last backup that the store has.
    pub(super) fn know(&mut self, at: Option<DateTime<Utc>>) {
        self.backup.at = at;
    }

    /// Takes the backup before the start of an application, if there is one and it was not started yet, and returns its
    /// command line. The application may be a new version that changes its database first, so this state outlives the
    /// backups of the same hour.
    pub(super) fn backup_before_start(&mut self) -> Option<Vec<String>> {
        (self.is_first && self.waiting.front() == Some(&Job::Backup)).then(|| {
            self.waiting.pop_front();
            let mut words = self.backup_words(if self.words.has_pre_update { "pre-update" } else { "scheduled" });
            words.push("--give-way".to_owned());
            words.extend(self.words.set.iter().cloned());
            words
        })
    }

    /// Returns when the next look is due.
    pub(super) fn look_at(&self) -> Instant {
        if self.waiting.is_empty() { self.look_at } else { Instant::now() }
    }

    /// Looks at the clock if it is time for that, and returns the job that is to run now.
    pub(super) fn look(&mut self, running: Option<Job>, context: &Context) -> Option<Job> {
        if self.look_at <= Instant::now() {
            self.decide(context.clock.now(), running, context);
        }
        if running.is_some() { None } else { self.waiting.pop_front() }
    }

    fn decide(&mut self, now: DateTime<Utc>, running: Option<Job>, context: &Context) {
        let mut of_backup = Due::No;
        for job in Job::ALL {
            let is_waiting = running == Some(job) || self.waiting.contains(&job);
            let last = Last { running: is_waiting, ..self.last(job) };
            let due = self.schedule.due(job, &last, &self.looks, now);
            match due {
                Due::No => {}
                Due::Skipped(slot) => context.ui.warning(format!(
                    "the {} of {} is left out: the one before it still runs",
                    job.name(),
                    slot.format("%Y-%m-%dT%H:%M:%SZ")
                )),
                Due::Now(why) => {
                    if let Why::Future(dated) = why {
                        context.ui.warning(format!(
                            "the last backup is dated in the future, {}: the clock is or was wrong; backing up now",
                            dated.format("%Y-%m-%dT%H:%M:%SZ")
                        ));
                    }
                    self.waiting.push_back(job);
                }
            }
            if job == Job::Backup {
                of_backup = due;
            }
        }
        self.looks.looked(now, &of_backup);
        let next = Job::ALL.iter().filter_map(|job| self.schedule.next(*job, &self.last(*job), &self.looks, now)).min();
        let soonest = next.and_then(|next| (next - now).to_std().ok()).filter(|wait| !wait.is_zero());
        let wait = soonest.map_or(self.schedule.check_every, |wait| wait.min(self.schedule.check_every));
        self.look_at = Instant::now() + wait.max(LEAST);
    }

    fn last(&self, job: Job) -> Last {
        match job {
            Job::Backup => self.backup,
            other => Last { at: self.ran[other as usize], ..Last::default() },
        }
    }

    /// Remembers what a job did, and lets those wait that follow from a backup.
    pub(super) fn done(&mut self, job: Job, done: &Done, now: DateTime<Utc>) {
        if !matches!(done.code, 0 | 3) {
            return;
        }
        self.ran[job as usize] = Some(now);
        if job != Job::Backup {
            return;
        }
        self.is_first = false;
        let before = self.backup.at;
        self.backup = Last::of(done.created().or(before), now);
        if self.backup.at != before {
            self.look_at = Instant::now();
        }
        if done.archives().is_empty() {
            return;
        }
        for (job, follow) in [(Job::Rotate, &self.schedule.rotate), (Job::Cleanup, &self.schedule.cleanup)] {
            if *follow == Follow::AfterBackup && !self.waiting.contains(&job) {
                self.waiting.push_back(job);
            }
        }
    }

    /// Lets a job run again that was cancelled for the last backup.
    pub(super) fn again(&mut self, job: Job) {
        self.waiting.push_front(job);
    }

    /// Returns what still has to follow from a backup after the end of the application. A verification has time.
    pub(super) fn at_end(&mut self) -> Option<Job> {
        self.waiting.retain(|job| matches!(job, Job::Rotate | Job::Cleanup));
        self.waiting.pop_front()
    }

    /// Returns the command line of a job, without the name of this program.
    pub(super) fn command(&self, job: Job) -> Vec<String> {
        let texts = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let mut words = match job {
            Job::Backup => self.backup_words("scheduled"),
            // `--force`: nobody is asked, wherever standard input comes from.
            Job::Rotate => {
                let mut words = texts(&["rotate", "--force"]);
                if let Some(hours) = self.words.keep_hourly {
                    words.extend(["--keep-hourly".to_owned(), hours.to_string()]);
                }
                words
            }
            Job::Cleanup => texts(&["cleanup", "--force"]),
            Job::Verify => self.words.verify.clone(),
        };
        // The store knows of backups that others made. The first one of a run does not ask.
        if let (Job::Backup, false, Some(Timing::Every(every))) = (job, self.is_first, &self.schedule.backup) {
            words.extend(["--if-older-than".to_owned(), age_text(*every)]);
        }
        if matches!(job, Job::Backup | Job::Verify) {
            words.push(GIVE_WAY.to_owned());
        }
        words.extend(self.words.set.iter().cloned());
        words
    }

    /// Returns the command line of a backup at the end, which nothing holds back but that nothing changed.
    pub(super) fn final_backup(&self) -> Vec<String> {
        let mut words = self.backup_words("final");
        words.extend(self.words.set.iter().cloned());
        words
    }

    fn backup_words(&self, kind: &str) -> Vec<String> {
        let mut words = ["backup", "--if-exists", "--kind", kind].map(str::to_owned).to_vec();
        if self.words.if_changed {
            words.push("--if-changed".to_owned());
        }
        words
    }
}
