//! Checks whether a private copy is sound.
//!
//! `integrity_check` alone is not enough: it skips the freelist if a view comes first in SQLite's list of tables, it
//! fails as a whole if a collation or function of the application is missing, and it lists rows that break a NOT NULL
//! or CHECK constraint like damage. This file runs the checks separately, and keeps the three apart.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql};

use super::findings::{Checked, Found, MOST_FINDINGS};
use super::indexes::{FullText, Lagging, judge, lagging, with_external_content};
use super::parallel_check::{Effort, Parts};
use crate::database::error::SourceError;
use crate::database::format::page_checksums;
use crate::database::seen_twice::{read_through, seen_twice};
use crate::database::sidecars::lies_alone;
use crate::database::sqlite::connection::{open_private, open_private_with_checks};
use crate::database::sqlite::interrupt::watched;
use crate::database::sqlite::names::{Raw, quoted_identifier, table_names};
use crate::metadata::Integrity;
use crate::progress::Progress;

/// How thoroughly to check a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Not at all.
    None,
    /// `quick_check`: pages and rows, but not indexes against tables.
    Quick,
    /// Complete `integrity_check`, including FTS and R*Tree tables.
    Full,
    /// Like `Full`, and also reads every row of every table.
    Deep,
}

/// Checks a private copy without changing it; damage is a value, not an error.
///
/// Damage must be seen twice, with every byte read in between: SQLite reports an EIO of the disk as a malformed
/// database.
pub fn check(copy: &Path, depth: Depth, effort: Effort<'_>, progress: &dyn Progress) -> Result<Checked, SourceError> {
    seen_twice(
        || check_once(copy, depth, effort, progress),
        |outcome| matches!(outcome, Ok(Checked { integrity: Integrity::Damaged | Integrity::Indexes, .. })),
        |_| read_through(copy, copy, progress),
    )
}

fn check_once(copy: &Path, depth: Depth, effort: Effort<'_>, progress: &dyn Progress) -> Result<Checked, SourceError> {
    let mut found = Found::default();
    let pragma = match depth {
        Depth::None => return Ok(Checked::not()),
        Depth::Quick => "quick_check",
        Depth::Full | Depth::Deep => "integrity_check",
    };
    let (connection, view) = open(copy).map_err(|error| SourceError::from_sqlite(copy, "check", &error))?;
    let mut foreign_key_violations = None;
    let checksums = page_checksums::look(copy, progress).map_err(|cause| page_checksums::failed(copy, cause))?;
    if checksums.in_use && checksums.first_is_wrong {
        found
            .notes
            .push("the page checksum is wrong on page 1, as in copies of older releases; a restore sets it".into());
    }
    watched(&connection, progress, || {
        // Every error here is damage: if the schema cannot be read, everything behind it is hidden.
        let schema = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        match schema.and_then(|()| effort.prepare(&connection)) {
            Ok(()) => {}
            Err(error) => return found.note(copy, error).map(|unavailable| found.damage.extend(unavailable)),
        }
        let in_parts = if depth != Depth::Quick && view == View::Plain {
            in_parts(copy, &connection, effort, progress)?
        } else {
            None
        };
        let (in_order, beside) = in_parts.map_or((false, None), |(in_order, beside)| (in_order, Some(beside)));
        integrity(copy, &connection, pragma, in_order, &mut found)?;
        let (foreign_keys, lagging) = match beside {
            Some(beside) => (beside.foreign_keys, Some(beside.lagging)),
            None => (foreign_keys(&connection), None),
        };
        // The findings of a quick check may be about a full-text index; it does not look for more.
        if depth != Depth::Quick || !found.damage.is_empty() {
            indexes(copy, &connection, lagging, &mut found, progress)?;
        }
        match foreign_keys {
            Ok(count) => foreign_key_violations = Some(count),
            Err(error) => {
                let why = found.note(copy, error)?;
                found.notes.extend(why.map(|why| format!("foreign keys could not be checked: {why}")));
            }
        }
        if depth == Depth::Deep { read_rows(copy, &connection, &mut found) } else { Ok(()) }
    })??;
    // Not before this point: it is not a line of integrity_check, which indexes may explain.
    if let Some(line) = checksums.damage() {
        found.damage.insert(0, line);
        found.damage.truncate(MOST_FINDINGS);
    }
    match found.failure {
        // A disk that does not respond is not evidence of damage, and hides what the other lines would be about.
        Some(code) => {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            Err(SourceError::from_sqlite(copy, "check", &error))
        }
        None => Ok(found.into_checked(foreign_key_violations)),
    }
}

