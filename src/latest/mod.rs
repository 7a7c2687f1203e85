//! Decides which archive `latest` and `--at` mean. Pure: takes the archives of the store, the requested databases and
//! the time, and returns a [`Decision`]. Nothing is read, asked or printed here.
//!
//! The decision is made by stream: the newest good archive that contains all requested databases in the host's own
//! streams. An archive of another host or path is never used silently, however new it is: two tenants may use the same
//! name.

mod search;
mod sets;

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::snapshot::Snapshot;
use crate::streams::{FileIdentity, OwnHost, Place, Stream};

pub use sets::{SetChoice, adopt_old_archives, only_set, set_of_path};

/// How much older an archive may be than the newest archive of one of its databases, if `max_backup_age` is not set.
pub const MAX_AGE: TimeDelta = TimeDelta::hours(26);

/// A requested database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name in the set.
    pub name: Name,
    /// The resolved path where it belongs; `None` if only archives know it.
    pub path: Option<String>,
    /// The same path as typed, with symbolic links, as older releases recorded it.
    pub typed: Option<String>,
    /// Other configured paths where it may have been, if no file exists at any of them.
    pub others: Vec<String>,
    /// The file that is at the path now.
    pub file: Option<FileIdentity>,
}

impl Asked {
    /// Creates a database that is known only by name.
    pub fn named(name: Name) -> Self {
        Self { name, path: None, typed: None, others: Vec::new(), file: None }
    }
}

/// Whose archives to use instead of the own ones: `--from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Archives of this host label.
    pub host: Option<HostLabel>,
    /// Archives of a database at this path.
    pub path: Option<String>,
}

/// An archive that this host recorded creating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The database.
    pub database: Name,
    /// The stream whose newest archive it is.
    pub stream: Stream,
    /// The archive.
    pub archive: ArchiveName,
    /// Its identity, independent of its name.
    pub id: Option<ArchiveId>,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
}

/// Whether the user gave the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `--to`, `--to-dir`, or no target because nothing is written: an archive of the only other stream does no harm.
    Explicit,
    /// The databases are restored to where they belong.
    Known,
}

/// Whether some of the requested databases are better than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every database must be in the archive.
    All,
    /// Databases without an archive are reported, and the others are restored: `--if-missing`.
    Possible,
}

/// The request.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The set.
    pub set: &'a Name,
    /// The databases. Not empty; see [`included`] if none are requested.
    pub asked: &'a [Asked],
    /// This host.
    pub own: &'a OwnHost,
    /// Whose archives to use instead.
    pub from: Option<&'a From>,
    /// Where they are restored to.
    pub target: Target,
    /// Whether some of the databases are enough.
    pub completeness: Completeness,
    /// Nothing newer than this, compared in whole seconds.
    pub at: Option<DateTime<Utc>>,
    /// The current time: archives dated later are only used if named.
    pub now: DateTime<Utc>,
    /// How much newer the newest archive of a single database may be than the one that contains them all.
    pub max_age: TimeDelta,
    /// The archives that this host recorded creating.
    pub remembered: &'a [Remembered],
}

/// The result.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// An archive was chosen.
    Take(Box<Take>),
    /// None of the requested databases has a backup anywhere in this set.
    NoneYet {
        /// The databases.
        databases: Vec<Name>,
    },
    /// Only other hosts or paths have it, or several of this host's own: the user has to choose.
    Elsewhere {
        /// The sources, newest first.
        candidates: Vec<Candidate>,
        /// The databases.
        databases: Vec<Name>,
    },
    /// Archives exist, but none can be chosen.
    OutOfReach {
        /// Each database with the reason.
        databases: Vec<Absent>,
    },
}

/// A chosen archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The archive.
    pub archive: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
    /// For each restored database: its index in the request and in the archive. Their names may differ.
    pub members: Vec<(usize, usize)>,
    /// Databases without a backup so far.
    pub none_yet: Vec<Name>,
    /// Databases that have archives but are not in this one, with [`Completeness::Possible`].
    pub out_of_reach: Vec<Absent>,
    /// Newer archives that contain only some of the databases.
    pub newer: Vec<Newer>,
    /// Whether one of those is newer by more than the limit.
    pub too_old: bool,
    /// The newest archives of the applications that share a stream and are both in use.
    pub rivals: Vec<ArchiveName>,
    /// A newer one that this host recorded creating and that is missing.
    pub lost: Option<Remembered>,
    /// Its source, if it is not from the own streams.
    pub origin: Option<Candidate>,
}

/// A newer archive that contains only some of the databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// The database.
    pub database: Name,
    /// The newest archive that contains it.
    pub archive: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
}

/// A source other than the own archives, or one of several own ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The host label.
    pub host: HostLabel,
    /// The location of each database there.
    pub places: Vec<(Name, Place)>,
    /// The newest of its archives that can be chosen.
    pub newest: ArchiveName,
    /// When its snapshot was taken.
    pub created_at: DateTime<Utc>,
}

/// A database that cannot be restored although it has an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// The database.
    pub database: Name,
    /// Why.
    pub why: Why,
}

/// Why an existing archive is not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No archive contains it together with the others; this one contains it.
    Apart(ArchiveName),
    /// Only archives of another host or path contain it.
    Elsewhere(Candidate),
    /// The newest one that contains it is damaged.
    Damaged(ArchiveName),
    /// It is dated in the future.
    Future(ArchiveName),
    /// It is newer than `--at` allows.
    Later(ArchiveName),
    /// It is a safety backup.
    Safety(ArchiveName),
    /// It is a file of another tool.
    Plain(ArchiveName),
    /// It is encrypted, and no key here opens it.
    Locked(ArchiveName),
    /// It is not encrypted, but the archives of its store are.
    Exposed(ArchiveName),
    /// This host recorded creating it, and it is missing.
    Lost(Remembered),
}

/// Makes the decision. The archives are newest first.
pub fn decide(snapshots: &[Snapshot], question: &Question<'_>) -> Decision {
    search::Search::new(snapshots, question).decide()
}

/// Returns the databases in the `includes` of the newest archive of a set, included or not; own archives are preferred.
pub fn included(
    snapshots: &[Snapshot],
    set: &Name,
    own: &OwnHost,
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<Name> {
    let plain = search::plain_counts(snapshots);
    let usable = |snapshot: &&Snapshot| snapshot.set == *set && search::is_usable(snapshot, plain, at, now);
    let newest =
        |own_only: bool| snapshots.iter().filter(usable).find(|snapshot| !own_only || own.owns(&snapshot.host));
    let newest = newest(true).or_else(|| newest(false));
    // If none can be chosen, the reasons refer to the newest one of any kind.
    let newest = newest.or_else(|| snapshots.iter().find(|snapshot| snapshot.set == *set));
    newest.map(|snapshot| snapshot.set_databases.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
