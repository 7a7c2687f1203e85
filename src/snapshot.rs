//! An archive as the operations see it: whichever tool wrote it, and without its bytes.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use crate::digest::Sha256;
use crate::metadata::{Kind, Metadata, TableMetadata};
use crate::names::{ArchiveName, Name};

/// What an archive holds, read from its metadata or, where there is none, from what lies in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// Who wrote it.
    pub origin: Origin,
    /// The name it was given when it was made.
    pub backup_name: String,
    /// When the data was as it is in the archive.
    pub created_at: DateTime<Utc>,
    /// The set; for other tools' files the name in front of the time.
    pub set: Name,
    /// Why it exists.
    pub kind: Kind,
    /// The databases in it, in the order of their entries.
    pub databases: Vec<Held>,
    /// What is odd about the archive although it can be read (an entry that the metadata does not name, a promised database that is missing).
    pub oddities: Vec<String>,
    /// The whole metadata where the archive is of format 1.
    pub metadata: Option<Metadata>,
}

/// One database in an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its name in the set.
    pub name: Name,
    /// Its file name: one path component, validated by [`is_file_name`](crate::names::is_file_name).
    pub file: String,
    /// Its size in bytes; `None` for a gzipped plain database before it was read.
    pub bytes: Option<u64>,
    /// The digest recorded when it was written; other tools recorded none.
    pub sha256: Option<Sha256>,
    /// The path it came from, where that was recorded.
    pub source: Option<String>,
    /// The tables that the metadata promises; `None` where it promises nothing.
    pub tables: Option<Vec<TableMetadata>>,
    /// The number of tables that the metadata promises, where it gives that alone.
    pub table_count: Option<u64>,
}

/// Which tool made an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// heirloom, archive format 1.
    Format1,
    /// The Python tool that this one replaces: metadata without `format`, or none.
    Legacy,
    /// A plain database file, gzipped or not.
    Plain,
}

/// One archive of a store, as listed: small, for stores with ten thousand of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Its file name in the store.
    pub name: ArchiveName,
    /// The size of the file.
    pub bytes: u64,
    /// Who wrote it.
    pub origin: Origin,
    /// When the data was as it is in the archive.
    pub created_at: DateTime<Utc>,
    /// The set.
    pub set: Name,
    /// Why it exists.
    pub kind: Kind,
    /// Its databases.
    pub databases: Vec<Brief>,
    /// Whether a `.keep` lies beside it: retention never removes it.
    pub pinned: bool,
    /// Whether a `.damaged` lies beside it, or its metadata calls a database damaged: it takes no slot and is not restored unasked.
    pub damaged: bool,
}

/// What listing, retention and health need of one database in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its name in the set.
    pub name: Name,
    /// Its size in bytes, unpacked.
    pub bytes: Option<u64>,
    /// Its tables, where known.
    pub tables: Option<u64>,
    /// The rows of all its tables, where known.
    pub rows: Option<u64>,
}

impl Snapshot {
    /// Returns the size of its databases unpacked, where all are known and possible together.
    pub fn unpacked_bytes(&self) -> Option<u64> {
        self.databases.iter().try_fold(0_u64, |sum, database| sum.checked_add(database.bytes?))
    }

    /// Returns what it says of the database with this name.
    pub fn brief(&self, database: &str) -> Option<&Brief> {
        self.databases.iter().find(|brief| brief.name.as_str() == database)
    }

    /// Compares two archives, the newer one first. Of two of the same moment the one with a number behind its name (`-2`: made
    /// later) is the newer one, because a dash sorts before the dot of the ending.
    pub fn newest_first(&self, other: &Snapshot) -> Ordering {
        other.created_at.cmp(&self.created_at).then_with(|| self.name.cmp(&other.name))
    }

    /// Says whether two archives hold the same databases of the same set, so that one can stand for the other.
    pub fn same_group(&self, other: &Snapshot) -> bool {
        self.set == other.set
            && self.databases.len() == other.databases.len()
            && self.databases.iter().all(|mine| other.databases.iter().any(|theirs| theirs.name == mine.name))
    }
}
