//! Backs up a set: plan, capture, pack.

use std::path::PathBuf;

use anyhow::Context as _;

use super::leftovers::{sweep_leftovers, sweep_leftovers_beside};
use super::pack::{Packed, Request, Staged, pack};
use crate::database::{Limits, Source, SourceError, pin};
use crate::names::{ArchiveName, Name};
use crate::progress::{Progress, Stage};
use crate::scratch::Scratch;
use crate::store::{LocalStore, Store as _, StoreError};

/// What a backup is going to do. `--dry-run` prints it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The databases that are backed up.
    pub sources: Vec<Source>,
    /// The databases that are not there, where that was allowed.
    pub missing: Vec<Source>,
    /// How the archive is made; `absent` names the missing ones and those that were not chosen.
    pub request: Request,
}

/// What to do about databases that do not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Refuse the backup.
    Fail,
    /// Back up the others.
    Skip,
}

/// Decides what is backed up. Looks at the paths, changes nothing.
pub fn plan(sources: Vec<Source>, if_missing: IfMissing, mut request: Request) -> Result<Plan, SourceError> {
    let mut present = Vec::new();
    let mut missing = Vec::new();
    for source in sources {
        match std::fs::metadata(&source.path) {
            Ok(_) => present.push(source),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => match if_missing {
                IfMissing::Fail => return Err(SourceError::Missing(source.path)),
                IfMissing::Skip => missing.push(source),
            },
            Err(cause) => return Err(SourceError::Io { path: source.path, action: "look at", cause }),
        }
    }
    request.absent.extend(missing.iter().map(|source| source.name.clone()));
    Ok(Plan { sources: present, missing, request })
}

/// Carries the plan out. On an error nothing is visible in the store and no scratch is left.
pub fn execute(store: &LocalStore, plan: &Plan, limits: &Limits, progress: &dyn Progress) -> anyhow::Result<Packed> {
    if let Some(name) = &plan.request.name {
        refuse_taken(store, name)?;
    }
    let private = store.create_private()?;
    sweep_leftovers(&private, progress);
    sweep_leftovers_beside(plan.sources.iter().map(|source| source.path.as_path()));
    let scratch =
        Scratch::in_store(&private).with_context(|| format!("cannot make a scratch folder in the store \"{}\"", store.location()))?;

    let pinned = pin(&plan.sources, scratch.path(), limits, progress)?;
    let consistent = pinned.consistent;
    let mut staged = Vec::new();
    for (index, (source, database)) in plan.sources.iter().zip(pinned.databases).enumerate() {
        let copy = scratch.path().join(format!("{index}.db"));
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        let bytes = database.copy_to(&copy, limits, progress)?;
        staged.push(Staged { name: source.name.clone(), source: source.path.clone(), copy, bytes });
    }
    let request = Request { consistent, ..plan.request.clone() };
    pack(store, &scratch, staged, &request, progress)
}

/// Refuses a chosen name that is taken before any work is done. The commit refuses it again.
fn refuse_taken(store: &LocalStore, name: &ArchiveName) -> Result<(), StoreError> {
    match store.stat(name.as_str())? {
        Some(_) => Err(StoreError::Exists { name: name.as_str().to_owned(), location: store.location() }),
        None => Ok(()),
    }
}

/// Names databases that were given as paths: by their file names, a second one of a name by a number behind it.
pub fn name_sources(paths: &[PathBuf]) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for path in paths {
        let base = Name::from_path(path);
        let taken = |name: &Name| sources.iter().any(|source| source.name.as_str().eq_ignore_ascii_case(name.as_str()));
        let numbered = (2..).filter_map(|number| {
            let suffix = format!("-{number}");
            let stem = &base.as_str()[..base.as_str().len().min(crate::names::MAX_NAME_BYTES - suffix.len())];
            Name::new(format!("{stem}{suffix}")).ok()
        });
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).expect("the numbers do not end");
        sources.push(Source { name, path: path.clone() });
    }
    sources
}
