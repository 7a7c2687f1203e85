//! POSIX record locks on a whole file, as SQLite uses them, and the processes that hold them.

use std::fs::{self, File};
use std::io;

use rustix::fs::{FlockOperation, fcntl_lock, makedev};
use rustix::io::Errno;

/// What a record lock prevents others from doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Writing.
    Shared,
    /// Reading and writing.
    Exclusive,
}

/// The result of trying to lock a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// It is locked until this process closes any descriptor of the file.
    Held,
    /// The file system has no locks.
    Unsupported,
    /// Another process holds a conflicting lock.
    Denied,
}

/// Locks a whole file without waiting. The lock belongs to the process: closing any descriptor of the file drops it.
pub fn try_lock_records(file: &File, kind: LockKind) -> io::Result<Locking> {
    let operation = match kind {
        LockKind::Shared => FlockOperation::NonBlockingLockShared,
        LockKind::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match fcntl_lock(file, operation) {
        Ok(()) => Ok(Locking::Held),
        Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => Ok(Locking::Unsupported),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(Locking::Denied),
        Err(cause) => Err(cause.into()),
    }
}

/// A record lock of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLock {
    /// The process that holds it.
    pub pid: u32,
    /// The file, as in [`file_id`](super::file_id); on some file systems the kernel reports another device here.
    pub file: (u64, u64),
    /// Whether it also prevents others from reading.
    pub is_exclusive: bool,
    /// The first locked byte.
    pub first: u64,
    /// The last locked byte.
    pub last: u64,
}

/// Returns the record locks of all processes. Every user may read them.
pub fn record_locks() -> io::Result<Vec<RecordLock>> {
    let text = fs::read_to_string("/proc/locks")?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<RecordLock> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "READ" && *word != "WRITE");
    let is_exclusive = words.next()? == "WRITE";
    let (pid, file) = (words.next()?.parse().ok()?, words.next()?);
    let mut parts = file.split(':');
    let major = u32::from_str_radix(parts.next()?, 16).ok()?;
    let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
    let inode: u64 = parts.next()?.parse().ok()?;
    let (first, last) = (words.next()?.parse().ok()?, words.next()?);
    // `EOF` means the largest possible offset.
    Some(RecordLock {
        pid,
        file: (makedev(major, minor), inode),
        is_exclusive,
        first,
        last: last.parse().unwrap_or(u64::MAX),
    })
}
