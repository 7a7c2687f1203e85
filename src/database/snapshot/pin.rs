//! Holds databases at one point in time.
//!
//! A read transaction pins one database: the backup API then copies that state whatever others commit, and never starts
//! over. For a set every database is locked against writers (`BEGIN IMMEDIATE`), all are pinned, and the locks are
//! released at once, after milliseconds. Nothing is written by any of this.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::copy::{PinnedDatabase, Source};
use super::pinned::{Member, open_pinned};
use super::set::pin_together;
use crate::clock::Clock;
use crate::database::error::SourceError;
use crate::database::files::source_file::Located;
use crate::database::limits::Limits;
use crate::database::seen_twice::{is_damaged, read_through, seen_twice};
use crate::progress::Progress;

/// The databases of a set, each held at its point in time until it was copied.
pub struct Pinned {
    /// The databases, in the order in which they were given.
    pub databases: Vec<PinnedDatabase>,
    /// Whether all of them show one point in time.
    pub consistent: bool,
    /// That point in time: read while writers are locked out, for one database in WAL mode right after it was pinned.
    pub at: DateTime<Utc>,
}

/// Checks the paths of all sources, opens them without changing anything, and pins them at one point in time.
///
/// `scratch` is a private folder for those that cannot be opened where they are. Damage must be seen twice, with every
/// byte read in between: SQLite takes an EIO of the disk for a malformed database.
pub fn pin(sources: &[Source], scratch: &Path, clock: &Clock, limits: &Limits, progress: &dyn Progress) -> Result<Pinned, SourceError> {
    seen_twice(
        || pin_once(sources, scratch, clock, limits, progress),
        is_damaged,
        |outcome| {
            let Err(SourceError::Damaged { path, .. }) = outcome else { return Ok(()) };
            // Every connection went with the failure, so that a plain descriptor takes no lock of ours with it.
            let located = Located::find(path, limits, progress)?;
            read_through(&located.path, &located.given, progress)
        },
    )
}

fn pin_once(sources: &[Source], scratch: &Path, clock: &Clock, limits: &Limits, progress: &dyn Progress) -> Result<Pinned, SourceError> {
    let paths: Vec<&Path> = sources.iter().map(|source| source.path.as_path()).collect();
    let located = Located::find_all(&paths, limits, progress)?;
    let alone = located.len() == 1;
    let mut members = Vec::with_capacity(located.len());
    for (index, located) in located.into_iter().enumerate() {
        let member = open_pinned(located, &scratch.join(format!("source-{index}.db")), limits, progress)?;
        if !alone {
            member.unpin()?;
        }
        members.push(member);
    }
    let (at, consistent) = if alone { (clock.now(), true) } else { pin_together(&members, clock, limits, progress)? };
    let databases = members.into_iter().map(Member::into_pinned).collect::<Result<_, _>>()?;
    Ok(Pinned { databases, consistent, at })
}
