//! Says which processes have a database open.
//!
//! An idle connection to a rollback-mode database holds no lock at all; only the open files of every process tell. Locks
//! name processes whose files we may not look at.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::target::{SIDECARS, existing};
use crate::names::printable;

/// The inode of the first process namespace of a machine: in any other, there are processes that cannot be seen.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Who has a database open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// The processes, by their numbers.
    pub processes: Vec<Holder>,
    /// Whether every process could be seen: not as an ordinary user, and not inside a container.
    pub complete: bool,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name, safe for a terminal; empty where it cannot be read.
    pub name: String,
}

/// Finds the processes, other than this one, that have a database or one of its sidecars open. Opens none of these files.
pub fn holders(path: &Path) -> io::Result<Holders> {
    let mut files = Vec::new();
    for file in [path.to_owned()].into_iter().chain(existing(path, &SIDECARS)?) {
        match fs::metadata(&file) {
            Ok(metadata) => files.push((metadata.dev(), metadata.ino())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(holders_of(&files))
}

/// Finds the processes that have one of these files (device, inode) open.
pub(super) fn holders_of(files: &[(u64, u64)]) -> Holders {
    let mut pids = Vec::new();
    let mut complete = fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == FIRST_PID_NAMESPACE);
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own) {
        match has_open(pid, files) {
            Ok(true) => pids.push(pid),
            Ok(false) => {}
            // A process that ended meanwhile holds nothing.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound || cause.raw_os_error() == Some(3) => {}
            Err(_) => complete = false,
        }
    }
    pids.extend(lockers(files).into_iter().filter(|pid| *pid != own));
    pids.sort_unstable();
    pids.dedup();
    let processes = pids.into_iter().map(|pid| Holder { pid, name: name(pid) }).collect();
    Holders { processes, complete }
}

fn has_open(pid: u32, files: &[(u64, u64)]) -> io::Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // `stat` through the link opens nothing. A descriptor that was closed meanwhile is none.
        match fs::metadata(entry?.path()) {
            Ok(open) if files.contains(&(open.dev(), open.ino())) => return Ok(true),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(false)
}

/// Reads who holds POSIX locks on one of these files: every user may see that.
fn lockers(files: &[(u64, u64)]) -> Vec<u32> {
    let locks = locks().unwrap_or_default().into_iter();
    locks.filter(|(_, device, inode)| files.contains(&(*device, *inode))).map(|(pid, ..)| pid).collect()
}

/// Reads all locks: process, device, inode. On some file systems the device is not the one that `stat` gives.
pub(super) fn locks() -> io::Result<Vec<(u32, u64, u64)>> {
    let text = fs::read_to_string("/proc/locks")?;
    let locks = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "READ" && *word != "WRITE").skip(1);
        let (pid, file) = (words.next()?.parse().ok()?, words.next()?);
        let mut parts = file.split(':');
        let major = u32::from_str_radix(parts.next()?, 16).ok()?;
        let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
        let inode: u64 = parts.next()?.parse().ok()?;
        Some((pid, rustix::fs::makedev(major, minor), inode))
    });
    Ok(locks.collect())
}

/// Returns the name of a process, safe for a terminal; empty if it cannot be read.
pub(super) fn name(pid: u32) -> String {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    printable(String::from_utf8_lossy(&comm).trim_end()).into_owned()
}
