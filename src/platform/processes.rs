//! The open files of processes, and what this process inherited.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::umask;

use super::files::file_id;

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
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Waits until an input is readable or at its end. Returns false as soon as `stop` is true: a read would continue after
/// a signal.
pub fn wait_for_input(input: impl AsFd, stop: impl Fn() -> bool) -> bool {
    // A signal between the check and the wait is noticed after this time.
    let moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while !stop() {
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&moment)) {
            Ok(0) | Err(Errno::INTR) => {}
            // The read reports the error.
            Ok(_) | Err(_) => return true,
        }
    }
    false
}

/// The inode of the initial PID namespace: any other namespace hides processes.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Returns whether all processes of the machine are visible, as they are not inside a container.
pub fn sees_all_processes() -> bool {
    fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == FIRST_PID_NAMESPACE)
}

/// Returns the PIDs of all visible processes except this one.
pub fn other_processes() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid| *pid != own)
}

/// Returns the kernel's name of a process; empty if it cannot be read. It may contain any bytes.
pub fn process_name(pid: u32) -> Vec<u8> {
    let mut name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.truncate(name.trim_ascii_end().len());
    name
}

/// Returns whether inspecting a process failed because it ended.
pub fn is_no_process(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::NotFound || cause.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Returns whether a process has one of these files open. Opens none of them.
pub fn has_open(pid: u32, files: &[(u64, u64)]) -> io::Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // `stat` through the link opens nothing. A descriptor that was closed in the meantime is skipped.
        match fs::metadata(entry?.path()) {
            Ok(open) if files.contains(&file_id(&open)) => return Ok(true),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(false)
}

/// Returns the names under which a process has a file open: another one than ours in a container. Opens nothing.
pub fn names_open(pid: u32, file: (u64, u64)) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let link = entry?.path();
        if fs::metadata(&link).is_ok_and(|open| file_id(&open) == file) {
            names.extend(fs::read_link(&link));
        }
    }
    Ok(names)
}

/// Returns a path for reading the open file of a descriptor, even if the file was deleted.
pub fn descriptor_path(pid: u32, descriptor: u32) -> String {
    format!("/proc/{pid}/fd/{descriptor}")
}

/// Returns the deleted file of a descriptor that a process may write to.
pub fn deleted_file_written(pid: u32, descriptor: u32) -> Option<(u64, u64)> {
    /// The permission bit of the link that means open for writing.
    const OPEN_FOR_WRITING: u32 = 0o200;
    let link = descriptor_path(pid, descriptor);
    let is_written = fs::symlink_metadata(&link).is_ok_and(|link| link.permissions().mode() & OPEN_FOR_WRITING != 0);
    let open = fs::metadata(&link).ok()?;
    // A file that is only named "… (deleted)" still has a link.
    (is_written && open.nlink() == 0).then(|| file_id(&open))
}

/// The kernel's suffix to the name of a deleted file.
const DELETED: &[u8] = b" (deleted)";

/// Returns the descriptors of a process that refer to deleted files, with their former names. A file whose name ends in
/// " (deleted)" looks the same. One system call per descriptor: some processes have tens of thousands.
pub fn deleted_files(pid: u32) -> io::Result<Vec<(u32, PathBuf)>> {
    let folder =
        openat(CWD, format!("/proc/{pid}/fd"), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
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
