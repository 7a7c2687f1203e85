//! Distinguishes broken indexes from broken data.
//!
//! An index repeats the data of its table, so an index that only lacks entries needs no more than a rebuild: every row
//! is readable. If an index has an entry that its table lacks, or the two disagree about a row, one of them is wrong
//! and `REINDEX` would hide which: that remains damage. All of it is decided by counting on a private copy: the entries
//! in the b-tree of the index, the rows of the table, and the rows whose entry `integrity_check` does not find.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, ToSql};

use super::findings::VIOLATIONS;
use super::sql_text::{condition_of_partial_index, is_contentless, module, word};
use crate::database::error::{SourceError, message};
use crate::database::sidecars::lies_alone;
use crate::database::sqlite::connection::open_private_to_write;
use crate::database::sqlite::interrupt::watched;
use crate::database::sqlite::names::{Raw, quoted_identifier, table_names, text};
use crate::progress::Progress;
use crate::text::count;

/// How many of the rows that an index and its table disagree about are listed.
const NAMED_ROWS: usize = 10;
/// The most lines that `integrity_check` of a single table returns.
const MOST_OF_ONE_TABLE: u64 = 100;
/// How a finding about an index that lacks entries starts, and one about a full-text index.
const BEGINNINGS: [&str; 2] = ["index \"", "full-text index \""];

/// What is wrong with one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::database) struct Wrong {
    /// The finding, as one line.
    pub(in crate::database) finding: String,
    /// The statement that rebuilds the index.
    pub(in crate::database) rebuild: String,
    /// Whether the index and its table contradict each other, so that the table may be what is wrong.
    pub(in crate::database) disputed: bool,
}

/// Returns whether a finding is about an index that must be rebuilt.
pub fn is_about_index(finding: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| finding.starts_with(beginning))
}

/// Looks for indexes that explain all damage in a copy. Returns `None` if there is other damage.
pub(in crate::database) fn judge(
    copy: &Path,
    connection: &Connection,
    progress: &dyn Progress,
) -> rusqlite::Result<Option<Vec<Wrong>>> {
    let mut seen = Seen::default();
    // If a view was created last, the check of the whole file skips the freelist.
    if seen.lines(connection, "PRAGMA integrity_check('sqlite_schema')", &[])? > 0 || !seen.whole(connection)? {
        return Ok(None);
    }
    let mut wrong = Vec::new();
    for (index, lacking) in &seen.indexes {
        match of_index(connection, index, lacking)? {
            Some(one) => wrong.push(one),
            None => return Ok(None),
        }
    }
    if seen.full_text {
        let before = wrong.len();
        for table in full_text_tables(connection)? {
            if !table.fails(connection)? && !table.lags(copy, progress).unwrap_or(false) {
                continue;
            }
            match table.judge(connection)? {
                Some(one) => wrong.push(one),
                None => return Ok(None),
            }
        }
        if wrong.len() == before {
            return Ok(None);
        }
    }
    Ok(Some(wrong))
}

/// FTS5 indexes compared with their external content.
#[derive(Debug, Default)]
pub(in crate::database) struct Lagging {
    /// Those that do not match it.
    pub(in crate::database) wrong: Vec<Wrong>,
    /// Those that could not be compared, one line each.
    pub(in crate::database) notes: Vec<String>,
}

/// Returns the FTS5 tables with external content.
pub(in crate::database) fn with_external_content(connection: &Connection) -> rusqlite::Result<Vec<FullText>> {
    let mut tables = full_text_tables(connection)?;
    tables.retain(|table| table.is_fts5 && table.content == Content::External);
    Ok(tables)
}

/// Compares FTS5 indexes with their external content: `integrity_check` only examines the indexes
/// (sqlite.org/fts5.html, "The 'integrity-check' Command").
pub(in crate::database) fn lagging(
    copy: &Path,
    connection: &Connection,
    tables: &[FullText],
    progress: &dyn Progress,
) -> rusqlite::Result<Lagging> {
    let (mut wrong, mut notes) = (Vec::new(), Vec::new());
    for table in tables {
        match table.lags(copy, progress) {
            Ok(true) => wrong.extend(table.judge(connection)?),
            Ok(false) => {}
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => return Err(error),
            Err(error) => {
                let why = message(&error);
                notes.push(format!("the content of full-text index \"{}\" could not be compared: {why}", table.name));
            }
        }
    }
    Ok(Lagging { wrong, notes })
}

