//! The life of `run` from the start of the application to its end: backups beside it, signals, the last backups.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::run_job::{BESIDE, Done, Job};
use super::run_lease::Leases;
use super::run_pin::Captured;
use super::run_schedule::Planner;
use super::run_seen::Seen;
use super::run_server::RunServer;
use super::run_start::{Application, Start};
use super::settings::variable;
use super::{Context, Outcome, run_lock};
use crate::names::printable;
use crate::platform::child::Ended;
use crate::platform::supervise::{Event, is_stop};
use crate::schedule;
use crate::text::{self, quoted};
use crate::workspace::run_lock::RunLock;

/// A stop signal that comes this long after the first one ends everything at once; an earlier one is the same request
/// from somebody else.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest wait without a look at the children.
const LOOK: Duration = Duration::from_secs(5);
/// What most platforms grant.
const GRACE: Duration = Duration::from_secs(10);

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What a job runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is due, or follows from a backup.
    Schedule(schedule::Job),
    /// Whoever gets notices hears if the last backup is too old.
    Health,
    /// Beside the ending application.
    Stop,
    /// After its end.
    End,
}

impl Purpose {
    fn is_backup(self) -> bool {
        matches!(self, Self::Schedule(schedule::Job::Backup) | Self::Stop | Self::End)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Schedule(schedule::Job::Backup) => "the backup",
            Self::Schedule(schedule::Job::Rotate) => "the rotation",
            Self::Schedule(schedule::Job::Cleanup) => "the cleanup",
            Self::Schedule(schedule::Job::Verify) => "the verification",
            Self::Health => "the look at the age of the backups",
            Self::Stop | Self::End => "the last backup",
        }
    }
}

struct Running {
    job: Job,
    purpose: Purpose,
    /// The databases before it started, if it saves all of them.
    seen: Option<Seen>,
}

/// The state of a run.
pub(super) struct Life<'a> {
    start: Start<'a>,
    application: Application,
    /// How the application ended; without a command, that it is over.
    ended: Option<Ended>,
    job: Option<Running>,
    /// Further backups of the start, which run at the same time.
    others: Vec<Running>,
    planner: Planner,
    /// When a stop was asked for.
    stopping: Option<Instant>,
    /// Whether nothing is saved any more.
    at_once: bool,
    /// Whether the backup beside the ending application was started.
    stop_saved: bool,
    /// Whether the backup after the end was started.
    end_saved: bool,
    /// Whether a last backup was given up for lack of time.
    gave_up: bool,
    /// The databases when the last good backup started.
    saved: Option<Seen>,
    grace: Duration,
    lock: Option<RunLock>,
    leases: Option<Leases>,
    server: Option<RunServer>,
    /// The text of the configuration that the last job read; `None` if it cannot be read, or there is none.
    configuration: Option<Vec<u8>>,
}

impl<'a> Life<'a> {
    pub(super) fn new(
        start: Start<'a>,
        application: Application,
        planner: Planner,
        captured: Vec<Captured>,
        locks: (Option<RunLock>, Option<Leases>),
        context: &Context,
    ) -> Self {
        let purpose = Purpose::Schedule(schedule::Job::Backup);
        let is_alone = captured.len() == 1;
        let running =
            |captured: Captured| Running { job: captured.job, purpose, seen: Some(captured.seen).filter(|_| is_alone) };
        let mut first: Vec<Running> = captured.into_iter().map(running).collect();
        Self {
            server: RunServer::of(start.args),
            start,
            application,
            ended: None,
            job: first.pop(),
            others: first,
            planner,
            stopping: None,
            at_once: false,
            stop_saved: false,
            end_saved: false,
            gave_up: false,
            saved: None,
            grace: context.settings.run.grace.unwrap_or_else(usual_grace),
            lock: locks.0,
            leases: locks.1,
            configuration: configuration(context),
        }
    }

    /// Lives until the application has ended and its last state is saved, or there is no time left for that.
    pub(super) fn run(mut self, context: &mut Context) -> anyhow::Result<Outcome> {
        match &self.application {
            Application::Child(child) => {
                let name = self.start.args.command[0].to_string_lossy().into_owned();
                self.start.say(context, format!("started {} as process {}", printable(&name), child.pid()));
            }
            Application::Beside(pid) => self.start.say(context, format!("backups beside process {pid}")),
            Application::None => self.start.say(context, "backups until a stop signal"),
        }
        loop {
            self.look(context);
            if self.step(context) {
                break;
            }
            match self.start.events.recv_timeout(self.wait()) {
                Ok(Event::Signal { number, from_terminal }) => self.signal(number, from_terminal, context),
                Ok(Event::Gone) => self.stop(context),
                Ok(Event::Child) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        if let Some(server) = self.server.take() {
            server.end();
        }
        // The next run may start from here on.
        drop(self.leases);
        drop(self.lock);
        Ok(match (&self.application, self.ended) {
            (Application::Child(_), Some(ended)) => Outcome::Ended(ended.exit_code()),
            _ => Outcome::Done,
        })
    }

    /// Returns how long nothing can happen without an event.
    fn wait(&self) -> Duration {
        let grace = self.stopping.map(|at| at + self.grace);
        let next = Some(self.planner.look_at()).filter(|_| self.job.is_none() && self.stopping.is_none());
        let kill = self.job.as_ref().and_then(|running| running.job.due());
        let soonest = [grace, next, kill].into_iter().flatten().min();
        let left = soonest.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()));
        // A moment that has passed must not become a loop without a pause.
        left.clamp(Duration::from_millis(20), LOOK)
    }

