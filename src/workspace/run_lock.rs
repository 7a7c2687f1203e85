//! The lock of `run`: one supervisor at a time saves into a store from this workspace.
//!
//! It is a `flock` on a permanent file, so it ends with the process that holds it. The file names the holder for the
//! messages of others; what it says is never trusted.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use super::Workspace;
use crate::digest::Sha256;
use crate::platform::{boot_id, file_id, lock_file};

/// Its file in the workspace.
const FILE: &str = "run.lock";
/// The longest description of a holder that is read, in bytes.
const MAX: u64 = 300;

/// The lock, released when dropped.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Returns an id of the locked file that no other file on any machine has as long as it exists; `None` if the
    /// system does not tell which boot of which machine this is. Whoever holds the lock knows that no other process
    /// with the same id holds it.
    pub fn id(&self) -> Option<String> {
        let (device, inode) = file_id(&self.file.metadata().ok()?);
        let text = format!("{} {device} {inode}", boot_id()?);
        Some(Sha256::of(text.as_bytes()).to_string()[..32].to_owned())
    }
}

/// Why the lock was not taken.
#[derive(Debug)]
pub enum RunLockError {
    /// Another run has it.
    Held {
        /// How it described itself.
        holder: String,
    },
    /// A system error.
    Io(io::Error),
}

impl Workspace {
    /// Takes the lock without waiting, and writes who has it.
    ///
    /// Crash in between: the lock is free again, and the file describes nobody or the former holder.
    pub fn run_lock(&self, me: &str) -> Result<RunLock, RunLockError> {
        let open = || self.create().and_then(|folder| lock_file(&folder.join(FILE)));
        let mut file = open().map_err(RunLockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = (&file).take(MAX).read_to_string(&mut holder);
                let holder = read.map_or_else(|_| "unknown".into(), |_| holder.trim().to_owned());
                return Err(RunLockError::Held { holder });
            }
            Err(TryLockError::Error(cause)) => return Err(RunLockError::Io(cause)),
        }
        // The lock counts, not the description.
        let _ = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| writeln!(file, "{me}"));
        Ok(RunLock { file })
    }
}

impl Workspace {
    /// Returns how the run that has the lock described itself. A run that takes it at this very moment finds it held,
    /// and tries again.
    pub fn run_holder(&self) -> Option<String> {
        let file = File::open(self.folder().join(FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                (&file).take(MAX).read_to_string(&mut holder).ok()?;
                Some(holder.trim().to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_learns_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let first = workspace.run_lock("the first").unwrap();
        let refused = workspace.run_lock("the second").unwrap_err();
        assert!(matches!(refused, RunLockError::Held { holder } if holder == "the first"));
        assert_eq!(workspace.run_holder().as_deref(), Some("the first"));
        drop(first);
        assert_eq!(workspace.run_holder(), None);
        workspace.run_lock("the second").unwrap();
    }
}
