//! What `status` reports.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{time, time_or_null};
use crate::names::{ArchiveName, Name};

/// The state of all sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// When it was taken.
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    /// The store.
    pub store: String,
    /// Why the store could not be read; null if it could, or was not asked.
    pub store_error: Option<String>,
    /// The `heirloom run` that saves into this store on this host: its process and since when; null if none does.
    pub supervisor: Option<String>,
    /// How many notices wait to be sent; null if nobody gets any, or it cannot be read.
    pub undelivered_notices: Option<u64>,
    /// The sets.
    pub sets: Vec<SetStatus>,
}

/// The state of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetStatus {
    /// Its name.
    pub set: Name,
    /// The newest backup that holds all of it, as far as is known: of several archives, the oldest.
    pub last_backup: Option<LastBackup>,
    /// When its databases were backed up, or last found unchanged since.
    #[serde(serialize_with = "time_or_null")]
    pub last_confirmed: Option<DateTime<Utc>>,
    /// When one of its databases was last written.
    #[serde(serialize_with = "time_or_null")]
    pub last_change: Option<DateTime<Utc>>,
    /// Whether something may be lost without another backup.
    pub backup_needed: bool,
    /// Why, or why not.
    pub why: String,
    /// The interval or the cron line of its schedule.
    pub schedule: Option<String>,
    /// When the schedule makes the next backup.
    #[serde(serialize_with = "time_or_null")]
    pub next_due: Option<DateTime<Utc>>,
    /// Its databases.
    pub databases: Vec<DatabaseStatus>,
    /// The further stores.
    pub copies: Vec<CopyStatus>,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastBackup {
    /// Its archive.
    pub archive: ArchiveName,
    /// The instant of its snapshot.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// Its size, if known.
    pub bytes: Option<u64>,
    /// Where it is.
    pub path: String,
    /// Whether it is there, and looks as it was made; null if nobody looked.
    pub in_store: Option<bool>,
}

/// The state of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseStatus {
    /// Its name.
    pub name: Name,
    /// Its path.
    pub path: String,
    /// Whether there is a file.
    pub exists: bool,
    /// The size of the file.
    pub bytes: Option<u64>,
    /// When it was last written.
    #[serde(serialize_with = "time_or_null")]
    pub last_change: Option<DateTime<Utc>>,
    /// How it compares with its last backup.
    pub state: State,
    /// The archive of its last backup.
    pub archive: Option<ArchiveName>,
}

/// How a database compares with its last backup. The later ones need another backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The last backup holds what it holds.
    Unchanged,
    /// There is no such file.
    Missing,
    /// It cannot be backed up as it is.
    Unreadable,
    /// It looks the same, or there is no record; only a backup can tell.
    Unknown,
    /// It was written.
    Changed,
    /// The archive of its last backup is no longer in the store, or damaged.
    ArchiveGone,
    /// No backup of it is known.
    NeverBackedUp,
}

impl State {
    /// Returns whether something may be lost without another backup.
    pub fn needs_backup(self) -> bool {
        self >= Self::Unknown
    }

    /// Returns it as part of a sentence about the database.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged since the last backup",
            Self::Missing => "does not exist",
            Self::Unreadable => "cannot be read as a database",
            Self::Unknown => "may have changed since the last backup",
            Self::Changed => "changed since the last backup",
            Self::ArchiveGone => "its last backup is gone or damaged",
            Self::NeverBackedUp => "never backed up",
        }
    }

    /// Returns the word of a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Unknown => "unknown",
            Self::Changed => "changed",
            Self::ArchiveGone => "archive gone",
            Self::NeverBackedUp => "never backed up",
        }
    }
}

/// A further store, and whether it holds the last backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyStatus {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub location: String,
    /// Whether it holds the last backup; null if it was never listed, or there is none.
    pub has_last_backup: Option<bool>,
    /// When it was listed.
    #[serde(serialize_with = "time_or_null")]
    pub listed_at: Option<DateTime<Utc>>,
    /// Why it could not be brought up to date, or be read.
    pub error: Option<String>,
}
