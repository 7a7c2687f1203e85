//! A pinned database, and copying it while others write.

use std::fs;
use std::path::{Path, PathBuf};

use super::copy_with_sidecars::PrivateCopy;
use crate::database::error::SourceError;
use crate::database::files::source_file::Located;
use crate::database::format::page_checksums;
use crate::database::sqlite::connection::Live;
use crate::database::sqlite::paged_copy::{Patience, copy_pages};
use crate::database::timeouts::Timeouts;
use crate::names::Name;
use crate::progress::Progress;

/// A database to back up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the set.
    pub name: Name,
    /// Its path as the user or the configuration gave it.
    pub path: PathBuf,
}

/// The result of copying a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The size of the copy.
    pub bytes: u64,
    /// Damage in the source that no longer shows in the copy; one printable line each.
    pub damage: Vec<String>,
}

/// A database pinned at one point in time by a read transaction, or a private copy of it and its sidecars.
pub struct PinnedDatabase {
    pub(in crate::database) bytes: u64,
    pub(in crate::database) page_bytes: u32,
    pub(in crate::database) freezes: bool,
    // The order matters: the connection is dropped first, then the copy it is open on, then the claim on the file.
    pub(in crate::database) live: Live,
    pub(in crate::database) _staged: Option<PrivateCopy>,
    pub(in crate::database) located: Located,
}

impl PinnedDatabase {
    /// Returns the size of the database in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns its page size in bytes.
    pub fn page_size(&self) -> u64 {
        self.page_bytes.into()
    }

    /// Returns whether no process can commit until it was copied, as in rollback mode.
    pub fn keeps_writers_waiting(&self) -> bool {
        self.freezes
    }

    /// Copies the pinned state into a new file (mode 0600), releases the source, and returns the size of the copy.
    ///
    /// On failure the target is removed. A crash leaves a partial copy in its scratch folder, which is never used.
    pub fn copy_to(self, target: &Path, timeouts: &Timeouts, progress: &dyn Progress) -> Result<u64, SourceError> {
        self.copy_and_look(target, timeouts, progress).map(|copied| copied.bytes)
    }

    /// Like [`copy_to`](Self::copy_to), but also returns the damage that no check of the copy can find.
    pub fn copy_and_look(
        self,
        target: &Path,
        timeouts: &Timeouts,
        progress: &dyn Progress,
    ) -> Result<Copied, SourceError> {
        let connection = self.live.connection();
        let patience = Patience::Within(timeouts);
        let bytes = copy_pages(connection, &self.located.given, target, self.page_bytes, patience, progress)?;
        let first = page_checksums::seen_first_page(connection);
        // In rollback mode the pin keeps writers from committing, so it is dropped before anything else is done.
        drop(self);
        let damage = settle_first_page(target, first.as_deref(), progress).inspect_err(|_| {
            let _ = fs::remove_file(target);
        })?;
        Ok(Copied { bytes, damage })
    }
}

/// Sets the checksum of the first page of a copy, whose header SQLite rewrote. If it was wrong in the source, reports
/// that instead.
fn settle_first_page(
    target: &Path,
    source: Option<&[u8]>,
    progress: &dyn Progress,
) -> Result<Vec<String>, SourceError> {
    let failed = |cause| page_checksums::failed(target, cause);
    if !page_checksums::look(target, progress).map_err(failed)?.in_use {
        return Ok(Vec::new());
    }
    if source.is_some_and(|page| !page_checksums::is_first_and_holds(page)) {
        return Ok(vec!["the page checksum is wrong on page 1".into()]);
    }
    page_checksums::set_first(target).map_err(failed)?;
    Ok(Vec::new())
}
