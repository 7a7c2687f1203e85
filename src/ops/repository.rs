//! What every operation works on: a store and its workspace.
//!
//! A repository allows reading the store. Only two types change it: [`LockedStore`] removes and marks, [`Committer`]
//! adds archives.

mod committer;
mod locked_store;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
pub use committer::{Committer, Taken};
pub use locked_store::{ACCEPTED, DAMAGED, DIGEST, KEEP, LockedStore};

use super::listing::Listing;
use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel};
use crate::platform;
use crate::progress::Progress;
use crate::store::{Entry, LocalStore, ReadAt, ReadStore, Store, StoreError};
use crate::store_url::{Location, StoreUrl};
use crate::workspace::{Held, Hold, LockError, Workspace};

/// A store with the workspace of this host for it. Clones share what is open.
#[derive(Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
    workspace: Workspace,
    /// The URL of a remote store.
    url: Option<StoreUrl>,
    /// The listing, if it is made once.
    listing: Option<Listing>,
}

impl Repository {
    /// Puts a store and a workspace together.
    pub fn new(store: Arc<dyn Store>, workspace: Workspace) -> Self {
        Self { store, workspace, url: None, listing: None }
    }

    /// Puts the store of a URL and a workspace together.
    pub fn remote(store: Arc<dyn Store>, workspace: Workspace, url: StoreUrl) -> Self {
        Self { url: Some(url), ..Self::new(store, workspace) }
    }

    /// Uses a local store, with the workspace in its private folder.
    pub fn local(store: LocalStore) -> Self {
        let workspace = Workspace::at(store.private());
        Self::new(Arc::new(store), workspace)
    }

    /// Makes scratch in another folder than the workspace, if one is given.
    #[must_use]
    pub fn with_scratch(self, folder: Option<PathBuf>) -> Self {
        Self { workspace: self.workspace.with_scratch(folder), ..self }
    }

    /// Lists the store once for all that share a listing: none of them may change the store.
    #[must_use]
    pub fn with_listing(self, listing: Listing) -> Self {
        Self { listing: Some(listing), ..self }
    }

    /// Returns the listing that is made once, if it is.
    pub(super) fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    /// Returns the store, for reading.
    pub fn store(&self) -> &dyn ReadStore {
        &*self.store
    }

    /// Opens an archive that is read to its end. If a removal would break the reading, the archive is held until it is
    /// closed.
    ///
    /// The hold is taken without the lock: a run that plans its removals at this moment may still remove the archive.
    /// Then opening or reading it fails, and nothing is replaced before all of an archive was read.
    pub fn open(&self, name: &ArchiveName, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        if self.store.capabilities().readable_after_removal {
            return self.store.open(name.as_str(), known);
        }
        let held = Held { command: "read".into(), archives: vec![name.clone()], guarded: Vec::new() };
        // Without a hold the archive can still be read, as long as it is not removed.
        let hold = self.workspace.hold(&held).ok();
        let file = self.store.open(name.as_str(), known)?;
        Ok(Arc::new(HeldFile { file, _hold: hold }))
    }

    /// Returns the workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Returns where the store is, for messages.
    pub fn location(&self) -> String {
        self.store.location()
    }

    /// Returns the location of the store for another process: an absolute path, or a complete URL.
    pub fn address(&self) -> String {
        match (self.store.folder(), &self.url) {
            (Some(folder), _) => {
                std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).to_string_lossy().into_owned()
            }
            (None, Some(url)) => url.text(),
            (None, None) => self.store.location(),
        }
    }

    /// Returns where an archive is, for messages and reports: its path, or its name below the location of the store.
    pub fn path_of(&self, name: &str) -> String {
        match self.store.place(name) {
            Some(path) => path.to_string_lossy().into_owned(),
            None => format!("{}/{name}", self.store.location()),
        }
    }

    /// Returns whether one writer alone gets a name, however many try at once: by the store itself, or by our lock.
    /// `largest` is at least the size of what gets it, in bytes.
    pub fn gives_a_name_once(&self, largest: u64) -> Result<bool, StoreError> {
        self.store.prepare(largest)?;
        Ok(self.store.folder().is_some() || self.store.capabilities().atomic_commit)
    }

    /// Returns whether the store takes archives of a kind. A pin does not take those that only this host needs: each
    /// becomes what everybody reads. They stay in the workspace.
    pub fn takes(&self, kind: Kind) -> bool {
        self.store.capabilities().takes_safety || !matches!(kind, Kind::Safety | Kind::PreUpdate)
    }

    /// Returns where a pending archive is.
    pub fn path_of_pending(&self, name: &ArchiveName) -> String {
        self.workspace.pending_path(name).to_string_lossy().into_owned()
    }

    /// Returns whether the store is at a location.
    pub fn is_at(&self, location: &Location) -> bool {
        match location {
            Location::Folder(path) => {
                self.store.folder().is_some_and(|folder| folder == path || platform::resolved(folder) == *path)
            }
            Location::Remote(url) => self.url.as_ref() == Some(url),
        }
    }

    /// Prepares to commit archives: gives the store an id if it has none, and takes the lock if a commit needs it,
    /// waiting for another run for at most `wait`. `largest` is the size of the largest archive, in bytes; `made_by`
    /// and `now` are written into the id.
    pub fn committer(
        &self,
        largest: u64,
        made_by: &HostLabel,
        now: DateTime<Utc>,
        wait: Duration,
        progress: &dyn Progress,
    ) -> anyhow::Result<Committer<'_>> {
        Committer::new(self, largest, made_by, now, wait, progress)
    }

    /// Takes the lock, waiting for another run for at most `wait`.
    pub fn lock(&self, wait: Duration, progress: &dyn Progress) -> Result<LockedStore<'_>, LockError> {
        self.workspace.lock(wait, progress).map(|lock| LockedStore::new(self, lock))
    }
}

/// An open file that is held: no run removes it while it is open.
struct HeldFile {
    file: Arc<dyn ReadAt>,
    _hold: Option<Hold>,
}

impl ReadAt for HeldFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    fn block_bytes(&self) -> Option<NonZeroUsize> {
        self.file.block_bytes()
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("store", &self.store.location()).field("workspace", &self.workspace).finish()
    }
}
