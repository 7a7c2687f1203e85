//! Finds a source and opens it without changing anything.
//!
//! Nothing is opened before `stat` confirmed that it is a regular file: a pipe would block, a device is endless. SQLite
//! gets no file before its header was checked: it takes an empty file for a healthy database and deletes the `-wal`
//! beside it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::claim::{Claim, FileId};
use crate::database::error::SourceError;
use crate::database::format::sqlite_header::{HEADER_BYTES, Header};
use crate::database::processes::unlinked::DeletedFiles;
use crate::database::sidecars::{is_no_file, sidecar};
use crate::database::timeouts::Timeouts;
use crate::platform::{file_id, open_regular, special_file};
use crate::progress::{Progress, Silent};

/// Checks that a path is a file that looks like a database, without opening it as one. Fails as backing it up would.
///
/// Only for callers without a connection to it: the file is opened and closed.
pub fn probe(path: &Path) -> Result<(), SourceError> {
    Located::find(path, &Timeouts::default(), &Silent).map(drop)
}

/// Refuses a database if a process writes to deleted files of it. Other problems are left to the code that opens it.
pub fn refuse_unlinked(given: &Path) -> Result<(), SourceError> {
    refuse_unlinked_among(&mut DeletedFiles::default(), given)
}

/// Does the same for one of several databases.
pub fn refuse_unlinked_among(deleted: &mut DeletedFiles, given: &Path) -> Result<(), SourceError> {
    let Ok(path) = fs::canonicalize(given) else { return Ok(()) };
    let Ok(found) = fs::metadata(&path) else { return Ok(()) };
    match deleted.find(&path, file_id(&found)) {
        Some(found) => Err(SourceError::Unlinked { path: given.to_owned(), found }),
        None => Ok(()),
    }
}

/// Returns whether a file is empty, with nothing beside it that could contain data: an application created it and wrote
/// nothing yet.
pub fn is_blank(path: &Path) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    if !found.is_file() || found.len() > 0 {
        return Ok(false);
    }
    let path = fs::canonicalize(path)?;
    for ending in ["-wal", "-journal"] {
        match fs::metadata(sidecar(&path, ending)) {
            Ok(beside) if beside.len() > 0 => return Ok(false),
            Ok(_) => {}
            Err(cause) if is_no_file(&cause) => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(true)
}

/// A source that is known to look like a database. No other operation of this process works on it.
#[derive(Debug)]
pub(in crate::database) struct Located {
    /// The path as it was given, for messages.
    pub(in crate::database) given: PathBuf,
    /// The path without links: the sidecars are beside this one.
    pub(in crate::database) path: PathBuf,
    /// The file; sets are locked in this order.
    pub(in crate::database) id: FileId,
    claim: Claim,
}

/// The state of a path before anything was claimed or opened.
struct Seen<'a> {
    given: &'a Path,
    path: PathBuf,
    id: FileId,
}

impl<'a> Seen<'a> {
    /// Looks at a source and refuses anything but a file with content.
    fn look(given: &'a Path) -> Result<Self, SourceError> {
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => SourceError::Missing(given.to_owned()),
            _ => SourceError::Io { path: given.to_owned(), action: "open", cause },
        };
        let metadata = fs::metadata(given).map_err(failed)?;
        if let Some(what) = special_file(&metadata) {
            return Err(SourceError::NotAFile { path: given.to_owned(), what });
        }
        let path = fs::canonicalize(given).map_err(failed)?;
        if metadata.len() == 0 {
            let wal_beside = fs::metadata(sidecar(&path, "-wal")).is_ok_and(|wal| wal.len() > 0);
            return Err(SourceError::Empty { path: given.to_owned(), wal_beside });
        }
        Ok(Self { given, path, id: FileId::of(&metadata) })
    }

    /// Returns whether the path still refers to this file.
    fn is_still_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|now| FileId::of(&now) == self.id)
    }
}

