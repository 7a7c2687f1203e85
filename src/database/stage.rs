//! Copies a database that cannot be read in place, with its sidecars, to where it can.
//!
//! The copy counts only if inode, size, modification and change time of every file were the same before and after: that
//! is what SQLite's own recovery needs, files that belong together. `immutable=1` on the source itself is never right:
//! it silently leaves out what is in the `-wal`.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use super::SourceError;
use super::capture::Limits;
use super::open::{Located, open_regular, sidecar};
use super::pin::pause;
use crate::progress::Progress;

/// What belongs to a database. The `-shm` is only an index, and SQLite makes it again.
const PARTS: [&str; 3] = ["", "-wal", "-journal"];
/// What SQLite may leave beside a private copy.
const LEFT_BESIDE: [&str; 4] = ["", "-wal", "-journal", "-shm"];
/// Time stamps of files move in ticks; a file that changed this recently could change again without a trace.
const TICK: Duration = Duration::from_millis(50);
/// The fewest copies that are tried while the files keep changing.
const FEWEST_TRIES: u32 = 3;

/// A private copy of a database and its sidecars; removed when dropped.
#[derive(Debug)]
pub(super) struct Staged(PathBuf);

impl Staged {
    /// Returns the path of the copied database.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for ending in LEFT_BESIDE {
            // The scratch folder is removed as a whole later, so that a failure here costs nothing but room.
            let _ = fs::remove_file(sidecar(&self.0, ending));
        }
    }
}

/// Copies a source to `target` in a private folder; no connection to the source may be open in this process.
pub(super) fn stage(located: &Located, target: &Path, limits: &Limits, progress: &dyn Progress) -> Result<Staged, SourceError> {
    let started = Instant::now();
    let staged = Staged(target.to_owned());
    for tries in 1.. {
        let why = match copy(located, target, progress)? {
            Attempt::Whole => return Ok(staged),
            Attempt::Locked => format!("another process has held a lock on it for {:?}", limits.busy),
            Attempt::Moved => format!(
                "it cannot be read in place, and it changed during each of {tries} copies; the owner of the file can back it up in place"
            ),
        };
        if tries >= FEWEST_TRIES && started.elapsed() > limits.busy {
            return Err(SourceError::Busy { path: located.given.clone(), why });
        }
        pause(Duration::from_millis(u64::from(tries.min(10)) * 20), progress)?;
    }
    unreachable!("the loop ends by returning")
}

/// How one attempt to copy ended.
enum Attempt {
    /// Every file is as it was before.
    Whole,
    /// A file changed meanwhile.
    Moved,
    /// Another process writes, or keeps all others out.
    Locked,
}

/// What tells that a file changed.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn copy(located: &Located, target: &Path, progress: &dyn Progress) -> Result<Attempt, SourceError> {
    let failed = |action| move |cause| located.io(action, cause);
    if stamps(&located.path, true).map_err(failed("read"))?.iter().flatten().next().is_none() {
        return Err(SourceError::Missing(located.given.clone()));
    }
    // The lock goes with this descriptor, and with every other on the file in this process: hence the claim.
    let main = located.open_file()?;
    match fcntl_lock(&main, FlockOperation::NonBlockingLockShared) {
        // A file system without locks: the comparison alone decides.
        Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => return Ok(Attempt::Locked),
        Err(cause) => return Err(located.io("lock", cause.into())),
    }
    let before = stamps(&located.path, false).map_err(failed("read"))?;
    let opened = Stamp::of(&main.metadata().map_err(failed("read"))?);
    if before[0].as_ref() != Some(&opened) {
        return Ok(Attempt::Moved);
    }
    for (ending, stamp) in PARTS.iter().zip(&before) {
        let target = sidecar(target, ending);
        match stamp {
            Some(_) if ending.is_empty() => copy_bytes(located, &main, &target, progress)?,
            Some(_) => match open_regular(&sidecar(&located.path, ending)) {
                Ok(file) => copy_bytes(located, &file, &target, progress)?,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Attempt::Moved),
                Err(cause) => return Err(located.io("read the sidecars of", cause)),
            },
            None => remove(&target).map_err(|cause| SourceError::Io { path: target, action: "remove", cause })?,
        }
    }
    let after = stamps(&located.path, false).map_err(failed("read"))?;
    Ok(if before == after { Attempt::Whole } else { Attempt::Moved })
}

/// Takes the stamps of all parts; where `settled` is asked for, waits until a change right now would show in them.
fn stamps(path: &Path, settled: bool) -> io::Result<[Option<Stamp>; 3]> {
    let mut stamps = [None, None, None];
    for (stamp, ending) in stamps.iter_mut().zip(PARTS) {
        match fs::symlink_metadata(sidecar(path, ending)) {
            Ok(metadata) => {
                let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
                if settled && age.is_none_or(|age| age < TICK) {
                    thread::sleep(TICK);
                }
                *stamp = Some(Stamp::of(&metadata));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(stamps)
}

fn copy_bytes(located: &Located, mut source: &File, target: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
    let to_target = |cause| SourceError::Io { path: target.to_owned(), action: "write", cause };
    remove(target).map_err(to_target)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(to_target)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        progress.checkpoint()?;
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => file.write_all(&buffer[..bytes]).map_err(to_target)?,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(located.io("read", cause)),
        }
    }
}

/// Removes a file of an attempt before.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
