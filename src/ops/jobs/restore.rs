//! Protects a restore: chooses the store and the set of its safety backup, and holds the archive.

use super::Surroundings;
use crate::names::Name;
use crate::ops::Repository;
use crate::ops::resolve::{Place, Selected};
use crate::ops::restore::{Plan, RestoreError};
use crate::platform::{parent, resolved};
use crate::store::StoreError;
use crate::store_url::Location;
use crate::workspace::{Held, Hold};

/// Whether the store was named or is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// It was named.
    Named,
    /// It is the default.
    Usual,
}

/// Whether a safety backup was declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is made if anything that is replaced can be backed up.
    Safe,
    /// It was declined: the restore cannot be undone.
    NoWayBack,
}

/// Returns whether a safety backup is made.
pub fn makes_safety_backup(plan: &Plan, wish: Wish) -> bool {
    plan.needs_safety_backup() && wish == Wish::Safe
}

/// Opens the store whose workspace gets the safety backup and the record: that of the settings if it was named, else
/// the folder of the archive, which is at `place`.
///
/// If there is nothing to back up, a missing or read-only store is not an error.
pub fn safety_store(
    plan: &Plan,
    wish: Wish,
    place: &Place,
    naming: Naming,
    around: &Surroundings<'_>,
    open: impl FnOnce(&Location) -> Result<Repository, StoreError>,
    create: impl FnOnce(&Location) -> anyhow::Result<Repository>,
) -> anyhow::Result<Option<Repository>> {
    let location = match place {
        Place::Path(path) if naming == Naming::Usual => Location::Folder(parent(path).to_owned()),
        _ => around.settings.store.clone(),
    };
    if !makes_safety_backup(plan, wish) {
        // Only for the record, which must not create a folder outside a store.
        let known = *place == Place::Store || naming == Naming::Named;
        let opened = Some(&location).filter(|_| known).and_then(|location| open(location).ok());
        return Ok(opened.filter(|store| store.workspace().create().is_ok()));
    }
    let created = create(&location).and_then(|store| {
        store.workspace().create()?;
        Ok(store)
    });
    match created {
        Ok(store) => Ok(Some(store)),
        Err(cause) => Err(RestoreError::NoSafetyStore { location: location.to_string(), cause }.into()),
    }
}

/// Returns the set under which the safety backup is kept: the configured one that all targets belong to, else that of
/// the archive. An undo looks for the set of its targets.
pub fn set_of_targets(plan: &Plan, archive: &Name, around: &Surroundings<'_>) -> Name {
    let configured = &around.settings.sets;
    let belongs = |set: &Name| {
        let databases = configured.get(set).into_iter().flat_map(|settings| settings.databases.values());
        let paths: Vec<_> = databases.map(|path| resolved(path)).collect();
        plan.targets().all(|target| paths.contains(&target.path))
    };
    let mut sets = std::iter::once(archive).chain(configured.keys());
    sets.find(|set| belongs(set)).unwrap_or(archive).clone()
}

/// Keeps the archive from being removed while it is restored. It is open already, so a read-only store is not an error.
pub fn hold(selected: &Selected, workspace: Option<&Repository>) -> Option<Hold> {
    let store = workspace.filter(|_| selected.place == Place::Store && !selected.snapshot.pending)?;
    let held = Held { command: "restore".into(), archives: vec![selected.snapshot.name.clone()], guarded: Vec::new() };
    store.workspace().hold(&held).ok()
}
