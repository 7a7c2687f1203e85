//! The findings of checking a copy: damage, parts that cannot be checked, rows that break a constraint; and the
//! recorded facts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heirloom::database::{Checked, Depth, Effort, SourceError, check, count_rows, facts, vacuum};
use heirloom::metadata::Integrity;
use heirloom::progress::{Progress, Silent, Stage};

/// A database in its own folder, created by a Python script with a connection in `c`.
struct Made {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Made {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        let made = Self { folder, path };
        made.run(script);
        made
    }

    fn run(&self, script: &str) -> String {
        let script =
            format!("import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n{script}\nc.close()");
        let output = Command::new("python3").arg("-c").arg(script).arg(&self.path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Checks the copy, as a whole and in parts; both results must be equal, and the file unchanged and without
    /// sidecars.
    fn check(&self, depth: Depth) -> Checked {
        self.try_check(depth).unwrap()
    }

    /// The same for a copy that may not even be a database.
    fn try_check(&self, depth: Depth) -> Option<Checked> {
        let before = fs::read(&self.path).unwrap();
        let checked = check(&self.path, depth, Effort::single(), &Silent).ok();
        for threads in [2, 3] {
            let effort = Effort::threads(NonZeroUsize::new(threads).unwrap());
            assert_eq!(check(&self.path, depth, effort, &Silent).ok(), checked);
        }
        assert_eq!(fs::read(&self.path).unwrap(), before);
        assert_eq!(self.names(), ["copy.db"]);
        checked
    }

    fn names(&self) -> Vec<String> {
        fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn damage(&self, at: usize, bytes: &[u8]) {
        let mut content = fs::read(&self.path).unwrap();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&self.path, content).unwrap();
    }
}

const PLAIN: &str = r#"
c.executescript("""CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INT); CREATE INDEX tb ON t(b);
WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM i WHERE x<2000)
INSERT INTO t SELECT x, 'row ' || x, x FROM i;""")
"#;

#[test]
fn a_sound_copy_is_ok_at_every_depth() {
    for mode in ["delete", "wal"] {
        let made = Made::new(&format!("c.execute('PRAGMA journal_mode={mode}')\n{PLAIN}"));
        for depth in [Depth::Quick, Depth::Full, Depth::Deep] {
            let checked = made.check(depth);
            assert_eq!(
                checked,
                Checked {
                    integrity: Integrity::Ok,
                    findings: vec![],
                    foreign_key_violations: Some(0),
                    rebuild: Vec::new()
                }
            );
        }
        assert_eq!(made.check(Depth::None).integrity, Integrity::Unchecked);
    }
}

#[test]
fn a_full_text_index_that_contradicts_its_text_must_be_rebuilt() {
    let script = "c.executescript(\"CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES('one two'),('three'); \
                  CREATE TABLE t(a)\")";
    let made = Made::new(script);
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Ok);
    made.run("c.execute(\"UPDATE f_content SET c0='four' WHERE id=2\")");
    let checked = made.check(Depth::Full);
    assert_eq!((checked.integrity, checked.findings.len()), (Integrity::Indexes, 1), "{:?}", checked.findings);
    assert!(checked.findings[0].starts_with("full-text index \"f\" "), "{:?}", checked.findings);
}

/// A database with every kind of page: tables, indexes, overflow, a freelist with several trunks, and a full-text table
/// with external content.
const ALL_PAGES: &str = r#"
c.executescript("""PRAGMA page_size=512; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX tb ON t(b);
CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE gone(x);
WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM i WHERE x<300)
INSERT INTO t SELECT x, printf('row %d %.*c', x, x % 90 * 20, 'x') FROM i;
INSERT INTO w SELECT b, a FROM t; INSERT INTO gone SELECT zeroblob(3000) FROM t; DROP TABLE gone;
CREATE VIRTUAL TABLE f USING fts5(b, content='t', content_rowid='a'); INSERT INTO f(f) VALUES('rebuild');""")
"#;

#[test]
fn pages_without_a_use_and_pages_with_two_are_found_in_parts_as_well() {
    let made = Made::new(ALL_PAGES);
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Ok);
    let good = fs::read(&made.path).unwrap();
    let number = |at: usize| u32::from_be_bytes(good[at..at + 4].try_into().unwrap());
    let trunk = number(32);
    let leaf = number((trunk as usize - 1) * 512 + 8);
    assert!(number(36) > 500, "several trunks");
    let lead = |pages: u32| (pages as usize - 1) * 512;
    for (what, at, value) in [
        ("the freelist ends early", lead(trunk), 0),
        ("a leaf is missing from the freelist", lead(trunk) + 4, number(lead(trunk) + 4) - 1),
        ("the freelist lists a leaf twice", lead(trunk) + 12, leaf),
        ("the freelist lists a page of a table", lead(trunk) + 8, 2),
        ("the freelist leads back to itself", lead(trunk), trunk),
        ("the freelist lists a page beyond the end", lead(trunk) + 8, u32::MAX),
        ("a trunk has more leaves than fit", lead(trunk) + 4, 127),
        ("the header counts more free pages", 36, number(36) + 1),
    ] {
        fs::write(&made.path, &good).unwrap();
        made.damage(at, &value.to_be_bytes());
        assert_eq!(made.check(Depth::Full).integrity, Integrity::Damaged, "{what}");
    }
    // A page that nothing uses, beside a freelist that is intact.
    fs::write(&made.path, &good).unwrap();
    made.damage(lead(trunk) + 4, &(number(lead(trunk) + 4) - 1).to_be_bytes());
    made.damage(36, &(number(36) - 1).to_be_bytes());
    let checked = made.check(Depth::Full);
    assert!(checked.findings.iter().any(|finding| finding.contains("never used")), "{:?}", checked.findings);
    // Two tables with one root.
    fs::write(&made.path, &good).unwrap();
    made.run(
        "c.execute('PRAGMA writable_schema=ON')\nc.execute(\"INSERT INTO sqlite_schema SELECT 'table', 'u', 'u', \
         rootpage, 'CREATE TABLE u(a INTEGER PRIMARY KEY, b)' FROM sqlite_schema WHERE name='t'\")",
    );
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Damaged);
}

