//! Random histories of backups: gaps, bursts, both nights of the clock change, leap days, year ends, clocks that step,
//! equal times, several sets, pins, damage, safety backups.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use heirloom::metadata::Kind;
use heirloom::names::{HostLabel, Name};
use heirloom::retention::{Limits, Plan, Policy, Reach, Retention, Scene};
use heirloom::snapshot::{Brief, Snapshot};

/// The rules in their order, and a format that is equal exactly within one period of each.
pub const RULES: [(&str, &str); 6] =
    [("last", ""), ("hourly", "%Y-%m-%dT%H%:z"), ("daily", "%Y-%m-%d"), ("weekly", "%G-W%V"), ("monthly", "%Y-%m"), ("yearly", "%Y")];

pub fn reach_of(reach: &Reach, rule: &str) -> u32 {
    match rule {
        "last" => reach.last,
        "hourly" => reach.hourly,
        "daily" => reach.daily,
        "weekly" => reach.weekly,
        "monthly" => reach.monthly,
        _ => reach.yearly,
    }
}

/// A policy or limits, open for the second implementation.
#[derive(Debug, Clone)]
pub enum Decider {
    Rotate(Reach),
    Cleanup(Limits),
}

impl Decider {
    pub fn plan(&self, archives: &[Snapshot], now: DateTime<Utc>, zone: Tz) -> Plan {
        let retention = match self {
            Decider::Rotate(reach) => Retention::Rotate(Policy::new(*reach).unwrap()),
            Decider::Cleanup(limits) => Retention::Cleanup(*limits),
        };
        retention.plan(archives, &Scene::new(now, zone))
    }
}

#[derive(Debug, Clone)]
pub struct History {
    pub seed: u64,
    /// In the order in which they were made, which is not always that of their dates.
    pub archives: Vec<Snapshot>,
    pub now: DateTime<Utc>,
    pub zone: Tz,
    pub rotate: Decider,
    pub cleanup: Decider,
}

/// Calls `test` with ten thousand histories.
pub fn each(mut test: impl FnMut(&History)) {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let first = number("HEIRLOOM_SEED", 1);
    let count = number("HEIRLOOM_HISTORIES", 10_000);
    println!("histories of the seeds {first} to {}", first + count - 1);
    for seed in first..first + count {
        test(&history(seed));
    }
}

/// Numbers that look random and are the same for the same seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as u64 - 1) as usize].clone()
    }
}

pub fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn archive(set: &str, databases: &[&str], at: DateTime<Utc>) -> Snapshot {
    let set = Name::new(set).unwrap();
    let brief = |name: &&str| Brief::simulated(&set, &HostLabel::container(), &Name::new(*name).unwrap());
    let databases = databases.iter().map(brief).collect();
    Snapshot { bytes: 1000, databases, ..Snapshot::simulated(&set, at) }
}

const ZONES: [Tz; 9] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Sydney,
    // Half an hour of summer time.
    Tz::Australia__Lord_Howe,
    // Set back at midnight: a day that has 23:30 twice.
    Tz::America__Santiago,
    Tz::America__St_Johns,
    Tz::Asia__Kolkata,
    // Without a 2011-12-30.
    Tz::Pacific__Apia,
];

