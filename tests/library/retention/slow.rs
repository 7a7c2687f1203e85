//! The second implementation: no sorting, no walks, no state between rules except which archives are kept. Every
//! sentence of the contract is a question about all other archives.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;
use heirloom::metadata::{Extent, Kind};
use heirloom::names::ArchiveId;
use heirloom::retention::{GoneReach, Limits, Scene, Scope};
use heirloom::snapshot::{Brief, Snapshot};
use heirloom::streams::{Place, Stream};

use super::histories::{Decider, RULES, reach_of};

pub fn newer(a: &Snapshot, b: &Snapshot) -> bool {
    a.created_at > b.created_at || a.created_at == b.created_at && a.name < b.name
}

pub fn same(a: &Snapshot, b: &Snapshot) -> bool {
    a.name == b.name || a.id.is_some() && a.id == b.id
}

/// All archives, with precomputed facts about copies.
pub struct Store<'a> {
    pub all: &'a [Snapshot],
    /// The ids that have several names. Most archives have no copy, and this is looked up very often.
    copied: Vec<ArchiveId>,
}

impl<'a> Store<'a> {
    pub fn new(all: &'a [Snapshot]) -> Self {
        let has_copy = |id: &ArchiveId| all.iter().filter(|other| other.id == Some(*id)).count() > 1;
        Self { all, copied: all.iter().filter_map(|archive| archive.id).filter(has_copy).collect() }
    }

    pub fn copies(&self, archive: &'a Snapshot) -> impl Iterator<Item = &'a Snapshot> {
        let is_copied = archive.id.is_some_and(|id| self.copied.contains(&id));
        let among = if is_copied { self.all } else { std::slice::from_ref(archive) };
        among.iter().filter(move |other| same(other, archive))
    }

    pub fn pinned(&self, archive: &'a Snapshot) -> bool {
        self.copies(archive).any(|copy| copy.pinned)
    }

    pub fn held(&self, archive: &'a Snapshot) -> bool {
        self.copies(archive).any(|copy| copy.held)
    }

    pub fn damaged(&self, archive: &'a Snapshot) -> bool {
        self.copies(archive).all(|copy| copy.damaged)
    }

    fn accepted(&self, archive: &'a Snapshot) -> bool {
        self.copies(archive).any(|copy| copy.accepted)
    }

    /// Returns whether it represents all of its copies.
    pub fn is_first(&self, archive: &'a Snapshot) -> bool {
        !self.copies(archive).any(|copy| copy.name < archive.name)
    }

    /// Returns the copy that represents all.
    pub fn first(&self, archive: &'a Snapshot) -> &'a Snapshot {
        self.copies(archive).find(|copy| self.is_first(copy)).unwrap()
    }

    /// Returns whether it can be restored without being named.
    pub fn good(&self, archive: &'a Snapshot, now: DateTime<Utc>) -> bool {
        !self.damaged(archive) && archive.kind != Kind::Safety && archive.created_at <= now
    }
}

pub fn brief<'a>(archive: &'a Snapshot, stream: &Stream) -> Option<&'a Brief> {
    archive.databases.iter().find(|brief| brief.stream == *stream)
}

/// Returns whether a plan decides about a stream.
pub fn covers(scope: &Scope, stream: &Stream) -> bool {
    let host = match &scope.hosts {
        Some(hosts) => hosts.contains(&stream.host),
        None => true,
    };
    let set = scope.sets.iter().all(|sets| sets.iter().any(|set| *set == stream.set));
    let path = scope.paths.iter().all(|paths| paths.iter().any(|path| stream.place == Place::Path(path.clone())));
    let named = scope.streams.iter().all(|streams| streams.iter().any(|one| one == stream));
    host && set && path && named
}

