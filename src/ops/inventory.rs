//! What archives a store holds, read from the archives themselves. There is no index that could be wrong.

use std::collections::HashSet;
use std::sync::Arc;

use chrono_tz::Tz;

use crate::archive::{Archive, ArchiveError};
use crate::metadata::Integrity;
use crate::names::{ArchiveName, printable, time_in_name};
use crate::progress::{Progress, Stage};
use crate::snapshot::{Brief, Contents, Snapshot};
use crate::store::{Entry, Store, StoreError};

/// The ending of the sidecar that pins an archive.
pub const KEEP: &str = ".keep";
/// The ending of the sidecar that marks an archive as damaged.
pub const DAMAGED: &str = ".damaged";

/// The archives of a store, and the files that look like archives and are none.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The archives, newest first, equal times by name.
    pub snapshots: Vec<Snapshot>,
    /// Files with the ending of an archive that cannot be read as one. Nothing ever removes them.
    pub foreign: Vec<Foreign>,
}

/// A file that is not provably an archive of ours or of a tool that we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its name, as the store has it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Why it is no archive to us.
    pub why: String,
    /// Whether it seems to be a damaged archive rather than something else: its name carries a time, and there is evidence.
    pub damaged: bool,
    /// Whether the system failed to read it, which says nothing about what it is.
    pub unread: bool,
}

/// Reads the description of every archive in a store: one small read each where it is of format 1.
///
/// An error of the store ends it: a listing that is short by an error must never look like a store with few archives.
pub fn inventory(store: &dyn Store, zone: Tz, progress: &dyn Progress) -> anyhow::Result<Inventory> {
    let entries = store.list()?;
    let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    progress.begin(Stage::Archives, &store.location(), entries.len() as u64);
    let mut found = Inventory::default();
    for entry in &entries {
        progress.checkpoint()?;
        progress.advance(1);
        let Ok(name) = ArchiveName::new(entry.name.as_str()) else { continue };
        match read(store, entry, zone) {
            Ok(contents) => {
                let pinned = names.contains(format!("{name}{KEEP}").as_str());
                let marked = names.contains(format!("{name}{DAMAGED}").as_str());
                found.snapshots.push(summarize(name, entry.bytes, &contents, pinned, marked));
            }
            // Removed since it was listed, by another run: it is not there any more.
            Err(Unreadable::Store(StoreError::NotFound { .. })) => {}
            Err(Unreadable::Store(error)) => return Err(error.into()),
            Err(Unreadable::Archive(ArchiveError::Interrupted(interrupted))) => return Err(interrupted.into()),
            Err(Unreadable::Archive(error)) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                let why = printable(&format!("{error}{cause}")).into_owned();
                let unread = matches!(error, ArchiveError::Io(_));
                let damaged = !unread && !matches!(error, ArchiveError::NotAnArchive { .. }) && time_in_name(&entry.name).is_some();
                found.foreign.push(Foreign { name: entry.name.clone(), bytes: entry.bytes, why, damaged, unread });
            }
        }
    }
    found.snapshots.sort_by(Snapshot::newest_first);
    found.foreign.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Why one file could not be described.
enum Unreadable {
    Store(StoreError),
    Archive(ArchiveError),
}

fn read(store: &dyn Store, entry: &Entry, zone: Tz) -> Result<Contents, Unreadable> {
    let source = store.open(&entry.name).map_err(Unreadable::Store)?;
    let archive = Archive::open(Arc::clone(&source), &entry.name, entry.modified, zone).map_err(Unreadable::Archive)?;
    Ok(archive.contents().clone())
}

/// Makes the small form of an archive's description.
pub fn summarize(name: ArchiveName, bytes: u64, contents: &Contents, pinned: bool, marked_damaged: bool) -> Snapshot {
    let facts = |index: usize| contents.metadata.as_ref().and_then(|metadata| metadata.databases.get(index));
    let databases = contents.databases.iter().enumerate();
    let briefs = databases.map(|(index, held)| Brief {
        name: held.name.clone(),
        bytes: held.bytes,
        tables: held.table_count,
        rows: facts(index).and_then(|facts| facts.rows()),
    });
    let recorded = contents.metadata.iter().flat_map(|metadata| &metadata.databases);
    Snapshot {
        bytes,
        origin: contents.origin,
        created_at: contents.created_at,
        set: contents.set.clone(),
        kind: contents.kind,
        databases: briefs.collect(),
        pinned,
        damaged: marked_damaged || recorded.clone().any(|database| database.integrity == Integrity::Damaged),
        name,
    }
}
