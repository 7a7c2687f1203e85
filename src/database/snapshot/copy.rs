//! Copies a pinned database through SQLite's backup API, in steps, while others write.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};

use super::copy_with_sidecars::Staged;
use crate::database::error::{SourceError, message};
use crate::database::files::source_file::Located;
use crate::database::format::page_checksums;
use crate::database::limits::{Limits, pause};
use crate::database::sqlite::connection::{Live, open_target};
use crate::names::Name;
use crate::progress::Progress;

/// How much is copied between two looks at the clock, in bytes. The size of a step does not change the speed.
const STEP_BYTES: u32 = 4 << 20;

/// A database to back up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the set.
    pub name: Name,
    /// Its path as the user or the configuration gave it.
    pub path: PathBuf,
}

/// What copying a database gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The size of the copy.
    pub bytes: u64,
    /// What is damaged in the source, and no longer shows in the copy; one printable line each.
    pub damage: Vec<String>,
}

/// A database held at one point in time by a read transaction, or a private copy of it and its sidecars.
pub struct PinnedDatabase {
    pub(in crate::database) bytes: u64,
    pub(in crate::database) page_bytes: u32,
    // The order matters: the connection goes first, then the copy under it, then the right to the file.
    pub(in crate::database) live: Live,
    pub(in crate::database) _staged: Option<Staged>,
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

    /// Copies the pinned state into a new file (mode 0600), lets go of the source, and returns the size of the copy.
    ///
    /// On failure the target is removed. A process that dies here leaves a half copy in its scratch folder, which nothing trusts.
    pub fn copy_to(self, target: &Path, limits: &Limits, progress: &dyn Progress) -> Result<u64, SourceError> {
        self.copy_and_look(target, limits, progress).map(|copied| copied.bytes)
    }

    /// Does the same, and says what was found damaged of what no check of the copy can see.
    pub fn copy_and_look(self, target: &Path, limits: &Limits, progress: &dyn Progress) -> Result<Copied, SourceError> {
        let to_target = |cause| SourceError::Io { path: target.to_owned(), action: "create", cause };
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(to_target)?;
        self.fill(target, limits, progress).inspect_err(|_| {
            let _ = fs::remove_file(target);
        })
    }

    fn fill(self, target: &Path, limits: &Limits, progress: &dyn Progress) -> Result<Copied, SourceError> {
        let to_target = |error: rusqlite::Error| SourceError::from_sqlite(target, "write", &error);
        let mut copy = open_target(target).map_err(to_target)?;
        let pages = self.step_through(&mut copy, target, limits, progress)?;
        let page_bytes = u64::from(self.page_bytes);
        let first = page_checksums::seen_first_page(self.live.connection());
        // In rollback mode the pin keeps writers from committing: it goes before anything else is done.
        drop(self);
        // Nothing was read through this connection: in WAL mode that would have made sidecars beside the copy.
        copy.close().map_err(|(_, error)| to_target(error))?;
        let bytes = fs::metadata(target).map_err(|cause| SourceError::Io { path: target.to_owned(), action: "read", cause })?.len();
        if bytes != pages * page_bytes {
            let cause = io::Error::other(format!("the copy has {bytes} bytes instead of {pages} pages of {page_bytes}"));
            return Err(SourceError::Io { path: target.to_owned(), action: "write", cause });
        }
        let damage = settle_first_page(target, first.as_deref(), progress)?;
        Ok(Copied { bytes, damage })
    }

    /// Runs the backup to its end and returns the number of pages.
    fn step_through(&self, copy: &mut Connection, target: &Path, limits: &Limits, progress: &dyn Progress) -> Result<u64, SourceError> {
        let given = &self.located.given;
        let busy = |why: String| SourceError::Busy { path: given.clone(), why };
        let backup = Backup::new(self.live.connection(), copy).map_err(|error| SourceError::from_sqlite(target, "write", &error))?;
        let step = i32::try_from((STEP_BYTES / self.page_bytes.max(1)).max(1)).expect("at most 8192 pages");
        let started = Instant::now();
        let mut moved = started;
        let mut done = 0;
        let mut waits = 0_u64;
        loop {
            progress.checkpoint()?;
            let result = backup.step(step).map_err(|error| copy_error(given, target, &error))?;
            let state = backup.progress();
            let (pages, left) = (u64::from(state.pagecount.unsigned_abs()), u64::from(state.remaining.unsigned_abs()));
            let now_done = pages.saturating_sub(left);
            if now_done > done {
                progress.advance((now_done - done) * u64::from(self.page_bytes));
                (done, moved, waits) = (now_done, Instant::now(), 0);
            }
            match result {
                StepResult::Done => return Ok(pages),
                StepResult::More => {}
                _ if moved.elapsed() > limits.stalled => {
                    return Err(busy(format!("a lock has held up the copy for {:?}", limits.stalled)));
                }
                _ => {
                    waits += 1;
                    pause(Duration::from_millis(10 * waits.min(10)), progress)?;
                }
            }
            if started.elapsed() > limits.total {
                return Err(busy(format!("the copy did not end within {:?}", limits.total)));
            }
        }
    }
}

/// Sets the checksum of the first page of a copy, whose header SQLite wrote anew. Not where it was wrong in the source: says so instead.
fn settle_first_page(target: &Path, source: Option<&[u8]>, progress: &dyn Progress) -> Result<Vec<String>, SourceError> {
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

/// Tells an error of the source from one of the target: the backup API reports both through the target.
fn copy_error(source: &Path, target: &Path, error: &rusqlite::Error) -> SourceError {
    use rusqlite::ffi;
    let code = error.sqlite_error().map(|error| error.extended_code);
    // CORRUPTFS is what an EIO of a read is called, and nothing is read from the new file.
    let reading = [
        ffi::SQLITE_IOERR_READ,
        ffi::SQLITE_IOERR_CORRUPTFS,
        ffi::SQLITE_IOERR_SHORT_READ,
        ffi::SQLITE_IOERR_LOCK,
        ffi::SQLITE_IOERR_SHMMAP,
    ];
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) if code.is_none_or(|code| reading.contains(&code)) => {
            SourceError::Io { path: source.to_owned(), action: "read", cause: io::Error::other(message(error)) }
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::DiskFull | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            SourceError::from_sqlite(target, "write", error)
        }
        _ => SourceError::from_sqlite(source, "copy", error),
    }
}
