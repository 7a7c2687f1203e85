//! Checks the health of databases and backups.
//!
//! [`gather`] collects facts through the adapters, [`judge`] turns them into [`Check`]s and is pure: snapshots, log
//! entries, database facts, free space and the time are values. What is wrong is a check and never an error: reporting
//! an unreachable store or a missing database is the purpose of health. Nothing is repaired, marked or logged.

mod backups;
mod copies;
mod databases;
mod gather;
mod sealed;
mod shrinkage;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::database::{Checked, LiveStats, SourceError};
use crate::names::Name;
use crate::ops::inventory::Inventory;
use crate::ops::restore;
use crate::ops::stale::Stale;
use crate::report::health::Advice;
use crate::retention::Shrink;
use crate::snapshot::{Brief, Snapshot};
use crate::store_url::StoreUrl;
use crate::streams::{OwnHost, PathId, Place, Stream};
use crate::workspace::copies::CopyRecord;
use crate::workspace::verified::VerifiedStore;
use crate::workspace::{Activity, Seen};

pub use crate::report::health::{Check, Report, State, Subject};
pub use gather::{FurtherStore, Request, Watched, gather};

/// How far ahead of the clock an archive may be dated before it counts as one of the future: clocks of several hosts
/// differ.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Everything that the checks are made of.
#[derive(Debug)]
pub struct Facts {
    /// The time.
    pub now: DateTime<Utc>,
    /// How old the newest good backup of a set may be; without it the usual interval decides.
    pub max_backup_age: Option<TimeDelta>,
    /// The labels that are this host's own: no other host's archives decide anything.
    pub host: OwnHost,
    /// Where the store is.
    pub location: String,
    /// The store, or why it cannot be read.
    pub store: Result<StoreFacts, String>,
    /// The sets that should have backups.
    pub sets: Vec<Name>,
    /// The databases.
    pub databases: Vec<DatabaseFacts>,
}

/// What is known of the store.
#[derive(Debug)]
pub struct StoreFacts {
    /// Its contents.
    pub inventory: Arc<Inventory>,
    /// The activity log, newest first, empty where there is none; or why it cannot be read.
    pub log: Result<Vec<Activity>, String>,
    /// The interrupted restores, oldest first; or why that is not known.
    pub interrupted: Result<Vec<restore::InterruptedRestore>, String>,
    /// The databases whose last backup this host recorded, with when they were last found unchanged since.
    pub seen: Vec<Seen>,
    /// The shrinks that were not accepted.
    pub open_shrinks: Vec<Shrink>,
    /// Streams of this host that get no archives any more.
    pub stale: Vec<Stale>,
    /// How many safety backups wait to be sent to the store; or why that is not known.
    pub pending: Result<usize, String>,
    /// The further stores.
    pub copies: Vec<CopyFacts>,
    /// The room on its file system; `None` if the system does not report it.
    pub space: Option<Space>,
    /// The disk it is on.
    pub device: Option<u64>,
    /// When a key was last tried on an archive, as far as this host knows or the configuration says.
    pub key_tried: Option<DateTime<Utc>>,
}

/// What this host remembers of a further store. Health asks the main store alone: a further one may be far away.
#[derive(Debug, Clone)]
pub struct CopyFacts {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub location: String,
    /// Its last listing; `None` if it never answered.
    pub record: Option<CopyRecord>,
    /// The archives that it lacks, as far as is known.
    pub missing: usize,
    /// When it was last verified, as far as is known.
    pub verified: Option<VerifiedStore>,
}

/// The room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What an ordinary user may still write.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// What is known of one live database.
#[derive(Debug)]
pub struct DatabaseFacts {
    /// The set it belongs to.
    pub set: Name,
    /// Its name in the set.
    pub name: Name,
    /// Where it is.
    pub path: PathBuf,
    /// The stream that a backup of it belongs to.
    pub stream: Stream,
    /// Whether another database of the same name and set is judged, so that the name does not say which one it is.
    pub has_twin: bool,
    /// The disk it is on.
    pub device: Option<u64>,
    /// What was found, or why it could not be read.
    pub glance: Result<LiveStats, SourceError>,
    /// The result of checking a copy.
    pub examined: Examined,
}

impl DatabaseFacts {
    /// Returns what an archive of this host says about the database.
    fn brief_in<'a>(&self, snapshot: &'a Snapshot, host: &OwnHost) -> Option<&'a Brief> {
        let is_own = |brief: &&Brief| {
            let stream = &brief.stream;
            let lies_there = match &stream.place {
                Place::Path(path) => self.stream.path() == Some(path),
                // Made before paths were recorded.
                Place::Name(name) => *name == self.name,
                Place::Hidden(id) => {
                    self.stream.path().is_some_and(|path| *id == PathId::of(&stream.set, &stream.host, path))
                }
            };
            host.owns(&stream.host) && stream.set == self.set && stream.file == self.stream.file && lies_there
        };
        snapshot.databases.iter().find(is_own)
    }

    fn subject(&self) -> Subject {
        let path = self.has_twin.then(|| self.path.to_string_lossy().into_owned());
        Subject::Database { set: self.set.clone(), name: self.name.clone(), path }
    }
}

impl Facts {
    /// Returns the archives of this host, newest first: no plain databases, which prove nothing, and no archives of
    /// which only a label is known.
    fn own<'a>(&self, store: &'a StoreFacts) -> impl Iterator<Item = &'a Snapshot> {
        let own =
            |snapshot: &&Snapshot| !snapshot.is_plain() && !snapshot.is_closed() && self.host.owns(&snapshot.host);
        store.inventory.snapshots.iter().filter(own)
    }

    /// Returns the archives that are this host's by their label only.
    fn closed<'a>(&self, store: &'a StoreFacts) -> impl Iterator<Item = &'a Snapshot> {
        store.inventory.snapshots.iter().filter(|snapshot| snapshot.is_closed() && self.host.owns(&snapshot.host))
    }
}

/// What is known of a copy of a database.
#[derive(Debug)]
pub enum Examined {
    /// No copy was asked for.
    Not,
    /// A copy could not be made or checked.
    Failed(String),
    /// The database itself could not be read to its end.
    Unread(String),
    /// A copy was checked.
    Copy {
        /// What the check said.
        checked: Checked,
        /// The rows of its tables that can be counted.
        rows: Option<u64>,
    },
}

/// Turns facts into checks.
pub fn judge(facts: &Facts) -> Report {
    let mut checks = Vec::new();
    let by_set = facts.store.as_ref().map(|store| backups::by_set(store, facts)).unwrap_or_default();
    for database in &facts.databases {
        checks.extend(databases::judge(database, by_set.get(&database.set), facts));
    }
    match &facts.store {
        Ok(store) => {
            for set in &facts.sets {
                checks.extend(backups::judge(set, &by_set[set], store, facts));
            }
            checks.extend(store::judge(store, &by_set, facts));
            checks.extend(store.copies.iter().map(|copy| copies::judge(copy, facts.now)));
            checks.extend(sealed::judge(store, facts));
        }
        Err(why) => {
            let is_remote = StoreUrl::parse(&facts.location).is_some();
            let advice = if is_remote { Advice::ReachStore } else { Advice::MountStore };
            checks.push(Check::new("store", &Subject::Store, State::Critical, why.clone()).advise(advice))
        }
    }
    Report { at: facts.now, store: facts.location.clone(), checks }
}

#[cfg(test)]
mod tests;
