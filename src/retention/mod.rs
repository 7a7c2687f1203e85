//! Decides which archives stay. Never removes anything, and never looks at a clock or a file.
//!
//! `rotate` and `cleanup` with `--dry-run` print the [`Plan`]; without it they print the same plan and carry it out.
//! Rules and limits run over each [`Stream`] by itself: the archives of one database. An archive stays if one of the
//! databases in it needs it.
//!
//! The rules of a [`Policy`] are applied in their order. Each walks the newest archive of each of its periods, newest
//! first. One that an earlier rule keeps stays and is not counted; the walk ends when it counted as many as the rule
//! says. So 7 daily, 4 weekly and 12 monthly are 23 archives and reach a year back, and these hold for every history
//! whose archives do not change after they were made (`tests/retention/` tries ten thousand):
//!
//! - What is kept stays kept when the same plan is made again.
//! - A longer reach never removes more.
//! - Rotating after every backup leaves what rotating once at the end leaves, as long as the clock of the last run is not
//!   behind an archive. A new archive never makes a rule want one that it did not want before: a walk gets no longer when
//!   something is inserted before its end.
//!
//! The same holds for the [`Limits`] of `cleanup`, except that with a total size, and a clock that was set back, a big
//! archive that is gone leaves room for an older one that was made later. Then cleaning up often keeps more, never less.
//!
//! What protects the data:
//!
//! - A policy that keeps nothing cannot be made ([`EmptyPolicy`]).
//! - Nothing outside the [`Scope`] is removed: other hosts' archives, other sets, databases of other tools.
//! - The newest good archive of a stream stays, whatever the rules say. Good is: not damaged, not a safety backup, not
//!   dated in the future.
//! - Pinned archives stay, and the rules do not see them: a pin neither takes a slot nor stands for a period.
//! - What this run made stays, and so does what a running guard, restore or copy holds.
//! - Archives dated after `now` stay and take no slot. A clock was wrong; nobody knows which.
//! - Damaged archives take no slot: the newest of a period is its newest sound one. They stay as long as the rules would
//!   keep them if all damaged ones were good, so that setting a mark never removes anything.
//! - No rule acts on safety backups; they are thinned out when one is made ([`superfluous_safety`]). Of those made before
//!   updates the newest and the first of every hour stay besides what the rules keep ([`kinds`]).
//! - Nothing from before an open shrink is lost to the archives after it ([`shrink`]).
//! - What was copied from another file than the newest archive of its stream stays for a week: two applications may share
//!   the stream and not know of each other.
//! - Archives with one id are copies of one archive: they take one slot and have one verdict.

mod kinds;
mod period;
mod reason;
mod scope;
mod shrink;
mod simulate;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub use kinds::superfluous_safety;
pub use period::{Period, Rule};
pub use reason::Reason;
pub use scope::{GoneReach, Scene, Scope};
pub use shrink::{Shrink, fell_from, most_since_shrink};
pub use simulate::{ImpossibleSchedule, Schedule, Simulation, simulate};

use walk::Item;

use crate::metadata::Kind;
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::snapshot::{Brief, Snapshot};
use crate::streams::Stream;

/// How many archives of the kind `pre-update` stay, whatever the rules say.
pub const LAST_PRE_UPDATE: u32 = 5;

/// How many archives each rule of a rotation keeps beyond those that the rules before it keep; 0 leaves a rule out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// The newest archives.
    pub last: u32,
    /// One an hour.
    pub hourly: u32,
    /// One a day.
    pub daily: u32,
    /// One an ISO week.
    pub weekly: u32,
    /// One a month.
    pub monthly: u32,
    /// One a year.
    pub yearly: u32,
}

impl Reach {
    /// Returns how many a rule keeps.
    pub fn of(&self, rule: Rule) -> u32 {
        match rule {
            Rule::Last => self.last,
            Rule::Hourly => self.hourly,
            Rule::Daily => self.daily,
            Rule::Weekly => self.weekly,
            Rule::Monthly => self.monthly,
            Rule::Yearly => self.yearly,
        }
    }
}

/// What `rotate` keeps. At least one rule keeps something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    reach: Reach,
}

impl Policy {
    /// Makes a policy, if any rule keeps something.
    pub fn new(reach: Reach) -> Result<Self, EmptyPolicy> {
        if Rule::ALL.iter().all(|rule| reach.of(*rule) == 0) { Err(EmptyPolicy) } else { Ok(Self { reach }) }
    }

