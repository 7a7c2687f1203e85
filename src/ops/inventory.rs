//! What archives a store holds, read from the archives themselves. There is no index that could be wrong.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
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

impl Inventory {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_cannot_be_read_stands_in_the_way_of_an_older_one() {
        let foreign = |name: &str, unread| Foreign { name: name.into(), bytes: 1, why: "why".into(), damaged: false, unread };
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
