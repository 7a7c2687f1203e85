//! Copies as a job: brings every further store up to date, each in a thread of its own, and says what is still missing.

use std::thread;
use std::time::Duration;

use super::Surroundings;
use super::retention::{rules_of, shrinks_off};
use crate::archive::ArchiveError;
use crate::config::CopySettings;
use crate::failure::is_interruption;
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::copies::{Copied, Copier, Known, missing};
use crate::ops::explain::explain;
use crate::ops::inventory::{Inventory, Reading, inventory};
use crate::progress::{Progress, Stage};
use crate::retention::{Scene, Scope};
use crate::snapshot::Snapshot;
use crate::workspace::copies::{CopyEntry, CopyRecord};

/// A further store, opened or not.
pub struct Destination<'a> {
    /// Its settings.
    pub copy: &'a CopySettings,
    /// The store, or why it could not be opened.
    pub repository: anyhow::Result<Repository>,
}

/// What happened to one further store.
pub struct CaughtUp {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub location: String,
    /// Whether a backup fails without it.
    pub required: bool,
    /// The archives that were copied, newest first.
    pub copied: Vec<Copied>,
    /// The archives that it still lacks, newest first.
    pub missing: Vec<ArchiveName>,
    /// What failed. A damaged source does not stop the others.
    pub errors: Vec<anyhow::Error>,
    /// The archives that were not copied because the source is damaged, with the evidence.
    pub damaged: Vec<(ArchiveName, String)>,
}

/// Returns what decides about copies: this host's streams alone. Each host copies its own archives.
pub(super) fn scene<'a>(around: &Surroundings<'_>) -> Scene<'a> {
    let own = around.host.former.iter().chain([&around.host.label]).cloned().collect();
    Scene {
        scope: Scope { hosts: Some(own), ..Scope::everything() },
        shrinks_off: shrinks_off(around.settings),
        ahead: around.ahead,
        ..Scene::new(around.clock.now(), around.settings.time_zone)
    }
}

/// Returns what a further store lacks, newest first.
pub fn missing_at(
    copy: &CopySettings,
    here: &Inventory,
    there: &Inventory,
    around: &Surroundings<'_>,
) -> Vec<ArchiveName> {
    missing(&here.snapshots, &there.snapshots, &rules_of(copy, around.settings), &scene(around))
}

