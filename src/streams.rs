//! To which database an archive belongs. Pure: no files, no clock.
//!
//! Two databases with the same name must never be confused: not in retention, in `latest`, in ages, or in an undo. So
//! everything that looks for the newest or the previous archives uses a [`Stream`]: the archives of one database,
//! identified by set, host label and resolved path.

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::names::{HostLabel, Name};

/// How long two applications of one stream count as both in use after the last backup of either.
pub const BOTH_IN_USE: TimeDelta = TimeDelta::days(7);

/// The file that a database was copied from: its inode and birth time. Created by `platform`, compared here, never
/// parsed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileIdentity(pub String);

/// The archives of one database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// The set.
    pub set: Name,
    /// The machine or application.
    pub host: HostLabel,
    /// The location of the database on it.
    pub place: Place,
    /// The file, if two applications share everything else.
    pub file: Option<FileIdentity>,
}

/// The location of the database of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// This path, with symbolic links resolved if possible.
    Path(String),
    /// Not recorded: identified by the name of the database.
    Name(Name),
    /// Only a digest of it is known: the archive is encrypted, and its label does not reveal paths.
    Hidden(PathId),
}

/// A digest of a path, salted with set and host label: it identifies a database without revealing where it is. Prints
/// as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathId([u8; 8]);

impl PathId {
    /// Returns the id of a path on a host, in a set.
    pub fn of(set: &Name, host: &HostLabel, path: &str) -> Self {
        Self::of_digest(Sha256::of(format!("{set}\0{host}\0{path}").as_bytes()))
    }

    /// Returns the first 16 digits of a digest.
    pub fn of_digest(digest: Sha256) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&digest.as_bytes()[..8]);
        Self(id)
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<String> for PathId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| fits);
        number.map(|number| Self(number.to_be_bytes())).ok_or("not the id of a path (16 hex digits)")
    }
}

impl From<PathId> for String {
    fn from(id: PathId) -> String {
        id.to_string()
    }
}

impl Stream {
    /// Returns whether two streams are the same except for the file.
    pub fn same_place(&self, other: &Self) -> bool {
        self.set == other.set && self.host == other.host && self.place == other.place
    }

    /// Returns the recorded path.
    pub fn path(&self) -> Option<&str> {
        match &self.place {
            Place::Path(path) => Some(path),
            Place::Name(_) | Place::Hidden(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => f.write_str(&crate::names::printable(path)),
            Place::Name(name) => name.fmt(f),
            Place::Hidden(id) => write!(f, "hidden path {id}"),
        }
    }
}

/// The labels of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    /// The current label.
    pub label: HostLabel,
    /// Earlier labels: of a renamed machine, or from before a `host` was configured. Their streams belong to this host,
    /// but stay separate.
    pub former: Vec<HostLabel>,
}

impl OwnHost {
    /// Creates the labels of a host that was never renamed.
    pub fn new(label: HostLabel) -> Self {
        Self { label, former: Vec::new() }
    }

    /// Returns whether a label is this host's.
    pub fn owns(&self, label: &HostLabel) -> bool {
        *label == self.label || self.former.contains(label)
    }
}
