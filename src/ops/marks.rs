//! The sidecars beside an archive, plain and visible: `.keep` pins it, `.damaged` says that verify found it damaged.
//!
//! All changes are made under the store's lock. Removing an archive removes the archive first and its marks
//! after it: a run that dies in between leaves marks without an archive, never an archive without its marks.

use crate::activity;
use crate::lock::StoreLock;
use crate::names::ArchiveName;
use crate::ops::inventory::{ACCEPTED, DAMAGED, KEEP};
use crate::store::{Store, StoreError};

/// The beginning of a `.damaged` mark that verify wrote. One that a person made is never removed by it.
const VERIFY: &str = "heirloom verify ";

/// Pins an archive; returns whether it was not pinned before. The archive must be there.
pub fn pin(store: &dyn Store, _lock: &StoreLock, name: &ArchiveName) -> Result<bool, StoreError> {
    if store.stat(name.as_str())?.is_none() {
        return Err(StoreError::NotFound { name: name.as_str().to_owned(), location: store.location() });
    }
    put(store, &format!("{name}{KEEP}"), "")
}

/// Takes the pin off; returns whether there was one.
pub fn unpin(store: &dyn Store, _lock: &StoreLock, name: &ArchiveName) -> Result<bool, StoreError> {
    take_away(store, &format!("{name}{KEEP}"))
}

/// Accepts the shrink in an archive; returns whether it was not accepted before. The archive must be there.
pub fn accept(store: &dyn Store, _lock: &StoreLock, name: &ArchiveName) -> Result<bool, StoreError> {
    if store.stat(name.as_str())?.is_none() {
        return Err(StoreError::NotFound { name: name.as_str().to_owned(), location: store.location() });
    }
    put(store, &format!("{name}{ACCEPTED}"), "")
}

/// Marks an archive as damaged on positive evidence; `depth` is the kind of check that found it.
pub fn mark_damaged(
    store: &dyn Store,
    _lock: &StoreLock,
    name: &ArchiveName,
    depth: &str,
    findings: &[String],
) -> Result<bool, StoreError> {
    put(store, &format!("{name}{DAMAGED}"), &format!("{VERIFY}{depth}\n{}\n", findings.join("\n")))
}

/// Takes the mark away that a check of one of these depths set; returns whether there was one.
pub fn clear_damaged(store: &dyn Store, _lock: &StoreLock, name: &ArchiveName, depths: &[&str]) -> Result<bool, StoreError> {
    let mark = format!("{name}{DAMAGED}");
    if store.stat(&mark)?.is_none() {
        return Ok(false);
    }
    let source = store.open(&mark)?;
    let mut beginning = vec![0; 64.min(usize::try_from(source.bytes()).unwrap_or(64))];
    source.read_exact_at(&mut beginning, 0).map_err(|cause| StoreError::io("read", &mark, store.location(), cause))?;
    let line = String::from_utf8_lossy(&beginning).lines().next().unwrap_or_default().to_owned();
    match line.strip_prefix(VERIFY) {
        Some(depth) if depths.contains(&depth) => take_away(store, &mark),
        _ => Ok(false),
    }
}

/// Removes an archive and then its marks, and makes this host forget that it made it: what is removed on purpose is not
/// missed. Fails with [`StoreError::NotFound`] where the archive is gone already.
pub fn remove_archive(store: &dyn Store, lock: &StoreLock, name: &ArchiveName) -> Result<(), StoreError> {
    activity::forget(lock.private(), name);
    // Dies here, or fails to remove it: the archive is there as before, and only the memory of it is gone.
    store.remove(name.as_str())?;
    // Dies here: marks stay beside no archive. They are small, visible, and hold no data.
    for ending in [KEEP, DAMAGED, ACCEPTED] {
        take_away(store, &format!("{name}{ending}"))?;
    }
    Ok(())
}

fn put(store: &dyn Store, mark: &str, text: &str) -> Result<bool, StoreError> {
    match store.put(mark, &mut text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(StoreError::Exists { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn take_away(store: &dyn Store, mark: &str) -> Result<bool, StoreError> {
    match store.remove(mark) {
        Ok(()) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