#[test]
fn whatever_is_changed_the_parts_find_what_the_whole_finds() {
    let made = Made::new(ALL_PAGES);
    let good = fs::read(&made.path).unwrap();
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut damaged = 0;
    for round in 0..300 {
        fs::write(&made.path, &good).unwrap();
        // Mostly page headers and the pointers behind them, where damage moves pages.
        let at = if round % 3 == 0 { next(good.len()) } else { next(good.len() / 512) * 512 + next(24) };
        made.damage(at, &[next(256) as u8]);
        // Both checks are compared.
        damaged +=
            usize::from(made.try_check(Depth::Full).is_some_and(|checked| checked.integrity == Integrity::Damaged));
    }
    assert!((100..300).contains(&damaged), "{damaged}");
}

#[test]
fn an_outdated_full_text_index_is_found_in_parts_as_well() {
    let made = Made::new(ALL_PAGES);
    made.run("c.execute(\"UPDATE t SET b='other' WHERE a=7\")");
    let checked = made.check(Depth::Full);
    assert_eq!(checked.integrity, Integrity::Indexes, "{:?}", checked.findings);
    assert_eq!(checked.rebuild, ["INSERT INTO f(f) VALUES('rebuild')"]);
}

/// Changes a value only in the table, so that its index contradicts it.
fn part_table_from_index(made: &Made) {
    let content = fs::read(&made.path).unwrap();
    let places: Vec<usize> =
        content.windows(8).enumerate().filter(|(_, window)| *window == b"row 1999").map(|(at, _)| at).collect();
    assert_eq!(places.len(), 2, "once in the table, once in the index");
    made.damage(places[0], b"row 1x99");
}

#[test]
fn an_index_that_contradicts_its_table_is_damage_found_only_by_the_full_check() {
    let made = Made::new(PLAIN);
    part_table_from_index(&made);
    assert_eq!(made.check(Depth::Quick).integrity, Integrity::Ok);
    let checked = made.check(Depth::Full);
    assert_eq!(checked.integrity, Integrity::Damaged);
    assert!(checked.findings.iter().any(|line| line == "row 1999 missing from index tb"), "{:?}", checked.findings);
}

