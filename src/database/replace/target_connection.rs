//! The connection to a database that is replaced: how it is opened, and what is asked of it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::database::format::sqlite_header::{Header, JournalMode};
use crate::database::sqlite::connection::connect;
use crate::database::sqlite::transaction::is_busy;

/// How long SQLite itself waits for a lock. Short, since its pauses grow until a busy writer always wins.
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// Opens a database that is to be overwritten as a whole. Fails if SQLite cannot read its header, or if it is
/// truncated.
pub(super) fn open_writable(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
    // Only now, since this would let a truncated file pass. Needed because a damaged schema must not prevent replacing
    // it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    // With FULL, a power cut could undo a finished restore if the commit is the removal of the journal, which is not
    // synced.
    match connection.execute_batch("PRAGMA synchronous=EXTRA") {
        Err(error) if is_busy(&error) => Err(error),
        // If the schema cannot be read at all, FULL stays. Under an exclusive lock, and in WAL mode, that is enough:
        // there the commit is synced.
        _ => Ok(connection),
    }
}

/// Switches to rollback mode, and returns whether that mode is in effect.
pub(super) fn leave_wal(connection: &Connection) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare("PRAGMA journal_mode=DELETE")?;
    let mut rows = statement.query([])?;
    let mut left = false;
    // To the end: the row comes before the commit, and the error of the commit after it.
    while let Some(row) = rows.next()? {
        left = row.get::<_, String>(0)? == "delete";
    }
    Ok(left)
}

/// Returns the journal mode in effect. If the schema is too damaged to ask SQLite, it comes from the header.
pub(super) fn mode(connection: &Connection, file: &File) -> rusqlite::Result<JournalMode> {
    let named = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    match named {
        Ok(mode) if mode == "wal" => Ok(JournalMode::Wal),
        Ok(_) => Ok(JournalMode::Rollback),
        Err(error) => Header::read(file).map(|header| header.mode()).map_err(|_| error),
    }
}

/// Returns the text encoding of a target; `None` if it has no content that would have one.
pub(super) fn encoding(connection: &Connection, file: &File) -> rusqlite::Result<Option<String>> {
    let (pages, name) = (number(connection, "PRAGMA page_count"), encoding_name(connection));
    match (pages, name) {
        (Ok(0), _) => Ok(None),
        (Ok(_), Ok(name)) => Ok(Some(name)),
        // Too damaged to ask SQLite.
        (Err(error), _) | (_, Err(error)) if is_busy(&error) => Err(error),
        _ => Ok(Header::read(file).ok().and_then(|header| header.encoding()).map(str::to_owned)),
    }
}

pub(super) fn encoding_name(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA encoding", [], |row| row.get(0))
}

pub(super) fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<u32> {
    connection.query_row(pragma, [], |row| row.get(0))
}

pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

pub(super) fn page_bytes(connection: &Connection) -> rusqlite::Result<u32> {
    number(connection, "PRAGMA page_size")
}