/// Returns the names of the removed archives.
pub fn removed(all: &[Snapshot], decider: &Decider, scene: &Scene<'_>) -> BTreeSet<String> {
    let store = Store::new(all);
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    let mut shrinks: BTreeSet<&str> = BTreeSet::new();
    let streams: BTreeSet<&Stream> =
        all.iter().flat_map(|archive| &archive.databases).map(|brief| &brief.stream).collect();
    for stream in streams {
        for plain in [false, true].into_iter().filter(|plain| !plain || !scene.plain.is_empty()) {
            let line = Line::new(&store, stream, plain, scene);
            needed.extend(
                line.archives
                    .iter()
                    .filter(|archive| line.needs(archive, decider))
                    .map(|archive| archive.name.as_str()),
            );
            let is_shrink = |archive: &&&Snapshot| {
                line.open.iter().any(|open| same(open, archive)) || line.is_recent_recovery(archive)
            };
            shrinks.extend(line.archives.iter().filter(is_shrink).map(|archive| archive.name.as_str()));
        }
    }
    let is_removed = |archive: &&Snapshot| {
        let copies = || store.copies(archive);
        let covered = archive.databases.iter().filter(|brief| covers(&scene.scope, &brief.stream)).count();
        let said = |names: &BTreeSet<&str>| copies().any(|copy| names.contains(copy.name.as_str()));
        let all_gone =
            archive.databases.iter().all(|brief| scene.gone.get(&brief.stream) == Some(&GoneReach::RemoveAll));
        let stays = archive.is_plain() && !scene.plain.contains(&archive.name)
            || covered < archive.databases.len()
            || store.pinned(archive)
            || store.held(archive)
            || archive.created_at > scene.now
            || copies().any(|copy| scene.made == Some(&copy.name))
            || scene.sealed.contains(&archive.set)
            || scene.youngest.is_some_and(|youngest| scene.now - archive.created_at < youngest)
            || scene.ahead;
        let condemned = copies().all(|copy| scene.condemned.contains(&copy.name)) && !said(&shrinks);
        // A damaged name of an archive that is good under another one.
        let repaired = scene.condemned.contains(&archive.name)
            && copies().any(|copy| !copy.damaged && !scene.condemned.contains(&copy.name));
        !stays && (condemned || repaired || !said(&needed) && (archive.kind != Kind::Safety || all_gone))
    };
    all.iter().filter(is_removed).map(|archive| archive.name.as_str().to_owned()).collect()
}

/// The archives of one stream that rules and floors consider, in no order.
pub struct Line<'a> {
    store: &'a Store<'a>,
    stream: &'a Stream,
    archives: Vec<&'a Snapshot>,
    scene: &'a Scene<'a>,
    /// The shrinks that were not accepted and not recovered from.
    pub open: Vec<&'a Snapshot>,
}

impl<'a> Line<'a> {
    pub fn new(store: &'a Store<'a>, stream: &'a Stream, plain: bool, scene: &'a Scene<'a>) -> Self {
        let counts = |archive: &&Snapshot| {
            archive.is_plain() == plain
                && (!plain || scene.plain.contains(&archive.name))
                && archive.kind != Kind::Safety
                && archive.created_at <= scene.now
                && brief(archive, stream).is_some()
                && store.is_first(archive)
        };
        let mut line =
            Self { store, stream, archives: store.all.iter().filter(counts).collect(), scene, open: Vec::new() };
        // Newest first, because archives after an open shrink do not matter for those before it.
        let mut left: Vec<&Snapshot> =
            line.archives.iter().copied().filter(|archive| line.lost(archive).is_some()).collect();
        while !left.is_empty() {
            let newest = (0..left.len()).find(|&this| !left.iter().any(|other| newer(other, left[this]))).unwrap();
            let shrink = left.swap_remove(newest);
            if !line.is_accepted(shrink) && !line.came_back(shrink) {
                line.open.push(shrink);
            }
        }
        line
    }

