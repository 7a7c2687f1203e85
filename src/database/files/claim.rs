//! The sole right of one operation to a file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};

/// A file, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::database) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(in crate::database) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The files to which this process has, or is about to have, SQLite connections.
static CLAIMED: Mutex<Vec<FileId>> = Mutex::new(Vec::new());

/// The sole right of this process to a file.
///
/// POSIX locks belong to the process: whoever opens and closes a file drops the locks of every connection to it. So one
/// part of the program at a time works on a file, and only it knows when no connection is open.
#[derive(Debug)]
pub(in crate::database) struct Claim(pub(in crate::database) FileId);

impl Claim {
    /// Claims a file; `None` where another part of this process has it.
    pub(in crate::database) fn new(id: FileId) -> Option<Self> {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.contains(&id) {
            return None;
        }
        claimed.push(id);
        Some(Self(id))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).retain(|id| *id != self.0);
    }
}
