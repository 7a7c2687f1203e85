//! Databases that another tool copied as files, with what SQLite kept beside them.

use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use crate::world::World;

/// Copies a database in WAL mode while its application has it open: one row in the file, two in the `-wal`.
fn copy_with_wal(world: &World, to: &str) {
    let path = world.path("app.db");
    if path.exists() {
        fs::remove_file(&path).unwrap();
    }
    let application = Connection::open(path).unwrap();
    application
        .execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1); PRAGMA wal_checkpoint(TRUNCATE);
             PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES (2); INSERT INTO t VALUES (3);",
        )
        .unwrap();
    copy(world, "app.db", to, &["", "-wal", "-shm"]);
}

/// Copies a database in the middle of a transaction that has begun to write pages: the sum of all accounts is 200,000
/// before and after it.
fn copy_with_journal(world: &World, to: &str) {
    let application = Connection::open(world.path("bank.db")).unwrap();
    application
        .execute_batch(
            "CREATE TABLE acc(id INTEGER PRIMARY KEY, bal INTEGER, pad BLOB);
             INSERT INTO acc(bal, pad) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000)
                 SELECT 100, zeroblob(500) FROM c;
             PRAGMA cache_size=5; BEGIN IMMEDIATE; CREATE TABLE z(x); UPDATE acc SET bal = bal - 50 WHERE id <= 1000;",
        )
        .unwrap();
    copy(world, "bank.db", to, &["", "-journal"]);
}

fn copy(world: &World, from: &str, to: &str, endings: &[&str]) {
    fs::create_dir_all(world.path(to).parent().unwrap()).unwrap();
    for ending in endings {
        fs::copy(world.path(format!("{from}{ending}")), world.path(format!("{to}{ending}"))).unwrap();
    }
}

fn shell(world: &World, script: &str) {
    assert!(Command::new("sh").args(["-c", script]).current_dir(world.work()).status().unwrap().success(), "{script}");
}

