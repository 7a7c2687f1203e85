//! Announces restores, so that scheduled jobs of `run` give way to them.
//!
//! An announcement is a `flock` on a permanent file for each set, so it ends with the process that made it. Nothing is
//! protected by it: a restore that is not announced waits for the jobs, as for those of anybody else.

use std::fs::{self, File, TryLockError};
use std::io;
use std::thread;
use std::time::Duration;

use super::Workspace;
use crate::names::Name;
use crate::platform::lock_file;

/// Around the name of the set.
const FILE: (&str, &str) = ("restoring-", ".lock");
/// How often it is tried while a job looks at the file, which takes microseconds.
const TRIES: u32 = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// A restore that is under way; over when dropped.
#[derive(Debug)]
pub struct Restoring {
    _file: File,
}

impl Workspace {
    /// Announces a restore of a set. `None` if another one of the same set is announced.
    ///
    /// Crash in between: the file stays, unlocked.
    pub fn announce_restore(&self, set: &Name) -> io::Result<Option<Restoring>> {
        let file = lock_file(&self.create()?.join(format!("{}{set}{}", FILE.0, FILE.1)))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Restoring { _file: file })),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(cause)) => return Err(cause),
            }
        }
        Ok(None)
    }

    /// Returns whether a restore is announced: of this set, or of any. What cannot be read announces nothing.
    pub fn is_restoring(&self, set: Option<&Name>) -> bool {
        let Ok(entries) = fs::read_dir(self.folder()) else { return false };
        let is_meant = |file: &str| {
            let of = file.strip_prefix(FILE.0).and_then(|file| file.strip_suffix(FILE.1));
            of.is_some_and(|of| set.is_none_or(|set| set.as_str() == of))
        };
        entries.flatten().any(|entry| {
            entry.file_name().to_str().is_some_and(is_meant)
                && File::open(entry.path())
                    .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_announced_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let [shop, other] = ["shop", "shop-2"].map(|name| name.parse::<Name>().unwrap());
        assert!(!workspace.is_restoring(None));
        let announced = workspace.announce_restore(&shop).unwrap().unwrap();
        assert!(workspace.is_restoring(None) && workspace.is_restoring(Some(&shop)));
        assert!(!workspace.is_restoring(Some(&other)));
        assert!(workspace.announce_restore(&shop).unwrap().is_none());
        drop(announced);
        assert!(!workspace.is_restoring(None));
        assert!(workspace.announce_restore(&shop).unwrap().is_some());
    }
}
