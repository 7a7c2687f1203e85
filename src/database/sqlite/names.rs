//! Names and texts of a schema, which may contain anything, even invalid UTF-8.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

/// A text of the database, valid UTF-8 or not.
pub(in crate::database) struct Raw<'a>(pub(in crate::database) &'a [u8]);

impl ToSql for Raw<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Returns the names that a query yields, unchanged.
pub(in crate::database) fn names(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| Ok(text(row.get_ref(0)?).unwrap_or_default().to_owned()))?;
    names.collect()
}

/// Returns the names of all tables unchanged, including SQLite's own.
pub(in crate::database) fn table_names(connection: &Connection) -> rusqlite::Result<Vec<Vec<u8>>> {
    names(connection, "SELECT name FROM sqlite_schema WHERE type='table'")
}

pub(in crate::database) fn text(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(text) => Some(text),
        _ => None,
    }
}

/// Quotes a name for SQL.
pub(in crate::database) fn quoted_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