    /// Collects the children that ended.
    fn look(&mut self, context: &mut Context) {
        if let Some(leases) = &mut self.leases {
            leases.report(&self.start, context);
        }
        if let Some(server) = self.server.as_mut().filter(|_| self.ended.is_none() && self.stopping.is_none()) {
            server.look(&self.start, context);
        }
        if let Some(running) = &mut self.job
            && let Some(done) = running.job.done()
            && let Some(running) = self.job.take()
        {
            self.job = self.others.pop();
            self.job_done(&running, &done, context);
        }
        if let Application::Child(child) = &mut self.application
            && self.ended.is_none()
            && let Some(ended) = child.ended()
        {
            self.ended = Some(ended);
            let how = match (ended.code, ended.signal) {
                (_, Some(signal)) => format!("was ended by signal {signal}"),
                (code, None) => format!("ended with exit code {}", code.unwrap_or_default()),
            };
            self.start.say(context, format!("the application {how}"));
            self.start.notify("STOPPING=1\nSTATUS=saving the databases");
        }
    }

    /// Starts what is due, and returns whether everything is done.
    fn step(&mut self, context: &mut Context) -> bool {
        if self.stopping.is_some() || self.ended.is_some() {
            self.start.extend();
        }
        let no_time_left = self.stopping.is_some_and(|at| at.elapsed() >= self.grace);
        // The last backup does not wait for a rotation.
        let ends = self.stopping.is_some() || self.ended.is_some();
        let is_in_the_way = self.job.as_ref().is_some_and(|running| !running.purpose.is_backup());
        if ends
            && is_in_the_way
            && context.settings.schedule.backs_up_at_end()
            && self.is_unsaved()
            && let Some(running) = &mut self.job
        {
            running.job.cancel();
        }
        if let Some(running) = &mut self.job {
            if self.at_once || no_time_left && self.ended.is_some() {
                if !running.job.is_cancelled() && !self.at_once && running.purpose.is_backup() {
                    self.gave_up = true;
                    context.ui.warning(format!(
                        "the last backup did not end within {}, so it is given up; raise `grace` in [run], and what \
                         the platform grants",
                        humantime::format_duration(self.grace)
                    ));
                }
                running.job.cancel();
                self.others.iter_mut().for_each(|other| other.job.cancel());
            }
            return false;
        }
        if self.ended.is_some() {
            let saves =
                context.settings.schedule.backs_up_at_end() && !self.at_once && !self.end_saved && self.is_unsaved();
            if saves && no_time_left && !self.gave_up {
                context.ui.warning(
                    "no time was left to save what changed after the last backup; raise `grace` in [run], and what the \
                     platform grants",
                );
            }
            if saves && !no_time_left {
                self.end_saved = true;
                return !self.back_up(Purpose::End, context);
            }
            // What follows from a backup follows from the last one as well.
            let left = if no_time_left || self.at_once { None } else { self.planner.at_end() };
            return !left.is_some_and(|job| self.begin_scheduled(job, context));
        }
        if self.stopping.is_some() {
            if no_time_left {
                // It did not end: the signal meant something else to it.
                self.stopping = None;
                self.stop_saved = false;
            } else if context.settings.schedule.backs_up_at_end() && !self.stop_saved && self.is_unsaved() {
                self.stop_saved = true;
                self.back_up(Purpose::Stop, context);
            }
            return false;
        }
        if let Some(job) = self.planner.look(None, context) {
            self.begin_scheduled(job, context);
        }
        false
    }

    fn is_unsaved(&self) -> bool {
        self.saved.as_ref().is_none_or(|saved| !saved.is_same(&self.start.seen()))
    }

    /// Starts a last backup. Returns whether it was started.
    fn back_up(&mut self, purpose: Purpose, context: &mut Context) -> bool {
        let words = self.planner.final_backup();
        self.begin(&words, purpose, context)
    }

    fn begin_scheduled(&mut self, job: schedule::Job, context: &mut Context) -> bool {
        let words = self.planner.command(job);
        self.begin(&words, Purpose::Schedule(job), context)
    }

