//! Lists the archives of a store, read from the archives themselves. There is no index that could be wrong.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::Repository;
use super::descriptions::Cache;
use super::labelled::{self, Memory, unite_hidden};
pub use super::listing::{Foreign, Inventory, Newer, Unusable};
pub use super::reading::{Marks, Reading};
use super::recorded::Records;
pub use super::repository::{ACCEPTED, DAMAGED, DIGEST, KEEP};
use crate::archive::{ArchiveError, set_in_name};
use crate::lineage::unite_resolved;
use crate::metadata::{DatabaseMetadata, Integrity, Metadata};
use crate::names::{ArchiveName, HostLabel, Name, printable, time_in_name};
use crate::progress::{Progress, Stage};
use crate::snapshot::{Brief, Contents, Held, Seal, Snapshot};
use crate::store::{Entry, ReadStore, StoreError};
use crate::streams::{Place, Stream};

/// How many descriptions of a remote store are read in parallel: each takes a round trip or two.
const SIDE_BY_SIDE: usize = 16;
/// The same for local files, which are limited by the processors, and the minimum number of files per thread.
const SIDE_BY_SIDE_LOCALLY: usize = 4;
const WORTH_A_THREAD: usize = 100;

/// Reads the description of every archive in a store in parallel: one small read each for format 1.
///
/// An error of the store fails the listing: an incomplete listing must never look like a store with few archives.
pub fn inventory(repository: &Repository, reading: &Reading, progress: &dyn Progress) -> anyhow::Result<Inventory> {
    shared_inventory(repository, reading, progress).map(Arc::unwrap_or_clone)
}

/// Does the same for callers that change nothing in it: several commands of one process need no copy.
pub fn shared_inventory(
    repository: &Repository,
    reading: &Reading,
    progress: &dyn Progress,
) -> anyhow::Result<Arc<Inventory>> {
    let read = || read(repository, reading, progress);
    match repository.listing() {
        Some(listing) => listing.get(read),
        None => read().map(Arc::new),
    }
}

