//! The open files of processes, and what this process inherited.

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

/// Removes the owner's bits from the umask: with 0777, a file that we create could not be opened again.
///
/// The bits of the others stay unchanged, for the processes that this one starts.
pub fn keep_own_rights() {
    let inherited = umask(Mode::RWXG | Mode::RWXO);
    umask(inherited & (Mode::RWXG | Mode::RWXO));
}

/// Returns whether this process was started with a signal ignored: by `nohup`, or by a shell in the background. False
/// if the system does not report it.
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The kernel's suffix to the name of a deleted file.
const DELETED: &[u8] = b" (deleted)";

/// Returns the descriptors of a process that refer to deleted files, with their former names. A file whose name ends in
/// " (deleted)" looks the same. One system call per descriptor: some processes have tens of thousands.
pub fn deleted_files(pid: u32) -> io::Result<Vec<(u32, PathBuf)>> {
    let folder = openat(CWD, format!("/proc/{pid}/fd"), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut found = Vec::new();
    let mut buffer = Vec::with_capacity(256);
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let Some(descriptor) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        buffer.clear();
        // A descriptor that was closed in the meantime is skipped.
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
