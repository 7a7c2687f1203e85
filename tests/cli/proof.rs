//! A digest that matches stands for the integrity check: when it does, and when it must not.

use std::fs;
use std::path::Path;

use heirloom::digest::Sha256;
use serde_json::Value;

use crate::indexes::lagging;
use crate::world::World;

/// Restores an archive into a new file, and returns what proved its only database.
#[track_caller]
fn proof(world: &World, args: &[&str]) -> String {
    let target = format!("restored-{}.db", world.files(".").len());
    let args = [&["restore"], args, &["--to", &target, "--json"]].concat();
    let document = world.heirloom(args).success().json();
    document["databases"][0]["proof"].as_str().unwrap().to_owned()
}

/// Replaces a text in a file by one of the same length.
fn forge(path: &Path, text: &str, by: &str) {
    let by = format!("{by}{}", " ".repeat(text.len() - by.len()));
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("it holds the text");
    bytes[at..at + text.len()].copy_from_slice(by.as_bytes());
    fs::write(path, bytes).unwrap();
}

/// Overwrites the second page of a database: the root of a table.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[4096..8192].fill(0x5a);
    fs::write(path, bytes).unwrap();
}

/// A world with an archive of `app.db` made with these flags.
fn saved(args: &[&str]) -> World {
    let mut world = World::new();
    world.database("app.db");
    world.heirloom([&["backup", "app.db"], args].concat()).success();
    world.at("2026-03-02");
    world
}

fn archive(world: &World) -> std::path::PathBuf {
    world.path("backups").join(&world.archives()[0])
}

#[test]
fn a_database_that_was_checked_when_it_was_saved_is_proved_by_its_digest() {
    for args in [&[][..], &["--no-compress"], &["--vacuum"]] {
        let world = saved(args);
        let ran = world.heirloom(["restore", "--to", "new.db"]).success();
        assert!(ran.stdout.contains("100 rows, proved by its SHA-256\n"), "{}", ran.stdout);
        // Not only some bytes that SQLite accepts: those that were saved.
        let shown = world.heirloom(["show", "--json"]).success().json();
        let recorded = shown["metadata"]["databases"][0]["sha256"].as_str().unwrap().to_owned();
        assert_eq!(Sha256::of(&fs::read(world.path("new.db")).unwrap()).to_string(), recorded, "{args:?}");

        assert_eq!(proof(&world, &[]), "digest");
        assert_eq!(proof(&world, &["--check", "full"]), "integrity_check");
        assert_eq!(proof(&world, &["--check", "quick"]), "quick_check");
        assert_eq!(proof(&world, &["--rebuild-indexes"]), "integrity_check");
        assert_eq!(proof(&world, &["--allow-damaged"]), "integrity_check");
        // It costs nothing to know.
        assert_eq!(proof(&world, &["--check", "none"]), "digest");
    }
}

/// The digest proves what the metadata says and not who wrote it: that is what the manual says.
#[test]
fn a_forged_record_of_a_check_passes_by_digest_and_a_full_check_finds_it() {
    let mut world = World::new();
    damage(&world.database("app.db"));
    world.heirloom(["backup", "app.db", "--keep-damaged", "--no-compress"]).exits(3);
    world.at("2026-03-02");
    forge(&archive(&world), "\"integrity\":\"damaged\"", "\"integrity\":\"ok\"");
    assert_eq!(proof(&world, &[]), "digest");
    for depth in ["full", "quick"] {
        let refused = world.heirloom(["restore", "--to", "checked.db", "--check", depth]).exits(13);
        refused.says("is not sound");
        assert!(!world.path("checked.db").exists());
    }
}

#[test]
fn a_database_that_was_saved_without_a_check_is_checked() {
    let world = saved(&["--check", "none"]);
    assert_eq!(proof(&world, &[]), "integrity_check");
    assert_eq!(proof(&world, &["--check", "none"]), "none");
    let ran = world.heirloom(["restore", "--to", "unchecked.db", "--check", "none"]).success();
    assert!(ran.stdout.contains("100 rows, not checked\n"), "{}", ran.stdout);

    let mut world = World::new();
    damage(&world.database("app.db"));
    world.heirloom(["backup", "app.db", "--check", "none"]).success();
    world.at("2026-03-02");
    world.heirloom(["restore", "--to", "new.db"]).exits(13).says("is not sound");
    assert!(!world.path("new.db").exists());
}

/// A quick check is recorded as `ok`, too, although it compares no index with its table.
#[test]
fn a_quick_check_proves_nothing_that_only_a_full_check_finds() {
    let mut world = World::new();
    let (table, index) = ("CREATE TABLE m(t); INSERT INTO m VALUES('x'), ('y')", "CREATE INDEX i ON m(t)");
    lagging(&world, table, index, "UPDATE m SET t = 'z' WHERE t = 'x'");
    world.heirloom(["backup", "app.db", "--check", "quick"]).success();
    let shown = world.heirloom(["show", "--json"]).success().json();
    let described = &shown["metadata"]["databases"][0];
    assert_eq!((&described["integrity"], &described["check"]), (&Value::from("ok"), &Value::from("quick")));
    world.at("2026-03-02");
    world.heirloom(["restore", "--to", "new.db"]).exits(13).says("is not sound");
    assert!(!world.path("new.db").exists());
    assert_eq!(proof(&world, &["--check", "quick"]), "quick_check", "as asked for");
}

