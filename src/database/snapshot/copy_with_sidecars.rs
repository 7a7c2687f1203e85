//! Copies a database that cannot be read in place, with its sidecars, to a private folder.
//!
//! The copy counts only if inode, size, modification and change time of every file were the same before and after:
//! SQLite's own recovery needs files that belong together. One change is harmless: a `-wal` that only grew while the
//! main file was unchanged, so that no checkpoint ran. It is copied last, its copy ends somewhere after the last commit
//! at the start of the copy, and recovery stops at the last complete commit (sqlite.org/fileformat2.html, section 4).
//! `immutable=1` on the source itself is never right: it silently ignores the `-wal`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::kept_out::KeptOut;
use crate::database::error::SourceError;
use crate::database::files::source_file::Located;
use crate::database::seen_twice::{FILES, read_through};
use crate::database::sidecars::{is_no_file, sidecar};
use crate::database::timeouts::{Timeouts, pause};
use crate::platform::{FileStamp, LockKind, Locking, PositionalIo as _, open_regular, private_file, try_lock_records};
use crate::progress::Progress;

/// The main file before the `-wal`: pages that a checkpoint moves from one to the other must not be missed.
const COPYING_ORDER: [usize; 3] = [2, 0, 1];
/// The size of the header of a `-wal`.
const WAL_HEADER_BYTES: usize = 32;
/// The files that SQLite may leave beside a private copy.
const LEFT_BESIDE: [&str; 4] = ["", "-wal", "-journal", "-shm"];
/// File timestamps have a granularity; a file that changed this recently could change again with the same timestamp.
const TICK: Duration = Duration::from_millis(50);
/// The minimum number of attempts while the files keep changing.
const FEWEST_TRIES: u32 = 3;

/// A private copy of a database and its sidecars; removed when dropped.
#[derive(Debug)]
pub(in crate::database) struct PrivateCopy(PathBuf);

impl PrivateCopy {
    /// Returns the path of the copied database.
    pub(in crate::database) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads every byte of the copy; fails if the disk does not return them. No connection to it may be open.
    pub(in crate::database) fn read_through(&self, progress: &dyn Progress) -> Result<(), SourceError> {
        read_through(&self.0, &self.0, progress)
    }
}

impl PrivateCopy {
    /// Keeps the copy permanently.
    pub(in crate::database) fn keep(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        for ending in LEFT_BESIDE {
            // The scratch folder is removed as a whole later, so a failure here only costs space.
            let _ = fs::remove_file(sidecar(&self.0, ending));
        }
    }
}

/// Copies a source to `target` in a private folder; no connection to the source may be open in this process.
pub(in crate::database) fn private_copy(
    located: &Located,
    target: &Path,
    timeouts: &Timeouts,
    progress: &dyn Progress,
) -> Result<PrivateCopy, SourceError> {
    let started = Instant::now();
    let staged = PrivateCopy(target.to_owned());
    let mut kept_out = None;
    for tries in 1.. {
        let attempt = copy(located, target, progress)?;
        if matches!(attempt, Attempt::Locked) {
            kept_out.get_or_insert_with(|| KeptOut::new(located));
        }
        let why = match attempt {
            Attempt::Whole => return Ok(staged),
            Attempt::Locked => format!("another process has held a lock on it for {:?}", timeouts.busy),
            Attempt::Moved => format!(
                "it cannot be read in place, and it changed during each of {tries} copies; run the backup as the owner \
                 of the file, who can read it in place"
            ),
        };
        if tries >= FEWEST_TRIES && started.elapsed() > timeouts.busy {
            return Err(match kept_out {
                Some(kept_out) => kept_out.give_up(located, timeouts, why),
                None => SourceError::Busy { path: located.given.clone(), why },
            });
        }
        pause(Duration::from_millis(u64::from(tries.min(10)) * 20), progress)?;
    }
    unreachable!("the loop ends by returning")
}

