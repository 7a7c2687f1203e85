//! Copies the SQLite sidecars of another tool's database into scratch, and recovers the unpacked database from them.

use std::path::Path;

use anyhow::Context as _;

use crate::archive::Archive;
use crate::database::{self, SourceError, Timeouts};
use crate::platform::private_file;
use crate::progress::Progress;

/// Recovers the database at an index of the archive, which was unpacked to `copy`. Returns what was done, one printable
/// line each; nothing if it has no sidecars. The originals are only read.
///
/// Crash in between: a copy in scratch, which nothing uses.
pub fn recover(
    archive: &Archive,
    index: usize,
    copy: &Path,
    limits: &Timeouts,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<String>> {
    let held = &archive.contents().databases[index];
    if held.sidecars.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(place) = archive.place_with_sidecars() {
        // An application may have them open: the unpacked file and its sidecars may be from different moments.
        database::copy_with_sidecars(place, copy, limits, progress)?;
    } else {
        for sidecar in &held.sidecars {
            let mut path = copy.as_os_str().to_owned();
            path.push(sidecar.part.ending());
            let file = private_file(Path::new(&path)).context("cannot create a scratch file")?;
            archive.unpack_sidecar(index, sidecar.part, &file, progress)?;
        }
    }
    database::recover(copy, progress).map_err(|error| named(error, archive, &held.file))
}

/// Names the database instead of the copy in scratch, which means nothing to the user.
fn named(error: SourceError, archive: &Archive, file: &str) -> anyhow::Error {
    match error {
        SourceError::Io { .. } | SourceError::Interrupted(_) => error.into(),
        error => error.of(archive.place_with_sidecars().unwrap_or(Path::new(file))).into(),
    }
}
