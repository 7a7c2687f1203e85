//! Changes that need a repository's lock: removing archives, and setting or removing the marks beside them.
//!
//! The marks are plain, visible files: `.keep` pins an archive, `.accepted` accepts its shrink, `.damaged` records that
//! verify found it damaged; `.sha256` is the digest of an encrypted archive. Removing an archive removes the archive
//! first and its marks after it: a crash in between leaves marks without an archive, never an archive without its
//! marks.

use std::io;

use chrono::{DateTime, Utc};

use super::Repository;
use crate::names::ArchiveName;
use crate::store::{self, Store, StoreError};
use crate::workspace::WorkspaceLock;

/// The ending of the sidecar that pins an archive.
pub const KEEP: &str = ".keep";
/// The ending of the sidecar that marks an archive as damaged.
pub const DAMAGED: &str = ".damaged";
/// The ending of the sidecar that accepts a shrink.
pub const ACCEPTED: &str = ".accepted";

/// The ending of the sidecar with the digest of an encrypted archive.
pub const DIGEST: &str = ".sha256";

/// The beginning of a `.damaged` mark that verify wrote. Verify never removes one that the user made.
const VERIFY: &str = "heirloom verify ";

/// A repository whose lock this run holds; dropping it releases the lock.
#[derive(Debug)]
pub struct LockedStore<'a> {
    repository: &'a Repository,
    lock: WorkspaceLock,
}

impl<'a> LockedStore<'a> {
    pub(super) fn new(repository: &'a Repository, lock: WorkspaceLock) -> Self {
        Self { repository, lock }
    }

    /// Returns the repository that is locked.
    pub fn repository(&self) -> &'a Repository {
        self.repository
    }

    /// Gives the store an id if it has none, before an archive is committed.
    pub(super) fn identify(&self, made_by: &str, made_at: DateTime<Utc>) -> Result<(), StoreError> {
        store::identify(self.store(), made_by, made_at)
    }

    /// Pins an archive; returns whether it was not pinned before. The archive must be there.
    pub fn pin(&self, name: &ArchiveName) -> Result<bool, StoreError> {
        self.require(name)?;
        put(self.store(), &format!("{name}{KEEP}"), "")
    }

    /// Removes the pin; returns whether there was one.
    pub fn unpin(&self, name: &ArchiveName) -> Result<bool, StoreError> {
        take_away(self.store(), &format!("{name}{KEEP}"))
    }

    /// Accepts the shrink in an archive; returns whether it was not accepted before. The archive must be there.
    pub fn accept(&self, name: &ArchiveName) -> Result<bool, StoreError> {
        self.require(name)?;
        put(self.store(), &format!("{name}{ACCEPTED}"), "")
    }

    /// Marks an archive as damaged on positive evidence; `depth` is the kind of check that found it.
    pub fn mark_damaged(&self, name: &ArchiveName, depth: &str, findings: &[String]) -> Result<bool, StoreError> {
        put(self.store(), &format!("{name}{DAMAGED}"), &format!("{VERIFY}{depth}\n{}\n", findings.join("\n")))
    }

    /// Removes the mark if a check of one of these depths set it; returns whether there was one.
    pub fn clear_damaged(&self, name: &ArchiveName, depths: &[&str]) -> Result<bool, StoreError> {
        let (store, mark) = (self.store(), format!("{name}{DAMAGED}"));
        if !store.has(&mark)? {
            return Ok(false);
        }
        let source = store.open(&mark, None)?;
        let mut beginning = vec![0; 64.min(usize::try_from(source.bytes()).unwrap_or(64))];
        source
            .read_exact_at(&mut beginning, 0)
            .map_err(|cause| StoreError::io("read", &mark, store.location(), cause))?;
        let line = String::from_utf8_lossy(&beginning).lines().next().unwrap_or_default().to_owned();
        match line.strip_prefix(VERIFY) {
            Some(depth) if depths.contains(&depth) => take_away(store, &mark),
            _ => Ok(false),
        }
    }

    /// Removes an archive and then its marks, and this host's record of making it, so that it is not reported as
    /// missing. Fails with [`StoreError::NotFound`] if the archive is gone already.
    pub fn remove_archive(&self, name: &ArchiveName) -> Result<(), StoreError> {
        self.repository.workspace().forget(name);
        // Crash here, or failure to remove it: the archive is unchanged, and only the record of it is gone.
        self.store().remove(name.as_str())?;
        // Crash here: marks stay without an archive. They are small, visible, and hold no data.
        for ending in [KEEP, DAMAGED, ACCEPTED, DIGEST] {
            take_away(self.store(), &format!("{name}{ending}"))?;
        }
        Ok(())
    }

    /// Removes the scratch of interrupted runs; returns how many folders and files.
    pub fn remove_ended_scratch(&self) -> io::Result<usize> {
        self.repository.workspace().remove_ended_scratch(&self.lock)
    }

    fn store(&self) -> &'a dyn Store {
        &*self.repository.store
    }

    fn require(&self, name: &ArchiveName) -> Result<(), StoreError> {
        match self.store().stat(name.as_str())? {
            Some(_) => Ok(()),
            None => Err(StoreError::NotFound { name: name.as_str().to_owned(), location: self.repository.location() }),
        }
    }
}

fn put(store: &dyn Store, mark: &str, text: &str) -> Result<bool, StoreError> {
    match store.put(mark, text.as_bytes()) {
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
