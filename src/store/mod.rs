//! Archive storage. A store knows files and names, but not their contents.
//!
//! [`Store`] is small, so that an object store can implement it. Every implementation passes the contract in
//! `tests/library/store_contract.rs`. Two rules protect the data: nothing is ever replaced, and a file counts as
//! missing only on a positive answer, never on an error. Features that only some services have are [`Capabilities`].
//! Readers get a [`ReadStore`], which cannot change anything.

mod access;
#[cfg(feature = "remote")]
mod connect;
mod examination;
mod identify;
mod listed;
mod local;
mod memory;
#[cfg(feature = "remote")]
mod object;
#[cfg(feature = "remote")]
mod rclone;
pub mod remote;
#[cfg(feature = "remote")]
mod silence;
mod surroundings;
mod upload;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

pub use access::Access;
#[cfg(feature = "remote")]
pub use connect::ConnectStore;
pub use examination::{Examination, try_out};
pub use identify::{identify, identity};
pub use listed::ListedStore;
pub use local::LocalStore;
pub use memory::MemoryStore;
#[cfg(feature = "remote")]
pub use rclone::RcloneStore;
pub use upload::{Found, Kept, Token, Upload};

use crate::identity::{Identity, StoreId};
use crate::names::is_file_name;
use crate::progress::{Interrupted, Progress};

/// How often a commit is tried if its reply is lost.
const ATTEMPTS: u32 = 3;

/// Bytes that several threads can read at any offset. Whether they stay readable after the name was removed is one of
/// the store's [`Capabilities`].
pub trait ReadAt: Send + Sync {
    /// Reads up to `buffer.len()` bytes from `offset`; 0 means the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Returns the number of bytes.
    fn bytes(&self) -> u64;
    /// Returns how much one request should read, if each takes a round trip; `None` if small reads are cheap.
    fn block_bytes(&self) -> Option<NonZeroUsize> {
        None
    }

    /// Fills the whole buffer from `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A file in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: one path component.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
    /// The store's name for this version of it. `None` if the store has no versions.
    pub version: Option<String>,
}

/// Optional capabilities of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// A commit atomically takes a free name or fails, even if several clients commit at the same time.
    pub atomic_commit: bool,
    /// An open file can be read to its end after its name was removed. Otherwise, reading fails.
    pub readable_after_removal: bool,
    /// A range of a file can be read without the bytes before it.
    pub ranges: bool,
    /// Small files can be put beside an archive.
    pub marks: bool,
    /// The newest archive can be removed.
    pub remove_newest: bool,
    /// The service keeps a checksum of each file, so that an upload counts without being read.
    pub checksums: bool,
    /// Archives of any kind belong there. Otherwise only those made by hand, by schedule, and at the end: each archive
    /// becomes what the readers of the store take for the latest.
    pub takes_safety: bool,
}

impl Capabilities {
    /// What a folder can do, apart from what other clients see meanwhile.
    pub const OF_FILES: Self = Self {
        atomic_commit: false,
        readable_after_removal: true,
        ranges: true,
        marks: true,
        remove_newest: true,
        checksums: false,
        takes_safety: true,
    };
    /// The same without what only files can do.
    pub const OF_OBJECTS: Self =
        Self { atomic_commit: true, readable_after_removal: false, checksums: true, ..Self::OF_FILES };
}

/// What becomes of the bytes of a removed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Their room is free.
    Freed,
    /// The service keeps them as a hidden version, until the provider removes it.
    Hidden,
    /// The service does not show it.
    Unknown,
}

