//! Says whether a private copy is sound.

use std::path::Path;

use super::SourceError;
use crate::metadata::Integrity;
use crate::progress::Progress;

/// How thoroughly a copy is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Not at all.
    None,
    /// `quick_check`: pages and rows, not indexes against tables.
    Quick,
    /// `integrity_check`, complete.
    Full,
    /// As `Full`, and every row of every table is read, FTS and R*Tree are checked on their own.
    Deep,
}

/// What a check said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The verdict.
    pub integrity: Integrity,
    /// Damage first, then what could not be checked, then violations; one printable line each, at most 100.
    pub findings: Vec<String>,
    /// Rows that break a foreign key; `None` where that was not checked.
    pub foreign_key_violations: Option<u64>,
}

/// Checks a private copy, opened read-only and immutable. `path` is only read; damage is a value, not an error.
pub fn check(_copy: &Path, _depth: Depth, _progress: &dyn Progress) -> Result<Checked, SourceError> {
    todo!()
}

/// Rewrites a private copy without free pages (VACUUM). Fails where SQLite cannot, with the copy as it was.
pub fn vacuum(_copy: &Path) -> Result<(), SourceError> {
    todo!()
}