#[test]
fn a_broken_freelist_is_found_although_a_view_hides_it() {
    let made = Made::new(PLAIN);
    made.run("c.execute('DELETE FROM t WHERE a>100'); c.execute('CREATE VIEW v AS SELECT 1')");
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Ok);
    let count = facts(&made.path).unwrap().freelist_count;
    assert!(count > 3);
    made.damage(36, &u32::try_from(count - 3).unwrap().to_be_bytes());
    for depth in [Depth::Quick, Depth::Full] {
        let checked = made.check(depth);
        assert_eq!(checked.integrity, Integrity::Damaged);
        assert!(checked.findings[0].to_lowercase().contains("freelist"), "{:?}", checked.findings);
        assert_eq!(checked.findings.iter().collect::<BTreeSet<_>>().len(), checked.findings.len(), "no finding twice");
    }
}

/// Makes rows of `t` break a constraint that was added after they were written.
fn promise(constraint: &str) -> String {
    format!(
        "c.execute('PRAGMA writable_schema=ON')
c.execute(\"UPDATE sqlite_schema SET sql='CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INT {constraint})' WHERE \
name='t'\")"
    )
}

#[test]
fn rows_that_break_a_constraint_are_findings_but_not_damage() {
    for mode in ["delete", "wal"] {
        let made = Made::new(&format!("c.execute('PRAGMA journal_mode={mode}')\n{PLAIN}"));
        made.run("c.execute('UPDATE t SET c=NULL WHERE a=5')");
        made.run(&promise("NOT NULL"));
        let checked = made.check(Depth::Full);
        assert_eq!(
            (checked.integrity, checked.findings.as_slice()),
            (Integrity::Partial, ["NULL value in t.c".to_owned()].as_slice())
        );
        made.run("c.execute('PRAGMA ignore_check_constraints=ON'); c.execute('UPDATE t SET c=1 WHERE c IS NULL')");
        made.run(&promise("CHECK(c<>6 AND c<>7)"));
        let checked = made.check(Depth::Full);
        assert_eq!(checked.integrity, Integrity::Partial, "{:?}", checked.findings);
        assert_eq!(checked.findings, ["CHECK constraint failed in t", "1 more row of this kind"]);
    }
}

#[test]
fn damage_is_found_among_a_thousand_violations() {
    let made = Made::new(PLAIN);
    made.run("c.execute('UPDATE t SET c=NULL WHERE a<1900')");
    made.run(&promise("NOT NULL"));
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Partial);
    part_table_from_index(&made);
    let checked = made.check(Depth::Full);
    assert_eq!(checked.integrity, Integrity::Damaged, "{:?}", checked.findings);
    assert!(checked.findings[0].contains("index \"tb\""), "damage comes first: {:?}", checked.findings);
    assert_eq!(checked.findings.last().unwrap(), "1,898 more rows of this kind");
    assert!(checked.findings.len() <= 100);
}

#[test]
fn a_missing_collation_or_function_makes_a_check_partial_and_is_named() {
    let made = Made::new(PLAIN);
    made.run(
        "c.create_collation('phonebook', lambda a, b: (a > b) - (a < b))
c.executescript('CREATE TABLE names(n TEXT); CREATE INDEX nn ON names(n COLLATE phonebook); INSERT INTO names \
VALUES(1),(2),(3);')",
    );
    let checked = made.check(Depth::Full);
    assert_eq!(checked.integrity, Integrity::Partial);
    assert_eq!(checked.findings, ["table \"names\" could not be checked: no such collation sequence: phonebook"]);
    let error = vacuum(&made.path, &made.path.with_extension("vacuumed")).unwrap_err().to_string();
    assert!(error.contains("phonebook"), "{error}");
    assert_eq!(made.names(), ["copy.db"]);

    // The other table is still checked.
    part_table_from_index(&made);
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Damaged);
}

#[test]
fn foreign_key_violations_are_counted_but_are_not_damage() {
    let made = Made::new(
        "c.executescript('CREATE TABLE p(a INTEGER PRIMARY KEY); CREATE TABLE k(b REFERENCES p(a)); INSERT INTO k \
         VALUES(1),(2),(NULL);')",
    );
    let checked = made.check(Depth::Full);
    assert_eq!((checked.integrity, checked.foreign_key_violations), (Integrity::Ok, Some(2)));
    assert_eq!(checked.findings, ["2 rows break a foreign key"]);

    made.run("c.execute('CREATE TABLE m(x REFERENCES p(missing))')");
    let checked = made.check(Depth::Full);
    assert_eq!((checked.integrity, checked.foreign_key_violations), (Integrity::Ok, None));
    assert!(checked.findings[0].starts_with("foreign keys could not be checked: "), "{:?}", checked.findings);
}

