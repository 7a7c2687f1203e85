//! Rereads archives that are marked as damaged, so that `cleanup --damaged` removes only archives that are really
//! damaged.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use super::inventory::{Reading, inventory};
use super::resolve::in_store;
use super::verify::{ArchiveState, Verified, VerifyDepth, verify};
use crate::failure::is_interruption;
use crate::names::ArchiveName;
use crate::ops::Repository;
use crate::progress::Progress;
use crate::retention::Scope;
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::streams::Stream;

/// How thoroughly they are read.
pub const DEPTH: VerifyDepth = VerifyDepth::Standard;

/// What was found.
#[derive(Debug, Default)]
pub struct Reread {
    /// Damaged on positive evidence, and each of their databases has a good archive: these can be removed.
    pub condemned: BTreeSet<ArchiveName>,
    /// Damaged, but nothing better of one of their databases exists: these stay.
    pub irreplaceable: Vec<ArchiveName>,
    /// Good: their marks can be removed.
    pub sound: Vec<ArchiveName>,
    /// Not readable at the moment, which is not evidence of damage.
    pub unread: Vec<(ArchiveName, anyhow::Error)>,
}

/// Reads all archives of a scope that count as damaged. Changes nothing; only an interruption or a failed listing is an
/// error.
pub fn reread(
    repository: &Repository,
    reading: &Reading,
    scope: &Scope,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> anyhow::Result<Reread> {
    let snapshots = inventory(repository, reading, progress)?.snapshots;
    let marked = |snapshot: &&Snapshot| {
        snapshot.damaged && !snapshot.is_plain() && snapshot.databases.iter().any(|brief| scope.covers(&brief.stream))
    };
    let mut found = Reread::default();
    for snapshot in snapshots.iter().filter(marked) {
        let name = snapshot.name.clone();
        match look(repository, reading, &name, threads, progress) {
            Ok(Verified { state: ArchiveState::Good, .. }) => found.sound.push(name),
            Ok(Verified { state: ArchiveState::Damaged, .. }) => {
                let has_better = |stream: &Stream| {
                    let of_stream = |other: &&Snapshot| other.databases.iter().any(|brief| brief.stream == *stream);
                    snapshots.iter().filter(of_stream).any(Snapshot::is_good)
                };
                if snapshot.databases.iter().all(|brief| has_better(&brief.stream)) {
                    found.condemned.insert(name);
                } else {
                    found.irreplaceable.push(name);
                }
            }
            Err(error) if is_interruption(&error) => return Err(error),
            // Another run removed it.
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::NotFound { .. })) => {}
            Err(error) => found.unread.push((name, error)),
        }
    }
    Ok(found)
}

fn look(
    repository: &Repository,
    reading: &Reading,
    name: &ArchiveName,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> anyhow::Result<Verified> {
    match in_store(repository, name.as_str(), reading) {
        Ok(selected) => {
            let scratch = repository.workspace().scratch()?;
            verify(&selected.archive, DEPTH, scratch.path(), threads, progress)
        }
        Err(error) => Verified::refused(error),
    }
}
