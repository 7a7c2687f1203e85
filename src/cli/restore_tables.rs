//! Table changes in a restore plan: lists only tables whose number of rows changes.

use std::collections::BTreeMap;

use super::table::{Column, Table};
use super::text;
use crate::database::TargetFacts;
use crate::metadata::TableMetadata;
use crate::names::printable;

/// How many tables are listed at a terminal.
const LISTED: usize = 12;

/// How a restore changes the tables of a database.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Those that differ, the largest change first: the name, what happens, and by how many rows.
    differing: Vec<(String, String, u64)>,
    /// How many have as many rows as now.
    same: u64,
    /// How many have rows that cannot be counted.
    unknown: u64,
}

/// Compares the tables in an archive with those of the database that is replaced; `None` if one side could not be
/// counted.
pub(super) fn changes(after: &[TableMetadata], before: &TargetFacts) -> Option<Changes> {
    if before.tables != Some(before.rows_by_table.len() as u64) {
        return None;
    }
    // Table names are case-insensitive, as in SQLite.
    let key = |name: &str| name.to_ascii_lowercase();
    let mut old: BTreeMap<String, (&str, Option<u64>)> =
        before.rows_by_table.iter().map(|(name, rows)| (key(name), (name.as_str(), *rows))).collect();
    let mut changes = Changes::default();
    for table in after {
        match (old.remove(&key(&table.name)), table.rows) {
            (None, rows) => changes.differs(&table.name, format!("new, {}", text::rows(rows)), rows),
            (Some((_, Some(was))), Some(is)) if was == is => changes.same += 1,
            (Some((_, Some(was))), Some(is)) => {
                changes.differs(&table.name, text::change(was, is), Some(was.abs_diff(is)))
            }
            _ => changes.unknown += 1,
        }
    }
    for (name, rows) in old.into_values() {
        changes.differs(name, format!("removed, {}", text::rows(rows)), rows);
    }
    changes.differing.sort_by(|left, right| right.2.cmp(&left.2).then_with(|| left.0.cmp(&right.0)));
    Some(changes)
}

impl Changes {
    fn differs(&mut self, name: &str, what: String, rows: Option<u64>) {
        self.differing.push((printable(name).into_owned(), what, rows.unwrap_or(0)));
    }

    /// Returns the tables that differ with what happens to them, cut to a screen unless all are asked for.
    pub(super) fn table(&self, all: bool) -> Table {
        let mut table = Table::new(&[Column::new("").shorten(), Column::new("")]);
        // A single further row takes no more room than "and 1 more".
        let listed = if all || self.differing.len() <= LISTED + 1 { self.differing.len() } else { LISTED };
        for (name, what, _) in &self.differing[..listed] {
            table.row([name.clone(), what.clone()]);
        }
        if listed < self.differing.len() {
            table.row([format!("and {} more", self.differing.len() - listed), String::new()]);
        }
        table
    }

    /// Returns a summary: `3 tables differ, 8 have the same number of rows`.
    pub(super) fn summary(&self) -> String {
        let differing = self.differing.len() as u64;
        let total = differing + self.same + self.unknown;
        let mut words = match (differing, self.same) {
            (0, 0) if total == 0 => return "no tables, as now".into(),
            (0, 0) => Vec::new(),
            (0, 1) if total == 1 => vec!["its table has the same number of rows as now".into()],
            (0, same) if same == total => {
                vec![format!("all {} tables have the same number of rows as now", text::thousands(same))]
            }
            (0, same) => vec![same_rows(same)],
            (_, 0) => vec![differ(differing)],
            (_, same) => vec![differ(differing), same_rows(same)],
        };
        if self.unknown > 0 {
            words.push(format!("{} cannot be counted", text::thousands(self.unknown)));
        }
        words.join(", ")
    }
}

fn differ(tables: u64) -> String {
    format!("{} {}", text::count(tables, "table"), if tables == 1 { "differs" } else { "differ" })
}

/// Says "the same number": an equal count does not mean equal rows.
fn same_rows(tables: u64) -> String {
    format!("{} {} the same number of rows", text::thousands(tables), if tables == 1 { "has" } else { "have" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(after: &[(&str, Option<u64>)], before: &[(&str, Option<u64>)]) -> Changes {
        let after: Vec<TableMetadata> =
            after.iter().map(|(name, rows)| TableMetadata { name: (*name).into(), rows: *rows }).collect();
        let rows_by_table: Vec<_> = before.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
        let tables = Some(rows_by_table.len() as u64);
        changes(&after, &TargetFacts { journal_mode: "wal", tables, rows: None, rows_by_table, schema: None }).unwrap()
    }

    fn lines(changes: &Changes, all: bool) -> Vec<String> {
        changes.table(all).lines(None, str::to_owned)
    }

    #[test]
    fn only_tables_that_differ_are_listed_the_largest_change_first() {
        let after = [
            ("Album", Some(347)),
            ("Invoice", Some(412)),
            ("InvoiceLine", Some(2240)),
            ("genre", Some(25)),
            ("Tag", Some(5)),
        ];
        let before = [
            ("Album", Some(347)),
            ("Invoice", Some(413)),
            ("InvoiceLine", Some(0)),
            ("Genre", Some(25)),
            ("Log", Some(9)),
        ];
        let changes = compared(&after, &before);
        let shown = [
            "InvoiceLine  0 → 2,240 (+2,240)",
            "Log          removed, 9 rows",
            "Tag          new, 5 rows",
            "Invoice      413 → 412 (-1)",
        ];
        assert_eq!(lines(&changes, false), shown);
        assert_eq!(changes.summary(), "4 tables differ, 2 have the same number of rows");
    }

    #[test]
    fn many_tables_are_cut_at_a_terminal() {
        let names: Vec<String> = (0..20).map(|number| format!("t{number:02}")).collect();
        let with = |rows| names.iter().map(|name| (name.as_str(), Some(rows))).collect::<Vec<_>>();
        let changes = compared(&with(2), &with(1));
        assert_eq!(lines(&changes, false).len(), 13);
        assert_eq!(lines(&changes, false)[12], "and 8 more");
        assert_eq!(lines(&changes, true).len(), 20);
        assert_eq!(changes.summary(), "20 tables differ");
    }

    #[test]
    fn what_is_unknown_is_not_called_the_same() {
        let changes = compared(&[("a", None), ("b", Some(1))], &[("a", Some(3)), ("b", Some(1))]);
        assert_eq!(changes.summary(), "1 has the same number of rows, 1 cannot be counted");
        assert_eq!(
            compared(&[("a", Some(1))], &[("a", Some(1))]).summary(),
            "its table has the same number of rows as now"
        );
        assert_eq!(compared(&[("a", None)], &[("a", None)]).summary(), "1 cannot be counted");
        let uncounted =
            TargetFacts { journal_mode: "wal", tables: Some(3), rows: None, rows_by_table: Vec::new(), schema: None };
        assert!(super::changes(&[], &uncounted).is_none());
    }
}
