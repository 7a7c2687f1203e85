//! What archives a store holds, read from the archives themselves. There is no index that could be wrong.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Repository;
pub use super::repository::{ACCEPTED, DAMAGED, KEEP};
use crate::archive::{Archive, ArchiveError, set_in_name};
use crate::metadata::{DatabaseMetadata, Integrity, Metadata};
use crate::names::{ArchiveName, HostLabel, Name, printable, time_in_name};
use crate::progress::{Progress, Stage};
use crate::snapshot::{Brief, Contents, Held, Snapshot};
use crate::store::{Entry, ReadStore, StoreError};
use crate::streams::{Place, Stream, unite_resolved};

/// How archives are read that record no zone, no host, or neither.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The zone of times that carry none.
    pub zone: Tz,
    /// The host that archives without one come from: this one on a local store.
    pub host: HostLabel,
}

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
    /// Whose it is, if a newer release of heirloom wrote it.
    pub newer_format: Option<Newer>,
}

/// What is known of an archive that a newer release wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// Its set: out of its description, else out of its name.
    pub set: Name,
    /// Its host label; any may be meant where it cannot be read.
    pub host: Option<HostLabel>,
}

impl Inventory {
    /// Returns the sets that have an archive in a newer format under one of these host labels, or under one that is not known.
    pub fn sets_of_newer_formats(&self, of_host: impl Fn(&HostLabel) -> bool) -> BTreeSet<Name> {
        let newer = self.foreign.iter().filter_map(|foreign| foreign.newer_format.as_ref());
        newer.filter(|newer| newer.host.as_ref().is_none_or(&of_host)).map(|newer| newer.set.clone()).collect()
    }

    /// Returns an archive that the system failed to read and that may be as new as `than`, and no newer than `until`.
    ///
    /// Whoever takes the newest must ask: an older one in its place would be a state that nobody wanted. A name that tells a time
    /// tells it in UTC or, of old tools, in some zone.
    pub fn unread_as_new_as(&self, than: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Option<&Foreign> {
        let (zones, unread) = (TimeDelta::days(1), self.foreign.iter().filter(|foreign| foreign.unread));
        let told = |foreign: &Foreign| time_in_name(&foreign.name).map(|time| time.and_utc());
        let matters = |time: DateTime<Utc>| than.is_none_or(|than| time > than - zones) && until.is_none_or(|until| time < until + zones);
        unread.into_iter().find(|foreign| told(foreign).is_none_or(matters))
    }
}

/// Reads the description of every archive in a store: one small read each where it is of format 1.
///
/// An error of the store ends it: a listing that is short by an error must never look like a store with few archives.
pub fn inventory(repository: &Repository, reading: &Reading, progress: &dyn Progress) -> anyhow::Result<Inventory> {
    let store = repository.store();
    let entries = store.list()?;
    let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    progress.begin(Stage::Archives, &store.location(), entries.len() as u64);
    let mut found = Inventory::default();
    for entry in &entries {
        progress.checkpoint()?;
        progress.advance(1);
        let Ok(name) = ArchiveName::new(entry.name.as_str()) else { continue };
        match read(store, entry, reading.zone) {
            Ok(contents) => {
                let has = |ending: &str| names.contains(format!("{name}{ending}").as_str());
                let marks = Marks { pinned: has(KEEP), damaged: has(DAMAGED), accepted: has(ACCEPTED) };
                found.snapshots.push(summarize(name, entry.bytes, &contents, marks, &reading.host));
            }
            // Removed since it was listed, by another run: it is not there any more.
            Err(Unreadable::Store(StoreError::NotFound { .. })) => {}
            Err(Unreadable::Store(error)) => return Err(error.into()),
            Err(Unreadable::Archive(ArchiveError::Interrupted(interrupted))) => return Err(interrupted.into()),
            Err(Unreadable::Archive(error)) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                let why = printable(&format!("{error}{cause}")).into_owned();
                let unread = matches!(error, ArchiveError::Io(_));
                let other = matches!(error, ArchiveError::NotAnArchive { .. } | ArchiveError::FormatTooNew { .. });
                let damaged = !unread && !other && time_in_name(&entry.name).is_some();
                let newer_format = match error {
                    ArchiveError::FormatTooNew { set, host, .. } => {
                        Some(Newer { set: set.unwrap_or_else(|| set_in_name(&entry.name)), host })
                    }
                    _ => None,
                };
                found.foreign.push(Foreign { name: entry.name.clone(), bytes: entry.bytes, why, damaged, unread, newer_format });
            }
        }
    }
    found.snapshots.sort_by(Snapshot::newest_first);
    unite_resolved(&mut found.snapshots);
    found.foreign.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Why one file could not be described.
enum Unreadable {
    Store(StoreError),
    Archive(ArchiveError),
}

fn read(store: &dyn ReadStore, entry: &Entry, zone: Tz) -> Result<Contents, Unreadable> {
    let source = store.open(&entry.name, Some(entry)).map_err(Unreadable::Store)?;
    let place = store.place(&entry.name);
    let archive =
        Archive::open_at(Arc::clone(&source), place.as_deref(), &entry.name, entry.modified, zone).map_err(Unreadable::Archive)?;
    Ok(archive.contents().clone())
}

/// The sidecars that lie beside an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `.keep`
    pub pinned: bool,
    /// `.damaged`
    pub damaged: bool,
    /// `.accepted`
    pub accepted: bool,
}

