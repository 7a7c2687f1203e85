//! Which archive `latest` and `--at` mean. Pure: the archives of the store, the databases asked for and the time come
//! in, and a [`Decision`] comes out; nothing is read, asked or printed here.
//!
//! Decided by stream: the newest good archive that holds every database asked for in the host's own streams. An archive
//! of another host or of another path is never taken in silence, however new it is: two tenants may use one name.

mod search;
mod sets;

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::snapshot::Snapshot;
use crate::streams::{FileIdentity, OwnHost, Place, Stream};

pub use sets::{SetChoice, adopt_old_archives, only_set, set_of_path};

/// How much older than the newest archive of one of its databases an archive may be, if `max_backup_age` is not set.
pub const MAX_AGE: TimeDelta = TimeDelta::hours(26);

/// A database that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name in the set.
    pub name: Name,
    /// The resolved path where it belongs; `None` if nothing but archives knows it.
    pub path: Option<String>,
    /// The same path as it is typed, with symbolic links: releases before streams recorded it so.
    pub typed: Option<String>,
    /// Further paths of the configuration where it may have been, if nothing lies at any of them.
    pub others: Vec<String>,
    /// The file that lies at the path now.
    pub file: Option<FileIdentity>,
}

impl Asked {
    /// Makes a database that is known by its name only.
    pub fn named(name: Name) -> Self {
        Self { name, path: None, typed: None, others: Vec::new(), file: None }
    }
}

/// Whose archives are meant, if not the own ones: `--from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Archives of this host label.
    pub host: Option<HostLabel>,
    /// Archives of a database at this path.
    pub path: Option<String>,
}

/// An archive that this host remembers making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The database.
    pub database: Name,
    /// The stream that it is the newest archive of.
    pub stream: Stream,
    /// The archive.
    pub archive: ArchiveName,
    /// What it is, whatever its name.
    pub id: Option<ArchiveId>,
    /// The instant of its snapshot.
    pub created_at: DateTime<Utc>,
}

/// Whether the user named the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `--to`, `--to-dir`, or no target at all because nothing is written: an archive of the only other stream does no
    /// harm.
    Explicit,
    /// The databases go where they belong.
    Known,
}

/// Whether a part of what is asked for is better than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every database must be in the archive.
    All,
    /// Those that are in none are named, and the others are restored: `--if-missing`.
    Possible,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The set.
    pub set: &'a Name,
    /// The databases. Not empty; see [`included`] if nothing names them.
    pub asked: &'a [Asked],
    /// This host.
    pub own: &'a OwnHost,
    /// Whose archives are meant instead.
    pub from: Option<&'a From>,
    /// Where they go.
    pub target: Target,
    /// Whether a part is enough.
    pub completeness: Completeness,
    /// Nothing newer than this, in whole seconds.
    pub at: Option<DateTime<Utc>>,
    /// The present: what is dated later is used only when named.
    pub now: DateTime<Utc>,
    /// By how much a database may have a newer archive than the one that holds them all.
    pub max_age: TimeDelta,
    /// What this host remembers making.
    pub remembered: &'a [Remembered],
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// An archive was chosen.
    Take(Box<Take>),
    /// Nothing of what was asked for has a backup, anywhere in this set.
    NoneYet {
        /// The databases.
        databases: Vec<Name>,
    },
    /// Only other hosts or paths have it, or several of this host's own: somebody has to say which.
    Elsewhere {
        /// Where from, the newest first.
        candidates: Vec<Candidate>,
        /// The databases.
        databases: Vec<Name>,
    },
    /// Archives exist, and none can be chosen.
    OutOfReach {
        /// Each database and why.
        databases: Vec<Absent>,
    },
}

/// An archive that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The archive.
    pub archive: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
    /// For each database that is restored: which one asked for, and which one of the archive. They may differ in name.
    pub members: Vec<(usize, usize)>,
    /// Databases without any backup yet.
    pub none_yet: Vec<Name>,
    /// Databases that have archives and are not in this one, with [`Completeness::Possible`].
    pub out_of_reach: Vec<Absent>,
    /// Newer archives that hold only some of the databases.
    pub newer: Vec<Newer>,
    /// Whether one of those is newer by more than the limit.
    pub too_old: bool,
    /// The newest archives of the applications that share a stream and are both in use.
    pub rivals: Vec<ArchiveName>,
    /// A newer one that this host remembers making and that is not there.
    pub lost: Option<Remembered>,
    /// Whose it is, if it was not found in the own streams.
    pub origin: Option<Candidate>,
}

/// A newer archive that holds only some of the databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// The database.
    pub database: Name,
    /// The newest archive that holds it.
    pub archive: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
}

/// Archives that are not the own ones, or one of several own ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The host label.
    pub host: HostLabel,
    /// Where each database lies there.
    pub places: Vec<(Name, Place)>,
    /// The newest archive of them that can be chosen.
    pub newest: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
}

/// A database that cannot be restored although an archive of it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// The database.
    pub database: Name,
    /// Why.
    pub why: Why,
}

/// Why an archive that exists is not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No archive holds it together with the others; this one holds it.
    Apart(ArchiveName),
    /// Only archives of another host or path hold it.
    Elsewhere(Candidate),
    /// The newest one that holds it is damaged.
    Damaged(ArchiveName),
    /// It is dated in the future.
    Future(ArchiveName),
    /// It is newer than what `--at` allows.
    Later(ArchiveName),
    /// It is a safety backup.
    Safety(ArchiveName),
    /// It is a file of another tool.
    Plain(ArchiveName),
    /// This host remembers making it, and it is not there.
    Lost(Remembered),
}

/// Decides. The archives are newest first.
pub fn decide(snapshots: &[Snapshot], question: &Question<'_>) -> Decision {
    search::Search::new(snapshots, question).decide()
}

/// Returns the databases that the newest archive of a set names in `includes`, in it or not: the own ones come first.
pub fn included(snapshots: &[Snapshot], set: &Name, own: &OwnHost, at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<Name> {
    let plain = search::plain_counts(snapshots);
    let usable = |snapshot: &&Snapshot| snapshot.set == *set && search::is_usable(snapshot, plain, at, now);
    let newest = |own_only: bool| snapshots.iter().filter(usable).find(|snapshot| !own_only || own.owns(&snapshot.host));
    let newest = newest(true).or_else(|| newest(false));
    // If none can be chosen, the reasons are about the newest one of any kind.
    let newest = newest.or_else(|| snapshots.iter().find(|snapshot| snapshot.set == *set));
    newest.map(|snapshot| snapshot.set_databases.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
