//! Whose archive it is. Pure: no files, no clock.
//!
//! Two databases of one name must never stand for each other: not in retention, not in `latest`, not in ages, not in an
//! undo. So everything that looks for "the newest" or "the ones before" asks for a [`Stream`]: the archives of one
//! database, known by set, host label and resolved path.

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::names::{HostLabel, Name};

/// How long two applications of one stream count as both in use after the last backup of either.
pub const BOTH_IN_USE: TimeDelta = TimeDelta::days(7);

/// Which file a database was copied from: its inode and its time of birth. Made by `platform`, compared here, never parsed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileIdentity(pub String);

/// The archives of one database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The set.
    pub set: Name,
    /// The machine or application.
    pub host: HostLabel,
    /// Where the database lies there.
    pub place: Place,
    /// The file, where two applications share everything else.
    pub file: Option<FileIdentity>,
}

/// Where the database of a stream lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At this path, without symbolic links where they could be resolved.
    Path(String),
    /// Not recorded: the name of the database stands for it.
    Name(Name),
}

impl Stream {
    /// Returns whether two streams are of one database by everything but the file.
    pub fn same_place(&self, other: &Self) -> bool {
        self.set == other.set && self.host == other.host && self.place == other.place
    }

    /// Returns the recorded path.
    pub fn path(&self) -> Option<&str> {
        match &self.place {
            Place::Path(path) => Some(path),
            Place::Name(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => f.write_str(&crate::names::printable(path)),
            Place::Name(name) => name.fmt(f),
        }
    }
}

/// The labels that are this host's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    /// The label of today.
    pub label: HostLabel,
    /// Labels of before: a renamed machine, a `host` that was set later. Their streams are the host's own, but stay apart.
    pub former: Vec<HostLabel>,
}

impl OwnHost {
    /// Makes the labels of a host that was never renamed.
    pub fn new(label: HostLabel) -> Self {
        Self { label, former: Vec::new() }
    }

    /// Returns whether a label is this host's.
    pub fn owns(&self, label: &HostLabel) -> bool {
        *label == self.label || self.former.contains(label)
    }
}
