//! The local folder of a repository: scratch, the lock, holds, pending archives, records of restores and the activity
//! log.
//! It is `.heirloom` in a local store, and a folder of the state directory for a remote store. Everything in it except
//! pending archives may be lost: the archives are the source of truth. Outside of it are the notes that a restore
//! leaves at its targets ([`intents`]) and the memory of used stores ([`known`]), which do not belong to a repository.
//! repository.

pub mod activity;
pub mod copies;
pub mod descriptions;
pub mod each_marker;
mod gone;
pub mod holds;
pub mod intents;
mod key_use;
pub mod known;
mod lock;
pub mod notices;
pub mod pending;
pub mod records;
pub mod restoring;
pub mod run_lock;
pub mod scratch;
pub mod seen;
pub mod unrestored;
mod unused;
pub mod verified;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use activity::{Activity, LogError, Sealed};
pub use holds::{Held, Hold};
pub use lock::{LockError, WorkspaceLock};
pub use records::Record;
pub use scratch::Scratch;
pub use seen::Seen;

use crate::platform;

/// The workspace of a repository. Its folder need not exist until something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    folder: PathBuf,
    /// Where scratch is made, if that is not the folder.
    scratch: Option<PathBuf>,
}

impl Workspace {
    /// Uses a folder, which need not exist; its parent must exist before something is written.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), scratch: None }
    }

    /// Makes scratch in another folder, which need not exist: plain data of encrypted archives must not lie in a store,
    /// not even for a moment, because a store may be synchronized or shared.
    #[must_use]
    pub fn with_scratch(self, folder: Option<PathBuf>) -> Self {
        Self { scratch: folder, ..self }
    }

    /// Returns the folder, which may be missing. Nothing outside this module depends on the names in it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the folder (0700) if it is missing, and returns it. Fails if something else has its name.
    ///
    /// Crash in between: an empty folder stays.
    pub fn create(&self) -> io::Result<&Path> {
        match platform::create_private_folder(&self.folder) {
            Ok(_) => Ok(&self.folder),
            Err(cause) => Err(io::Error::new(cause.kind(), Uncreated { folder: self.folder.clone(), cause })),
        }
    }

    /// Creates a folder (0700) in the workspace if it is missing. Returns its path, and whether it was created.
    fn create_subfolder(&self, name: &str) -> io::Result<(PathBuf, bool)> {
        let folder = self.create()?.join(name);
        let created = platform::create_private_folder(&folder)?;
        Ok((folder, created))
    }
}

/// The workspace could not be created.
#[derive(Debug)]
struct Uncreated {
    folder: PathBuf,
    cause: io::Error,
}

impl fmt::Display for Uncreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot create the folder \"{}\"", self.folder.display())
    }
}

impl std::error::Error for Uncreated {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
