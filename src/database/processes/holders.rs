//! Finds the processes that have a database open.
//!
//! An idle connection to a rollback-mode database holds no lock at all and shows only in the open files of its process.
//! Locks reveal processes whose open files we may not see.

use std::fs;
use std::io;
use std::path::Path;

use crate::database::sidecars::{SIDECARS, existing};
use crate::names::printable;
use crate::platform::{
    file_id, has_open, is_no_process, other_processes, process_name, record_locks, sees_all_processes,
};

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
    let file = file_id(&fs::metadata(path).ok()?);
    let held = record_locks()
        .unwrap_or_default()
        .into_iter()
        .find(|lock| lock.file == file && lock.is_exclusive && (lock.first..=lock.last).contains(&SHARED_FIRST));
    held.map(|lock| lock.pid).filter(|pid| *pid != std::process::id()).map(Holder::of)
}

/// Finds the other processes that have a database or one of its sidecars open. Opens none of these files.
pub fn holders(path: &Path) -> io::Result<Holders> {
    let mut files = Vec::new();
    for file in [path.to_owned()].into_iter().chain(existing(path, &SIDECARS)?) {
        match fs::metadata(&file) {
            Ok(found) => files.push(file_id(&found)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(holders_of(&files))
}

/// Finds the processes that have one of these files open.
pub(in crate::database) fn holders_of(files: &[(u64, u64)]) -> Holders {
    let mut pids = Vec::new();
    let mut complete = sees_all_processes();
    for pid in other_processes() {
        match has_open(pid, files) {
            Ok(true) => pids.push(pid),
            Ok(false) => {}
            // A process that has ended holds nothing.
            Err(cause) if is_no_process(&cause) => {}
            Err(_) => complete = false,
        }
    }
    pids.extend(lockers(files).into_iter().filter(|pid| *pid != std::process::id()));
    pids.sort_unstable();
    pids.dedup();
    let processes = pids.into_iter().map(Holder::of).collect();
    Holders { processes, complete }
}

fn lockers(files: &[(u64, u64)]) -> Vec<u32> {
    let locks = record_locks().unwrap_or_default().into_iter();
    locks.filter(|lock| files.contains(&lock.file)).map(|lock| lock.pid).collect()
}

/// Returns the name of a process, safe for a terminal; empty if it cannot be read.
pub(super) fn name(pid: u32) -> String {
    printable(&String::from_utf8_lossy(&process_name(pid))).into_owned()
}
