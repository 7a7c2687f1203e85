//! Decides which plain databases in a store may be removed on request.
//!
//! A store can be the folder of an application. A file that looks like a copy of another tool may then be a live
//! database, so every sign of that is checked, and a check that fails counts as a sign.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::database::{self, Holder};
use crate::names::{ArchiveName, printable};
use crate::ops::Repository;
use crate::platform;
use crate::snapshot::Snapshot;

/// How a database file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The files SQLite keeps beside a database that is in use or was not closed.
const SIDECARS: [&str; 3] = ["-wal", "-journal", "-shm"];

/// The databases that a plain file must not be: configured ones, and those that archives record.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    paths: BTreeSet<PathBuf>,
    files: BTreeSet<(u64, u64)>,
    /// A database that could not be looked up: it may be any file.
    unknown: Option<PathBuf>,
}

impl Sources {
    /// Looks up these databases and those that the archives were copied from. A missing one has only a path.
    pub fn new<'a>(configured: impl IntoIterator<Item = &'a Path>, snapshots: &[Snapshot]) -> Self {
        let mut sources = Self::default();
        for path in configured {
            sources.add(path);
        }
        for brief in snapshots.iter().filter(|snapshot| !snapshot.is_plain()).flat_map(|snapshot| &snapshot.databases) {
            for path in brief.stream.path().into_iter().chain(brief.source.as_deref()) {
                sources.add(Path::new(path));
            }
        }
        sources
    }

    fn add(&mut self, path: &Path) {
        if self.paths.insert(path.to_owned()) {
            self.paths.insert(platform::resolved(path));
            match fs::metadata(path) {
                Ok(found) => drop(self.files.insert(platform::file_id(&found))),
                Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(_) => self.unknown = Some(path.to_owned()),
            }
        }
    }
}

/// Why a plain database stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spared {
    /// It is a configured database, or one that archives were copied from.
    Source,
    /// It is a link, or a file with further names.
    Link,
    /// It has a sidecar beside it.
    Sidecar(&'static str),
    /// Processes have it open.
    Open(Vec<Holder>),
    /// Not every process is visible, so it may be open.
    Unproved,
    /// This configured or recorded database could not be looked up, and may be the same file.
    Unknown(PathBuf),
}

impl Spared {
    /// Returns whether the only reason against its removal is that a check could not be completed.
    pub fn is_doubt(&self) -> bool {
        matches!(self, Self::Unproved | Self::Unknown(_))
    }
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("it is a configured database, or one that archives were copied from"),
            Self::Link => f.write_str("it is a link, or has another name"),
            Self::Sidecar(ending) => write!(f, "a {ending} lies beside it"),
            Self::Open(holders) => {
                let shown = holders.iter().map(|holder| format!("{} ({})", printable(&holder.name), holder.pid));
                write!(f, "it is open in {}", shown.collect::<Vec<_>>().join(", "))
            }
            Self::Unknown(path) => {
                write!(
                    f,
                    "it may be \"{}\", which could not be looked up (run as root)",
                    printable(&path.to_string_lossy())
                )
            }
            Self::Unproved => f.write_str(
                "not all processes can be seen, so it may be open in one (run as root, outside of a container)",
            ),
        }
    }
}

/// Returns why a plain database in a store must not be removed; `None` if it may be removed.
///
/// Opens the file to see whether it is a database: no SQLite connection of this process may be open to it.
pub fn spared(repository: &Repository, name: &ArchiveName, sources: &Sources) -> anyhow::Result<Option<Spared>> {
    // A store that is not a local folder holds no live database.
    let Some(path) = repository.store().place(name.as_str()) else { return Ok(None) };
    let found = match fs::symlink_metadata(&path) {
        // Another run removed it.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() {
        return Ok(Some(Spared::Link));
    }
    if sources.paths.contains(&platform::resolved(&path)) || sources.files.contains(&platform::file_id(&found)) {
        return Ok(Some(Spared::Source));
    }
    if platform::has_other_names(&found) {
        return Ok(Some(Spared::Link));
    }
    for ending in SIDECARS {
        match fs::symlink_metadata(path.with_file_name(format!("{name}{ending}"))) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause.into()),
            Ok(_) => return Ok(Some(Spared::Sidecar(ending))),
        }
    }
    let holders = database::holders(&path)?;
    if !holders.processes.is_empty() {
        return Ok(Some(Spared::Open(holders.processes)));
    }
    // A compressed file cannot be a live database.
    let doubt = sources.unknown.clone().map(Spared::Unknown).or((!holders.complete).then_some(Spared::Unproved));
    if doubt.is_some() && is_database(repository, name)? { Ok(doubt) } else { Ok(None) }
}

fn is_database(repository: &Repository, name: &ArchiveName) -> anyhow::Result<bool> {
    let source = repository.store().open(name.as_str(), None)?;
    let mut head = [0; MAGIC.len()];
    if source.bytes() < MAGIC.len() as u64 {
        return Ok(false);
    }
    source.read_exact_at(&mut head, 0)?;
    Ok(head == MAGIC)
}
