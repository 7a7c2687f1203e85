//! Replaces a live database in place, through SQLite's backup API.
//!
//! Renaming a file over a database loses data: processes that have it open continue with the deleted file, and a `-wal`
//! or `-journal` left beside it is replayed into the new one. In place, readers and writers see either the old or the
//! new state as a whole, even if the process is killed at any call: until the commit, SQLite's own journal or WAL can
//! roll back.
//!
//! The order: [`Replacement::open`], [`lock`](Replacement::lock) (nothing else can commit from here on),
//! [`Locked::copy_to`] (the safety copy), [`Locked::write`] (everything but the commit), [`Written::commit`],
//! [`Committed::compare`], [`Replacement::judge`], [`Replacement::close`]. Dropping any of them before the commit keeps
//! the old state.
//!
//! WAL: one connection holds the write lock through a backup of zero pages, a second one reads the old state. The
//! commit itself releases the lock, so the second connection pins the new state at once, and the pinned state is
//! compared. Rollback modes: one connection holds the exclusive lock across transactions (`locking_mode=EXCLUSIVE`)
//! until it is closed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::lock_wait::LockWait;
use super::target::{Target, TargetState};
use super::target_connection::{
    data_version, encoding, encoding_name, leave_wal, mode, number, open_writable, page_bytes,
};
use crate::database::copies::compare::{self, difference};
use crate::database::error::TargetError;
use crate::database::files::access::refuse_as_root;
use crate::database::files::claim::Claim;
use crate::database::files::source_file::Located;
use crate::database::format::page_checksums;
use crate::database::format::sqlite_header::{Header, JournalMode};
use crate::database::sidecars::sidecar;
use crate::database::sqlite::connection::open_private;
use crate::database::sqlite::paged_copy::{Patience, copy_pages, pages_per_step};
use crate::database::sqlite::transaction::{begin, roll_back};
use crate::database::timeouts::Timeouts;
use crate::platform::{PositionalIo as _, open_regular};
use crate::progress::{Progress, Stage};

/// How long one attempt at the exclusive lock waits for existing readers; new ones queue behind it.
const READERS_WAIT: Duration = Duration::from_millis(500);

/// A database that is about to be replaced, opened together with its replacement. Nothing is locked yet.
///
/// Fields are dropped in this order, and it matters: the journal is removed while the lock is held, and the plain
/// descriptor is closed after all connections, since closing it drops their locks.
pub struct Replacement {
    journal: EmptyJournal,
    staged: Connection,
    reader: Option<Connection>,
    target: Connection,
    file: File,
    path: PathBuf,
    mode: JournalMode,
    resized: Option<PathBuf>,
    /// Whether the pages of the copy have checksums.
    checked: bool,
    source: PathBuf,
    /// The data version that the target's connection saw last before its own commit, if that is certain.
    own_version: Option<i64>,
    /// The claim on the file; `None` if there was no file.
    _claim: Option<Claim>,
}

/// The result of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The database equals the restored copy, page by page.
    Same,
    /// Another process committed right after the replacement, so a difference proves nothing (WAL only).
    Overtaken,
}

impl Replacement {
    /// Opens the target, which must exist and be usable, and the private copy that is to replace it. Changes no more
    /// than any reader would: SQLite rolls back or recovers what a crashed application left.
    ///
    /// Another page size cannot be written into a WAL database, so the copy is then rewritten beside `staged` with the
    /// page size of the target. Another text encoding is refused: open connections would continue with the wrong one.
    pub fn open(
        target: &Target,
        staged: &Path,
        timeouts: &Timeouts,
        progress: &dyn Progress,
    ) -> Result<Self, TargetError> {
        let path = target.path.clone();
        let failed = |error: rusqlite::Error| TargetError::from_sqlite(&path, "open", &error);
        let waiting = LockWait::new(&path, timeouts, progress);
        refuse_as_root(&path)?;
        let claim = claim(target, timeouts, progress)?;
        // Opened before every connection, closed after the last: see above.
        let file =
            open_regular(&path).map_err(|cause| TargetError::Io { path: path.clone(), action: "open", cause })?;
        let connection = waiting.get(|| open_writable(&path))?;
        let mode = waiting.get(|| mode(&connection, &file))?;
        if connection.is_readonly("main").map_err(failed)? {
            return Err(TargetError::Io { path, action: "write", cause: io::ErrorKind::PermissionDenied.into() });
        }
        let mut replacement = Self {
            journal: EmptyJournal { path: sidecar(&path, "-journal"), ours: false },
            staged: open_private(staged).map_err(failed)?,
            reader: (mode == JournalMode::Wal).then(|| waiting.get(|| open_writable(&path))).transpose()?,
            target: connection,
            file,
            mode,
            resized: None,
            checked: false,
            source: staged.to_owned(),
            own_version: None,
            _claim: claim,
            path: path.clone(),
        };
        replacement.fit(staged, &waiting)?;
        let checksums = page_checksums::look(&replacement.source, progress);
        replacement.checked = checksums.map_err(|cause| page_checksums::failed(&replacement.source, cause))?.in_use;
        Ok(replacement)
    }

