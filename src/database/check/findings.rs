//! The findings of a check, in reporting order, and the resulting verdict.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::database::error::{SourceError, message};
use crate::metadata::Integrity;
use crate::names::printable;
use crate::text::count;

/// The most findings of one check.
pub(super) const MOST_FINDINGS: usize = 100;

/// The longest finding, in bytes.
const LONGEST_FINDING: usize = 300;

/// How integrity_check starts a line about a row that breaks a constraint of its table, on a page that is intact.
pub(super) const VIOLATIONS: [&str; 5] =
    ["NULL value in ", "CHECK constraint failed in ", "NUMERIC value in ", "TEXT value in ", "non-"];

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The verdict.
    pub integrity: Integrity,
    /// Damage first, then what could not be checked, then violations; one printable line each, at most 100.
    pub findings: Vec<String>,
    /// Rows that break a foreign key; `None` if that was not checked.
    pub foreign_key_violations: Option<u64>,
    /// The statements that rebuild the broken indexes, if nothing else is wrong. With the verdict `Damaged`, an index
    /// and its table contradict each other, and a rebuild would decide that in favor of the table.
    pub rebuild: Vec<String>,
}

impl Checked {
    /// The value for a copy that was not checked.
    pub(super) fn not() -> Self {
        Self {
            integrity: Integrity::Unchecked,
            findings: Vec::new(),
            foreign_key_violations: None,
            rebuild: Vec::new(),
        }
    }

    /// Returns whether there are rows that break a constraint of their table, on pages that are intact.
    pub fn has_violations(&self) -> bool {
        self.findings.iter().any(|finding| VIOLATIONS.iter().any(|beginning| finding.starts_with(beginning)))
    }
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) damage: Vec<String>,
    pub(super) unchecked: Vec<String>,
    pub(super) violations: Vec<String>,
    pub(super) more_violations: u64,
    /// Indexes that must be rebuilt over intact tables.
    pub(super) indexes: Vec<String>,
    pub(super) rebuild: Vec<String>,
    /// Notes that do not change the verdict.
    pub(super) notes: Vec<String>,
    /// The code of a system error that integrity_check met and reported as a line, like damage.
    pub(super) failure: Option<i32>,
}

impl Found {
    /// Classifies an SQLite error: damage is noted, an error that fails the whole check is returned as `Err`, and any
    /// other is returned as the reason why a part could not be checked.
    pub(super) fn note(&mut self, copy: &Path, error: rusqlite::Error) -> Result<Option<String>, SourceError> {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                self.damaged(message(&error));
                Ok(None)
            }
            Some(
                ErrorCode::OperationInterrupted
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory,
            ) => Err(SourceError::from_sqlite(copy, "check", &error)),
            _ => Ok(Some(message(&error))),
        }
    }

    pub(super) fn damaged(&mut self, line: String) {
        if !self.damage.contains(&line) && self.damage.len() < MOST_FINDINGS {
            self.damage.push(line);
        }
    }

    /// Takes a row of integrity_check, which contains one or more lines.
    pub(super) fn row(&mut self, row: &[u8]) {
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

    pub(super) fn into_checked(self, foreign_key_violations: Option<u64>) -> Checked {
        let integrity = if !self.damage.is_empty() {
            Integrity::Damaged
        } else if !self.indexes.is_empty() {
            Integrity::Indexes
        } else if self.unchecked.is_empty() && self.violations.is_empty() {
            Integrity::Ok
        } else {
            Integrity::Partial
        };
        let foreign =
            foreign_key_violations.filter(|&rows| rows > 0).map(|rows| format!("{rows} rows break a foreign key"));
        let more =
            (self.more_violations > 0).then(|| format!("{} of this kind", count(self.more_violations, "more row")));
        // The last lines are short and report what is left out, so they are never cut.
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

/// Returns the result code in a line of integrity_check, such as `Tree 2 page 5: unable to get the page. error
/// code=266`, if it is a system error. A read beyond the end is not: the copy is private, so its file is too short.
fn failure_in(line: &str) -> Option<i32> {
    let (_, code) = line.rsplit_once("error code")?;
    let code = code.trim_start_matches(['=', ' ']).parse().ok()?;
    let error = rusqlite::ffi::Error::new(code);
    let failed = matches!(
        error.code,
        ErrorCode::OperationInterrupted | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory
    );
    (failed && code != rusqlite::ffi::SQLITE_IOERR_SHORT_READ).then_some(code)
}

/// Makes a line printable and shortens it.
fn finding(line: &str) -> String {
    let line = printable(line);
    let end = line.floor_char_boundary(LONGEST_FINDING);
    line[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An intact archive was marked as damaged, because integrity_check reports a failed read as one of its lines.
    #[test]
    fn a_failed_disk_read_is_not_damage() {
        assert_eq!(failure_in("Tree 2 page 5 cell 0: unable to get the page. error code=266"), Some(266));
        assert_eq!(failure_in("Tree 2 page 5: btreeInitPage() returns error code 7"), Some(7));
        assert_eq!(failure_in("Tree 2 page 5: btreeInitPage() returns error code 11"), None);
        assert_eq!(failure_in("Tree 2 page 5: unable to get the page. error code=522"), None);
        assert_eq!(failure_in("wrong # of entries in index error code"), None);
    }
}
