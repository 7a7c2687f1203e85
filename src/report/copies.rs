//! What is reported about copies in further stores.

use serde::Serialize;

use super::retain::Retained;
use crate::names::{ArchiveName, Name};

/// What `copy` reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Copies {
    /// The store that the archives come from.
    pub store: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// One for each store that gets copies.
    pub copies: Vec<Copy>,
}

/// What happened to the copies in one further store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Copy {
    /// Its name in the configuration.
    pub name: Name,
    /// Where it is.
    pub store: String,
    /// The archives that were copied, or would be, newest first.
    pub copied: Vec<Copied>,
    /// The archives that it still lacks, newest first.
    pub missing: Vec<ArchiveName>,
    /// What failed.
    pub errors: Vec<String>,
    /// What was removed there afterwards, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retained>,
}

/// An archive that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// The archive.
    pub archive: ArchiveName,
    /// Its name there.
    pub name: ArchiveName,
    /// Its size.
    pub bytes: u64,
}
