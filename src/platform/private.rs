//! Files and folders that nobody else may read, and names that survive a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Creates a folder (0700) if it is missing; returns whether it was. Fails if something else has its name, a symbolic link too.
///
/// Dies in between: an empty folder, whose mode may lack bits that the umask took away.
pub fn create_private_folder(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        // The umask can only have taken bits away that we need ourselves.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o700)).map(|()| true),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(path)? {
            found if found.is_dir() => Ok(false),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        },
        Err(cause) => Err(cause),
    }
}

/// Writes a new file (0600) and syncs it. Fails if the path exists.
pub fn write_synced(path: &Path, source: &mut dyn Read) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    io::copy(source, &mut file)?;
    file.flush()?;
    file.sync_all()
}

/// Syncs a folder, so that names made or removed in it survive a power cut.
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
