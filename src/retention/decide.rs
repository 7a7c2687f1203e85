//! Decides what to keep: each archive as seen by each of its streams, then as a whole.
//!
//! If archives are damaged, rules and floors run twice: over the good ones, which decides about these, and over all,
//! which decides about the damaged ones. Shrinks start at the same archives in both runs, and the damaged ones count
//! for them. So marking an archive as damaged frees slots and opens shrinks, but never takes a slot nor closes a
//! shrink.
//!
//! Plain archives in a store whose archives are encrypted can have been put there by anybody. The encrypted ones are
//! decided without them; then the plain ones are decided among all. So they age out, and never take the slot of an
//! encrypted one. Encrypted archives for which nothing but a label speaks are not decided about at all: see
//! `ops/labelled.rs`.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::member::{Member, Reasons};
use super::scope::Coverage;
use super::shrink::{self, Standing};
use super::unit::{Unit, units};
use super::walk::{self, Item};
use super::{Action, GoneReach, Plan, Reason, Retention, Rule, Scene, Shrink, Verdict};
use crate::snapshot::Snapshot;
use crate::streams::Stream;

impl Retention {
    /// Decides which archives to keep.
    pub fn plan(&self, snapshots: &[Snapshot], scene: &Scene<'_>) -> Plan {
        let judged = snapshots.iter().filter(|snapshot| !snapshot.is_plain() || scene.plain.contains(&snapshot.name));
        let (closed, judged): (Vec<&Snapshot>, Vec<&Snapshot>) = judged.partition(|snapshot| snapshot.is_closed());
        let units = units(judged.into_iter(), scene.now);
        let mut reasons = vec![Reasons::default(); units.len()];
        let mut plan = Plan::default();
        for (stream, members) in by_stream(&units) {
            let line = Line {
                retention: self,
                gone: scene.gone.get(stream).copied(),
                watches_shrinks: !scene.shrinks_off.contains(&stream.set),
                now: scene.now,
                zone: scene.zone,
            };
            let mut enter = |members: &[Member<'_>], counts: &dyn Fn(&Member<'_>) -> bool| {
                let (decided, open) = line.decide(members);
                if scene.scope.covers(stream) {
                    let of_counted = |shrink: &Shrink| {
                        members.iter().any(|one| one.unit.snapshot().name == shrink.archive && counts(one))
                    };
                    plan.open_shrinks.extend(open.into_iter().filter(of_counted));
                }
                for (member, decided) in members.iter().zip(decided).filter(|(member, _)| counts(member)) {
                    reasons[member.index].merge(decided);
                }
            };
            if members.iter().any(|member| member.unit.exposed) {
                enter(&members, &|member| member.unit.exposed);
                let sealed: Vec<Member<'_>> = members.iter().filter(|member| !member.unit.exposed).copied().collect();
                enter(&sealed, &|_| true);
            } else {
                enter(&members, &|_| true);
            }
        }
        plan.open_shrinks
            .sort_by(|a: &Shrink, b| b.created_at.cmp(&a.created_at).then_with(|| a.archive.cmp(&b.archive)));
        for (unit, reasons) in units.iter().zip(reasons) {
            if scene.scope.coverage(unit.snapshot()) == Coverage::Nothing {
                plan.left_alone += unit.names.len();
                continue;
            }
            let (action, reasons) = judge(unit, reasons, scene);
            plan.verdicts.extend(unit.names.iter().map(|snapshot| match is_worthless(snapshot, unit, scene) {
                true => verdict(snapshot, Action::Remove, &[Reason::StillDamaged]),
                false => verdict(snapshot, action, &reasons),
            }));
        }
        for snapshot in closed {
            if scene.scope.coverage(snapshot) == Coverage::Nothing {
                plan.left_alone += 1;
            } else {
                plan.verdicts.push(verdict(snapshot, Action::Keep, &[Reason::Unproved]));
            }
        }
        plan.verdicts.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.archive.cmp(&b.archive)));
        plan
    }
}

