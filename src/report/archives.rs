//! What is reported about archives: lists, details, marks, deletions, and what `verify` found.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::time;
use crate::metadata::{Extent, Kind, Metadata, Replaces};
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::retention;
use crate::snapshot::{Brief, Origin, Seal, Snapshot};

/// An archive of a store, or one that was named by its path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Archive {
    /// Its name.
    pub archive: String,
    /// Its id, independent of its name.
    pub id: Option<ArchiveId>,
    /// The instant of the snapshot.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// The set.
    pub set: Name,
    /// The label of its host.
    pub host: HostLabel,
    /// Why it exists.
    pub kind: Kind,
    /// Its size.
    pub bytes: u64,
    /// The size of its databases, if known.
    pub unpacked_bytes: Option<u64>,
    /// Who wrote it.
    pub origin: &'static str,
    /// Whether it is marked as damaged, or holds a damaged database.
    pub damaged: bool,
    /// Whether it is never removed by retention.
    pub pinned: bool,
    /// Whether it is an accepted shrink.
    pub accepted: bool,
    /// Whether a running command needs it.
    pub held: bool,
    /// Whether it is pending in the workspace.
    pub pending: bool,
    /// `none`; `missing`: it is plain, although the archives of its store are encrypted; `opened`: by a key of this
    /// host; `locked`: no key here opens it, and this host made it; `unproved`: the same, and only its label describes
    /// it.
    pub encryption: &'static str,
    /// The databases in it.
    pub databases: Vec<Database>,
}

/// A database in an archive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Database {
    /// Its name.
    pub name: Name,
    /// Its resolved path, if recorded.
    pub path: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// The number of its tables.
    pub tables: Option<u64>,
    /// Its rows.
    pub rows: Option<u64>,
    /// The most it held before.
    pub previous: Option<Extent>,
}

impl From<&Snapshot> for Archive {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            archive: snapshot.name.to_string(),
            id: snapshot.id,
            created_at: snapshot.created_at,
            set: snapshot.set.clone(),
            host: snapshot.host.clone(),
            kind: snapshot.kind,
            bytes: snapshot.bytes,
            unpacked_bytes: snapshot.unpacked_bytes(),
            origin: match snapshot.origin {
                Origin::Format1 => "heirloom",
                Origin::Legacy => "old_tool",
                Origin::Plain => "plain",
            },
            damaged: snapshot.damaged,
            pinned: snapshot.pinned,
            accepted: snapshot.accepted,
            held: snapshot.held,
            pending: snapshot.pending,
            encryption: match snapshot.seal {
                Seal::None => "none",
                Seal::Missing => "missing",
                Seal::Opened => "opened",
                Seal::Known => "locked",
                Seal::Closed => "unproved",
            },
            databases: snapshot.databases.iter().map(Database::from).collect(),
        }
    }
}

impl From<&Brief> for Database {
    fn from(brief: &Brief) -> Self {
        Self {
            name: brief.name.clone(),
            path: brief.stream.path().map(str::to_owned),
            bytes: brief.bytes,
            tables: brief.tables,
            rows: brief.rows,
            previous: brief.previous,
        }
    }
}

/// What `list` reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct List {
    /// The store.
    pub store: String,
    /// Its archives, newest first.
    pub archives: Vec<Listed>,
    /// Files that are not archives, or cannot be described.
    pub foreign: Vec<Foreign>,
}

/// What `list` reports about several stores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lists {
    /// The main store first, then those that answered of the further ones.
    pub stores: Vec<List>,
}

/// An archive in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The archive.
    #[serde(flatten)]
    pub archive: Archive,
    /// The archive of which it is a copy under another name.
    pub copy_of: Option<ArchiveName>,
    /// The further stores that held it when they were last listed; absent if none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<Vec<Name>>,
}

/// A file that is not an archive, or cannot be described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// Its name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Why it is not one.
    pub why: String,
    /// Whether it looks like a damaged archive.
    pub damaged: bool,
    /// Whether reading it failed with an I/O error.
    pub unread: bool,
    /// Whether a newer release wrote it.
    pub newer_format: bool,
    /// Whether it is encrypted and no available key opens it.
    pub key_missing: bool,
}

/// What `show` reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// The archive.
    #[serde(flatten)]
    pub archive: Archive,
    /// The further stores that held it when they were last listed; absent if none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<Vec<Name>>,
    /// The restore that a safety archive was made before.
    pub replaces: Option<Replaces>,
    /// The whole metadata of an archive of format 1.
    pub metadata: Option<Metadata>,
    /// Warnings about a readable archive.
    pub oddities: Vec<String>,
}

/// What `verify` reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The depth of the check.
    pub depth: &'static str,
    /// The verified archives.
    pub archives: Vec<VerifiedArchive>,
}

/// What `verify` reports about several stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verifications {
    /// The depth of the check.
    pub depth: &'static str,
    /// The main store first.
    pub stores: Vec<VerifiedStore>,
}

/// What was found about the archives of one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedStore {
    /// `main`, or the name of the copy.
    pub name: String,
    /// Where it is.
    pub store: String,
    /// The verified archives.
    pub archives: Vec<VerifiedArchive>,
    /// Why not all archives were verified.
    pub error: Option<String>,
}

/// What was found about one archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedArchive {
    /// The archive.
    pub archive: String,
    /// `ok`, `damaged`, or `unknown` if it could not be read.
    pub state: &'static str,
    /// Problems and warnings.
    pub findings: Vec<String>,
}

/// What `pin` and `unpin` report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// The archive.
    pub archive: ArchiveName,
    /// Whether it is pinned now.
    pub pinned: bool,
    /// Whether this command changed that.
    pub changed: bool,
}

/// What `accept` reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accepted {
    /// The archive.
    pub archive: ArchiveName,
    /// Whether it is accepted now.
    pub accepted: bool,
    /// Whether this command changed that.
    pub changed: bool,
    /// The shrinks that were accepted.
    pub shrinks: Vec<AcceptedShrink>,
}

/// A shrink that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AcceptedShrink {
    /// The shrink.
    #[serde(flatten)]
    pub shrink: Shrink,
    /// The path of the database.
    pub path: Option<String>,
}

/// A database that lost more than half of what it held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shrink {
    /// The first archive with less.
    pub archive: ArchiveName,
    /// The database.
    pub database: Name,
    /// When the archive was made.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// What it held.
    pub before: Extent,
    /// What it holds.
    pub after: Extent,
}

impl From<&retention::Shrink> for Shrink {
    fn from(shrink: &retention::Shrink) -> Self {
        Self {
            archive: shrink.archive.clone(),
            database: shrink.database.clone(),
            created_at: shrink.created_at,
            before: shrink.before,
            after: shrink.after,
        }
    }
}

impl From<&retention::Shrink> for AcceptedShrink {
    fn from(shrink: &retention::Shrink) -> Self {
        Self { path: shrink.stream.path().map(str::to_owned), shrink: shrink.into() }
    }
}

/// What `delete` reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Deletion {
    /// Nothing was done.
    Planned {
        /// Always true.
        dry_run: bool,
        /// What would be deleted.
        remove: Vec<ArchiveName>,
    },
    /// It was done.
    Done {
        /// What is deleted.
        removed: Vec<ArchiveName>,
        /// Whether the service keeps it as hidden versions.
        hidden: bool,
    },
}
