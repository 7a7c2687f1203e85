//! Reads the part of a schema that people compare: tables and their columns.

use std::path::Path;

use rusqlite::Connection;

use super::facts::schema_digest;
use crate::database::error::SourceError;
use crate::database::sqlite::connection::open_private;
use crate::digest::Sha256;
use crate::schema_diff::Schema;

/// A schema, and the digest of the complete one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFacts {
    /// The compared part.
    pub schema: Schema,
    /// As in the metadata of an archive.
    pub digest: Sha256,
}

/// Reads the schema of a private copy.
pub fn schema(copy: &Path) -> Result<SchemaFacts, SourceError> {
    open_private(copy)
        .and_then(|connection| read(&connection))
        .map_err(|error| SourceError::from_sqlite(copy, "read", &error))
}

/// Reads the schema of an open database. The columns of a table are unknown if only the application has its module.
pub(in crate::database) fn read(connection: &Connection) -> rusqlite::Result<SchemaFacts> {
    let digest = schema_digest(connection)?;
    let user_version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mut statement = connection.prepare(
        "SELECT CAST(name AS TEXT) FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut of_table = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let mut columns =
        |table: &String| -> rusqlite::Result<Vec<String>> { of_table.query_map([table], |row| row.get(0))?.collect() };
    let tables = names.into_iter().map(|name| {
        let known = columns(&name).ok().filter(|columns| !columns.is_empty());
        (name, known)
    });
    Ok(SchemaFacts { schema: Schema { user_version, tables: tables.collect() }, digest })
}
