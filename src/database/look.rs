//! Looks at a database without reading it: whether it changed since its last backup.
//!
//! Opens and closes the main file and the `-shm`, so it claims the database: no connection of this process to it may be
//! open, because `close()` would drop its locks. Each file is opened before it is asked for its times: a network file
//! system then asks its server.
//!
//! The files are not seen at one moment. Two looks that agree still show that nothing changed from the end of the first
//! to the beginning of the second, because that holds for each file.

use std::fs::File;
use std::io;
use std::path::Path;

use super::error::SourceError;
use super::files::source_file::Located;
use super::format::sqlite_header::{HEADER_BYTES, Header};
use super::format::wal::WAL_HEADER_BYTES;
use super::sidecars::{find_sidecar, is_no_file};
use super::snapshot::copy::Source;
use super::timeouts::Timeouts;
use crate::digest::Sha256;
use crate::look::{Look, Part, Sight, State};
use crate::platform::{
    FileStamp, PositionalIo as _, boot_id, file_clock, file_id, is_network_file_system, open_regular,
};
use crate::progress::Progress;

/// The size of the header of a `-shm`, of which it has two copies (sqlite.org/walformat.html, section 2.1).
const INDEX_BYTES: usize = 48;
/// The first bytes of a `-journal`: without its magic number it counts for nothing.
const JOURNAL_BYTES: usize = 28;

/// Looks at a database. Takes well under a millisecond, whatever its size; waits up to `timeouts.busy` for another
/// operation of this process that works on it. Fails if it cannot be backed up as it is: then nothing is known.
pub fn look(source: &Source, timeouts: &Timeouts, progress: &dyn Progress) -> Result<Look, SourceError> {
    let located = Located::find(&source.path, timeouts, progress)?;
    // Before anything is seen: a change at this very moment is newer than the look.
    let taken = file_clock();
    let failed = |cause| located.io("look at", cause);
    let (main, header) = seen(&located.open_file()?, HEADER_BYTES).map_err(failed)?;
    let beside = |ending, bytes| sidecar(&located.path, ending, bytes).map_err(failed);
    let wal = beside("-wal", WAL_HEADER_BYTES)?;
    let journal = beside("-journal", JOURNAL_BYTES)?;
    let index = beside("-shm", INDEX_BYTES)?;

    let is_wal = Header::of_page(&header).is_some_and(|header| header.is_wal());
    let folder = located.path.parent().unwrap_or(Path::new("/"));
    let sight = if journal.as_ref().is_some_and(|(_, start)| start.first().is_some_and(|first| *first != 0)) {
        Sight::Nothing
    } else if is_wal && is_current(index.as_ref(), wal.as_ref()) && !is_network_file_system(folder).unwrap_or(true) {
        Sight::Index
    } else {
        Sight::Times
    };
    let state = State {
        path: located.path.to_string_lossy().into_owned(),
        boot: boot_id(),
        sight,
        main,
        wal: wal.map(|(part, _)| of_wal(part, sight)),
        journal: journal.map(|(part, _)| part),
        // Its times say nothing: it is written through memory.
        index: index.map(|(part, bytes)| Sha256::of(&[format!("{:?}", part.id).as_bytes(), &bytes].concat())),
    };
    Ok(Look { taken, state })
}

/// Returns whether a `-shm` is the index of this `-wal`, so that the next commit shows in it: it is initialized, has
/// frames, and the salts of the `-wal`. One that a crash left may not be: the next connection writes another one.
fn is_current(index: Option<&(Part, Vec<u8>)>, wal: Option<&(Part, Vec<u8>)>) -> bool {
    let (Some((_, index)), Some((_, wal))) = (index, wal) else { return false };
    let is_complete = index.len() == INDEX_BYTES && wal.len() == WAL_HEADER_BYTES;
    // Byte 12 is isInit, 16 to 20 are mxFrame, 32 to 40 are aSalt.
    is_complete && index[12] == 1 && index[16..20] != [0; 4] && index[32..40] == wal[16..24]
}

/// Leaves out the times of a `-wal` that say nothing. As root, SQLite gives it to the owner of the database whenever it
/// opens it, our own connection too, which changes one of them.
fn of_wal(part: Part, sight: Sight) -> Part {
    match sight {
        // Its size would change.
        _ if part.bytes == 0 => Part { modified: 0, changed: 0, ..part },
        // A commit shows in the -shm.
        Sight::Index => Part { changed: part.modified, ..part },
        Sight::Times | Sight::Nothing => part,
    }
}

/// Looks at one sidecar; `None` if there is none.
fn sidecar(path: &Path, ending: &str, bytes: usize) -> io::Result<Option<(Part, Vec<u8>)>> {
    let Some(path) = find_sidecar(path, ending)? else { return Ok(None) };
    match open_regular(&path) {
        Ok(file) => seen(&file, bytes).map(Some),
        // The last connection removed it.
        Err(cause) if is_no_file(&cause) => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Returns what an open file shows, and its first bytes.
fn seen(file: &File, bytes: usize) -> io::Result<(Part, Vec<u8>)> {
    let found = file.metadata()?;
    let mut start = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match file.read_at(&mut start[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    start.truncate(filled);
    let stamp = FileStamp::of(&found);
    let nanoseconds = |time| i64::try_from(time).unwrap_or(i64::MAX);
    let part = Part {
        id: file_id(&found),
        bytes: stamp.bytes,
        modified: nanoseconds(stamp.modified),
        changed: nanoseconds(stamp.changed),
        header: Sha256::of(&start),
    };
    Ok((part, start))
}
