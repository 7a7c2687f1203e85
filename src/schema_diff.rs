//! How a restore changes the schema of a database: `user_version`, tables, columns. Pure: no files.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::names::printable;

/// How many changes are listed individually.
const NAMED: usize = 8;

/// The compared part of the schema of a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// `PRAGMA user_version`.
    pub user_version: i32,
    /// The tables with their columns, in order; `None` if only the name is known.
    pub tables: BTreeMap<String, Option<Vec<String>>>,
}

/// How the database will change when the archive is restored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// The versions, if they differ.
    pub user_version: Option<Versions>,
    /// Tables that are restored.
    pub tables_gained: Vec<String>,
    /// Tables that are removed.
    pub tables_lost: Vec<String>,
    /// Tables that change.
    pub columns: Vec<Columns>,
    /// Whether the columns of every table were compared.
    pub columns_compared: bool,
}

/// The `user_version` of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// In the archive.
    pub archive: i32,
    /// In the database that is replaced.
    pub database: i32,
}

/// How the columns of one table change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Columns {
    /// The table.
    pub table: String,
    /// Columns that are restored.
    pub gained: Vec<String>,
    /// Columns that are removed.
    pub lost: Vec<String>,
}

/// Compares the schema in an archive with that of the database it replaces. Names are case-insensitive, as in SQLite.
pub fn difference(archive: &Schema, database: &Schema) -> Difference {
    let versions = Versions { archive: archive.user_version, database: database.user_version };
    let (after, before) = (by_name(archive), by_name(database));
    let missing = |from: &BTreeMap<String, Table<'_>>, of: &BTreeMap<String, Table<'_>>| {
        of.iter()
            .filter(|(key, _)| !from.contains_key(*key))
            .map(|(_, (name, _))| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let mut difference = Difference {
        user_version: (versions.archive != versions.database).then_some(versions),
        tables_gained: missing(&before, &after),
        tables_lost: missing(&after, &before),
        columns: Vec::new(),
        columns_compared: true,
    };
    for (key, (table, columns)) in &after {
        let Some((_, old)) = before.get(key) else { continue };
        let (Some(new), Some(old)) = (columns, old) else {
            difference.columns_compared = false;
            continue;
        };
        let (gained, lost) = (beyond(new, old), beyond(old, new));
        if !gained.is_empty() || !lost.is_empty() {
            difference.columns.push(Columns { table: (*table).to_owned(), gained, lost });
        }
    }
    difference
}

/// A table: its original name, and its columns.
type Table<'a> = (&'a str, Option<&'a [String]>);

fn by_name(schema: &Schema) -> BTreeMap<String, Table<'_>> {
    schema
        .tables
        .iter()
        .map(|(name, columns)| (name.to_ascii_lowercase(), (name.as_str(), columns.as_deref())))
        .collect()
}

/// Returns the columns of one list that are not in the other.
fn beyond(columns: &[String], others: &[String]) -> Vec<String> {
    let has = |column: &&String| !others.iter().any(|other| other.eq_ignore_ascii_case(column));
    columns.iter().filter(has).cloned().collect()
}

impl Difference {
    /// Returns whether there are no known changes.
    pub fn is_empty(&self) -> bool {
        self.user_version.is_none()
            && self.tables_gained.is_empty()
            && self.tables_lost.is_empty()
            && self.columns.is_empty()
    }

    /// Formats the changes as one line: `user_version: archive 5, database 9; table "t" loses column "y"`.
    pub fn line(&self) -> String {
        let quoted = |name: &String| format!("\"{}\"", printable(name));
        let list = |names: &[String]| names.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let column = |names: &[String]| if names.len() == 1 { "column" } else { "columns" };
        let versions =
            self.user_version.map(|both| format!("user_version: archive {}, database {}", both.archive, both.database));
        let columns = self.columns.iter().map(|change| {
            let mut words = Vec::new();
            if !change.lost.is_empty() {
                words.push(format!("loses {} {}", column(&change.lost), list(&change.lost)));
            }
            if !change.gained.is_empty() {
                words.push(format!("gains {} {}", column(&change.gained), list(&change.gained)));
            }
            format!("table {} {}", quoted(&change.table), words.join(" and "))
        });
        let lost = self.tables_lost.iter().map(|table| format!("table {} is removed", quoted(table)));
        let gained = self.tables_gained.iter().map(|table| format!("table {} is added", quoted(table)));
        let mut all: Vec<String> = versions.into_iter().chain(columns).chain(lost).chain(gained).collect();
        if all.len() > NAMED {
            let more = all.len() - NAMED;
            all.truncate(NAMED);
            all.push(format!("and {more} more changes"));
        }
        all.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(user_version: i32, tables: &[(&str, Option<&[&str]>)]) -> Schema {
        let columns = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let tables = tables.iter().map(|(name, names)| ((*name).to_owned(), names.as_ref().map(columns)));
        Schema { user_version, tables: tables.collect() }
    }

    #[test]
    fn equal_schemas_have_no_difference() {
        let one = schema(5, &[("t", Some(&["x", "y"]))]);
        let other_case = schema(5, &[("T", Some(&["X", "Y"]))]);
        for other in [&one, &other_case] {
            let difference = difference(&one, other);
            assert!(difference.is_empty() && difference.columns_compared, "{difference:?}");
            assert_eq!(difference.line(), "");
        }
    }

    #[test]
    fn tables_and_columns_only_in_the_database_are_lost() {
        let archive = schema(5, &[("t", Some(&["x"])), ("old", Some(&["a"]))]);
        let database = schema(9, &[("t", Some(&["x", "y", "z"])), ("new", None)]);
        let back = difference(&archive, &database);
        assert_eq!(
            back.line(),
            "user_version: archive 5, database 9; table \"t\" loses columns \"y\", \"z\"; table \"new\" is removed; \
             table \"old\" is added"
        );
        assert!(back.columns_compared, "no table that both have is unknown");
        let forth = difference(&database, &archive);
        assert_eq!(
            (forth.columns[0].gained.len(), forth.tables_lost, forth.tables_gained),
            (2, vec!["old".into()], vec!["new".into()])
        );
    }

    #[test]
    fn unknown_columns_are_not_compared() {
        let difference = difference(&schema(1, &[("t", None)]), &schema(1, &[("t", Some(&["x"]))]));
        assert!(difference.is_empty() && !difference.columns_compared);
    }

    #[test]
    fn a_renamed_column_is_lost_and_gained() {
        let difference = difference(&schema(0, &[("t", Some(&["a"]))]), &schema(0, &[("t", Some(&["b"]))]));
        assert_eq!(difference.line(), "table \"t\" loses column \"b\" and gains column \"a\"");
    }

    #[test]
    fn only_the_first_of_many_changes_are_listed() {
        let names: Vec<String> = (0..20).map(|number| format!("t{number:02}")).collect();
        let many = Schema { user_version: 0, tables: names.iter().map(|name| (name.clone(), None)).collect() };
        let line = difference(&Schema::default(), &many).line();
        assert!(line.starts_with("table \"t00\" is removed; ") && line.ends_with("; and 12 more changes"), "{line}");
        let hostile = schema(0, &[("a\u{1b}[31m", None)]);
        assert!(!difference(&hostile, &Schema::default()).line().contains('\u{1b}'));
    }
}
