//! Thins out archives that are made in bursts: `safety` before each restore, `pre-update` before each guarded command.
//!
//! A crash loop or a night of restores must neither fill the disk nor push out the one archive that is needed
//! afterwards: the state before the first of them. So the newest few are kept, and the first of every hour.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;

use super::unit::units;
use super::{LAST_PRE_UPDATE, Rule};
use crate::metadata::Kind;
use crate::names::ArchiveName;
use crate::snapshot::{Seal, Snapshot};
use crate::streams::Stream;

/// How long the first of every hour is kept.
const FIRST_OF_HOUR: TimeDelta = TimeDelta::days(14);

/// Why such an archive is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floor {
    /// One of the newest, with its rank from 1.
    Last(u32),
    /// The first of its hour.
    FirstOfHour,
}

/// Returns for each of these times, newest first, why it is kept; `None` if nothing keeps it.
pub(super) fn floors(times: &[DateTime<Utc>], last: u32, now: DateTime<Utc>, zone: Tz) -> Vec<Option<Floor>> {
    let hour_of = |at: &DateTime<Utc>| Rule::Hourly.period(&at.with_timezone(&zone));
    // Newest first, so the last one inserted is the first of its hour.
    let first_of_hour: HashMap<_, usize> = times.iter().enumerate().map(|(index, at)| (hour_of(at), index)).collect();
    let floor = |(index, at): (usize, &DateTime<Utc>)| {
        let rank = u32::try_from(index + 1).unwrap_or(u32::MAX);
        match () {
            () if rank <= last => Some(Floor::Last(rank)),
            () if first_of_hour.get(&hour_of(at)) == Some(&index) && is_in_reach(*at, now, zone) => {
                Some(Floor::FirstOfHour)
            }
            () => None,
        }
    };
    times.iter().enumerate().map(floor).collect()
}

/// Returns whether the hour of a time overlaps the last 14 days. The whole hour counts, or its second archive would
/// become the first when that one gets too old.
fn is_in_reach(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> bool {
    let local = at.with_timezone(&zone);
    let into = TimeDelta::minutes(local.minute().into())
        + TimeDelta::seconds(local.second().into())
        + TimeDelta::nanoseconds(local.nanosecond().into());
    now - (at - into) < FIRST_OF_HOUR + TimeDelta::hours(1)
}

/// Returns the safety archives that a new one makes superfluous: only those of these streams, and in each stream
/// neither the `last` newest nor the first of an hour of the last 14 days. Oldest first.
///
/// An archive is kept if one of its streams needs it, or if it is pinned, held, or dated after `now`. As everywhere,
/// pinned archives take no slot, copies share one, and damaged ones take none but are kept as if all damaged ones were
/// good.
pub fn superfluous_safety(
    snapshots: &[Snapshot],
    streams: &[Stream],
    last: u32,
    now: DateTime<Utc>,
    zone: Tz,
) -> Vec<ArchiveName> {
    superfluous_of(Kind::Safety, snapshots, streams, last, now, zone)
}

/// Returns the archives made before updates that no rule of a policy is asked about, because the store takes none of
/// them, and that newer ones make superfluous: as [`superfluous_safety`] does, with the newest [`LAST_PRE_UPDATE`].
pub fn superfluous_pre_update(
    snapshots: &[Snapshot],
    streams: &[Stream],
    now: DateTime<Utc>,
    zone: Tz,
) -> Vec<ArchiveName> {
    superfluous_of(Kind::PreUpdate, snapshots, streams, LAST_PRE_UPDATE, now, zone)
}

fn superfluous_of(
    kind: Kind,
    snapshots: &[Snapshot],
    streams: &[Stream],
    last: u32,
    now: DateTime<Utc>,
    zone: Tz,
) -> Vec<ArchiveName> {
    // Plain ones take no slot from encrypted ones, and are thinned out among all.
    let is_exposed = |snapshot: &&Snapshot| snapshot.seal == Seal::Missing;
    let sealed = snapshots.iter().filter(|snapshot| !is_exposed(snapshot));
    let mut names = superfluous(kind, sealed, streams, last, now, zone);
    if snapshots.iter().any(|snapshot| is_exposed(&snapshot)) {
        let exposed: HashSet<&ArchiveName> =
            snapshots.iter().filter(is_exposed).map(|snapshot| &snapshot.name).collect();
        let among_all = superfluous(kind, snapshots.iter(), streams, last, now, zone);
        names.extend(among_all.into_iter().filter(|name| exposed.contains(name)));
    }
    names
}

fn superfluous<'a>(
    kind: Kind,
    snapshots: impl Iterator<Item = &'a Snapshot>,
    streams: &[Stream],
    last: u32,
    now: DateTime<Utc>,
    zone: Tz,
) -> Vec<ArchiveName> {
    let counts = |snapshot: &&Snapshot| snapshot.kind == kind && !snapshot.is_plain() && !snapshot.is_closed();
    let units = units(snapshots.filter(counts), now);
    let mut by_stream: BTreeMap<&Stream, Vec<usize>> = BTreeMap::new();
    for (index, unit) in units.iter().enumerate().filter(|(_, unit)| !unit.pinned && !unit.future) {
        for brief in &unit.snapshot().databases {
            let members = by_stream.entry(&brief.stream).or_default();
            if members.last() != Some(&index) {
                members.push(index);
            }
        }
    }
    let mut needed: Vec<bool> = units.iter().map(|unit| unit.pinned || unit.future || unit.held).collect();
    for members in by_stream.values() {
        for damaged in [false, true] {
            let counted: Vec<usize> =
                members.iter().copied().filter(|index| damaged || !units[*index].damaged).collect();
            let times: Vec<DateTime<Utc>> = counted.iter().map(|index| units[*index].snapshot().created_at).collect();
            for (index, floor) in counted.into_iter().zip(floors(&times, last, now, zone)) {
                needed[index] |= floor.is_some() && units[index].damaged == damaged;
            }
        }
    }
    let touches_no_other = |snapshot: &Snapshot| snapshot.databases.iter().all(|brief| streams.contains(&brief.stream));
    let superfluous =
        units.iter().zip(needed).rev().filter(|(unit, needed)| !needed && touches_no_other(unit.snapshot()));
    superfluous.flat_map(|(unit, _)| &unit.names).map(|snapshot| snapshot.name.clone()).collect()
}