fn read(repository: &Repository, reading: &Reading, progress: &dyn Progress) -> anyhow::Result<Inventory> {
    let store = repository.store();
    let entries = store.list()?;
    let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    progress.begin(Stage::Archives, &store.location(), entries.len() as u64);
    let mut found = Inventory::default();
    let cache = Cache::of(repository, &entries);
    let memory = Memory::of(repository.workspace());
    let described = describe_all(store, &entries, &(&names, &memory), reading, &cache, progress)?;
    for described in described {
        match described {
            Described::Archive(snapshot) => found.snapshots.push(*snapshot),
            Described::Doubtful(snapshot, why) => {
                found.doubts.push((snapshot.name.clone(), why));
                found.snapshots.push(*snapshot);
            }
            Described::Foreign(foreign) => found.foreign.push(foreign),
        }
    }
    let records = Records::of(repository.workspace());
    for snapshot in &mut found.snapshots {
        snapshot.damaged |= records.is_cut(snapshot);
    }
    for foreign in found.foreign.iter_mut().filter(|foreign| foreign.state == Unusable::Foreign) {
        // It was an archive.
        if records.know(&foreign.name) || cache.has_described(&foreign.name) {
            foreign.state = Unusable::Damaged;
        }
    }
    cache.update(repository, &names);
    found.snapshots.sort_by(Snapshot::newest_first);
    unite_resolved(&mut found.snapshots);
    unite_hidden(&mut found.snapshots, &reading.encryption.places);
    found.foreign.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// What one file of a store is.
enum Described {
    Archive(Box<Snapshot>),
    /// An encrypted one whose label cannot be right.
    Doubtful(Box<Snapshot>, String),
    Foreign(Foreign),
}

/// Describes every entry that can be an archive, in the order of the entries. Returns the error of the earliest entry
/// that has one.
fn describe_all(
    store: &dyn ReadStore,
    entries: &[Entry],
    known: &(&HashSet<&str>, &Memory<'_>),
    reading: &Reading,
    cache: &Cache,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Described>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, anyhow::Result<Option<Described>>)>> = Mutex::default();
    let work = || {
        let mut own = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = entries.get(index) else { break };
            let described = describe(store, entry, known, reading, cache, progress);
            progress.advance(1);
            if described.is_err() {
                // No thread starts another one. Those before it have started, and their error comes first.
                next.store(entries.len(), Ordering::Relaxed);
            }
            own.push((index, described));
        }
        results.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
    };
    let threads = match store.folder() {
        Some(_) => SIDE_BY_SIDE_LOCALLY.min(entries.len() / WORTH_A_THREAD),
        None => SIDE_BY_SIDE.min(entries.len()),
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // If no thread can be spawned, this one does all the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().filter_map(|(_, described)| described.transpose()).collect()
}

/// Reads the description of one file; `None` if its name is not that of an archive, or if it no longer exists.
fn describe(
    store: &dyn ReadStore,
    entry: &Entry,
    (names, memory): &(&HashSet<&str>, &Memory<'_>),
    reading: &Reading,
    cache: &Cache,
    progress: &dyn Progress,
) -> anyhow::Result<Option<Described>> {
    progress.checkpoint()?;
    let Ok(name) = ArchiveName::new(entry.name.as_str()) else { return Ok(None) };
    let has = |ending: &str| names.contains(format!("{name}{ending}").as_str());
    let marks = Marks { pinned: has(KEEP), damaged: has(DAMAGED), accepted: has(ACCEPTED), digest: has(DIGEST) };
    if let Some(known) = cache.get(entry) {
        return Ok(Some(Described::Archive(Box::new(in_its_store(marks.on(known), reading)))));
    }
    let source = match store.open(&entry.name, Some(entry)) {
        Ok(source) => source,
        // Removed since it was listed, by another run.
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let place = store.place(&entry.name);
    Ok(Some(match reading.opener.open_at(source, place.as_deref(), &entry.name, entry.modified) {
        Ok(archive) => {
            let snapshot = summarize(name, entry.bytes, archive.contents(), Marks::default(), &reading.host);
            cache.add(entry, &snapshot);
            Described::Archive(Box::new(in_its_store(marks.on(snapshot), reading)))
        }
        Err(ArchiveError::KeyMissing(locked)) => {
            match labelled::snapshot((name, entry.bytes), entry.modified, &locked, marks, memory, reading) {
                Some((snapshot, None)) => Described::Archive(Box::new(snapshot)),
                Some((snapshot, Some(why))) => Described::Doubtful(Box::new(snapshot), why),
                None => Described::Foreign(foreign(entry, ArchiveError::KeyMissing(locked))),
            }
        }
        Err(ArchiveError::Interrupted(interrupted)) => return Err(interrupted.into()),
        // The next file would fail as well, after as long a wait: the store is away.
        Err(ArchiveError::Io(cause)) if is_outage(&cause) => {
            return Err(StoreError::Unreachable { location: store.location(), cause }.into());
        }
        Err(error) => Described::Foreign(foreign(entry, error)),
    }))
}

/// Returns whether an error is about the connection and not about a file.
fn is_outage(cause: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
        NotConnected, TimedOut,
    };
    matches!(
        cause.kind(),
        BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkUnreachable
            | NotConnected
            | TimedOut
    )
}

/// Returns why a file cannot be used as an archive.
fn foreign(entry: &Entry, error: ArchiveError) -> Foreign {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let why = printable(&format!("{error}{cause}")).into_owned();
    let state = match error {
        ArchiveError::FormatTooNew { set, host, .. } => {
            Unusable::Newer(Newer { set: set.unwrap_or_else(|| set_in_name(&entry.name)), host })
        }
        ArchiveError::Io(_) | ArchiveError::NotWritten { .. } => Unusable::Unread,
        ArchiveError::KeyMissing(_) => Unusable::KeyMissing,
        ArchiveError::NotAnArchive { .. } | ArchiveError::WindowTooLarge { .. } => Unusable::Foreign,
        // A name with a time is that of an archive; any other name proves nothing.
        _ if time_in_name(&entry.name).is_some() => Unusable::Damaged,
        _ => Unusable::Foreign,
    };
    Foreign { name: entry.name.clone(), bytes: entry.bytes, why, state }
}

/// Returns the description of an archive in a store: a plain one where archives are encrypted stands apart.
pub fn in_its_store(snapshot: Snapshot, reading: &Reading) -> Snapshot {
    if reading.encryption.store.is_some() && snapshot.seal == Seal::None && !snapshot.is_plain() {
        return Snapshot { seal: Seal::Missing, ..snapshot };
    }
    snapshot
}

impl Marks {
    /// Adds the marks to what the archive itself says.
    fn on(self, snapshot: Snapshot) -> Snapshot {
        let damaged = snapshot.damaged || self.damaged;
        Snapshot { pinned: self.pinned, damaged, accepted: self.accepted, has_digest: self.digest, ..snapshot }
    }
}

/// Makes the snapshot of an archive from its description. `host` stands for those that record none.
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
        has_digest: marks.digest,
        held: false,
        pending: false,
        replaces: metadata.and_then(|metadata| metadata.replaces.clone()),
        seal: if contents.is_encrypted { Seal::Opened } else { Seal::None },
        set,
        name,
    }
}

/// Returns the set of an archive. Releases before streams replaced characters of a file name without adding a digest:
/// an archive of such a database belongs to the set that a backup of the same path makes today.
fn set_of(contents: &Contents) -> Name {
    match (&contents.metadata, contents.databases.as_slice()) {
        (Some(metadata), [held]) if metadata.host_label.is_none() && held.name == contents.set => {
            let path = held.source.as_deref().map(Path::new);
            let before = path.map(Name::from_path_without_digest);
            path.filter(|_| before.as_ref() == Some(&contents.set))
                .map_or_else(|| contents.set.clone(), Name::from_path)
        }
        _ => contents.set.clone(),
    }
}

/// Returns the name of a database, which is that of its set if both come from one file name.
fn renamed(held: &Held, contents: &Contents, set: &Name) -> Name {
    if contents.databases.len() == 1 && held.name == contents.set { set.clone() } else { held.name.clone() }
}
