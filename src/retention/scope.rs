//! The input of a plan besides the archives, and the archives that it may remove.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Reason;
use super::unit::Unit;
use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::snapshot::Snapshot;
use crate::streams::Stream;

/// The archives that a plan may remove: those whose databases are all in the scope.
///
/// Archives with no database in the scope are counted and left alone. Those with some are kept, because the policy does
/// not apply to their other databases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Only streams of these hosts; of all hosts if `None`.
    pub hosts: Option<Vec<HostLabel>>,
    /// Only streams of these sets; of all sets if `None`.
    pub sets: Option<BTreeSet<Name>>,
    /// Only streams at these resolved paths; at all paths if `None`.
    pub paths: Option<BTreeSet<String>>,
    /// Only these streams: those of the databases that were just backed up; all if `None`.
    pub streams: Option<BTreeSet<Stream>>,
}

impl Scope {
    /// Everything in the store.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Returns how much of an archive is in the scope.
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

/// How much of an archive is in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// None of its databases: it is left alone.
    Nothing,
    /// Some of its databases: it is kept, because the others were not part of the request.
    Part,
    /// All of its databases.
    Whole,
}

/// What to keep of a stream whose database no longer exists, if its removal was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReach {
    /// Only the newest good archive, and safety backups.
    KeepNewest,
    /// Nothing. In a stream with an open shrink it works like `KeepNewest`: the shrink must be accepted first.
    RemoveAll,
}

/// The input of a plan besides the archives.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// The current time.
    pub now: DateTime<Utc>,
    /// The time zone of days, weeks, months and years.
    pub zone: Tz,
    /// The archives that may be removed.
    pub scope: Scope,
    /// The archive that this run created: never removed, whatever its date.
    pub made: Option<&'a ArchiveName>,
    /// Sets that have an archive in a newer format: nothing of them is removed.
    pub sealed: BTreeSet<Name>,
    /// Archives younger than this are not removed: for stores whose other users do not see our locks.
    pub youngest: Option<TimeDelta>,
    /// Archives that a further store still lacks.
    pub awaited: BTreeSet<ArchiveName>,
    /// The sets with `shrink = "off"`.
    pub shrinks_off: BTreeSet<Name>,
    /// Databases of other tools that may be counted and removed, because that was requested.
    pub plain: BTreeSet<ArchiveName>,
    /// Damaged archives that were just read again and are to be removed.
    pub condemned: BTreeSet<ArchiveName>,
    /// Streams whose database no longer exists, if their removal was requested.
    pub gone: BTreeMap<Stream, GoneReach>,
    /// Whether `now` is ahead of the machine's clock: then nothing is removed.
    pub ahead: bool,
}

impl Scene<'_> {
    /// Everything in the store, without special conditions.
    pub fn new(now: DateTime<Utc>, zone: Tz) -> Self {
        Self {
            now,
            zone,
            scope: Scope::everything(),
            made: None,
            sealed: BTreeSet::new(),
            youngest: None,
            awaited: BTreeSet::new(),
            shrinks_off: BTreeSet::new(),
            plain: BTreeSet::new(),
            condemned: BTreeSet::new(),
            gone: BTreeMap::new(),
            ahead: false,
        }
    }

    /// Returns the reason to keep a safety backup. There is none only if the removal of everything was requested.
    pub(super) fn safety(&self, unit: &Unit<'_>) -> Option<Reason> {
        let snapshot = unit.snapshot();
        let gone = snapshot.databases.iter().all(|brief| self.gone.get(&brief.stream) == Some(&GoneReach::RemoveAll));
        (snapshot.kind == Kind::Safety && !gone).then_some(Reason::Safety)
    }

    /// Returns the reasons that keep an archive whatever its streams say, even if it is certainly damaged.
    pub(super) fn protections(&self, unit: &Unit<'_>) -> Vec<Reason> {
        let snapshot = unit.snapshot();
        let made = self.made.is_some_and(|made| unit.names.iter().any(|copy| copy.name == *made));
        let awaited = unit.names.iter().any(|copy| self.awaited.contains(&copy.name));
        let young = self.youngest.is_some_and(|youngest| self.now - snapshot.created_at < youngest);
        [
            (unit.pinned, Reason::Pinned),
            (unit.future, Reason::Future),
            (unit.held, Reason::InUse),
            (made, Reason::JustMade),
            (self.sealed.contains(&snapshot.set), Reason::NewerFormat),
            (young && !unit.future, Reason::TooYoung),
            (awaited, Reason::AwaitsCopy),
            (self.ahead, Reason::ClockAhead),
            (self.scope.coverage(snapshot) == Coverage::Part, Reason::OutOfScope),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect()
    }
}
