//! Decides which archives stay. Never removes anything, and never looks at a clock or a file.
//!
//! `rotate` and `cleanup` with `--dry-run` print the [`Plan`]; without it they print the same plan and carry it out.
//! Rules and limits hold within a group: the archives of one set with the same databases.
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
//!   something is put before its end.
//!
//! The same holds for the [`Limits`] of `cleanup`, but for one case: with a total size, and a clock that was set back, a big
//! archive that is gone leaves room for an older one that was made later. Then cleaning up often keeps more, never less.
//!
//! What protects the data:
//!
//! - A policy that keeps nothing cannot be made ([`EmptyPolicy`]).
//! - The newest good archive of a group stays, whatever the rules say. Good is: not damaged, not a safety backup, not dated
//!   in the future. Where a group has only safety backups, the newest sound one of them.
//! - Pinned archives stay, and the rules do not see them: a pin neither takes a place nor stands for a period.
//! - Archives dated after `now` stay and take no place. A clock was wrong; nobody knows which.
//! - Damaged archives take no place: the newest of a period is its newest sound one. They stay until a newer good one exists.
//! - Safety backups have a rule of their own, the newest so many of a group. Here a damaged one may be the only picture of
//!   a database before it was replaced; damaged and sound ones are counted apart, so that neither drives the other out.

mod period;
mod reason;
mod simulate;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

pub use period::{Period, Rule};
pub use reason::Reason;
pub use simulate::{ImpossibleSchedule, Schedule, Simulation, simulate};

use crate::metadata::Kind;
use crate::names::{ArchiveName, Name};
use crate::snapshot::Snapshot;

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
    safety: u32,
}

impl Policy {
    /// Makes a policy; `safety` is how many safety backups of each group stay.
    pub fn new(reach: Reach, safety: u32) -> Result<Self, EmptyPolicy> {
        if Rule::ALL.iter().all(|rule| reach.of(*rule) == 0) { Err(EmptyPolicy) } else { Ok(Self { reach, safety }) }
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
    /// So many of the newest good archives of a group stay.
    pub keep: Option<u32>,
    /// Older ones go.
    pub max_age: Option<Duration>,
    /// The newest good archives that together take no more bytes than this stay; what the counts leave out (pinned ones,
    /// safety backups) takes nothing of it.
    pub max_size: Option<u64>,
    /// So many safety backups of each group stay; all of them where it is not set.
    pub safety: Option<u32>,
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
    /// It goes.
    Remove,
}

/// What happens to one archive, and every reason for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The archive.
    pub archive: ArchiveName,
    /// Its set.
    pub set: Name,
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
    /// One verdict for each archive.
    pub verdicts: Vec<Verdict>,
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

    /// Returns the plan for one set alone.
    pub fn of_set(&self, set: &Name) -> Plan {
        Plan { verdicts: self.verdicts.iter().filter(|verdict| verdict.set == *set).cloned().collect() }
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

impl Retention {
    /// Decides what stays. `zone` is where days, weeks, months and years begin and end.
    pub fn plan(&self, snapshots: &[Snapshot], now: DateTime<Utc>, zone: Tz) -> Plan {
        let mut order: Vec<&Snapshot> = snapshots.iter().collect();
        order.sort_by(|a, b| a.newest_first(b));
        let mut decisions: Vec<(Action, Vec<Reason>)> = vec![(Action::Keep, Vec::new()); order.len()];
        for group in groups(&order) {
            let items = group.iter().map(|&index| Item::new(order[index], now, zone)).collect();
            for (item, &index) in self.decide(items, now).into_iter().zip(&group) {
                decisions[index] = if item.keep.is_empty() { (Action::Remove, item.remove) } else { (Action::Keep, item.keep) };
            }
        }
        let verdicts = order.into_iter().zip(decisions).map(|(snapshot, (action, reasons))| Verdict {
            archive: snapshot.name.clone(),
            set: snapshot.set.clone(),
            kind: snapshot.kind,
            created_at: snapshot.created_at,
            bytes: snapshot.bytes,
            damaged: snapshot.damaged,
            action,
            reasons,
        });
        Plan { verdicts: verdicts.collect() }
    }

    /// Fills in the reasons of one group, newest first. An archive goes exactly when nothing keeps it.
    fn decide<'a>(&self, mut items: Vec<Item<'a>>, now: DateTime<Utc>) -> Vec<Item<'a>> {
        match self {
            Retention::Rotate(policy) => {
                for rule in Rule::ALL {
                    walk(rule, policy.reach.of(rule), &mut items);
                }
            }
            Retention::Cleanup(limits) => limit(limits, &mut items, now),
        }
        let safety = match self {
            Retention::Rotate(policy) => Some(policy.safety),
            Retention::Cleanup(limits) => limits.safety,
        };
        for damaged in [false, true] {
            keep_safety(safety, items.iter_mut().filter(|item| item.class == Class::Safety && item.snapshot.damaged == damaged));
        }
        keep_damaged(self, &mut items, now);
        protect(&mut items);
        items
    }
}

/// Returns the groups as positions in `order`: what [`Snapshot::same_group`] says, for ten thousand archives at once.
fn groups(order: &[&Snapshot]) -> Vec<Vec<usize>> {
    let mut by_key: HashMap<(&Name, Vec<&Name>), Vec<usize>> = HashMap::new();
    for (index, snapshot) in order.iter().enumerate() {
        let mut databases: Vec<&Name> = snapshot.databases.iter().map(|database| &database.name).collect();
        databases.sort();
        by_key.entry((&snapshot.set, databases)).or_default().push(index);
    }
    by_key.into_values().collect()
}