    fn brief(&self, archive: &'a Snapshot) -> &'a Brief {
        brief(archive, self.stream).unwrap()
    }

    /// The extent of which an archive lost more than half.
    fn lost(&self, archive: &'a Snapshot) -> Option<Extent> {
        let (before, bytes) = (self.brief(archive).previous?, self.brief(archive).bytes?);
        let worth_watching = before.rows.is_some_and(|rows| rows >= 1000) || before.bytes >= 1 << 20;
        let half = half_again(Extent { rows: self.brief(archive).rows, bytes }, before);
        (worth_watching && !half && !self.scene.shrinks_off.contains(&self.stream.set)).then_some(before)
    }

    fn is_accepted(&self, shrink: &Snapshot) -> bool {
        self.archives.iter().any(|other| !newer(shrink, other) && self.store.accepted(other))
    }

    fn came_back(&self, shrink: &'a Snapshot) -> bool {
        let before = self.lost(shrink).unwrap();
        let alone = |later: &&&Snapshot| !self.open.iter().any(|open| newer(open, shrink) && !newer(open, later));
        self.archives.iter().filter(|later| newer(later, shrink) && !self.store.damaged(later)).filter(alone).any(
            |later| {
                let brief = self.brief(later);
                brief.bytes.is_some_and(|bytes| half_again(Extent { rows: brief.rows, bytes }, before))
                    || self.lost(later).is_none() && brief.previous.is_some_and(|previous| half_again(previous, before))
            },
        )
    }

    fn is_recent_recovery(&self, shrink: &'a Snapshot) -> bool {
        let young = self.as_of(shrink) - shrink.created_at < TimeDelta::days(30);
        young && self.lost(shrink).is_some() && !self.is_accepted(shrink) && self.came_back(shrink)
    }

    /// The current time, or for archives from before an open shrink the time of that shrink.
    fn as_of(&self, archive: &Snapshot) -> DateTime<Utc> {
        let later = self.open.iter().filter(|shrink| newer(shrink, archive));
        later.map(|shrink| shrink.created_at).min().unwrap_or(self.scene.now)
    }

    fn needs(&self, archive: &'a Snapshot, decider: &Decider) -> bool {
        let open = &self.open;
        // A damaged archive is judged as if all were good, a good one as if there were no damaged ones.
        let with_damaged = self.store.damaged(archive);
        let world: Vec<&Snapshot> =
            self.archives.iter().copied().filter(|other| with_damaged || !self.store.damaged(other)).collect();
        // Whether an open shrink is between them: the archives before it, and the shrink with those after it, are
        // judged separately.
        let apart = |a: &Snapshot, b: &Snapshot| {
            open.iter().any(|shrink| !newer(shrink, a) && newer(shrink, b) || !newer(shrink, b) && newer(shrink, a))
        };
        let peers: Vec<&Snapshot> = world.iter().copied().filter(|other| !apart(archive, other)).collect();
        let now = self.as_of(archive);

        let is_newest = !peers.iter().any(|other| newer(other, archive));
        let in_recovery = |archive: &'a Snapshot| {
            self.is_recent_recovery(archive)
                || self.archives.iter().any(|shrink| {
                    newer(shrink, archive)
                        && self.is_recent_recovery(shrink)
                        && !world.iter().any(|between| newer(shrink, between) && newer(between, archive))
                })
        };
        let by_shrink = open.iter().any(|shrink| same(shrink, archive)) || in_recovery(archive);
        if let Some(reach) = self.scene.gone.get(self.stream) {
            return by_shrink || is_newest && (*reach == GoneReach::KeepNewest || !open.is_empty());
        }
        let counted: Vec<&Snapshot> = peers.iter().copied().filter(|other| !self.store.pinned(other)).collect();
        let by_rules = counted.iter().any(|other| same(other, archive))
            && match decider {
                Decider::Rotate(reach) => {
                    rotated(&counted, |rule| reach_of(reach, rule), self.scene.zone).contains(archive.name.as_str())
                }
                Decider::Cleanup(limits) => within(archive, &counted, limits, now),
            };
        // Separately as of each later open shrink, and as of now.
        let by_file = open.iter().filter(|shrink| newer(shrink, archive)).any(|shrink| {
            let before = self.archives.iter().filter(|other| newer(shrink, other)).copied().collect();
            self.is_of_another_file(archive, before, shrink.created_at)
        });
        is_newest
            || by_shrink
            || by_rules
            || by_file
            || is_before_update(archive, &counted, now, self.scene.zone)
            || self.is_of_another_file(archive, self.archives.clone(), self.scene.now)
    }