/// Finds and reads files by name. All calls block.
pub trait ReadStore: Send + Sync + 'static {
    /// Returns the location for messages: `/app/backups`.
    fn location(&self) -> String;
    /// Returns the capabilities of this store.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    /// Refuses a location in which any user may replace the files of others.
    fn refuse_strangers(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Returns the identity that the service gives the store, if it has no place for a file with one; `None` before the
    /// first archive.
    fn own_id(&self) -> Result<Option<Identity>, StoreError> {
        Ok(None)
    }
    /// Lists the regular files in any order, except hidden names and folders. A missing store is
    /// [`StoreError::Unreachable`], never empty.
    fn list(&self) -> Result<Vec<Entry>, StoreError>;
    /// Lists the names of the hidden files that start with `prefix`, which starts with a dot, in any order. Every store
    /// whose commits are atomic can; others fail.
    fn hidden(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Err(StoreError::io("list", prefix, self.location(), io::ErrorKind::Unsupported.into()))
    }
    /// Lists the folders beside the files, if the store shows them.
    fn folders(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
    /// Forgets an earlier listing, if the store keeps one.
    fn refresh(&self) {}
    /// Returns the local folder of the files; `None` if they are elsewhere.
    fn folder(&self) -> Option<&Path> {
        None
    }
    /// Returns the path of a file, for reading it together with files beside it; `None` if it is not in a local folder.
    fn place(&self, name: &str) -> Option<PathBuf> {
        self.folder().filter(|_| is_file_name(name)).map(|folder| folder.join(name))
    }
    /// Returns why a file or the folder did not get the configured rights, if that happened. It is then closed to
    /// others.
    fn denied(&self) -> Option<String> {
        None
    }
    /// Returns what becomes of the bytes of a removed file, as far as the answers of this run showed it. Sends no
    /// request.
    fn removal(&self) -> Removal {
        if self.folder().is_some() { Removal::Freed } else { Removal::Unknown }
    }
    /// Opens a file for reading. `known` is its entry from a listing or [`stat`](Self::stat): its size need not be
    /// requested again, and another version of the same name is [`StoreError::NotFound`]: here, or if opening sends no
    /// request, as [`io::ErrorKind::NotFound`] of the first read.
    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError>;
    /// Looks one file up; `None` only if the store reports that it does not exist.
    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError>;
    /// Returns whether a file exists: cheaper than [`stat`](Self::stat) for one that usually does not, such as a mark.
    fn has(&self, name: &str) -> Result<bool, StoreError> {
        self.stat(name).map(|found| found.is_some())
    }
}

/// Writes and removes files by name. All calls block.
pub trait Store: ReadStore {
    /// Finds out what the service can do with files of up to `largest` bytes, if that is not known yet; then
    /// [`capabilities`](ReadStore::capabilities) says so. May write and remove a hidden file. The first write does it,
    /// too.
    fn prepare(&self, largest: u64) -> Result<(), StoreError> {
        let _ = largest;
        Ok(())
    }
    /// Writes a small file: durable and complete under its name, or absent. Fails with [`StoreError::Exists`] if the
    /// name is taken.
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError>;
    /// Removes a file durably. Fails with [`StoreError::NotFound`] if it does not exist.
    fn remove(&self, name: &str) -> Result<(), StoreError>;
    /// Tries once to give a finished file its name: like [`put`](Self::put), for a file that was already synced.
    /// Reports progress if it takes long, and stops if cancelled; then no file has the name. [`StoreError::Unanswered`]
    /// means that it may have succeeded.
    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError>;
    /// Returns whether a name belongs to this upload, to another file, or is free.
    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError>;

    /// Gives a finished file its name. If a reply was lost, or the name is taken (perhaps by an attempt whose reply was
    /// lost), the name is looked up: if it is our own file, the commit succeeded; if there is no file, it is retried;
    /// any other file is [`StoreError::Exists`].
    ///
    /// If the lookup fails too, the file may exist: the next listing shows it, complete.
    fn commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        for attempt in 1.. {
            let failed = match self.try_commit(name, upload, progress) {
                Err(error @ (StoreError::Unanswered { .. } | StoreError::Exists { .. })) => error,
                done => return done,
            };
            match self.look_up(name, upload)? {
                Found::Same => return Ok(()),
                Found::Other => return Err(StoreError::Exists { name: name.to_owned(), location: self.location() }),
                Found::Absent if attempt >= ATTEMPTS => return Err(failed),
                Found::Absent => progress.checkpoint().map_err(StoreError::Interrupted)?,
            }
        }
        unreachable!("the attempts end")
    }
}