/// Copies to each further store what it lacks, newest first, all stores side by side. `named` copies these archives
/// instead, whatever the rules say. A store that fails does not stop the others.
///
/// Crash in between: what arrived is complete, and the next run copies the rest.
pub fn catch_up(
    main: &Repository,
    destinations: Vec<Destination<'_>>,
    named: Option<&[ArchiveName]>,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<CaughtUp>> {
    main.workspace().try_remove_ended_scratch(progress);
    let here = inventory(main, &around.reading(None), progress)?;
    let alone = destinations.len() == 1;
    let quiet = Quiet(progress);
    let each: &dyn Progress = if alone { progress } else { &quiet };
    let work = |destination: Destination<'_>| one(main, destination, &here, named, around, each);
    let results = thread::scope(|scope| {
        let threads: Vec<_> = destinations.into_iter().map(|destination| scope.spawn(|| work(destination))).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let results: Vec<CaughtUp> =
        results.into_iter().map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
    progress.checkpoint()?;
    Ok(results)
}

fn one(
    main: &Repository,
    destination: Destination<'_>,
    here: &Inventory,
    named: Option<&[ArchiveName]>,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> CaughtUp {
    let Destination { copy, repository } = destination;
    let mut result = CaughtUp {
        name: copy.name.clone(),
        location: copy.location.to_string(),
        required: copy.required,
        copied: Vec::new(),
        missing: Vec::new(),
        errors: Vec::new(),
        damaged: Vec::new(),
    };
    let address = copy.location.to_string();
    let reading = around.reading(None);
    let retention = rules_of(copy, around.settings);
    let scene = scene(around);
    let in_copies = Reading { encryption: around.encryption.of_copies(), ..reading.clone() };
    let listed = repository.and_then(|to| inventory(&to, &in_copies, progress).map(|there| (to, there)));
    let (to, mut there) = match listed {
        Ok(found) => found,
        Err(error) => {
            let record = main.workspace().copy_record(&copy.name, &address);
            let record = record.map(|record| CopyRecord { error: Some(format!("{error:#}")), ..record });
            if let Some(record) = &record {
                // A cache: the error is returned below.
                let _ = main.workspace().record_copy(&copy.name, record);
            }
            // Without a listing nothing new is known to be there.
            let known = Known { record, retention };
            result.missing = known.missing(&here.snapshots, &scene);
            result.errors.push(error);
            return result;
        }
    };
    to.workspace().try_remove_ended_scratch(progress);
    let lacking = |there: &[Snapshot]| missing(&here.snapshots, there, &retention, &scene);
    let wanted = named.map_or_else(|| lacking(&there.snapshots), <[ArchiveName]>::to_vec);
    let copier = Copier {
        from: main,
        to: &to,
        reading: &in_copies,
        host: &around.host.label,
        clock: around.clock,
        threads: around.threads,
        verify: around.settings.verify_copies,
        wait: Duration::from_secs(60),
    };
    for name in &wanted {
        let Some(snapshot) = here.snapshots.iter().find(|snapshot| snapshot.name == *name) else { continue };
        match copier.copy(snapshot, progress) {
            Ok(copied) => {
                there.snapshots.push(Snapshot { name: copied.name.clone(), ..snapshot.clone() });
                result.copied.push(copied);
            }
            Err(error) => {
                if let Some(found) = error.downcast_ref::<ArchiveError>().filter(|found| found.is_evidence()) {
                    result.damaged.push((name.clone(), found.to_string()));
                }
                let goes_on = !is_interruption(&error) && explain(&error).kind == crate::failure::FailureKind::Damaged;
                result.errors.push(error);
                if !goes_on {
                    break;
                }
            }
        }
    }
    there.snapshots.sort_by(Snapshot::newest_first);
    result.missing = lacking(&there.snapshots);
    let record = CopyRecord {
        address,
        listed_at: around.clock.now(),
        archives: there.snapshots.iter().filter(|snapshot| !snapshot.damaged).map(entry).collect(),
        error: result.errors.first().map(|error| format!("{error:#}")),
    };
    // A cache: without it the next run asks the store.
    let _ = main.workspace().record_copy(&copy.name, &record);
    result
}

fn entry(snapshot: &Snapshot) -> CopyEntry {
    let Snapshot { name, id, bytes, created_at, .. } = snapshot;
    CopyEntry { name: name.clone(), id: *id, bytes: *bytes, created_at: *created_at }
}

/// Which further stores held which archives when this host last listed them.
pub struct Holders(Vec<(Name, CopyRecord)>);

/// Returns which further stores hold archives; `None` if there are no such stores.
pub fn holders(main: &Repository, around: &Surroundings<'_>) -> Option<Holders> {
    let copies = &around.settings.copies;
    let record = |copy: &CopySettings| {
        let record = main.workspace().copy_record(&copy.name, &copy.location.to_string());
        record.map(|record| (copy.name.clone(), record))
    };
    (!copies.is_empty()).then(|| Holders(copies.iter().filter_map(record).collect()))
}

impl Holders {
    /// Returns the stores that hold an archive.
    pub fn of(&self, snapshot: &Snapshot) -> Vec<Name> {
        self.places(snapshot).map(|(name, _)| name.clone()).collect()
    }

    /// Returns the stores that hold an archive, each with its name there.
    pub fn places<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = (&'a Name, &'a ArchiveName)> {
        let same = |entry: &&CopyEntry| match snapshot.id {
            Some(id) => entry.id == Some(id),
            None => entry.name == snapshot.name && entry.bytes == snapshot.bytes,
        };
        let found = self.0.iter().map(move |(name, record)| (name, record.archives.iter().find(same)));
        found.filter_map(|(name, entry)| entry.map(|entry| (name, &entry.name)))
    }
}

/// Passes on whether to stop, and shows nothing: several stores would share one bar.
struct Quiet<'a>(&'a dyn Progress);

impl Progress for Quiet<'_> {
    fn begin(&self, _: Stage, _: &str, _: u64) {}

    fn advance(&self, _: u64) {}

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
