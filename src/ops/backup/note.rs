//! What a backup finds besides the archive that it makes.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::database::is_about_index;
use crate::failure::Remedy;
use crate::metadata::Extent;
use crate::names::{ArchiveName, Name};

/// What the check of one database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The database.
    pub database: Name,
    /// One printable line.
    pub text: String,
    /// Whether it is new compared with the last archive of its stream. Damage always counts as new.
    pub is_new: bool,
}

impl Finding {
    /// Returns whether it is a problem: an index that must be rebuilt and that was not reported before.
    pub fn is_problem(&self) -> bool {
        self.is_new && is_about_index(&self.text)
    }
}

/// What comparing a new archive with the existing ones shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Another application backs up another file under the same set, host and path.
    Rival {
        /// The database.
        database: Name,
        /// The newest archive of the other one.
        archive: String,
    },
    /// It is dated more than an hour before the newest archive of its stream.
    Behind {
        /// The database.
        database: Name,
        /// When the newest one was made.
        newest: DateTime<Utc>,
    },
    /// It starts a stream beside one of the same name.
    OtherPath {
        /// The database.
        database: Name,
        /// The path of the existing archives.
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
    /// It has 0 bytes, and was left out.
    Empty {
        /// The database.
        database: Name,
        /// Where it is.
        path: PathBuf,
    },
    /// It cannot be read at all, and was left out.
    Unreadable {
        /// The database.
        database: Name,
        /// Where it is.
        path: PathBuf,
        /// Why, with the path.
        why: String,
        /// What can be done about it.
        remedy: Option<Remedy>,
    },
    /// What belongs to the new archive could not be recorded.
    Unrecorded {
        /// Why.
        why: String,
    },
    /// It holds what an archive before the newest one of its stream holds, and nobody restored that.
    Stale {
        /// The database.
        database: Name,
        /// The archive.
        archive: ArchiveName,
        /// The newest one.
        newest: ArchiveName,
    },
    /// A guarded command works on the database, so that the archive is a safety backup.
    Guarded {
        /// The database.
        database: Name,
    },
}

impl Note {
    /// Returns whether it is a problem that the user has to look at.
    pub fn is_problem(&self) -> bool {
        !matches!(self, Note::OtherPath { .. } | Note::Guarded { .. })
    }
}
