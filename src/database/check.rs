//! Says whether a private copy is sound.
//!
//! `integrity_check` alone does not say it: it leaves out the freelist where a view comes first in SQLite's list of tables, it
//! stops as a whole where a collation or function is missing that only the application has, and it lists rows that
//! break a NOT NULL or CHECK like damage. This file asks in parts, and keeps the three apart.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, ToSql};

use super::SourceError;
use super::error::message;
use super::facts::{quoted_identifier, table_names};
use super::indexes::{judge, lagging};
use super::open::{lies_alone, open_private, open_private_with_checks};
use super::page_checksums;
use super::parts::{Effort, Raw, all_in_order};
use crate::metadata::Integrity;
use crate::names::printable;
use crate::progress::{Interrupted, Progress};

/// The most findings of one check.
const MOST_FINDINGS: usize = 100;
/// The longest finding, in bytes.
const LONGEST_FINDING: usize = 300;
/// How integrity_check begins a line about a row that breaks a promise of its table, on a page that is in order.
pub(super) const VIOLATIONS: [&str; 5] = ["NULL value in ", "CHECK constraint failed in ", "NUMERIC value in ", "TEXT value in ", "non-"];

/// How thoroughly a copy is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Not at all.
    None,
    /// `quick_check`: pages and rows, not indexes against tables.
    Quick,
    /// `integrity_check`, complete; it asks FTS and R*Tree tables too.
    Full,
    /// As `Full`, and every row of every table is read.
    Deep,
}

/// What a check said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The verdict.
    pub integrity: Integrity,
    /// Damage first, then what could not be checked, then violations; one printable line each, at most 100.
    pub findings: Vec<String>,
    /// Rows that break a foreign key; `None` where that was not checked.
    pub foreign_key_violations: Option<u64>,
    /// The statements that rebuild the indexes that are wrong, where nothing else is. With the verdict `Damaged` an index and its
    /// table contradict each other, and a rebuild would settle that in favor of the table.
    pub rebuild: Vec<String>,
}

impl Checked {
    /// What is known of a copy that was not checked.
    fn not() -> Self {
        Self { integrity: Integrity::Unchecked, findings: Vec::new(), foreign_key_violations: None, rebuild: Vec::new() }
    }

    /// Says whether there are rows that break a promise of their table, on pages that are in order.
    pub fn has_violations(&self) -> bool {
        self.findings.iter().any(|finding| VIOLATIONS.iter().any(|beginning| finding.starts_with(beginning)))
    }
}

/// Checks a private copy, which is only read; damage is a value, not an error.
///
/// Damage must be seen twice, with every byte read in between: SQLite takes an EIO of the disk for a malformed database.
pub fn check(copy: &Path, depth: Depth, effort: Effort, progress: &dyn Progress) -> Result<Checked, SourceError> {
    let checked = check_once(copy, depth, effort, progress)?;
    if !matches!(checked.integrity, Integrity::Damaged | Integrity::Indexes) {
        return Ok(checked);
    }
    read_through(copy)?;
    check_once(copy, depth, effort, progress)
}

/// Reads every byte of a copy; fails if the disk does not return them. With `pread`, as SQLite reads.
pub(super) fn read_through(copy: &Path) -> Result<(), SourceError> {
    let failed = |cause| SourceError::Io { path: copy.to_owned(), action: "read", cause };
    let file = File::open(copy).map_err(failed)?;
    let (mut buffer, mut at) = (vec![0; 1 << 20], 0);
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(()),
            Ok(bytes) => at += bytes as u64,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
}

fn check_once(copy: &Path, depth: Depth, effort: Effort, progress: &dyn Progress) -> Result<Checked, SourceError> {
    let mut found = Found::default();
    let pragma = match depth {
        Depth::None => return Ok(Checked::not()),
        Depth::Quick => "quick_check",
        Depth::Full | Depth::Deep => "integrity_check",
    };
    let connection = open(copy).map_err(|error| SourceError::from_sqlite(copy, "check", &error))?;
    let mut foreign_key_violations = None;
    let checksums = page_checksums::look(copy, progress).map_err(|cause| page_checksums::failed(copy, cause))?;
    checksums.damage().into_iter().for_each(|line| found.damaged(line));
    if checksums.in_use && checksums.first_is_wrong {
        found.notes.push("the page checksum is wrong on page 1, as in copies of older releases; a restore sets it".into());
    }
    watched(&connection, progress, || {
        // Every error here is damage: a schema that cannot be read hides everything behind it.
        let schema = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        match schema.and_then(|()| effort.prepare(&connection)) {
            Ok(()) => {}
            Err(error) => return found.note(copy, error).map(|unavailable| found.damage.extend(unavailable)),
        }
        let in_order = depth != Depth::Quick && all_in_order(copy, &connection, effort, progress);
        integrity(copy, &connection, pragma, in_order, &mut found)?;
        // What a quick check finds may be a full-text index; it does not look for more.
        if depth != Depth::Quick || !found.damage.is_empty() {
            indexes(copy, &connection, &mut found, progress)?;
        }
        match foreign_keys(&connection) {
            Ok(count) => foreign_key_violations = Some(count),
            Err(error) => {
                let why = found.note(copy, error)?;
                found.notes.extend(why.map(|why| format!("foreign keys could not be checked: {why}")));
            }
        }
        if depth == Depth::Deep { read_rows(copy, &connection, &mut found) } else { Ok(()) }
    })??;
    match found.failure {
        // A disk that does not answer is no evidence, and hides what the other lines would be about.
        Some(code) => {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            Err(SourceError::from_sqlite(copy, "check", &error))
        }
        None => Ok(found.into_checked(foreign_key_violations)),
    }
}

