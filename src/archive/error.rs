//! Why an archive cannot be used. The findings of `verify` are made from these.

use std::borrow::Cow;
use std::fmt;
use std::io;

use super::limits::MAX_WINDOW_BYTES;
use super::locked::Locked;
use crate::names::{HostLabel, Name, printable};
use crate::progress::Interrupted;

/// Why an archive cannot be read or written.
#[derive(Debug)]
pub enum ArchiveError {
    /// A newer release wrote it; reading on could lose data silently.
    FormatTooNew {
        /// The format number in its metadata.
        found: u64,
        /// The set, if its description can be read that far.
        set: Option<Name>,
        /// The host label, if it can be read.
        host: Option<HostLabel>,
    },
    /// Not a known kind of archive: not ours, not the old tool's, not a database.
    NotAnArchive {
        /// What it is instead, or what is missing.
        why: String,
    },
    /// Damaged, on positive evidence: CRC, digest, structure, size.
    Damaged {
        /// What disagrees with what.
        why: String,
    },
    /// A database does not have the digest recorded when it was saved.
    DigestMismatch {
        /// Its entry.
        entry: String,
    },
    /// The file that a database was written into does not hold it, but the archive does. Says nothing about the
    /// archive.
    NotWritten {
        /// Its entry.
        entry: String,
    },
    /// It contains something that no honest archive contains: a link, a device, a path, a duplicate entry, an entry
    /// larger than its declared size.
    Hostile {
        /// What and where.
        why: String,
    },
    /// Decompressing it takes more memory than is used for that. Says nothing about the contents.
    WindowTooLarge {
        /// The window of its frame, in bytes.
        bytes: u64,
    },
    /// It is encrypted, and none of the available keys opens it. Says nothing about the contents.
    KeyMissing(Box<Locked>),
    /// The metadata did not fit into the space reserved for it. Nothing was committed.
    MetadataTooLarge {
        /// Bytes needed.
        needed: usize,
        /// Bytes left.
        room: usize,
    },
    /// Reading or writing failed. Not evidence of damage.
    Io(io::Error),
    /// The operation was asked to stop.
    Interrupted(Interrupted),
}

impl ArchiveError {
    /// Returns whether this proves that the archive itself is bad, as opposed to an error while reading it.
    pub fn is_evidence(&self) -> bool {
        matches!(
            self,
            Self::NotAnArchive { .. } | Self::Damaged { .. } | Self::DigestMismatch { .. } | Self::Hostile { .. }
        )
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormatTooNew { found, .. } => write!(f, "the archive has format {found}, written by a newer release"),
            Self::NotAnArchive { why } => write!(f, "not an archive: {why}"),
            Self::Damaged { why } => write!(f, "the archive is damaged: {why}"),
            Self::DigestMismatch { entry } => {
                write!(f, "the archive is damaged: \"{entry}\" does not match its recorded SHA-256")
            }
            Self::NotWritten { entry } => {
                write!(
                    f,
                    "\"{entry}\" was unpacked, but its file does not hold what was written to it; the archive was read \
                     again and is intact, so check the disk of that file"
                )
            }
            Self::Hostile { why } => write!(f, "the archive is refused: {why}"),
            Self::WindowTooLarge { bytes } => write!(
                f,
                "decompressing the archive needs a window of {} MiB of memory, more than the {} MiB allowed",
                bytes.div_ceil(1024 * 1024),
                MAX_WINDOW_BYTES / 1024 / 1024
            ),
            Self::KeyMissing(locked) => locked.fmt(f),
            Self::MetadataTooLarge { needed, room } => {
                write!(f, "the metadata needs {needed} bytes, but only {room} were reserved")
            }
            Self::Io(_) => f.write_str("cannot read or write the archive"),
            Self::Interrupted(interrupted) => interrupted.fmt(f),
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(cause) => Some(cause),
            Self::Interrupted(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<io::Error> for ArchiveError {
    /// A source can also be a layer of the archive, such as its encryption: what that found is not an error of reading.
    fn from(cause: io::Error) -> Self {
        cause.downcast::<Self>().unwrap_or_else(Self::Io)
    }
}

impl From<Interrupted> for ArchiveError {
    fn from(cause: Interrupted) -> Self {
        Self::Interrupted(cause)
    }
}

/// Converts a JSON error into damage. The cause may quote the archive, so it is made safe for a terminal.
pub(crate) fn unreadable_json(cause: serde_json::Error) -> ArchiveError {
    damaged(format!("the metadata cannot be read: {}", cut(&cause.to_string(), 300)))
}

/// Returns a name from an archive for display: printable and shortened.
pub(crate) fn shown(name: &str) -> String {
    cut(name, 80).into_owned()
}

fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}...", printable(&text[..end])).into(),
        None => printable(text),
    }
}

/// Creates the error for positive evidence of damage.
pub(crate) fn damaged(why: impl Into<String>) -> ArchiveError {
    ArchiveError::Damaged { why: why.into() }
}

/// Describes data after the end of the compressed data.
pub(crate) fn trailing(bytes: u64) -> String {
    format!("{bytes} unexpected bytes follow the compressed data")
}
