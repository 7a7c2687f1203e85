//! What there is to know about a copy: header, schema, rows.

use std::path::Path;

use super::SourceError;
use crate::digest::Sha256;
use crate::progress::Progress;

/// The facts that the metadata records. Field names and meanings as in [`DatabaseMetadata`](crate::metadata::DatabaseMetadata).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is documented at the metadata field of the same name")]
pub struct Facts {
    pub page_size: u32,
    pub page_count: u64,
    pub freelist_count: u64,
    pub encoding: String,
    pub journal_mode: String,
    pub auto_vacuum: String,
    pub application_id: i32,
    pub user_version: i32,
    pub schema_sha256: Sha256,
    pub index_count: u64,
    pub trigger_count: u64,
    pub view_count: u64,
    /// Tables in the order of their names, without `sqlite_...`.
    pub tables: Vec<String>,
}

impl Facts {
    /// What is recorded of a copy that is too damaged to tell.
    pub fn unknown() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            page_size: 0,
            page_count: 0,
            freelist_count: 0,
            encoding: unknown(),
            journal_mode: unknown(),
            auto_vacuum: unknown(),
            application_id: 0,
            user_version: 0,
            schema_sha256: Sha256::of(b""),
            index_count: 0,
            trigger_count: 0,
            view_count: 0,
            tables: Vec::new(),
        }
    }
}

/// Reads the facts of a private copy (read-only, immutable). Rows are not counted.
pub fn facts(_copy: &Path) -> Result<Facts, SourceError> {
    todo!()
}

/// Counts the rows of each table of a private copy; `None` where that is impossible (unknown module, damage).
pub fn count_rows(_copy: &Path, _tables: &[String], _progress: &dyn Progress) -> Result<Vec<Option<u64>>, SourceError> {
    todo!()
}
