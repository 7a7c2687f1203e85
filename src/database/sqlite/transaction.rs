//! Transactions, and the meaning of the errors that end them.

use rusqlite::{Connection, ErrorCode};

/// Begins a read transaction, and reads once to make it effective. The version is in the header: the schema is not
/// parsed, so a damaged one can still be copied and kept.
pub(in crate::database) const PIN: &str = "BEGIN; PRAGMA schema_version;";

/// Begins a transaction; after a failure there is none.
pub(in crate::database) fn begin(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.execute_batch(sql).inspect_err(|_| {
        let _ = roll_back(connection);
    })
}

/// Ends a transaction, if there is one.
pub(in crate::database) fn roll_back(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
}

/// Returns whether an error goes away when another process releases its lock.
pub(in crate::database) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

/// Returns whether an error means that reading in place would have to write: a hot journal, sidecars that cannot be
/// created.
pub(in crate::database) fn needs_private_copy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
}
