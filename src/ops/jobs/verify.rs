//! Sets or removes the mark that verify keeps beside an archive.

use std::time::Duration;

use crate::archive::ArchiveError;
use crate::names::ArchiveName;
use crate::ops::Repository;
use crate::ops::inventory::DAMAGED;
use crate::ops::verify::{ArchiveState, Verified, VerifyDepth};
use crate::progress::Progress;

/// How long another run may hold the lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Whether the mark changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It was set.
    Set,
    /// It was removed.
    Removed,
    /// It is already correct, or was set by a deeper check.
    Unchanged,
}

/// Sets the mark of a damaged archive, and removes that of a good one. The lock is only taken if the mark is wrong.
pub fn remember(
    repository: &Repository,
    name: &ArchiveName,
    verified: &Verified,
    depth: VerifyDepth,
    progress: &dyn Progress,
) -> anyhow::Result<Mark> {
    let is_marked = repository.store().has(&format!("{name}{DAMAGED}"))?;
    if is_marked == (verified.state == ArchiveState::Damaged) {
        return Ok(Mark::Unchanged);
    }
    let locked = repository.lock(LOCK_WAIT, progress)?;
    Ok(match verified.state {
        ArchiveState::Damaged if locked.mark_damaged(name, depth.as_str(), &verified.findings)? => Mark::Set,
        ArchiveState::Good if locked.clear_damaged(name, &depth.and_shallower())? => Mark::Removed,
        ArchiveState::Damaged | ArchiveState::Good => Mark::Unchanged,
    })
}

/// Turns the error that refuses an archive into a verdict. An archive that cannot be read fails alone; other errors are
/// passed on.
pub fn refused(error: anyhow::Error) -> anyhow::Result<anyhow::Result<Verified>> {
    match Verified::refused(error) {
        Err(error) if error.downcast_ref().is_none_or(|error| matches!(error, ArchiveError::Interrupted(_))) => {
            Err(error)
        }
        alone => Ok(alone),
    }
}
