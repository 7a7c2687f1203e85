//! What a plan has to know besides the archives, and whose archives it may touch.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{Reason, Unit};
use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::streams::Stream;

/// Whose archives a plan may remove. What is not covered is counted and left alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Only streams of these hosts; of all where it is `None`.
    pub hosts: Option<Vec<HostLabel>>,
    /// Only streams of these sets; of all where it is `None`.
    pub sets: Option<BTreeSet<Name>>,
    /// Only streams at these resolved paths; at all where it is `None`.
    pub paths: Option<BTreeSet<String>>,
    /// Only these streams: those of the databases that were just backed up; all where it is `None`.
    pub streams: Option<BTreeSet<Stream>>,
}

impl Scope {
    /// Everything in the store.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Returns whether archives of a stream may be removed.
    pub fn covers(&self, stream: &Stream) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.contains(&stream.host))
            && self.sets.as_ref().is_none_or(|sets| sets.contains(&stream.set))
            && self.paths.as_ref().is_none_or(|paths| stream.path().is_some_and(|path| paths.contains(path)))
            && self.streams.as_ref().is_none_or(|streams| streams.contains(stream))
    }
}

/// What stays of a stream whose database is gone for long, where somebody asked for its removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReach {
    /// Only the newest good archive.
    KeepNewest,
    /// Nothing.
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
    /// Damaged archives that were read once more just now, to be removed.
    pub condemned: BTreeSet<ArchiveName>,
    /// Streams whose database is gone for long, where somebody asked for their removal.
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

    /// Returns what keeps an archive whatever its streams say.
    pub(super) fn floors(&self, unit: &Unit<'_>) -> Vec<Reason> {
        let snapshot = unit.snapshot();
        let gone = !snapshot.databases.is_empty()
            && snapshot.databases.iter().all(|brief| self.gone.get(&brief.stream) == Some(&GoneReach::RemoveAll));
        let mut reasons = self.protections(unit);
        if snapshot.kind == Kind::Safety && !unit.pinned && !gone {
            reasons.push(Reason::Safety);
        }
        reasons
    }

    /// Returns whether even an archive that is damaged beyond doubt stays.
    pub(super) fn protects(&self, unit: &Unit<'_>) -> bool {
        !self.protections(unit).is_empty()
    }

    fn protections(&self, unit: &Unit<'_>) -> Vec<Reason> {
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
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect()
    }
}