/// How an archive takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The rules and limits decide.
    Counted,
    /// Its own rule decides.
    Safety,
    /// It has no place, and goes once a newer good one exists.
    Damaged,
    /// It stays, and no rule sees it.
    Apart,
}

/// An archive while its verdict is made.
struct Item<'a> {
    snapshot: &'a Snapshot,
    class: Class,
    local: DateTime<Tz>,
    future: bool,
    keep: Vec<Reason>,
    remove: Vec<Reason>,
}

impl<'a> Item<'a> {
    fn new(snapshot: &'a Snapshot, now: DateTime<Utc>, zone: Tz) -> Self {
        let future = snapshot.created_at > now;
        let class = if snapshot.pinned || future {
            Class::Apart
        } else if snapshot.kind == Kind::Safety {
            Class::Safety
        } else if snapshot.damaged {
            Class::Damaged
        } else {
            Class::Counted
        };
        let mut keep = Vec::new();
        if snapshot.pinned {
            keep.push(Reason::Pinned);
        }
        if future {
            keep.push(Reason::Future);
        }
        Self { snapshot, class, local: snapshot.created_at.with_timezone(&zone), future, keep, remove: Vec::new() }
    }

    fn is_sound(&self) -> bool {
        !self.snapshot.damaged && !self.future
    }

    fn is_good(&self) -> bool {
        self.is_sound() && self.snapshot.kind != Kind::Safety
    }
}

/// Lets one rule of a rotation keep what it wants.
fn walk(rule: Rule, count: u32, items: &mut [Item<'_>]) {
    if count == 0 {
        return;
    }
    let mut seen = HashSet::new();
    let mut counted = 0;
    for item in items.iter_mut().filter(|item| item.class == Class::Counted) {
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
fn limit(limits: &Limits, items: &mut [Item<'_>], now: DateTime<Utc>) {
    let mut rank: u32 = 0;
    let mut bytes: u64 = 0;
    for item in items.iter_mut().filter(|item| item.class == Class::Counted) {
        rank = rank.saturating_add(1);
        bytes = bytes.saturating_add(item.snapshot.bytes);
        let mut keep = Vec::new();
        if let Some(of) = limits.keep {
            if rank <= of { keep.push(Reason::WithinCount { rank, of }) } else { item.remove.push(Reason::BeyondCount(of)) }
        }
        if let Some(age) = limits.max_age {
            let reason = judge_age(item.snapshot, age, now);
            if matches!(reason, Reason::WithinAge(_)) { keep.push(reason) } else { item.remove.push(reason) }
        }
        if let Some(most) = limits.max_size {
            if bytes <= most { keep.push(Reason::WithinSize(most)) } else { item.remove.push(Reason::BeyondSize(most)) }
        }
        if item.remove.is_empty() {
            item.keep = if keep.is_empty() { vec![Reason::NoLimit] } else { keep };
        }
    }
}

fn judge_age(snapshot: &Snapshot, most: Duration, now: DateTime<Utc>) -> Reason {
    // An age limit beyond what the calendar can express is none.
    let most_delta = TimeDelta::from_std(most).unwrap_or(TimeDelta::MAX);
    if now - snapshot.created_at <= most_delta { Reason::WithinAge(most) } else { Reason::OlderThan(most) }
}

/// Keeps the newest `count` of these safety backups.
fn keep_safety<'i, 'a: 'i>(count: Option<u32>, items: impl Iterator<Item = &'i mut Item<'a>>) {
    for (rank, item) in (1..).zip(items) {
        match count {
            None => item.keep.push(Reason::SafetyUncounted),
            Some(of) if rank <= of => item.keep.push(Reason::Safety { rank, of }),
            Some(of) => item.remove.push(Reason::BeyondSafety(of)),
        }
    }
}

/// Keeps damaged archives until a newer good one exists, and where no rule hands out places that they could not take.
fn keep_damaged(retention: &Retention, items: &mut [Item<'_>], now: DateTime<Utc>) {
    let mut newer_good = false;
    for item in items {
        if item.snapshot.damaged && item.class != Class::Apart {
            if !newer_good {
                item.keep.push(Reason::DamagedButNewest);
            } else if item.class == Class::Damaged {
                match retention {
                    Retention::Cleanup(Limits { keep: None, max_size: None, max_age, .. }) => match max_age {
                        None => item.keep.push(Reason::NoLimit),
                        Some(age) => match judge_age(item.snapshot, *age, now) {
                            reason @ Reason::WithinAge(_) => item.keep.push(reason),
                            reason => item.remove.extend([Reason::Damaged, reason]),
                        },
                    },
                    _ => item.remove.push(Reason::Damaged),
                }
            }
        }
        newer_good |= item.is_good();
    }
}

/// Keeps the newest good archive, whatever was decided before; comes last, so that it takes no place from another.
fn protect(items: &mut [Item<'_>]) {
    let newest = items.iter().position(Item::is_good).or_else(|| items.iter().position(Item::is_sound));
    if let Some(newest) = newest {
        items[newest].keep.insert(0, Reason::NewestGood);
    }
}