    /// Makes the copy fit the target, or refuses.
    fn fit(&mut self, staged: &Path, waiting: &LockWait<'_>) -> Result<(), TargetError> {
        let failed = |error: rusqlite::Error| TargetError::from_sqlite(&self.path, "open", &error);
        let needs_offline = |why: String| TargetError::NeedsOffline { path: self.path.clone(), why };
        if number(&self.staged, "PRAGMA page_count").map_err(failed)? == 0 {
            let why = "the copy to restore is an empty file, not a database".into();
            return Err(TargetError::Refused { path: self.path.clone(), why });
        }
        let (old, new) =
            (waiting.get(|| encoding(&self.target, &self.file))?, encoding_name(&self.staged).map_err(failed)?);
        if old.as_ref().is_some_and(|old| *old != new) {
            let old = old.unwrap_or_default();
            let why = format!("its text encoding is {old}, the archive's is {new}, and open connections would break");
            return Err(needs_offline(why));
        }
        let (old, new) =
            (waiting.get(|| number(&self.target, "PRAGMA page_size"))?, page_bytes(&self.staged).map_err(failed)?);
        if self.mode == JournalMode::Wal && old != new {
            let resized = sidecar(staged, "-resized");
            compare::resize(staged, &resized, old).map_err(|why| {
                needs_offline(format!(
                    "its page size is {old}, the archive's is {new}, and the archive's data cannot be rewritten: {why}"
                ))
            })?;
            self.staged = open_private(&resized).map_err(failed)?;
            self.source.clone_from(&resized);
            self.resized = Some(resized);
        }
        Ok(())
    }

    /// Returns whether the copy was rewritten with the page size of the target.
    pub fn is_resized(&self) -> bool {
        self.resized.is_some()
    }

    /// Returns the journal mode before and after: that of the archive, except that a WAL database stays in WAL mode.
    pub fn journal_modes(&self) -> Result<(&'static str, &'static str), TargetError> {
        let before = self.mode.name();
        let failed = |cause| TargetError::Io { path: self.source.clone(), action: "read", cause };
        let after = if self.mode == JournalMode::Wal {
            before
        } else {
            compare::journal_mode_of(&self.source).map_err(failed)?
        };
        Ok((before, after))
    }

