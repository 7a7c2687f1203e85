//! Private folders for unfinished files, and their removal after runs that died.
//!
//! A run holds a `flock` on the `lock` file of its own scratch folder. A process that gets that lock owns the folder,
//! so a cleanup that gets it knows that the run is dead. Nothing in a scratch folder is worth keeping.

use std::fs::{self, File, FileType};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Workspace, WorkspaceLock};
use crate::platform::{self, is_named, is_own, lock_file, make_private_folder};
use crate::progress::Progress;

/// The prefix of the names of scratch folders inside the workspace.
const IN_WORKSPACE: &str = "run-";
/// The prefix of the names of scratch folders beside a target.
const BESIDE: &str = ".heirloom-run-";
/// The prefix of the names of files that a store was writing.
const STAGED: &str = "put-";
/// The lock file in a scratch folder.
const LOCK: &str = "lock";

/// A private folder (0700) that is removed with its contents when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// `None` only while it is being dropped.
    lock: Option<File>,
}

impl Scratch {
    /// Creates a scratch folder inside the folder of a target, on the same file system, so that a finished file can be
    /// renamed.
    pub fn beside(folder: &Path) -> io::Result<Self> {
        Self::make(folder, BESIDE)
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn make(folder: &Path, prefix: &str) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // A cleanup can take a folder between its creation and its locking, also before it has its mode; then the next
        // name is tried.
        for _ in 0..100 {
            let path = folder.join(format!("{prefix}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
            match make_private_folder(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(folder).is_ok() => {
                    continue;
                }
                Err(error) => return Err(error),
            }
            match own(&path) {
                Ok(Some(lock)) => return Ok(Self { path, lock: Some(lock) }),
                Ok(None) => {}
                Err(error) => {
                    // Just created and empty; if it cannot be removed here, a later run does so.
                    let _ = fs::remove_dir_all(&path);
                    return Err(error);
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for a scratch folder"))
    }
}

impl Workspace {
    /// Creates a scratch folder: in the workspace, unless its scratch is elsewhere.
    pub fn scratch(&self) -> io::Result<Scratch> {
        Scratch::make(&self.create_scratch_folder()?, IN_WORKSPACE)
    }

    /// Creates a scratch folder in the workspace, from where the store can link a finished file. Nothing plain of an
    /// encrypted archive may be in it.
    pub fn staging(&self) -> io::Result<Scratch> {
        Scratch::make(self.create()?, IN_WORKSPACE)
    }

    /// Returns the folder in which scratch is made, and makes it (0700) if it is missing.
    pub fn create_scratch_folder(&self) -> io::Result<PathBuf> {
        match &self.scratch {
            None => self.create().map(Path::to_owned),
            Some(folder) => {
                platform::create_private_folders(folder).map_err(|cause| named(folder, &cause))?;
                Ok(folder.clone())
            }
        }
    }

    /// Returns the folders with scratch of runs.
    fn scratch_folders(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.folder.as_path()).chain(self.scratch.as_deref())
    }

    /// Removes the scratch folders and unfinished files of dead runs; returns how many. The caller holds the lock.
    pub fn remove_ended_scratch(&self, _lock: &WorkspaceLock) -> io::Result<usize> {
        let mut removed = remove_ended(candidates(&self.folder, IN_WORKSPACE, FileType::is_dir)?)?;
        if let Some(folder) = &self.scratch {
            let mut found = candidates(folder, IN_WORKSPACE, FileType::is_dir)?;
            // Others may make folders in a configured one.
            found.retain(|path| fs::symlink_metadata(path).is_ok_and(|found| is_own(&found)));
            removed += remove_ended(found)?;
        }
        // Such files are written under the lock, which the caller holds: the run that wrote this one is dead.
        for path in candidates(&self.folder, STAGED, FileType::is_file)? {
            fs::remove_file(&path)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Lists the scratch folders of dead runs without removing them.
    pub fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        let mut dead = Vec::new();
        for folder in self.scratch_folders() {
            for path in candidates(folder, IN_WORKSPACE, FileType::is_dir)? {
                if own(&path)?.is_some() {
                    dead.push(path);
                }
            }
        }
        Ok(dead)
    }

    /// Removes the leftovers of dead runs, if no other run holds the lock.
    ///
    /// Leftovers that cannot be removed do not fail a run: the next one tries again.
    pub fn try_remove_ended_scratch(&self, progress: &dyn Progress) {
        if let Ok(lock) = self.lock(Duration::ZERO, progress) {
            let _ = self.remove_ended_scratch(&lock);
            let _ = self.remove_ended_holds(&lock);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next run removes what stays: its lock is free once this process has ended.
        if let Some(lock) = self.lock.take() {
            let _ = remove_owned(&self.path, lock);
        }
    }
}

/// Removes a scratch folder with its contents.
///
/// First everything except the lock file, under the lock, then the lock file after it was closed: FUSE and NFS keep a
/// removed file that is still open under another name in the folder, which then cannot be removed. A run that takes the
/// lock in between does no harm, since it only removes the folder, too. Crash in between: some worthless data stays.
fn remove_owned(path: &Path, lock: File) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    drop(lock);
    match fs::remove_dir_all(path) {
        // Another run was removing it as well.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Takes a scratch folder's lock; `None` if another process has it or the folder is gone.
fn own(path: &Path) -> io::Result<Option<File>> {
    let lock_path = path.join(LOCK);
    let lock = match lock_file(&lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    // The lock counts only while its file still has its name: another cleanup may have removed it in between.
    Ok(is_named(&lock, &lock_path)?.then_some(lock))
}

/// Removes the scratch folders that dead runs of this user left beside a target; returns how many.
///
/// In a folder like `/tmp`, others may have created folders with such a name, to have them or the targets of links
/// removed.
pub fn remove_leftovers_beside(folder: &Path) -> io::Result<usize> {
    let mut folders = candidates(folder, BESIDE, FileType::is_dir)?;
    folders.retain(|path| fs::symlink_metadata(path).is_ok_and(|found| is_own(&found)));
    remove_ended(folders)
}

/// Removes the scratch folder that a killed restore left beside a database: private copies, which may be large.
///
/// Like every cleanup, it only removes folders of this user that no process holds, and failures are ignored.
pub fn remove_leftovers_beside_databases<'a>(databases: impl Iterator<Item = &'a Path>) {
    for database in databases {
        // A restore writes through a link, and has its scratch folder beside the actual file.
        if let Ok(file) = fs::canonicalize(database) {
            let _ = remove_leftovers_beside(platform::parent(&file));
        }
    }
}

/// Continues after a folder that cannot be removed, and returns the first error at the end.
fn remove_ended(folders: Vec<PathBuf>) -> io::Result<usize> {
    let mut removed_so_far = Ok(0);
    for path in folders {
        // The lock is held until everything is gone, so no other process can take the folder over in between. Crash in
        // between: some worthless data stays, and the next cleanup continues.
        let removed = own(&path).and_then(|lock| match lock {
            Some(lock) => match remove_owned(&path, lock) {
                Ok(()) => Ok(1),
                // A process has a removed file in it open (FUSE, NFS): the file is removed with that process, and the
                // folder in a later run.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy) =>
                {
                    Ok(0)
                }
                Err(error) => Err(error),
            },
            None => Ok(0),
        });
        removed_so_far = removed_so_far.and_then(|sum| Ok(sum + removed?));
    }
    removed_so_far
}

fn named(folder: &Path, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("cannot create the scratch folder \"{}\": {cause}", folder.display()))
}

fn candidates(folder: &Path, prefix: &str, wanted: fn(&FileType) -> bool) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) && wanted(&entry.file_type()?) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_cleanup_removes_the_scratch_of_dead_runs_only() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let living = workspace.scratch().unwrap();
        let dead = folder.path().join("run-1-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("half.tar.gz"), "half").unwrap();
        fs::write(folder.path().join("run-notes.txt"), "a file, not a scratch folder").unwrap();

        assert_eq!(workspace.leftovers().unwrap(), std::slice::from_ref(&dead));
        assert_eq!(workspace.remove_ended_scratch(&workspace.lock(Duration::ZERO, &Silent).unwrap()).unwrap(), 1);

        assert!(!dead.exists() && living.path().exists() && folder.path().join("run-notes.txt").exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }

    #[test]
    fn a_cleanup_that_takes_a_new_folder_does_not_fail_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let ended = std::sync::atomic::AtomicBool::new(false);

        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        let _ = remove_ended(candidates(folder.path(), IN_WORKSPACE, FileType::is_dir).unwrap());
                    }
                });
            }
            let made: io::Result<Vec<()>> = (0..500).map(|_| workspace.scratch().map(drop)).collect();
            ended.store(true, Ordering::Relaxed);
            made.unwrap();
        });
    }
}
