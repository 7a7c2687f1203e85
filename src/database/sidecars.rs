//! The files that SQLite keeps beside a database.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::platform::open_regular;

/// What SQLite keeps beside a database.
pub(in crate::database) const SIDECARS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Returns the path of a sidecar: the path with a suffix.
pub(in crate::database) fn sidecar(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Returns the existing sidecars of a file.
pub(in crate::database) fn existing(path: &Path, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for ending in endings {
        let sidecar = sidecar(path, ending);
        match fs::symlink_metadata(&sidecar) {
            Ok(_) => found.push(sidecar),
            Err(cause) if is_no_file(&cause) => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(found)
}

/// Returns the path of a sidecar if it exists. One that is not a regular file is an error: SQLite would block on a
/// pipe.
pub(in crate::database) fn find_sidecar(path: &Path, ending: &str) -> io::Result<Option<PathBuf>> {
    let path = sidecar(path, ending);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(path)),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("its {ending} is not a regular file"))),
        Err(error) if is_no_file(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether an error about a sidecar proves that there is none: there is no such file, or the name is too long
/// for one.
pub(in crate::database) fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

/// Returns whether there are no sidecars beside a copy that a connection could apply to it.
pub(in crate::database) fn lies_alone(copy: &Path) -> bool {
    ["-wal", "-journal"].iter().all(|ending| matches!(find_sidecar(copy, ending), Ok(None)))
}

/// Returns whether a journal has content: SQLite's own test for a hot one (a finished one is zeroed or empty).
pub(in crate::database) fn begins_with_data(journal: &Path) -> io::Result<bool> {
    let mut first = [0];
    match open_regular(journal).and_then(|mut file| file.read(&mut first)) {
        Ok(bytes) => Ok(bytes == 1 && first[0] != 0),
        Err(error) if is_no_file(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