    /// Takes the write lock: no other process can commit from here on. Waits up to `timeouts.busy`; after a timeout the
    /// target is unchanged.
    pub fn lock(&mut self, timeouts: &Timeouts, progress: &dyn Progress) -> Result<Locked<'_>, TargetError> {
        let waiting = LockWait::new(&self.path, timeouts, progress);
        let page_bytes = page_bytes(&self.staged).map_err(|error| waiting.failed(&error))?;
        match (self.mode, &self.reader) {
            (JournalMode::Wal, Some(reader)) => {
                // With writers locked out for a moment, both connections note the state that they saw last. If nothing
                // else commits until the lock is finally taken, a difference in that number after our own commit means
                // that another process committed.
                waiting.until(|| begin(reader, "BEGIN IMMEDIATE").map(|()| true))?;
                let seen = data_version(reader).and_then(|reader| Ok((reader, data_version(&self.target)?)));
                roll_back(reader).map_err(|error| waiting.failed(&error))?;
                let (quiet, own) = seen.map_err(|error| waiting.failed(&error))?;

                let backup = Backup::new(&self.staged, &mut self.target).map_err(|error| waiting.failed(&error))?;
                // Zero pages: this takes the write lock and copies nothing.
                waiting.until(|| Ok(backup.step(0)? == StepResult::More))?;
                begin(reader, "BEGIN; PRAGMA schema_version;").map_err(|error| waiting.failed(&error))?;
                if self.checked {
                    let seen = page_checksums::seen_header(reader);
                    foresee(&self.staged, &self.source, seen, self.mode)
                        .map_err(|cause| to_copy(&self.source, cause))?;
                }
                let settled = data_version(reader).map_err(|error| waiting.failed(&error))? == quiet;
                self.own_version = settled.then_some(own);
                Ok(Locked {
                    path: &self.path,
                    source: &self.source,
                    checked: self.checked,
                    page_bytes,
                    hold: Hold::Wal { backup, reader },
                })
            }
            _ => {
                // First against other writers: retry often, and hold nothing that they wait for in between. Then
                // against readers: wait within one attempt, which keeps new ones out while it lasts. In this locking
                // mode, locks stay after COMMIT until the connection is closed.
                self.target.busy_timeout(Duration::ZERO).map_err(|error| waiting.failed(&error))?;
                waiting.until(|| begin(&self.target, "BEGIN IMMEDIATE").map(|()| true))?;
                self.target.execute_batch("PRAGMA locking_mode=EXCLUSIVE").map_err(|error| waiting.failed(&error))?;
                self.target.busy_timeout(READERS_WAIT).map_err(|error| waiting.failed(&error))?;
                waiting.until(|| self.target.execute_batch("COMMIT").map(|()| true))?;
                waiting.until(|| begin(&self.target, "BEGIN EXCLUSIVE; COMMIT;").map(|()| true))?;
                if mode(&self.target, &self.file).map_err(|error| waiting.failed(&error))? == JournalMode::Wal {
                    let why = "it was just switched to WAL mode; try again".into();
                    return Err(TargetError::Busy { path: self.path.clone(), why });
                }
                self.journal.ours = true;
                if self.checked {
                    let seen = Header::read(&self.file).ok();
                    foresee(&self.staged, &self.source, seen, self.mode)
                        .map_err(|cause| to_copy(&self.source, cause))?;
                }
                let hold = Hold::Rollback { staged: &self.staged, target: &mut self.target, file: &self.file };
                Ok(Locked { path: &self.path, source: &self.source, checked: self.checked, page_bytes, hold })
            }
        }
    }

    /// Decides what the result of [`Committed::compare`] means. In WAL mode a difference proves nothing if another
    /// process has committed since.
    pub fn judge(&self, difference: Option<String>) -> Result<Compared, TargetError> {
        let Some(difference) = difference else { return Ok(Compared::Same) };
        if self.mode == JournalMode::Wal {
            let now =
                data_version(&self.target).map_err(|error| TargetError::from_sqlite(&self.path, "read", &error))?;
            if self.own_version != Some(now) {
                return Ok(Compared::Overtaken);
            }
        }
        Err(TargetError::Failed {
            path: self.path.clone(),
            why: format!("it was written, but differs when read back: {difference}"),
        })
    }

    /// Writes the safety copy back after the commit, because something else failed. In rollback mode the lock was never
    /// released.
    pub fn put_back(&mut self, copy: &Path, timeouts: &Timeouts, progress: &dyn Progress) -> Result<(), TargetError> {
        let waiting = LockWait::new(&self.path, timeouts, progress);
        if let Some(reader) = &self.reader {
            roll_back(reader).map_err(|error| waiting.failed(&error))?;
        }
        if self.checked {
            let seen = page_checksums::seen_header(&self.target);
            page_checksums::foresee(copy, seen, self.mode).map_err(|cause| to_copy(copy, cause))?;
        }
        let copy = open_private(copy).map_err(|error| waiting.failed(&error))?;
        let backup = Backup::new(&copy, &mut self.target).map_err(|error| waiting.failed(&error))?;
        waiting.until(|| Ok(backup.step(-1)? == StepResult::Done))?;
        drop(backup);
        if self.mode == JournalMode::Rollback {
            // The archive may have switched it to WAL mode.
            waiting.until(|| leave_wal(&self.target))?;
        }
        Ok(())
    }

    /// Closes everything, releases the lock and syncs the folder. The restore is durable when this has returned.
    pub fn close(self) -> Result<(), TargetError> {
        let path = self.path.clone();
        let failed = |cause| TargetError::Io { path: path.clone(), action: "sync the folder of", cause };
        // Crash here: the new state, perhaps with a -wal or an empty journal that the next connection handles.
        drop(self);
        File::open(path.parent().unwrap_or(Path::new("/"))).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// A locked target in its old state.
pub struct Locked<'a> {
    path: &'a Path,
    source: &'a Path,
    checked: bool,
    page_bytes: u32,
    hold: Hold<'a>,
}