fn digest(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// Restores and verifies an archive; returns what both printed.
#[track_caller]
fn restored(world: &World, archive: &str, query: &str, expected: &str) -> String {
    let verified = world.heirloom(["verify", archive]).success();
    let restored = world.heirloom(["restore", archive, "--to", "new.db"]).success();
    assert_eq!(world.ask("new.db", query), expected, "{}{}", restored.stdout, restored.stderr);
    assert!(!world.path("new.db-wal").exists() && !world.path("new.db-journal").exists());
    fs::remove_file(world.path("new.db")).unwrap();
    verified.stdout + &verified.stderr + &restored.stdout + &restored.stderr
}

const ROWS: &str = "SELECT group_concat(x) FROM t";
const SUM: &str = "SELECT CAST(sum(bal) AS TEXT) FROM acc";

/// One of three committed rows came back, with exit 0.
#[test]
fn rows_that_are_only_in_the_wal_beside_a_plain_database_are_restored() {
    let world = World::new();
    copy_with_wal(&world, "copy/db.sqlite3");
    let before = digest(&world.path("copy"));
    let said = restored(&world, "copy/db.sqlite3", ROWS, "1,2,3");
    assert_eq!(said.matches("from the -wal").count(), 2, "{said}");
    assert!(said.contains("recovered 1 page from the -wal"), "{said}");
    assert_eq!(digest(&world.path("copy")), before, "the copy was touched");
    // The same in a store.
    copy(&world, "copy/db.sqlite3", "backups/db.sqlite3", &["", "-wal"]);
    restored(&world, "db.sqlite3", ROWS, "1,2,3");
}

/// Half a transaction came back: a sum of 150,600, and an integrity check that found nothing.
#[test]
fn a_transaction_that_did_not_end_is_rolled_back() {
    let world = World::new();
    copy_with_journal(&world, "copy/a.db");
    let before = digest(&world.path("copy"));
    let said = restored(&world, "copy/a.db", SUM, "200000");
    assert_eq!(said.matches("rolled back the -journal").count(), 2, "{said}");
    assert_eq!(digest(&world.path("copy")), before, "the copy was touched");
    for (number, options) in ["czf v.tar.gz", "cf v.tar"].iter().enumerate() {
        shell(&world, &format!("tar {options} -C copy ."));
        let said = restored(&world, ["./v.tar.gz", "./v.tar"][number], SUM, "200000");
        assert_eq!(said.matches("rolled back the -journal").count(), 2, "{said}");
    }
}

#[test]
fn a_tar_of_a_volume_is_restored_with_its_sidecars() {
    let world = World::new();
    copy_with_wal(&world, "copy/db.sqlite3");
    copy_with_wal(&world, "copy/old data/f\u{f6}o bar's.db");
    fs::create_dir_all(world.path("copy/attachments/ab/cd")).unwrap();
    fs::write(world.path("copy/attachments/ab/cd/scan (1).pdf"), "attachment").unwrap();
    shell(&world, "tar czf vol.tar.gz -C copy .; tar cf vol.tar copy; tar --format=posix -czf pax.tar.gz -C copy .");
    for archive in ["./vol.tar.gz", "./vol.tar", "./pax.tar.gz"] {
        let verified = world.heirloom(["verify", archive]).success();
        assert_eq!(verified.stderr.matches("from the -wal").count(), 2, "{}", verified.stderr);
        assert!(
            !verified.stderr.contains("-wal\" does not belong") && !verified.stderr.contains("-shm"),
            "{}",
            verified.stderr
        );
        fs::create_dir(world.path("out")).unwrap();
        world.heirloom(["restore", archive, "--to-dir", "out"]).success();
        assert_eq!(world.ask("out/db.sqlite3", ROWS), "1,2,3");
        assert_eq!(world.ask("out/f\u{f6}o bar's.db", ROWS), "1,2,3");
        assert_eq!(world.files("out"), ["db.sqlite3", "f\u{f6}o bar's.db"]);
        fs::remove_dir_all(world.path("out")).unwrap();
    }
    // Nothing is left in the folders for scratch.
    assert!(fs::read_dir(world.work().parent().unwrap().join("tmp")).unwrap().next().is_none());
}

/// Copied in the middle of a checkpoint, the file is shorter than its header says; the `-wal` holds the rest.
#[test]
fn an_unfinished_checkpoint_is_not_damage() {
    let world = World::new();
    let application = Connection::open(world.path("app.db")).unwrap();
    let fill = "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100) SELECT \
    zeroblob(3000) FROM c;";
    application.execute_batch(&format!("PRAGMA journal_mode=WAL; CREATE TABLE t(x); {fill}")).unwrap();
    copy(&world, "app.db", "copy/app.db", &["", "-wal"]);
    application.execute_batch("PRAGMA wal_checkpoint").unwrap();
    let whole = fs::read(world.path("app.db")).unwrap();
    fs::write(world.path("copy/app.db"), &whole[..20 * 4096]).unwrap();
    shell(&world, "tar czf vol.tar.gz -C copy .");
    for archive in ["copy/app.db", "./vol.tar.gz"] {
        restored(&world, archive, "SELECT CAST(count(*) AS TEXT) FROM t", "100");
    }
    fs::remove_file(world.path("copy/app.db-wal")).unwrap();
    shell(&world, "tar czf vol.tar.gz -C copy .");
    for archive in ["copy/app.db", "./vol.tar.gz"] {
        world.heirloom(["verify", archive]).exits(13);
    }
}

#[test]
fn a_sidecar_that_does_not_fit_is_named_and_not_applied() {
    let world = World::new();
    copy_with_wal(&world, "copy/db.sqlite3");
    let good = fs::read(world.path("copy/db.sqlite3-wal")).unwrap();
    // Another database, whose schema is older; another page size; a state before the file; a state after what the file
    // holds.
    let wal_of = |name: &str, sql: &str| {
        let application = Connection::open(world.path(name)).unwrap();
        application.execute_batch(sql).unwrap();
        fs::read(world.path(format!("{name}-wal"))).unwrap()
    };
    let pages =
        wal_of("p.db", "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (9)");
    let utf16 = wal_of(
        "u.db",
        "PRAGMA encoding='UTF-16'; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (9)",
    );
    let later = wal_of(
        "l.db",
        "CREATE TABLE a(x); CREATE TABLE b(x); CREATE TABLE c(x); CREATE TABLE d(x); PRAGMA journal_mode=WAL; CREATE \
         TABLE t(x);",
    );
    let mut flipped = good.clone();
    flipped[60] ^= 1;
    for (wal, says) in [
        (pages, "has pages of 1024 bytes, but the database has pages of 4096"),
        (utf16, "belongs to another database"),
        (later, "is newer than the file"),
        (flipped, "contains no complete commit"),
        (good[..16].to_vec(), "is truncated within its header"),
        (vec![7; 5000], "has no valid header"),
    ] {
        fs::write(world.path("copy/db.sqlite3-wal"), &wal).unwrap();
        shell(&world, "tar czf vol.tar.gz -C copy .");
        for archive in ["copy/db.sqlite3", "./vol.tar.gz"] {
            let said = restored(&world, archive, ROWS, "1");
            assert_eq!(said.matches(says).count(), 2, "\"{says}\" in {said}");
            assert_eq!(said.matches("it was not applied").count(), 2, "{said}");
        }
        assert_eq!(fs::read(world.path("copy/db.sqlite3-wal")).unwrap(), wal);
    }
    // An empty one is as good as none.
    fs::write(world.path("copy/db.sqlite3-wal"), "").unwrap();
    assert!(!restored(&world, "copy/db.sqlite3", ROWS, "1").contains("-wal"));
    // A state before the file.
    let application = Connection::open(world.path("app.db")).unwrap();
    application.execute_batch("CREATE TABLE u(x); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    copy(&world, "app.db", "copy/db.sqlite3", &[""]);
    fs::write(world.path("copy/db.sqlite3-wal"), &good).unwrap();
    let said = restored(&world, "copy/db.sqlite3", ROWS, "1,2,3");
    assert_eq!(
        said.matches("is older than the file, or belongs to another database; it was not applied").count(),
        2,
        "{said}"
    );
}

#[test]
fn a_journal_that_does_not_fit_is_named_and_not_applied() {
    let world = World::new();
    copy_with_journal(&world, "copy/a.db");
    let good = fs::read(world.path("copy/a.db-journal")).unwrap();
    // A database that went on since.
    let application = Connection::open(world.path("bank.db")).unwrap();
    for _ in 0..3 {
        application.execute_batch("UPDATE acc SET bal = bal + 1 WHERE id = 1").unwrap();
    }
    copy(&world, "bank.db", "copy/a.db", &[""]);
    for (journal, says) in [(good, "belongs to another state of the file"), (vec![7; 5000], "has no valid header")] {
        fs::write(world.path("copy/a.db-journal"), journal).unwrap();
        let said = restored(&world, "copy/a.db", SUM, "200003");
        assert_eq!(said.matches(says).count(), 2, "\"{says}\" in {said}");
    }
    // One that ended: zeroed, as `journal_mode=PERSIST` leaves it.
    fs::write(world.path("copy/a.db-journal"), [0; 5000]).unwrap();
    assert!(!restored(&world, "copy/a.db", SUM, "200003").contains("-journal"));
}

/// SQLite asks whether the super-journal exists that a journal names, and older releases then remove it.
#[test]
fn a_journal_of_several_databases_leaves_their_super_journal_alone() {
    let world = World::new();
    copy_with_journal(&world, "copy/a.db");
    let name = world.path("a.db-mj1234569AB").to_str().unwrap().to_owned();
    fs::write(&name, "\0").unwrap();
    let mut journal = fs::read(world.path("copy/a.db-journal")).unwrap();
    let magic = journal[..8].to_vec();
    journal.resize(journal.len().next_multiple_of(512), 0);
    let sum: u32 = name.bytes().map(u32::from).sum();
    for part in [
        &(262_145_u32).to_be_bytes()[..],
        name.as_bytes(),
        &(name.len() as u32).to_be_bytes(),
        &sum.to_be_bytes(),
        &magic,
    ] {
        journal.extend_from_slice(part);
    }
    fs::write(world.path("copy/a.db-journal"), &journal).unwrap();
    restored(&world, "copy/a.db", SUM, "200000");
    assert!(Path::new(&name).exists(), "the super-journal was removed");
    world.heirloom(["backup", "copy/a.db", "--name", "one"]).success();
    assert!(Path::new(&name).exists(), "the super-journal was removed by a backup");
    world.heirloom(["restore", "one", "--to", "new.db"]).success();
    assert_eq!(world.ask("new.db", SUM), "200000");
    fs::remove_file(world.path("new.db")).unwrap();
    // Without a valid name it is no super-journal, and SQLite rolls back.
    let length = journal.len();
    journal[length - 9] ^= 1;
    fs::write(world.path("copy/a.db-journal"), &journal).unwrap();
    restored(&world, "copy/a.db", SUM, "200000");
    journal[length - 9] ^= 1;
    fs::write(world.path("copy/a.db-journal"), &journal).unwrap();
    fs::remove_file(&name).unwrap();
    let verified = world.heirloom(["verify", "copy/a.db"]).success();
    assert!(verified.stderr.contains("super-journal is gone"), "{}", verified.stderr);
}

/// The first table sets the text encoding of a database. Its `-wal` was taken for that of another one, and an
/// application that was installed a moment ago was restored empty.
#[test]
fn the_wal_of_a_database_whose_tables_are_all_in_it_is_applied() {
    let world = World::new();
    fs::create_dir(world.path("v")).unwrap();
    let application = Connection::open(world.path("v/app.db")).unwrap();
    application
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES (1)",
        )
        .unwrap();
    shell(&world, "tar czf vol.tar.gz -C v . && cp -r v copy");
    drop(application);
    for archive in ["./vol.tar.gz", "copy/app.db"] {
        restored(&world, archive, "SELECT x FROM t", "1");
    }
}
