//! When a store was last verified: `verified/ID.json` in the state directory, by the id of the store.
//!
//! A cache: it lets `health` say so of a store that may be far away or down. A lost or unreadable record means that
//! nothing is known.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::identity::StoreId;
use crate::platform::{create_private_folders, private_file_anew};

/// The folder inside the state directory.
const FOLDER: &str = "verified";

/// The last verify of archives in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedStore {
    /// The store.
    pub id: StoreId,
    /// Where it was: a path without links, or a URL.
    pub place: PathBuf,
    /// When.
    pub at: DateTime<Utc>,
    /// What was found.
    #[serde(flatten)]
    pub counts: Counts,
}

/// How many archives a verify found in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Good.
    pub good: usize,
    /// Damaged.
    pub damaged: usize,
    /// Not verified, because they could not be read.
    pub unknown: usize,
}

/// Writes the record of a store.
///
/// Crash before the rename: the record before, and a file that the next call for this store replaces.
pub fn record(state: &Path, verified: &VerifiedStore) -> io::Result<()> {
    let folder = state.join(FOLDER);
    create_private_folders(&folder)?;
    let staged = folder.join(format!("{}.new", verified.id));
    private_file_anew(&staged)?.write_all(&serde_json::to_vec(verified)?)?;
    fs::rename(&staged, folder.join(format!("{}.json", verified.id)))
}

/// Returns the newest record of the stores with these ids, or, if none is known, of the store at this place.
pub fn last(state: &Path, ids: &[StoreId], place: &Path) -> Option<VerifiedStore> {
    let files = fs::read_dir(state.join(FOLDER)).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let records = files.filter(|file| file.extension().is_some_and(|ending| ending == "json"));
    let records = records.filter_map(|file| serde_json::from_slice::<VerifiedStore>(&fs::read(file).ok()?).ok());
    let is_meant =
        |record: &VerifiedStore| if ids.is_empty() { record.place == place } else { ids.contains(&record.id) };
    records.filter(is_meant).max_by_key(|record| record.at)
}
