//! Decides where a restore puts its scratch files, so that it needs little space beside its targets.
//!
//! A file that is put in place is made beside its target, because it is renamed. What an existing database is rewritten
//! from, the copy of its old state and the copy that is compared are not: they go to the workspace, or to another
//! folder that has room. What remains beside such a target is its own journal or `-wal`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::RestoreError;
use super::plan::{Method, Plan};
use crate::names::printable;
use crate::ops::Repository;
use crate::platform::{device, free_bytes, is_network_file_system, parent};
use crate::progress::Silent;
use crate::workspace::scratch::{Scratch, remove_leftovers_beside};

/// The bytes that are needed on each device, with a folder on it.
type Needs = BTreeMap<u64, (PathBuf, u64)>;

/// Fails with "not enough space" before anything is written, if that can be foreseen. Returns the scratch folder for
/// what an existing database is rewritten from; `None` if it goes beside the target.
pub(super) fn arrange(
    plan: &Plan,
    workspace: Option<&Repository>,
    temporary: &Path,
) -> anyhow::Result<Option<Scratch>> {
    // Also if this run works elsewhere; that an old leftover stays is no reason to fail a restore.
    let _ = remove_leftovers_beside(temporary);
    if let Some(repository) = workspace {
        repository.workspace().try_remove_ended_scratch(&Silent);
    }
    let mut needs = Needs::new();
    let mut movable = Needs::new();
    for step in &plan.steps {
        let sidecars: u64 = step.held.sidecars.iter().map(|sidecar| sidecar.bytes).fold(0, u64::saturating_add);
        // The sidecars, and what the database grows by when they are applied.
        let new = step.held.bytes.unwrap_or(0).saturating_add(sidecars.saturating_mul(2));
        let old = step.target.bytes;
        let folder = parent(&step.target.path);
        let beside = match step.method {
            Method::Create | Method::SetAside => new,
            Method::Offline(_) => new + old,
            // The journal holds the old pages, a -wal the new ones, each with a header.
            Method::Inside => new.max(old) + new.max(old) / 64,
        };
        add(&mut needs, folder, beside)?;
        if step.method == Method::Inside {
            // The unpacked copy, the copy of the old state, and the one that is compared.
            add(&mut movable, folder, new + old + new)?;
        }
    }
    let total: u64 = movable.values().map(|(_, bytes)| bytes).sum();
    if total == 0 {
        return check(&needs).map(|()| None);
    }
    // Not on a network: a lock of the target is held while the old state is copied.
    let is_local = |folder: &Path| is_network_file_system(folder).is_ok_and(|network| !network);
    if let Some(private) =
        workspace.map(Repository::workspace).filter(|workspace| workspace.create().is_ok_and(is_local))
        && let Ok(folder) = private.create_scratch_folder()
        && fits(&needs, &folder, total)?
        && let Ok(scratch) = private.scratch()
    {
        return Ok(Some(scratch));
    }
    let mut beside = needs.clone();
    for (device, (folder, bytes)) in movable {
        beside.entry(device).or_insert((folder, 0)).1 += bytes;
    }
    let Err(error) = check(&beside) else { return Ok(None) };
    if fits(&needs, temporary, total).unwrap_or(false)
        && let Ok(scratch) = Scratch::beside(temporary)
    {
        return Ok(Some(scratch));
    }
    Err(error)
}

fn add(needs: &mut Needs, folder: &Path, bytes: u64) -> anyhow::Result<()> {
    let device = device(folder).with_context(|| format!("cannot look at \"{}\"", folder.display()))?;
    needs.entry(device).or_insert_with(|| (folder.to_owned(), 0)).1 += bytes;
    Ok(())
}

fn fits(needs: &Needs, folder: &Path, bytes: u64) -> anyhow::Result<bool> {
    let mut needs = needs.clone();
    add(&mut needs, folder, bytes)?;
    Ok(check(&needs).is_ok())
}

fn check(needs: &Needs) -> anyhow::Result<()> {
    for (folder, needed) in needs.values() {
        let free = free_bytes(folder)?;
        if free < *needed {
            let folder = printable(&folder.to_string_lossy()).into_owned();
            let cause = io::ErrorKind::StorageFull.into();
            return Err(RestoreError::NoRoom { folder, needed: *needed, free, cause }.into());
        }
    }
    Ok(())
}