/// The means by which the lock is held.
enum Hold<'a> {
    Wal { backup: Backup<'a, 'a>, reader: &'a Connection },
    Rollback { staged: &'a Connection, target: &'a mut Connection, file: &'a File },
}

impl<'a> Locked<'a> {
    /// Copies the old state into a new file (mode 0600), and returns its size.
    pub fn copy_to(&self, copy: &Path, progress: &dyn Progress) -> Result<u64, TargetError> {
        let old: &Connection = match &self.hold {
            Hold::Wal { reader, .. } => reader,
            Hold::Rollback { target, .. } => target,
        };
        copy_whole(old, copy, self.path, progress)
    }

    /// Writes the new state except for the commit: readers still see the old one, and a crash leaves the old one.
    pub fn write(self, progress: &dyn Progress) -> Result<Written<'a>, TargetError> {
        let failed = |error: rusqlite::Error| TargetError::from_sqlite(self.path, "write", &error);
        let (backup, after) = match self.hold {
            Hold::Wal { backup, reader } => (backup, After::Wal { reader }),
            Hold::Rollback { staged, target, file } => {
                (Backup::new(staged, target).map_err(failed)?, After::Rollback { file })
            }
        };
        let mut left = match backup.step(0).map_err(failed)? {
            StepResult::More => backup.progress().remaining,
            _ => return Err(TargetError::Busy { path: self.path.to_owned(), why: "the lock on it was lost".into() }),
        };
        let step = pages_per_step(self.page_bytes);
        // The step that copies the last page also commits.
        while left > 1 {
            progress.checkpoint().map_err(TargetError::Interrupted)?;
            if backup.step(step.min(left - 1)).map_err(failed)? != StepResult::More {
                return Err(TargetError::Busy {
                    path: self.path.to_owned(),
                    why: "another process prevented writing it".into(),
                });
            }
            let now = backup.progress().remaining;
            progress.advance(u64::from(left.abs_diff(now)) * u64::from(self.page_bytes));
            left = now;
        }
        Ok(Written { path: self.path, source: self.source, checked: self.checked, backup, after })
    }
}

/// A locked target whose new state is written but not committed.
pub struct Written<'a> {
    path: &'a Path,
    source: &'a Path,
    checked: bool,
    backup: Backup<'a, 'a>,
    after: After<'a>,
}

/// What reads the new state after the commit.
enum After<'a> {
    Wal { reader: &'a Connection },
    Rollback { file: &'a File },
}

impl<'a> Written<'a> {
    /// Commits. From this instant all readers see the new state, durably.
    ///
    /// Crash before this: SQLite rolls back to the old state. Crash after this: the new state.
    pub fn commit(self) -> Result<Committed<'a>, TargetError> {
        let failed = |error: &rusqlite::Error| TargetError::from_sqlite(self.path, "write", error);
        match self.backup.step(-1) {
            Ok(StepResult::Done) => {}
            Ok(_) => {
                let why = "another process prevented the commit".into();
                return Err(TargetError::Busy { path: self.path.to_owned(), why });
            }
            Err(error) => return Err(failed(&error)),
        }
        if let After::Wal { reader } = self.after {
            // At once: the commit has released the lock.
            let pinned = roll_back(reader).and_then(|()| begin(reader, "BEGIN; PRAGMA schema_version;"));
            pinned.map_err(|error| failed(&error))?;
        }
        drop(self.backup);
        Ok(Committed { path: self.path, source: self.source, checked: self.checked, after: self.after })
    }
}

