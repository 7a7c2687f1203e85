//! What processes have open, and what this one inherited.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::process::umask;

/// Returns the name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Takes the owner's bits out of the umask: with 0777 a file that we make could not be opened a second time.
///
/// The bits of the others stay as they are, for whatever this process starts.
pub fn keep_own_rights() {
    let inherited = umask(Mode::RWXG | Mode::RWXO);
    umask(inherited & (Mode::RWXG | Mode::RWXO));
}

/// Returns whether whoever started this process wants a signal to be ignored: `nohup`, or a shell that runs it in the
/// background. False if the system does not tell.
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// What the kernel writes behind the name of a file that has none any more.
const DELETED: &[u8] = b" (deleted)";

/// Returns the descriptors of a process that lead to deleted files, with the names that those had. A file whose name
/// ends in " (deleted)" looks the same. One call for each descriptor: some processes have tens of thousands.
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
