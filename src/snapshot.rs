//! An archive as the operations see it: independent of the tool that wrote it, and without its bytes.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::metadata::{Extent, Kind, Metadata, Replaces, TableMetadata};
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::streams::{FileIdentity, Place, Stream};

/// The contents of an archive, from its metadata or, if there is none, from its entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// The tool that wrote it.
    pub origin: Origin,
    /// Its original name.
    pub backup_name: String,
    /// The point in time that its data shows.
    pub created_at: DateTime<Utc>,
    /// The set; for files of other tools, the name before the time.
    pub set: Name,
    /// Why it was made.
    pub kind: Kind,
    /// Its databases, in the order of their entries.
    pub databases: Vec<Held>,
    /// Oddities of an archive that can be read (an entry that the metadata does not list, a listed database that is
    /// missing).
    pub oddities: Vec<String>,
    /// The complete metadata, if the archive has format 1.
    pub metadata: Option<Metadata>,
    /// The identity of the archive, independent of its name; `None` if it has no metadata.
    pub id: Option<ArchiveId>,
    /// Whether it came out of an encrypted file.
    pub is_encrypted: bool,
}

/// One database in an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its name in the set.
    pub name: Name,
    /// Its file name: one path component, validated by [`is_file_name`](crate::names::is_file_name).
    pub file: String,
    /// Its size in bytes; `None` for a gzipped plain database that was not read yet.
    pub bytes: Option<u64>,
    /// The recorded digest; other tools recorded none.
    pub sha256: Option<Sha256>,
    /// The path it came from, if that was recorded.
    pub source: Option<String>,
    /// The tables that the metadata lists; `None` if it lists none.
    pub tables: Option<Vec<TableMetadata>>,
    /// The number of tables in the metadata, if it gives only that.
    pub table_count: Option<u64>,
    /// Its sidecars, if another tool copied them; our archives contain none.
    pub sidecars: Vec<Sidecar>,
}

/// A file that SQLite keeps beside a database. Without it, the database lacks commits or contains half a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sidecar {
    /// Which one.
    pub part: Part,
    /// Its size.
    pub bytes: u64,
}

/// The files that SQLite keeps beside a database, except the `-shm`: it is only an index, which SQLite rebuilds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The write-ahead log: commits that are not in the database yet.
    Wal,
    /// The rollback journal: the previous contents of pages changed by an unfinished transaction.
    Journal,
}

impl Part {
    /// All parts, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::Wal, Self::Journal];

    /// Returns the suffix of its file name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Wal => "-wal",
            Self::Journal => "-journal",
        }
    }
}

/// The tool that made an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// heirloom, archive format 1.
    Format1,
    /// The Python tool that heirloom replaces: metadata without `format`.
    Legacy,
    /// A database left by other tools: a plain file, gzipped or not, or a tar without metadata. It is ignored in
    /// deciding what to keep, which archive is the newest, and how old a backup is.
    Plain,
}

/// One archive of a store, as listed: small, for stores with ten thousand of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its file name in the store.
    pub name: ArchiveName,
    /// The size of the file.
    pub bytes: u64,
    /// Its identity, independent of its name; copies under other names share it.
    pub id: Option<ArchiveId>,
    /// The tool that wrote it.
    pub origin: Origin,
    /// The point in time that its data shows.
    pub created_at: DateTime<Utc>,
    /// The set.
    pub set: Name,
    /// The host label it was made under, or this host's if none was recorded.
    pub host: HostLabel,
    /// Why it was made.
    pub kind: Kind,
    /// Its databases.
    pub databases: Vec<Brief>,
    /// Every database of the set when it was made, included or not.
    pub set_databases: Vec<Name>,
    /// Whether it has a `.keep` file: retention never removes it.
    pub pinned: bool,
    /// Whether it has a `.damaged` file, or its metadata marks a database as damaged: it takes no slot and is only
    /// restored on request.
    pub damaged: bool,
    /// Whether it has an `.accepted` file: its shrink is intended.
    pub accepted: bool,
    /// Whether it has a `.sha256` file: its digest, for hosts without its key.
    pub has_digest: bool,
    /// Whether a running guard, restore or copy needs it.
    pub held: bool,
    /// Whether it is still in the workspace, waiting to be moved to the store.
    pub pending: bool,
    /// The restore that a safety archive was made for.
    pub replaces: Option<Replaces>,
    /// Whether it is encrypted, and what its description stands on.
    pub seal: Seal,
}

