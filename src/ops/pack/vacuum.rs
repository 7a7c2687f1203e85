//! Vacuums a copy before it is written, on request.

use std::path::Path;

use anyhow::Context as _;

use super::check::damaged;
use super::request::{Request, Staged};
use crate::database::{self, Effort, SourceError};
use crate::metadata::Integrity;
use crate::progress::{Progress, Stage};

/// Result of the requested VACUUM.
#[derive(Debug, Clone)]
pub(super) enum Vacuumed {
    No,
    Yes,
    Failed(String),
}

/// Checks a copy, and vacuums it if it is sound: VACUUM would hide some damage. If SQLite cannot, the copy stays as it
/// is.
pub(super) fn vacuum(
    staged: &mut Staged,
    target: &Path,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<Vacuumed> {
    progress.begin(Stage::Check, staged.name.as_str(), 0);
    let checked = staged.check(request.check, Effort::threads(request.threads), progress)?;
    if checked.integrity == Integrity::Damaged {
        return if request.keep_damaged {
            Ok(Vacuumed::Failed("not vacuumed: damaged".into()))
        } else {
            Err(damaged(staged, &checked).into())
        };
    }
    match database::vacuum(&staged.copy, target) {
        Ok(()) => {
            // Frees space early; the folder is removed in any case.
            let _ = std::fs::remove_file(&staged.copy);
            target.clone_into(&mut staged.copy);
            staged.bytes = std::fs::metadata(&staged.copy).context("cannot look at the vacuumed copy")?.len();
            Ok(Vacuumed::Yes)
        }
        Err(SourceError::Interrupted(interrupted)) => Err(interrupted.into()),
        // A full disk must not fail a backup that does not need VACUUM: the copy is still there as it was.
        Err(error) => Ok(Vacuumed::Failed(format!("not vacuumed: {}", error.of(&staged.source)))),
    }
}
