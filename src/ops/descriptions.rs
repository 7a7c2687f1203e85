//! The descriptions that a workspace remembers of a remote store, so that only new archives are read.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::ops::Repository;
use crate::snapshot::{Origin, Snapshot};
use crate::store::Entry;
use crate::workspace::descriptions::{Descriptions, Version};

/// What is known, and what was read in this run.
pub(super) struct Cache {
    known: Option<Descriptions>,
    new: Mutex<Vec<(Version, String)>>,
}

impl Cache {
    /// Reads what is known, if the files of the store have versions: a local file is read faster than its description.
    pub(super) fn of(repository: &Repository, entries: &[Entry]) -> Self {
        let has_versions = entries.iter().any(|entry| entry.version.is_some());
        Self { known: has_versions.then(|| repository.workspace().descriptions()), new: Mutex::default() }
    }

    /// Returns the archive as it was described, without marks.
    pub(super) fn get(&self, entry: &Entry) -> Option<Snapshot> {
        serde_json::from_str(self.known.as_ref()?.get(&version(entry)?)?).ok()
    }

    /// Returns whether a file of this name was once described as an archive.
    pub(super) fn has_described(&self, name: &str) -> bool {
        self.known.as_ref().is_some_and(|known| known.has(name))
    }

    /// Remembers an archive. Others than ours depend on settings of the run, and are read each time.
    pub(super) fn add(&self, entry: &Entry, snapshot: &Snapshot) {
        let (Some(_), Some(version), Origin::Format1) = (&self.known, version(entry), snapshot.origin) else { return };
        if let Ok(text) = serde_json::to_string(snapshot) {
            self.new.lock().unwrap_or_else(PoisonError::into_inner).push((version, text));
        }
    }

    /// Writes what is new, and forgets what the store has no more.
    pub(super) fn update(self, repository: &Repository, names: &HashSet<&str>) {
        let Some(known) = self.known else { return };
        let gone: Vec<String> = known.names().filter(|name| !names.contains(name)).map(str::to_owned).collect();
        repository.workspace().describe(&self.new.into_inner().unwrap_or_else(PoisonError::into_inner), &gone);
    }
}

fn version(entry: &Entry) -> Option<Version> {
    let version = entry.version.clone()?;
    Some(Version { name: entry.name.clone(), bytes: entry.bytes, version })
}
