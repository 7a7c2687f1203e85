//! Examines the path to which a database is to be restored. Changes nothing there.
//!
//! A restore writes through a symbolic link: the file that the link points to is the target, and the link stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};

use crate::database::contents::schema::{self, SchemaFacts};
use crate::database::error::{SourceError, TargetError, message};
use crate::database::files::access::{Way, way};
use crate::database::files::claim::FileId;
use crate::database::files::source_file::Located;
use crate::database::format::sqlite_header::Header;
use crate::database::sidecars::{SIDECARS, existing, sidecar};
use crate::database::sqlite::connection::Live;
use crate::database::sqlite::interrupt::watched;
use crate::database::timeouts::Timeouts;
use crate::platform::special_file;
use crate::progress::{Progress, Silent, Stage};

/// How long counting the rows of a target for the plan may take.
const COUNT_LIMIT: Duration = Duration::from_secs(2);
/// The most symbolic links to follow, like the kernel's limit.
const MAX_LINKS: usize = 40;

/// The path to which a database is to be restored, and what is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The path as it was given.
    pub given: PathBuf,
    /// The path without links: this file is written.
    pub path: PathBuf,
    /// What is there.
    pub state: TargetState,
    /// The size of the main file; 0 if it is missing.
    pub bytes: u64,
    /// When the main file or its `-wal` was last written.
    pub modified: Option<DateTime<Utc>>,
    pub(super) id: Option<FileId>,
}

/// What exists at the path to which a database is to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetState {
    /// There is no file. Sidecars of an older database may exist.
    Missing {
        /// Those sidecars.
        leftovers: Vec<PathBuf>,
    },
    /// An empty file: an application created it and wrote nothing yet. It may have it open.
    Empty,
    /// A database that SQLite opens, including one that is damaged further inside.
    Database(TargetFacts),
    /// A file that SQLite cannot open as a database: no header, truncated, encrypted, or empty beside a sidecar with
    /// data.
    Unusable {
        /// What is wrong with it.
        why: String,
    },
}

/// What the plan shows about a database that is to be replaced. `None` if it could not be read without changing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFacts {
    /// The journal mode of its header: `wal` or `delete`.
    pub journal_mode: &'static str,
    /// The number of its tables.
    pub tables: Option<u64>,
    /// The rows of all its tables; `None` also if counting took too long.
    pub rows: Option<u64>,
    /// The rows of each table; `None` if one cannot be counted. Empty if the tables cannot be read, or counting takes
    /// too long.
    pub rows_by_table: Vec<(String, Option<u64>)>,
    /// Its schema.
    pub schema: Option<SchemaFacts>,
}

impl Target {
    /// Returns whether two targets are the same file.
    pub fn same_file(&self, other: &Target) -> bool {
        self.path == other.path || (self.id.is_some() && self.id == other.id)
    }

    /// Returns the sort key for locking several targets: all operations lock them in this order.
    pub fn lock_order(&self) -> impl Ord + use<> {
        (self.id, self.path.clone())
    }
}

/// Examines a target. Refuses anything but a file: a folder, a pipe, a device.
///
/// Waits for another operation of this process that works on the database.
pub fn look_at(given: &Path) -> Result<Target, TargetError> {
    let failed = |cause| TargetError::Io { path: given.to_owned(), action: "look at", cause };
    let path = resolve(given).map_err(failed)?;
    let metadata = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let leftovers = existing(&path, &SIDECARS).map_err(failed)?;
            let state = TargetState::Missing { leftovers };
            return Ok(Target { given: given.to_owned(), path, state, bytes: 0, modified: None, id: None });
        }
        Err(cause) => return Err(failed(cause)),
    };
    if let Some(what) = special_file(&metadata) {
        return Err(TargetError::Refused { path: given.to_owned(), why: format!("it is {what}, not a file") });
    }
    let wal = fs::symlink_metadata(sidecar(&path, "-wal")).ok();
    let state = if metadata.len() == 0 { empty(&path).map_err(failed)? } else { of_file(&path)? };
    Ok(Target {
        given: given.to_owned(),
        state,
        bytes: metadata.len(),
        modified: [Some(&metadata), wal.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|found| found.modified().ok())
            .max()
            .map(DateTime::from),
        id: Some(FileId::of(&metadata)),
        path,
    })
}