#[test]
fn an_archive_of_a_release_that_recorded_no_depth_is_checked() {
    let world = saved(&["--no-compress"]);
    forge(&archive(&world), ",\"check\":\"full\"", "");
    assert_eq!(proof(&world, &[]), "integrity_check");
    let world = saved(&["--no-compress"]);
    forge(&archive(&world), "\"check\":\"full\"", "\"check\":\"deep\"");
    assert_eq!(proof(&world, &[]), "integrity_check", "a depth of a newer release");
}

#[test]
fn a_database_with_findings_is_checked_and_the_others_of_its_set_are_not() {
    let mut world = World::new();
    world.database("good.db");
    world.sql(
        "partial.db",
        "CREATE TABLE t(a); INSERT INTO t VALUES(NULL), (1); PRAGMA writable_schema=ON;
         UPDATE sqlite_schema SET sql='CREATE TABLE t(a NOT NULL)';",
    );
    lagging(&world, "CREATE TABLE m(t)", "CREATE INDEX i ON m(t)", "INSERT INTO m VALUES('x')");
    fs::rename(world.path("app.db"), world.path("stale.db")).unwrap();
    world.heirloom(["backup", "good.db", "partial.db", "stale.db", "--set", "all"]).exits(3);
    world.at("2026-03-02");
    fs::create_dir(world.path("out")).unwrap();
    let document = world.heirloom(["restore", "--to-dir", "out", "--json"]).success().json();
    let proofs: Vec<_> = document["databases"].as_array().unwrap().iter().map(|one| one["proof"].clone()).collect();
    assert_eq!(proofs, ["digest", "integrity_check", "integrity_check"]);

    fs::create_dir(world.path("again")).unwrap();
    let ran = world.heirloom(["restore", "--to-dir", "again"]).success().says("REINDEX");
    let phrases = ["100 rows, proved by its SHA-256\n", "2 rows, integrity check found no damage\n"];
    assert!(phrases.iter().all(|phrase| ran.stdout.contains(phrase)), "{}", ran.stdout);
}

#[test]
fn plain_databases_and_archives_of_other_tools_are_checked() {
    let world = World::new();
    world.database("app.db");
    world.run(&mut world.shell("gzip -k app.db; tar czf other.tar.gz app.db")).success();
    for source in ["app.db.gz", "other.tar.gz"] {
        assert_eq!(proof(&world, &[source]), "integrity_check", "{source}");
    }
    fs::copy(world.path("app.db"), world.path("plain.db.bak")).unwrap();
    damage(&world.path("plain.db.bak"));
    world.heirloom(["restore", "plain.db.bak", "--to", "new.db"]).exits(13).says("is not sound");
    assert!(!world.path("new.db").exists());
}

/// Its members are gone, but its metadata and its digests are not.
#[test]
fn an_archive_that_another_tool_recompressed_is_proved_by_its_digests() {
    let world = saved(&[]);
    let name = &world.archives()[0];
    world.run(&mut world.shell(&format!("gunzip -c backups/{name} | gzip -1 > {name}"))).success();
    assert_eq!(proof(&world, &[&format!("./{name}")]), "digest");
}

#[test]
fn a_restore_over_a_database_and_its_undo_say_what_proved_them() {
    let mut world = saved(&[]);
    world.sql("app.db", "DELETE FROM notes WHERE id > 50");
    let restored = world.heirloom(["restore", "--force", "--json"]).success().json();
    assert_eq!(
        (&restored["databases"][0]["proof"], &restored["databases"][0]["rows"]),
        (&"digest".into(), &100.into())
    );
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    // Its safety backup is made under a lock, with a quick check.
    world.at("2026-03-03");
    let undone = world.heirloom(["restore", "--undo", "--force", "--json"]).success().json();
    assert_eq!(undone["databases"][0]["proof"], "integrity_check");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "50");
}

#[test]
fn guard_rolls_back_by_digest() {
    for check in ["full", "quick"] {
        let world = World::new();
        world.database("app.db");
        fs::write(world.path("heirloom.toml"), format!("[backup]\ncheck = \"{check}\"\n")).unwrap();
        let script = "heirloom guard app.db -- sh -c 'printf x >app.db; exit 7'";
        world.run(&mut world.shell(script)).exits(7).says("rolled back");
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100", "{check}");
        assert_eq!(world.ask("app.db", "PRAGMA integrity_check"), "ok");
    }
}

#[test]
fn the_first_step_of_a_deployment_restores_what_is_missing_by_digest() {
    let world = saved(&[]);
    fs::remove_file(world.path("app.db")).unwrap();
    let args = ["restore", "--if-missing", "--if-backup-exists", "--to-original", "--json"];
    assert_eq!(world.heirloom(args).success().json()["databases"][0]["proof"], "digest");
    assert_eq!(world.heirloom(args).success().json()["outcome"], "skipped_exists");
}

#[test]
fn a_database_is_restored_by_digest_from_a_store_that_cannot_be_written() {
    let world = saved(&[]);
    world.run(&mut world.shell("chmod -R a-w backups")).success();
    let name = format!("backups/{}", world.archives()[0]);
    assert_eq!(proof(&world, &[&name]), "digest");
    world.run(&mut world.shell("chmod -R u+w backups")).success();
}

/// The person asked for a check: the command to paste must ask for it, too.
#[test]
fn commands_to_type_again_keep_the_check() {
    let mut world = saved(&[]);
    world.env("HEIRLOOM_HOST", "another");
    let refused = world.heirloom(["restore", "latest", "--check", "full", "--rebuild-indexes"]).exits(12);
    assert!(
        refused.stderr.contains("--check full") && refused.stderr.contains("--rebuild-indexes"),
        "{}",
        refused.stderr
    );
}
