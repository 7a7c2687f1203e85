//! What every operation works on: a store and its workspace.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::locked_store::LockedStore;
use crate::platform;
use crate::progress::Progress;
use crate::store::{LocalStore, Store};
use crate::workspace::{LockError, Workspace};

/// A store with the workspace of this host for it. Cloning it opens nothing again.
#[derive(Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
    workspace: Workspace,
}

impl Repository {
    /// Puts a store and a workspace together.
    pub fn new(store: Arc<dyn Store>, workspace: Workspace) -> Self {
        Self { store, workspace }
    }

    /// Uses a local store, with the workspace in its private folder.
    pub fn local(store: LocalStore) -> Self {
        let workspace = Workspace::at(store.private());
        Self::new(Arc::new(store), workspace)
    }

    /// Returns the store, for reading and for new files. What removes or marks archives is in [`LockedStore`].
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns the workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Returns where the store is, for messages.
    pub fn location(&self) -> String {
        self.store.location()
    }

    /// Returns where the store is, so that another process finds it: an absolute path, or what a remote store is named by.
    pub fn address(&self) -> String {
        match self.store.folder() {
            Some(folder) => std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).to_string_lossy().into_owned(),
            None => self.store.location(),
        }
    }

    /// Returns where an archive is, for messages and reports: its path, or its name below the location of the store.
    pub fn path_of(&self, name: &str) -> String {
        match self.store.place(name) {
            Some(path) => path.to_string_lossy().into_owned(),
            None => format!("{}/{name}", self.store.location()),
        }
    }

    /// Returns whether the store lies at a path.
    pub fn is_at(&self, path: &Path) -> bool {
        self.store.folder().is_some_and(|folder| folder == path || platform::resolved(folder) == path)
    }

    /// Takes the lock, waiting for another run for at most `wait`.
    pub fn lock(&self, wait: Duration, progress: &dyn Progress) -> Result<LockedStore<'_>, LockError> {
        self.workspace.lock(wait, progress).map(|lock| LockedStore::new(self, lock))
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("store", &self.store.location()).field("workspace", &self.workspace).finish()
    }
}