impl Located {
    /// Finds a source and refuses anything but a database, before SQLite opens it. Waits up to `timeouts.busy` for
    /// another operation of this process that works on the file.
    pub(in crate::database) fn find(
        given: &Path,
        timeouts: &Timeouts,
        progress: &dyn Progress,
    ) -> Result<Self, SourceError> {
        let mut found = Self::find_all(&[given], timeouts, progress)?;
        Ok(found.pop().expect("one was asked for"))
    }

    /// Like [`find`](Self::find), for all sources of an operation, which must be different files.
    pub(in crate::database) fn find_all(
        given: &[&Path],
        timeouts: &Timeouts,
        progress: &dyn Progress,
    ) -> Result<Vec<Self>, SourceError> {
        let started = Instant::now();
        loop {
            let seen = given.iter().map(|path| Seen::look(path)).collect::<Result<Vec<_>, _>>()?;
            refuse_twice(&seen)?;
            let mut in_order: Vec<&Seen<'_>> = seen.iter().collect();
            in_order.sort_by_key(|one| one.id);
            let mut claims = Vec::with_capacity(seen.len());
            for one in in_order {
                let claim = Claim::wait(one.id, started, timeouts.busy, progress)?;
                claims.push(claim.ok_or_else(|| {
                    let why = format!("another operation of this process has worked on it for {:?}", timeouts.busy);
                    SourceError::Busy { path: one.given.to_owned(), why }
                })?);
            }
            // The operation that we waited for may have put another file there.
            if !seen.iter().all(Seen::is_still_there) && started.elapsed() < timeouts.busy {
                progress.checkpoint()?;
                continue;
            }
            let mut located = Vec::with_capacity(seen.len());
            for one in seen {
                let of_this = claims.iter().position(|claim| claim.is_for(one.id)).expect("every file was claimed");
                let found = Self {
                    given: one.given.to_owned(),
                    path: one.path,
                    id: one.id,
                    claim: claims.swap_remove(of_this),
                };
                found.header()?;
                located.push(found);
            }
            return Ok(located);
        }
    }

    /// Returns the claim, for a caller that needs nothing else.
    pub(in crate::database) fn into_claim(self) -> Claim {
        self.claim
    }

    /// Reads the header of the main file from disk, without what is in a `-wal`.
    ///
    /// The claim makes this safe; only called while there is no connection to the file.
    pub(in crate::database) fn header(&self) -> Result<Header, SourceError> {
        debug_assert!(self.claim.is_for(self.id));
        let file = self.open_file()?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        file.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(|cause| self.io("read", cause))?;
        let refused = |why: String| SourceError::NotADatabase { path: self.given.clone(), why };
        if !Header::is_one(&header) {
            return Err(refused("it does not start with a SQLite header".into()));
        }
        let bytes = header.len();
        Header::of_page(&header)
            .ok_or_else(|| refused(format!("it is truncated within its header, after {bytes} bytes")))
    }

    /// Opens the main file as a plain file; does not block if a pipe or device replaced it.
    pub(in crate::database) fn open_file(&self) -> Result<File, SourceError> {
        let file = open_regular(&self.path).map_err(|cause| self.io("open", cause))?;
        let metadata = file.metadata().map_err(|cause| self.io("read", cause))?;
        if FileId::of(&metadata) == self.id {
            Ok(file)
        } else {
            let why = "it was just replaced by another file".into();
            Err(SourceError::Busy { path: self.given.clone(), why })
        }
    }

    /// Creates an error about this source.
    pub(in crate::database) fn io(&self, action: &'static str, cause: io::Error) -> SourceError {
        SourceError::Io { path: self.given.clone(), action, cause }
    }
}

/// Refuses two names of one file: the operation would wait for itself.
fn refuse_twice(seen: &[Seen<'_>]) -> Result<(), SourceError> {
    let twice = seen.iter().enumerate().find(|(index, one)| seen[..*index].iter().any(|other| other.id == one.id));
    let Some((_, one)) = twice else { return Ok(()) };
    let cause = io::Error::new(io::ErrorKind::InvalidInput, "the same file is used under another name in this run");
    Err(SourceError::Io { path: one.given.to_owned(), action: "open", cause })
}