/// Follows links to the actual file of a path. The file need not exist, but its folder must.
fn resolve(given: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(given)?;
    for _ in 0..MAX_LINKS {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let whole = fs::canonicalize(folder)?.join(name);
        match fs::symlink_metadata(&whole) {
            Ok(metadata) if metadata.is_symlink() => path = whole.with_file_name("").join(fs::read_link(&whole)?),
            Ok(_) => return Ok(whole),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(whole),
            Err(cause) => return Err(cause),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Classifies a file of 0 bytes. SQLite would delete a `-wal` or a `-journal` beside it, with the data in them.
fn empty(path: &Path) -> io::Result<TargetState> {
    for sidecar in existing(path, &["-journal", "-wal"])? {
        if fs::symlink_metadata(&sidecar)?.len() > 0 {
            let why = "it is empty (0 bytes), but there is a -wal or -journal with data beside it".into();
            return Ok(TargetState::Unusable { why });
        }
    }
    Ok(TargetState::Empty)
}

fn of_file(path: &Path) -> Result<TargetState, TargetError> {
    let located = match Located::find(path, &Timeouts::default(), &Silent) {
        Ok(located) => located,
        Err(SourceError::NotADatabase { why, .. }) => return Ok(TargetState::Unusable { why }),
        Err(error) => return Err(error.into()),
    };
    let header = located.header()?;
    let mut facts = TargetFacts {
        journal_mode: header.journal_mode(),
        tables: None,
        rows: None,
        rows_by_table: Vec::new(),
        schema: None,
    };
    let way = way(&located)?;
    // A database that needs recovery is not opened for a plan: that would already change it.
    if way == Way::PrivateCopy {
        return Ok(TargetState::Database(facts));
    }
    // SQLite reports some disk errors as "malformed", too, so truncation is confirmed before it is reported.
    let unusable = |error: &rusqlite::Error| {
        let proved = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => true,
            Some(ErrorCode::DatabaseCorrupt) => is_cut_off(path, &header),
            _ => false,
        };
        proved.then(|| TargetState::Unusable { why: message(error) })
    };
    // Other reasons why it cannot be read (a lock, a hot journal) do not prevent a plan.
    let Ok(live) = Live::open(&located.path, way) else { return Ok(TargetState::Database(facts)) };
    let connection = live.connection();
    if let Err(error) = connection.query_row("PRAGMA schema_version", [], |_| Ok(())) {
        return Ok(unusable(&error).unwrap_or(TargetState::Database(facts)));
    }
    if let Ok(tables) = tables(connection) {
        facts.tables = Some(tables.len() as u64);
        facts.rows_by_table = count(connection, tables);
        let counted = facts.rows_by_table.len() as u64 == facts.tables.unwrap_or_default();
        facts.rows = if counted { facts.rows_by_table.iter().map(|(_, rows)| *rows).sum() } else { None };
    }
    facts.schema = schema::read(connection).ok();
    Ok(TargetState::Database(facts))
}

/// Returns whether a file is shorter than its header says.
fn is_cut_off(path: &Path, header: &Header) -> bool {
    let bytes = u64::from(header.page_count_field()) * u64::from(header.page_bytes());
    fs::metadata(path).is_ok_and(|file| file.len() < bytes)
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Counts the rows of each table; returns nothing if time is up.
fn count(connection: &Connection, tables: Vec<String>) -> Vec<(String, Option<u64>)> {
    let deadline = Deadline(Instant::now() + COUNT_LIMIT);
    let rows = |table: String| {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
        let counted = connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).ok().map(i64::unsigned_abs);
        // The result of an interrupted statement is meaningless.
        (!deadline.cancelled()).then_some((table, counted))
    };
    let counted = watched(connection, &deadline, || tables.into_iter().map(rows).collect::<Option<Vec<_>>>());
    counted.ok().flatten().unwrap_or_default()
}

/// Cancels when its time is up.
struct Deadline(Instant);

impl Progress for Deadline {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}

    fn cancelled(&self) -> bool {
        Instant::now() > self.0
    }
}
