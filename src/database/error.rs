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
use crate::text::{shell_word, unexpanded};

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
    /// The file has no bytes: nothing to back up, perhaps a `-wal` beside it that opening would delete.
    Empty {
        /// The path as it was given.
        path: PathBuf,
        /// Whether a `-wal` with content lies beside it.
        wal_beside: bool,
    },
    /// The file is not a SQLite database that can be opened: no header, encrypted, truncated, malformed schema.
    NotADatabase {
        /// The path as it was given.
        path: PathBuf,
        /// What SQLite said, made printable.
        why: String,
    },
    /// The file is a database, and reading it met damage.
    Damaged {
        /// The path as it was given.
        path: PathBuf,
        /// What SQLite said, made printable.
        why: String,
    },
    /// An index and its table contradict each other, and nothing else is wrong: one of the two is.
    Contradicted {
        /// The path as it was given.
        path: PathBuf,
        /// Which index, and which rows as far as they are known.
        why: String,
        /// The statements that settle it in favor of the table.
        rebuild: Vec<String>,
    },
    /// SQLite lacks something that the file needs: a collation, function or module of its application, a newer release.
    Unsupported {
        /// The path as it was given.
        path: PathBuf,
        /// What was being done, as a verb.
        action: &'static str,
        /// What SQLite said, made printable.
        why: String,
    },
    /// A process writes to a file of the database that has no name any more: what it commits is not where it is looked
    /// for, and is gone when the process ends.
    Unlinked {
        /// The path as it was given.
        path: PathBuf,
        /// Who has which file open.
        found: Unlinked,
    },
    /// Another process held a lock for longer than we wait, or changed the file whenever we copied it.
    Busy {
        /// The path as it was given.
        path: PathBuf,
        /// What was waited for, and for how long.
        why: String,
    },
    /// One process kept all others out during the whole wait. In `locking_mode=EXCLUSIVE` it never lets go.
    Exclusive {
        /// The path as it was given.
        path: PathBuf,
        /// The process.
        holder: Holder,
        /// How long was waited.
        waited: Duration,
    },
    /// The system refused, or failed.
    Io {
        /// The path as it was given.
        path: PathBuf,
        /// What was being done, as a verb: `read`, `open`, `copy`.
        action: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// The operation was asked to stop.
    Interrupted(Interrupted),
}

impl SourceError {
    /// Names another file: what befell a private copy is told of the database that it is a copy of.
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

    /// Returns whether it was this file, or a sidecar of it, that could not be read or written; a private copy in scratch
    /// is another.
    pub fn is_about(&self, source: &Path) -> bool {
        let Self::Io { path, .. } = self else { return false };
        path == source || ["-wal", "-journal"].iter().any(|ending| *path == crate::database::sidecars::sidecar(source, ending))
    }

    /// Says what the user can do next, when we know it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unlinked { path, found } => return Some(found.rescue(path)),
            Self::Missing(path) => return Some(hint_for_missing(path)),
            Self::Empty { wal_beside: true, .. } => {
                "its -wal may hold the data: copy both files away before anything opens them, since SQLite would delete the -wal"
            }
            Self::Empty { .. } => "an application that was never started leaves such a file; there is nothing in it to back up",
            Self::NotADatabase { why, .. } if why.contains("cut off") => {
                "a copy that was interrupted, or a full disk, leaves such a file; restore the last good backup (`heirloom list`)"
            }
            Self::NotADatabase { path, .. } => {
                return Some(format!(
                    "if it is encrypted, back it up with its application; else see what it is with `file {}`",
                    shown(path)
                ));
            }
            Self::Damaged { why, .. } if why.contains("its -wal") => {
                "copy the file and its -wal away first; `heirloom list` shows the last good backup"
            }
            Self::Damaged { .. } => {
                "keep the file; restore the last good backup (`heirloom list`), or keep a damaged copy with `--keep-damaged`"
            }
            Self::Contradicted { path, rebuild, .. } => {
                return Some(format!(
                    "one of the two is wrong, and a rebuild would hide which: compare these rows with the last good backup (`heirloom \
                     list`) and restore it, or, if you know that the table is right, run: sqlite3 {} {}",
                    shown(path),
                    shell_word(&rebuild.join("; "))
                ));
            }
            Self::Unsupported { .. } => "only the application has what is missing here: use the application's own tool for this step",
            Self::Busy { .. } => {
                "try again when the application is less busy; one in `locking_mode=EXCLUSIVE` never lets go: stop it for that time"
            }
            Self::Exclusive { holder, .. } => {
                return Some(format!(
                    "in `locking_mode=EXCLUSIVE` a process never lets go, and waiting does not help: stop process {} for the time of \
                     the backup, or set `PRAGMA locking_mode=NORMAL` in it",
                    holder.pid
                ));
            }
            Self::NotAFile { .. } | Self::Io { .. } | Self::Interrupted(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Returns the hint about a path where nothing is: often it is nearly right.
fn hint_for_missing(path: &Path) -> String {
    if let Some(hint) = unexpanded(path) {
        return hint;
    }
    let absolute = Path::new("/").join(path);
    if path.is_relative() && absolute.is_file() {
        let absolute = shown(&absolute);
        return format!(
            "{absolute} exists: an absolute path begins with a slash, and in a URL that makes four (sqlite:///{absolute}), since \
             three make a path relative to the working folder"
        );
    }
    "check the path; `--if-exists` makes a missing database a success, for a first deployment".to_owned()
}

fn shown(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "no database at {}", quoted(path)),
            Self::NotAFile { path, what } => write!(f, "{} is {what}, not a database file", quoted(path)),
            Self::Empty { path, wal_beside: false } => write!(f, "{} is empty (0 bytes)", quoted(path)),
            Self::Empty { path, wal_beside: true } => write!(f, "{} is empty (0 bytes), but a -wal with data lies beside it", quoted(path)),
            Self::NotADatabase { path, why } => write!(f, "{} is not a SQLite database: {why}", quoted(path)),
            Self::Damaged { path, why } => write!(f, "{} is damaged: {why}", quoted(path)),
            Self::Contradicted { path, why, .. } => write!(f, "{} is damaged: {why}", quoted(path)),
            Self::Unsupported { path, action, why } => {
                write!(f, "cannot {action} {}: it needs something that only its application has ({why})", quoted(path))
            }
            Self::Unlinked { path, found } => write!(f, "{} {found}", quoted(path)),
            Self::Busy { path, why } => write!(f, "{} is busy: {why}", quoted(path)),
            Self::Exclusive { path, holder, waited } => {
                write!(f, "{} is busy: process {} has held it exclusively for {waited:?}", quoted(path), holder.shown())
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
    /// Says what an SQLite error means for the database at `path`. `action` is what was being done, as a verb.
    pub(super) fn from_sqlite(path: &Path, action: &'static str, error: &rusqlite::Error) -> Self {
        let (path, why) = (path.to_owned(), message(error));
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, why },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => Self::Busy { path, why },
            Some(ErrorCode::OperationInterrupted) => Self::Interrupted(Interrupted),
            _ if is_full(error) => Self::Io { path, action, cause: io::Error::new(io::ErrorKind::StorageFull, why) },
            Some(ErrorCode::OutOfMemory) => Self::Io { path, action, cause: io::Error::new(io::ErrorKind::OutOfMemory, why) },
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::Io { path, action, cause: io::Error::new(io::ErrorKind::PermissionDenied, why) }
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Self::Io { path, action, cause: io::Error::other(why) },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path, why },
            _ => Self::Unsupported { path, action, why },
        }
    }
}

