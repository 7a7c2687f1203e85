//! Replaces the content of a file that cannot be renamed: a single file that is a mount point (`docker run -v
//! ./app.db:/app/app.db`).
//!
//! A synced copy of the old content is kept in a folder beside it. The header is removed first and written last, so
//! that any process that opens the file in between, or after a crash, gets an error (no database) and never a mixture.
//! Such a file is unusable, so a second restore takes the same path again and completes it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use crate::database::error::TargetError;
use crate::database::format::sqlite_header::HEADER_BYTES;
use crate::platform::{LockKind, Locking, PositionalIo as _, open_to_overwrite, private_file, try_lock_records};

/// Copies a file into a new private one and syncs it.
pub(in crate::database) fn keep_copy(path: &Path, copy: &Path) -> io::Result<()> {
    let mut from = File::open(path)?;
    let mut to = private_file(copy)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// Writes the content of `from` into a file that no process has open, under an exclusive lock that SQLite respects.
///
/// No connection of this process to the file may be open: closing this descriptor would drop its locks.
pub(in crate::database) fn overwrite(path: &Path, from: &Path) -> Result<(), TargetError> {
    let failed = |cause| TargetError::Io { path: path.to_owned(), action: "write", cause };
    let file = open_to_overwrite(path).map_err(failed)?;
    match try_lock_records(&file, LockKind::Exclusive).map_err(failed)? {
        // A file system without locks: the caller already checked that no process has it open.
        Locking::Held | Locking::Unsupported => {}
        Locking::Denied => {
            return Err(TargetError::Busy { path: path.to_owned(), why: "another process holds a lock on it".into() });
        }
    }
    write_into(&file, from).map_err(failed)
}

/// Writes the content of `from` into an open, locked file and syncs it.
///
/// Crash before the last step: a file without a header, not a database. Crash after it: the new content, complete.
pub(in crate::database) fn write_into(file: &File, from: &Path) -> io::Result<()> {
    file.write_all_at(&[0; HEADER_BYTES], 0)?;
    file.sync_all()?;
    let mut source = File::open(from)?;
    let mut header = Vec::new();
    source.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = header.len() as u64;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => {
                file.write_all_at(&buffer[..bytes], at)?;
                at += bytes as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    // Truncated only now: until here a failure can restore the old content without needing space.
    file.set_len(at)?;
    file.sync_all()?;
    file.write_all_at(&header, 0)?;
    file.sync_all()
}

/// Returns whether an error means that a file is a mount point.
pub(in crate::database) fn is_mounted(error: &TargetError) -> bool {
    matches!(error, TargetError::Io { cause, .. } if cause.kind() == io::ErrorKind::ResourceBusy)
}

/// Renames `from` onto `path`; if that is a mount point, replaces its content.
pub(in crate::database) fn rename_or_overwrite(
    from: &Path,
    path: &Path,
    action: &'static str,
) -> Result<(), TargetError> {
    match fs::rename(from, path) {
        Err(cause) if cause.kind() == io::ErrorKind::ResourceBusy => overwrite(path, from),
        result => result.map_err(|cause| TargetError::Io { path: path.to_owned(), action, cause }),
    }
}
