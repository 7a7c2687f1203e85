//! Safety archives that are committed in the workspace and wait to be moved to the store.
//!
//! A restore locks its targets while it commits what they hold. A store can be slow, or locked by another run, so that
//! commit is made in `pending/` of the workspace: from it on the archive is durable and counts. It moves to the store after
//! the locks of the targets are released. If that fails, it is shown as pending and the next run that writes sends it.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::inventory::{Marks, Reading, inventory, summarize};
use super::marks::remove_archive;
use super::resolve::{Place, Selected};
use super::retain::mark_held;
use crate::archive::Archive;
use crate::clock::Clock;
use crate::lock::StoreLock;
use crate::names::{ArchiveName, printable};
use crate::platform::{First, Published, publish_new};
use crate::progress::Progress;
use crate::retention::superfluous_safety;
use crate::snapshot::Snapshot;
use crate::store::{LocalStore, OpenFile, ReadAt as _, Store as _, StoreError, sync_folder};
use crate::streams::Stream;

/// The folder inside the workspace.
pub(super) const FOLDER: &str = "pending";

/// How many safety archives stay when one more is made.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// How many of the newest of each stream.
    pub last: u32,
    /// How archives are read that record no zone or no host.
    pub reading: Reading,
    /// Whether the time of this run is ahead of the clock of this machine: then nothing is removed.
    pub ahead: bool,
}

/// What became of pending archives.
#[derive(Debug, Default)]
pub struct Sent {
    /// The name in the workspace, and the name in the store.
    pub moved: Vec<(ArchiveName, ArchiveName)>,
    /// Older safety archives that were removed because newer ones made them superfluous.
    pub removed: Vec<ArchiveName>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Commits a finished and synced archive in the workspace, under a name that is neither pending nor among `taken`.
///
/// Dies before the link: scratch, and no target was touched. Dies after it: a pending archive, which the next run sends.
pub fn commit(private: &Path, staged: &Path, wanted: &ArchiveName, taken: &HashSet<String>) -> io::Result<ArchiveName> {
    let folder = create_folder(private)?;
    let mut name = wanted.clone();
    for number in 2.. {
        if !taken.contains(name.as_str()) {
            match publish_new(staged, &folder.join(name.as_str()), First::Link) {
                Ok(named) => {
                    sync_folder(&folder)?;
                    if named == Published::Linked {
                        // Its second name lies in scratch, which goes anyway.
                        let _ = fs::remove_file(staged);
                    }
                    return Ok(name);
                }
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause),
            }
        }
        name = wanted.numbered(number);
    }
    unreachable!("the numbers do not end")
}

