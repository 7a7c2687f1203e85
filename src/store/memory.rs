//! An in-memory store, for tests of the layers above.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Capabilities, Entry, Found, Kept, ReadAt, ReadStore, Store, StoreError, Token, Upload};
use crate::digest::Sha256;
use crate::names::is_file_name;
use crate::progress::{Progress, Stage};

/// How much of a file is read between two checks for cancellation.
const BLOCK: usize = 64 << 10;

/// Keeps files in memory.
#[derive(Clone)]
pub struct MemoryStore {
    files: Arc<Mutex<Files>>,
    capabilities: Capabilities,
}

#[derive(Default)]
struct Files {
    by_name: BTreeMap<String, Object>,
    /// The number of files written so far, used as the next version.
    written: u64,
}

#[derive(Clone)]
struct Object {
    content: Arc<Vec<u8>>,
    version: u64,
    token: Option<Token>,
    sha256: Sha256,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with(Capabilities { atomic_commit: true, ..Capabilities::OF_FILES })
    }
}

impl MemoryStore {
    /// Creates an empty store with these capabilities and no others.
    pub fn with(capabilities: Capabilities) -> Self {
        Self { files: Arc::default(), capabilities }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        // A panic elsewhere cannot have left the files half changed: each change is one call.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, name: &str) -> StoreError {
        StoreError::NotFound { name: name.to_owned(), location: self.location() }
    }

    fn failed(&self, action: &'static str, name: &str, cause: io::Error) -> StoreError {
        StoreError::io(action, name, self.location(), cause)
    }

    fn insert(&self, name: &str, content: Vec<u8>, token: Option<Token>) -> Result<(), StoreError> {
        if !is_file_name(name) {
            return Err(self.failed("use", name, io::ErrorKind::InvalidFilename.into()));
        }
        let mut files = self.files();
        if files.by_name.contains_key(name) {
            return Err(StoreError::Exists { name: name.to_owned(), location: self.location() });
        }
        files.written += 1;
        let object = Object { sha256: Sha256::of(&content), content: Arc::new(content), version: files.written, token };
        files.by_name.insert(name.to_owned(), object);
        Ok(())
    }
}

fn entry(name: &str, object: &Object) -> Entry {
    Entry {
        name: name.to_owned(),
        bytes: object.content.len() as u64,
        modified: DateTime::<Utc>::UNIX_EPOCH,
        version: Some(object.version.to_string()),
    }
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

/// An open file. Looks the name up at each read unless the store keeps removed files readable.
struct OpenObject {
    name: String,
    object: Object,
    store: MemoryStore,
}

impl ReadAt for OpenObject {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let is_there =
            || self.store.files().by_name.get(&self.name).is_some_and(|object| object.version == self.object.version);
        if !self.store.capabilities.readable_after_removal && !is_there() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.object.content.read_at(buffer, offset)
    }

    fn bytes(&self) -> u64 {
        self.object.content.bytes()
    }
}

impl ReadStore for MemoryStore {
    fn location(&self) -> String {
        "memory".into()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let files = self.files();
        Ok(files
            .by_name
            .iter()
            .filter(|(name, _)| !name.starts_with('.'))
            .map(|(name, object)| entry(name, object))
            .collect())
    }

    fn hidden(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let files = self.files();
        Ok(files.by_name.keys().filter(|name| name.starts_with('.') && name.starts_with(prefix)).cloned().collect())
    }

    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        let object = self.files().by_name.get(name).cloned().ok_or_else(|| self.missing(name))?;
        if known.is_some_and(|known| known.version != entry(name, &object).version) {
            return Err(self.missing(name));
        }
        Ok(Arc::new(OpenObject { name: name.to_owned(), object, store: self.clone() }))
    }

    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.files().by_name.get(name).map(|object| entry(name, object)))
    }
}

impl Store for MemoryStore {
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.insert(name, content.to_owned(), None)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.files().by_name.remove(name).map(drop).ok_or_else(|| self.missing(name))
    }

    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        progress.begin(Stage::Upload, name, upload.bytes());
        let failed = |cause| self.failed("write", name, cause);
        let mut file = File::open(upload.path()).map_err(failed)?;
        let (mut content, mut block) = (Vec::new(), vec![0; BLOCK]);
        loop {
            progress.checkpoint().map_err(StoreError::Interrupted)?;
            match file.read(&mut block) {
                Ok(0) => break,
                Ok(bytes) => {
                    content.extend_from_slice(&block[..bytes]);
                    progress.advance(bytes as u64);
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(failed(cause)),
            }
        }
        if content.len() as u64 != upload.bytes() || Sha256::of(&content) != upload.sha256().map_err(failed)? {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "the file changed during the upload")));
        }
        self.insert(name, content, Some(upload.token()))
    }

    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        let Some(Object { content, token, sha256, .. }) = self.files().by_name.get(name).cloned() else {
            return Ok(Found::Absent);
        };
        let kept = Kept { token, bytes: content.len() as u64, sha256 };
        upload.compare(&kept).map_err(|cause| self.failed("look up", name, cause))
    }
}
