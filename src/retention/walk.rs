//! The rules of `rotate`, the limits of `cleanup`, and the floors under both, over some archives of one stream.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{LAST_PRE_UPDATE, Limits, Reason, Rule, Unit, kinds};
use crate::metadata::Kind;
use crate::snapshot::{Brief, Snapshot};
use crate::streams::{BOTH_IN_USE, Stream};

/// An archive of a segment while its reasons are collected.
pub(super) struct Item<'a> {
    /// Its place among the archives of the stream.
    pub(super) position: usize,
    snapshot: &'a Snapshot,
    brief: Option<&'a Brief>,
    local: DateTime<Tz>,
    counted: bool,
    pub(super) keep: Vec<Reason>,
    pub(super) remove: Vec<Reason>,
}

impl<'a> Item<'a> {
    pub(super) fn new(position: usize, unit: &Unit<'a>, stream: &Stream, zone: Tz) -> Self {
        let snapshot = unit.snapshot();
        Self {
            position,
            snapshot,
            brief: unit.brief(stream),
            local: snapshot.created_at.with_timezone(&zone),
            counted: unit.is_counted(),
            keep: Vec::new(),
            remove: Vec::new(),
        }
    }
}

/// Lets one rule of a rotation keep what it wants.
pub(super) fn walk(rule: Rule, count: u32, items: &mut [Item<'_>]) {
    if count == 0 {
        return;
    }
    let mut seen = HashSet::new();
    let mut counted = 0;
    for item in items.iter_mut().filter(|item| item.counted) {
        let period = rule.period(&item.local);
        match period {
            Some(period) if !seen.insert(period) => item.remove.push(Reason::NewerIn(period)),
            _ if counted == count => item.remove.push(match rule {
                Rule::Last => Reason::BeyondLast(count),
                _ => Reason::BeyondReach(rule, count),
            }),
            _ => {
                if item.keep.is_empty() {
                    counted += 1;
                }
                item.keep.push(match period {
                    None => Reason::Last { rank: counted, of: count },
                    Some(period) => Reason::NewestOf(period),
                });
            }
        }
    }
}

/// Applies the limits of a cleanup. Each keeps the newest and lets the rest go, so an archive within all of them stays.
pub(super) fn limit(limits: &Limits, items: &mut [Item<'_>], now: DateTime<Utc>) {
    let mut rank: u32 = 0;
    let mut bytes: u64 = 0;
    for item in items.iter_mut().filter(|item| item.counted) {
        rank = rank.saturating_add(1);
        bytes = bytes.saturating_add(item.snapshot.bytes);
        let mut keep = Vec::new();
        if let Some(of) = limits.keep {
            if rank <= of { keep.push(Reason::WithinCount { rank, of }) } else { item.remove.push(Reason::BeyondCount(of)) }
        }
        if let Some(age) = limits.max_age {
            // An age limit beyond what the calendar can express is none.
            let most = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
            let young = now - item.snapshot.created_at <= most;
            if young { keep.push(Reason::WithinAge(age)) } else { item.remove.push(Reason::OlderThan(age)) }
        }
        if let Some(most) = limits.max_size {
            if bytes <= most { keep.push(Reason::WithinSize(most)) } else { item.remove.push(Reason::BeyondSize(most)) }
        }
        if item.remove.is_empty() {
            item.keep = if keep.is_empty() { vec![Reason::NoLimit] } else { keep };
        }
    }
}

/// Keeps the newest archives made before updates, and the first of every hour; what this keeps changes no walk.
pub(super) fn keep_pre_update(items: &mut [Item<'_>], now: DateTime<Utc>, zone: Tz) {
    let fits = |item: &&mut Item<'_>| item.counted && item.snapshot.kind == Kind::PreUpdate;
    let of_kind: Vec<&mut Item<'_>> = items.iter_mut().filter(fits).collect();
    let times: Vec<DateTime<Utc>> = of_kind.iter().map(|item| item.snapshot.created_at).collect();
    for (item, floor) in of_kind.into_iter().zip(kinds::floors(&times, LAST_PRE_UPDATE, now, zone)) {
        item.keep.extend(floor.map(|floor| match floor {
            kinds::Floor::Last(rank) => Reason::PreUpdate { rank, of: LAST_PRE_UPDATE },
            kinds::Floor::FirstOfHour => Reason::FirstOfHour,
        }));
    }
}

/// Keeps what was copied from another file than the newest archive, as long as two applications count as both in use.
pub(super) fn keep_other_files(items: &mut [Item<'_>], now: DateTime<Utc>) {
    let file_of = |item: &Item<'_>| item.brief.and_then(|brief| brief.file.clone());
    let Some(newest) = items.first().and_then(file_of) else { return };
    for item in items.iter_mut().filter(|item| now - item.snapshot.created_at < BOTH_IN_USE) {
        if file_of(item).is_some_and(|file| file != newest) {
            item.keep.push(Reason::AnotherFile);
        }
    }
}
