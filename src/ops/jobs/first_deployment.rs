//! Decides what a restore skips: targets that exist, and databases that have no backup yet.
//!
//! A first deployment must not fail, and a store that cannot be read must not look like one.

use std::io;
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::meant::{Database, Meant, Settled};
use crate::latest::{Absent, Decision, Why};
use crate::names::{HostLabel, Name, entry_name, printable};
use crate::ops::inventory::Inventory;
use crate::ops::resolve::ResolveError;
use crate::ops::restore::Where;
use crate::platform::{self, parent};
use crate::snapshot::Snapshot;
use crate::store::StoreError;

/// Returns whether every target that is known without an archive exists, so that no archive is needed.
pub fn all_known_targets_exist(
    place: &Where,
    only: &[Name],
    meant: Option<&Meant>,
    around: &Surroundings<'_>,
) -> anyhow::Result<bool> {
    let paths: Option<Vec<PathBuf>> = match (place, meant) {
        (Where::File(path), _) => Some(vec![path.clone()]),
        (Where::Known, Some(meant)) if !meant.one_of.is_empty() => {
            let databases = meant.one_of.iter().flat_map(|set| &around.settings.sets[set].databases);
            Some(
                databases
                    .filter(|(name, _)| only.is_empty() || only.contains(name))
                    .map(|(_, path)| path.clone())
                    .collect(),
            )
        }
        (Where::Known, Some(meant)) => meant.databases.iter().map(|database| database.path.clone()).collect(),
        _ => None,
    };
    let paths = paths.unwrap_or_default();
    for path in &paths {
        if looks_missing(path)? {
            return Ok(false);
        }
    }
    Ok(!paths.is_empty())
}

/// Keeps the databases whose targets are missing. An unknown target counts as missing.
pub fn leave_the_missing(
    settled: &mut Settled,
    place: &Where,
    found: &Inventory,
    around: &Surroundings<'_>,
) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for database in &settled.databases {
        let is_missing = match known_target(database, &settled.set, place, &found.snapshots, around) {
            Some(path) => looks_missing(&path)?,
            None => true,
        };
        if is_missing {
            missing.push(database.clone());
        }
    }
    settled.databases = missing;
    Ok(())
}

fn looks_missing(path: &Path) -> anyhow::Result<bool> {
    let shown = || format!("cannot look at \"{}\"", printable(&path.to_string_lossy()));
    platform::is_missing(path).map_err(|error| anyhow::Error::new(error).context(shown()))
}

/// Returns where a database would go, as far as that is known before an archive was chosen.
fn known_target(
    database: &Database,
    set: &Name,
    place: &Where,
    found: &[Snapshot],
    around: &Surroundings<'_>,
) -> Option<PathBuf> {
    let label = &around.host.label;
    let of_set = || found.iter().filter(|snapshot| snapshot.set == *set && snapshot.is_good());
    let holds = |snapshot: &&Snapshot| snapshot.brief(database.name.as_str()).is_some();
    match place {
        Where::File(file) => Some(file.clone()),
        Where::Original => of_set().find(holds)?.brief(database.name.as_str())?.source.as_ref().map(PathBuf::from),
        Where::Folder(folder) => {
            let mut taken = Vec::new();
            for brief in &of_set().find(holds)?.databases {
                let file = entry_name(Path::new(brief.source.as_deref()?), &brief.name, &taken);
                if brief.name == database.name {
                    return Some(folder.join(file));
                }
                taken.push(file);
            }
            None
        }
        Where::Known if database.path.is_some() => database.path.clone(),
        Where::Known if !around.settings.sets.is_empty() || around.settings.default_database.is_some() => None,
        Where::Known if *label == HostLabel::container() => None,
        Where::Known => {
            let newest = of_set().filter(|snapshot| snapshot.host == *label).find(holds)?;
            newest.brief(database.name.as_str())?.source.as_ref().map(PathBuf::from)
        }
    }
}

/// Returns whether an error means that the configured store was never made. A missing parent folder suggests an
/// unmounted volume instead.
pub fn was_never_made(error: &StoreError, around: &Surroundings<'_>) -> bool {
    match error {
        StoreError::Unreachable { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
            let folder = around.settings.store.folder();
            folder.is_some_and(|store| std::fs::metadata(parent(store)).is_ok_and(|folder| folder.is_dir()))
        }
        _ => false,
    }
}

/// Returns whether an archive that was named and not found only means that there is nothing to restore. `list` lists
/// the store; `set` is the set that was named.
pub fn is_nothing(
    error: &anyhow::Error,
    set: Option<&Name>,
    around: &Surroundings<'_>,
    list: impl FnOnce() -> anyhow::Result<Inventory>,
) -> anyhow::Result<bool> {
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::NotFound { .. }) => return Ok(true),
        Some(error) => return Ok(was_never_made(error, around)),
        None => {}
    }
    if !matches!(error.downcast_ref::<ResolveError>(), Some(ResolveError::NotFound { .. })) {
        return Ok(false);
    }
    // If there are archives that cannot be used, the user must know.
    let found = list()?;
    let of_set = |snapshot: &Snapshot| set.is_none_or(|wanted| *wanted == snapshot.set);
    Ok(!found.snapshots.iter().any(|snapshot| snapshot.damaged && of_set(snapshot)) && found.foreign.is_empty())
}

/// Returns whether only archives of other hosts and paths were found.
pub fn is_of_others(decision: &Decision) -> bool {
    match decision {
        Decision::Elsewhere { .. } => true,
        Decision::OutOfReach { databases } => {
            databases.iter().all(|Absent { why, .. }| matches!(why, Why::Elsewhere(_)))
        }
        _ => false,
    }
}