/// Opens a copy read-only and immutable, or, where tables have CHECK constraints, so that these are checked as well.
fn open(copy: &Path) -> rusqlite::Result<Connection> {
    let connection = open_private(copy)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type='table' AND sql LIKE '%check%')";
    // An error here is damage, and the check itself will meet it.
    let constrained = connection.query_row(sql, [], |row| row.get(0)).unwrap_or(false);
    if constrained && lies_alone(copy) { open_private_with_checks(copy).or(Ok(connection)) } else { Ok(connection) }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    damage: Vec<String>,
    unchecked: Vec<String>,
    violations: Vec<String>,
    more_violations: u64,
    /// Indexes that must be rebuilt over tables that are sound.
    indexes: Vec<String>,
    rebuild: Vec<String>,
    /// What does not change the verdict.
    notes: Vec<String>,
    /// The code of an error of the system's that integrity_check met and told as a line, like damage.
    failure: Option<i32>,
}

impl Found {
    /// Takes an error of SQLite's: damage is noted, what fails the check as a whole is returned as an error, and anything
    /// else is returned as the reason why a part could not be checked.
    fn note(&mut self, copy: &Path, error: rusqlite::Error) -> Result<Option<String>, SourceError> {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                self.damaged(message(&error));
                Ok(None)
            }
            Some(ErrorCode::OperationInterrupted | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory) => {
                Err(SourceError::from_sqlite(copy, "check", &error))
            }
            _ => Ok(Some(message(&error))),
        }
    }

    fn damaged(&mut self, line: String) {
        if !self.damage.contains(&line) && self.damage.len() < MOST_FINDINGS {
            self.damage.push(line);
        }
    }

    /// Takes a row of integrity_check, which holds one line or several.
    fn row(&mut self, row: &[u8]) {
        for line in String::from_utf8_lossy(row).lines() {
            if line.is_empty() || line == "ok" || line.starts_with("*** in database") {
                continue;
            }
            self.failure = self.failure.or_else(|| failure_in(line));
            if !VIOLATIONS.iter().any(|beginning| line.starts_with(beginning)) || line.starts_with("non-unique") {
                self.damaged(printable(line).into_owned());
            } else if self.violations.iter().any(|known| known == line) || self.violations.len() >= MOST_FINDINGS {
                self.more_violations += 1;
            } else {
                self.violations.push(line.to_owned());
            }
        }
    }

    fn into_checked(self, foreign_key_violations: Option<u64>) -> Checked {
        let integrity = if !self.damage.is_empty() {
            Integrity::Damaged
        } else if !self.indexes.is_empty() {
            Integrity::Indexes
        } else if self.unchecked.is_empty() && self.violations.is_empty() {
            Integrity::Ok
        } else {
            Integrity::Partial
        };
        let foreign = foreign_key_violations.filter(|&rows| rows > 0).map(|rows| format!("{rows} rows break a foreign key"));
        let more = (self.more_violations > 0).then(|| format!("{} more rows of this kind", self.more_violations));
        // The last lines are short and say what is left out: they keep their place.
        let ends: Vec<String> = self.notes.into_iter().chain(foreign).collect();
        let findings = (self.damage.into_iter().chain(self.indexes).chain(self.unchecked).chain(self.violations))
            .take(MOST_FINDINGS - ends.len() - usize::from(more.is_some()))
            .chain(more)
            .chain(ends)
            .map(|line| finding(&line))
            .collect();
        Checked { integrity, findings, foreign_key_violations, rebuild: self.rebuild }
    }
}

