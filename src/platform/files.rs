//! Which file a path means, and whether two paths mean the same one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::streams::FileIdentity;

/// Returns a path without symbolic links. What does not exist yet is resolved as far as its folder exists; if nothing can
/// be resolved, the path is only made absolute.
pub fn resolved(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let in_folder = || -> Option<PathBuf> {
        let absolute = absolute();
        Some(fs::canonicalize(absolute.parent()?).ok()?.join(absolute.file_name()?))
    };
    fs::canonicalize(path).ok().or_else(in_folder).unwrap_or_else(absolute)
}

/// Returns whether two paths mean one file that exists.
pub fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let id = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    Ok(id(one)?.is_some_and(|one| id(other).is_ok_and(|other| other == Some(one))))
}

/// Returns whether there is no database at a path: no file, or one of 0 bytes that an application made and wrote
/// nothing to, with no `-wal` and no `-journal` that holds anything. "Not there" needs ENOENT; every other error is
/// one.
pub fn is_missing(path: &Path) -> io::Result<bool> {
    let length = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let beside = |ending: &str| {
        let mut sidecar = path.as_os_str().to_owned();
        sidecar.push(ending);
        length(Path::new(&sidecar))
    };
    match length(path)? {
        None => Ok(true),
        Some(0) => Ok(beside("-wal")?.unwrap_or(0) == 0 && beside("-journal")?.unwrap_or(0) == 0),
        Some(_) => Ok(false),
    }
}

/// Returns which file lies at a path: its inode and its time of birth, so that a file that was removed and made again is
/// another one. `None` if the file system gives no time of birth. Looks the path up, and opens nothing.
pub fn file_identity(path: &Path) -> io::Result<Option<FileIdentity>> {
    let found = fs::metadata(path)?;
    let born = found.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    Ok(born.filter(|born| !born.is_zero()).map(|born| FileIdentity(format!("{}-{}", found.ino(), born.as_nanos()))))
}
