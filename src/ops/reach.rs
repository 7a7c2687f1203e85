//! Opens a store only if it is the expected one: a disk that is not mounted leaves an empty folder, and a backup into
//! that folder is on the wrong disk and hidden once the right one is mounted again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::identity::{self, StoreId};
use crate::ops::Repository;
use crate::platform;
use crate::platform::{parent, sync_folder};
use crate::store::{self, Access, LocalStore, StoreError, Strangeness};

/// Which store is expected at a path.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The ids of the stores that were accepted there; none if the path was never used.
    pub ids: Vec<StoreId>,
    /// Why the accepted stores could not be read. Then a store with an id is accepted, and no new one is made.
    pub unread: Option<String>,
    /// What must be mounted.
    pub mount: Option<PathBuf>,
    /// Who else may read what is written.
    pub access: Access,
}

impl Expected {
    /// Opens the existing store. Nothing is written.
    pub fn open(&self, root: &Path) -> Result<Repository, StoreError> {
        self.mounted(root)?;
        let store = match LocalStore::open(root) {
            Err(StoreError::Unreachable { cause, .. }) if is_missing(&cause) && self.is_used() => {
                return Err(self.missing(root, Strangeness::Gone));
            }
            other => other?,
        };
        if self.is_used() {
            match store::identity(&store)? {
                Some(found) if self.unread.is_some() || self.ids.contains(&found.id) => {}
                Some(found) => return Err(strange(root, Strangeness::OtherId(found.id))),
                None => return Err(self.missing(root, Strangeness::NoId)),
            }
        }
        Ok(Repository::local(store.with_access(self.access)))
    }

    /// Opens a remote store. Nothing is written. The first use sends no request.
    pub fn open_remote(&self, repository: Repository) -> Result<Repository, StoreError> {
        if self.is_used() {
            let strange = |why| StoreError::Strange { location: repository.location(), why };
            match store::identity(repository.store())? {
                Some(found) if self.unread.is_some() || self.ids.contains(&found.id) => {}
                Some(found) => return Err(strange(Strangeness::OtherId(found.id))),
                None => {
                    // The id of a pin is that of the service: without one, there is no pin.
                    let marks = repository.store().capabilities().marks;
                    let why = if marks { Strangeness::NoId } else { Strangeness::Gone };
                    return Err(strange(self.unread.clone().map_or(why, Strangeness::Unread)));
                }
            }
        }
        Ok(repository)
    }

    /// Opens the store for writing, and makes its folder if none is known there. Returns also whether it was made.
    pub fn create(&self, root: &Path) -> Result<(Repository, bool), StoreError> {
        if self.is_used() {
            self.open(root)?;
        } else {
            self.mounted(root)?;
        }
        LocalStore::create_with(root, self.access).map(|(store, made)| (Repository::local(store), made))
    }

    /// Returns whether a store was accepted there, or may have been.
    fn is_used(&self) -> bool {
        !self.ids.is_empty() || self.unread.is_some()
    }

    fn missing(&self, root: &Path, why: Strangeness) -> StoreError {
        strange(root, self.unread.clone().map_or(why, Strangeness::Unread))
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

/// Removes a store that this run made without committing to it, if it is still empty: a store is made by its first
/// commit. Returns whether it is gone.
///
/// Crash in between: an empty folder, or one with an empty `.heirloom`, which is a store without archives. Another run
/// that has scratch in it by now keeps it: only empty folders are removed, and the lock file under the lock.
pub fn unmake(repository: &Repository) -> io::Result<bool> {
    let Some(root) = repository.store().folder() else { return Ok(false) };
    match fs::symlink_metadata(root.join(identity::FILE)) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Ok(_) => return Ok(false),
        Err(cause) => return Err(cause),
    }
    if !repository.workspace().remove_if_unused()? {
        return Ok(false);
    }
    match fs::remove_dir(root) {
        Ok(()) => sync_folder(parent(root)).map(|()| true),
        Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(cause) => Err(cause),
    }
}