    /// Returns how far its rules reach.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// A rotation without any rule: it would keep nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyPolicy;

impl fmt::Display for EmptyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the retention policy keeps nothing")
    }
}

impl std::error::Error for EmptyPolicy {}

/// What `cleanup` removes: whatever one of these says. Without any, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// This many of the newest good archives of a stream stay.
    pub keep: Option<u32>,
    /// Older ones are removed.
    pub max_age: Option<Duration>,
    /// The newest good archives of a stream that together take no more bytes than this stay; what the counts leave out
    /// (pinned ones, safety backups) takes nothing of it.
    pub max_size: Option<u64>,
}

/// What decides: the rules of `rotate`, or the limits of `cleanup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Grandfather, father, son.
    Rotate(Policy),
    /// Count, age and size.
    Cleanup(Limits),
}

/// What happens to an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
}

/// What happens to one archive, and every reason for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The archive.
    pub archive: ArchiveName,
    /// Its set.
    pub set: Name,
    /// The host label it was made under.
    pub host: HostLabel,
    /// The streams of its databases.
    pub streams: Vec<Stream>,
    /// Why it was made.
    pub kind: Kind,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The size of the file.
    pub bytes: u64,
    /// Whether it is marked as damaged.
    pub damaged: bool,
    /// Whether it stays.
    pub action: Action,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

/// All verdicts together, newest archive first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// One verdict for each archive in the scope.
    pub verdicts: Vec<Verdict>,
    /// How many archives lie outside the scope: other hosts' and other sets'.
    pub left_alone: usize,
    /// The shrinks that nobody accepted, newest first.
    pub open_shrinks: Vec<Shrink>,
}

impl Plan {
    /// Returns what stays, newest first.
    pub fn kept(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.action == Action::Keep)
    }

    /// Returns what goes, oldest first: in the order of removal, so that a run that is cut short has taken the least valuable.
    pub fn removed(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().rev().filter(|verdict| verdict.action == Action::Remove)
    }

    /// Returns the oldest archive to which one can go back afterwards: not damaged, no safety backup, not dated in the future.
    pub fn oldest(&self) -> Option<&Verdict> {
        let usable = |verdict: &&Verdict| !verdict.damaged && verdict.kind != Kind::Safety && !verdict.reasons.contains(&Reason::Future);
        self.kept().filter(usable).last()
    }

    /// Returns the verdicts of one stream alone.
    pub fn of_stream(&self, stream: &Stream) -> Plan {
        let verdicts = self.verdicts.iter().filter(|verdict| verdict.streams.contains(stream)).cloned();
        Plan { verdicts: verdicts.collect(), ..Plan::default() }
    }

    /// Returns all streams of the plan, in order.
    pub fn streams(&self) -> BTreeSet<&Stream> {
        self.verdicts.iter().flat_map(|verdict| &verdict.streams).collect()
    }

    /// Returns the oldest archive that a rule keeps: how far back this rule alone goes.
    pub fn reach_of(&self, rule: Rule) -> Option<&Verdict> {
        let by_rule = |reason: &Reason| match reason {
            Reason::Last { .. } => rule == Rule::Last,
            Reason::NewestOf(period) => rule == period.rule(),
            _ => false,
        };
        self.kept().filter(|verdict| verdict.reasons.iter().any(by_rule)).last()
    }
}

/// One archive, under all its names.
struct Unit<'a> {
    /// The copies, in the order of their names.
    names: Vec<&'a Snapshot>,
    pinned: bool,
    held: bool,
    damaged: bool,
    accepted: bool,
    future: bool,
    in_scope: bool,
    keep: Vec<Reason>,
    remove: Vec<Reason>,
}

impl<'a> Unit<'a> {
    fn snapshot(&self) -> &'a Snapshot {
        self.names[0]
    }

    /// Returns whether it can stand for its stream: what somebody would go back to.
    fn is_good(&self) -> bool {
        !self.damaged && !self.future && self.snapshot().kind != Kind::Safety
    }

    /// Returns whether rules and limits count it, if damage is left aside.
    fn is_counted(&self) -> bool {
        !self.pinned && !self.future && self.snapshot().kind != Kind::Safety
    }

    fn brief(&self, stream: &Stream) -> Option<&'a Brief> {
        self.snapshot().databases.iter().find(|brief| brief.stream == *stream)
    }
}

