//! Databases that lost most of their rows: a failed migration, a wrong `DELETE`, an application that started empty.
//!
//! An archive records the maximum that its stream contained since the last shrink (`previous`). An archive with less
//! than half of that is a *shrink*. While a shrink is open, the archives from before it are as valuable as on the day
//! it happened: rules and floors apply to them separately, as of the time of the shrink, and separately to the shrink
//! and the archives after it. So rotation removes nothing that the shrink made valuable, and the store stays bounded.
//!
//! A shrink is closed by the user (`accept`) or by a later archive that contains half of the rows again.

use chrono::{DateTime, TimeDelta, Utc};

use super::member::Member;
use crate::metadata::{Extent, Kind};
use crate::names::{ArchiveName, Name};
use crate::snapshot::{Brief, Snapshot};
use crate::streams::Stream;

/// The fewest rows of a database for which shrinks are detected.
const FEWEST_ROWS: u64 = 1000;
/// The smallest size of a database, in bytes, for which shrinks are detected.
const FEWEST_BYTES: u64 = 1 << 20;
/// How long a shrink that was recovered from is kept, with the archive before it.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::days(30);

/// An archive with less than half of the previous contents of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrink {
    /// The archive.
    pub archive: ArchiveName,
    /// The stream that lost rows.
    pub stream: Stream,
    /// The database.
    pub database: Name,
    /// When the archive was made.
    pub created_at: DateTime<Utc>,
    /// The maximum that the stream contained before.
    pub before: Extent,
    /// The contents of this archive.
    pub after: Extent,
}

/// Returns the extent of a database in an archive; `None` if its size is unknown.
fn extent(brief: &Brief) -> Option<Extent> {
    brief.bytes.map(|bytes| Extent { rows: brief.rows, bytes })
}

/// Returns the extent before, if `after` is a shrink: less than half of it, and large enough for detection.
pub fn fell_from(before: &Extent, after: &Extent) -> Option<Extent> {
    let watched = before.rows.is_some_and(|rows| rows >= FEWEST_ROWS) || before.bytes >= FEWEST_BYTES;
    (watched && !is_half_of(after, before)).then_some(*before)
}

/// Returns the extent before, if a database in an archive is a shrink.
fn shrunk(brief: &Brief) -> Option<Extent> {
    fell_from(brief.previous.as_ref()?, &extent(brief)?)
}

/// Returns whether one extent is at least half of another: in rows, or in bytes if the rows are unknown.
fn is_half_of(extent: &Extent, before: &Extent) -> bool {
    match (extent.rows, before.rows) {
        (Some(rows), Some(before)) => rows >= before.div_ceil(2),
        _ => extent.bytes >= before.bytes.div_ceil(2),
    }
}

/// Returns what the archive after this one records as `previous`: the maximum of the stream since its last shrink.
pub fn most_since_shrink(last: &Brief) -> Option<Extent> {
    let held = extent(last)?;
    if shrunk(last).is_some() {
        return Some(held);
    }
    let more = |before: &Extent| match (before.rows, held.rows) {
        (Some(before), Some(rows)) => before > rows,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => before.bytes > held.bytes,
    };
    Some(last.previous.filter(more).unwrap_or(held))
}

/// The state of a shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not accepted, and the rows did not come back.
    Open,
    /// The rows came back.
    Recovered,
    /// The user confirmed that it is intended.
    Accepted,
}

/// Returns the shrinks of a stream, newest first, with their state. A shrink is given by its index among the archives,
/// which are newest first.
///
/// A damaged archive can be a shrink and can be accepted, but its rows do not count as recovered. Neither do those of
/// an archive after another open shrink: the archives before that one are judged separately.
pub(super) fn shrinks(members: &[Member<'_>]) -> Vec<(usize, Standing)> {
    let mut found = Vec::new();
    let mut accepted = false;
    let mut start = 0;
    for (at, member) in members.iter().enumerate() {
        // Accepting a shrink accepts those before it.
        accepted |= member.unit.accepted;
        let Some(before) = shrunk(member.brief) else { continue };
        let standing = match () {
            () if accepted => Standing::Accepted,
            () if members[start..at].iter().any(|later| !later.unit.damaged && had(later.brief, &before)) => {
                Standing::Recovered
            }
            () => Standing::Open,
        };
        if standing == Standing::Open {
            start = at + 1;
        }
        found.push((at, standing));
    }
    found
}

/// Returns whether an archive after a shrink contains half of `before` again, or records that one between them did,
/// which may have been removed since. The record of another shrink does not count, because it can be from before this
/// one.
fn had(later: &Brief, before: &Extent) -> bool {
    let recorded = later.previous.filter(|_| shrunk(later).is_none());
    extent(later).into_iter().chain(recorded).any(|held| is_half_of(&held, before))
}

/// Creates the description of a shrink.
pub(super) fn describe(member: &Member<'_>) -> Option<Shrink> {
    let (snapshot, brief) = (member.unit.snapshot(), member.brief);
    Some(Shrink {
        archive: snapshot.name.clone(),
        stream: brief.stream.clone(),
        database: brief.name.clone(),
        created_at: snapshot.created_at,
        before: shrunk(brief)?,
        after: extent(brief)?,
    })
}

/// Returns the earlier shrinks of the same databases that accepting an archive also accepts, newest first.
///
/// Each gets its own sidecar: the sidecar of a newer archive is removed with that archive, and the older shrink would
/// be open again. A shrink in which another database shrank as well is omitted: a sidecar applies to the whole archive,
/// and the other shrink was not accepted.
pub fn accepted_with(snapshots: &[Snapshot], archive: &Snapshot) -> Vec<ArchiveName> {
    let of_archive = |brief: &&Brief| archive.databases.iter().any(|own| own.stream == brief.stream);
    let fits = |snapshot: &&Snapshot| {
        let mut fell = snapshot.databases.iter().filter(|brief| shrunk(brief).is_some()).peekable();
        snapshot.kind != Kind::Safety
            && archive.newest_first(snapshot) == std::cmp::Ordering::Less
            && fell.peek().is_some()
            && fell.all(|brief| of_archive(&brief))
    };
    let mut earlier: Vec<&Snapshot> = snapshots.iter().filter(fits).collect();
    earlier.sort_by(|a, b| a.newest_first(b));
    earlier.into_iter().map(|snapshot| snapshot.name.clone()).collect()
}
