//! Random histories: the contents of a store from which nothing was removed, and a plan for it with every possible
//! input.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use heirloom::names::{ArchiveName, HostLabel, Name};
use heirloom::retention::{GoneReach, Limits, Plan, Policy, Reach, Retention, Scene, Scope};
use heirloom::snapshot::{Brief, Snapshot};
use heirloom::streams::Stream;

use super::dice::{DAY, Dice, seconds};
use super::world::World;

/// The rules in order, each with a format that is equal exactly within one period.
pub const RULES: [(&str, &str); 6] = [
    ("last", ""),
    ("hourly", "%Y-%m-%dT%H%:z"),
    ("daily", "%Y-%m-%d"),
    ("weekly", "%G-W%V"),
    ("monthly", "%Y-%m"),
    ("yearly", "%Y"),
];

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

/// A policy or limits, readable by the second implementation.
#[derive(Debug, Clone)]
pub enum Decider {
    Rotate(Reach),
    Cleanup(Limits),
}

impl Decider {
    pub fn plan(&self, archives: &[Snapshot], scene: &Scene<'_>) -> Plan {
        let retention = match self {
            Decider::Rotate(reach) => Retention::Rotate(Policy::new(*reach).unwrap()),
            Decider::Cleanup(limits) => Retention::Cleanup(*limits),
        };
        retention.plan(archives, scene)
    }
}

#[derive(Debug, Clone)]
pub struct History {
    pub seed: u64,
    /// In the order of creation, which is not always the order of dates.
    pub archives: Vec<Snapshot>,
    /// The other inputs of a plan, except `made`.
    pub scene: Scene<'static>,
    pub made: Option<ArchiveName>,
    pub rotate: Decider,
    pub cleanup: Decider,
}

impl History {
    pub fn scene(&self) -> Scene<'_> {
        Scene { made: self.made.as_ref(), ..self.scene.clone() }
    }

    pub fn both(&self) -> [&Decider; 2] {
        [&self.rotate, &self.cleanup]
    }
}

/// Calls `test` with every seed: ten thousand, or the number in the environment.
pub fn each_seed(mut test: impl FnMut(u64)) {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let first = number("HEIRLOOM_SEED", 1);
    let count = number("HEIRLOOM_HISTORIES", 10_000);
    println!("histories of the seeds {first} to {}", first + count - 1);
    (first..first + count).for_each(&mut test);
}

/// Calls `test` with ten thousand histories.
pub fn each(mut test: impl FnMut(&History)) {
    each_seed(|seed| test(&history(seed)));
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

/// Creates the history of a seed.
pub fn history(seed: u64) -> History {
    let mut world = World::new(seed);
    let longest = world.dice.pick(&[8, 15, 30, 50]);
    let length = world.dice.between(1, longest);
    for _ in 0..length {
        world.wait();
        world.backup();
        world.meddle();
    }
    let World { mut dice, zone, step, store, order, .. } = world;
    let order: HashMap<&ArchiveName, usize> = order.iter().zip(0..).collect();
    let mut archives = store;
    archives.sort_by_key(|archive| order[&archive.name]);

    let newest = archives.iter().map(|archive| archive.created_at).max().unwrap();
    let now = match dice.between(1, 10) {
        1..=6 => newest + seconds(dice.between(0, 2 * step)),
        7 => newest + seconds(dice.between(0, 900 * DAY)),
        8 => newest - seconds(dice.between(0, 10 * step)),
        _ => dice.pick(&archives).created_at,
    };
    let made = archives.last().filter(|_| dice.chance(30)).map(|made| made.name.clone());
    let scene = scene(&mut dice, &archives, now, zone);
    let rotate = Decider::Rotate(reach(&mut dice));
    let cleanup = Decider::Cleanup(limits(&mut dice, step));
    History { seed, archives, scene, made, rotate, cleanup }
}

fn scene(dice: &mut Dice, archives: &[Snapshot], now: DateTime<Utc>, zone: Tz) -> Scene<'static> {
    let streams: BTreeSet<&Stream> =
        archives.iter().flat_map(|archive| &archive.databases).map(|brief| &brief.stream).collect();
    let some = |dice: &mut Dice, percent: u64| -> Vec<Stream> {
        streams.iter().filter(|_| dice.chance(percent)).map(|stream| (*stream).clone()).collect()
    };
    let plain = dice.chance(15);
    let condemned = dice.chance(15);
    let gone = if dice.chance(10) { some(dice, 50) } else { Vec::new() };
    Scene {
        scope: scope(dice, archives),
        sealed: if dice.chance(4) {
            some(dice, 30).into_iter().map(|stream| stream.set).collect()
        } else {
            BTreeSet::new()
        },
        youngest: dice.chance(8).then(|| TimeDelta::hours(24)),
        shrinks_off: if dice.chance(8) {
            some(dice, 50).into_iter().map(|stream| stream.set).collect()
        } else {
            BTreeSet::new()
        },
        plain: names(archives.iter().filter(|archive| plain && archive.is_plain() && dice.chance(70))),
        condemned: names(archives.iter().filter(|archive| condemned && archive.damaged && dice.chance(70))),
        gone: gone
            .into_iter()
            .map(|stream| (stream, dice.pick(&[GoneReach::KeepNewest, GoneReach::RemoveAll])))
            .collect::<BTreeMap<_, _>>(),
        ahead: dice.chance(2),
        ..Scene::new(now, zone)
    }
}

fn names<'a>(archives: impl Iterator<Item = &'a Snapshot>) -> BTreeSet<ArchiveName> {
    archives.map(|archive| archive.name.clone()).collect()
}

fn scope(dice: &mut Dice, archives: &[Snapshot]) -> Scope {
    let everything = Scope::everything();
    let one = dice.pick(archives);
    match dice.between(1, 10) {
        1..=5 => everything,
        6 => Scope { hosts: Some(vec![one.host]), ..everything },
        7 => Scope { hosts: Some(vec![one.host]), sets: Some(BTreeSet::from([one.set])), ..everything },
        8 => {
            let paths = one.databases.iter().filter(|_| dice.chance(70)).filter_map(|brief| brief.stream.path());
            Scope { hosts: Some(vec![one.host.clone()]), paths: Some(paths.map(str::to_owned).collect()), ..everything }
        }
        _ => Scope { streams: Some(one.databases.iter().map(|brief| brief.stream.clone()).collect()), ..everything },
    }
}

pub fn reach(dice: &mut Dice) -> Reach {
    let mut count = || if dice.chance(60) { 0 } else { dice.between(1, 3) as u32 };
    let reach =
        Reach { last: count(), hourly: count(), daily: count(), weekly: count(), monthly: count(), yearly: count() };
    if reach == Reach::default() { Reach { daily: 7, weekly: 4, monthly: 12, ..reach } } else { reach }
}

pub fn limits(dice: &mut Dice, step: u64) -> Limits {
    Limits {
        keep: dice.chance(50).then(|| dice.between(0, 5) as u32),
        max_age: dice.chance(50).then(|| Duration::from_secs(dice.between(0, 15 * step))),
        max_size: dice.chance(50).then(|| dice.between(0, 6000)),
    }
}
