//! Why a database cannot be backed up or replaced.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::database::processes::holders::Holder;
use crate::database::processes::unlinked::Unlinked;
use crate::names::printable;
use crate::progress::Interrupted;

/// Why a database cannot be copied or checked. Each variant names the file.
#[derive(Debug)]
pub enum SourceError {
    /// There is no such file.
    Missing(PathBuf),
    /// It is a folder, a pipe, a device or the like.
    NotAFile {
        /// The path as it was given.
        path: PathBuf,
        /// What it is, with article: `a folder`.
        what: &'static str,
    },
    /// The file has no bytes: nothing to back up, unless there is a `-wal` beside it, which SQLite would delete.
    Empty {
        /// The path as it was given.
        path: PathBuf,
        /// Whether there is a `-wal` with content beside it.
        wal_beside: bool,
    },
    /// The file is not a SQLite database that can be opened: no header, encrypted, truncated, malformed schema.
    NotADatabase {
        /// The path as it was given.
        path: PathBuf,
        /// SQLite's message, made printable.
        why: String,
    },
    /// The file is a database, and reading it found damage.
    Damaged {
        /// The path as it was given.
        path: PathBuf,
        /// SQLite's message, made printable.
        why: String,
    },
    /// An index and its table contradict each other, so one of them is wrong; there is no other damage.
    Contradicted {
        /// The path as it was given.
        path: PathBuf,
        /// Which index, and which rows as far as known.
        why: String,
        /// The statements that rebuild the index from the table.
        rebuild: Vec<String>,
    },
    /// SQLite lacks something that the file needs: a collation, function or module of the application, or a newer
    /// release.
    Unsupported {
        /// The path as it was given.
        path: PathBuf,
        /// What was being done, as a verb.
        action: &'static str,
        /// SQLite's message, made printable.
        why: String,
    },
    /// A process writes to a file of the database that was deleted: its commits do not reach the file at the path, and
    /// are lost when the process ends.
    Unlinked {
        /// The path as it was given.
        path: PathBuf,
        /// Who has which file open.
        found: Unlinked,
    },
    /// Another process held a lock for longer than the timeout, or changed the file during every copy.
    Busy {
        /// The path as it was given.
        path: PathBuf,
        /// What it waited for, and how long.
        why: String,
    },
    /// One process kept all others out during the whole wait. With `locking_mode=EXCLUSIVE` it never releases the lock.
    Exclusive {
        /// The path as it was given.
        path: PathBuf,
        /// The process.
        holder: Holder,
        /// How long it waited.
        waited: Duration,
    },
    /// A system error.
    Io {
        /// The path as it was given.
        path: PathBuf,
        /// What was being done, as a verb: `read`, `open`, `copy`.
        action: &'static str,
        /// The system's error.
        cause: io::Error,
    },
    /// The operation was asked to stop.
    Interrupted(Interrupted),
}

impl SourceError {
    /// Reports a copy's error under the source's path.
    pub fn of(self, source: &Path) -> Self {
        let path = source.to_owned();
        match self {
            Self::Missing(_) => Self::Missing(path),
            Self::NotAFile { what, .. } => Self::NotAFile { path, what },
            Self::Empty { wal_beside, .. } => Self::Empty { path, wal_beside },
            Self::NotADatabase { why, .. } => Self::NotADatabase { path, why },
            Self::Damaged { why, .. } => Self::Damaged { path, why },
            Self::Contradicted { why, rebuild, .. } => Self::Contradicted { path, why, rebuild },
            Self::Unsupported { action, why, .. } => Self::Unsupported { path, action, why },
            Self::Unlinked { found, .. } => Self::Unlinked { path, found },
            Self::Busy { why, .. } => Self::Busy { path, why },
            Self::Exclusive { holder, waited, .. } => Self::Exclusive { path, holder, waited },
            Self::Io { action, cause, .. } => Self::Io { path, action, cause },
            Self::Interrupted(cause) => Self::Interrupted(cause),
        }
    }

    /// Returns whether this file, or a sidecar of it, could not be read or written, as opposed to a private copy in
    /// scratch.
    pub fn is_about(&self, source: &Path) -> bool {
        let Self::Io { path, .. } = self else { return false };
        path == source
            || ["-wal", "-journal"].iter().any(|ending| *path == crate::database::sidecars::sidecar(source, ending))
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "no database at {}", quoted(path)),
            Self::NotAFile { path, what } => write!(f, "{} is {what}, not a database file", quoted(path)),
            Self::Empty { path, wal_beside: false } => write!(f, "{} is empty (0 bytes)", quoted(path)),
            Self::Empty { path, wal_beside: true } => {
                write!(f, "{} is empty (0 bytes), but there is a -wal with data beside it", quoted(path))
            }
            Self::NotADatabase { path, why } => write!(f, "{} is not a SQLite database: {why}", quoted(path)),
            Self::Damaged { path, why } => write!(f, "{} is damaged: {why}", quoted(path)),
            Self::Contradicted { path, why, .. } => write!(f, "{} is damaged: {why}", quoted(path)),
            Self::Unsupported { path, action, why } => {
                write!(f, "cannot {action} {}: it needs something that only its application has ({why})", quoted(path))
            }
            Self::Unlinked { path, found } => write!(f, "{} {found}", quoted(path)),
            Self::Busy { path, why } => write!(f, "{} is busy: {why}", quoted(path)),
            Self::Exclusive { path, holder, waited } => {
                write!(
                    f,
                    "{} is busy: process {} has held an exclusive lock for {waited:?}",
                    quoted(path),
                    holder.shown()
                )
            }
            Self::Io { path, action, .. } => write!(f, "cannot {action} {}", quoted(path)),
            Self::Interrupted(interrupted) => interrupted.fmt(f),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(cause),
            Self::Interrupted(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<Interrupted> for SourceError {
    fn from(cause: Interrupted) -> Self {
        Self::Interrupted(cause)
    }
}

impl SourceError {
    /// Converts an SQLite error for the database at `path`. `action` is what was being done, as a verb.
    pub(super) fn from_sqlite(path: &Path, action: &'static str, error: &rusqlite::Error) -> Self {
        let (path, why) = (path.to_owned(), message(error));
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, why },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Busy { path, why }
            }
            Some(ErrorCode::OperationInterrupted) => Self::Interrupted(Interrupted),
            _ if is_full(error) => Self::Io { path, action, cause: io::Error::new(io::ErrorKind::StorageFull, why) },
            Some(ErrorCode::OutOfMemory) => {
                Self::Io { path, action, cause: io::Error::new(io::ErrorKind::OutOfMemory, why) }
            }
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::Io { path, action, cause: io::Error::new(io::ErrorKind::PermissionDenied, why) }
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                Self::Io { path, action, cause: io::Error::other(why) }
            }
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path, why },
            _ => Self::Unsupported { path, action, why },
        }
    }
}

