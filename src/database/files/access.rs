//! Decides how to read a source without changing anything, and whether this process may create files beside a file of
//! another user.

use std::fs;
use std::path::{Path, PathBuf};

use super::source_file::Located;
use crate::database::error::{SourceError, TargetError};
use crate::database::sidecars::{begins_with_data, find_sidecar, sidecar};
use crate::platform::{can_give_away, is_own, is_root, may_make_files_in, may_read_and_write, owner};

/// How a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Way {
    /// In place, through a read-only connection: a rollback-mode database. Needs no sidecars, and fails on a hot
    /// journal instead of rolling it back.
    ReadOnly,
    /// In place, through a writable connection: a WAL database, because every reader must write its `-shm`.
    Wal(Sidecars),
    /// From a private copy of the file and its sidecars.
    PrivateCopy,
}

/// Who owns the sidecars of a WAL database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Sidecars {
    /// There were none: SQLite creates them for us, and we remove them.
    Ours,
    /// They belong to an application, running or crashed, and stay as they are.
    Theirs,
}

/// Chooses how to read a source from the files that exist now.
///
/// In place requires a WAL database whose sidecars are either both there and writable, or both missing and creatable as
/// its owner: sidecars of another user would lock the application out. A lone `-wal` was left by a crash, and a
/// connection would leave a `-shm` beside it. A `-journal` beside a WAL database would be rolled back in place.
pub(in crate::database) fn way(located: &Located) -> Result<Way, SourceError> {
    let find = |ending| find_sidecar(&located.path, ending).map_err(|cause| located.io("read the sidecars of", cause));
    let (wal, shm, journal) = (find("-wal")?, find("-shm")?, find("-journal")?);
    let header = located.header()?;
    // SQLite uses an existing `-wal`, whatever the header says.
    if !header.is_wal() && wal.is_none() {
        return Ok(Way::ReadOnly);
    }
    if let Some(path) = journal
        && begins_with_data(&path).map_err(|cause| located.io("read the -journal of", cause))?
    {
        return Ok(Way::PrivateCopy);
    }
    let folder = located.path.parent().unwrap_or(Path::new("/"));
    if !may_read_and_write(&located.path) || may_make_files_in(folder).is_err() {
        return Ok(Way::PrivateCopy);
    }
    match (wal, shm) {
        (None, None) if is_owner(&located.path) => Ok(Way::Wal(Sidecars::Ours)),
        (Some(wal), Some(shm)) if [&wal, &shm].iter().all(|path| may_read_and_write(path)) => {
            Ok(Way::Wal(Sidecars::Theirs))
        }
        _ => Ok(Way::PrivateCopy),
    }
}

/// Returns whether a source has a `-wal`, and no journal of a running or crashed transaction.
pub(in crate::database) fn has_only_a_wal(located: &Located) -> Result<bool, SourceError> {
    let find = |ending| find_sidecar(&located.path, ending).map_err(|cause| located.io("read the sidecars of", cause));
    let hot = |path: PathBuf| begins_with_data(&path).map_err(|cause| located.io("read the -journal of", cause));
    Ok(find("-wal")?.is_some() && !find("-journal")?.map(hot).transpose()?.unwrap_or(false))
}

/// Returns whether sidecars that SQLite creates will belong to the owner of the file. As root, SQLite gives them to the
/// owner, which needs CAP_CHOWN: systemd units and containers often run without it, and SQLite does not report the
/// failure.
fn is_owner(path: &Path) -> bool {
    can_give_away() || fs::metadata(path).is_ok_and(|found| is_own(&found))
}

/// Returns whether the sidecars of a database belong to this user and the database to another one, whose applications
/// would be locked out.
///
/// In that case this process created them: the last connection of an application removed the old ones after [`way`] had
/// seen them.
pub(in crate::database) fn locks_out_owner(path: &Path) -> bool {
    let belongs_to_us = |path: &Path| fs::symlink_metadata(path).map(|found| is_own(&found)).ok();
    belongs_to_us(&sidecar(path, "-shm")) == Some(true) && belongs_to_us(path) == Some(false)
}

/// Returns why this process must not replace a database, as far as ownership is concerned: a journal, `-wal` or new
/// file owned by root would keep the owner's applications from opening it, after a kill permanently.
///
/// If both sidecars of WAL mode exist, none is created.
pub(in crate::database) fn refuse_as_root(path: &Path) -> Result<(), TargetError> {
    let failed = |cause| TargetError::Io { path: path.to_owned(), action: "look at", cause };
    if !is_root() || is_owner(path) {
        return Ok(());
    }
    let there = |ending| find_sidecar(path, ending).map(|found| found.is_some());
    if there("-wal").map_err(failed)? && there("-shm").map_err(failed)? {
        return Ok(());
    }
    Err(TargetError::NotOwner { path: path.to_owned(), owner: owner(&fs::metadata(path).map_err(failed)?) })
}