#[test]
fn an_unreadable_schema_is_damage_and_its_text_is_made_printable() {
    let made = Made::new(PLAIN);
    made.run(
        r#"c.execute('PRAGMA writable_schema=ON')
c.execute("UPDATE sqlite_schema SET sql='CREATE \x1b[31m TABLE' || x'ff' WHERE name='t'")"#,
    );
    let checked = made.check(Depth::Full);
    assert_eq!(checked.integrity, Integrity::Damaged);
    assert!(checked.findings[0].starts_with("malformed database schema"), "{:?}", checked.findings);
    assert!(checked.findings.iter().all(|line| !line.chars().any(char::is_control)));
    assert!(matches!(facts(&made.path), Err(SourceError::Damaged { .. })));
}

#[test]
fn a_truncated_copy_is_damaged_and_another_file_has_no_facts() {
    let made = Made::new(PLAIN);
    let content = fs::read(&made.path).unwrap();
    fs::write(&made.path, &content[..content.len() / 2]).unwrap();
    assert_eq!(made.check(Depth::Quick).integrity, Integrity::Damaged);
    fs::write(&made.path, "no database at all, but longer than a header would be ".repeat(9)).unwrap();
    assert_eq!(made.check(Depth::Quick).integrity, Integrity::Damaged);
    assert!(matches!(facts(&made.path), Err(SourceError::NotADatabase { .. })));
}

#[test]
fn facts_are_those_of_the_pragmas() {
    let made = Made::new(&format!(
        "c.executescript('''PRAGMA page_size=1024; PRAGMA encoding=\"UTF-16be\"; PRAGMA auto_vacuum=INCREMENTAL; \
         PRAGMA application_id=-7;
PRAGMA user_version=2147483647;''')
c.execute('PRAGMA journal_mode=WAL')\n{PLAIN}
c.executescript('''DELETE FROM t WHERE a>1000; CREATE VIEW v AS SELECT 1; CREATE TRIGGER r AFTER INSERT ON t BEGIN \
SELECT 1; END;
CREATE TABLE \"a\"\"b\"(x); CREATE TABLE s(x INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO s VALUES(1);''')"
    ));
    let facts = facts(&made.path).unwrap();
    let pragma = |name: &str| made.run(&format!("print(c.execute('PRAGMA {name}').fetchone()[0])"));
    assert_eq!(facts.page_size.to_string(), pragma("page_size"));
    assert_eq!(facts.page_count.to_string(), pragma("page_count"));
    assert_eq!(facts.freelist_count.to_string(), pragma("freelist_count"));
    assert!(facts.freelist_count > 0);
    assert_eq!(
        (facts.encoding.as_str(), facts.journal_mode.as_str(), facts.auto_vacuum.as_str()),
        ("UTF-16be", "wal", "incremental")
    );
    assert_eq!((facts.application_id, facts.user_version), (-7, i32::MAX));
    assert_eq!((facts.index_count, facts.trigger_count, facts.view_count), (1, 1, 1));
    assert_eq!(facts.tables, ["a\"b", "s", "t"]);
    assert_eq!(count_rows(&made.path, &facts.tables, &Silent).unwrap(), [Some(0), Some(1), Some(1000)]);
    assert_eq!(count_rows(&made.path, &["nothing".into()], &Silent).unwrap(), [None]);
}

#[test]
fn a_table_name_that_is_not_utf8_only_prevents_counting_that_table() {
    let made = Made::new(
        "c.execute('CREATE TABLE one(x)'); c.execute('CREATE TABLE two(x)'); c.execute('PRAGMA writable_schema=ON')
c.execute(\"UPDATE sqlite_schema SET name=cast(x'ff' AS TEXT), tbl_name=cast(x'ff' AS TEXT), \
sql=cast(x'435245415445205441424c452022ff22287829' AS TEXT) WHERE name='one'\")",
    );
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Ok);
    let facts = facts(&made.path).unwrap();
    assert_eq!(facts.tables, ["two", "\u{fffd}"]);
    assert_eq!(count_rows(&made.path, &facts.tables, &Silent).unwrap(), [Some(0), None]);
}