/// Whether an archive is encrypted, and what its description stands on.
///
/// Anybody who can write to a store can put an archive with any label there. So a label counts only if this host
/// remembers having written exactly that file; a label that nobody vouches for is shown, and nothing else follows from
/// it: its archive takes no slot, is not the newest of anything, and is never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Seal {
    /// It is not encrypted, and nothing says that it should be.
    #[default]
    None,
    /// It is not encrypted, but the archives of its store are.
    Missing,
    /// It is encrypted, and a key opened it: the description is the metadata inside.
    Opened,
    /// It is encrypted, and no key here opens it. The description is its label, which this host wrote.
    Known,
    /// The same, but nothing here vouches for its label.
    Closed,
}

/// What listing, retention and health need to know about one database in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Its name in the set.
    pub name: Name,
    /// Its size in bytes, unpacked.
    pub bytes: Option<u64>,
    /// Its tables, if known.
    pub tables: Option<u64>,
    /// The rows of its tables that could be counted, if known.
    pub rows: Option<u64>,
    /// The stream to which it belongs.
    pub stream: Stream,
    /// Whether the path of the stream was resolved when the archive was made; older releases recorded it as typed.
    pub resolved: bool,
    /// The path as given.
    pub source: Option<String>,
    /// The file it was copied from.
    pub file: Option<FileIdentity>,
    /// The maximum that the stream contained before, since its last shrink.
    pub previous: Option<Extent>,
}

impl Brief {
    /// Creates a fictional database with this name: for simulations and tests.
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
    /// Creates a scheduled archive of one fictional database: for simulations and tests.
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
            has_digest: false,
            held: false,
            pending: false,
            replaces: None,
            seal: Seal::None,
        }
    }

    /// Returns the uncompressed size of its databases, if all are known and the sum is possible.
    pub fn unpacked_bytes(&self) -> Option<u64> {
        self.databases.iter().try_fold(0_u64, |sum, database| sum.checked_add(database.bytes?))
    }

    /// Returns its entry for the database with this name.
    pub fn brief(&self, database: &str) -> Option<&Brief> {
        self.databases.iter().find(|brief| brief.name.as_str() == database)
    }

    /// Returns the streams of its databases.
    pub fn streams(&self) -> Vec<&Stream> {
        self.databases.iter().map(|brief| &brief.stream).collect()
    }

    /// Compares two archives, newer first. If the times are equal, the one with the higher number after its name (`-2`:
    /// made later) is newer, because a dash sorts before the dot of the extension.
    pub fn newest_first(&self, other: &Snapshot) -> Ordering {
        other.created_at.cmp(&self.created_at).then_with(|| self.name.cmp(&other.name))
    }

    /// Returns whether it is a database of another tool, which is neither counted nor removed.
    pub fn is_plain(&self) -> bool {
        self.origin == Origin::Plain
    }

    /// Returns whether it can be restored without being named: ours, sound, and not a safety backup; on the word of
    /// somebody who can be believed.
    pub fn is_good(&self) -> bool {
        !self.is_plain() && !self.damaged && self.kind != Kind::Safety && self.is_trusted()
    }

    /// Returns whether no key here opens it.
    pub fn is_locked(&self) -> bool {
        matches!(self.seal, Seal::Known | Seal::Closed)
    }

    /// Returns whether nothing vouches for its description.
    pub fn is_closed(&self) -> bool {
        self.seal == Seal::Closed
    }

    /// Returns whether its description counts: anybody can have put the others there.
    pub fn is_trusted(&self) -> bool {
        !matches!(self.seal, Seal::Closed | Seal::Missing)
    }
}
