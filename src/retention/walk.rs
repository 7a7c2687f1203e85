//! The rules of `rotate`, the limits of `cleanup`, and the floors of both, applied to archives of one stream.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::member::{Member, Reasons};
use super::unit::Unit;
use super::{LAST_PRE_UPDATE, Limits, Reason, Rule, kinds};
use crate::metadata::Kind;
use crate::snapshot::Brief;
use crate::streams::BOTH_IN_USE;

/// An archive of a segment while its reasons are collected.
pub(super) struct Item<'a> {
    /// Its index among the archives of the stream.
    pub(super) position: usize,
    pub(super) reasons: Reasons,
    unit: &'a Unit<'a>,
    brief: &'a Brief,
    local: DateTime<Tz>,
}

impl<'a> Item<'a> {
    pub(super) fn new(position: usize, member: &Member<'a>, zone: Tz) -> Self {
        let local = member.unit.snapshot().created_at.with_timezone(&zone);
        Self { position, reasons: Reasons::default(), unit: member.unit, brief: member.brief, local }
    }

    /// Returns whether it takes a slot.
    fn is_counted(&self) -> bool {
        !self.unit.pinned
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.unit.snapshot().created_at
    }
}

/// Applies one rule of a rotation.
pub(super) fn walk(rule: Rule, count: u32, items: &mut [Item<'_>]) {
    if count == 0 {
        return;
    }
    let mut seen = HashSet::new();
    let mut counted = 0;
    for item in items.iter_mut().filter(|item| item.is_counted()) {
        let period = rule.period(&item.local);
        match period {
            Some(period) if !seen.insert(period) => item.reasons.remove.push(Reason::NewerIn(period)),
            _ if counted == count => item.reasons.remove.push(match rule {
                Rule::Last => Reason::BeyondLast(count),
                _ => Reason::BeyondReach(rule, count),
            }),
            _ => {
                if item.reasons.keep.is_empty() {
                    counted += 1;
                }
                item.reasons.keep.push(match period {
                    None => Reason::Last { rank: counted, of: count },
                    Some(period) => Reason::NewestOf(period),
                });
            }
        }
    }
}

/// Applies the limits of a cleanup. Each keeps the newest archives and removes the others; an archive is kept if it is
/// within all limits.
pub(super) fn limit(limits: &Limits, items: &mut [Item<'_>], now: DateTime<Utc>) {
    let mut rank: u32 = 0;
    let mut bytes: u64 = 0;
    for item in items.iter_mut().filter(|item| item.is_counted()) {
        rank = rank.saturating_add(1);
        bytes = bytes.saturating_add(item.unit.snapshot().bytes);
        // An age limit beyond the range of the calendar is no limit.
        let within = |age| now - item.created_at() <= TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        let said = [
            limits.keep.map(|of| (rank <= of, Reason::WithinCount { rank, of }, Reason::BeyondCount(of))),
            limits.max_age.map(|age| (within(age), Reason::WithinAge(age), Reason::OlderThan(age))),
            limits.max_size.map(|most| (bytes <= most, Reason::WithinSize(most), Reason::BeyondSize(most))),
        ];
        let mut keep = Vec::new();
        for (is_within, reason, otherwise) in said.into_iter().flatten() {
            if is_within { keep.push(reason) } else { item.reasons.remove.push(otherwise) }
        }
        if item.reasons.remove.is_empty() {
            item.reasons.keep = if keep.is_empty() { vec![Reason::NoLimit] } else { keep };
        }
    }
}

/// Keeps the newest archives made before updates, and the first of every hour; this does not affect any walk.
pub(super) fn keep_pre_update(items: &mut [Item<'_>], now: DateTime<Utc>, zone: Tz) {
    let fits = |item: &&mut Item<'_>| item.is_counted() && item.unit.snapshot().kind == Kind::PreUpdate;
    let of_kind: Vec<&mut Item<'_>> = items.iter_mut().filter(fits).collect();
    let times: Vec<DateTime<Utc>> = of_kind.iter().map(|item| item.created_at()).collect();
    for (item, floor) in of_kind.into_iter().zip(kinds::floors(&times, LAST_PRE_UPDATE, now, zone)) {
        item.reasons.keep.extend(floor.map(|floor| match floor {
            kinds::Floor::Last(rank) => Reason::PreUpdate { rank, of: LAST_PRE_UPDATE },
            kinds::Floor::FirstOfHour => Reason::FirstOfHour,
        }));
    }
}

/// Keeps archives copied from another file than the newest one, as long as two applications count as both in use.
pub(super) fn keep_other_files(items: &mut [Item<'_>], newest: &Brief, now: DateTime<Utc>) {
    let Some(newest) = &newest.file else { return };
    for item in items.iter_mut().filter(|item| now - item.created_at() < BOTH_IN_USE) {
        let is_another = item.brief.file.as_ref().is_some_and(|file| file != newest);
        if is_another && !item.reasons.keep.contains(&Reason::AnotherFile) {
            item.reasons.keep.push(Reason::AnotherFile);
        }
    }
}
