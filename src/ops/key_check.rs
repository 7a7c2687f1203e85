//! Tries the keys of this host on every encrypted archive of a store: a key that was replaced is still needed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::inventory::{Reading, inventory};
use super::pack::SealedFile;
use super::resolve::in_store;
use crate::names::{Name, time_in_name};
use crate::ops::Repository;
use crate::progress::Progress;
use crate::snapshot::{Seal, Snapshot};
use crate::workspace::Sealed;

/// What was found in one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// Archives that a key opens.
    pub opened: u64,
    /// Archives that no key opens, by month, oldest first.
    pub locked: BTreeMap<String, u64>,
    /// The recipients of those, as their labels name them, and how many each could open.
    pub recipients: BTreeMap<String, u64>,
    /// Archives that are not encrypted.
    pub plain: u64,
    /// Archives whose label differs from what is inside.
    pub lying: Vec<(Name, String)>,
    /// Archives that this host knows from now on without a key.
    pub learned: u64,
}

impl Tried {
    /// Returns how many archives no key opens.
    pub fn locked_in_all(&self) -> u64 {
        self.locked.values().sum()
    }
}

/// Opens the header of every archive. What a key opened is remembered, so that this host can rotate it without the key.
pub fn check(
    repository: &Repository,
    reading: &Reading,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> anyhow::Result<Tried> {
    let found = inventory(repository, reading, progress)?;
    let known: Vec<Sealed> = repository.workspace().sealed();
    let mut tried = Tried::default();
    for snapshot in &found.snapshots {
        progress.checkpoint()?;
        match snapshot.seal {
            Seal::Opened => {
                tried.opened += 1;
                learn(repository, snapshot, &known, reading, &mut tried)?;
            }
            Seal::Known | Seal::Closed => {
                *tried.locked.entry(snapshot.created_at.format("%Y-%m").to_string()).or_default() += 1;
                for recipient in recipients(repository, snapshot, reading) {
                    *tried.recipients.entry(recipient).or_default() += 1;
                }
            }
            Seal::None | Seal::Missing => tried.plain += 1,
        }
    }
    for foreign in found.foreign.iter().filter(|foreign| foreign.lacks_key()) {
        let month = time_in_name(&foreign.name).map_or("unknown".into(), |time| time.format("%Y-%m").to_string());
        *tried.locked.entry(month).or_default() += 1;
    }
    if tried.opened > 0 {
        // If it cannot be recorded, `health` asks for this check again.
        let _ = repository.workspace().note_key_use(now);
    }
    Ok(tried)
}

/// Remembers an archive that a key opened and whose label is right.
fn learn(
    repository: &Repository,
    snapshot: &Snapshot,
    known: &[Sealed],
    reading: &Reading,
    tried: &mut Tried,
) -> anyhow::Result<()> {
    let selected = match in_store(repository, snapshot.name.as_str(), reading) {
        Ok(selected) => selected,
        // Another run removed it.
        Err(error) if matches!(error.downcast_ref(), Some(crate::store::StoreError::NotFound { .. })) => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(oddity) = selected.archive.contents().oddities.first() {
        tried.lying.push((snapshot.set.clone(), format!("{}: {oddity}", snapshot.name)));
        return Ok(());
    }
    let Some(file) = SealedFile::opened(&selected.archive, snapshot.bytes) else { return Ok(()) };
    if known.iter().any(|known| file.is(known)) {
        return Ok(());
    }
    // A workspace that cannot be written learns nothing, and the check is complete all the same.
    if file.remember(repository.workspace(), &snapshot.name).is_ok() {
        tried.learned += 1;
    }
    Ok(())
}

/// Returns the recipients that the label of a locked archive names.
fn recipients(repository: &Repository, snapshot: &Snapshot, reading: &Reading) -> Vec<String> {
    let error = in_store(repository, snapshot.name.as_str(), reading).err();
    match error.as_ref().and_then(|error| error.downcast_ref()) {
        Some(crate::archive::ArchiveError::KeyMissing(locked)) => locked.recipients().to_vec(),
        _ => Vec::new(),
    }
}
