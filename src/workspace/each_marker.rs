//! The note beside the databases of a pattern while they are restored to a fresh disk.
//!
//! A run that dies leaves some of them restored. The disk is not fresh any more then, and the others would never come
//! back. The note lists the sets of the whole restore, and it lies on the disk that they come back to.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::names::Name;
use crate::platform::{private_file_anew, sync_folder};

/// The prefix of its name, which no wildcard matches.
const PREFIX: &str = ".heirloom-each-";
/// The largest note that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The note of a pattern.
#[derive(Debug, Clone)]
pub struct EachMarker {
    folder: PathBuf,
    file: PathBuf,
}

impl EachMarker {
    /// Returns the note of a pattern in its folder, which need not exist.
    pub fn new(folder: &Path, each: &Name) -> Self {
        Self { folder: folder.to_owned(), file: folder.join(format!("{PREFIX}{each}")) }
    }

    /// Returns the sets that an interrupted run was restoring; `None` without one.
    pub fn read(&self) -> io::Result<Option<BTreeSet<Name>>> {
        let text = match fs::metadata(&self.file) {
            Ok(found) if found.is_file() && found.len() <= MAX_BYTES => fs::read(&self.file)?,
            Ok(_) => return Err(io::Error::other("it is not a note of an interrupted restore")),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause),
        };
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Writes the note, durably.
    ///
    /// Crash before the rename: the note is the one before, and no database was restored for the new one. Crash after
    /// it: the next run restores those that are missing.
    pub fn write(&self, sets: &BTreeSet<Name>) -> io::Result<()> {
        let staged = self.file.with_extension("new");
        let mut file = private_file_anew(&staged)?;
        file.write_all(&serde_json::to_vec(sets)?)?;
        file.sync_all()?;
        fs::rename(&staged, &self.file)?;
        sync_folder(&self.folder)
    }

    /// Removes the note: all are restored.
    ///
    /// Crash before: the next run finds nothing missing, and removes it.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.file)?;
        sync_folder(&self.folder)
    }
}
