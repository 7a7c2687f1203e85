//! Where archives are kept. A store knows files and names, not what is in them.
//!
//! [`Store`] is small, so that an object store can be one. Every implementation passes the contract in
//! `tests/library/store_contract.rs`. Two rules protect the data: nothing is ever replaced, and "not there" is
//! only said on a positive answer, never on an error. What only some services can do is one of the
//! [`Capabilities`]. Readers get a [`ReadStore`], which can change nothing.

mod access;
mod identify;
mod local;
mod memory;
mod upload;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use access::Access;
pub use identify::{identify, identity};
pub use local::LocalStore;
pub use memory::MemoryStore;
pub use upload::{Found, Kept, Token, Upload};

use crate::identity::StoreId;
use crate::names::is_file_name;
use crate::progress::{Interrupted, Progress};

/// How often a commit is tried whose answer was lost.
const ATTEMPTS: u32 = 3;

/// Bytes that can be read from several threads at any place. Whether they stay readable after their name was removed is
/// one of the store's [`Capabilities`].
pub trait ReadAt: Send + Sync {
    /// Reads up to `buffer.len()` bytes from `offset`; 0 means the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Returns the number of bytes.
    fn bytes(&self) -> u64;
    /// Returns how much one request should ask for, if each takes a round trip; `None` if small reads cost little.
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
    /// What the store calls this version of it. `None` if it names no versions.
    pub version: Option<String>,
}

/// What a store can do that not every service can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// A commit is one step that takes a free name or fails, for all who write to the store at the same time.
    pub atomic_commit: bool,
    /// What is open can be read to its end after its name was removed. Without it, reading fails then.
    pub readable_after_removal: bool,
}

/// Finds and reads files by their names. All calls block.
pub trait ReadStore: Send + Sync + 'static {
    /// Says where this is, for messages: `/app/backups`.
    fn location(&self) -> String;
    /// Says what this store can do.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    /// Refuses a place in which any user may replace the files of others.
    fn refuse_strangers(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Lists the regular files, in no order. Hidden names and folders are left out. A store that is not there is
    /// [`StoreError::Unreachable`], never empty.
    fn list(&self) -> Result<Vec<Entry>, StoreError>;
    /// Returns the folder of this machine that the files lie in; `None` if they lie elsewhere.
    fn folder(&self) -> Option<&Path> {
        None
    }
    /// Returns where a file lies, for what has to be read together with files beside it; `None` if it lies in no folder
    /// of this machine.
    fn place(&self, name: &str) -> Option<PathBuf> {
        self.folder().filter(|_| is_file_name(name)).map(|folder| folder.join(name))
    }
    /// Returns why a file or the folder did not get the rights that were asked for, if one did not. It is closed to
    /// others then.
    fn denied(&self) -> Option<String> {
        None
    }
    /// Opens a file for reading. `known` is what a listing or [`stat`](Self::stat) said about it: its size need not be
    /// asked for again, and another version by the same name is [`StoreError::NotFound`].
    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError>;
    /// Looks one file up; `None` only where the store says that it is not there.
    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError>;
}

/// Keeps files under names. All calls block.
pub trait Store: ReadStore {
    /// Writes a small file: durable and whole under its name, or not there at all. Fails with [`StoreError::Exists`] if
    /// the name is taken.
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError>;
    /// Removes a file, durably. Fails with [`StoreError::NotFound`] if it is not there.
    fn remove(&self, name: &str) -> Result<(), StoreError>;
    /// Tries once to give a finished file its name: as [`put`](Self::put), of a file that was synced already. Reports
    /// progress if it takes long, and stops if it is asked to; then nothing has the name. [`StoreError::Unanswered`]
    /// means that it may have succeeded.
    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError>;
    /// Returns whether a name is that of this upload, of another file, or free.
    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError>;

    /// Gives a finished file its name. If an answer was lost, or the name is taken (perhaps by an attempt whose answer
    /// was lost), the name is looked up: our own file is success, no file is one more attempt, and any other file is
    /// [`StoreError::Exists`].
    ///
    /// If the look-up fails too, the file may be there: the next listing shows it, whole.
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

/// Why a store did not do what was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The place itself is not there or does not answer; an unmounted volume looks the same as a wrong path.
    Unreachable {
        /// Where the store should be.
        location: String,
        /// What the system said.
        cause: io::Error,
    },
    /// What lies at the path is not the store that it was, or is to be.
    Strange {
        /// The store.
        location: String,
        /// What is wrong.
        why: Strangeness,
    },
    /// No file of this name.
    NotFound {
        /// The name that was asked for.
        name: String,
        /// The store that was asked.
        location: String,
    },
    /// The name is taken; nothing was replaced.
    Exists {
        /// The name that is taken.
        name: String,
        /// The store it is in.
        location: String,
    },
    /// The store's folder is open to others, who could swap files under us.
    Unsafe {
        /// The store.
        location: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The answer to a commit was lost: whether the file has its name is not known.
    Unanswered {
        /// The name that it was to get.
        name: String,
        /// The store.
        location: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The operation was asked to stop, and nothing was committed.
    Interrupted(Interrupted),
    /// Any other failure.
    Io {
        /// What was being done, as a verb: `read`, `write`, `remove`.
        action: &'static str,
        /// The file it was done to.
        name: String,
        /// The store it is in.
        location: String,
        /// What the system said.
        cause: io::Error,
    },
}

/// What is wrong with a path at which a store is known, or is to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strangeness {
    /// Nothing is mounted at the path that the configuration demands.
    NotMounted(PathBuf),
    /// A store was there, and the folder is gone.
    Gone,
    /// A store was there, and this folder has no id.
    NoId,
    /// A store was there, and this one has another id.
    OtherId(StoreId),
    /// There is none, and it cannot be read whether one was there, for this reason.
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
            Self::Strange { location, why } => {
                let location = printable(location);
                match why {
                    Strangeness::NotMounted(mount) => {
                        write!(f, "nothing is mounted at \"{}\", where the store \"{location}\" is", printable(&mount.to_string_lossy()))
                    }
                    Strangeness::Gone => write!(f, "the store \"{location}\" is gone: this host has used one there"),
                    Strangeness::NoId => {
                        write!(f, "\"{location}\" is not the store that this host has used there: it has no {}", crate::identity::FILE)
                    }
                    Strangeness::Unread(cause) => {
                        write!(f, "cannot tell whether this host has used another store at \"{location}\": {}", printable(cause))
                    }
                    Strangeness::OtherId(id) => write!(f, "\"{location}\" is another store than this host has used there (its id is {id})"),
                }
            }
            Self::NotFound { name, location } => write!(f, "no \"{}\" in the store \"{}\"", printable(name), printable(location)),
            Self::Exists { name, location } => write!(f, "\"{}\" is already in the store \"{}\"", printable(name), printable(location)),
            Self::Unsafe { location, why } => write!(f, "the store \"{}\" is not safe: {why}", printable(location)),
            Self::Unanswered { name, location, .. } => {
                write!(f, "the store \"{}\" did not confirm that it has \"{}\"", printable(location), printable(name))
            }
            Self::Interrupted(interrupted) => interrupted.fmt(f),
            Self::Io { action, name, location, .. } => {
                write!(f, "cannot {action} \"{}\" in the store \"{}\"", printable(name), printable(location))
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { cause, .. } | Self::Unanswered { cause, .. } | Self::Io { cause, .. } => Some(cause),
            Self::Interrupted(interrupted) => Some(interrupted),
            _ => None,
        }
    }
}
