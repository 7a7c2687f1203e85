//! Safety archives that are committed in the workspace and wait to be moved to the store.
//!
//! A restore locks its targets while it commits what they hold. A store can be slow, or locked by another run, so the
//! commit goes to `pending/` of the workspace: from then on the archive is durable and counts. It moves to the store
//! after the locks of the targets are released. If that fails, it is shown as pending and the next run that writes
//! moves it.
//!
//! A store that takes no such archives, as a pin, leaves them in the workspace. There they are thinned out by the same
//! rules, and so are those from before updates.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::inventory::{Marks, Reading, in_its_store, inventory, summarize};
use super::labelled::{self, Memory};
use super::open_archive::{Place, Selected, in_store};
use super::retain::mark_held;
use super::{Committer, LockedStore, Taken};
use crate::archive::ArchiveError;
use crate::clock::Clock;
use crate::digest::{Hasher, Sha256};
use crate::metadata::Kind;
use crate::names::{ArchiveName, printable};
use crate::ops::Repository;
use crate::platform::sync_folder;
use crate::progress::Progress;
use crate::retention::{LAST_PRE_UPDATE, superfluous_pre_update, superfluous_safety};
use crate::snapshot::Snapshot;
use crate::store::{ReadAt, StoreError};
use crate::streams::Stream;
use crate::workspace::records::RecordState;

/// How many older safety archives are kept when one is made.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// How many of the newest of each stream.
    pub last: u32,
    /// How archives are read that record no zone or no host.
    pub reading: Reading,
    /// Whether the time of this run is ahead of this machine's clock: then nothing is removed.
    pub ahead: bool,
}

