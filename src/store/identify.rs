//! The id of a store: reads it, and writes it with the first commit.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;

use chrono::{DateTime, Utc};

use super::{ReadStore, Store, StoreError};
use crate::identity::{FILE, Identity};

/// The largest identity file to read, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Returns the identity of a store; `None` if it has none yet.
pub fn identity(store: &dyn ReadStore) -> Result<Option<Identity>, StoreError> {
    // A store without a place for the file has an id of its own, or none before its first archive.
    if !store.capabilities().marks {
        return store.own_id();
    }
    let failed = |cause| StoreError::io("read", FILE, store.location(), cause);
    let file = match store.open(FILE, None) {
        Ok(file) => file,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    // An empty claim of the name, left by a crashed run on a file system without hard links.
    if file.bytes() == 0 {
        return Ok(None);
    }
    let mut text = vec![0; usize::try_from(file.bytes().min(MAX_BYTES)).expect("64 KiB fit")];
    file.read_exact_at(&mut text, 0).map_err(failed)?;
    serde_json::from_slice(&text).map(Some).map_err(|cause| failed(io::Error::new(io::ErrorKind::InvalidData, cause)))
}

/// Gives a store an id if it has none. The caller holds the lock of the repository, and commits an archive next.
///
/// The file is written like an archive: it is complete and synced under its name, or absent, and never replaced. Crash
/// before this: a store without an id, which gets one at the next commit. Crash after this: a store with an id that no
/// host knows yet, which is not an error.
pub fn identify(store: &dyn Store, made_by: &str, made_at: DateTime<Utc>) -> Result<(), StoreError> {
    if !store.capabilities().marks || identity(store)?.is_some() {
        return Ok(());
    }
    // The empty claim of a crashed run. Crash after its removal: no id, as before.
    if store.stat(FILE)?.is_some_and(|found| found.bytes == 0) {
        store.remove(FILE)?;
    }
    let random = || RandomState::new().build_hasher().finish();
    let identity = Identity::new(made_by.to_owned(), made_at, &[random(), random(), u64::from(std::process::id())]);
    let mut text = serde_json::to_vec_pretty(&identity)
        .map_err(|cause| StoreError::io("write", FILE, store.location(), cause.into()))?;
    text.push(b'\n');
    match store.put(FILE, &text) {
        Err(StoreError::Exists { .. }) => Ok(()),
        other => other,
    }
}
