//! Adds archives to a store: under the lock, or without it if the store commits atomically.
//!
//! A commit to a store on another machine can take hours, and the lock must not be held for that long. Without it, a
//! commit may fall between the listing and the removals of a run that rotates, cleans up or deletes. That is safe
//! because
//! - nothing is overwritten: the store gives the name to one writer, whoever else commits;
//! - that run removes only what it listed. The new archive is not in its listing, or is complete: neither order shows
//!   half of it;
//! - the result is that of the removals before the commit. Each plan keeps the newest good archive of each stream of
//!   its listing, so a usable archive remains even if the new one is a shrink or damaged; the next plan sees both;
//! - what a later run may do to the new archive is the same with and without the lock, which ends with the commit: the
//!   run that made it names it in its own rotation (`made`), nothing younger than a day is removed if others that do
//!   not use our locks write there (`youngest`), and a command that needs it later takes a hold while it is the newest
//!   of its stream;
//! - marks are set by name under the lock, and only beside an existing archive.
//!
//! The id of a store is written under the lock in any case: it is one small file, and only the first commit writes it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::{DIGEST, LockedStore, Repository};
use crate::digest::Sha256;
use crate::names::{ArchiveName, HostLabel};
use crate::progress::Progress;
use crate::store::{self, StoreError, Upload};
use crate::workspace::LockError;

/// The right to add archives to a store.
#[derive(Debug)]
pub struct Committer<'a> {
    repository: &'a Repository,
    /// The lock, if the store does not commit atomically.
    locked: Option<LockedStore<'a>>,
}

impl<'a> Committer<'a> {
    /// Crash in between: a store with an id and without an archive, which no host knows by that id yet.
    pub(super) fn new(
        repository: &'a Repository,
        largest: u64,
        made_by: &HostLabel,
        now: DateTime<Utc>,
        wait: Duration,
        progress: &dyn Progress,
    ) -> anyhow::Result<Self> {
        repository.store.prepare(largest)?;
        let is_atomic = repository.store.capabilities().atomic_commit;
        if is_atomic && store::identity(repository.store())?.is_some() {
            return Ok(Self { repository, locked: None });
        }
        let locked = repository.lock(wait, progress)?;
        locked.identify(&format!("heirloom {} on {made_by}", env!("CARGO_PKG_VERSION")), now)?;
        Ok(Self { repository, locked: Some(locked).filter(|_| !is_atomic) })
    }

    /// Gives a finished and synced file its name and returns it. If another file has the name, `taken` decides. Once
    /// this returns, the archive is durable and counts.
    ///
    /// Crash in between: the archive is complete in the store, or not there.
    pub fn commit(
        &self,
        path: &Path,
        name: &ArchiveName,
        taken: impl Fn(&ArchiveName) -> anyhow::Result<Taken>,
        progress: &dyn Progress,
    ) -> anyhow::Result<ArchiveName> {
        let upload = Upload::of(path).context("cannot look at the finished archive")?;
        let mut candidate = name.clone();
        for number in 2.. {
            match self.repository.store.commit(candidate.as_str(), &upload, progress) {
                Ok(()) => break,
                Err(error @ StoreError::Exists { .. }) => match taken(&candidate)? {
                    Taken::TryNext => candidate = name.numbered(number),
                    Taken::IsSame => break,
                    Taken::Refuse => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(candidate)
    }

    /// Returns the repository.
    pub fn repository(&self) -> &'a Repository {
        self.repository
    }

    /// Writes the digest of an archive that was just committed beside it, in the format of `sha256sum`. Nothing is
    /// written in a store that can hold no such file.
    ///
    /// Crash in between: the archive has no digest, which is a finding and not damage.
    pub fn put_digest(&self, archive: &ArchiveName, sha256: Sha256) -> Result<(), StoreError> {
        if !self.repository.store.capabilities().marks {
            return Ok(());
        }
        let text = format!("{sha256}  {}\n", archive.as_str());
        self.repository.store.put(&format!("{}{DIGEST}", archive.as_str()), text.as_bytes())
    }

    /// Returns the lock for what follows the commits; takes it if the commits did not need it.
    pub fn into_locked(self, wait: Duration, progress: &dyn Progress) -> Result<LockedStore<'a>, LockError> {
        match self.locked {
            Some(locked) => Ok(locked),
            None => self.repository.lock(wait, progress),
        }
    }
}

/// What to do if a file of the store has the name that an archive was to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Try the name with the next number.
    TryNext,
    /// It is the same archive: an earlier run committed it.
    IsSame,
    /// Fail: a name that the user chose is not changed.
    Refuse,
}
