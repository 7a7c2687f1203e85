//! The second implementation: no sorting, no sets, no state between rules but what is kept. Every sentence of the contract
//! is a question about all other archives.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use heirloom::metadata::Kind;
use heirloom::retention::Limits;
use heirloom::snapshot::Snapshot;

use crate::histories::{Decider, RULES, reach_of};

pub fn newer(a: &Snapshot, b: &Snapshot) -> bool {
    a.created_at > b.created_at || a.created_at == b.created_at && a.name < b.name
}

pub fn good(archive: &Snapshot, now: DateTime<Utc>) -> bool {
    !archive.damaged && archive.kind != Kind::Safety && archive.created_at <= now
}

fn counted(archive: &Snapshot, now: DateTime<Utc>) -> bool {
    good(archive, now) && !archive.pinned
}

/// Returns the names of the archives that stay.
pub fn kept(all: &[Snapshot], decider: &Decider, now: DateTime<Utc>, zone: Tz) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    if let Decider::Rotate(reach, _) = decider {
        for leader in all {
            // Each group once, by its newest archive.
            if !all.iter().any(|other| other.same_group(leader) && newer(other, leader)) {
                let group: Vec<&Snapshot> = all.iter().filter(|other| other.same_group(leader)).collect();
                wanted.extend(rotated(&group, |rule| reach_of(reach, rule), now, zone));
            }
        }
    }
    all.iter()
        .filter(|archive| {
            let group = || all.iter().filter(|other| other.same_group(archive));
            let newer_good = group().any(|other| good(other, now) && newer(other, archive));
            let sound = |other: &Snapshot| !other.damaged && other.created_at <= now;
            let newest_good = good(archive, now) && !newer_good;
            let only_safety = !group().any(|other| good(other, now));
            let newest_sound = sound(archive) && !group().any(|other| sound(other) && newer(other, archive));
            let safety = match decider {
                Decider::Rotate(_, safety) => Some(*safety),
                Decider::Cleanup(limits) => limits.safety,
            };
            let by_class = if archive.kind == Kind::Safety {
                let ahead = group().filter(|other| {
                    other.kind == Kind::Safety
                        && !other.pinned
                        && other.created_at <= now
                        && other.damaged == archive.damaged
                        && newer(other, archive)
                });
                safety.is_none_or(|most| ahead.count() < most as usize)
            } else {
                match decider {
                    Decider::Rotate(..) => wanted.contains(archive.name.as_str()),
                    Decider::Cleanup(limits) => within(archive, group().collect(), limits, now),
                }
            };
            archive.pinned
                || archive.created_at > now
                || newest_good
                || only_safety && newest_sound
                || archive.damaged && !newer_good
                || by_class
        })
        .map(|archive| archive.name.as_str().to_owned())
        .collect()
}

fn rotated(group: &[&Snapshot], count: impl Fn(&str) -> u32, now: DateTime<Utc>, zone: Tz) -> BTreeSet<String> {
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for (rule, format) in RULES {
        let key = |archive: &Snapshot| match rule {
            "last" => archive.name.as_str().to_owned(),
            _ => archive.created_at.with_timezone(&zone).format(format).to_string(),
        };
        let candidates: Vec<(&Snapshot, String)> =
            group.iter().filter(|archive| counted(archive, now)).map(|archive| (*archive, key(archive))).collect();
        let mut firsts: Vec<&Snapshot> = candidates
            .iter()
            .filter(|(archive, key)| !candidates.iter().any(|(other, other_key)| other_key == key && newer(other, archive)))
            .map(|(archive, _)| *archive)
            .collect();
        let mut left = count(rule);
        while left > 0 && !firsts.is_empty() {
            let newest = (0..firsts.len()).find(|&this| !firsts.iter().any(|other| newer(other, firsts[this]))).unwrap();
            let archive = firsts.swap_remove(newest);
            if kept.insert(archive.name.as_str().to_owned()) {
                left -= 1;
            }
        }
    }
    kept
}

fn within(archive: &Snapshot, group: Vec<&Snapshot>, limits: &Limits, now: DateTime<Utc>) -> bool {
    let young = limits.max_age.is_none_or(|age| now - archive.created_at <= TimeDelta::from_std(age).unwrap());
    if archive.damaged {
        return limits.keep.is_none() && limits.max_size.is_none() && young;
    }
    let ahead: Vec<&&Snapshot> = group.iter().filter(|other| counted(other, now) && newer(other, archive)).collect();
    let bytes: u64 = ahead.iter().map(|other| other.bytes).sum::<u64>() + archive.bytes;
    young && limits.keep.is_none_or(|keep| ahead.len() < keep as usize) && limits.max_size.is_none_or(|most| bytes <= most)
}
