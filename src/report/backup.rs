//! What a backup of one set reports.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::copies::Copy;
use super::retain::Retained;
use super::time;
use crate::metadata::{DatabaseMetadata, Extent, Kind};
use crate::names::{ArchiveName, Name};

/// The documents of several sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backups {
    /// One for each set whose backup did not fail.
    pub backups: Vec<Backup>,
    /// The databases of patterns that have archives and no file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Name>,
    /// Those of them that no earlier run reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub newly_gone: Vec<Name>,
    /// What was removed afterwards, if that was asked for and the sets come from patterns; else each set has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retained>,
    /// One for each further store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Copy>,
}

/// The outcome of the backup of a set.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Backup {
    /// None of the databases exists, which was allowed.
    SkippedMissing(SkippedMissing),
    /// A recent backup makes it unnecessary.
    SkippedRecent(SkippedRecent),
    /// The newest archives hold what the databases hold.
    Unchanged(Unchanged),
    /// The key of the store is not set.
    SkippedNoKey(SkippedNoKey),
    /// Nothing was done.
    Planned(Planned),
    /// The databases were only compared with the archives.
    Compared(Compared),
    /// An archive was made.
    Made(Box<Made>),
}

/// The outcome of a backup that made no archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// None of the databases exists.
    SkippedMissing,
    /// A recent backup exists.
    SkippedRecent,
    /// The databases did not change.
    Unchanged,
    /// The key of the store is not set.
    SkippedNoKey,
    /// Only compared.
    Compared,
}

/// Which archives hold what the databases of a set hold: `run` asks for it before it brings the newest one back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// [`Outcome::Compared`].
    pub outcome: Outcome,
    /// The set.
    pub set: Name,
    /// The databases that exist.
    pub databases: Vec<ComparedDatabase>,
    /// Whether each of them is what the newest archive of its stream holds.
    pub is_newest: bool,
}

/// A database, and the archive that holds the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedDatabase {
    /// The database.
    pub name: Name,
    /// The newest archive of its stream that holds what it holds, if one does.
    pub archive: Option<ArchiveName>,
}

/// The key of the store is not set: nothing was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedNoKey {
    /// [`Outcome::SkippedNoKey`].
    pub outcome: Outcome,
    /// The store.
    pub store: String,
    /// The variable that is not set.
    pub variable: String,
    /// The same for people.
    pub warning: String,
}

/// None of the databases of a set exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedMissing {
    /// [`Outcome::SkippedMissing`].
    pub outcome: Outcome,
    /// The set.
    pub set: Name,
    /// Always empty.
    pub databases: Vec<Name>,
    /// Databases that do not exist although archives of them do.
    pub lost: Vec<Name>,
}

/// A recent backup makes another one unnecessary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedRecent {
    /// [`Outcome::SkippedRecent`].
    pub outcome: Outcome,
    /// The set.
    pub set: Name,
    /// The recent archive.
    pub recent: String,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
}

/// The databases of a set did not change since they were backed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unchanged {
    /// [`Outcome::Unchanged`].
    pub outcome: Outcome,
    /// The set.
    pub set: Name,
    /// What showed it.
    pub by: By,
    /// The archive that holds what the databases hold: of several, the oldest.
    pub archive: ArchiveName,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// When the databases were found to be unchanged.
    #[serde(serialize_with = "time")]
    pub confirmed_at: DateTime<Utc>,
    /// The databases.
    pub databases: Vec<UnchangedDatabase>,
    /// Databases that do not exist although archives of them do.
    pub lost: Vec<Name>,
    /// One for each further store that was brought up to date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Copy>,
}

/// What shows that a database did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A look at its files.
    Look,
    /// A copy, which was thrown away.
    Copy,
}

/// A database that did not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnchangedDatabase {
    /// Its name.
    pub name: Name,
    /// The archive that holds it.
    pub archive: ArchiveName,
}

/// What would be backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Always true.
    pub dry_run: bool,
    /// The set.
    pub set: Name,
    /// Where the archive would go.
    pub store: String,
    /// Why it would be made.
    pub kind: Kind,
    /// The databases that would be in it.
    pub databases: Vec<Source>,
    /// The databases that do not exist.
    pub missing: Vec<Name>,
}

/// A database that would be backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: Name,
    /// Its path.
    pub source: String,
}

/// An archive that was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Made {
    /// Where it is.
    pub archive: String,
    /// The name it was given.
    pub backup_name: String,
    /// The set.
    pub set: Name,
    /// Why it exists.
    pub kind: Kind,
    /// The instant of the snapshot.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// The store.
    pub store: String,
    /// Its size.
    pub bytes: u64,
    /// Whether its databases were copied at one point in time.
    pub consistent_set: bool,
    /// The databases, as its metadata describes them.
    pub databases: Vec<DatabaseMetadata>,
    /// What their checks found.
    pub findings: Vec<Finding>,
    /// Findings from comparing it with earlier archives.
    pub notes: Vec<Note>,
    /// How long it took.
    pub seconds: f64,
    /// Databases that do not exist although archives of them do.
    pub lost: Vec<Name>,
    /// What was removed afterwards, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retained>,
    /// One for each further store that was brought up to date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Copy>,
}

/// What the check of a database found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The database.
    pub database: Name,
    /// What was found.
    pub finding: String,
    /// Whether the last archive of its stream does not have it.
    pub new: bool,
}

/// A finding about a new archive, compared with earlier ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Another application backs up another file under the same set, host and path.
    AnotherFile {
        /// The database.
        database: Name,
        /// The newest archive of the other one.
        archive: String,
    },
    /// It is dated more than an hour before the newest archive of its stream.
    ClockBehind {
        /// The database.
        database: Name,
        /// When the newest one was made.
        #[serde(serialize_with = "time")]
        newest: DateTime<Utc>,
    },
    /// It starts a new stream beside one of the same name.
    OtherPath {
        /// The database.
        database: Name,
        /// The path in the earlier archives.
        path: String,
    },
    /// It holds less than half of what its stream held.
    Shrink {
        /// The database.
        database: Name,
        /// What the stream held.
        before: Extent,
        /// What it holds now.
        after: Extent,
    },
    /// A database of 0 bytes was left out.
    Empty {
        /// The database.
        database: Name,
        /// Its path.
        path: String,
    },
    /// Nothing of a database can be read, and it was left out.
    Unreadable {
        /// The database.
        database: Name,
        /// Its path.
        path: String,
        /// Why, and a hint in the interface's words.
        why: String,
    },
    /// What belongs to the archive could not be recorded: its digest, or that this host made it.
    Unrecorded {
        /// Why.
        why: String,
    },
    /// It holds what an older archive holds, although nobody restored that.
    Stale {
        /// The database.
        database: Name,
        /// The older archive.
        archive: ArchiveName,
        /// The newest archive before this backup.
        newest: ArchiveName,
    },
    /// A guarded command is running, so it is a safety backup.
    Guarded {
        /// The database.
        database: Name,
    },
}
