//! Copies live databases: pinned at one point in time, in steps, while others write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SourceError;
use crate::names::Name;
use crate::progress::Progress;

/// A database to back up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the set.
    pub name: Name,
    /// Its path as the user or the configuration gave it.
    pub path: PathBuf,
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a lock that another process holds.
    pub busy: Duration,
    /// For one more page of a copy.
    pub stalled: Duration,
    /// For a whole copy.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { busy: Duration::from_secs(60), stalled: Duration::from_secs(300), total: Duration::from_secs(24 * 3600) }
    }
}

/// The databases of a set, each held at its point in time until it was copied.
pub struct Pinned {
    /// The databases, in the order in which they were given.
    pub databases: Vec<PinnedDatabase>,
    /// Whether all of them show one point in time.
    pub consistent: bool,
}

/// A database held at one point in time by a read transaction, or a private copy of it and its sidecars.
pub struct PinnedDatabase;

/// Checks the paths of all sources, opens them without changing anything, and pins them at one point in time.
///
/// `scratch` is a private folder for those that cannot be opened where they are.
pub fn pin(_sources: &[Source], _scratch: &Path, _limits: &Limits, _progress: &dyn Progress) -> Result<Pinned, SourceError> {
    todo!()
}

impl PinnedDatabase {
    /// Returns the size of the database in bytes.
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// Copies the pinned state into a new file (mode 0600), lets go of the source, and returns the size of the copy.
    pub fn copy_to(self, _target: &Path, _limits: &Limits, _progress: &dyn Progress) -> Result<u64, SourceError> {
        todo!()
    }
}
