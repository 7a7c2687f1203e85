//! Free space.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The space on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How many bytes this user may still write.
    pub free: u64,
    /// The total size in bytes.
    pub total: u64,
}

/// Returns the space on the file system of a folder.
pub fn room(folder: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(Room {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

/// Returns how many bytes this user may still write on the file system of a folder.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    room(folder).map(|room| room.free)
}

/// Returns a number that is equal for two paths on the same file system.
pub fn device(path: &Path) -> io::Result<u64> {
    fs::metadata(path).map(|found| found.dev())
}