/// Returns the result code in a line of integrity_check, such as `Tree 2 page 5: unable to get the page. error code=266`,
/// where it is one of the system's. A read beyond the end is not: the copy is private, so its file is too short.
fn failure_in(line: &str) -> Option<i32> {
    let (_, code) = line.rsplit_once("error code")?;
    let code = code.trim_start_matches(['=', ' ']).parse().ok()?;
    let error = rusqlite::ffi::Error::new(code);
    let failed =
        matches!(error.code, ErrorCode::OperationInterrupted | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory);
    (failed && code != rusqlite::ffi::SQLITE_IOERR_SHORT_READ).then_some(code)
}

/// Makes a line printable and cuts it to length.
fn finding(line: &str) -> String {
    let line = printable(line);
    let end = line.floor_char_boundary(LONGEST_FINDING);
    line[..end].to_owned()
}

/// Tells indexes that only have to be rebuilt from damage.
fn indexes(copy: &Path, connection: &Connection, found: &mut Found, progress: &dyn Progress) -> Result<(), SourceError> {
    let judged = if found.failure.is_some() {
        return Ok(());
    } else if found.damage.is_empty() {
        lagging(copy, connection, progress).map(|(wrong, notes)| {
            found.notes.extend(notes);
            Some(wrong)
        })
    } else {
        judge(copy, connection, progress)
    };
    let wrong = match judged {
        Ok(Some(wrong)) => wrong,
        // There is more than that.
        Ok(None) => return Ok(()),
        Err(error) => return found.note(copy, error).map(drop),
    };
    found.rebuild = wrong.iter().map(|one| one.rebuild.clone()).collect();
    let (disputed, lacking): (Vec<_>, Vec<_>) = wrong.into_iter().partition(|one| one.disputed);
    if disputed.is_empty() {
        // What SQLite says line by line about each missing entry is said by these.
        found.damage.clear();
    }
    found.damage.splice(0..0, disputed.into_iter().map(|one| one.finding));
    found.damage.truncate(MOST_FINDINGS);
    found.indexes = lacking.into_iter().map(|one| one.finding).collect();
    Ok(())
}

/// Runs integrity_check or quick_check: over the whole file, unless its parts are known to be in order, over the freelist by itself,
/// and where the whole file cannot be checked, table by table.
fn integrity(copy: &Path, connection: &Connection, pragma: &str, in_order: bool, found: &mut Found) -> Result<(), SourceError> {
    let stopped = match if in_order { Ok(()) } else { whole(connection, pragma, found) } {
        Ok(()) => None,
        Err(error) => found.note(copy, error)?,
    };
    // A view or virtual table that was created last hides the freelist from the check above.
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
        // As a value, since the name may hold anything, also bytes that are not text.
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

/// Checks the whole file; goes on behind the first hundred lines where those are violations only, and could hide damage.
fn whole(connection: &Connection, pragma: &str, found: &mut Found) -> rusqlite::Result<()> {
    let lines = run(connection, &format!("PRAGMA {pragma}({MOST_FINDINGS})"), &[], found)?;
    if lines >= MOST_FINDINGS && found.damage.is_empty() {
        // Damage of pages comes first and was not there, so that this many lines cannot be held in memory together.
        (found.violations, found.more_violations) = (Vec::new(), 0);
        run(connection, &format!("PRAGMA {pragma}({})", i32::MAX), &[], found)?;
    }
    Ok(())
}

/// Runs a check and returns the number of its rows.
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
        let read = connection.prepare(&format!("SELECT * FROM main.{}", quoted_identifier(&name))).and_then(|mut statement| {
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        });
        if let Err(error) = read {
            let why = found.note(copy, error)?;
            found.unchecked.extend(why.map(|why| format!("table \"{name}\" could not be read: {why}")));
        }
    }
    Ok(())
}

/// Runs statements that take long, and interrupts them when the operation is asked to stop.
pub(super) fn watched<T>(connection: &Connection, progress: &dyn Progress, work: impl FnOnce() -> T) -> Result<T, Interrupted> {
    progress.checkpoint()?;
    let handle = connection.get_interrupt_handle();
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        // Where no thread can be had, the statements run on; a request to stop then waits for their end.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            while ended.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                // Again and again: an interrupt between two statements is lost.
                if progress.cancelled() {
                    handle.interrupt();
                }
            }
        });
        let result = work();
        drop(done);
        Ok(result)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sound archive was marked as damaged, because integrity_check tells a failed read as one of its lines.
    #[test]
    fn a_disk_that_does_not_answer_is_no_damage() {
        assert_eq!(failure_in("Tree 2 page 5 cell 0: unable to get the page. error code=266"), Some(266));
        assert_eq!(failure_in("Tree 2 page 5: btreeInitPage() returns error code 7"), Some(7));
        assert_eq!(failure_in("Tree 2 page 5: btreeInitPage() returns error code 11"), None);
        assert_eq!(failure_in("Tree 2 page 5: unable to get the page. error code=522"), None);
        assert_eq!(failure_in("wrong # of entries in index error code"), None);
    }
}
