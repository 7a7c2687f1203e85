//! What processes have open.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};

/// What the kernel writes behind the name of a file that has none any more.
const DELETED: &[u8] = b" (deleted)";

/// Returns the descriptors of a process that lead to deleted files, with the names that those had. A file whose name ends in
/// " (deleted)" looks the same. One call for each descriptor: some processes have tens of thousands.
pub fn deleted_files(pid: u32) -> io::Result<Vec<(u32, PathBuf)>> {
    let folder = openat(CWD, format!("/proc/{pid}/fd"), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut found = Vec::new();
    let mut buffer = Vec::with_capacity(256);
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let Some(descriptor) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        buffer.clear();
        // One that was closed meanwhile is none.
        let Ok(target) = readlinkat(&folder, entry.file_name(), buffer) else {
            buffer = Vec::with_capacity(256);
            continue;
        };
        buffer = target.into_bytes();
        if let Some(name) = buffer.strip_suffix(DELETED) {
            found.push((descriptor, OsString::from_vec(name.to_vec()).into()));
        }
    }
    Ok(found)
}