/// What is checked beside the parts of an `integrity_check`.
struct Beside {
    foreign_keys: rusqlite::Result<u64>,
    lagging: rusqlite::Result<Lagging>,
}

impl Beside {
    fn check(copy: &Path, tables: &[FullText], progress: &dyn Progress) -> Result<Self, SourceError> {
        let connection = open_private(copy).map_err(|error| SourceError::from_sqlite(copy, "check", &error))?;
        Ok(watched(&connection, progress, || Self {
            lagging: lagging(copy, &connection, tables, progress),
            foreign_keys: foreign_keys(&connection),
        })?)
    }

    /// Returns whether all tables could be compared, and match.
    fn is_in_order(&self) -> bool {
        self.lagging.as_ref().is_ok_and(|lagging| lagging.wrong.is_empty() && lagging.notes.is_empty())
    }
}

/// Checks a copy in parts, and returns whether they are all intact; `None` if it must be checked as a whole.
fn in_parts(
    copy: &Path,
    connection: &Connection,
    effort: Effort<'_>,
    progress: &dyn Progress,
) -> Result<Option<(bool, Beside)>, SourceError> {
    // An error is reported by the check as a whole.
    let tables = with_external_content(connection).unwrap_or_default();
    // Only a copy without sidecars is compared.
    let apart = if lies_alone(copy) { tables.iter().map(|table| table.name.clone()).collect() } else { Vec::new() };
    let Some(parts) = Parts::of(copy, connection, &apart, effort, progress) else { return Ok(None) };
    let (intact, beside) = parts.check(connection, || Beside::check(copy, &tables, progress));
    let beside = beside?;
    Ok(Some((intact && beside.is_in_order(), beside)))
}

/// What a connection shows of a copy.
#[derive(PartialEq, Eq)]
enum View {
    /// Everything, and other connections may be open.
    Plain,
    /// Also its CHECK constraints, which another connection could not see.
    Constraints,
}

/// Opens a copy read-only and immutable; if tables have CHECK constraints, in a way that checks these too.
fn open(copy: &Path) -> rusqlite::Result<(Connection, View)> {
    let connection = open_private(copy)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type='table' AND sql LIKE '%check%')";
    // An error here is damage, which the check itself reports.
    let constrained = connection.query_row(sql, [], |row| row.get(0)).unwrap_or(false);
    if constrained && lies_alone(copy) {
        let with_checks = open_private_with_checks(copy);
        return Ok((with_checks.unwrap_or(connection), View::Constraints));
    }
    Ok((connection, View::Plain))
}

/// Separates indexes that only need a rebuild from damage.
fn indexes(
    copy: &Path,
    connection: &Connection,
    known: Option<rusqlite::Result<Lagging>>,
    found: &mut Found,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    let judged = if found.failure.is_some() {
        return Ok(());
    } else if found.damage.is_empty() {
        let compare = || lagging(copy, connection, &with_external_content(connection)?, progress);
        known.unwrap_or_else(compare).map(|lagging| {
            found.notes.extend(lagging.notes);
            Some(lagging.wrong)
        })
    } else {
        judge(copy, connection, progress)
    };
    let wrong = match judged {
        Ok(Some(wrong)) => wrong,
        // There is other damage.
        Ok(None) => return Ok(()),
        Err(error) => return found.note(copy, error).map(drop),
    };
    found.rebuild = wrong.iter().map(|one| one.rebuild.clone()).collect();
    let (disputed, lacking): (Vec<_>, Vec<_>) = wrong.into_iter().partition(|one| one.disputed);
    if disputed.is_empty() {
        // These findings replace SQLite's line for each missing entry.
        found.damage.clear();
    }
    found.damage.splice(0..0, disputed.into_iter().map(|one| one.finding));
    found.damage.truncate(MOST_FINDINGS);
    found.indexes = lacking.into_iter().map(|one| one.finding).collect();
    Ok(())
}

