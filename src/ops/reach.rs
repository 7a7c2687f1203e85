//! Opens a store only if it is the one that is meant: a disk that is not mounted leaves an empty folder, and a backup into that is
//! a backup on the wrong disk, hidden as soon as the right one is there again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::pending;
use crate::holds;
use crate::identity::{self, StoreId};
use crate::lock::StoreLock;
use crate::platform;
use crate::progress::Silent;
use crate::store::{Access, LocalStore, StoreError, Strangeness, parent, sync_folder};

/// Which store is expected at a path.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The ids of the stores that were accepted there; none if the path was never used.
    pub ids: Vec<StoreId>,
    /// What must be mounted.
    pub mount: Option<PathBuf>,
    /// Who else may read what is written.
    pub access: Access,
}

impl Expected {
    /// Opens the store that is there. Nothing is written.
    pub fn open(&self, root: &Path) -> Result<LocalStore, StoreError> {
        self.mounted(root)?;
        let store = match LocalStore::open(root) {
            Err(StoreError::Unreachable { cause, .. }) if is_missing(&cause) && !self.ids.is_empty() => {
                return Err(strange(root, Strangeness::Gone));
            }
            other => other?,
        };
        if !self.ids.is_empty() {
            match store.identity()? {
                Some(found) if self.ids.contains(&found.id) => {}
                Some(found) => return Err(strange(root, Strangeness::OtherId(found.id))),
                None => return Err(strange(root, Strangeness::NoId)),
            }
        }
        Ok(store.with_access(self.access))
    }

    /// Opens the store for writing, and makes its folder if none is known there. Returns also whether it was made.
    pub fn create(&self, root: &Path) -> Result<(LocalStore, bool), StoreError> {
        if self.ids.is_empty() {
            self.mounted(root)?;
        } else {
            self.open(root)?;
        }
        LocalStore::create_with(root, self.access)
    }

    fn mounted(&self, root: &Path) -> Result<(), StoreError> {
        let Some(mount) = &self.mount else { return Ok(()) };
        match platform::is_mount_point(mount) {
            Ok(true) => Ok(()),
            Ok(false) => Err(strange(root, Strangeness::NotMounted(mount.clone()))),
            Err(cause) => Err(StoreError::Unreachable { location: mount.to_string_lossy().into_owned(), cause }),
        }
    }
}

fn strange(root: &Path, why: Strangeness) -> StoreError {
    StoreError::Strange { location: root.to_string_lossy().into_owned(), why }
}

fn is_missing(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Removes a store that this run made and in which it committed nothing, as far as it holds nothing of anybody's: a store is made by its
/// first commit. Returns whether it is gone.
///
/// Dies in between: an empty folder, or one with an empty `.heirloom`, which is a store without archives. Whoever came meanwhile and has
/// scratch in it keeps it: only empty folders are removed, and the lock's file under the lock.
pub fn unmake(store: &LocalStore) -> io::Result<bool> {
    match fs::symlink_metadata(store.root().join(identity::FILE)) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Ok(_) => return Ok(false),
        Err(cause) => return Err(cause),
    }
    let private = store.private();
    if fs::symlink_metadata(&private).is_ok() {
        let Ok(_lock) = StoreLock::acquire(&private, Duration::ZERO, &Silent) else { return Ok(false) };
        for folder in [holds::FOLDER, pending::FOLDER] {
            match fs::remove_dir(private.join(folder)) {
                Err(cause) if !matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => return Err(cause),
                _ => {}
            }
        }
        let names = fs::read_dir(&private)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        if names.iter().any(|name| name != StoreLock::FILE) {
            return Ok(false);
        }
        fs::remove_file(private.join(StoreLock::FILE))?;
        fs::remove_dir(&private)?;
    }
    match fs::remove_dir(store.root()) {
        Ok(()) => sync_folder(parent(store.root())).map(|()| true),
        Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(cause) => Err(cause),
    }
}
