//! The room that a backup needs for its copies, before anything is copied.

use std::path::Path;

use anyhow::Context as _;

use super::pack::Request;
use crate::compression::Compression;
use crate::database::Source;
use crate::failure::{Failure, FailureKind};
use crate::names::printable;
use crate::platform::{self, MemoryRoom};
use crate::text;
use crate::workspace::Workspace;
use crate::workspace::scratch::{Scratch, remove_leftovers_beside};

/// Returns a folder for the copies before VACUUM, if the store may have no room for them beside the vacuumed ones and
/// the folder for temporary files has. The check that VACUUM would defeat needs a whole copy.
pub(super) fn room_for_copies(workspace: &Path, bytes: u64, temporary: &Path) -> Option<Scratch> {
    // A leftover that cannot be removed must not fail a backup.
    let _ = remove_leftovers_beside(temporary);
    let is_short = platform::free_bytes(workspace).is_ok_and(|free| free < bytes.saturating_mul(2));
    if !is_short || platform::free_bytes(temporary).ok()? < bytes {
        return None;
    }
    Scratch::beside(temporary).ok()
}

/// Describes scratch in memory, which a large database fills; `None` if it is on a disk.
pub fn memory_of_scratch(workspace: &Workspace) -> Option<String> {
    let folder = workspace.create_scratch_folder().ok()?;
    let size = match platform::memory_room(&folder).ok()?? {
        MemoryRoom::Bytes(total) => format!("{} in all", text::bytes(total)),
        MemoryRoom::Unlimited => "without a limit".to_owned(),
    };
    Some(format!("\"{}\", where databases are copied, is in memory ({size})", printable(&folder.to_string_lossy())))
}

/// Refuses a backup whose copies do not fit into a scratch folder that is not in the store, before anything is copied:
/// that folder is on the system disk or in memory more often than a store is.
pub(super) fn room_for_copies_in_scratch(
    workspace: &Workspace,
    sources: &[Source],
    request: &Request,
) -> anyhow::Result<()> {
    let folder = workspace.create_scratch_folder().context("cannot make a folder for the copies")?;
    let sizes = sources.iter().filter_map(|source| std::fs::metadata(&source.path).ok()).map(|found| found.len());
    let copies: u64 = sizes.sum();
    // The plain archive is there too for a while. How small it becomes is not known yet.
    let archive = if request.compression == Compression::None { copies } else { copies / 4 };
    let needed = copies.saturating_add(archive).saturating_mul(if request.vacuum { 2 } else { 1 });
    let Ok(free) = platform::free_bytes(&folder) else { return Ok(()) };
    let memory = platform::memory_room(&folder).ok().flatten();
    // Without a limit, the system reports no room at all.
    if free >= needed || memory == Some(MemoryRoom::Unlimited) {
        return Ok(());
    }
    let message = format!(
        "the copies need {} in \"{}\", which has {} free{}",
        text::bytes(needed),
        printable(&folder.to_string_lossy()),
        text::bytes(free),
        match memory {
            Some(MemoryRoom::Bytes(total)) => format!(" and is in memory ({} in all)", text::bytes(total)),
            _ => String::new(),
        }
    );
    let remedy = match memory {
        Some(_) => "name a folder on a disk in store.scratch_dir, not in the store: a large database fills the memory",
        None => "free space there, or name a folder on a larger disk in store.scratch_dir; it must not be in the store",
    };
    Err(Failure::new(FailureKind::NoSpace, message).remedy(remedy).into())
}