/// Rebuilds indexes of a private copy with the statements that a check returned.
///
/// A crash here leaves a private copy that nothing refers to yet. SQLite syncs the file when each statement commits.
pub fn rebuild(copy: &Path, statements: &[String], progress: &dyn Progress) -> Result<(), SourceError> {
    let failed = |error: rusqlite::Error| SourceError::from_sqlite(copy, "rebuild the indexes of", &error);
    let connection = open_private_to_write(copy).map_err(failed)?;
    for statement in statements {
        watched(&connection, progress, || connection.execute_batch(statement))?.map_err(failed)?;
    }
    connection.close().map_err(|(_, error)| failed(error))?;
    if lies_alone(copy) {
        return Ok(());
    }
    let cause = std::io::Error::other("its -wal could not be checkpointed");
    Err(SourceError::Io { path: copy.to_owned(), action: "rebuild the indexes of", cause })
}

/// The rows that an index lacks.
#[derive(Debug, Default)]
struct Lacking {
    /// How many.
    rows: u64,
    /// The first of them, numbered from one in the order of the table.
    first: Vec<u64>,
}

/// The lines of `integrity_check` about indexes.
#[derive(Debug, Default)]
struct Seen {
    indexes: BTreeMap<Vec<u8>, Lacking>,
    full_text: bool,
    /// Whether there is a line that is not about an index.
    other: bool,
}

impl Seen {
    /// Reads all lines about the whole file or, if that cannot be checked as a whole, about each table. Returns `false`
    /// if something else is wrong, or if there are too many lines to be sure.
    fn whole(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        match self.lines(connection, &format!("PRAGMA integrity_check({})", i32::MAX), &[]) {
            Ok(_) => return Ok(!self.other),
            Err(error) if is_damage_or_interrupt(&error) => return Err(error),
            // A collation or module that only the application has.
            Err(_) => *self = Self { other: self.other, ..Self::default() },
        }
        for table in table_names(connection)? {
            match self.lines(connection, "SELECT * FROM pragma_integrity_check(?1)", &[&Raw(&table)]) {
                Ok(lines) if lines >= MOST_OF_ONE_TABLE => return Ok(false),
                Ok(_) => {}
                Err(error) if is_damage_or_interrupt(&error) => return Err(error),
                // The check itself already noted that this table could not be checked.
                Err(_) => {}
            }
        }
        Ok(!self.other)
    }

    /// Runs a check and returns how many of its lines are about damage.
    fn lines(&mut self, connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<u64> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(values)?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let ValueRef::Text(line) = row.get_ref(0)? else { continue };
            count += u64::from(self.line(line));
        }
        Ok(count)
    }

    /// Parses one line. Returns whether it is about damage.
    fn line(&mut self, line: &[u8]) -> bool {
        let is_violation =
            VIOLATIONS.iter().any(|start| line.starts_with(start.as_bytes())) && !line.starts_with(b"non-unique");
        if line == b"ok" || is_violation {
            return false;
        }
        if let Some(index) = line.strip_prefix(b"wrong # of entries in index ") {
            self.indexes.entry(index.to_owned()).or_default();
        } else if let Some((row, index)) = missing_row(line) {
            let lacking = self.indexes.entry(index.to_owned()).or_default();
            lacking.rows += 1;
            if lacking.first.len() < NAMED_ROWS {
                lacking.first.push(row);
            }
        } else if [&b"malformed inverted index for FTS"[..], b"fts5: "].iter().any(|start| line.starts_with(start)) {
            self.full_text = true;
        } else {
            self.other = true;
        }
        true
    }
}

/// Parses `row 17 missing from index by_text`. The number counts the rows of the table from one; it is not a rowid.
fn missing_row(line: &[u8]) -> Option<(u64, &[u8])> {
    let rest = line.strip_prefix(b"row ")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((number, rest[end..].strip_prefix(b" missing from index ")?))
}

fn is_damage_or_interrupt(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, OperationInterrupted, OutOfMemory, SystemIoFailure};
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(CannotOpen | DatabaseCorrupt | NotADatabase | OperationInterrupted | OutOfMemory | SystemIoFailure)
    )
}

