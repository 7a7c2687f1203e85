//! What goes into an archive, and how it is made.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::compression::Compression;
use crate::database::Depth;
use crate::metadata::{Extent, Kind, RecordedRights, Replaces};
use crate::names::{ArchiveName, ENCRYPTED_ENDING, HostLabel, Name};
use crate::ops::sealing::Sealing;
use crate::platform;
use crate::streams::FileIdentity;

/// A private copy that is to be archived.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The database's name in the set.
    pub name: Name,
    /// Where it came from.
    pub source: PathBuf,
    /// The copy.
    pub copy: PathBuf,
    /// The size of the copy.
    pub bytes: u64,
    /// Whose database it is.
    pub provenance: Provenance,
    /// What is damaged in the source, and no longer shows in the copy.
    pub damage: Vec<String>,
}

/// What is recorded about where a copy came from, besides the path as it was given.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// The path with symbolic links followed.
    pub resolved: Option<String>,
    /// The file.
    pub file: Option<FileIdentity>,
    /// Whether its archives form a stream by file.
    pub by_file: bool,
    /// The most that the stream held since its last shrink.
    pub previous: Option<Extent>,
    /// The rights of the file.
    pub rights: Option<RecordedRights>,
}

impl Provenance {
    /// Looks a database up. A file that cannot be looked up has no identity and no rights.
    pub fn of(path: &Path) -> Self {
        let resolved = Some(platform::resolved(path).to_string_lossy().into_owned());
        let rights = platform::FileRights::of(path).ok().map(|rights| rights.record());
        Self { resolved, file: platform::file_identity(path).ok().flatten(), rights, ..Self::default() }
    }
}

/// Where archives are made: recorded in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name of the machine.
    pub name: String,
    /// The label that archives are kept under.
    pub label: HostLabel,
}

/// What archive to make.
#[derive(Debug, Clone)]
pub struct Request {
    /// The set.
    pub set: Name,
    /// Why it is made.
    pub kind: Kind,
    /// The name the user chose; without one it is made of set and time.
    pub name: Option<ArchiveName>,
    /// What is added to an automatic name, if two writers could give the same one.
    pub digits: Option<u16>,
    /// The note of the user.
    pub note: Option<String>,
    /// The host.
    pub host: Host,
    /// When the snapshot was pinned.
    pub created_at: DateTime<Utc>,
    /// The restore that a safety archive is made before.
    pub replaces: Option<Replaces>,
    /// Whether the copies show one point in time.
    pub consistent: bool,
    /// Databases of the set that are not in the archive.
    pub absent: Vec<Name>,
    /// How thoroughly the copies are checked.
    pub check: Depth,
    /// Whether a damaged copy is archived, marked, instead of refused.
    pub keep_damaged: bool,
    /// Whether the copies are vacuumed.
    pub vacuum: bool,
    /// How the archive is compressed.
    pub compression: Compression,
    /// How it is encrypted; `None` if it is not.
    pub sealing: Option<Sealing>,
    /// How many threads compress and decompress.
    pub threads: NonZeroUsize,
    /// How long to wait for the store's lock at the commit.
    pub lock_wait: Duration,
}

impl Request {
    /// Returns the extension of the archive.
    pub fn ending(&self) -> String {
        ending(self.compression, self.sealing.is_some())
    }

    /// Returns for whom it is encrypted, as labels name them; nobody if it is not.
    pub fn recipients(&self) -> Vec<String> {
        self.sealing.as_ref().map(|sealing| sealing.recipients.texts()).unwrap_or_default()
    }
}

/// Returns the extension of an archive.
pub fn ending(compression: Compression, is_encrypted: bool) -> String {
    format!("{}{}", compression.ending(), if is_encrypted { ENCRYPTED_ENDING } else { "" })
}
