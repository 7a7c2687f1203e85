//! Exclusive use of a file by one operation of this process.
//!
//! POSIX locks belong to the process: opening and closing a file drops the locks of all its connections. So only one
//! operation at a time works on a file, because only that one knows when no connection is open. A second operation in
//! the same process (a supervisor runs several) waits for the first.

use std::fs::Metadata;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::platform::file_id;
use crate::progress::{Interrupted, Progress};

/// How often a wait checks for cancellation.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A file, independent of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::database) struct FileId((u64, u64));

impl FileId {
    pub(in crate::database) fn of(metadata: &Metadata) -> Self {
        Self(file_id(metadata))
    }
}

/// The files to which this process has, or is about to open, SQLite connections.
static CLAIMED: Mutex<Vec<FileId>> = Mutex::new(Vec::new());
/// Wakes the operations that wait for one of them.
static RELEASED: Condvar = Condvar::new();

/// Exclusive use of a file by one operation, until dropped.
#[derive(Debug)]
pub(in crate::database) struct Claim(FileId);

impl Claim {
    /// Waits until no other operation of this process uses the file; `None` if that takes longer than `busy` from
    /// `started`.
    ///
    /// An operation on several files claims them in the order of their ids, so that no two operations deadlock.
    pub(in crate::database) fn wait(
        id: FileId,
        started: Instant,
        busy: Duration,
        progress: &dyn Progress,
    ) -> Result<Option<Self>, Interrupted> {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        while claimed.contains(&id) {
            progress.checkpoint()?;
            let left = busy.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            (claimed, _) = RELEASED.wait_timeout(claimed, left.min(LOOK_EVERY)).unwrap_or_else(PoisonError::into_inner);
        }
        claimed.push(id);
        Ok(Some(Self(id)))
    }

    /// Returns whether this claims the given file.
    pub(super) fn is_for(&self, id: FileId) -> bool {
        self.0 == id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).retain(|id| *id != self.0);
        RELEASED.notify_all();
    }
}
