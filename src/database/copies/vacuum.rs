//! Rewrites a private copy without free pages.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use crate::database::error::SourceError;
use crate::database::format::page_checksums;
use crate::database::format::sqlite_header::{FILE_VERSIONS, Header};
use crate::database::sqlite::connection::open_private;
use crate::database::sqlite::names::Raw;
use crate::platform::{PositionalIo as _, path_bytes, private_file};
use crate::progress::Silent;

/// Rewrites a private copy without free pages (VACUUM) into a new file. If SQLite fails, the new file is removed.
///
/// Page size, encoding, auto_vacuum, application_id, user_version and journal mode stay the same. Needs little memory,
/// and space for the result on the file system of the new file. Crash in between: an incomplete file in scratch.
pub fn vacuum(copy: &Path, target: &Path) -> Result<(), SourceError> {
    let to_target = |cause| SourceError::Io { path: target.to_owned(), action: "write", cause };
    private_file(target).map_err(to_target)?;
    rewrite(copy, target).inspect_err(|_| {
        let _ = fs::remove_file(target);
    })
}

fn rewrite(copy: &Path, target: &Path) -> Result<(), SourceError> {
    let failed = |error: rusqlite::Error| SourceError::from_sqlite(copy, "vacuum", &error);
    let io = |cause: io::Error| SourceError::Io { path: copy.to_owned(), action: "vacuum", cause };
    let connection = open_private(copy).map_err(failed)?;
    vacuum_into(&connection, target).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    // VACUUM INTO creates a rollback-mode database. A restored copy must keep its WAL mode; no connection is open to
    // either file.
    let header = File::open(copy).and_then(|file| Header::read(&file)).map_err(io)?;
    let written = OpenOptions::new().write(true).open(target);
    written.and_then(|file| file.write_all_at(header.file_versions(), FILE_VERSIONS.start as u64)).map_err(io)?;
    // Last, since the journal mode changes the first page.
    set_checksums_as_in(copy, target).map_err(io)
}

/// Writes a compact copy of what a connection sees to `target`, which must be empty or missing. The path may contain
/// any bytes.
pub(super) fn vacuum_into(connection: &Connection, target: &Path) -> rusqlite::Result<()> {
    let target = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    connection.execute("VACUUM INTO ?1", [Raw(path_bytes(&target))]).map(|_| ())
}

/// Sets the checksums of a file into which `copy` was rewritten, if its pages have any: VACUUM rewrites every page.
pub(super) fn set_checksums_as_in(copy: &Path, target: &Path) -> io::Result<()> {
    if page_checksums::look(copy, &Silent)?.in_use { page_checksums::set_all(target, &Silent) } else { Ok(()) }
}
