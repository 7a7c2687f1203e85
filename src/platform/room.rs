//! How much room there is.

use std::io;
use std::path::Path;

/// Returns how many bytes this user may still write on the file system of a folder.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let room = rustix::fs::statvfs(folder)?;
    Ok(room.f_bavail * room.f_frsize)
}
