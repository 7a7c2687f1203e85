//! The stores that a restore tries: the main one, then the further ones in the order of the configuration.
//!
//! A store is passed over if it does not answer, has no such archive, or has a damaged one. An older state must not
//! come back unasked because the store with the newest one was away for a moment.

use std::collections::VecDeque;

use chrono::TimeDelta;

use super::restore_args::RestoreArgs;
use super::store_names::MAIN;
use super::{Context, text};
use crate::archive::ArchiveError;
use crate::failure::{Failure, FailureKind, Remedy, is_interruption};
use crate::latest::MAX_AGE;
use crate::names::printable;
use crate::ops::explain::explain;
use crate::ops::jobs::first_deployment::was_never_made;
use crate::ops::restore::RestoreError;
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::store_url::Location;

/// A store to restore from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Its name in the configuration.
    pub(super) name: String,
    /// Where it is.
    pub(super) location: Location,
}

impl Source {
    pub(super) fn is_main(&self) -> bool {
        self.name == MAIN
    }
}

/// A store that was passed over, and why.
pub(super) struct Passed {
    name: String,
    location: Location,
    error: anyhow::Error,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It did not answer, so what it has is unknown.
    Away,
    /// It answered, and has no such archive.
    HasNone,
    /// Its archive is damaged or cannot be read.
    Damaged,
}

/// The stores in their order, and what came of those that were tried.
pub(super) struct Sources {
    left: VecDeque<Source>,
    passed: Vec<Passed>,
}

impl Sources {
    pub(super) fn new(context: &Context) -> Self {
        let main = Source { name: MAIN.into(), location: context.settings.store.clone() };
        let copies = context.settings.copies.iter();
        let copies = copies.map(|copy| Source { name: copy.name.to_string(), location: copy.location.clone() });
        Self { left: [main].into_iter().chain(copies).collect(), passed: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<Source> {
        self.left.pop_front()
    }

    pub(super) fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    /// Returns whether the main store did not answer.
    pub(super) fn main_is_away(&self) -> bool {
        self.passed.iter().any(|passed| passed.name == MAIN && passed.why == Why::Away)
    }

    /// Goes on to the next store, and says why.
    pub(super) fn pass(&mut self, passed: Passed, context: &Context) {
        let failure = explain(&passed.error);
        context.ui.warning(format!("{}: {}; trying the next store", passed.name, failure.message));
        self.passed.push(passed);
    }

    /// Fails with the error of the first store: the others are only copies of it.
    pub(super) fn refuse<T>(&mut self, passed: Passed, context: &Context) -> anyhow::Result<T> {
        if self.passed.is_empty() {
            return Err(passed.error);
        }
        context.ui.warning(format!("{}: {}", passed.name, explain(&passed.error).message));
        Err(self.passed.swap_remove(0).error)
    }

    pub(super) fn first_error(&mut self) -> Option<anyhow::Error> {
        if self.passed.is_empty() { None } else { Some(self.passed.swap_remove(0).error) }
    }

    /// Decides whether an archive of a further store may stand for what an earlier store may have that did not answer:
    /// a recent one may, and the newest one that this host remembers; an older one only if that is confirmed.
    pub(super) fn accept(
        &self,
        source: &Source,
        snapshot: &Snapshot,
        accept_older: bool,
        context: &Context,
    ) -> anyhow::Result<()> {
        if source.is_main() {
            return Ok(());
        }
        let (name, location) = (&source.name, printable(&source.location.to_string()).into_owned());
        let age = text::age(snapshot.created_at, context.now);
        let taken = format!("{} of the store {name}, \"{location}\", was made {age}", snapshot.name);
        let away: Vec<&Passed> = self.passed.iter().filter(|passed| passed.why == Why::Away).collect();
        let limit = context.settings.health.max_backup_age.and_then(|age| TimeDelta::from_std(age).ok());
        let is_young = context.now - snapshot.created_at <= limit.unwrap_or(MAX_AGE);
        let [first, ..] = away.as_slice() else {
            context.ui.note(format!("{taken}; no earlier store has it"));
            return Ok(());
        };
        if is_young || accept_older || away.iter().all(|passed| passed.has_nothing_newer(snapshot, context)) {
            context.ui.warning(format!("{taken}; the store {} did not answer and may have a newer one", first.name));
            return Ok(());
        }
        let message = format!("the store {} does not answer and may have a newer archive; {taken}", first.name);
        if context.ui.can_ask() {
            context.ui.warning(&message);
            if context.ui.confirm(&format!("Restore {}, which may be older?", snapshot.name))? {
                return Ok(());
            }
            return Err(Failure::usage("not confirmed, nothing was changed", "answer y to restore").into());
        }
        let failure = Failure::new(FailureKind::StoreUnreachable, message);
        Err(failure.remedy(Remedy::AcceptOlder).into())
    }
}

impl Passed {
    /// Returns whether this host remembers making archives of the set there, and none that is newer.
    fn has_nothing_newer(&self, snapshot: &Snapshot, context: &Context) -> bool {
        let mut made = context.stores.remembered(&self.location);
        made.retain(|made| made.stream.set == snapshot.set && made.stream.host == snapshot.host);
        !made.is_empty() && made.iter().all(|made| made.created_at <= snapshot.created_at)
    }

    /// Returns whether the store answered and has no such archive.
    pub(super) fn has_none(&self) -> bool {
        self.why == Why::HasNone
    }

    /// Returns why a store is passed over. Any other error ends the restore.
    pub(super) fn over(
        error: anyhow::Error,
        source: &Source,
        args: &RestoreArgs,
        context: &Context,
    ) -> anyhow::Result<Self> {
        if is_interruption(&error) || error.chain().any(is_refusal) {
            return Err(error);
        }
        let damaged = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<ArchiveError>().is_some_and(ArchiveError::is_evidence)
                || matches!(cause.downcast_ref(), Some(RestoreError::Damaged { .. } | RestoreError::Unsound { .. }))
        };
        let never_made = error
            .downcast_ref::<StoreError>()
            .is_some_and(|error| source.is_main() && was_never_made(error, &context.surroundings()));
        let why = match explain(&error).kind {
            FailureKind::StoreUnreachable if never_made => Why::HasNone,
            FailureKind::StoreUnreachable => Why::Away,
            FailureKind::NoBackup => Why::HasNone,
            _ if !args.allow_damaged && error.chain().any(damaged) => Why::Damaged,
            _ => return Err(error),
        };
        Ok(Self { name: source.name.clone(), location: source.location.clone(), error, why })
    }
}

/// Returns whether it is the refusal of an older archive, which no further store changes.
fn is_refusal(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<Failure>().is_some_and(|failure| failure.remedy == Some(Remedy::AcceptOlder))
}