/// Shortly before something odd happens, and where.
const STARTS: [(&str, Tz); 17] = [
    ("2025-03-29T12:00:00Z", Tz::Europe__Berlin),
    ("2025-10-25T12:00:00Z", Tz::Europe__Berlin),
    ("2025-03-08T20:00:00Z", Tz::America__New_York),
    ("2025-11-01T20:00:00Z", Tz::America__New_York),
    ("2025-04-05T06:00:00Z", Tz::Australia__Sydney),
    ("2025-10-04T06:00:00Z", Tz::Australia__Sydney),
    ("2025-04-05T06:00:00Z", Tz::Australia__Lord_Howe),
    ("2025-04-05T18:00:00Z", Tz::America__Santiago),
    ("2025-09-06T18:00:00Z", Tz::America__Santiago),
    ("2010-11-06T18:00:00Z", Tz::America__St_Johns),
    ("2011-12-28T20:00:00Z", Tz::Pacific__Apia),
    ("2024-02-28T01:00:00Z", Tz::UTC),
    ("2000-02-28T01:00:00Z", Tz::Asia__Kolkata),
    ("2024-12-29T03:00:00Z", Tz::UTC),
    ("2020-12-26T03:00:00Z", Tz::Europe__Berlin),
    ("2027-12-31T20:00:00Z", Tz::Asia__Kolkata),
    ("2026-01-25T03:00:00Z", Tz::UTC),
];

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// Makes the history of a seed.
pub fn history(seed: u64) -> History {
    let mut dice = Dice::new(seed);
    let (start, there) = dice.pick(&STARTS);
    let elsewhere = dice.pick(&ZONES);
    let zone = if dice.chance(75) { there } else { elsewhere };
    let mut clock = utc(start);
    let step = dice.pick(&[20 * MINUTE, HOUR, HOUR, 6 * HOUR, DAY, DAY, DAY, 7 * DAY, 20 * DAY]);
    let trouble = dice.pick(&[0, 3, 15, 40]);
    let marks = dice.pick(&[0, 8, 30]);
    let longest = dice.pick(&[20, 40, 60, 120]);
    let length = dice.between(1, longest);

    let mut archives: Vec<Snapshot> = Vec::new();
    for _ in 0..length {
        let seconds = |seconds: u64| TimeDelta::seconds(seconds as i64);
        clock += seconds(step);
        if dice.chance(trouble) {
            match dice.between(1, 6) {
                1 => clock += seconds(dice.between(DAY, 400 * DAY)),
                2 => clock += seconds(dice.between(1, 3 * step)),
                3 => clock -= seconds(step),
                4 => clock -= seconds(dice.between(0, step)),
                5 => clock -= seconds(dice.between(HOUR, 20 * DAY)),
                _ => clock -= seconds(dice.between(step.saturating_sub(300), step)),
            }
        }
        let (set, databases): (&str, &[&str]) = match dice.between(1, 10) {
            1..=7 => ("shop", &["orders", "users"]),
            8 => ("shop", &["users"]),
            9 => ("shop", &["users", "orders"]),
            _ => ("blog", &["users"]),
        };
        let mut made = archive(set, databases, clock);
        let plain = made.name.clone();
        for number in 2.. {
            if !archives.iter().any(|other| other.name == made.name) {
                break;
            }
            made.name = plain.numbered(number);
        }
        made.bytes = dice.between(0, 2000);
        made.pinned = dice.chance(marks / 2);
        made.damaged = dice.chance(marks);
        if dice.chance(marks) {
            made.kind = Kind::Safety;
        } else if dice.chance(10) {
            made.kind = Kind::Manual;
        }
        archives.push(made);
    }

    let newest = archives.iter().map(|archive| archive.created_at).max().unwrap();
    let now = match dice.between(1, 10) {
        1..=6 => newest + TimeDelta::seconds(dice.between(0, 2 * step) as i64),
        7 => newest + TimeDelta::seconds(dice.between(0, 900 * DAY) as i64),
        8 => newest - TimeDelta::seconds(dice.between(0, 10 * step) as i64),
        _ => dice.pick(&archives).created_at,
    };
    let rotate = Decider::Rotate(reach(&mut dice));
    let cleanup = Decider::Cleanup(limits(&mut dice, step));
    History { seed, archives, now, zone, rotate, cleanup }
}

fn reach(dice: &mut Dice) -> Reach {
    let mut count = || if dice.chance(50) { 0 } else { dice.between(1, 9) as u32 };
    let reach = Reach { last: count(), hourly: count(), daily: count(), weekly: count(), monthly: count(), yearly: count() };
    if reach == Reach::default() { Reach { daily: 7, weekly: 4, monthly: 12, ..reach } } else { reach }
}

fn limits(dice: &mut Dice, step: u64) -> Limits {
    Limits {
        keep: dice.chance(50).then(|| dice.between(0, 20) as u32),
        max_age: dice.chance(50).then(|| Duration::from_secs(dice.between(0, 40 * step))),
        max_size: dice.chance(50).then(|| dice.between(0, 30_000)),
    }
}