    /// Starts a job. Returns whether it was started.
    fn begin(&mut self, words: &[String], purpose: Purpose, context: &mut Context) -> bool {
        if self.leases.as_ref().is_some_and(Leases::is_other) {
            // Its history must not be mixed with that of the other run.
            return false;
        }
        let configuration = configuration(context);
        if self.configuration != configuration {
            self.configuration = configuration;
            let file = context.configuration.file.as_deref().map(quoted).unwrap_or_default();
            context.ui.warning(format!(
                "the configuration {file} changed after this run was started: its backups follow the new one, its lock \
                 and its schedule the old one, and perhaps the application; restart this run"
            ));
        }
        self.start.use_label(context);
        let seen = Some(self.start.seen());
        // After the end nobody is disturbed.
        let nice = if purpose == Purpose::End { 0 } else { BESIDE };
        match self.start.starter.start(words, nice) {
            Ok(job) => self.job = Some(Running { job, purpose, seen }),
            Err(cause) => context.ui.warning(format!("{} could not be started: {cause}", purpose.name())),
        }
        self.job.is_some()
    }

    fn job_done(&mut self, running: &Running, done: &Done, context: &mut Context) {
        done.warn(context);
        for (archive, bytes) in done.archives() {
            let line = format!("saved {} ({}, {})", printable(&archive), text::bytes(bytes), text::took(done.took));
            self.start.say(context, line);
        }
        // It may have been through already.
        let gave_way = done.gave_way && !matches!(done.code, 0 | 3);
        if let (true, Purpose::Schedule(job)) = (gave_way, running.purpose) {
            self.start
                .say(context, format!("{} gave way to a restore, and is repeated after it", running.purpose.name()));
            self.planner.again(job);
            return;
        }
        match (done.code, running.purpose) {
            (0, purpose) if purpose.is_backup() => self.saved = running.seen.clone().or(self.saved.take()),
            // The warnings were printed.
            (0 | 3, _) | (_, Purpose::Health) => {}
            _ if running.job.is_cancelled() => {}
            (_, purpose) => context.ui.warning(format!("{} failed: {}", purpose.name(), done.why())),
        }
        let job = match running.purpose {
            Purpose::Schedule(job) => job,
            Purpose::Health => return,
            Purpose::Stop | Purpose::End => schedule::Job::Backup,
        };
        if running.job.is_cancelled() && !running.purpose.is_backup() {
            self.planner.again(job);
        } else {
            self.planner.done(job, done, context.clock.now());
        }
        if self.lock.is_none() && matches!(running.purpose, Purpose::Schedule(_)) {
            self.lock = run_lock::take_late(context);
        }
        let failed = running.purpose == Purpose::Schedule(schedule::Job::Backup) && !matches!(done.code, 0 | 3);
        if failed
            && self.job.is_none()
            && self.stopping.is_none()
            && self.ended.is_none()
            && !context.settings.receivers.is_empty()
        {
            self.begin(&["health".to_owned(), "--quiet".to_owned()], Purpose::Health, context);
        }
    }

    /// Passes a signal on, and stops if it asks for that.
    fn signal(&mut self, number: i32, from_terminal: bool, context: &mut Context) {
        if let (Application::Child(child), None) = (&self.application, self.ended) {
            // The terminal sent it to the whole group.
            if !(from_terminal && child.shares_our_group()) {
                child.send(number);
            }
        }
        if !is_stop(number) {
            return;
        }
        match self.stopping {
            None => self.stop(context),
            Some(at) if at.elapsed() >= AGAIN && matches!(number, SIGINT | SIGTERM) => {
                self.at_once = true;
                self.start.say(context, "stopped again: ending at once");
                // At a terminal the application may have another use for Ctrl-C; it got the signal.
                if let (Application::Child(child), false) = (&self.application, from_terminal) {
                    child.send(SIGKILL);
                }
            }
            Some(_) => {}
        }
    }

    fn stop(&mut self, context: &Context) {
        self.stopping.get_or_insert_with(Instant::now);
        if !matches!(self.application, Application::Child(_)) && self.ended.is_none() {
            self.ended = Some(Ended { code: Some(0), signal: None, timed_out: false });
            self.start.say(context, "stopping");
            self.start.notify("STOPPING=1\nSTATUS=saving the databases");
        }
    }
}

/// Reads the configuration: each job does so again.
fn configuration(context: &Context) -> Option<Vec<u8>> {
    std::fs::read(context.configuration.file.as_ref()?).ok()
}

/// Returns how long the platform usually waits between its stop signal and the end.
fn usual_grace() -> Duration {
    match () {
        () if variable("FLY_APP_NAME").is_some() => Duration::from_secs(5),
        () if ["KUBERNETES_SERVICE_HOST", "DYNO", "RENDER"].iter().any(|name| variable(name).is_some()) => {
            Duration::from_secs(30)
        }
        () => GRACE,
    }
}