/// The result of one attempt to copy.
enum Attempt {
    /// No file changed.
    Whole,
    /// A file changed during the copy.
    Moved,
    /// Another process is writing, or holds an exclusive lock.
    Locked,
}

/// Returns whether the file changed so recently that another change might not change its timestamp.
fn is_fresh(stamp: &FileStamp) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos().cast_signed());
    (now - stamp.modified).unsigned_abs() < TICK.as_nanos()
}

fn copy(located: &Located, target: &Path, progress: &dyn Progress) -> Result<Attempt, SourceError> {
    let failed = |action| move |cause| located.io(action, cause);
    // Closing this descriptor drops the lock, and all other locks of this process on the file: hence the claim.
    let main = located.open_file()?;
    match try_lock_records(&main, LockKind::Shared).map_err(failed("lock"))? {
        // A file system without locks: only the comparison decides.
        Locking::Held | Locking::Unsupported => {}
        Locking::Denied => return Ok(Attempt::Locked),
    }
    let before = stamps(&located.path).map_err(failed("read"))?;
    let opened = FileStamp::of(&main.metadata().map_err(failed("read"))?);
    // Changes to the -wal within one tick do not matter, see below.
    let unsettled = [&before[0], &before[2]].into_iter().flatten().any(is_fresh);
    if before[0].as_ref() != Some(&opened) || unsettled {
        return Ok(Attempt::Moved);
    }
    let mut restarted = false;
    for (ending, stamp) in COPYING_ORDER.into_iter().map(|part| (FILES[part], &before[part])) {
        let target = sidecar(target, ending);
        match stamp {
            Some(_) if ending.is_empty() => copy_bytes(located, &main, &target, progress)?,
            Some(_) => match open_regular(&sidecar(&located.path, ending)) {
                Ok(file) => {
                    let begun = wal_header(&file).map_err(failed("read the sidecars of"))?;
                    copy_bytes(located, &file, &target, progress)?;
                    restarted |= begun != wal_header(&file).map_err(failed("read the sidecars of"))?;
                }
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Attempt::Moved),
                Err(cause) => return Err(located.io("read the sidecars of", cause)),
            },
            None => remove(&target).map_err(|cause| SourceError::Io { path: target, action: "remove", cause })?,
        }
    }
    let after = stamps(&located.path).map_err(failed("read"))?;
    let [main, wal, journal] = [0, 1, 2].map(|part| (&before[part], &after[part]));
    let grew = |(before, after): (&Option<FileStamp>, &Option<FileStamp>)| match (before, after) {
        (Some(before), Some(after)) => before.id == after.id && before.bytes <= after.bytes && !restarted,
        _ => false,
    };
    let whole = main.0 == main.1 && journal.0 == journal.1 && (wal.0 == wal.1 || grew(wal));
    Ok(if whole { Attempt::Whole } else { Attempt::Moved })
}

/// Reads the header of a `-wal`: its salts change whenever it restarts from the beginning.
fn wal_header(file: &File) -> io::Result<Vec<u8>> {
    let mut header = vec![0; WAL_HEADER_BYTES];
    let bytes = file.read_at(&mut header, 0)?;
    header.truncate(bytes);
    Ok(header)
}

/// Returns the stamps of all parts.
fn stamps(path: &Path) -> io::Result<[Option<FileStamp>; 3]> {
    let mut stamps = [None, None, None];
    for (stamp, ending) in stamps.iter_mut().zip(FILES) {
        match fs::symlink_metadata(sidecar(path, ending)) {
            Ok(metadata) => *stamp = Some(FileStamp::of(&metadata)),
            Err(error) if is_no_file(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(stamps)
}

fn copy_bytes(located: &Located, mut source: &File, target: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
    let to_target = |cause| SourceError::Io { path: target.to_owned(), action: "write", cause };
    remove(target).map_err(to_target)?;
    let mut file = private_file(target).map_err(to_target)?;
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

/// Removes a file of an earlier attempt.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
