//! The backup at the start: the application waits until its databases are captured as they were before it, and no
//! longer. Checks, compression and uploads run beside it.

use std::time::{Duration, Instant};

use super::Context;
use super::invocation::REPORT_CAPTURED;
use super::run_job::{BESIDE, Job};
use super::run_lease::Leases;
use super::run_schedule::Planner;
use super::run_seen::Seen;
use super::run_start::Start;
use crate::schedule;

/// For how many sets the start waits: each is captured by a process of its own.
const SETS: usize = 8;
/// How often the jobs are looked at. An application waits, so it is short.
const LOOK: Duration = Duration::from_millis(10);

/// A backup that has captured its databases, or has ended.
pub(super) struct Captured {
    pub(super) job: Job,
    /// The databases before it started.
    pub(super) seen: Seen,
}

impl Start<'_> {
    /// Starts the backup at the start, if there is one, and waits until all its databases are captured, for at most
    /// `start_timeout`. What is not captured then is cancelled, and backed up beside the application.
    ///
    /// If this process dies here, the jobs go on and their archives are as good; the application was not started.
    pub(super) fn capture(&self, planner: &mut Planner, leases: Option<&Leases>, context: &Context) -> Vec<Captured> {
        // The databases of a pattern can be thousands.
        let is_waited_for = !self.args.command.is_empty() && self.patterns.is_empty() && self.chosen.len() <= SETS;
        if !is_waited_for || leases.is_some_and(Leases::is_other) {
            return Vec::new();
        }
        let Some(words) = planner.backup_before_start() else { return Vec::new() };
        self.use_label(context);
        let names = self.chosen.iter().map(|set| &set.set).filter(|set| context.settings.sets.contains_key(*set));
        let of_sets: Vec<Vec<String>> = match names.map(ToString::to_string).collect::<Vec<_>>() {
            names if names.len() > 1 => names.into_iter().map(|name| vec!["--set".to_owned(), name]).collect(),
            _ => vec![Vec::new()],
        };
        let seen = self.seen();
        let mut jobs = Vec::new();
        for of_set in of_sets {
            let words = [&words[..], &[REPORT_CAPTURED.to_owned()], &of_set].concat();
            match self.starter.start(&words, BESIDE) {
                Ok(job) => jobs.push(Captured { job, seen: seen.clone() }),
                Err(cause) => context.ui.warning(format!("the backup could not be started: {cause}")),
            }
        }
        let until = Instant::now() + context.settings.run.start_timeout;
        loop {
            if jobs.iter_mut().all(|each| each.job.has_captured() || each.job.has_ended()) {
                return jobs;
            }
            if self.is_stopped() {
                jobs.iter_mut().for_each(|each| each.job.cancel());
                while jobs.iter_mut().any(|each| each.job.done().is_none()) {
                    self.listen(LOOK);
                }
                return Vec::new();
            }
            if Instant::now() >= until {
                break;
            }
            self.extend();
            self.listen(LOOK);
        }
        self.say(
            context,
            "the databases could not be captured within `start_timeout`: the application starts, and the backup begins \
             anew beside it",
        );
        for each in &mut jobs {
            if !each.job.has_captured() {
                each.job.cancel();
            }
        }
        planner.again(schedule::Job::Backup);
        jobs
    }
}