/// Result of moving pending archives.
#[derive(Debug, Default)]
pub struct Sent {
    /// The name in the workspace, and the name in the store.
    pub moved: Vec<(ArchiveName, ArchiveName)>,
    /// Older safety archives that were removed because newer ones replace them.
    pub removed: Vec<ArchiveName>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

/// Opens a pending archive by its full name; `None` if it does not exist.
pub fn open(repository: &Repository, name: &str, reading: &Reading) -> anyhow::Result<Option<Selected>> {
    let Ok(name) = ArchiveName::new(name) else { return Ok(None) };
    let shown = || format!("cannot open the pending archive \"{}\"", printable(name.as_str()));
    let Some(file) = repository.workspace().open_pending(&name).with_context(shown)? else { return Ok(None) };
    let (bytes, modified) = (file.bytes(), file.modified());
    let archive = reading.opener.open(Arc::new(file), name.as_str(), modified).with_context(shown)?;
    let snapshot = summarize(name, bytes, archive.contents(), Marks::default(), &reading.host);
    let snapshot = in_its_store(snapshot, reading);
    let shown = repository.path_of_pending(&snapshot.name);
    Ok(Some(Selected { snapshot: Snapshot { pending: true, ..snapshot }, archive, place: Place::Store, shown }))
}

/// Describes a pending archive, with its key or without; `None` if it does not exist.
fn describe(repository: &Repository, name: &ArchiveName, reading: &Reading) -> anyhow::Result<Option<Snapshot>> {
    let locked = match open(repository, name.as_str(), reading) {
        Ok(selected) => return Ok(selected.map(|selected| selected.snapshot)),
        Err(error) => match error.downcast_ref::<ArchiveError>() {
            Some(ArchiveError::KeyMissing(locked)) => locked.clone(),
            _ => return Err(error),
        },
    };
    let Some(file) = repository.workspace().open_pending(name)? else { return Ok(None) };
    let memory = Memory::of(repository.workspace());
    let (bytes, modified) = (file.bytes(), file.modified());
    let described = labelled::snapshot((name.clone(), bytes), modified, &locked, Marks::default(), &memory, reading);
    Ok(described.map(|(snapshot, _)| Snapshot { pending: true, ..snapshot }))
}

/// Adds the pending archives to those of the store, newest first. One that was just moved is there already.
pub fn add(repository: &Repository, reading: &Reading, snapshots: &mut Vec<Snapshot>) -> anyhow::Result<()> {
    let names = repository.workspace().pending_names().context("cannot list the pending archives")?;
    for name in names {
        let Some(pending) = describe(repository, &name, reading)? else { continue };
        let is_there = |snapshot: &Snapshot| snapshot.id.is_some() && snapshot.id == pending.id;
        if !snapshots.iter().any(is_there) {
            snapshots.push(pending);
        }
    }
    snapshots.sort_by(Snapshot::newest_first);
    Ok(())
}

/// Moves all pending archives to the store, oldest name first, and removes safety archives of the same streams that
/// they replace, under the lock. Stops at the first failure; what was not moved stays pending.
///
/// If the store takes none of them, those that newer ones replace are removed here.
pub fn send(
    repository: &Repository,
    upkeep: &Upkeep,
    clock: &Clock,
    wait: Duration,
    progress: &dyn Progress,
) -> anyhow::Result<Sent> {
    let mut sent = Sent::default();
    if !repository.takes(Kind::Safety) {
        if let Err(error) = thin_out_here(repository, upkeep, clock.now(), wait, &mut sent, progress) {
            sent.warnings.push(format!("older safety backups on this host were not removed: {error:#}"));
        }
        return Ok(sent);
    }
    if repository.workspace().pending_names()?.is_empty() {
        return Ok(sent);
    }
    let size =
        |name: &ArchiveName| repository.workspace().open_pending(name).map(|file| file.map_or(0, |file| file.bytes()));
    let sizes = repository.workspace().pending_names()?.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let largest = sizes.into_iter().max().unwrap_or_default();
    let committer = repository.committer(largest, &upkeep.reading.host, clock.now(), wait, progress)?;
    // Another run may have moved some while this one waited.
    for name in repository.workspace().pending_names()? {
        if let Some(moved) =
            move_to_store(repository, &committer, &name, &upkeep.reading, wait, (&mut sent.warnings, progress))?
        {
            sent.moved.push((name, moved));
        }
    }
    let thinned = committer
        .into_locked(wait, progress)
        .map_err(Into::into)
        .and_then(|locked| thin_out(&locked, upkeep, clock.now(), &mut sent, progress));
    if let Err(error) = thinned {
        sent.warnings.push(format!("older safety backups were not removed: {error:#}"));
    }
    Ok(sent)
}

/// Gives one archive its name in the store, and removes its pending name once that is durable. `None` if another run
/// moved it meanwhile.
///
/// Crash before the commit: pending. Crash after it: in the store and pending; the next run recognizes it by its id.
/// The pending name is removed after the folder of the store was synced, so no power cut can lose both. A power cut
/// that brings the pending name back does no harm, so its removal needs no sync.
fn move_to_store(
    repository: &Repository,
    committer: &Committer<'_>,
    name: &ArchiveName,
    reading: &Reading,
    wait: Duration,
    (warnings, progress): (&mut Vec<String>, &dyn Progress),
) -> anyhow::Result<Option<ArchiveName>> {
    // Some stores commit without a lock: two runs that move the same archive would make two of it.
    let Some(_sending) = repository.workspace().lock_pending(name, wait, progress)? else { return Ok(None) };
    let taken = |candidate: &ArchiveName| {
        if !is_same(repository, candidate.as_str(), name, reading)? {
            return Ok(Taken::TryNext);
        }
        repository.store().folder().map_or(Ok(()), sync_folder).context("cannot sync the store")?;
        Ok(Taken::IsSame)
    };
    let moved = committer.commit(&repository.workspace().pending_path(name), name, taken, progress)?;
    // Crash here: an encrypted archive without its digest, which is a finding.
    if let Err(error) = put_digest(repository, committer, name, &moved) {
        warnings.push(format!("the digest of {moved} could not be written: {error:#}"));
    }
    repository
        .workspace()
        .discard_pending(name)
        .context("cannot remove the pending name of an archive that is in the store")?;
    Ok(Some(moved))
}

/// Writes the digest of an encrypted archive that was just moved. It is known only if this host made the archive.
fn put_digest(
    repository: &Repository,
    committer: &Committer<'_>,
    name: &ArchiveName,
    moved: &ArchiveName,
) -> anyhow::Result<()> {
    let Some(made) = repository.workspace().sealed().into_iter().find(|made| made.archive == *name) else {
        return Ok(());
    };
    repository.workspace().rename_sealed(name, moved);
    let Some(sha256) = made.sha256 else { return Ok(()) };
    match committer.put_digest(moved, sha256) {
        // An earlier run had moved it, and died before it removed the pending name.
        Err(StoreError::Exists { .. }) => Ok(()),
        other => Ok(other?),
    }
}

/// Returns whether an archive of the store is the pending one.
fn is_same(
    repository: &Repository,
    name_in_store: &str,
    pending: &ArchiveName,
    reading: &Reading,
) -> anyhow::Result<bool> {
    let there = in_store(repository, name_in_store, reading).ok().and_then(|selected| selected.snapshot.id);
    let here = open(repository, pending.as_str(), reading);
    if let (Some(there), Ok(Some(here))) = (there, &here) {
        return Ok(Some(there) == here.snapshot.id);
    }
    // Without a key the bytes decide: a label only claims to be that of the same archive.
    let Some(here) = repository.workspace().open_pending(pending)? else { return Ok(false) };
    let store = repository.store();
    let there = store.open(name_in_store, None)?;
    if there.bytes() != here.bytes() {
        return Ok(false);
    }
    Ok(digest_of(&here)? == digest_of(&*there)?)
}

/// Returns the digest of a whole file.
fn digest_of(file: &dyn ReadAt) -> anyhow::Result<Sha256> {
    let (mut hasher, mut buffer, mut at) = (Hasher::default(), vec![0; 1 << 20], 0);
    loop {
        match file.read_at(&mut buffer, at).context("cannot compare two archives")? {
            0 => return Ok(hasher.finish()),
            count => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
        }
    }
}

/// Removes the safety archives that the ones just moved replace.
///
/// Crash in between: each archive is complete or completely removed, oldest first; the next safety archive continues.
fn thin_out(
    locked: &LockedStore<'_>,
    upkeep: &Upkeep,
    now: DateTime<Utc>,
    sent: &mut Sent,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    if sent.moved.is_empty() || upkeep.ahead {
        return Ok(());
    }
    let mut snapshots = inventory(locked.repository(), &upkeep.reading, progress)?.snapshots;
    mark_held(&mut snapshots, locked.repository().workspace())?;
    let moved: HashSet<&ArchiveName> = sent.moved.iter().map(|(_, name)| name).collect();
    let of_moved = snapshots.iter().filter(|snapshot| moved.contains(&snapshot.name));
    let streams: BTreeSet<Stream> =
        of_moved.flat_map(|snapshot| snapshot.databases.iter().map(|brief| brief.stream.clone())).collect();
    let streams: Vec<Stream> = streams.into_iter().collect();
    for name in superfluous_safety(&snapshots, &streams, upkeep.last, now, upkeep.reading.opener.zone) {
        match locked.remove_archive(&name) {
            Ok(()) => sent.removed.push(name),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Removes the archives of the workspace that newer ones there replace, for a store that takes neither kind.
///
/// Kept are the newest of each stream, those in use, those that an interrupted restore needs, and those that cannot be
/// described. Crash in between: each archive is complete or completely removed, oldest first; the next run continues.
fn thin_out_here(
    repository: &Repository,
    upkeep: &Upkeep,
    now: DateTime<Utc>,
    wait: Duration,
    sent: &mut Sent,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    let workspace = repository.workspace();
    let few = upkeep.last.min(LAST_PRE_UPDATE) as usize;
    if upkeep.ahead || workspace.pending_names()?.len() <= few {
        return Ok(());
    }
    // Another run that thins out must not see a newer one that this run is about to remove.
    let _locked = repository.lock(wait, progress)?;
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for name in workspace.pending_names()? {
        snapshots.extend(describe(repository, &name, &upkeep.reading).ok().flatten());
    }
    snapshots.sort_by(Snapshot::newest_first);
    mark_held(&mut snapshots, workspace)?;
    let records = workspace.records().context("cannot read the records of restores")?;
    let needed: HashSet<ArchiveName> = records
        .into_iter()
        .filter(|record| record.state == RecordState::Unfinished)
        .filter_map(|record| record.safety)
        .collect();
    let streams: BTreeSet<Stream> =
        snapshots.iter().flat_map(|snapshot| &snapshot.databases).map(|brief| brief.stream.clone()).collect();
    let streams: Vec<Stream> = streams.into_iter().collect();
    let zone = upkeep.reading.opener.zone;
    let safety = superfluous_safety(&snapshots, &streams, upkeep.last, now, zone);
    let pre_update = superfluous_pre_update(&snapshots, &streams, now, zone);
    for name in safety.into_iter().chain(pre_update).filter(|name| !needed.contains(name)) {
        // The record of an encrypted one first: without it, the archive only lacks what this host remembers.
        workspace.forget(&name);
        workspace.discard_pending(&name).with_context(|| format!("cannot remove {name}"))?;
        sent.removed.push(name);
    }
    Ok(())
}
