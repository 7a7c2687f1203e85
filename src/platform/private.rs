//! Files and folders that only their owner may read, and names that survive a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Creates a folder (0700). Fails if the name is taken.
///
/// Crash in between: an empty folder, whose mode may lack bits that the umask removed.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    // The umask can only have removed bits that the owner needs.
    fs::set_permissions(path, Permissions::from_mode(0o700)).inspect_err(|_| {
        // Created by us a moment ago, and empty.
        let _ = fs::remove_dir(path);
    })
}

/// Creates a folder (0700) if it is missing; returns whether it was. Fails if something else has its name, including a
/// symbolic link.
pub fn create_private_folder(path: &Path) -> io::Result<bool> {
    match make_private_folder(path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(path)? {
            found if found.is_dir() => Ok(false),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        },
        Err(cause) => Err(cause),
    }
}

/// Creates a folder and its missing parents (0700).
pub fn create_private_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a file (0600) for reading and writing. Fails if the path exists, even as a symbolic link.
pub fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Creates a file (0600) for reading and writing, or truncates an existing one, which is a leftover of an interrupted
/// run.
pub fn private_file_anew(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Opens a lock file, and creates it (0600) if it is missing. A symbolic link is refused.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

/// Creates a file that others may read (0644), for writing. Fails if the path exists.
pub fn public_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
}

/// Writes a new file (0600) and syncs it. Fails if the path exists.
pub fn write_synced(path: &Path, source: &mut dyn Read) -> io::Result<()> {
    let mut file = private_file(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    io::copy(source, &mut file)?;
    file.flush()?;
    file.sync_all()
}

/// Syncs a folder, so that names created or removed in it survive a power cut.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns the folder of a path; `.` for a bare file name, whose parent is the empty path.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}