/// A target with its new state. In rollback mode the lock is still held.
pub struct Committed<'a> {
    path: &'a Path,
    source: &'a Path,
    checked: bool,
    after: After<'a>,
}

impl Committed<'_> {
    /// Compares the current state with the restored copy, page by page, and returns where they differ. `space` is a
    /// path for a temporary private copy.
    ///
    /// [`Replacement::judge`] decides what the result means.
    pub fn compare(&self, space: &Path, progress: &dyn Progress) -> Result<Option<String>, TargetError> {
        let failed = |cause| TargetError::Io { path: self.path.to_owned(), action: "read back", cause };
        let wanted = File::open(self.source).map_err(failed)?;
        if self.checked {
            let first = match self.after {
                After::Rollback { file } => page_checksums::first_page(file).map_err(failed)?,
                After::Wal { reader } => page_checksums::seen_first_page(reader),
            };
            if !first.is_some_and(|page| page_checksums::is_first_and_holds(&page)) {
                return Ok(Some("the page checksum of page 1".into()));
            }
        }
        match self.after {
            After::Rollback { file } => difference(&wanted, file).map_err(failed),
            After::Wal { reader } => {
                copy_whole(reader, space, self.path, progress)?;
                let found = File::open(space).map_err(failed)?;
                let difference = difference(&wanted, &found).map_err(failed);
                // To free space; the scratch folder is removed soon anyway.
                let _ = fs::remove_file(space);
                difference
            }
        }
    }
}

/// Claims the file of a target, even an empty one.
fn claim(target: &Target, timeouts: &Timeouts, progress: &dyn Progress) -> Result<Option<Claim>, TargetError> {
    if let TargetState::Database(_) = target.state {
        return Ok(Some(Located::find(&target.path, timeouts, progress)?.into_claim()));
    }
    let Some(id) = target.id else { return Ok(None) };
    let claim = Claim::wait(id, Instant::now(), timeouts.busy, progress).map_err(TargetError::Interrupted)?;
    let why = || format!("another operation of this process has worked on it for {:?}", timeouts.busy);
    claim.map(Some).ok_or_else(|| TargetError::Busy { path: target.path.clone(), why: why() })
}

/// Sets the checksum that the first page of the copy will have in the target, whose writers are locked out. If the
/// target's first page cannot be read, the checksum becomes wrong, which the comparison after the commit finds.
fn foresee(staged: &Connection, source: &Path, seen: Option<Header>, mode: JournalMode) -> io::Result<()> {
    page_checksums::foresee(source, seen, mode)?;
    // The connection has cached the old page.
    staged.release_memory().map_err(io::Error::other)
}

fn to_copy(copy: &Path, cause: io::Error) -> TargetError {
    TargetError::Io { path: copy.to_owned(), action: "write", cause }
}

/// Copies the whole state that a connection sees into a new private file, and returns its size.
pub(in crate::database) fn copy_whole(
    from: &Connection,
    copy: &Path,
    path: &Path,
    progress: &dyn Progress,
) -> Result<u64, TargetError> {
    let page_bytes = page_bytes(from).map_err(|error| TargetError::from_sqlite(path, "copy", &error))?;
    let bytes = copy_pages(from, path, copy, page_bytes, Patience::Never, &Uncounted(progress))
        .map_err(TargetError::of_copy)?;
    page_checksums::settle(copy, progress)?;
    Ok(bytes)
}

/// Passes on cancellation, but counts nothing: this stage counts the bytes of the replacement, or none.
struct Uncounted<'a>(&'a dyn Progress);

impl Progress for Uncounted<'_> {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// The journal that a commit under an exclusive lock leaves, with its header zeroed and synced. It is removed before
/// the lock is released.
struct EmptyJournal {
    path: PathBuf,
    ours: bool,
}

impl Drop for EmptyJournal {
    fn drop(&mut self) {
        // A journal that starts with data can restore the old state: it always stays. This is SQLite's own test.
        let mut first = [0];
        if self.ours
            && open_regular(&self.path).and_then(|journal| journal.read_at(&mut first, 0)).is_ok()
            && first == [0]
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}
