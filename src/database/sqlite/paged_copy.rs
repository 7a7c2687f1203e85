//! Copies the state that a connection sees into a new private file, through SQLite's backup API, in steps.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::database::error::{SourceError, message};
use crate::database::timeouts::{Timeouts, pause};
use crate::platform::private_file;
use crate::progress::Progress;

/// How many bytes are copied between two checks of the clock. The step size does not affect the speed.
const STEP_BYTES: u32 = 4 << 20;

/// What a copy does if it meets a lock.
#[derive(Clone, Copy)]
pub(in crate::database) enum Patience<'a> {
    /// It waits.
    Within(&'a Timeouts),
    /// It fails: this process itself holds the lock.
    Never,
}

/// Returns how many pages are copied in one step.
pub(in crate::database) fn pages_per_step(page_bytes: u32) -> i32 {
    i32::try_from((STEP_BYTES / page_bytes.max(1)).max(1)).expect("at most 8192 pages")
}

/// Copies everything into a new file (mode 0600) and returns its size. `source` is the path that errors name.
///
/// The connection must hold a read transaction, so that the copy never restarts. The copy is not synced, and if its
/// pages have checksums, that of its first page is not right yet. On failure the target is removed. A crash leaves a
/// partial copy in its scratch folder, which is never used.
pub(in crate::database) fn copy_pages(
    from: &Connection,
    source: &Path,
    target: &Path,
    page_bytes: u32,
    patience: Patience<'_>,
    progress: &dyn Progress,
) -> Result<u64, SourceError> {
    let to_target = |cause| SourceError::Io { path: target.to_owned(), action: "create", cause };
    private_file(target).map_err(to_target)?;
    fill(from, source, target, page_bytes, patience, progress).inspect_err(|_| {
        let _ = fs::remove_file(target);
    })
}

fn fill(
    from: &Connection,
    source: &Path,
    target: &Path,
    page_bytes: u32,
    patience: Patience<'_>,
    progress: &dyn Progress,
) -> Result<u64, SourceError> {
    let to_target = |error: rusqlite::Error| SourceError::from_sqlite(target, "write", &error);
    let mut copy = open_target(target).map_err(to_target)?;
    let backup = Backup::new(from, &mut copy).map_err(to_target)?;
    let pages = step_through(&backup, source, target, page_bytes, patience, progress)?;
    drop(backup);
    // Nothing was read through this connection: in WAL mode that would have created sidecars beside the copy.
    copy.close().map_err(|(_, error)| to_target(error))?;
    let bytes =
        fs::metadata(target).map_err(|cause| SourceError::Io { path: target.to_owned(), action: "read", cause })?.len();
    if bytes != pages * u64::from(page_bytes) {
        let cause = io::Error::other(format!("the copy has {bytes} bytes instead of {pages} pages of {page_bytes}"));
        return Err(SourceError::Io { path: target.to_owned(), action: "write", cause });
    }
    Ok(bytes)
}

/// Runs the backup to its end and returns the number of pages.
fn step_through(
    backup: &Backup<'_, '_>,
    source: &Path,
    target: &Path,
    page_bytes: u32,
    patience: Patience<'_>,
    progress: &dyn Progress,
) -> Result<u64, SourceError> {
    let busy = |why: String| SourceError::Busy { path: source.to_owned(), why };
    let started = Instant::now();
    let mut moved = started;
    let mut done = 0;
    let mut waits = 0_u64;
    loop {
        progress.checkpoint()?;
        let result = backup.step(pages_per_step(page_bytes)).map_err(|error| copy_error(source, target, &error))?;
        let state = backup.progress();
        let (pages, left) = (u64::from(state.pagecount.unsigned_abs()), u64::from(state.remaining.unsigned_abs()));
        let now_done = pages.saturating_sub(left);
        if now_done > done {
            progress.advance((now_done - done) * u64::from(page_bytes));
            (done, moved, waits) = (now_done, Instant::now(), 0);
        }
        match (result, patience) {
            (StepResult::Done, _) => return Ok(pages),
            (StepResult::More, _) => {}
            (_, Patience::Never) => return Err(busy("another process prevents copying it".into())),
            (_, Patience::Within(timeouts)) if moved.elapsed() > timeouts.stalled => {
                return Err(busy(format!("a lock has blocked the copy for {:?}", timeouts.stalled)));
            }
            (_, Patience::Within(_)) => {
                waits += 1;
                pause(Duration::from_millis(10 * waits.min(10)), progress)?;
            }
        }
        if let Patience::Within(timeouts) = patience
            && started.elapsed() > timeouts.total
        {
            return Err(busy(format!("the copy did not finish within {:?}", timeouts.total)));
        }
    }
}

/// Opens the new file without durability: it is worthless until its archive is durable.
fn open_target(target: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(target, flags)?;
    connection.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;")?;
    Ok(connection)
}

/// Separates an error of the source from one of the target: the backup API reports both through the target.
fn copy_error(source: &Path, target: &Path, error: &rusqlite::Error) -> SourceError {
    use rusqlite::ffi;
    let code = error.sqlite_error().map(|error| error.extended_code);
    // SQLite reports an EIO of a read as CORRUPTFS, and nothing is read from the new file.
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
