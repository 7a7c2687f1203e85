//! Gives a finished file its name without ever replacing another file.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;

/// How a file got an additional name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It now has both names.
    Linked,
    /// It has only the new name, because hard links are not available.
    Renamed,
}

/// Which method to try first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// A second name, so that the first one stays until the caller has synced the folder.
    Link,
    /// In one step, so that the file never has two names: SQLite warns about a database that has.
    Rename,
}

/// Gives a finished file a name on the same file system, never replacing a file. Syncs nothing.
///
/// If the file system supports neither hard links nor a rename without replacing (exFAT, some FUSE and network file
/// systems), the name is claimed first. Crash in between: the file has the old name, or both, or the new one; or the
/// new name belongs to an empty file.
pub fn publish_new(staged: &Path, path: &Path, first: First) -> io::Result<Published> {
    let link = || rustix::fs::linkat(CWD, staged, CWD, path, AtFlags::empty()).map(|()| Published::Linked);
    let rename =
        || rustix::fs::renameat_with(CWD, staged, CWD, path, RenameFlags::NOREPLACE).map(|()| Published::Renamed);
    let done = match first {
        First::Link => link().or_else(|error| if has_no_links(error) { rename() } else { Err(error) }),
        First::Rename => rename().or_else(|error| if has_no_flags(error) { link() } else { Err(error) }),
    };
    match done {
        Err(error) if has_no_links(error) || has_no_flags(error) => {
            claim_and_rename(staged, path).map(|()| Published::Renamed)
        }
        other => Ok(other?),
    }
}

/// Hard links are not supported (FAT, some FUSE and network file systems), or not permitted (protected_hardlinks).
fn has_no_links(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK | Errno::NOSYS | Errno::XDEV)
}

/// `renameat2` does not support the flags here.
fn has_no_flags(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// Claims a free name with an empty file and renames onto it.
///
/// Crash in between: an empty file has the name. It is neither an archive nor a database: `list` shows it as
/// unreadable, SQLite starts a new database in it, and `restore` replaces it.
fn claim_and_rename(staged: &Path, path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    fs::rename(staged, path).inspect_err(|_| {
        // The claim is ours and empty.
        let _ = fs::remove_file(path);
    })
}
