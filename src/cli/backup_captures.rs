//! Captures the sets of a round two at a time: while one waits for the disk, the other one is packed.
//!
//! Decisions, hooks and output stay with the main thread, in the order of the sets. A thread gets a plan and returns
//! what became of it, so that a set that fails disturbs no other one. A signal ends both.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Context;
use super::backup_args::BackupArgs;
use super::backup_round::Round;
use super::backup_set::{Captured, capture};
use super::bar::{self, Overall};
use crate::ops::Repository;
use crate::ops::backup::Plan;
use crate::progress::{Progress, Stage};

/// How many sets are captured before their results are printed.
const BATCH: usize = 16;
/// A set with more than this is the last one of its batch, so that two of them never need scratch at once. One of that
/// size is packed by several threads anyway.
const SMALL: u64 = 64 << 20;
/// A commit takes the lock of the workspace, and the other thread must be able to wait for it.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);

/// Returns how many sets a batch may have.
pub(super) fn batch(args: &BackupArgs, round: &Round, context: &Context) -> usize {
    // A service that `before_backup` stops must not wait for other sets.
    let is_serial = context.settings.hooks.before_backup.is_some() || args.busy_timeout < SHORTEST_WAIT;
    let threads = args.threads.unwrap_or_else(|| context.threads());
    if !round.is_many() || is_serial || threads.get() < 2 { 1 } else { BATCH }
}

/// Returns whether a set is captured beside any other one.
pub(super) fn is_small(plan: &Plan) -> bool {
    let sizes = plan.sources.iter().map(|source| std::fs::metadata(&source.path).map_or(0, |found| found.len()));
    sizes.sum::<u64>() <= SMALL
}

/// Captures sets, and returns what became of each, in their order.
pub(super) fn capture_all(
    args: &BackupArgs,
    batch: &[&Plan],
    round: &Round,
    store: &Repository,
    context: &Context,
) -> Vec<Captured> {
    let around = context.surroundings();
    let turn = AtomicUsize::new(FREE);
    let jobs: Vec<_> = (1..)
        .zip(batch)
        .map(|(number, plan)| {
            let progress = context.ui.progress_in(Overall::Stages(bar::BACKUP));
            (number, *plan, round.known(&plan.request.set), InTurn { progress, turn: Turn { holder: &turn, number } })
        })
        .collect();
    let (queue, captured) = (Mutex::new(jobs.into_iter()), Mutex::new(Vec::with_capacity(batch.len())));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((number, plan, known, progress)) = next() {
            let done = capture(args, plan, known, store, &around, progress);
            captured.lock().unwrap_or_else(PoisonError::into_inner).push((number, done));
        }
    };
    thread::scope(|scope| {
        if batch.len() > 1 {
            // If no thread can be spawned, this one does all the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut captured: Vec<(usize, Captured)> = captured.into_inner().unwrap_or_else(PoisonError::into_inner);
    captured.sort_unstable_by_key(|(number, _)| *number);
    captured.into_iter().map(|(_, captured)| captured).collect()
}

/// No job has the bar.
const FREE: usize = 0;

/// Progress of one of several jobs that share a terminal: the bar shows one of them until it ends, then another one
/// from its next stage on.
struct InTurn<'a, P> {
    /// Dropped before the turn ends, so that it does not clear the bar of the next one.
    progress: P,
    turn: Turn<'a>,
}

/// The right of a job to the bar, until it is dropped.
struct Turn<'a> {
    /// The number of the job that has the bar.
    holder: &'a AtomicUsize,
    /// The number of this job, from 1.
    number: usize,
}

impl Turn<'_> {
    fn take(&self) -> bool {
        let _ = self.holder.compare_exchange(FREE, self.number, Ordering::Relaxed, Ordering::Relaxed);
        self.is_held()
    }

    fn is_held(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == self.number
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = self.holder.compare_exchange(self.number, FREE, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl<P: Progress> Progress for InTurn<'_, P> {
    fn begin(&self, stage: Stage, subject: &str, total: u64) {
        if self.turn.take() {
            self.progress.begin(stage, subject, total);
        }
    }

    fn captured(&self) {
        self.progress.captured();
    }

    fn advance(&self, units: u64) {
        if self.turn.is_held() {
            self.progress.advance(units);
        }
    }

    fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Shown(Mutex<Vec<String>>);

    impl Progress for &Shown {
        fn begin(&self, _: Stage, subject: &str, total: u64) {
            self.0.lock().unwrap().push(format!("{subject} of {total}"));
        }

        fn advance(&self, units: u64) {
            self.0.lock().unwrap().push(units.to_string());
        }

        fn cancelled(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_bar_shows_one_job_until_it_ends() {
        let (shown, turn) = (Shown::default(), AtomicUsize::new(FREE));
        let job = |number| InTurn { progress: &shown, turn: Turn { holder: &turn, number } };
        let (first, second) = (job(1), job(2));
        first.begin(Stage::Copy, "acme", 10);
        second.begin(Stage::Copy, "umbrella", 20);
        second.advance(7);
        first.advance(5);
        drop(first);
        second.advance(8);
        second.begin(Stage::Pack, "umbrella", 30);
        second.advance(9);
        assert_eq!(*shown.0.lock().unwrap(), ["acme of 10", "5", "umbrella of 30", "9"]);
    }
}