/// Returns whether there is no room. SQLite tells a `-shm` that cannot grow as an error of the disk, whatever the system
/// said; what keeps it from growing is the file system that is full, or a quota.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error.sqlite_error().is_some_and(|failure| failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// Returns what SQLite said, safe for a terminal. Its texts can hold anything that is in a damaged schema.
pub(super) fn message(error: &rusqlite::Error) -> String {
    let text = match error {
        rusqlite::Error::SqliteFailure(failure, text) => match text {
            // The backup API reports a code without a text; `not an error` would then be what is left over.
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

/// Why a database cannot be replaced. The target is as it was, unless the variant says otherwise.
#[derive(Debug)]
pub enum TargetError {
    /// Another process held a lock for longer than we wait.
    Busy {
        /// The target.
        path: PathBuf,
        /// What was waited for, and for how long.
        why: String,
    },
    /// It can not be replaced in this way: a folder, another text encoding under open connections, another page size in
    /// WAL mode.
    Refused {
        /// The target.
        path: PathBuf,
        /// Why not, and which way there is.
        why: String,
    },
    /// This process is root's and may not give files away, and the database is another user's.
    NotOwner {
        /// The target.
        path: PathBuf,
        /// The number of the user whose it is.
        owner: u32,
    },
    /// Replacing it failed; SQLite rolled it back, or will at the next open.
    Failed {
        /// The target.
        path: PathBuf,
        /// What SQLite said, made printable.
        why: String,
    },
    /// The system refused, or failed.
    Io {
        /// The target.
        path: PathBuf,
        /// What was being done, as a verb.
        action: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// Making the safety copy of it failed.
    Source(SourceError),
    /// The operation was asked to stop.
    Interrupted(Interrupted),
}

impl TargetError {
    /// Says what the user can do next, when we know it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => {
                Some("stop what uses it, or try again later; an application in `locking_mode=EXCLUSIVE` never lets go".into())
            }
            Self::Failed { .. } => Some("stop what uses it and add `--offline`: then the file itself is replaced".into()),
            Self::NotOwner { owner, .. } => Some(format!(
                "run the same command as its owner, with `setpriv --reuid={owner} --clear-groups` before it, or as root with CAP_CHOWN"
            )),
            Self::Refused { .. } | Self::Io { .. } | Self::Source(_) | Self::Interrupted(_) => None,
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { path, why } => write!(f, "{} is busy: {why}", quoted(path)),
            Self::Refused { path, why } => write!(f, "{} cannot be replaced: {why}", quoted(path)),
            Self::NotOwner { path, owner } => write!(
                f,
                "{} cannot be replaced: it belongs to user {owner}, and root without CAP_CHOWN would leave files beside it that this user cannot open",
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
    /// Says what an SQLite error means for the target at `path`. `action` is what was being done, as a verb.
    pub(in crate::database) fn from_sqlite(path: &Path, action: &'static str, error: &rusqlite::Error) -> Self {
        Self::of_copy(SourceError::from_sqlite(path, action, error))
    }

    /// Says what an error of copying a locked target means for it.
    pub(super) fn of_copy(error: SourceError) -> Self {
        match error {
            SourceError::Busy { path, why } => Self::Busy { path, why },
            SourceError::Io { path, action, cause } => Self::Io { path, action, cause },
            SourceError::Interrupted(interrupted) => Self::Interrupted(interrupted),
            SourceError::Damaged { path, why } | SourceError::NotADatabase { path, why } | SourceError::Unsupported { path, why, .. } => {
                Self::Failed { path, why }
            }
            other => Self::Source(other),
        }
    }
}
