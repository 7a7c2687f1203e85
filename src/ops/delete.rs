//! Removes archives that a person names, and refuses to remove the last good one of a set.

use std::fmt;

use super::inventory::Inventory;
use super::marks::remove_archive;
use crate::lock::StoreLock;
use crate::metadata::Kind;
use crate::names::{ArchiveName, Name};
use crate::snapshot::Snapshot;
use crate::store::{Store, StoreError};

/// What is going to be removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The archives, oldest first.
    pub remove: Vec<Snapshot>,
}

/// Why a removal is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeleteError {
    /// The archive is pinned.
    Pinned(ArchiveName),
    /// Afterwards the set would have no good archive.
    LastGood {
        /// The archive.
        archive: ArchiveName,
        /// The set.
        set: Name,
    },
}

impl DeleteError {
    /// Says what the user can do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Pinned(archive) => format!("take the pin off first: heirloom unpin {archive}"),
            Self::LastGood { .. } => "make a new backup first, or insist with `--even-last`".into(),
        }
    }
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(archive) => write!(f, "\"{archive}\" is pinned"),
            Self::LastGood { archive, set } => write!(f, "\"{archive}\" is the last good archive of the set \"{set}\""),
        }
    }
}

impl std::error::Error for DeleteError {}

/// What to do about the last good archive of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastGood {
    /// Refuse to remove it.
    Keep,
    /// Remove it.
    Remove,
}

/// Decides whether these archives may be removed.
pub fn plan(inventory: &Inventory, names: &[ArchiveName], last: LastGood) -> Result<Plan, DeleteError> {
    let chosen = |snapshot: &&Snapshot| names.contains(&snapshot.name);
    let good = |snapshot: &&Snapshot| !snapshot.damaged && snapshot.kind != Kind::Safety;
    let mut remove: Vec<Snapshot> = inventory.snapshots.iter().filter(chosen).cloned().collect();
    remove.reverse();
    for snapshot in &remove {
        if snapshot.pinned {
            return Err(DeleteError::Pinned(snapshot.name.clone()));
        }
        let of_set = || inventory.snapshots.iter().filter(|other| other.set == snapshot.set).filter(good);
        if last == LastGood::Keep && good(&snapshot) && of_set().all(|other| names.contains(&other.name)) {
            return Err(DeleteError::LastGood { archive: snapshot.name.clone(), set: snapshot.set.clone() });
        }
    }
    Ok(Plan { remove })
}

/// Carries the plan out, oldest first; the first failure ends it. Returns what was removed.
pub fn execute(store: &dyn Store, plan: &Plan, lock: &StoreLock) -> Result<Vec<ArchiveName>, StoreError> {
    let mut removed = Vec::new();
    for snapshot in &plan.remove {
        remove_archive(store, lock, &snapshot.name)?;
        removed.push(snapshot.name.clone());
    }
    Ok(removed)
}