/// Removes a pending archive because nothing that it holds was replaced.
///
/// Dies before: it stays, and holds what its source holds. Dies after: it is gone, and a power cut can bring it back whole.
pub fn discard(private: &Path, name: &ArchiveName) -> io::Result<()> {
    match fs::remove_file(path(private, name)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Returns the names of the pending archives, in order.
pub fn names(private: &Path) -> io::Result<Vec<ArchiveName>> {
    let entries = match fs::read_dir(private.join(FOLDER)) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Some(name) = entry?.file_name().to_str().and_then(|name| ArchiveName::new(name).ok()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Returns the path of a pending archive.
pub fn path(private: &Path, name: &ArchiveName) -> PathBuf {
    private.join(FOLDER).join(name.as_str())
}

/// Opens a pending archive by its full name; `None` if there is none of this name.
pub fn open(store: &LocalStore, name: &str, reading: &Reading) -> anyhow::Result<Option<Selected>> {
    let Ok(name) = ArchiveName::new(name) else { return Ok(None) };
    let shown = || format!("cannot open the pending archive \"{}\"", printable(name.as_str()));
    let file = match OpenFile::open(&path(&store.private(), &name)) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause).with_context(shown),
    };
    let (bytes, modified) = (file.bytes(), file.modified());
    let archive = Archive::open(Arc::new(file), name.as_str(), modified, reading.zone).with_context(shown)?;
    let snapshot = summarize(name, bytes, archive.contents(), Marks::default(), &reading.host);
    Ok(Some(Selected { snapshot: Snapshot { pending: true, ..snapshot }, archive, place: Place::Store }))
}

/// Adds the pending archives to those of the store, newest first. One that was just sent is there already.
pub fn add(store: &LocalStore, reading: &Reading, snapshots: &mut Vec<Snapshot>) -> anyhow::Result<()> {
    let names = names(&store.private()).context("cannot list the pending archives")?;
    for name in names {
        let Some(selected) = open(store, name.as_str(), reading)? else { continue };
        let is_there = |snapshot: &Snapshot| snapshot.id.is_some() && snapshot.id == selected.snapshot.id;
        if !snapshots.iter().any(is_there) {
            snapshots.push(selected.snapshot);
        }
    }
    snapshots.sort_by(Snapshot::newest_first);
    Ok(())
}

/// Moves all pending archives to the store under its lock, oldest name first, and removes safety archives of the same
/// streams that they make superfluous. The first failure ends it; what was not moved stays pending.
pub fn send(store: &LocalStore, upkeep: &Upkeep, clock: &Clock, wait: Duration, progress: &dyn Progress) -> anyhow::Result<Sent> {
    let mut sent = Sent::default();
    if names(&store.private())?.is_empty() {
        return Ok(sent);
    }
    let private = store.create_private()?;
    let lock = StoreLock::acquire(&private, wait, progress)?;
    // Dies after this: a store with an id and without the archive, which is still pending.
    let now = clock.now();
    let made_by = format!("heirloom {} on {}", env!("CARGO_PKG_VERSION"), upkeep.reading.host);
    store.identify(&made_by, now)?;
    // Another run may have sent some while this one waited.
    for name in names(&private)? {
        let moved = move_to_store(store, &private, &name, &upkeep.reading)?;
        sent.moved.push((name, moved));
    }
    if let Err(error) = thin_out(store, &private, &lock, upkeep, now, &mut sent, progress) {
        sent.warnings.push(format!("older safety backups were not removed: {error:#}"));
    }
    Ok(sent)
}

/// Gives one archive its name in the store, and takes its pending name away once that is durable.
///
/// Dies before the link: pending. Dies after it: in the store and pending; the next run recognizes it by its id. The pending
/// name goes after the folder of the store was synced, so no power cut can lose both. One that brings the pending name back
/// does no harm, so its removal needs no sync.
fn move_to_store(store: &LocalStore, private: &Path, name: &ArchiveName, reading: &Reading) -> anyhow::Result<ArchiveName> {
    let staged = path(private, name);
    let mut candidate = name.clone();
    for number in 2.. {
        match store.commit(candidate.as_str(), &staged) {
            Ok(()) => break,
            Err(StoreError::Exists { .. }) => {
                if is_same(store, candidate.as_str(), name, reading)? {
                    sync_folder(store.root()).context("cannot sync the store")?;
                    break;
                }
                candidate = name.numbered(number);
            }
            Err(error) => return Err(error.into()),
        }
    }
    discard(private, name).context("cannot remove the pending name of an archive that is in the store")?;
    Ok(candidate)
}

/// Returns whether an archive of the store is the pending one.
fn is_same(store: &LocalStore, in_store: &str, pending: &ArchiveName, reading: &Reading) -> anyhow::Result<bool> {
    let there = super::resolve::in_store(store, in_store, reading).ok().and_then(|selected| selected.snapshot.id);
    let here = open(store, pending.as_str(), reading)?.and_then(|selected| selected.snapshot.id);
    Ok(there.is_some() && there == here)
}

/// Removes what the archives that were just moved make superfluous. The caller holds the store's lock.
///
/// Dies in between: each archive is there whole or gone whole, the oldest go first, and the next safety archive goes on.
fn thin_out(
    store: &LocalStore,
    private: &Path,
    lock: &StoreLock,
    upkeep: &Upkeep,
    now: DateTime<Utc>,
    sent: &mut Sent,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    if sent.moved.is_empty() || upkeep.ahead {
        return Ok(());
    }
    let mut snapshots = inventory(store, &upkeep.reading, progress)?.snapshots;
    mark_held(&mut snapshots, private)?;
    let moved: HashSet<&ArchiveName> = sent.moved.iter().map(|(_, name)| name).collect();
    let of_moved = snapshots.iter().filter(|snapshot| moved.contains(&snapshot.name));
    let streams: BTreeSet<Stream> = of_moved.flat_map(|snapshot| snapshot.databases.iter().map(|brief| brief.stream.clone())).collect();
    let streams: Vec<Stream> = streams.into_iter().collect();
    for name in superfluous_safety(&snapshots, &streams, upkeep.last, now, upkeep.reading.zone) {
        match remove_archive(store, lock, &name) {
            Ok(()) => sent.removed.push(name),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn create_folder(private: &Path) -> io::Result<PathBuf> {
    let folder = private.join(FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
            // Dies before the sync: nothing is in it yet.
            sync_folder(private)?;
        }
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(cause),
    }
    Ok(folder)
}