/// Counts what an index contains and what it should contain. Returns `None` if that cannot be determined.
fn of_index(connection: &Connection, index: &[u8], lacking: &Lacking) -> rusqlite::Result<Option<Wrong>> {
    let sql = "SELECT tbl_name, sql FROM sqlite_schema WHERE type='index' AND name=?1";
    let found = connection
        .query_row(sql, [Raw(index)], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))
        .optional()?;
    let Some((table, definition)) = found else { return Ok(None) };
    let condition =
        definition.as_deref().and_then(condition_of_partial_index).map(|condition| format!(" WHERE {condition}\n"));
    let source = format!("main.{} NOT INDEXED{}", quoted_identifier(&table), condition.unwrap_or_default());
    let count = |sql: &str, values: &[&dyn ToSql]| connection.query_row(sql, values, |row| row.get::<_, i64>(0));
    let rows = count(&format!("SELECT count(*) FROM {source}"), &[])?;
    // The cells of its b-tree, inner pages included, so that no collation, condition or query plan affects the count.
    let entries = count(
        "SELECT coalesce(sum(ncell), 0) FROM dbstat WHERE name=?1 AND pagetype IN ('leaf', 'internal')",
        &[&Raw(index)],
    )?;
    let missing = i64::try_from(lacking.rows).unwrap_or(i64::MAX);
    let without_row = entries - (rows - missing);

    let name = String::from_utf8_lossy(index);
    let rebuild = format!("REINDEX {}", word(connection, &name));
    let of = format!("index \"{name}\" of table \"{table}\"");
    if without_row == 0 && missing > 0 {
        let entries = if missing == 1 { "1 entry".to_owned() } else { format!("{missing} entries") };
        let finding = format!("{of} lacks {entries}, every row can be read; rebuild it with: {rebuild}");
        return Ok(Some(Wrong { finding, rebuild, disputed: false }));
    }
    let mut finding = match without_row {
        1 => format!("{of} holds 1 entry without its row"),
        number => format!("{of} holds {number} entries without their rows"),
    };
    if missing > 0 {
        let named = named_rows(connection, &table, lacking)?;
        finding.push_str(&format!(", and lacks {missing} of the table's rows: {named}"));
    }
    Ok(Some(Wrong { finding, rebuild, disputed: true }))
}

/// Lists the first rows that an index lacks, by rowid or else by primary key.
fn named_rows(connection: &Connection, table: &str, lacking: &Lacking) -> rusqlite::Result<String> {
    let columns = |sql: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(sql)?;
        let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
        names.collect()
    };
    let without_rowid = "SELECT wr FROM pragma_table_list WHERE schema='main' AND name=?1 COLLATE NOCASE";
    let (what, key) = if connection.query_row(without_rowid, [table], |row| row.get(0))? {
        let key = columns("SELECT name FROM pragma_table_info(?1) WHERE pk>0 ORDER BY pk")?;
        let quoted: Vec<String> = key.iter().map(|column| format!("quote({})", quoted_identifier(column))).collect();
        ("primary key", quoted.join("||'/'||"))
    } else {
        let taken = columns("SELECT name FROM pragma_table_xinfo(?1)")?;
        let is_free = |alias: &&str| !taken.iter().any(|column| column.eq_ignore_ascii_case(alias));
        let alias = ["rowid", "_rowid_", "oid"].into_iter().find(is_free);
        ("rowid", alias.map_or_else(|| "NULL".to_owned(), |alias| format!("CAST({alias} AS TEXT)")))
    };
    let mut statement =
        connection.prepare(&format!("SELECT {key} FROM main.{} NOT INDEXED", quoted_identifier(table)))?;
    let mut rows = statement.query([])?;
    let mut named = Vec::new();
    let mut number = 0;
    while named.len() < lacking.first.len()
        && let Some(row) = rows.next()?
    {
        number += 1;
        if lacking.first.contains(&number) {
            let name = text(row.get_ref(0)?).map(|text| String::from_utf8_lossy(text).into_owned());
            named.push(name.unwrap_or_else(|| format!("number {number}")));
        }
    }
    let more = lacking.rows.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Ok(format!("{what} {}{more}", named.join(", ")))
}

/// Where a full-text index gets its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// From its own table.
    Own,
    /// From another table or view.
    External,
    /// It stores none: there is only the index.
    None,
}

/// A table of FTS3, FTS4 or FTS5.
#[derive(Debug)]
pub(in crate::database) struct FullText {
    pub(in crate::database) name: String,
    is_fts5: bool,
    content: Content,
}

/// Returns the full-text tables of a database.
fn full_text_tables(connection: &Connection) -> rusqlite::Result<Vec<FullText>> {
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type='table' AND rootpage=0 AND sql LIKE '%fts%'")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (Some(name), Some(sql)) = (text(row.get_ref(0)?), text(row.get_ref(1)?)) else { continue };
        let (Ok(name), Ok(sql)) = (std::str::from_utf8(name), std::str::from_utf8(sql)) else { continue };
        let Some(module) = module(sql).map(str::to_ascii_lowercase) else { continue };
        if !["fts3", "fts4", "fts5"].contains(&module.as_str()) {
            continue;
        }
        let content = if has_table(connection, &format!("{name}_content"))? {
            Content::Own
        } else if is_contentless(sql) {
            Content::None
        } else {
            Content::External
        };
        found.push(FullText { name: name.to_owned(), is_fts5: module == "fts5", content });
    }
    Ok(found)
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1 COLLATE NOCASE)";
    connection.query_row(sql, [name], |row| row.get(0))
}

