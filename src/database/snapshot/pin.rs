//! Pins databases at one point in time.
//!
//! A read transaction pins one database: the backup API then copies that state whatever others commit, and never
//! restarts. For a set, every database is locked against writers (`BEGIN IMMEDIATE`), all are pinned, and the locks are
//! released at once, after milliseconds. None of this writes anything.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::copy::{PinnedDatabase, Source};
use super::pinned::{SetDatabase, open_pinned};
use super::set::pin_together;
use crate::clock::Clock;
use crate::database::error::SourceError;
use crate::database::files::source_file::Located;
use crate::database::seen_twice::{is_damaged, read_through, seen_twice};
use crate::database::timeouts::Timeouts;
use crate::progress::Progress;

/// The databases of a set, each pinned until it was copied.
pub struct Pinned {
    /// The databases, in the order in which they were given.
    pub databases: Vec<PinnedDatabase>,
    /// Whether all of them show the same point in time.
    pub consistent: bool,
    /// That point in time: taken while writers are locked out or, for a single database in WAL mode, right after
    /// pinning it.
    pub at: DateTime<Utc>,
}

/// Checks the paths of all sources, opens them without changing anything, and pins them at one point in time.
///
/// `scratch` is a private folder for those that cannot be opened in place. Damage must be seen twice, with every byte
/// read in between: SQLite reports an EIO of the disk as a malformed database.
pub fn pin(
    sources: &[Source],
    scratch: &Path,
    clock: &Clock,
    timeouts: &Timeouts,
    progress: &dyn Progress,
) -> Result<Pinned, SourceError> {
    seen_twice(
        || pin_once(sources, scratch, clock, timeouts, progress),
        is_damaged,
        |outcome| {
            let Err(SourceError::Damaged { path, .. }) = outcome else { return Ok(()) };
            // The failure closed all connections, so closing a plain descriptor drops no lock of ours.
            let located = Located::find(path, timeouts, progress)?;
            read_through(&located.path, &located.given, progress)
        },
    )
}

fn pin_once(
    sources: &[Source],
    scratch: &Path,
    clock: &Clock,
    timeouts: &Timeouts,
    progress: &dyn Progress,
) -> Result<Pinned, SourceError> {
    let paths: Vec<&Path> = sources.iter().map(|source| source.path.as_path()).collect();
    let located = Located::find_all(&paths, timeouts, progress)?;
    let alone = located.len() == 1;
    let mut members = Vec::with_capacity(located.len());
    for (index, located) in located.into_iter().enumerate() {
        let member = open_pinned(located, &scratch.join(format!("source-{index}.db")), timeouts, progress)?;
        if !alone {
            member.unpin()?;
        }
        members.push(member);
    }
    let (at, consistent) = if alone { (clock.now(), true) } else { pin_together(&members, clock, timeouts, progress)? };
    let databases = members.into_iter().map(SetDatabase::into_pinned).collect::<Result<_, _>>()?;
    Ok(Pinned { databases, consistent, at })
}