/// Collects the archives that a plan is about, newest first; copies of one archive are one.
fn units<'a>(snapshots: &'a [Snapshot], scene: &Scene<'_>) -> Vec<Unit<'a>> {
    let fits = |snapshot: &&Snapshot| !snapshot.is_plain() || scene.plain.contains(&snapshot.name);
    let mut order: Vec<&Snapshot> = snapshots.iter().filter(fits).collect();
    order.sort_by(|a, b| a.newest_first(b));
    let mut by_id: HashMap<ArchiveId, usize> = HashMap::new();
    let mut units: Vec<Unit<'a>> = Vec::new();
    for snapshot in order {
        let known = snapshot.id.and_then(|id| by_id.get(&id).copied());
        if let Some(index) = known {
            let unit = &mut units[index];
            unit.names.push(snapshot);
            unit.pinned |= snapshot.pinned;
            unit.held |= snapshot.held;
            unit.accepted |= snapshot.accepted;
            unit.damaged &= snapshot.damaged;
            continue;
        }
        if let Some(id) = snapshot.id {
            by_id.insert(id, units.len());
        }
        units.push(Unit {
            names: vec![snapshot],
            pinned: snapshot.pinned,
            held: snapshot.held,
            damaged: snapshot.damaged,
            accepted: snapshot.accepted,
            future: snapshot.created_at > scene.now,
            in_scope: snapshot.databases.iter().any(|brief| scene.scope.covers(&brief.stream)),
            keep: Vec::new(),
            remove: Vec::new(),
        });
    }
    units
}