/// Returns whether there is no space. If a `-shm` cannot grow, SQLite reports a disk I/O error, whatever the system
/// error was; the cause is a full file system or a quota.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error.sqlite_error().is_some_and(|failure| failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// Returns SQLite's message, safe for a terminal. It can contain any text of a damaged schema.
pub(super) fn message(error: &rusqlite::Error) -> String {
    let text = match error {
        rusqlite::Error::SqliteFailure(failure, text) => match text {
            // The backup API returns a code without a text, so the message would be `not an error`.
            Some(text) if text != "not an error" => text.clone(),
            _ => rusqlite::ffi::code_to_str(failure.extended_code).to_owned(),
        },
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    printable(&text).into_owned()
}

/// Returns a path in quotes, safe for a terminal.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", printable(&path.to_string_lossy()))
}

/// Why a database cannot be replaced. The target is unchanged, unless the variant says otherwise.
#[derive(Debug)]
pub enum TargetError {
    /// Another process held a lock for longer than the timeout.
    Busy {
        /// The target.
        path: PathBuf,
        /// What it waited for, and how long.
        why: String,
    },
    /// It cannot be replaced: a folder, an empty file at its path, a process that has it open.
    Refused {
        /// The target.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// It can only be replaced as a file, not through open connections: another text encoding, another page size in WAL
    /// mode.
    NeedsOffline {
        /// The target.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// Not every process is visible, so another one may have it open.
    Unproved {
        /// The target.
        path: PathBuf,
    },
    /// This process is root without permission to change owners, and the database belongs to another user.
    NotOwner {
        /// The target.
        path: PathBuf,
        /// The uid of the owner.
        owner: u32,
    },
    /// Replacing it failed; SQLite rolled it back, or will do so at the next open.
    Failed {
        /// The target.
        path: PathBuf,
        /// SQLite's message, made printable.
        why: String,
    },
    /// A system error.
    Io {
        /// The target.
        path: PathBuf,
        /// What was being done, as a verb.
        action: &'static str,
        /// The system's error.
        cause: io::Error,
    },
    /// Making the safety copy failed.
    Source(SourceError),
    /// The operation was asked to stop.
    Interrupted(Interrupted),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { path, why } => write!(f, "{} is busy: {why}", quoted(path)),
            Self::Refused { path, why } | Self::NeedsOffline { path, why } => {
                write!(f, "{} cannot be replaced: {why}", quoted(path))
            }
            Self::Unproved { path } => write!(
                f,
                "{} cannot be replaced: another process may have it open, since not every process is visible (not \
                 root, or inside a \
                 container)",
                quoted(path)
            ),
            Self::NotOwner { path, owner } => write!(
                f,
                "{} cannot be replaced: it belongs to user {owner}, and root without CAP_CHOWN would leave files \
                 beside it that this user cannot open",
                quoted(path)
            ),
            Self::Failed { path, why } => write!(f, "replacing {} failed: {why}", quoted(path)),
            Self::Io { path, action, .. } => write!(f, "cannot {action} {}", quoted(path)),
            Self::Source(cause) => cause.fmt(f),
            Self::Interrupted(interrupted) => interrupted.fmt(f),
        }
    }
}

impl std::error::Error for TargetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(cause),
            Self::Source(cause) => Some(cause),
            Self::Interrupted(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<SourceError> for TargetError {
    fn from(cause: SourceError) -> Self {
        Self::Source(cause)
    }
}

impl TargetError {
    /// Converts an SQLite error for the target at `path`. `action` is what was being done, as a verb.
    pub(in crate::database) fn from_sqlite(path: &Path, action: &'static str, error: &rusqlite::Error) -> Self {
        Self::of_copy(SourceError::from_sqlite(path, action, error))
    }

    /// Converts an error of copying a locked target.
    pub(super) fn of_copy(error: SourceError) -> Self {
        match error {
            SourceError::Busy { path, why } => Self::Busy { path, why },
            SourceError::Io { path, action, cause } => Self::Io { path, action, cause },
            SourceError::Interrupted(interrupted) => Self::Interrupted(interrupted),
            SourceError::Damaged { path, why }
            | SourceError::NotADatabase { path, why }
            | SourceError::Unsupported { path, why, .. } => Self::Failed { path, why },
            other => Self::Source(other),
        }
    }
}
