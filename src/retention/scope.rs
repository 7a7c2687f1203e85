//! What a plan has to know besides the archives, and whose archives it may touch.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Reason;
use super::unit::Unit;
use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::snapshot::Snapshot;
use crate::streams::Stream;

/// Whose archives a plan may remove: those of which every database lies in the scope.
///
/// Archives without any database in it are counted and left alone. Those with some stay: the policy was not given for
/// the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Only streams of these hosts; of all if `None`.
    pub hosts: Option<Vec<HostLabel>>,
    /// Only streams of these sets; of all if `None`.
    pub sets: Option<BTreeSet<Name>>,
    /// Only streams at these resolved paths; at all if `None`.
    pub paths: Option<BTreeSet<String>>,
    /// Only these streams: those of the databases that were just backed up; all if `None`.
    pub streams: Option<BTreeSet<Stream>>,
}

impl Scope {
    /// Everything in the store.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Returns how much of an archive lies in the scope.
    pub(super) fn coverage(&self, snapshot: &Snapshot) -> Coverage {
        let covered = snapshot.databases.iter().filter(|brief| self.covers(&brief.stream)).count();
        match covered {
            0 => Coverage::Nothing,
            _ if covered == snapshot.databases.len() => Coverage::Whole,
            _ => Coverage::Part,
        }
    }

    /// Returns whether the plan decides about a stream.
    pub fn covers(&self, stream: &Stream) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.contains(&stream.host))
            && self.sets.as_ref().is_none_or(|sets| sets.contains(&stream.set))
            && self.paths.as_ref().is_none_or(|paths| stream.path().is_some_and(|path| paths.contains(path)))
            && self.streams.as_ref().is_none_or(|streams| streams.contains(stream))
    }
}

/// How much of an archive lies in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// None of its databases: it is left alone.
    Nothing,
    /// Some of its databases: it stays, because nobody asked about the others.
    Part,
    /// All of its databases.
    Whole,
}

/// What stays of a stream whose database does not exist any more, if somebody asked for its removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReach {
    /// Only the newest good archive, and safety backups.
    KeepNewest,
    /// Nothing. In a stream with an open shrink it is as `KeepNewest`: a shrink is accepted first.
    RemoveAll,
}

/// What a plan has to know besides the archives.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// The present.
    pub now: DateTime<Utc>,
    /// Where days, weeks, months and years begin and end.
    pub zone: Tz,
    /// Whose archives may be removed.
    pub scope: Scope,
    /// The archive that this run made: never removed, whatever its date.
    pub made: Option<&'a ArchiveName>,
    /// Sets that have an archive in a newer format: nothing of them is removed.
    pub sealed: BTreeSet<Name>,
    /// Nothing younger than this is removed: on stores that others use whom locks do not reach.
    pub youngest: Option<TimeDelta>,
    /// The sets with `shrink = "off"`.
    pub shrinks_off: BTreeSet<Name>,
    /// Databases of other tools that may be counted and removed, because somebody asked for it.
    pub plain: BTreeSet<ArchiveName>,
    /// Damaged archives that were read again just now, to be removed.
    pub condemned: BTreeSet<ArchiveName>,
    /// Streams whose database does not exist any more, if somebody asked for their removal.
    pub gone: BTreeMap<Stream, GoneReach>,
    /// Whether `now` is ahead of the clock of this machine: then nothing is removed.
    pub ahead: bool,
}

impl Scene<'_> {
    /// Everything in the store, with nothing special about it.
    pub fn new(now: DateTime<Utc>, zone: Tz) -> Self {
        Self {
            now,
            zone,
            scope: Scope::everything(),
            made: None,
            sealed: BTreeSet::new(),
            youngest: None,
            shrinks_off: BTreeSet::new(),
            plain: BTreeSet::new(),
            condemned: BTreeSet::new(),
            gone: BTreeMap::new(),
            ahead: false,
        }
    }

    /// Returns the reason to keep a safety backup. Only where somebody asked for the removal of everything is there
    /// none.
    pub(super) fn safety(&self, unit: &Unit<'_>) -> Option<Reason> {
        let snapshot = unit.snapshot();
        let gone = snapshot.databases.iter().all(|brief| self.gone.get(&brief.stream) == Some(&GoneReach::RemoveAll));
        (snapshot.kind == Kind::Safety && !gone).then_some(Reason::Safety)
    }

    /// Returns what keeps an archive whatever its streams say, even one that is damaged beyond doubt.
    pub(super) fn protections(&self, unit: &Unit<'_>) -> Vec<Reason> {
        let snapshot = unit.snapshot();
        let made = self.made.is_some_and(|made| unit.names.iter().any(|copy| copy.name == *made));
        let young = self.youngest.is_some_and(|youngest| self.now - snapshot.created_at < youngest);
        [
            (unit.pinned, Reason::Pinned),
            (unit.future, Reason::Future),
            (unit.held, Reason::InUse),
            (made, Reason::JustMade),
            (self.sealed.contains(&snapshot.set), Reason::NewerFormat),
            (young && !unit.future, Reason::TooYoung),
            (self.ahead, Reason::ClockAhead),
            (self.scope.coverage(snapshot) == Coverage::Part, Reason::OutOfScope),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect()
    }
}
