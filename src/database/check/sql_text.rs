//! Extracts from SQL the few facts that SQLite does not report: the condition of a partial index, the module of a
//! virtual table.

use rusqlite::Connection;

use crate::database::sqlite::names::quoted_identifier;

/// Returns the condition of a partial index from its `CREATE INDEX`.
pub(in crate::database) fn condition_of_partial_index(sql: &str) -> Option<&str> {
    words(sql)
        .into_iter()
        .find(|word| word.depth == 0 && word.text.eq_ignore_ascii_case("where"))
        .map(|word| &sql[word.end..])
}

/// Returns the module from a `CREATE VIRTUAL TABLE`.
pub(in crate::database) fn module(sql: &str) -> Option<&str> {
    let words = words(sql);
    let using = words.iter().position(|word| word.depth == 0 && word.text.eq_ignore_ascii_case("using"))?;
    words.get(using + 1).map(|word| word.text)
}

/// Returns whether a full-text table was created without content (`content=''`).
pub(in crate::database) fn is_contentless(sql: &str) -> bool {
    let dense: String = sql.chars().filter(|char| !char.is_whitespace()).collect::<String>().to_ascii_lowercase();
    ["content=''", "content=\"\"", "content=[]", "content=``"].iter().any(|option| dense.contains(option))
}

/// Returns a name for use in a statement, quoted only if necessary.
pub(in crate::database) fn word(connection: &Connection, name: &str) -> String {
    let plain = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && !name.starts_with(|char: char| char.is_ascii_digit());
    // `REINDEX nocase` would mean the collation.
    let collation = ["binary", "nocase", "rtrim"].iter().any(|collation| name.eq_ignore_ascii_case(collation));
    if plain && !collation && !name.is_empty() && connection.prepare(&format!("SELECT 1 AS {name}")).is_ok() {
        name.to_owned()
    } else {
        quoted_identifier(name)
    }
}

/// A word outside quotes and comments.
struct Word<'a> {
    text: &'a str,
    /// The nesting depth of parentheses around it.
    depth: usize,
    /// Where it ends.
    end: usize,
}

/// Returns the words of a statement that are neither quoted nor in a comment.
fn words(sql: &str) -> Vec<Word<'_>> {
    let bytes = sql.as_bytes();
    let mut words = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest[0] {
            quote @ (b'\'' | b'"' | b'`') => past(rest, 1, &[quote]),
            b'[' => past(rest, 1, b"]"),
            b'-' if rest.starts_with(b"--") => past(rest, 2, b"\n"),
            b'/' if rest.starts_with(b"/*") => past(rest, 2, b"*/"),
            b'(' => {
                depth += 1;
                1
            }
            b')' => {
                depth = depth.saturating_sub(1);
                1
            }
            first if is_word(first) => {
                let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                words.push(Word { text: &sql[at..at + length], depth, end: at + length });
                length
            }
            _ => 1,
        };
        at += length;
    }
    words
}

/// Returns the position after the delimiter `end`. A doubled quote closes and opens again.
fn past(bytes: &[u8], from: usize, end: &[u8]) -> usize {
    let found = bytes[from.min(bytes.len())..].windows(end.len()).position(|window| window == end);
    found.map_or(bytes.len(), |found| from + found + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_of_a_partial_index_follows_its_columns() {
        for (sql, condition) in [
            ("CREATE INDEX i ON t(a)", None),
            ("CREATE INDEX i ON t(a) WHERE a > 1", Some(" a > 1")),
            ("CREATE INDEX \"where\" ON t(a, 'it''s where') where(b)", Some("(b)")),
            ("CREATE INDEX [a where] ON t(a) -- where c\n WHERE d", Some(" d")),
            ("CREATE INDEX i ON t(a) /* where */", None),
            ("CREATE INDEX i ON t((SELECT 1 WHERE 2))", None),
            ("CREATE INDEX `i where`ON nowhere(a)", None),
            ("CREATE INDEX i ON t(a) WHERE 'ü' = b", Some(" 'ü' = b")),
            ("CREATE INDEX i ON t('", None),
        ] {
            assert_eq!(condition_of_partial_index(sql), condition, "{sql}");
        }
    }

    #[test]
    fn the_module_of_a_virtual_table_is_the_word_after_using() {
        assert_eq!(module("CREATE VIRTUAL TABLE \"using x\" USING fts5(a, content='using')"), Some("fts5"));
        assert_eq!(module("create virtual table f using FTS4"), Some("FTS4"));
        assert_eq!(module("CREATE TABLE t(a)"), None);
        assert!(is_contentless("CREATE VIRTUAL TABLE f USING fts5(a, content = '')"));
        assert!(!is_contentless("CREATE VIRTUAL TABLE f USING fts5(a, content='m', content_rowid='id')"));
    }

    #[test]
    fn names_are_quoted_only_if_necessary() {
        let connection = Connection::open_in_memory().unwrap();
        for (name, typed) in [
            ("by_text", "by_text"),
            ("order", "\"order\""),
            ("NoCase", "\"NoCase\""),
            ("a b", "\"a b\""),
            ("1a", "\"1a\""),
            ("", "\"\""),
        ] {
            assert_eq!(word(&connection, name), typed);
        }
    }
}