impl Retention {
    /// Decides what stays.
    pub fn plan(&self, snapshots: &[Snapshot], scene: &Scene<'_>) -> Plan {
        let mut units = units(snapshots, scene);
        let mut by_stream: BTreeMap<&Stream, Vec<usize>> = BTreeMap::new();
        for (index, unit) in units.iter().enumerate() {
            for brief in &unit.snapshot().databases {
                let members = by_stream.entry(&brief.stream).or_default();
                if members.last() != Some(&index) {
                    members.push(index);
                }
            }
        }
        let mut open_shrinks = Vec::new();
        for (stream, members) in by_stream {
            let decided = self.decide(stream, &members, &units, scene, &mut open_shrinks);
            for (index, (keep, remove)) in members.into_iter().zip(decided) {
                add(&mut units[index].keep, keep);
                add(&mut units[index].remove, remove);
            }
        }
        for unit in &mut units {
            let floors = scene.floors(unit);
            unit.keep.splice(0..0, floors);
        }
        open_shrinks.sort_by(|a: &Shrink, b| b.created_at.cmp(&a.created_at).then_with(|| a.archive.cmp(&b.archive)));
        let mut plan = Plan { open_shrinks, ..Plan::default() };
        for unit in units {
            if !unit.in_scope {
                plan.left_alone += unit.names.len();
                continue;
            }
            let condemned = unit.names.iter().all(|copy| scene.condemned.contains(&copy.name));
            let (action, reasons) = match () {
                () if condemned && !scene.protects(&unit) => (Action::Remove, vec![Reason::StillDamaged]),
                () if unit.keep.is_empty() => (Action::Remove, unit.remove),
                () => (Action::Keep, unit.keep),
            };
            plan.verdicts.extend(unit.names.iter().map(|snapshot| Verdict {
                archive: snapshot.name.clone(),
                set: snapshot.set.clone(),
                host: snapshot.host.clone(),
                streams: snapshot.databases.iter().map(|brief| brief.stream.clone()).collect(),
                kind: snapshot.kind,
                created_at: snapshot.created_at,
                bytes: snapshot.bytes,
                damaged: snapshot.damaged,
                action,
                reasons: reasons.clone(),
            }));
        }
        plan.verdicts.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.archive.cmp(&b.archive)));
        plan
    }

    /// Decides about one stream. `members` are its archives, newest first. Returns the reasons of each.
    fn decide(
        &self,
        stream: &Stream,
        members: &[usize],
        units: &[Unit<'_>],
        scene: &Scene<'_>,
        open_shrinks: &mut Vec<Shrink>,
    ) -> Vec<Reasons> {
        if let Some(reach) = scene.gone.get(stream) {
            return gone(*reach, members, units);
        }
        let mut reasons: Vec<Reasons> = vec![Reasons::default(); members.len()];
        let candidates: Vec<shrink::Candidate<'_>> = members
            .iter()
            .filter_map(|&index| {
                let unit = &units[index];
                Some(shrink::Candidate { brief: unit.brief(stream)?, good: unit.is_good(), accepted: unit.accepted })
            })
            .collect();
        let shrinks = if scene.shrinks_off.contains(&stream.set) { Vec::new() } else { shrink::shrinks(&candidates) };
        let mut start = 0;
        let mut now = scene.now;
        for &(at, standing) in &shrinks {
            let unit = &units[members[at]];
            match standing {
                shrink::Standing::Open => {
                    // What came after it is judged alone, and what was before it alone, as of its time.
                    self.segment(stream, members, start..at + 1, units, now, scene.zone, &mut reasons);
                    (start, now) = (at + 1, unit.snapshot().created_at);
                    reasons[at].0.insert(0, Reason::OpenShrink);
                    open_shrinks.extend(shrink::describe(unit.snapshot(), candidates[at].brief));
                }
                shrink::Standing::Recovered if scene.now - unit.snapshot().created_at < shrink::REMEMBERED => {
                    reasons[at].0.push(Reason::RecentShrink);
                    if let Some(before) = (at + 1..members.len()).find(|&other| candidates[other].good) {
                        reasons[before].0.push(Reason::RecentShrink);
                    }
                }
                shrink::Standing::Recovered | shrink::Standing::Accepted => {}
            }
        }
        self.segment(stream, members, start..members.len(), units, now, scene.zone, &mut reasons);
        reasons
    }

    /// Applies rules and floors to some of the archives of a stream, as of `now`.
    #[expect(clippy::too_many_arguments, reason = "a part of `decide`, which holds all of these")]
    fn segment(
        &self,
        stream: &Stream,
        members: &[usize],
        range: std::ops::Range<usize>,
        units: &[Unit<'_>],
        now: DateTime<Utc>,
        zone: Tz,
        reasons: &mut [Reasons],
    ) {
        let with_damage = |damage: bool| {
            let fits = |&position: &usize| {
                let unit = &units[members[position]];
                !unit.future && unit.snapshot().kind != Kind::Safety && (damage || !unit.damaged)
            };
            let item = |position: usize| Item::new(position, &units[members[position]], stream, zone);
            self.walk_all(range.clone().filter(fits).map(item).collect(), now, zone)
        };
        for item in with_damage(false) {
            add(&mut reasons[item.position].0, item.keep);
            add(&mut reasons[item.position].1, item.remove);
        }
        if !range.clone().any(|position| units[members[position]].damaged) {
            return;
        }
        for item in with_damage(true).into_iter().filter(|item| units[members[item.position]].damaged) {
            let (keep, remove) = &mut reasons[item.position];
            if item.keep.is_empty() { add(remove, vec![Reason::Damaged]) } else { add(keep, vec![Reason::DamagedInReach]) }
        }
    }

    /// Fills in the reasons of the archives of a segment, newest first.
    fn walk_all<'a>(&self, mut items: Vec<Item<'a>>, now: DateTime<Utc>, zone: Tz) -> Vec<Item<'a>> {
        match self {
            Retention::Rotate(policy) => {
                for rule in Rule::ALL {
                    walk::walk(rule, policy.reach.of(rule), &mut items);
                }
            }
            Retention::Cleanup(limits) => walk::limit(limits, &mut items, now),
        }
        walk::keep_pre_update(&mut items, now, zone);
        walk::keep_other_files(&mut items, now);
        if let Some(newest) = items.first_mut() {
            newest.keep.insert(0, Reason::NewestGood);
        }
        items
    }
}

/// The reasons to keep an archive, and those to remove it.
type Reasons = (Vec<Reason>, Vec<Reason>);

/// Adds reasons that are not there yet.
fn add(reasons: &mut Vec<Reason>, more: Vec<Reason>) {
    for reason in more {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}

/// Decides about a stream whose database is gone for long.
fn gone(reach: GoneReach, members: &[usize], units: &[Unit<'_>]) -> Vec<Reasons> {
    let newest = members.iter().position(|&index| units[index].is_good()).unwrap_or(0);
    let reasons = |position| match reach {
        GoneReach::KeepNewest if position == newest => (vec![Reason::NewestGood], Vec::new()),
        GoneReach::KeepNewest | GoneReach::RemoveAll => (Vec::new(), vec![Reason::Gone]),
    };
    (0..members.len()).map(reasons).collect()
}
