//! The backup at the start of an application: its databases are pinned before, and the rest is done beside it.
//!
//! What the application writes first, such as a migration, is then not in that backup. The application never waits
//! longer than `start_timeout`. After that the backup goes on as it is: what it has copied by then is older than any
//! write of the application, and a new one would only keep the writers of a database in rollback mode waiting once more.

use std::time::{Duration, Instant};

use super::Context;
use super::run_job::BESIDE;
use super::run_lease::Leases;
use super::run_life::{Purpose, Running};
use super::run_schedule::Planner;
use super::run_start::{Header, Start, header};
use super::run_unrestored;

/// How often a job is looked at that the application waits for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Start<'_> {
    /// Starts the backup at the start, if there is one before an application, and waits until its databases are pinned,
    /// it has ended, the time is over or a stop signal comes. Databases of patterns are not waited for.
    pub(super) fn backup_at_start(
        &self,
        planner: &mut Planner,
        leases: Option<&Leases>,
        context: &Context,
    ) -> Option<Running> {
        let mut sources = self.single_sets(context).flat_map(|set| &set.sources);
        let is_there = sources.any(|source| !matches!(header(&source.path), Header::Missing));
        if self.args.command.is_empty() || !is_there || leases.is_some_and(Leases::is_other) {
            return None;
        }
        let job = planner.at_start(context)?;
        let mut words = planner.command(job);
        words.push("--pin-first".to_owned());
        let mut first = self.begin(&words, Purpose::Schedule(job), context)?;
        self.notify("STATUS=pinning the databases");
        let limit = context.settings.run.start_timeout;
        let until = Instant::now() + limit;
        while !first.job.is_pinned() && !first.job.has_ended() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                context.ui.warning(format!(
                    "the databases are not pinned after {} (start_timeout): the application starts, and the backup of the \
                     start may hold what it writes",
                    humantime::format_duration(limit)
                ));
                break;
            }
            // A stop signal: the caller ends the job.
            if self.pause(LOOK_EVERY.min(left)).is_err() {
                break;
            }
        }
        Some(first)
    }

    /// Starts a job. Prints a warning if that fails.
    pub(super) fn begin(&self, words: &[String], purpose: Purpose, context: &Context) -> Option<Running> {
        self.starter.label.replace(run_unrestored::label(&self.names(context), context));
        let seen = self.seen();
        // After the end nobody is disturbed.
        let nice = if purpose == Purpose::End { 0 } else { BESIDE };
        match self.starter.start(words, nice) {
            Ok(job) => Some(Running { job, purpose, seen }),
            Err(cause) => {
                context.ui.warning(format!("{} could not be started: {cause}", purpose.name()));
                None
            }
        }
    }

    /// Ends a job before the application was started, and waits for that. It commits nothing, or had done so.
    pub(super) fn abandon(&self, mut running: Running) {
        running.job.cancel();
        while running.job.done().is_none() {
            self.extend();
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
