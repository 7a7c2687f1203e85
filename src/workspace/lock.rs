//! The lock of a repository: one run at a time commits, plans removals or removes.
//!
//! It is a `flock` on a permanent file, so it ends with the process that holds it and is never stale. It is held only
//! for moments; capturing and compressing happen outside of it.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Workspace;
use crate::platform::{is_named, lock_file};
use crate::progress::{Interrupted, Progress};

/// How long to sleep between two attempts.
const PAUSE: Duration = Duration::from_millis(25);

/// The exclusive lock of a workspace, released when dropped.
#[derive(Debug)]
pub struct WorkspaceLock {
    _file: File,
}

/// Its file in the workspace.
pub(super) const FILE: &str = "lock";

/// Why the lock could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// Another run held it for longer than the timeout.
    Held {
        /// The lock file.
        path: PathBuf,
        /// How long it waited.
        waited: Duration,
    },
    /// A system error.
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The operation was asked to stop.
    Interrupted(Interrupted),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { path, waited } => {
                write!(f, "another run holds the lock \"{}\" (waited {} s)", path.display(), waited.as_secs())
            }
            Self::Io { path, .. } => write!(f, "cannot take the lock \"{}\"", path.display()),
            Self::Interrupted(interrupted) => interrupted.fmt(f),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(cause),
            Self::Interrupted(cause) => Some(cause),
            Self::Held { .. } => None,
        }
    }
}

impl Workspace {
    /// Takes the lock, waiting up to `limit` for another run.
    pub fn lock(&self, limit: Duration, progress: &dyn Progress) -> Result<WorkspaceLock, LockError> {
        let path = self.folder.join(FILE);
        self.create().map_err(|cause| LockError::Io { path: path.clone(), cause })?;
        let open = || lock_file(&path).map(Some);
        let file = lock_named(&path, open, limit, progress)?;
        Ok(WorkspaceLock { _file: file.expect("a file that is missing is created") })
    }
}

/// Opens and locks a file, waiting up to `limit` for another run. `None` if `open` finds no file.
///
/// The previous holder may have removed the file: then the lock of that file is meaningless, and the path is opened
/// again.
pub(super) fn lock_named(
    path: &Path,
    open: impl Fn() -> io::Result<Option<File>>,
    limit: Duration,
    progress: &dyn Progress,
) -> Result<Option<File>, LockError> {
    let started = Instant::now();
    let failed = |cause| LockError::Io { path: path.to_owned(), cause };
    let Some(mut file) = open().map_err(failed)? else { return Ok(None) };
    loop {
        match file.try_lock() {
            Ok(()) if is_named(&file, path).map_err(failed)? => return Ok(Some(file)),
            Ok(()) => match open().map_err(failed)? {
                Some(next) => file = next,
                None => return Ok(None),
            },
            Err(TryLockError::WouldBlock) if started.elapsed() < limit => {
                progress.checkpoint().map_err(LockError::Interrupted)?;
                std::thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { path: path.to_owned(), waited: started.elapsed() });
            }
            Err(TryLockError::Error(cause)) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_second_run_is_refused_until_the_first_releases_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let first = workspace.lock(Duration::ZERO, &Silent).unwrap();
        let refused = workspace.lock(Duration::from_millis(60), &Silent).unwrap_err();
        assert!(matches!(refused, LockError::Held { waited, .. } if waited >= Duration::from_millis(60)));
        drop(first);
        let removed = workspace.lock(Duration::ZERO, &Silent).unwrap();
        fs::remove_file(folder.path().join(FILE)).unwrap();
        let _next = workspace.lock(Duration::ZERO, &Silent).unwrap();
        drop(removed);
        workspace.lock(Duration::ZERO, &Silent).unwrap_err();
    }

    #[test]
    fn a_lock_that_is_free_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        workspace.lock(Duration::ZERO, &Silent).unwrap();
    }
}
