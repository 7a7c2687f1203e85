//! A store in memory, for tests of what stands on stores.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Entry, ReadAt, Store, StoreError};
use crate::names::is_file_name;

/// Keeps files in memory.
#[derive(Default)]
pub struct MemoryStore {
    files: Mutex<BTreeMap<String, Arc<Vec<u8>>>>,
}

impl MemoryStore {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Vec<u8>>>> {
        // A panic elsewhere cannot have left the map half changed: each change is one call.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry { name: name.to_owned(), bytes: bytes.len() as u64, modified: DateTime::<Utc>::UNIX_EPOCH }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn bytes(&self) -> u64 {
        self.len() as u64
    }
}

impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".into()
    }

    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        Ok(self.files().iter().filter(|(name, _)| !name.starts_with('.')).map(|(name, bytes)| entry(name, bytes)).collect())
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadAt>, StoreError> {
        match self.files().get(name) {
            Some(bytes) => Ok(bytes.clone()),
            None => Err(StoreError::NotFound { name: name.to_owned(), location: self.location() }),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.files().get(name).map(|bytes| entry(name, bytes)))
    }

    fn put(&self, name: &str, source: &mut dyn Read) -> Result<(), StoreError> {
        if !is_file_name(name) {
            return Err(StoreError::io("use", name, self.location(), io::ErrorKind::InvalidFilename.into()));
        }
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).map_err(|cause| StoreError::io("write", name, self.location(), cause))?;
        let mut files = self.files();
        if files.contains_key(name) {
            return Err(StoreError::Exists { name: name.to_owned(), location: self.location() });
        }
        files.insert(name.to_owned(), Arc::new(bytes));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self.files().remove(name) {
            Some(_) => Ok(()),
            None => Err(StoreError::NotFound { name: name.to_owned(), location: self.location() }),
        }
    }
}