#[test]
fn the_digest_of_a_schema_depends_only_on_its_texts() {
    let digest = |made: &Made| facts(&made.path).unwrap().schema_sha256;
    let first = Made::new(PLAIN);
    let same = Made::new(&format!(
        "c.execute('PRAGMA page_size=8192'); c.execute('CREATE TABLE gone(x)'); c.execute('DROP TABLE gone')\n{PLAIN}"
    ));
    assert_eq!(digest(&first), digest(&same), "rows, pages and page size do not matter");
    same.run("c.execute('CREATE INDEX tc ON t(c)')");
    assert_ne!(digest(&first), digest(&same));
}

#[test]
fn a_vacuum_keeps_everything_but_the_free_pages() {
    for (mode, auto) in [("wal", "NONE"), ("delete", "FULL"), ("wal", "INCREMENTAL")] {
        let made = Made::new(&format!(
            "c.executescript('PRAGMA page_size=2048; PRAGMA encoding=\"UTF-16le\"; PRAGMA auto_vacuum={auto}; PRAGMA \
             application_id=9; PRAGMA user_version=8;')
c.execute('PRAGMA journal_mode={mode}')\n{PLAIN}\nc.execute('CREATE TABLE z AS SELECT randomblob(100000)'); \
c.execute('DROP TABLE z')
c.execute('DELETE FROM t WHERE a%2')"
        ));
        fs::set_permissions(&made.path, fs::Permissions::from_mode(0o600)).unwrap();
        let before = facts(&made.path).unwrap();
        let vacuumed = made.path.with_extension("vacuumed");
        vacuum(&made.path, &vacuumed).unwrap();
        fs::rename(&vacuumed, &made.path).unwrap();
        let mut after = facts(&made.path).unwrap();
        assert!(after.page_count < before.page_count && after.freelist_count == 0);
        (after.page_count, after.freelist_count) = (before.page_count, before.freelist_count);
        assert_eq!(after, before);
        assert_eq!(made.check(Depth::Full).integrity, Integrity::Ok);
        assert_eq!(fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            made.run(
                "print(c.execute('PRAGMA journal_mode').fetchone()[0], c.execute('SELECT sum(a) FROM t').fetchone()[0])"
            ),
            format!("{mode} 1001000")
        );
    }
}

#[test]
fn a_deep_check_reads_every_row() {
    let made = Made::new(
        "c.executescript('CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB); INSERT INTO t VALUES(1, zeroblob(20000))')",
    );
    assert_eq!(made.check(Depth::Deep).integrity, Integrity::Ok);
    made.run(
        "c.execute('PRAGMA writable_schema=ON')
c.execute(\"INSERT INTO sqlite_schema VALUES('table','v','v',0,'CREATE VIRTUAL TABLE v USING nobody_knows(x)')\")",
    );
    let checked = made.check(Depth::Deep);
    assert_eq!(checked.integrity, Integrity::Partial);
    assert_eq!(checked.findings, ["table \"v\" could not be read: no such module: nobody_knows"]);
    assert_eq!(made.check(Depth::Full).integrity, Integrity::Ok, "its shadow tables would have been checked");
    assert_eq!(count_rows(&made.path, &["t".into(), "v".into()], &Silent).unwrap(), [Some(1), None]);
}

/// Cancels at the second check for cancellation.
struct Stop(AtomicU64);

impl Progress for Stop {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) > 0
    }
}

#[test]
fn a_long_check_can_be_cancelled() {
    // A constraint that takes minutes to check: only an interrupt ends it.
    let made = Made::new(
        "c.executescript('CREATE TABLE t(a); INSERT INTO t WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM \
         i WHERE x<60000) SELECT x FROM i')
c.execute('PRAGMA writable_schema=ON')
c.execute(\"UPDATE sqlite_schema SET sql='CREATE TABLE t(a CHECK(length(hex(zeroblob(3000000)))>a))'\")",
    );
    let started = Instant::now();
    for effort in [Effort::single(), Effort::threads(NonZeroUsize::new(3).unwrap())] {
        assert!(matches!(
            check(&made.path, Depth::Full, effort, &Stop(AtomicU64::new(0))),
            Err(SourceError::Interrupted(_))
        ));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn checks_run_in_parallel() {
    let made = Made::new(PLAIN);
    let path: &Path = &made.path;
    std::thread::scope(|scope| {
        let checks = [Depth::Full, Depth::Deep, Depth::Quick, Depth::Full]
            .map(|depth| scope.spawn(move || check(path, depth, Effort::single(), &Silent).unwrap()));
        for check in checks {
            assert_eq!(check.join().unwrap().integrity, Integrity::Ok);
        }
    });
}
