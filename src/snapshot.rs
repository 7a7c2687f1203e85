//! An archive as the operations see it: whichever tool wrote it, and without its bytes.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use crate::digest::Sha256;
use crate::metadata::{Extent, Kind, Metadata, Replaces, TableMetadata};
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::streams::{FileIdentity, Place, Stream};

/// What an archive holds, read from its metadata or, if there is none, from what lies in it.
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
    /// What is odd about the archive although it can be read (an entry that the metadata does not name, a promised
    /// database that is missing).
    pub oddities: Vec<String>,
    /// The whole metadata where the archive is of format 1.
    pub metadata: Option<Metadata>,
    /// What the archive is, whatever its name; `None` if it holds no metadata.
    pub id: Option<ArchiveId>,
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
    /// The path it came from, if that was recorded.
    pub source: Option<String>,
    /// The tables that the metadata lists; `None` if it promises nothing.
    pub tables: Option<Vec<TableMetadata>>,
    /// The number of tables that the metadata lists, where it gives that alone.
    pub table_count: Option<u64>,
    /// What SQLite kept beside it when another tool copied it; archives of ours hold none.
    pub sidecars: Vec<Sidecar>,
}

/// A file that SQLite keeps beside a database, and without which the database lacks commits or holds half of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sidecar {
    /// Which one.
    pub part: Part,
    /// Its size.
    pub bytes: u64,
}

/// The files that SQLite keeps beside a database. The `-shm` is not one of them: it is only an index, which SQLite
/// makes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The write-ahead log: commits that are not in the database yet.
    Wal,
    /// The rollback journal: what the database held before a transaction that did not end.
    Journal,
}

impl Part {
    /// Every part, in the order in which they are named.
    pub const ALL: [Self; 2] = [Self::Wal, Self::Journal];

    /// Returns what stands behind the name of the database.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Wal => "-wal",
            Self::Journal => "-journal",
        }
    }
}

/// Which tool made an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// heirloom, archive format 1.
    Format1,
    /// The Python tool that this one replaces: metadata without `format`.
    Legacy,
    /// A database as other tools leave it: a plain file, gzipped or not, or a tar without metadata. Nothing that
    /// decides what is kept, what is the newest or how old a backup is looks at it.
    Plain,
}

/// One archive of a store, as listed: small, for stores with ten thousand of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Its file name in the store.
    pub name: ArchiveName,
    /// The size of the file.
    pub bytes: u64,
    /// What it is, whatever its name; copies under other names share it.
    pub id: Option<ArchiveId>,
    /// Who wrote it.
    pub origin: Origin,
    /// When the data was as it is in the archive.
    pub created_at: DateTime<Utc>,
    /// The set.
    pub set: Name,
    /// The host label it was made under; this host's where none was recorded.
    pub host: HostLabel,
    /// Why it exists.
    pub kind: Kind,
    /// Its databases.
    pub databases: Vec<Brief>,
    /// Every database of the set when it was made, in it or not.
    pub set_databases: Vec<Name>,
    /// Whether a `.keep` lies beside it: retention never removes it.
    pub pinned: bool,
    /// Whether a `.damaged` lies beside it, or its metadata calls a database damaged: it takes no slot and is not
    /// restored unasked.
    pub damaged: bool,
    /// Whether an `.accepted` lies beside it: a shrink that is meant.
    pub accepted: bool,
    /// Whether a running guard, restore or copy needs it.
    pub held: bool,
    /// Whether it still lies in the workspace and waits to be moved to the store.
    pub pending: bool,
    /// The restore that a safety archive was made before.
    pub replaces: Option<Replaces>,
}

/// What listing, retention and health need of one database in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Its name in the set.
    pub name: Name,
    /// Its size in bytes, unpacked.
    pub bytes: Option<u64>,
    /// Its tables, if known.
    pub tables: Option<u64>,
    /// The rows of its tables that could be counted, if known.
    pub rows: Option<u64>,
    /// Which archives it belongs together with.
    pub stream: Stream,
    /// Whether the path of the stream was resolved when the archive was made; older releases recorded it as it was
    /// typed.
    pub resolved: bool,
    /// The path as it was given.
    pub source: Option<String>,
    /// Which file it was copied from.
    pub file: Option<FileIdentity>,
    /// The most that the stream held before, since its last shrink.
    pub previous: Option<Extent>,
}

impl Brief {
    /// Makes a database that exists nowhere, known by its name: for simulations and tests.
    pub fn simulated(set: &Name, host: &HostLabel, name: &Name) -> Self {
        Self {
            name: name.clone(),
            bytes: None,
            tables: None,
            rows: None,
            stream: Stream { set: set.clone(), host: host.clone(), place: Place::Name(name.clone()), file: None },
            resolved: true,
            source: None,
            file: None,
            previous: None,
        }
    }
}

impl Snapshot {
    /// Makes a scheduled archive of one database that exists nowhere: for simulations and tests.
    pub fn simulated(set: &Name, at: DateTime<Utc>) -> Self {
        let host = HostLabel::container();
        let brief = Brief::simulated(set, &host, set);
        Self {
            name: ArchiveName::automatic(set, at, ".tar.gz"),
            bytes: 0,
            id: None,
            origin: Origin::Format1,
            created_at: at,
            set: set.clone(),
            host,
            kind: Kind::Scheduled,
            databases: vec![brief],
            set_databases: vec![set.clone()],
            pinned: false,
            damaged: false,
            accepted: false,
            held: false,
            pending: false,
            replaces: None,
        }
    }

    /// Returns the size of its databases unpacked, where all are known and possible together.
    pub fn unpacked_bytes(&self) -> Option<u64> {
        self.databases.iter().try_fold(0_u64, |sum, database| sum.checked_add(database.bytes?))
    }

    /// Returns what it says of the database with this name.
    pub fn brief(&self, database: &str) -> Option<&Brief> {
        self.databases.iter().find(|brief| brief.name.as_str() == database)
    }

    /// Returns the streams of its databases.
    pub fn streams(&self) -> Vec<&Stream> {
        self.databases.iter().map(|brief| &brief.stream).collect()
    }

    /// Compares two archives, the newer one first. Of two of the same moment the one with a number behind its name
    /// (`-2`: made later) is the newer one, because a dash sorts before the dot of the ending.
    pub fn newest_first(&self, other: &Snapshot) -> Ordering {
        other.created_at.cmp(&self.created_at).then_with(|| self.name.cmp(&other.name))
    }

    /// Returns whether it is a database as other tools leave it, which nothing counts and nothing removes.
    pub fn is_plain(&self) -> bool {
        self.origin == Origin::Plain
    }

    /// Returns whether it can be what somebody goes back to without naming it: ours, sound, and no safety backup.
    pub fn is_good(&self) -> bool {
        !self.is_plain() && !self.damaged && self.kind != Kind::Safety
    }
}