    fn is_of_another_file(&self, archive: &'a Snapshot, among: Vec<&'a Snapshot>, now: DateTime<Utc>) -> bool {
        let newest = among.iter().find(|one| !among.iter().any(|other| newer(other, one))).unwrap();
        match (&self.brief(archive).file, &self.brief(newest).file) {
            (Some(file), Some(of_newest)) => file != of_newest && now - archive.created_at < TimeDelta::days(7),
            _ => false,
        }
    }
}

/// Returns whether an extent is at least half of an earlier one: in rows, or in bytes if the rows of one are unknown.
fn half_again(extent: Extent, before: Extent) -> bool {
    match (extent.rows, before.rows) {
        (Some(rows), Some(before)) => rows * 2 >= before,
        _ => extent.bytes * 2 >= before.bytes,
    }
}

fn is_before_update(archive: &Snapshot, counted: &[&Snapshot], now: DateTime<Utc>, zone: Tz) -> bool {
    let of_kind = || counted.iter().filter(|other| other.kind == Kind::PreUpdate);
    of_kind().any(|other| same(other, archive)) && in_a_burst(archive, of_kind().copied().collect(), 5, now, zone)
}

/// Returns whether it is one of the last few of these, or the first of an hour that overlaps the last 14 days.
pub fn in_a_burst(archive: &Snapshot, all: Vec<&Snapshot>, last: usize, now: DateTime<Utc>, zone: Tz) -> bool {
    let hour = |archive: &Snapshot| archive.created_at.with_timezone(&zone).format(RULES[1].1).to_string();
    let local = archive.created_at.with_timezone(&zone);
    let left_of_hour = TimeDelta::hours(1) - TimeDelta::seconds(i64::from(local.minute() * 60 + local.second()));
    let first_of_hour = !all.iter().any(|other| hour(other) == hour(archive) && newer(archive, other));
    all.iter().filter(|other| newer(other, archive)).count() < last
        || first_of_hour && now < archive.created_at + left_of_hour + TimeDelta::days(14)
}

fn rotated(counted: &[&Snapshot], count: impl Fn(&str) -> u32, zone: Tz) -> BTreeSet<String> {
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for (rule, format) in RULES.into_iter().filter(|(rule, _)| count(rule) > 0) {
        let key = |archive: &Snapshot| match rule {
            "last" => archive.name.as_str().to_owned(),
            _ => archive.created_at.with_timezone(&zone).format(format).to_string(),
        };
        let candidates: Vec<(&Snapshot, String)> = counted.iter().map(|archive| (*archive, key(archive))).collect();
        let mut firsts: Vec<&Snapshot> = candidates
            .iter()
            .filter(|(archive, key)| {
                !candidates.iter().any(|(other, other_key)| other_key == key && newer(other, archive))
            })
            .map(|(archive, _)| *archive)
            .collect();
        let mut left = count(rule);
        while left > 0 && !firsts.is_empty() {
            let newest =
                (0..firsts.len()).find(|&this| !firsts.iter().any(|other| newer(other, firsts[this]))).unwrap();
            let archive = firsts.swap_remove(newest);
            if kept.insert(archive.name.as_str().to_owned()) {
                left -= 1;
            }
        }
    }
    kept
}

fn within(archive: &Snapshot, counted: &[&Snapshot], limits: &Limits, now: DateTime<Utc>) -> bool {
    let young = limits.max_age.is_none_or(|age| now - archive.created_at <= TimeDelta::from_std(age).unwrap());
    let ahead: Vec<&&Snapshot> = counted.iter().filter(|other| newer(other, archive)).collect();
    let bytes: u64 = ahead.iter().map(|other| other.bytes).sum::<u64>() + archive.bytes;
    young
        && limits.keep.is_none_or(|keep| ahead.len() < keep as usize)
        && limits.max_size.is_none_or(|most| bytes <= most)
}
