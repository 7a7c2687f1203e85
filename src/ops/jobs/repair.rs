//! Repairs the main store from its copies: a damaged archive of which a further store holds a good one.
//!
//! Nothing is replaced and nothing is removed. The good archive arrives under a free name beside the damaged one, which
//! keeps its name and its mark: the rules count the good one from then on, and `cleanup` removes the other when it is
//! asked to, after reading it once more.

use super::Surroundings;
use super::copies::scene;
use super::retention::{LOCK_WAIT, own_rules};
use crate::config::CopySettings;
use crate::failure::is_interruption;
use crate::names::{ArchiveId, ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::copies::{Copied, Copier, missing};
use crate::ops::inventory::{Inventory, Reading, Unusable, inventory};
use crate::ops::sealing::Encryption;
use crate::ops::verify::VerifyDepth;
use crate::progress::Progress;
use crate::snapshot::Snapshot;
use crate::workspace::copies::CopyRecord;

/// A damaged archive that was repaired from a copy, or not.
pub struct Repair {
    /// The damaged archive of the main store.
    pub damaged: String,
    /// The further store with a good one.
    pub from: Name,
    /// What arrived, or why nothing did.
    pub result: anyhow::Result<Copied>,
}

/// Fetches a good archive for each damaged one of the main store that its rules still want.
///
/// First, archives that were found damaged while they were read for a copy get their mark, because only marked ones
/// are passed over. Crash after that: marked archives, as after a verify. Then each good archive is downloaded to
/// scratch, read to its end, and committed under a free name. Crash before the commit: scratch, which the next run
/// removes. Crash after it: both archives are there, each complete as it was, and nothing is left to do.
pub fn repair(
    main: &Repository,
    found_damaged: &[(ArchiveName, String)],
    open: &dyn Fn(&CopySettings) -> anyhow::Result<Repository>,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Repair>> {
    if !found_damaged.is_empty() {
        let locked = main.lock(LOCK_WAIT, progress)?;
        for (name, why) in found_damaged {
            // What was read for the copy is what the quick verify reads; a later clean one removes the mark.
            locked.mark_damaged(name, VerifyDepth::Quick.as_str(), std::slice::from_ref(why))?;
        }
    }
    let here = inventory(main, &around.reading(None), progress)?;
    let mut repairs = Vec::new();
    for copy in &around.settings.copies {
        let Some(record) = main.workspace().copy_record(&copy.name, &copy.location.to_string()) else { continue };
        let mut wanted = wanted(&here, &record);
        wanted.retain(|(damaged, _)| !repairs.iter().any(|one: &Repair| one.damaged == *damaged && one.result.is_ok()));
        if wanted.is_empty() {
            continue;
        }
        let mut failed = |damaged: &str, error| {
            repairs.push(Repair { damaged: damaged.to_owned(), from: copy.name.clone(), result: Err(error) });
        };
        let reading = reading_of_copies(around);
        let listed = open(copy).and_then(|store| inventory(&store, &reading, progress).map(|there| (store, there)));
        let (store, there) = match listed {
            Ok(listed) => listed,
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => {
                failed(&wanted[0].0, error);
                continue;
            }
        };
        let there: Vec<Snapshot> = there.snapshots.into_iter().filter(|snapshot| !snapshot.damaged).collect();
        let copier = Copier {
            from: &store,
            to: main,
            reading: &reading,
            host: &around.host.label,
            clock: around.clock,
            threads: around.threads,
            verify: around.settings.verify_copies,
            wait: LOCK_WAIT,
        };
        for (damaged, name) in wanted {
            let Some(good) = there.iter().find(|snapshot| snapshot.name == name) else { continue };
            if !is_kept_here(good, &here, around) {
                continue;
            }
            let result = copier.copy(good, progress);
            match result {
                Err(error) if is_interruption(&error) => return Err(error),
                result => repairs.push(Repair { damaged, from: copy.name.clone(), result }),
            }
        }
    }
    Ok(repairs)
}

/// Returns the damaged archives of the main store that a further store has, each with the name there. One that cannot
/// be described any more is known by its name alone.
fn wanted(here: &Inventory, record: &CopyRecord) -> Vec<(String, ArchiveName)> {
    let has_good = |id: ArchiveId| here.snapshots.iter().any(|other| other.id == Some(id) && !other.damaged);
    let entries = || record.archives.iter().filter(|entry| entry.id.is_some_and(|id| !has_good(id)));
    let described = here.snapshots.iter().filter(|snapshot| snapshot.damaged && !snapshot.pending);
    let described = described.filter_map(|snapshot| {
        let entry = entries().find(|entry| entry.id == snapshot.id)?;
        Some((snapshot.name.to_string(), entry.name.clone()))
    });
    let unreadable =
        here.foreign.iter().filter(|foreign| matches!(foreign.state, Unusable::Damaged | Unusable::Foreign));
    let unreadable = unreadable.filter_map(|foreign| {
        let is_meant = |name: &ArchiveName| {
            name.as_str() == foreign.name || ArchiveName::new(&foreign.name).is_ok_and(|own| own.encrypted() == *name)
        };
        let entry = entries().find(|entry| is_meant(&entry.name))?;
        Some((foreign.name.clone(), entry.name.clone()))
    });
    described.chain(unreadable).collect()
}

/// Returns whether the rules of the main store would keep an archive, so that nothing is fetched every night and
/// removed every morning.
fn is_kept_here(good: &Snapshot, here: &Inventory, around: &Surroundings<'_>) -> bool {
    let rules = own_rules(around.settings);
    !missing(std::slice::from_ref(good), &here.snapshots, &rules, &scene(around)).is_empty()
}

/// Returns how copies are read that go back: as they are, never encrypted once more.
fn reading_of_copies(around: &Surroundings<'_>) -> Reading {
    Reading { encryption: Encryption { copies: None, ..around.encryption.of_copies() }, ..around.reading(None) }
}