/// Why a store operation failed.
#[derive(Debug)]
pub enum StoreError {
    /// The location is missing or does not respond; an unmounted volume looks the same as a wrong path.
    Unreachable {
        /// Where the store should be.
        location: String,
        /// The system's error.
        cause: io::Error,
    },
    /// A variable with the credentials is not set.
    NoCredentials {
        /// The store.
        location: String,
        /// The variable.
        variable: &'static str,
    },
    /// The credentials are wrong, or lack a right.
    Denied {
        /// What was being done, as a verb: `list`, `read`, `write`, `remove`, `look up`.
        action: &'static str,
        /// The file; empty if it is about the whole store.
        name: String,
        /// The store.
        location: String,
        /// What the service said.
        cause: io::Error,
    },
    /// The clock of this host is off so far that the service refuses requests.
    Clock {
        /// The store.
        location: String,
        /// By how many seconds it is ahead of the service's, if known; negative if it is behind.
        ahead: Option<i64>,
    },
    /// The path does not contain the expected store.
    Strange {
        /// The store.
        location: String,
        /// What is wrong.
        why: Strangeness,
    },
    /// No file of this name.
    NotFound {
        /// The requested name.
        name: String,
        /// The store.
        location: String,
    },
    /// The name is taken; nothing was replaced.
    Exists {
        /// The taken name.
        name: String,
        /// The store.
        location: String,
    },
    /// The store's folder is writable by others, who could swap files.
    Unsafe {
        /// The store.
        location: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The reply to a commit was lost: it is unknown whether the file has its name.
    Unanswered {
        /// The name that it should get.
        name: String,
        /// The store.
        location: String,
        /// The system's error.
        cause: io::Error,
    },
    /// The operation was cancelled, and nothing was committed.
    Interrupted(Interrupted),
    /// Any other failure.
    Io {
        /// What was being done, as a verb: `read`, `write`, `remove`.
        action: &'static str,
        /// The file.
        name: String,
        /// The store.
        location: String,
        /// The system's error.
        cause: io::Error,
    },
}

/// What is wrong with the path of a known store, or of a required mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strangeness {
    /// Nothing is mounted at the path that the configuration requires.
    NotMounted(PathBuf),
    /// A store was there, and the folder is missing.
    Gone,
    /// A store was there, and this folder has no id.
    NoId,
    /// A store was there, and this one has another id.
    OtherId(StoreId),
    /// There is none, and it cannot be determined whether one was there, for this reason.
    Unread(String),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, name: &str, location: String, cause: io::Error) -> Self {
        Self::Io { action, name: name.to_owned(), location, cause }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::names::printable;
        match self {
            Self::Unreachable { location, .. } => write!(f, "cannot reach the store \"{}\"", printable(location)),
            Self::NoCredentials { location, variable } => {
                write!(f, "{variable} is not set, which the store \"{}\" needs", printable(location))
            }
            Self::Denied { action, name, location, .. } if name.is_empty() => {
                let to = if *action == "write" { " to" } else { "" };
                write!(f, "cannot {action}{to} the store \"{}\"", printable(location))
            }
            Self::Clock { location, ahead } => {
                f.write_str("the clock of this host ")?;
                match ahead.map(|ahead| (crate::text::span(TimeDelta::seconds(ahead.abs())), ahead > 0)) {
                    Some((off, true)) => write!(f, "is {off} ahead")?,
                    Some((off, false)) => write!(f, "is {off} behind")?,
                    None => f.write_str("is off")?,
                }
                write!(f, ", so the store \"{}\" refuses its requests", printable(location))
            }
            Self::Strange { location, why } => {
                let location = printable(location);
                match why {
                    Strangeness::NotMounted(mount) => {
                        write!(
                            f,
                            "nothing is mounted at \"{}\", which the store \"{location}\" requires",
                            printable(&mount.to_string_lossy())
                        )
                    }
                    Strangeness::Gone => {
                        write!(f, "the store \"{location}\" is gone: this host has used one at that path")
                    }
                    Strangeness::NoId => {
                        write!(
                            f,
                            "\"{location}\" is not the store that this host has used at that path: it has no {}",
                            crate::identity::FILE
                        )
                    }
                    Strangeness::Unread(cause) => {
                        write!(
                            f,
                            "cannot determine whether this host has used another store at \"{location}\": {}",
                            printable(cause)
                        )
                    }
                    Strangeness::OtherId(id) => {
                        write!(
                            f,
                            "\"{location}\" is not the store that this host has used at that path (its id is {id})"
                        )
                    }
                }
            }
            Self::NotFound { name, location } => {
                write!(f, "no \"{}\" in the store \"{}\"", printable(name), printable(location))
            }
            Self::Exists { name, location } => {
                write!(f, "\"{}\" is already in the store \"{}\"", printable(name), printable(location))
            }
            Self::Unsafe { location, why } => write!(f, "the store \"{}\" is not safe: {why}", printable(location)),
            Self::Unanswered { name, location, .. } => {
                write!(f, "the store \"{}\" did not confirm the upload of \"{}\"", printable(location), printable(name))
            }
            Self::Interrupted(interrupted) => interrupted.fmt(f),
            Self::Denied { action, name, location, .. } | Self::Io { action, name, location, .. } => {
                write!(f, "cannot {action} \"{}\" in the store \"{}\"", printable(name), printable(location))
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { cause, .. }
            | Self::Denied { cause, .. }
            | Self::Unanswered { cause, .. }
            | Self::Io { cause, .. } => Some(cause),
            Self::Interrupted(interrupted) => Some(interrupted),
            _ => None,
        }
    }
}