/// Returns whether a name holds a damaged copy of an archive that is good under another name: a repaired one. Whatever
/// wants the archive has the good one.
fn is_worthless(snapshot: &Snapshot, unit: &Unit<'_>, scene: &Scene<'_>) -> bool {
    let is_condemned = |copy: &Snapshot| scene.condemned.contains(&copy.name);
    is_condemned(snapshot)
        && scene.protections(unit).is_empty()
        && unit.names.iter().any(|copy| !copy.damaged && !is_condemned(copy))
}

/// Decides about one archive, given the reasons of its streams.
fn judge(unit: &Unit<'_>, mut reasons: Reasons, scene: &Scene<'_>) -> (Action, Vec<Reason>) {
    let protections = scene.protections(unit);
    let condemned = unit.names.iter().all(|copy| scene.condemned.contains(&copy.name));
    // Removing a shrink would unprotect the archives from before it.
    let is_shrink = [Reason::OpenShrink, Reason::RecentShrink].iter().any(|reason| reasons.keep.contains(reason));
    if condemned && protections.is_empty() && !is_shrink {
        return (Action::Remove, vec![Reason::StillDamaged]);
    }
    reasons.keep.splice(0..0, protections.into_iter().chain(scene.safety(unit)));
    if !reasons.keep.is_empty() {
        return (Action::Keep, reasons.keep);
    }
    // No walk sees safety backups, so this is the only reason to remove one.
    if reasons.remove.is_empty() {
        reasons.remove.push(Reason::Gone);
    }
    (Action::Remove, reasons.remove)
}

fn verdict(snapshot: &Snapshot, action: Action, reasons: &[Reason]) -> Verdict {
    Verdict {
        archive: snapshot.name.clone(),
        set: snapshot.set.clone(),
        host: snapshot.host.clone(),
        streams: snapshot.databases.iter().map(|brief| brief.stream.clone()).collect(),
        kind: snapshot.kind,
        created_at: snapshot.created_at,
        bytes: snapshot.bytes,
        damaged: snapshot.damaged,
        action,
        reasons: reasons.to_vec(),
    }
}

/// Returns the eligible archives of each stream, newest first. Databases of other tools take no slots of archives, so
/// they form separate streams.
fn by_stream<'a>(units: &'a [Unit<'a>]) -> impl Iterator<Item = (&'a Stream, Vec<Member<'a>>)> {
    let mut found: BTreeMap<(&Stream, bool), Vec<Member<'_>>> = BTreeMap::new();
    for (index, unit) in units.iter().enumerate().filter(|(_, unit)| unit.is_eligible()) {
        for brief in &unit.snapshot().databases {
            let members = found.entry((&brief.stream, unit.snapshot().is_plain())).or_default();
            if members.last().is_none_or(|last| last.index != index) {
                members.push(Member { index, unit, brief });
            }
        }
    }
    found.into_iter().map(|((stream, _), members)| (stream, members))
}

/// What decides about the archives of one stream.
struct Line<'a> {
    retention: &'a Retention,
    /// What to keep, if its database no longer exists and the removal was requested.
    gone: Option<GoneReach>,
    watches_shrinks: bool,
    now: DateTime<Utc>,
    zone: Tz,
}

/// Archives of a stream to which rules and floors apply separately, as of `now`.
struct Segment {
    range: Range<usize>,
    now: DateTime<Utc>,
}

