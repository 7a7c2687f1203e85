//! Holds of running processes: archives that must not be removed, and databases that a guarded command works on.
//!
//! A hold is a small file in `holds/` of the workspace. Its process holds a `flock` on it, so it ends with the process
//! and is never stale: a file without a lock belongs to a finished run, and is ignored.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Workspace, WorkspaceLock};
use crate::names::ArchiveName;
use crate::platform::private_file_anew;

/// The folder inside the workspace.
pub(super) const FOLDER: &str = "holds";

/// The contents of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The command that holds it.
    pub command: String,
    /// The archives that it needs.
    pub archives: Vec<ArchiveName>,
    /// The databases that a guarded command works on, without symbolic links. A backup of one of them is a `safety`
    /// backup.
    pub guarded: Vec<PathBuf>,
}

/// A hold of this process, which ends when dropped.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _lock: File,
}

impl Workspace {
    /// Takes a hold. The caller holds the lock, or created the archives in this run: they cannot be removed in between.
    ///
    /// Crash before the rename: a `put-` file, which the next cleanup of leftovers removes. Crash after it: a file
    /// without a lock.
    pub fn hold(&self, held: &Held) -> io::Result<Hold> {
        let (folder, _) = self.create_subfolder(FOLDER)?;
        // Process ids repeat across containers that share a store; the rename below must never replace another
        // process's hold.
        let name = format!("{}-{:016x}.json", std::process::id(), RandomState::new().build_hasher().finish());
        let staged = self.folder.join(format!("put-hold-{name}"));
        let path = folder.join(name);
        let mut file = private_file_anew(&staged)?;
        file.lock()?;
        file.write_all(&serde_json::to_vec_pretty(held)?)?;
        // It need not survive a power cut: the process does not either.
        fs::rename(&staged, &path)?;
        Ok(Hold { path, _lock: file })
    }

    /// Returns the holds of running processes. An unreadable hold is an error, because what it protects is unknown.
    pub fn held(&self) -> io::Result<Vec<Held>> {
        self.held_besides(None)
    }

    /// Returns the holds of running processes, except one hold of this process.
    pub fn held_besides(&self, own: Option<&Hold>) -> io::Result<Vec<Held>> {
        let mut found = Vec::new();
        for path in files(&self.folder.join(FOLDER))?.into_iter().filter(|path| own.is_none_or(|own| own.path != *path))
        {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match file.try_lock_shared() {
                // Its process has ended.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => found.push(serde_json::from_reader(io::BufReader::new(&file))?),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Removes the files of holds whose process has ended; returns how many. The caller holds the lock.
    ///
    /// A process that takes a hold renames a file that it has already locked, so a file here without a lock is never a
    /// new one.
    pub fn remove_ended_holds(&self, _lock: &WorkspaceLock) -> io::Result<usize> {
        let mut removed = 0;
        for path in files(&self.folder.join(FOLDER))? {
            let ended = match File::open(&path) {
                Ok(file) => file.try_lock_shared().is_ok(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if ended {
                match fs::remove_file(&path) {
                    Ok(()) => removed += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(removed)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // If it cannot be removed, the lock still ends, and the file is ignored.
        let _ = fs::remove_file(&self.path);
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_hold_counts_until_its_process_releases_it() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let ended = || workspace.remove_ended_holds(&workspace.lock(Duration::ZERO, &Silent).unwrap()).unwrap();
        assert_eq!(workspace.held().unwrap(), []);
        let archive = ArchiveName::new("app_20260301T000000Z.tar.gz").unwrap();
        let held = Held { command: "guard".into(), archives: vec![archive], guarded: vec!["/x/app.db".into()] };
        let hold = workspace.hold(&held).unwrap();
        assert_eq!(workspace.held().unwrap(), std::slice::from_ref(&held));
        assert_eq!(ended(), 0);
        drop(hold);
        assert_eq!(workspace.held().unwrap(), []);

        // A process that died leaves its file, but no lock.
        fs::write(folder.path().join(FOLDER).join("1-0.json"), "half a rec").unwrap();
        assert_eq!(workspace.held().unwrap(), []);
        assert_eq!(ended(), 1);
    }
}
