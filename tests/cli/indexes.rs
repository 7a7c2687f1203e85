//! An index is not data: an incomplete index is backed up and restored, one that contradicts its table is
//! damage.

use rusqlite::Connection;

use crate::world::World;

const LAGGING_FTS4: &str = "CREATE TABLE m(id INTEGER PRIMARY KEY, t TEXT);
    CREATE VIRTUAL TABLE f USING fts4(t, content='m');
    INSERT INTO m(t) VALUES('x'),('y'); INSERT INTO f(f) VALUES('rebuild'); UPDATE m SET t='z' WHERE id=2;";
const LAGGING_FTS5: &str = "CREATE TABLE m(id INTEGER PRIMARY KEY, t TEXT);
    CREATE VIRTUAL TABLE f USING fts5(t, content='m', content_rowid='id');
    INSERT INTO m(t) VALUES('x'),('y'); INSERT INTO f(f) VALUES('rebuild'); UPDATE m SET t='z' WHERE id=2;";

/// Makes `app.db` with an index that lacks the entries of the rows that `late` inserts.
pub fn lagging(world: &World, table: &str, index: &str, late: &str) {
    world.sql("app.db", &format!("{table}; {index};"));
    without_indexes(world, late);
}

/// Runs SQL on `app.db` through a connection that does not see its indexes, so that they go stale.
fn without_indexes(world: &World, sql: &str) {
    let connection = Connection::open(world.path("app.db")).unwrap();
    connection
        .execute_batch(
            "CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE type='index' AND sql IS NOT NULL;
             PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE type='index' AND sql IS NOT NULL;",
        )
        .unwrap();
    let kept: Vec<[rusqlite::types::Value; 5]> = {
        let mut statement = connection.prepare("SELECT * FROM temp.kept").unwrap();
        let rows = statement
            .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))
            .unwrap();
        rows.map(Result::unwrap).collect()
    };
    connection.close().unwrap();
    world.sql("app.db", sql);
    let connection = Connection::open(world.path("app.db")).unwrap();
    connection.execute_batch("PRAGMA writable_schema=ON").unwrap();
    for row in kept {
        connection.execute("INSERT INTO sqlite_schema VALUES(?1, ?2, ?3, ?4, ?5)", row).unwrap();
    }
    connection.close().unwrap();
}

