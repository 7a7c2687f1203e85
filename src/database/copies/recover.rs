//! Recovers a private copy of a database with its sidecars, to the state that SQLite would show.
//!
//! A database without its `-wal` lacks commits, and one without its hot `-journal` contains half a transaction, which
//! no integrity check finds. A sidecar that does not belong to the database is not applied, and is reported.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::database::contents::facts::header;
use crate::database::error::SourceError;
use crate::database::files::source_file::Located;
use crate::database::format::journal::{SuperJournal, detach_super_journal, look_at_journal};
use crate::database::format::wal::{Fit, look_at_wal};
use crate::database::sidecars::sidecar;
use crate::database::snapshot::copy_with_sidecars::private_copy;
use crate::database::sqlite::connection::connect;
use crate::database::sqlite::interrupt::watched;
use crate::database::timeouts::Timeouts;
use crate::progress::Progress;
use crate::snapshot::Part;

/// Copies a database and its sidecars, all from the same moment, to `copy` and beside it. Existing files are replaced.
///
/// No connection to the database may be open in this process. Fails if an application keeps changing it.
pub fn copy_with_sidecars(
    database: &Path,
    copy: &Path,
    timeouts: &Timeouts,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    private_copy(&Located::find(database, timeouts, progress)?, copy, timeouts, progress)?.keep();
    Ok(())
}

/// Recovers a private copy with its sidecars as SQLite would, and returns the actions taken, one printable line each.
/// Afterwards no sidecars are left.
///
/// A sidecar that does not belong to the copy is removed without being applied; a line gives the reason. Syncs nothing.
pub fn recover(copy: &Path, progress: &dyn Progress) -> Result<Vec<String>, SourceError> {
    let io = |action| move |cause| SourceError::Io { path: copy.to_owned(), action, cause };
    let mut done = Vec::new();
    // Before the -wal: SQLite rolls back first, and the -wal was written on top of the first page that the journal
    // restores.
    let journal = apply(copy, Part::Journal, &mut done, progress)?;
    let wal = apply(copy, Part::Wal, &mut done, progress)?;
    if !journal && !wal {
        return Ok(done);
    }
    for ending in ["-journal", "-wal", "-shm"] {
        match fs::symlink_metadata(sidecar(copy, ending)) {
            // SQLite applies it or rolls it back, and removes it.
            Ok(left) if left.len() > 0 && ending != "-shm" => {
                return Err(io("recover")(io::Error::other(format!("its {ending} could not be applied"))));
            }
            Ok(_) => remove(copy, ending)?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(io("recover")(cause)),
        }
    }
    Ok(done)
}

/// Applies one sidecar if it fits, and returns whether it did. Otherwise removes it.
fn apply(copy: &Path, part: Part, done: &mut Vec<String>, progress: &dyn Progress) -> Result<bool, SourceError> {
    let ending = part.ending();
    let path = sidecar(copy, ending);
    let failed = |cause| SourceError::Io { path: path.clone(), action: "read", cause };
    match fs::symlink_metadata(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(failed(cause)),
        Ok(_) => {}
    }
    let fit = match part {
        Part::Wal => look_at_wal(&path, &header(copy)?),
        Part::Journal => look_at_journal(&path, &header(copy)?),
    };
    let pages = match fit.map_err(failed)? {
        Fit::Fits(pages) => pages,
        Fit::Nothing => return remove(copy, ending).map(|()| false),
        Fit::Strange(why) => {
            done.push(format!("its {ending} {why}; it was not applied"));
            return remove(copy, ending).map(|()| false);
        }
    };
    if part == Part::Journal {
        if detach_super_journal(&path).map_err(failed)? == SuperJournal::Gone {
            done.push(
                "its -journal belongs to a transaction over several databases whose super-journal is gone: treated as \
                 committed"
                    .into(),
            );
            return remove(copy, ending).map(|()| false);
        }
        // SQLite would apply a -wal in the same step, before we could check whether it fits.
        let aside = sidecar(copy, "-wal-aside");
        let wal = sidecar(copy, "-wal");
        let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(SourceError::Io { path: wal.clone(), action: "move", cause })
            }
            _ => Ok(()),
        };
        rename(&wal, &aside)?;
        open_and_settle(copy, progress)?;
        rename(&aside, &wal)?;
        done.push(format!("rolled back the -journal: an unfinished transaction ({pages} pages)"));
    } else {
        open_and_settle(copy, progress)?;
        done.push(format!("recovered {pages} {} from the -wal", if pages == 1 { "page" } else { "pages" }));
    }
    Ok(true)
}

/// Opens a copy as an application would, which rolls back or recovers it, and checkpoints the `-wal`.
fn open_and_settle(copy: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
    let failed = |error: rusqlite::Error| SourceError::from_sqlite(copy, "recover", &error);
    let connection = connect(copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let settle = |connection: &Connection| {
        // It need not be durable until all of it is synced.
        connection.execute_batch("PRAGMA synchronous=OFF; BEGIN; PRAGMA schema_version; COMMIT;")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    };
    let busy = watched(&connection, progress, || settle(&connection))?.map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    if busy == 0 {
        Ok(())
    } else {
        Err(SourceError::Busy { path: copy.to_owned(), why: "another process has it open".into() })
    }
}

fn remove(copy: &Path, ending: &str) -> Result<(), SourceError> {
    let path = sidecar(copy, ending);
    fs::remove_file(&path).map_err(|cause| SourceError::Io { path, action: "remove", cause })
}
