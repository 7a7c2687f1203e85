//! What stays of archives that are made in bursts: `safety` before each restore, `pre-update` before each guarded command.
//!
//! A crash loop or a night of restores must neither fill the disk nor push out the one archive that everybody needs
//! afterwards: that of the state before the first of them. So the newest few stay, and the first of every hour.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Rule;
use crate::metadata::Kind;
use crate::names::ArchiveName;
use crate::snapshot::Snapshot;
use crate::streams::Stream;

/// How long the first of every hour stays.
const FIRST_OF_HOUR: TimeDelta = TimeDelta::days(14);

/// Why an archive of such a kind stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floor {
    /// One of the newest: its place, from 1.
    Last(u32),
    /// The first of its hour.
    FirstOfHour,
}

/// Returns for each of these times, newest first, why it stays; `None` where nothing keeps it.
pub(super) fn floors(times: &[DateTime<Utc>], last: u32, now: DateTime<Utc>, zone: Tz) -> Vec<Option<Floor>> {
    let mut first_of_hour = HashMap::new();
    for (index, at) in times.iter().enumerate() {
        // Newest first: what is entered last is the first of its hour.
        first_of_hour.insert(Rule::Hourly.period(&at.with_timezone(&zone)), index);
    }
    let floor = |(index, at): (usize, &DateTime<Utc>)| {
        let rank = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let is_first = first_of_hour.get(&Rule::Hourly.period(&at.with_timezone(&zone))) == Some(&index);
        match () {
            () if rank <= last => Some(Floor::Last(rank)),
            () if is_first && now - *at <= FIRST_OF_HOUR => Some(Floor::FirstOfHour),
            () => None,
        }
    };
    times.iter().enumerate().map(floor).collect()
}

/// Returns the safety archives that a new one makes superfluous: of these streams, neither one of the `last` newest nor
/// the first of an hour of the last 14 days. Damaged and sound ones are counted apart. Oldest first.
///
/// An archive stays if one of its streams needs it, or if it is pinned, held, or dated after `now`.
pub fn superfluous_safety(snapshots: &[Snapshot], streams: &[Stream], last: u32, now: DateTime<Utc>, zone: Tz) -> Vec<ArchiveName> {
    let fits = |snapshot: &&Snapshot| {
        snapshot.kind == Kind::Safety && !snapshot.is_plain() && !snapshot.pinned && !snapshot.held && snapshot.created_at <= now
    };
    let candidates: Vec<&Snapshot> = snapshots.iter().filter(fits).collect();
    let mut needed = vec![false; candidates.len()];
    let touched = |snapshot: &Snapshot| snapshot.databases.iter().any(|brief| streams.contains(&brief.stream));
    let mut all: Vec<&Stream> = candidates.iter().flat_map(|snapshot| snapshot.databases.iter().map(|brief| &brief.stream)).collect();
    all.sort();
    all.dedup();
    for stream in all {
        for damaged in [false, true] {
            let of_stream = |(_, snapshot): &(usize, &&Snapshot)| {
                snapshot.damaged == damaged && snapshot.databases.iter().any(|brief| brief.stream == *stream)
            };
            let mut members: Vec<(usize, &&Snapshot)> = candidates.iter().enumerate().filter(of_stream).collect();
            members.sort_by(|a, b| a.1.newest_first(b.1));
            let times: Vec<DateTime<Utc>> = members.iter().map(|(_, snapshot)| snapshot.created_at).collect();
            for ((index, _), floor) in members.iter().zip(floors(&times, last, now, zone)) {
                needed[*index] |= floor.is_some();
            }
        }
    }
    let mut superfluous: Vec<&Snapshot> =
        candidates.iter().zip(needed).filter(|(snapshot, needed)| !needed && touched(snapshot)).map(|(snapshot, _)| *snapshot).collect();
    superfluous.sort_by(|a, b| b.newest_first(a));
    superfluous.into_iter().map(|snapshot| snapshot.name.clone()).collect()
}
