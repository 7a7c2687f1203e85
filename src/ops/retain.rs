//! Carries retention out: `rotate` and `cleanup`, which differ only in what decides.
//!
//! The plan is made from the archives of the store while its lock is held, so that no backup commits in between. A listing
//! that fails ends the run before anything is removed: a store that shows few archives by an error must not be rotated.

use std::fmt;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::inventory::{Foreign, Inventory, KEEP, inventory};
use super::marks::remove_archive;
use crate::lock::StoreLock;
use crate::names::{ArchiveName, Name};
use crate::progress::{Progress, Stage};
use crate::retention::{Plan, Retention, Verdict};
use crate::scratch;
use crate::store::{Store, StoreError};

/// What to keep, and of what.
#[derive(Debug, Clone)]
pub struct Request {
    /// What decides.
    pub retention: Retention,
    /// Only the archives of this set; all sets, each by itself, where none is named.
    pub set: Option<Name>,
    /// The present. Not before the newest backup that was just made, or that one counts as dated in the future.
    pub now: DateTime<Utc>,
    /// Where days begin and end, and the zone of times that carry none.
    pub zone: Tz,
}

/// What would be done. `--dry-run` prints it.
#[derive(Debug)]
pub struct Outlook {
    /// What happens to each archive.
    pub plan: Plan,
    /// Files that look like archives and are none. They are left alone.
    pub foreign: Vec<Foreign>,
    /// How many leftovers of dead runs would be swept, or why that cannot be told.
    pub leftovers: io::Result<usize>,
}

/// What was done.
#[derive(Debug)]
pub struct Report {
    /// The plan that was carried out.
    pub plan: Plan,
    /// What became of each archive that the plan removes, oldest first; shorter than the plan where the run was stopped.
    pub fates: Vec<(ArchiveName, Fate)>,
    /// Files that look like archives and are none. They were left alone.
    pub foreign: Vec<Foreign>,
    /// How many leftovers of dead runs were swept, or why they were not.
    pub leftovers: io::Result<usize>,
}

/// What became of an archive that was to be removed.
#[derive(Debug)]
pub enum Fate {
    /// It is removed.
    Removed,
    /// Somebody else had removed it.
    GoneAlready,
    /// It stays: a pin was set after the listing.
    PinnedMeanwhile,
    /// It stays: it was not in the plan that was agreed to. The next run decides again.
    NotAgreed,
    /// It could not be removed.
    Failed(StoreError),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Removed => f.write_str("removed"),
            Fate::GoneAlready => f.write_str("gone already"),
            Fate::PinnedMeanwhile => f.write_str("stays, pinned meanwhile"),
            Fate::NotAgreed => f.write_str("stays, not in the plan that was agreed to"),
            Fate::Failed(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => error.fmt(f),
            },
        }
    }
}

impl Report {
    /// Returns the bytes of all archives that were removed.
    pub fn freed_bytes(&self) -> u64 {
        let removed = self.plan.removed().zip(&self.fates).filter(|(_, (_, fate))| matches!(fate, Fate::Removed));
        removed.map(|(verdict, _)| verdict.bytes).sum()
    }

    /// Says whether something that should have been removed is still there because it could not be removed.
    pub fn has_failures(&self) -> bool {
        self.leftovers.is_err() || self.fates.iter().any(|(_, fate)| matches!(fate, Fate::Failed(_)))
    }
}

/// Decides what would be removed. Changes nothing and needs no lock.
pub fn plan(store: &dyn Store, private: &Path, request: &Request, progress: &dyn Progress) -> anyhow::Result<Outlook> {
    let (plan, foreign) = decide(store, request, progress)?;
    Ok(Outlook { plan, foreign, leftovers: scratch::leftovers(private).map(|found| found.len()) })
}

/// Plans and removes under the store's lock, oldest archive first. One that cannot be removed is reported, and the others go on.
///
/// What a person `agreed` to bounds what is removed: only what this plan removes too.
///
/// Dies anywhere: each archive is there whole or gone whole, what is gone was older than what the plan still removes, and
/// everything that the plan keeps is there. The next run makes the same plan for the rest.
pub fn execute(
    store: &dyn Store,
    private: &Path,
    lock: &StoreLock,
    request: &Request,
    agreed: Option<&Plan>,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let (plan, foreign) = decide(store, request, progress)?;
    let agreed: Option<Vec<&ArchiveName>> = agreed.map(|plan| {
        let mut names: Vec<&ArchiveName> = plan.removed().map(|verdict| &verdict.archive).collect();
        names.sort();
        names
    });
    let mut fates = Vec::new();
    progress.begin(Stage::Archives, &store.location(), plan.removed().count() as u64);
    for verdict in plan.removed() {
        if progress.cancelled() {
            break;
        }
        let agreed = agreed.as_ref().is_none_or(|names| names.binary_search(&&verdict.archive).is_ok());
        let fate = if agreed { remove(store, lock, verdict) } else { Fate::NotAgreed };
        fates.push((verdict.archive.clone(), fate));
        progress.advance(1);
    }
    let leftovers = scratch::sweep_store(private);
    Ok(Report { plan, fates, foreign, leftovers })
}

fn decide(store: &dyn Store, request: &Request, progress: &dyn Progress) -> anyhow::Result<(Plan, Vec<Foreign>)> {
    let Inventory { mut snapshots, foreign } = inventory(store, request.zone, progress)?;
    if let Some(set) = &request.set {
        snapshots.retain(|snapshot| snapshot.set == *set);
    }
    Ok((request.retention.plan(&snapshots, request.now, request.zone), foreign))
}

/// Removes one archive and its marks, in the order that [`remove_archive`] argues for.
fn remove(store: &dyn Store, lock: &StoreLock, verdict: &Verdict) -> Fate {
    // `touch x.keep` needs no lock: a pin that came after the listing still counts.
    match store.stat(&format!("{}{KEEP}", verdict.archive)) {
        Ok(None) => {}
        Ok(Some(_)) => return Fate::PinnedMeanwhile,
        Err(error) => return Fate::Failed(error),
    }
    match remove_archive(store, lock, &verdict.archive) {
        Ok(()) => Fate::Removed,
        Err(StoreError::NotFound { .. }) => Fate::GoneAlready,
        Err(error) => Fate::Failed(error),
    }
}