impl Line<'_> {
    /// Returns the reasons of each archive, and the open shrinks.
    fn decide(&self, members: &[Member<'_>]) -> (Vec<Reasons>, Vec<Shrink>) {
        let shrinks = if self.watches_shrinks { shrink::shrinks(members) } else { Vec::new() };
        let open = || shrinks.iter().filter(|(_, standing)| *standing == Standing::Open).map(|(at, _)| *at);
        let mut segments = Vec::new();
        let (mut start, mut now) = (0, self.now);
        for at in open() {
            // The archives after it are judged separately, and so are those before it, as of its time.
            segments.push(Segment { range: start..at + 1, now });
            (start, now) = (at + 1, members[at].unit.snapshot().created_at);
        }
        if start < members.len() {
            segments.push(Segment { range: start..members.len(), now });
        }

        let mut reasons = self.walks(members, &segments, &shrinks, false);
        if members.iter().any(|member| member.unit.damaged) {
            let with_damaged = self.walks(members, &segments, &shrinks, true);
            for ((own, all), member) in reasons.iter_mut().zip(with_damaged).zip(members) {
                if member.unit.damaged {
                    *own = self.of_damaged(all);
                }
            }
        }
        (reasons, open().filter_map(|at| shrink::describe(&members[at])).collect())
    }

    /// Collects the results of rules, floors and shrinks, with or without the damaged archives.
    fn walks(
        &self,
        members: &[Member<'_>],
        segments: &[Segment],
        shrinks: &[(usize, Standing)],
        damaged: bool,
    ) -> Vec<Reasons> {
        let counts = |member: &Member<'_>| damaged || !member.unit.damaged;
        let mut reasons = vec![Reasons::default(); members.len()];
        // If a shrink is open, the newest archive before it and the newest after it are always kept.
        let keeps_nothing =
            self.gone == Some(GoneReach::RemoveAll) && shrinks.iter().all(|(_, standing)| *standing != Standing::Open);
        for (number, segment) in segments.iter().enumerate() {
            let positions = segment.range.clone().filter(|position| counts(&members[*position]));
            let mut items: Vec<Item<'_>> =
                positions.map(|position| Item::new(position, &members[position], self.zone)).collect();
            if self.gone.is_some() {
                for item in &mut items {
                    item.reasons.remove.push(Reason::Gone);
                }
            } else {
                self.apply(&mut items, segment.now);
                // The files of later segments count, too: one of them may be the one that shrank.
                for later in &segments[..=number] {
                    walk::keep_other_files(&mut items, members[later.range.start].brief, later.now);
                }
            }
            if let Some(newest) = items.first_mut().filter(|_| !keeps_nothing) {
                newest.reasons.keep.insert(0, Reason::NewestGood);
            }
            for item in items {
                reasons[item.position] = item.reasons;
            }
        }
        for &(at, standing) in shrinks {
            let segment = segments.iter().find(|segment| segment.range.contains(&at));
            let now = segment.map_or(self.now, |segment| segment.now);
            match standing {
                Standing::Open => reasons[at].keep.insert(0, Reason::OpenShrink),
                Standing::Recovered if now - members[at].unit.snapshot().created_at < shrink::REMEMBERED => {
                    reasons[at].keep(Reason::RecentShrink);
                    if let Some(before) = (at + 1..members.len()).find(|position| counts(&members[*position])) {
                        reasons[before].keep(Reason::BeforeShrink);
                    }
                }
                Standing::Recovered | Standing::Accepted => {}
            }
        }
        reasons
    }

    /// Applies rules or limits, and keeps archives made before updates.
    fn apply(&self, items: &mut [Item<'_>], now: DateTime<Utc>) {
        match self.retention {
            Retention::Rotate(policy) => {
                for rule in Rule::ALL {
                    walk::walk(rule, policy.reach().of(rule), items);
                }
            }
            Retention::Cleanup(limits) => walk::limit(limits, items, now),
        }
        walk::keep_pre_update(items, now, self.zone);
    }

    /// Converts the reasons that a damaged archive would have if it were good.
    fn of_damaged(&self, reasons: Reasons) -> Reasons {
        let mut keep = reasons.keep;
        let is_kept = !keep.is_empty();
        keep.retain(|reason| matches!(reason, Reason::OpenShrink | Reason::RecentShrink));
        if is_kept && keep.is_empty() {
            keep.push(Reason::DamagedInReach);
        }
        let remove = if self.gone.is_some() { Reason::Gone } else { Reason::Damaged };
        Reasons { keep, remove: vec![remove] }
    }
}