/// Returns what the newest archive says about the integrity of its database.
fn recorded(world: &World) -> String {
    world.heirloom(["show", "--json"]).success().json()["metadata"]["databases"][0]["integrity"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Backs up, and asserts that the database counts as one whose indexes must be rebuilt, that it is reported once, and
/// that every command treats it as good.
#[track_caller]
fn must_be_rebuilt(world: &mut World, statement: &str) {
    let ran = world.heirloom(["backup", "app.db"]).exits(3).says("every row can be read").says(statement);
    assert!(!ran.stderr.contains("damaged"), "{}", ran.stderr);
    assert_eq!(recorded(world), "indexes");

    world.at("2026-03-02");
    let ran = world.heirloom(["backup", "app.db"]).success();
    assert_eq!(ran.stderr, "", "known since yesterday");
    world.heirloom(["backup", "app.db", "-v"]).success().says(statement);
    let json = world.heirloom(["backup", "app.db", "--json"]).success().json();
    assert_eq!(json["findings"][0]["new"], false);
    world.heirloom(["verify", "--all"]).success().says(statement);
    world.heirloom(["guard", "app.db", "--", "true"]).success();
    let show = world.heirloom(["show"]).success();
    assert!(show.stdout.contains(statement), "{}", show.stdout);
    let health = world.heirloom(["health", "app.db", "--check", "full"]).exits(20);
    assert!(health.stdout.contains(statement), "{}", health.stdout);

    // As it is, and rebuilt.
    world.heirloom(["restore", "latest", "--to", "same.db"]).success().says(statement);
    world.heirloom(["restore", "latest", "--to", "new.db", "--rebuild-indexes"]).success().says(statement);
    std::fs::rename(world.path("new.db"), world.path("app.db")).unwrap();
    world.at("2026-03-03");
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(recorded(world), "ok");
    world.heirloom(["health", "app.db"]).success();
}

#[test]
fn a_full_text_index_that_lags_behind_its_content_must_be_rebuilt() {
    for sql in [LAGGING_FTS4, LAGGING_FTS5] {
        let mut world = World::new();
        world.sql("app.db", sql);
        must_be_rebuilt(&mut world, "INSERT INTO f(f) VALUES('rebuild')");
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM f WHERE f MATCH 'z'"), "1");
    }
}

#[test]
fn a_full_text_index_that_is_broken_over_sound_tables_must_be_rebuilt() {
    for sql in [
        "CREATE TABLE m(id INTEGER PRIMARY KEY, t TEXT); CREATE VIRTUAL TABLE f USING fts4(t, content='m');
         INSERT INTO m(t) VALUES('x'),('y'); INSERT INTO f(f) VALUES('rebuild'); DELETE FROM f_segdir;",
        "CREATE TABLE m(id INTEGER PRIMARY KEY, t TEXT); CREATE VIRTUAL TABLE f USING fts5(t, content='m', \
         content_rowid='id');
         INSERT INTO m(t) VALUES('x'),('y'); INSERT INTO f(f) VALUES('rebuild'); DELETE FROM f_data WHERE id>10;",
        "CREATE VIRTUAL TABLE f USING fts5(t); INSERT INTO f VALUES('x'),('y'); DELETE FROM f_idx; DELETE FROM f_data \
         WHERE id>10;",
        "CREATE VIRTUAL TABLE f USING fts4(t); INSERT INTO f VALUES('x'),('y'); DELETE FROM f_segdir;",
        "CREATE VIRTUAL TABLE f USING fts3(t); INSERT INTO f VALUES('x'),('y'); DELETE FROM f_segdir;",
        "PRAGMA journal_mode=WAL; CREATE VIRTUAL TABLE f USING fts5(t); INSERT INTO f VALUES('x'),('y'); DELETE FROM \
         f_docsize;",
    ] {
        let mut world = World::new();
        world.sql("app.db", sql);
        must_be_rebuilt(&mut world, "INSERT INTO f(f) VALUES('rebuild')");
    }
}

/// An index entry without its row in the table is a lost row.
#[test]
fn a_full_text_index_that_knows_a_lost_row_is_damage() {
    for module in ["fts4", "fts5"] {
        let world = World::new();
        world.sql(
            "app.db",
            &format!("CREATE VIRTUAL TABLE f USING {module}(t); INSERT INTO f VALUES('x'),('y'),('z');"),
        );
        world.sql(
            "app.db",
            if module == "fts4" { "DELETE FROM f_content WHERE docid=2" } else { "DELETE FROM f_content WHERE id=2" },
        );
        world.heirloom(["backup", "app.db"]).exits(13).says("1 document without a row").says("heirloom list");
    }
    // Nothing is left to rebuild it from.
    let world = World::new();
    world.sql(
        "app.db",
        "CREATE VIRTUAL TABLE f USING fts5(t, content=''); INSERT INTO f(rowid, t) VALUES(1, 'x'),(2, 'y'); DELETE \
         FROM f_data WHERE id>10;",
    );
    world.heirloom(["backup", "app.db"]).exits(13).says("damaged");
}

#[test]
fn a_b_tree_index_that_lacks_entries_must_be_rebuilt() {
    let notes = "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
        INSERT INTO t SELECT i, 'n' || i, i % 7 FROM n";
    let late = "INSERT INTO t VALUES(1000, 'late', 3),(1001, 'later', 3)";
    for (table, index, late, statement) in [
        (notes, "CREATE INDEX i ON t(b)", late, "REINDEX i"),
        (notes, "CREATE UNIQUE INDEX i ON t(b, c)", late, "REINDEX i"),
        (notes, "CREATE INDEX i ON t(b) WHERE c = 3", late, "REINDEX i"),
        (notes, "CREATE INDEX i ON t(upper(b), c + 1)", late, "REINDEX i"),
        (notes, "CREATE INDEX \"order\" ON t(b COLLATE NOCASE DESC)", late, "REINDEX \"order\""),
        (
            "CREATE TABLE t(a TEXT PRIMARY KEY, b TEXT) WITHOUT ROWID; INSERT INTO t VALUES('x', 1),('y', 2)",
            "CREATE INDEX i ON t(b)",
            "INSERT INTO t VALUES('z', 3)",
            "REINDEX i",
        ),
    ] {
        let mut world = World::new();
        lagging(&world, table, index, late);
        must_be_rebuilt(&mut world, statement);
        assert_eq!(world.ask("app.db", "PRAGMA integrity_check"), "ok");
    }
}

/// More than the hundred lines that a check of SQLite's gives by itself.
#[test]
fn an_index_that_lacks_thousands_of_entries_is_one_finding() {
    let world = World::new();
    let late = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT \
    i, 'n' || i FROM n";
    lagging(
        &world,
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES(1, 'x')",
        "CREATE INDEX i ON t(b)",
        late,
    );
    let json = world.heirloom(["backup", "app.db", "--json"]).exits(3).json();
    assert_eq!(json["findings"].as_array().unwrap().len(), 1);
    assert!(json["findings"][0]["finding"].as_str().unwrap().contains("lacks 4999 entries"), "{json}");
}

/// A flipped bit in a row looks like an index that lacks one entry, and `REINDEX` would hide it.
#[test]
fn a_row_that_is_missing_from_an_index_of_equal_size_is_damage() {
    let world = World::new();
    lagging(
        &world,
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES(5, 'x'),(17, 'y'),(40, 'z')",
        "CREATE INDEX by_b ON t(b)",
        "UPDATE t SET b='Y' WHERE a=17",
    );
    let ran = world.heirloom(["backup", "app.db"]).exits(13).says("rowid 17").says("1 entry without its row");
    // Both ways.
    ran.says("heirloom list").says("sqlite3 app.db 'REINDEX by_b'");
    assert_eq!(world.archives(), [""; 0]);
    world.heirloom(["backup", "app.db", "--keep-damaged"]).exits(3);
    let shown = world.heirloom(["show", world.archives()[0].as_str(), "--json"]).json();
    assert_eq!(shown["metadata"]["databases"][0]["integrity"], "damaged");
}

#[test]
fn an_entry_without_its_row_is_damage_also_where_others_are_missing() {
    for late in [
        "DELETE FROM t WHERE a=2",
        "UPDATE t SET b='Y' WHERE a=2; INSERT INTO t VALUES(7, 'new'),(8, 'newer')",
        "DELETE FROM t WHERE a=2; INSERT INTO t VALUES(7, 'new'),(8, 'newer')",
    ] {
        let world = World::new();
        lagging(
            &world,
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES(1, 'x'),(2, 'y'),(3, 'z')",
            "CREATE INDEX i ON t(b)",
            late,
        );
        world.heirloom(["backup", "app.db"]).exits(13).says("1 entry without its row");
    }
    // In a partial index: the row left it by a change that the index did not see.
    let world = World::new();
    lagging(
        &world,
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INT); INSERT INTO t VALUES(1, 'x', 1),(2, 'y', 1),(3, 'z', 1)",
        "CREATE INDEX i ON t(b) WHERE c",
        "UPDATE t SET c=0 WHERE a=2; INSERT INTO t VALUES(7, 'new', 1),(8, 'newer', 1)",
    );
    world.heirloom(["backup", "app.db"]).exits(13).says("1 entry without its row");
    // Named by its primary key where there is no rowid.
    let world = World::new();
    lagging(
        &world,
        "CREATE TABLE t(a TEXT PRIMARY KEY, b TEXT) WITHOUT ROWID; INSERT INTO t VALUES('k1', 'x'),('k2', 'y')",
        "CREATE INDEX i ON t(b)",
        "UPDATE t SET b='z' WHERE a='k2'",
    );
    world.heirloom(["backup", "app.db"]).exits(13).says("primary key 'k2'");
}

/// An unreadable page beside a stale index: damage, without a hint to rebuild.
#[test]
fn damage_beside_an_index_that_lags_stays_damage() {
    let world = World::new();
    lagging(
        &world,
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE TABLE u(x BLOB); INSERT INTO u \
         VALUES(randomblob(3000)),(randomblob(3000)),(randomblob(3000))",
        "CREATE INDEX i ON t(b)",
        "INSERT INTO t VALUES(1, 'x')",
    );
    let root: usize = world.ask("app.db", "SELECT rootpage FROM sqlite_schema WHERE name='u'").parse().unwrap();
    let mut bytes = std::fs::read(world.path("app.db")).unwrap();
    bytes[(root - 1) * 4096..root * 4096 - 3000].fill(0x55);
    std::fs::write(world.path("app.db"), bytes).unwrap();
    let ran = world.heirloom(["backup", "app.db"]).exits(13).says("damaged");
    assert!(!ran.stderr.contains("REINDEX"), "{}", ran.stderr);
}

/// An index with an unknown collation is checked only partially; a stale index elsewhere is still found.
#[test]
fn an_index_with_an_unknown_collation_is_partial() {
    let world = World::new();
    // The collation of the index is renamed in the schema to an unknown one.
    world.sql(
        "app.db",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t(b); CREATE TABLE v(x \
    TEXT); CREATE INDEX j ON v(x COLLATE NOCASE);
        INSERT INTO t VALUES(1, 'x'); INSERT INTO v VALUES('x');
        PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE INDEX j ON v(x COLLATE app)' WHERE name='j';",
    );
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(recorded(&world), "partial");
    without_indexes(&world, "INSERT INTO t VALUES(2, 'y')");
    world
        .heirloom(["backup", "app.db", "-v"])
        .exits(3)
        .says("REINDEX i")
        .says("known: app: table \"v\" could not be checked: no such collation sequence: app");
    world.heirloom(["restore", "latest", "--to", "new.db", "--rebuild-indexes"]).success();
    assert_eq!(world.ask("new.db", "SELECT count(*) FROM t INDEXED BY i WHERE b='y'"), "1");
}

/// An index that cannot be rebuilt leaves the target as it is.
#[test]
fn a_rebuild_that_fails_changes_nothing() {
    let world = World::new();
    lagging(
        &world,
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES(1, 'x')",
        "CREATE UNIQUE INDEX i ON t(b)",
        "INSERT INTO t VALUES(2, 'x')",
    );
    world.heirloom(["backup", "app.db"]).exits(3);
    let before = std::fs::read(world.path("app.db")).unwrap();
    let ran = world.heirloom(["restore", "latest", "--force", "--rebuild-indexes"]);
    assert_ne!(ran.code, 0);
    ran.says("cannot be rebuilt, nothing was changed").says("UNIQUE constraint failed");
    assert!(std::fs::read(world.path("app.db")).unwrap() == before);
    world.heirloom(["restore", "latest", "--force"]).success();
}

/// In place, under an application that has it open.
#[test]
fn a_live_database_gets_rebuilt_indexes() {
    for mode in ["WAL", "DELETE"] {
        let world = World::new();
        world.sql("app.db", &format!("PRAGMA journal_mode={mode}; {LAGGING_FTS4}"));
        let reader = Connection::open(world.path("app.db")).unwrap();
        world.heirloom(["backup", "app.db"]).exits(3);
        let ran = world.heirloom(["restore", "latest", "--force", "--rebuild-indexes", "--json"]).success().json();
        assert_eq!(ran["databases"][0]["method"], "replaced");
        let found: i64 = reader.query_row("SELECT count(*) FROM f WHERE f MATCH 'z'", [], |row| row.get(0)).unwrap();
        assert_eq!(found, 1);
    }
}

/// The content of a full-text index may be a view that only its application can read, or be gone: that is no verdict.
#[test]
fn a_full_text_index_that_cannot_be_compared_is_a_note() {
    let world = World::new();
    world.sql(
        "app.db",
        "CREATE TABLE m(id INTEGER PRIMARY KEY, t TEXT); CREATE VIEW v AS SELECT id, only_mine(t) AS t FROM m; INSERT \
         INTO m VALUES(1, 'x');
         CREATE VIRTUAL TABLE f USING fts5(t, content='v', content_rowid='id');
         INSERT INTO f(rowid, t) VALUES(1, 'x');",
    );
    world.heirloom(["backup", "app.db"]).success().says("the content of full-text index \"f\" could not be compared");
    assert_eq!(recorded(&world), "ok");
}
