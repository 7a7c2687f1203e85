//! Gives a finished file its name without ever replacing another file.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;

/// How a file got a further name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It has both names now.
    Linked,
    /// It has only the new one: there are no hard links here.
    Renamed,
}

/// Which way is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// A second name, so that the first one stays until the caller has synced the folder.
    Link,
    /// In one step, so that the file never has two names: SQLite warns of a database that has.
    Rename,
}

/// Gives a finished file a name on the same file system, never replacing a file. Syncs nothing.
///
/// Where the file system has neither hard links nor a rename that replaces nothing (exFAT, some FUSE and network file
/// systems), the name is claimed first. Crash in between: the file has the old name, or both, or the new one; or an
/// empty file has the new one.
pub fn publish_new(staged: &Path, path: &Path, first: First) -> io::Result<Published> {
    let link = || rustix::fs::linkat(CWD, staged, CWD, path, AtFlags::empty()).map(|()| Published::Linked);
    let rename = || rustix::fs::renameat_with(CWD, staged, CWD, path, RenameFlags::NOREPLACE).map(|()| Published::Renamed);
    let done = match first {
        First::Link => link().or_else(|error| if has_no_links(error) { rename() } else { Err(error) }),
        First::Rename => rename().or_else(|error| if has_no_flags(error) { link() } else { Err(error) }),
    };
    match done {
        Err(error) if has_no_links(error) || has_no_flags(error) => claim_and_rename(staged, path).map(|()| Published::Renamed),
        other => Ok(other?),
    }
}

/// No hard links here (FAT, some FUSE and network file systems), or not for us (protected_hardlinks).
fn has_no_links(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK | Errno::NOSYS | Errno::XDEV)
}

/// No flags of `renameat2` here.
fn has_no_flags(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// Takes a free name with an empty file and renames onto it.
///
/// Crash in between: an empty file has the name. It is no archive, and no database: `list` shows it as one that cannot
/// be read, SQLite starts a new database in it, and `restore` replaces it.
fn claim_and_rename(staged: &Path, path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    fs::rename(staged, path).inspect_err(|_| {
        // The claim is ours and empty.
        let _ = fs::remove_file(path);
    })
}
