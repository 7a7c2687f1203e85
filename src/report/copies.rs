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
    /// The damaged archives of the store that came back from a copy.
    pub repaired: Vec<Repaired>,
}

/// A damaged archive of which a copy was good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// The damaged archive. It stays.
    pub damaged: String,
    /// The further store that had a good one.
    pub from: Name,
    /// The name of the good one.
    pub name: ArchiveName,
    /// Its size.
    pub bytes: u64,
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
