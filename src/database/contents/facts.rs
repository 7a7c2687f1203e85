//! Facts about a copy: header, schema, row counts.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use crate::database::error::SourceError;
use crate::database::format::sqlite_header::Header;
use crate::database::seen_twice::{is_damaged, read_through, seen_twice};
use crate::database::sqlite::connection::open_private;
use crate::database::sqlite::interrupt::watched;
use crate::database::sqlite::names::{quoted_identifier, text};
use crate::digest::{Hasher, Sha256};
use crate::progress::{Progress, Silent};

/// The facts that the metadata records. Field names and meanings are those of
/// [`DatabaseMetadata`](crate::metadata::DatabaseMetadata).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is documented at the metadata field of the same name")]
pub struct Facts {
    pub page_size: u32,
    pub page_count: u64,
    pub freelist_count: u64,
    pub encoding: String,
    pub journal_mode: String,
    pub auto_vacuum: String,
    pub application_id: i32,
    pub user_version: i32,
    pub schema_sha256: Sha256,
    pub index_count: u64,
    pub trigger_count: u64,
    pub view_count: u64,
    /// Tables sorted by name, without `sqlite_...`.
    pub tables: Vec<String>,
}

impl Facts {
    /// The facts of a copy that is too damaged to read.
    pub fn unknown() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            page_size: 0,
            page_count: 0,
            freelist_count: 0,
            encoding: unknown(),
            journal_mode: unknown(),
            auto_vacuum: unknown(),
            application_id: 0,
            user_version: 0,
            schema_sha256: Sha256::of(b""),
            index_count: 0,
            trigger_count: 0,
            view_count: 0,
            tables: Vec::new(),
        }
    }
}

/// Reads the facts of a private copy (read-only, immutable). Rows are not counted.
///
/// Most of it comes from the header, without a statement that would make SQLite parse the schema. Fails if the schema
/// is damaged, which must be seen twice, with every byte read in between: SQLite reports an EIO of the disk as a
/// malformed database.
pub fn facts(copy: &Path) -> Result<Facts, SourceError> {
    seen_twice(|| facts_once(copy), is_damaged, |_| read_through(copy, copy, &Silent))
}

fn facts_once(copy: &Path) -> Result<Facts, SourceError> {
    let header = header(copy)?;
    let mut schema = Schema::default();
    open_private(copy)
        .and_then(|connection| schema.read(&connection))
        .map_err(|error| SourceError::from_sqlite(copy, "read", &error))?;
    schema.tables.sort_unstable();
    Ok(Facts {
        page_size: header.page_bytes(),
        page_count: page_count(copy, &header)?,
        freelist_count: header.free_pages().into(),
        encoding: header.encoding().unwrap_or("UTF-8").into(),
        journal_mode: header.journal_mode().into(),
        auto_vacuum: header.auto_vacuum().into(),
        application_id: header.application_id(),
        user_version: header.user_version(),
        schema_sha256: schema.digest.finish(),
        index_count: schema.indexes,
        trigger_count: schema.triggers,
        view_count: schema.views,
        tables: schema.tables,
    })
}

/// Returns the digest of the schema of an open database.
pub(in crate::database) fn schema_digest(connection: &Connection) -> rusqlite::Result<Sha256> {
    let mut schema = Schema::default();
    schema.read(connection)?;
    Ok(schema.digest.finish())
}

/// Counts the rows of each table of a private copy; `None` if that is impossible (unknown module, damage).
pub fn count_rows(copy: &Path, tables: &[String], progress: &dyn Progress) -> Result<Vec<Option<u64>>, SourceError> {
    let connection = open_private(copy).map_err(|error| SourceError::from_sqlite(copy, "read", &error))?;
    watched(&connection, progress, || {
        let count = |table: &String| {
            let sql = format!("SELECT count(*) FROM main.{}", quoted_identifier(table));
            let rows = || connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
            // The attempt returns SQLite's result as a value, because here damage is not a failure.
            let counted = seen_twice(
                || Ok(rows()),
                |answer| match answer {
                    Ok(Err(error)) => error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt),
                    _ => false,
                },
                |_| read_through(copy, copy, progress),
            );
            match counted? {
                Ok(rows) => Ok(u64::try_from(rows).ok()),
                Err(error) if is_failure(&error) => Err(SourceError::from_sqlite(copy, "read", &error)),
                Err(_) => Ok(None),
            }
        };
        tables.iter().map(count).collect()
    })?
}

/// Returns whether an error is a system error or a cancellation, which says nothing about the database.
fn is_failure(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, OperationInterrupted, OutOfMemory, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(CannotOpen | OperationInterrupted | OutOfMemory | SystemIoFailure))
}

/// Reads the header of a private copy.
pub(in crate::database) fn header(copy: &Path) -> Result<Header, SourceError> {
    let failed = |cause| SourceError::Io { path: copy.to_owned(), action: "read", cause };
    match Header::read(&File::open(copy).map_err(failed)?) {
        Ok(header) if header.is_valid() => Ok(header),
        Err(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => Err(failed(cause)),
        _ => Err(SourceError::NotADatabase { path: copy.to_owned(), why: "it has no SQLite header".into() }),
    }
}

/// Returns the number of pages as SQLite computes it: from the header, unless an old release wrote it.
fn page_count(copy: &Path, header: &Header) -> Result<u64, SourceError> {
    if let Some(pages) = header.page_count() {
        return Ok(pages.into());
    }
    let bytes =
        fs::metadata(copy).map_err(|cause| SourceError::Io { path: copy.to_owned(), action: "read", cause })?.len();
    Ok(bytes / u64::from(header.page_bytes()))
}

/// The contents of the schema.
#[derive(Default)]
struct Schema {
    digest: Hasher,
    indexes: u64,
    triggers: u64,
    views: u64,
    tables: Vec<String>,
}

impl Schema {
    fn read(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..4 {
                // Each text is preceded by its length, so that no two schemas produce the same bytes. NULL has a length
                // that no text has.
                if let Some(text) = text(row.get_ref(column)?) {
                    self.digest.update(&(text.len() as u64).to_be_bytes());
                    self.digest.update(text);
                } else {
                    self.digest.update(&u64::MAX.to_be_bytes());
                }
            }
            match text(row.get_ref(0)?) {
                Some(b"index") => self.indexes += 1,
                Some(b"trigger") => self.triggers += 1,
                Some(b"view") => self.views += 1,
                Some(b"table") => {
                    let name = String::from_utf8_lossy(text(row.get_ref(1)?).unwrap_or_default());
                    if !is_internal(name.as_bytes()) {
                        self.tables.push(name.into_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Returns whether a table is internal to SQLite; its name is reserved in upper and lower case.
fn is_internal(name: &[u8]) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"sqlite_"))
}
