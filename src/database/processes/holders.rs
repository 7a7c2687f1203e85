//! Finds the processes that have a database open.
//!
//! An idle connection to a rollback-mode database holds no lock at all and shows only in the open files of its process.
//! Locks reveal processes whose open files we may not see.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::database::sidecars::{SIDECARS, existing};
use crate::names::printable;

/// The inode of the initial PID namespace: any other namespace hides processes.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The first byte of the range that every reader of a database locks.
const SHARED_FIRST: u64 = (1 << 30) + 2;

/// The processes that have a database open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// The processes.
    pub processes: Vec<Holder>,
    /// Whether every process could be inspected: not as an ordinary user, and not inside a container.
    pub complete: bool,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its PID.
    pub pid: u32,
    /// Its name, safe for a terminal; empty if it cannot be read.
    pub name: String,
}

impl Holder {
    fn of(pid: u32) -> Self {
        Self { pid, name: name(pid) }
    }

    /// Returns PID and name: `1234 (app)`.
    pub fn shown(&self) -> String {
        if self.name.is_empty() { self.pid.to_string() } else { format!("{} ({})", self.pid, self.name) }
    }
}

/// Finds the single other process that keeps all others out of a database: it holds a write lock on the bytes that
/// every reader locks (sqlite.org/lockingv3.html). A commit does so for a moment, `locking_mode=EXCLUSIVE` until the
/// connection is closed.
pub(in crate::database) fn exclusive_holder(path: &Path) -> Option<Holder> {
    let metadata = fs::metadata(path).ok()?;
    let file = (metadata.dev(), metadata.ino());
    let held = locks()
        .unwrap_or_default()
        .into_iter()
        .find(|lock| lock.file == file && lock.writes && (lock.first..=lock.last).contains(&SHARED_FIRST));
    held.map(|lock| lock.pid).filter(|pid| *pid != std::process::id()).map(Holder::of)
}

/// Finds the other processes that have a database or one of its sidecars open. Opens none of these files.
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
pub(in crate::database) fn holders_of(files: &[(u64, u64)]) -> Holders {
    let mut pids = Vec::new();
    let mut complete = fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == FIRST_PID_NAMESPACE);
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own) {
        match has_open(pid, files) {
            Ok(true) => pids.push(pid),
            Ok(false) => {}
            // A process that has ended holds nothing.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound || cause.raw_os_error() == Some(3) => {}
            Err(_) => complete = false,
        }
    }
    pids.extend(lockers(files).into_iter().filter(|pid| *pid != own));
    pids.sort_unstable();
    pids.dedup();
    let processes = pids.into_iter().map(Holder::of).collect();
    Holders { processes, complete }
}

fn has_open(pid: u32, files: &[(u64, u64)]) -> io::Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // `stat` through the link opens nothing. A descriptor that was closed in the meantime is skipped.
        match fs::metadata(entry?.path()) {
            Ok(open) if files.contains(&(open.dev(), open.ino())) => return Ok(true),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(false)
}

/// A POSIX lock.
pub(super) struct Lock {
    pub(super) pid: u32,
    /// Device and inode. On some file systems the device differs from that of `stat`.
    pub(super) file: (u64, u64),
    /// Whether it is exclusive.
    pub(super) writes: bool,
    /// The first and the last locked byte.
    first: u64,
    last: u64,
}

/// Lists the holders of POSIX locks, which every user may see.
pub(super) fn locks() -> io::Result<Vec<Lock>> {
    let text = fs::read_to_string("/proc/locks")?;
    let locks = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "READ" && *word != "WRITE");
        let writes = words.next()? == "WRITE";
        let (pid, file) = (words.next()?.parse().ok()?, words.next()?);
        let mut parts = file.split(':');
        let major = u32::from_str_radix(parts.next()?, 16).ok()?;
        let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
        let inode: u64 = parts.next()?.parse().ok()?;
        let (first, last) = (words.next()?.parse().ok()?, words.next()?);
        // `EOF` means the largest possible offset.
        Some(Lock { pid, file: (rustix::fs::makedev(major, minor), inode), writes, first, last: last.parse().unwrap_or(u64::MAX) })
    });
    Ok(locks.collect())
}

fn lockers(files: &[(u64, u64)]) -> Vec<u32> {
    let locks = locks().unwrap_or_default().into_iter();
    locks.filter(|lock| files.contains(&lock.file)).map(|lock| lock.pid).collect()
}

/// Returns the name of a process, safe for a terminal; empty if it cannot be read.
pub(super) fn name(pid: u32) -> String {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    printable(String::from_utf8_lossy(&comm).trim_end()).into_owned()
}
