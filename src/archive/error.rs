//! Why an archive cannot be used. What `verify` finds is a finding; it is made out of these.

use std::borrow::Cow;
use std::fmt;
use std::io;

use crate::names::{HostLabel, Name, printable};
use crate::progress::Interrupted;

/// Why an archive cannot be read or written.
#[derive(Debug)]
pub enum ArchiveError {
    /// A newer release wrote it; reading on could lose data silently.
    FormatTooNew {
        /// The format it says it has.
        found: u64,
        /// The set, where its description can be read so far.
        set: Option<Name>,
        /// The host label, likewise.
        host: Option<HostLabel>,
    },
    /// No kind of archive that we know: not ours, not the old tool's, not a database.
    NotAnArchive {
        /// What it is instead, or what is missing.
        why: String,
    },
    /// It is damaged, on positive evidence: CRC, digest, structure, size.
    Damaged {
        /// What disagrees with what.
        why: String,
    },
    /// It holds something that no honest archive holds: a link, a device, a path, an entry twice, an entry beyond its
    /// declared size.
    Hostile {
        /// What and where.
        why: String,
    },
    /// It is encrypted, and no key at hand opens it. Says nothing about what is in it.
    KeyMissing,
    /// The metadata did not fit the room that was left for it. Nothing was committed.
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
    /// Says what the user can do next, when we know it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::FormatTooNew { .. } => Some("install a newer heirloom"),
            Self::NotAnArchive { .. } => Some("run `heirloom list` to see which archives there are"),
            Self::Damaged { .. } | Self::Hostile { .. } => Some("run `heirloom list` and pick another archive"),
            Self::KeyMissing => Some("decrypt it with `age --decrypt -i KEY ARCHIVE > FILE.tar.gz` and name that file"),
            Self::MetadataTooLarge { .. } | Self::Io(_) | Self::Interrupted(_) => None,
        }
    }

    /// Says whether this proves that the archive itself is bad, as opposed to an error on the way to it.
    pub fn is_evidence(&self) -> bool {
        matches!(self, Self::NotAnArchive { .. } | Self::Damaged { .. } | Self::Hostile { .. })
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormatTooNew { found, .. } => write!(f, "the archive has format {found}, which a newer release wrote"),
            Self::NotAnArchive { why } => write!(f, "not an archive: {why}"),
            Self::Damaged { why } => write!(f, "the archive is damaged: {why}"),
            Self::Hostile { why } => write!(f, "the archive is refused: {why}"),
            Self::KeyMissing => f.write_str("the archive is encrypted, and no key for it is configured"),
            Self::MetadataTooLarge { needed, room } => write!(f, "the metadata needs {needed} bytes, only {room} were left for it"),
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
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

impl From<Interrupted> for ArchiveError {
    fn from(cause: Interrupted) -> Self {
        Self::Interrupted(cause)
    }
}

/// Says that metadata is no metadata. The cause is shown, without what it quotes from the archive being able to steer a
/// terminal.
pub(crate) fn unreadable_json(cause: serde_json::Error) -> ArchiveError {
    damaged(format!("the metadata cannot be read: {}", cut(&cause.to_string(), 300)))
}

/// Returns a name out of an archive as it can be shown: printable, and not a screen long.
pub(crate) fn shown(name: &str) -> String {
    cut(name, 80).into_owned()
}

fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}...", printable(&text[..end])).into(),
        None => printable(text),
    }
}

/// Makes the error for positive evidence of damage.
pub(crate) fn damaged(why: impl Into<String>) -> ArchiveError {
    ArchiveError::Damaged { why: why.into() }
}

/// Says that something follows the end of the compressed data.
pub(crate) fn trailing(bytes: u64) -> String {
    format!("{bytes} bytes that do not belong there follow the compressed data")
}