/// Runs integrity_check or quick_check: on the whole file, unless its parts are known to be intact; on the freelist
/// separately; and table by table if the whole file cannot be checked.
fn integrity(
    copy: &Path,
    connection: &Connection,
    pragma: &str,
    in_order: bool,
    found: &mut Found,
) -> Result<(), SourceError> {
    let stopped = match if in_order { Ok(()) } else { whole(connection, pragma, found) } {
        Ok(()) => None,
        Err(error) => found.note(copy, error)?,
    };
    // If a view or virtual table was created last, the check above skips the freelist.
    if let Err(error) = run(connection, &format!("PRAGMA {pragma}('sqlite_schema')"), &[], found) {
        let why = found.note(copy, error)?;
        found.unchecked.extend(why.map(|why| format!("the schema and the freelist could not be checked: {why}")));
    }
    let Some(stopped) = stopped else { return Ok(()) };
    let before = found.unchecked.len();
    let tables = match table_names(connection) {
        Ok(tables) => tables,
        Err(error) => {
            let why = found.note(copy, error)?;
            found.unchecked.extend(why);
            Vec::new()
        }
    };
    for table in tables {
        // Passed as a value, since the name may contain anything, even invalid text.
        let sql = format!("SELECT * FROM pragma_{pragma}(?1)");
        if let Err(error) = run(connection, &sql, &[&Raw(&table)], found) {
            let why = found.note(copy, error)?;
            let name = String::from_utf8_lossy(&table);
            found.unchecked.extend(why.map(|why| format!("table \"{name}\" could not be checked: {why}")));
        }
    }
    if found.unchecked.len() == before {
        found.unchecked.push(format!("the file as a whole could not be checked, only each table: {stopped}"));
    }
    Ok(())
}

/// Checks the whole file. Continues after the first hundred lines if they are all violations, which could hide damage.
fn whole(connection: &Connection, pragma: &str, found: &mut Found) -> rusqlite::Result<()> {
    let lines = run(connection, &format!("PRAGMA {pragma}({MOST_FINDINGS})"), &[], found)?;
    if lines >= MOST_FINDINGS && found.damage.is_empty() {
        // Page damage comes first and there was none, so these lines are only counted: there may be too many to keep in
        // memory.
        (found.violations, found.more_violations) = (Vec::new(), 0);
        run(connection, &format!("PRAGMA {pragma}({})", i32::MAX), &[], found)?;
    }
    Ok(())
}

/// Runs a check and returns the number of rows it printed.
fn run(connection: &Connection, sql: &str, values: &[&dyn ToSql], found: &mut Found) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(values)?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        if let ValueRef::Text(text) = row.get_ref(0)? {
            found.row(text);
        }
    }
    Ok(count)
}

/// Counts the rows that break a foreign key.
fn foreign_keys(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Reads every row of every table.
fn read_rows(copy: &Path, connection: &Connection, found: &mut Found) -> Result<(), SourceError> {
    let tables = match table_names(connection) {
        Ok(tables) => tables,
        Err(error) => {
            let why = found.note(copy, error)?;
            found.unchecked.extend(why);
            return Ok(());
        }
    };
    for table in tables {
        let name = String::from_utf8_lossy(&table);
        let read = connection.prepare(&format!("SELECT * FROM main.{}", quoted_identifier(&name))).and_then(
            |mut statement| {
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
                Ok(())
            },
        );
        if let Err(error) = read {
            let why = found.note(copy, error)?;
            found.unchecked.extend(why.map(|why| format!("table \"{name}\" could not be read: {why}")));
        }
    }
    Ok(())
}
