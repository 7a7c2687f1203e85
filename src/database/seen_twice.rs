//! Damage counts only if it is seen twice, with every byte read in between.
//!
//! SQLite reports an EIO of the disk as a malformed database. Reading every byte as a plain file distinguishes the two:
//! it fails with the system's error, and only damage that is seen again afterwards is evidence.

use std::io;
use std::path::Path;

use crate::database::error::SourceError;
use crate::database::sidecars::{is_no_file, sidecar};
use crate::platform::{PositionalIo as _, open_regular};
use crate::progress::Progress;

/// The main file of a database, and the sidecars that contain commits. The `-shm` is only an index that SQLite
/// rebuilds.
pub(in crate::database) const FILES: [&str; 3] = ["", "-wal", "-journal"];

/// Runs an attempt, and if it finds damage, reads all files and runs it once more. The attempt must have closed its
/// connections when it returns: the descriptors that the reading closes would drop their locks.
pub(in crate::database) fn seen_twice<T>(
    mut attempt: impl FnMut() -> Result<T, SourceError>,
    is_damage: impl Fn(&Result<T, SourceError>) -> bool,
    read_through: impl FnOnce(&Result<T, SourceError>) -> Result<(), SourceError>,
) -> Result<T, SourceError> {
    let first = attempt();
    if !is_damage(&first) {
        return first;
    }
    read_through(&first)?;
    attempt()
}

/// Returns whether an attempt failed because of damage.
pub(in crate::database) fn is_damaged<T>(outcome: &Result<T, SourceError>) -> bool {
    matches!(outcome, Err(SourceError::Damaged { .. }))
}

/// Reads every byte of a database and its sidecars; fails if the disk does not return them. `named` is the path in the
/// error.
///
/// No connection to the database may be open in this process, unless it is a private copy.
pub(in crate::database) fn read_through(path: &Path, named: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
    let mut buffer = vec![0; 1 << 20];
    for ending in FILES {
        let failed = |cause| SourceError::Io { path: sidecar(named, ending), action: "read", cause };
        let file = match open_regular(&sidecar(path, ending)) {
            Ok(file) => file,
            // The application removed its sidecar, or the file: the next attempt detects that.
            Err(cause) if is_no_file(&cause) => continue,
            Err(cause) => return Err(failed(cause)),
        };
        let mut at = 0;
        loop {
            progress.checkpoint()?;
            match file.read_at(&mut buffer, at) {
                Ok(0) => break,
                Ok(bytes) => at += bytes as u64,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(failed(cause)),
            }
        }
    }
    Ok(())
}