/// Makes the small form of an archive's description. `host` is where archives that record none come from.
pub fn summarize(name: ArchiveName, bytes: u64, contents: &Contents, marks: Marks, host: &HostLabel) -> Snapshot {
    let metadata = contents.metadata.as_ref();
    let host = metadata.map_or_else(|| host.clone(), Metadata::label);
    let set = set_of(contents);
    let databases = contents.databases.iter().enumerate().map(|(index, held)| {
        let facts = metadata.and_then(|metadata| metadata.databases.get(index));
        let resolved = facts.and_then(|facts| facts.source_resolved.clone());
        let path = resolved.clone().or_else(|| held.source.clone());
        let place = path.map_or_else(|| Place::Name(held.name.clone()), Place::Path);
        let file = facts.and_then(|facts| facts.file_id.clone());
        let by_file = facts.is_some_and(|facts| facts.stream_by_file);
        let stream = Stream { set: set.clone(), host: host.clone(), place, file: file.clone().filter(|_| by_file) };
        Brief {
            name: renamed(held, contents, &set),
            bytes: held.bytes,
            tables: held.table_count,
            rows: facts.and_then(DatabaseMetadata::rows),
            stream,
            resolved: resolved.is_some(),
            source: held.source.clone(),
            file,
            previous: facts.and_then(|facts| facts.previous),
        }
    });
    let databases: Vec<Brief> = databases.collect();
    let recorded = metadata.into_iter().flat_map(|metadata| &metadata.databases);
    let set_databases = metadata.map(|metadata| metadata.includes.keys().cloned().collect());
    Snapshot {
        bytes,
        id: contents.id,
        origin: contents.origin,
        created_at: contents.created_at,
        host,
        kind: contents.kind,
        set_databases: set_databases.unwrap_or_else(|| databases.iter().map(|brief| brief.name.clone()).collect()),
        databases,
        pinned: marks.pinned,
        damaged: marks.damaged || recorded.clone().any(|database| database.integrity == Integrity::Damaged),
        accepted: marks.accepted,
        held: false,
        pending: false,
        replaces: metadata.and_then(|metadata| metadata.replaces.clone()),
        set,
        name,
    }
}

/// Returns the set of an archive. Releases before streams replaced characters of a file name without adding a digest: an
/// archive of such a database belongs to the set that a backup of the same path makes today.
fn set_of(contents: &Contents) -> Name {
    match (&contents.metadata, contents.databases.as_slice()) {
        (Some(metadata), [held]) if metadata.host_label.is_none() && held.name == contents.set => {
            let path = held.source.as_deref().map(Path::new);
            let before = path.map(Name::from_path_without_digest);
            path.filter(|_| before.as_ref() == Some(&contents.set)).map_or_else(|| contents.set.clone(), Name::from_path)
        }
        _ => contents.set.clone(),
    }
}

/// Returns the name of a database, which is that of its set where both come from one file name.
fn renamed(held: &Held, contents: &Contents, set: &Name) -> Name {
    if contents.databases.len() == 1 && held.name == contents.set { set.clone() } else { held.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_cannot_be_read_stands_in_the_way_of_an_older_one() {
        let foreign =
            |name: &str, unread| Foreign { name: name.into(), bytes: 1, why: "why".into(), damaged: false, unread, newer_format: None };
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let found = |foreign: Vec<Foreign>, than, until| {
            Inventory { snapshots: Vec::new(), foreign }.unread_as_new_as(than, until).map(|unread| unread.name.clone())
        };
        let march = "app_20260301T000000Z.tar.gz";
        let (february, april) = (Some(at("2026-02-10T00:00:00Z")), Some(at("2026-04-01T00:00:00Z")));

        assert_eq!(found(vec![foreign(march, true)], february, None).as_deref(), Some(march));
        assert_eq!(found(vec![foreign(march, true)], None, None).as_deref(), Some(march));
        assert_eq!(found(vec![foreign("mine.tar.gz", true)], april, None).as_deref(), Some("mine.tar.gz"), "its time is not known");
        assert_eq!(found(vec![foreign(march, true)], april, None), None, "it is older");
        assert_eq!(found(vec![foreign(march, true)], february, Some(at("2026-02-20T00:00:00Z"))), None, "it is newer than was asked for");
        assert_eq!(found(vec![foreign(march, false)], february, None), None, "it was read, and is none");
    }
}
