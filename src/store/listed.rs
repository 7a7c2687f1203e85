//! A store that is listed once in a run.
//!
//! A listing of ten thousand archives is a dozen requests, and the jobs of a run need it several times. What this run
//! writes and removes is applied to it. What other clients do meanwhile is not seen until [`ReadStore::refresh`]: so
//! whoever removes archives looks up those that make them superfluous first.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Capabilities, Entry, Found, ReadAt, ReadStore, Removal, Store, StoreError, Upload};
use crate::identity::Identity;
use crate::progress::Progress;

/// A store with the listing of this run.
pub struct ListedStore {
    store: Arc<dyn Store>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The listing, if it was made.
    entries: Option<Vec<Entry>>,
    /// Names that this run wrote, or may have written: they are looked up before the listing is used again.
    written: BTreeSet<String>,
}

impl ListedStore {
    /// Lists a store once.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Each change is one call, so a panic elsewhere leaves nothing half changed.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, name: &str) {
        self.seen().written.insert(name.to_owned());
    }
}

impl ReadStore for ListedStore {
    fn location(&self) -> String {
        self.store.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn refuse_strangers(&self) -> Result<(), StoreError> {
        self.store.refuse_strangers()
    }

    fn own_id(&self) -> Result<Option<Identity>, StoreError> {
        self.store.own_id()
    }

    fn folders(&self) -> Result<Vec<String>, StoreError> {
        self.store.folders()
    }

    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let mut seen = self.seen();
        let Seen { entries, written } = &mut *seen;
        let entries = match entries {
            Some(entries) => entries,
            None => {
                written.clear();
                entries.insert(self.store.list()?)
            }
        };
        while let Some(name) = written.first() {
            let found = self.store.stat(name)?;
            entries.retain(|entry| entry.name != *name);
            entries.extend(found.filter(|_| !name.starts_with('.')));
            written.pop_first();
        }
        Ok(entries.clone())
    }

    fn hidden(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.hidden(prefix)
    }

    fn refresh(&self) {
        *self.seen() = Seen::default();
        self.store.refresh();
    }

    fn folder(&self) -> Option<&Path> {
        self.store.folder()
    }

    fn denied(&self) -> Option<String> {
        self.store.denied()
    }

    fn removal(&self) -> Removal {
        self.store.removal()
    }

    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        self.store.open(name, known)
    }

    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        self.store.stat(name)
    }

    fn has(&self, name: &str) -> Result<bool, StoreError> {
        self.store.has(name)
    }
}

impl Store for ListedStore {
    fn prepare(&self, largest: u64) -> Result<(), StoreError> {
        self.store.prepare(largest)
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.wrote(name);
        self.store.put(name, content)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let removed = self.store.remove(name);
        match removed {
            Ok(()) | Err(StoreError::NotFound { .. }) => {
                if let Some(entries) = &mut self.seen().entries {
                    entries.retain(|entry| entry.name != name);
                }
            }
            // It may be gone.
            Err(_) => self.wrote(name),
        }
        removed
    }

    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        self.wrote(name);
        self.store.try_commit(name, upload, progress)
    }

    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        self.store.look_up(name, upload)
    }
}