impl FullText {
    /// Returns whether SQLite itself reports it as damaged.
    fn fails(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let mut seen = Seen::default();
        match seen.lines(connection, "SELECT * FROM pragma_integrity_check(?1)", &[&self.name]) {
            Ok(lines) => Ok(lines > 0),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(true),
            Err(error) if is_damage_or_interrupt(&error) => Err(error),
            // The check itself already noted that it could not be checked.
            Err(_) => Ok(false),
        }
    }

    /// Returns whether it differs from its external content.
    ///
    /// The command is an INSERT, so it needs a writable connection. It writes nothing, and is rolled back.
    fn lags(&self, copy: &Path, progress: &dyn Progress) -> rusqlite::Result<bool> {
        if !self.is_fts5 || self.content != Content::External || !lies_alone(copy) {
            return Ok(false);
        }
        let connection = open_private_to_write(copy)?;
        let table = quoted_identifier(&self.name);
        let command = format!("BEGIN; INSERT INTO main.{table}({table}, rank) VALUES('integrity-check', 1);");
        let asked = watched(&connection, progress, || connection.execute_batch(&command));
        let asked = asked.unwrap_or_else(|_| {
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT), None))
        });
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        match asked {
            Ok(()) => Ok(false),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Returns what is wrong with it, once something is. Returns `None` if there is nothing left to rebuild it from.
    fn judge(&self, connection: &Connection) -> rusqlite::Result<Option<Wrong>> {
        let name = &self.name;
        let (table, column) = (word(connection, name), word(connection, name));
        let rebuild = format!("INSERT INTO {table}({column}) VALUES('rebuild')");
        let lost = match self.content {
            Content::None => return Ok(None),
            Content::External => 0,
            Content::Own => self.without_content(connection)?,
        };
        Ok(Some(match lost {
            0 => {
                let finding = format!(
                    "full-text index \"{name}\" does not match its content, every row can be read; rebuild it with: \
                     {rebuild}"
                );
                Wrong { finding, rebuild, disputed: false }
            }
            lost => {
                let finding = format!("full-text index \"{name}\" lists {} without a row", count(lost, "document"));
                Wrong { finding, rebuild, disputed: true }
            }
        }))
    }

    /// Counts the documents in the index whose rows are missing from its own table.
    fn without_content(&self, connection: &Connection) -> rusqlite::Result<u64> {
        if !has_table(connection, &format!("{}_docsize", self.name))? {
            return Ok(0);
        }
        let shadow = |ending: &str| format!("main.{}", quoted_identifier(&format!("{}{ending}", self.name)));
        let sql = format!(
            "SELECT count(*) FROM {} AS d NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM {} AS c WHERE c.rowid = d.rowid)",
            shadow("_docsize"),
            shadow("_content")
        );
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(|count| count.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_indexes_are_about_indexes() {
        let seen = |lines: &[&str]| {
            let mut seen = Seen::default();
            let damage: Vec<bool> = lines.iter().map(|line| seen.line(line.as_bytes())).collect();
            (seen, damage)
        };
        let (lag, damage) = seen(&[
            "row 7 missing from index a b",
            "row 9 missing from index a b",
            "wrong # of entries in index a b",
            "ok",
        ]);
        assert_eq!(damage, [true, true, true, false]);
        assert_eq!(
            (lag.other, lag.indexes[&b"a b"[..]].rows, &lag.indexes[&b"a b"[..]].first[..]),
            (false, 2, &[7, 9][..])
        );
        for line in [
            "row 7 values differ from index x",
            "non-unique entry in index x",
            "rowid not at end-of-record for row 3 of index x",
            "Tree 5 page 5 cell 0: Rowid 17 out of order",
            "row x missing from index y",
            "*** in database main ***\nPage 4: never used",
            "unable to validate the inverted index for FTS4 table main.f: SQL logic error",
        ] {
            assert!(seen(&[line]).0.other, "{line}");
        }
        assert!(seen(&["malformed inverted index for FTS4 table main.f"]).0.full_text);
        assert_eq!(seen(&["NULL value in t.x"]).1, [false]);
    }
}
