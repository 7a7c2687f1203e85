//! Archives that are committed in the workspace and wait to be moved to the store: `pending/NAME`.
//!
//! Such an archive is durable and counts from its commit on, so this folder is the only part of a workspace that is not
//! a cache.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lock::lock_named;
use super::{LockError, Workspace};
use crate::names::ArchiveName;
use crate::platform::{First, OpenFile, Published, publish_new, sync_folder};
use crate::progress::Progress;

/// The folder inside the workspace.
pub(super) const FOLDER: &str = "pending";

impl Workspace {
    /// Commits a finished and synced archive, under a name that is neither pending nor in `taken`.
    ///
    /// Crash before the link: a scratch file, and no target was touched. Crash after it: a pending archive, which the
    /// next run uploads.
    pub fn commit_pending(
        &self,
        staged: &Path,
        wanted: &ArchiveName,
        taken: &HashSet<String>,
    ) -> io::Result<ArchiveName> {
        let (folder, created) = self.create_subfolder(FOLDER)?;
        if created {
            // Crash before the sync: nothing is in it yet.
            sync_folder(&self.folder)?;
        }
        let mut name = wanted.clone();
        for number in 2.. {
            if !taken.contains(name.as_str()) {
                match publish_new(staged, &folder.join(name.as_str()), First::Link) {
                    Ok(named) => {
                        sync_folder(&folder)?;
                        if named == Published::Linked {
                            // Its second name is in scratch, which is removed anyway.
                            let _ = fs::remove_file(staged);
                        }
                        return Ok(name);
                    }
                    Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(cause) => return Err(cause),
                }
            }
            name = wanted.numbered(number);
        }
        unreachable!("the numbers never run out")
    }

    /// Removes a pending archive because none of its databases was replaced, or because the store has it.
    ///
    /// Crash before this: it stays, with the same contents as its source. Crash after this: it is gone, but a power cut
    /// can bring it back complete.
    pub fn discard_pending(&self, name: &ArchiveName) -> io::Result<()> {
        match fs::remove_file(self.pending_path(name)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        }
    }

    /// Returns the names of the pending archives, in order.
    pub fn pending_names(&self) -> io::Result<Vec<ArchiveName>> {
        let entries = match fs::read_dir(self.folder.join(FOLDER)) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(cause),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Some(name) = entry?.file_name().to_str().and_then(|name| ArchiveName::new(name).ok()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Locks a pending archive, so that only one run uploads it, waiting up to `limit` for another run. `None` if it is
    /// not pending any more.
    pub fn lock_pending(
        &self,
        name: &ArchiveName,
        limit: Duration,
        progress: &dyn Progress,
    ) -> Result<Option<File>, LockError> {
        let path = self.pending_path(name);
        let open = || match File::options().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            // An interrupted run may have given it the rights of the store. Only NFS refuses to lock a file that is
            // open for reading.
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => File::open(&path).map(Some),
            Err(cause) => Err(cause),
        };
        lock_named(&path, open, limit, progress)
    }

    /// Returns the path of a pending archive.
    pub fn pending_path(&self, name: &ArchiveName) -> PathBuf {
        self.folder.join(FOLDER).join(name.as_str())
    }

    /// Opens a pending archive; `None` if there is none of this name.
    pub fn open_pending(&self, name: &ArchiveName) -> io::Result<Option<OpenFile>> {
        match OpenFile::open(&self.pending_path(name)) {
            Ok(file) => Ok(Some(file)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }
}
