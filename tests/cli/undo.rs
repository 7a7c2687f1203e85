//! `heirloom restore --undo`: the newest finished restore of this set to these targets, and nothing else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::world::{Ran, World};

fn notes(world: &World, name: &str) -> String {
    assert_eq!(world.ask(name, "PRAGMA integrity_check"), "ok");
    world.ask(name, "SELECT count(*) FROM notes")
}

/// Leaves that many notes in a database.
fn keep(world: &World, name: &str, rows: u32) {
    world.sql(name, &format!("DELETE FROM notes WHERE id > {rows}"));
}

fn undo(world: &World, more: &[&str]) -> Ran {
    world.heirloom(["restore", "--undo", "--force"].iter().chain(more))
}

/// A world in which `app.db` was restored on March 2, from 50 rows to 100.
fn restored() -> World {
    let mut world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02");
    keep(&world, "app.db", 50);
    world.heirloom(["restore", "--force"]).success();
    world
}

/// A world with an archive of the set `shop` at 100 rows each, and both databases at 50 rows by now.
fn shop() -> World {
    let mut world = World::new();
    world.database("users.db");
    world.database("orders.db");
    world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
    world.at("2026-03-02");
    for name in ["users.db", "orders.db"] {
        keep(&world, name, 50);
    }
    world
}

fn both(world: &World) -> (String, String) {
    (notes(world, "users.db"), notes(world, "orders.db"))
}

/// The safety archive that the metadata of an archive names as made before a restore.
fn replaces(world: &World, archive: &str) -> Value {
    let shown = world.heirloom(["show", archive, "--json"]).success().stdout;
    let document: Value = serde_json::from_str(&real(world, &shown)).unwrap();
    document["metadata"]["replaces"].clone()
}

/// Returns output with the folder of the world where it is shortened.
fn real(world: &World, text: &str) -> String {
    text.replace("[world]", world.work().parent().unwrap().to_str().unwrap())
}

fn newest_safety(world: &World) -> String {
    let archives = world.heirloom(["list", "--json"]).success().json()["archives"].clone();
    let safety = archives.as_array().unwrap().iter().find(|archive| archive["kind"] == "safety").unwrap();
    safety["archive"].as_str().unwrap().to_owned()
}

/// Makes the restore of this safety archive one that died while it replaced its targets: the note beside them, no
/// finished record.
fn interrupt(world: &World, safety: &str, set: &str) {
    let replaces = replaces(world, safety);
    let id = replaces["restore"].as_str().unwrap();
    let note = json!({
        "restore": id, "set": set, "host": "here", "archive": replaces["archive"], "began_at": "2026-03-02T00:00:00Z",
        "phase": "replacing", "store": world.path("backups"), "safety": safety, "targets": replaces["targets"],
    });
    let record = world.path(format!("backups/.heirloom/restores/{id}.json"));
    let mut text: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    text["state"] = "unfinished".into();
    fs::write(record, text.to_string()).unwrap();
    for target in replaces["targets"].as_array().unwrap() {
        let folder = Path::new(target["path"].as_str().unwrap()).parent().unwrap();
        fs::write(folder.join(format!(".heirloom-restore-{id}.json")), note.to_string()).unwrap();
    }
}

/// The notes that lie beside the databases.
fn intents(world: &World) -> Vec<String> {
    world.files(".").into_iter().filter(|name| name.starts_with(".heirloom-restore-")).collect()
}

#[test]
fn an_undo_names_what_it_takes_back() {
    let mut world = restored();
    world.at("2026-03-02T00:05:00Z");
    let ran = world.heirloom(["restore", "--undo", "--dry-run"]).success();
    assert!(
        ran.stdout.contains("undo the restore of app from app_20260301T030000Z.tar.gz, 5 minutes ago"),
        "{}",
        ran.stdout
    );
    let ran = undo(&world, &[]).success();
    assert!(
        ran.stdout.contains("undo the restore of app from app_20260301T030000Z.tar.gz, 5 minutes ago"),
        "{}",
        ran.stdout
    );
    assert_eq!(notes(&world, "app.db"), "50");
}

#[test]
fn after_a_restore_onto_a_missing_file_no_older_one_is_undone() {
    let mut world = restored();
    world.at("2026-03-12");
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore"]).success();
    undo(&world, &[]).exits(12).says("had no safety backup").says("app.db");
    assert_eq!(notes(&world, "app.db"), "100");
    // The older one can still be named.
    let safety = newest_safety(&world);
    undo(&world, &[&safety]).success();
    assert_eq!(notes(&world, "app.db"), "50");
}

#[test]
fn after_a_restore_without_a_safety_backup_no_older_one_is_undone() {
    let mut world = restored();
    world.at("2026-03-12");
    keep(&world, "app.db", 20);
    world.heirloom(["restore", "--force", "--no-safety-backup"]).success();
    undo(&world, &[]).exits(12).says("had no safety backup");
    assert_eq!(notes(&world, "app.db"), "100");
}

#[test]
fn an_undo_does_not_affect_another_set() {
    let mut world = restored();
    world.database("other.db");
    world.heirloom(["backup", "other.db"]).success();
    world.at("2026-03-03");
    keep(&world, "other.db", 70);
    world.heirloom(["restore", "--set", "other", "--force"]).success();
    undo(&world, &[]).exits(2).says("app, other").says("heirloom restore --undo --set app");
    assert_eq!((notes(&world, "app.db"), notes(&world, "other.db")), ("100".into(), "100".into()));
    undo(&world, &["--set", "app"]).success();
    assert_eq!((notes(&world, "app.db"), notes(&world, "other.db")), ("50".into(), "100".into()));
    // A set that is configured is meant without being named.
    fs::write(world.path("heirloom.toml"), "[sets.other.databases]\nother = \"other.db\"\n").unwrap();
    undo(&world, &[]).success();
    assert_eq!((notes(&world, "app.db"), notes(&world, "other.db")), ("50".into(), "70".into()));
}

#[test]
fn an_undo_takes_back_nothing_of_another_host() {
    let mut world = restored();
    world.env("HEIRLOOM_HOST", "there");
    undo(&world, &[]).exits(12).says("no restore to undo");
    undo(&world, &["--set", "app"]).exits(12);
    undo(&world, &[&newest_safety(&world)]).exits(12).says("was made on the host \"here\"");
    assert_eq!(notes(&world, "app.db"), "100");
}

#[test]
fn an_undo_is_about_the_configured_targets() {
    let mut world = restored();
    world.database("look.db");
    keep(&world, "look.db", 70);
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = \"app.db\"\n").unwrap();
    world.at("2026-03-03");
    let document = world.heirloom(["restore", "--to", "look.db", "--force", "--json"]).success().json();
    assert_eq!(document["undo"], "heirloom restore --undo --to look.db");
    undo(&world, &[]).success();
    assert_eq!((notes(&world, "app.db"), notes(&world, "look.db")), ("50".into(), "100".into()));
    undo(&world, &["--to", "look.db"]).success();
    assert_eq!(notes(&world, "look.db"), "70");
}

#[test]
fn a_set_with_one_missing_target_is_undone_as_a_whole() {
    let mut world = shop();
    fs::remove_file(world.path("users.db")).unwrap();
    world.heirloom(["restore", "--force"]).success();
    assert_eq!(both(&world), ("100".into(), "100".into()));
    world.at("2026-03-03");
    let document = undo(&world, &["--json"]).success().json();
    assert!(!world.path("users.db").exists(), "it was missing before");
    assert_eq!(notes(&world, "orders.db"), "50");
    let aside = real(&world, document["removed"][0]["set_aside"].as_str().unwrap());
    assert!(Path::new(&aside).join("users.db").exists(), "{document}");

    // An undo of that undo restores both again.
    world.at("2026-03-04");
    undo(&world, &[]).success();
    assert_eq!(both(&world), ("100".into(), "100".into()));
}

#[test]
fn a_fresh_workspace_is_enough() {
    let mut world = shop();
    fs::remove_file(world.path("users.db")).unwrap();
    world.heirloom(["restore", "--force"]).success();
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    world.at("2026-03-03");
    undo(&world, &[]).success();
    assert!(!world.path("users.db").exists());
    assert_eq!(notes(&world, "orders.db"), "50");
}

#[test]
fn a_restore_that_changes_nothing_makes_no_archive_and_does_not_count() {
    let mut world = restored();
    world.at("2026-03-03");
    let archives = world.archives();
    let ran = world.heirloom(["restore", "--force"]).success();
    assert!(ran.stdout.contains("nothing was changed"), "{}", ran.stdout);
    assert_eq!(world.heirloom(["restore", "--force", "--json"]).success().json()["outcome"], "unchanged");
    assert_eq!(world.archives(), archives);
    undo(&world, &[]).success();
    assert_eq!(notes(&world, "app.db"), "50");
}

#[test]
fn a_named_safety_backup_needs_no_record_and_no_other_archive_is_undone() {
    let mut world = restored();
    let first = newest_safety(&world);
    world.at("2026-03-03");
    keep(&world, "app.db", 70);
    world.heirloom(["restore", "--force"]).success();
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    undo(&world, &[&first]).success();
    assert_eq!(notes(&world, "app.db"), "50");
    undo(&world, &["app_20260301T030000Z.tar.gz"])
        .exits(2)
        .says("not a safety backup")
        .says("heirloom restore app_20260301T030000Z");
}

#[test]
fn the_rollback_of_guard_is_undone_and_not_a_restore_inside_the_guarded_command() {
    for fresh in [false, true] {
        let mut world = restored();
        world.at("2026-03-03");
        // The command goes to the 50 rows of before the restore, adds a row, and fails.
        let script = format!(
            "{} restore --undo --force && sqlite3 app.db \"INSERT INTO notes VALUES (999, 'x')\" && exit 5",
            env!("CARGO_BIN_EXE_heirloom")
        );
        world.heirloom(["guard", "app.db", "--", "sh", "-c", &script]).exits(5).says("rolled back and verified");
        assert_eq!(notes(&world, "app.db"), "100");
        if fresh {
            fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
        }
        undo(&world, &[]).success();
        assert_eq!(notes(&world, "app.db"), "51", "what the command left");
    }
}

#[test]
fn after_guard_without_rollback_no_older_failed_state_is_brought_back() {
    let mut world = World::new();
    world.database("app.db");
    let fail = |world: &World, rows: u32, more: &[&str]| {
        let script = format!("sqlite3 app.db 'DELETE FROM notes WHERE id > {rows}'; exit 5");
        world.heirloom(["guard", "app.db"].iter().chain(more).chain(&["--", "sh", "-c", &script])).exits(5)
    };
    fail(&world, 10, &[]);
    assert_eq!(notes(&world, "app.db"), "100");
    world.at("2026-03-02");
    // The archive of the first one holds the same: there is no new one whose date would say anything.
    fail(&world, 20, &["--no-rollback"]);
    let ran = undo(&world, &[]).exits(12).says("was not rolled back");
    assert_eq!(notes(&world, "app.db"), "20");
    let (_, command) = ran.stderr.split_once("roll it back: heirloom ").unwrap();
    world.heirloom(command.split_whitespace()).success();
    assert_eq!(notes(&world, "app.db"), "100");

    // Without a record, the pre-update archive shows it.
    world.at("2026-03-03");
    world.sql("app.db", "INSERT INTO notes VALUES (999, 'x')");
    fail(&world, 30, &["--no-rollback"]);
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    undo(&world, &[])
        .exits(12)
        .says("a command was guarded since")
        .says("heirloom restore app_20260303T000000Z.tar.gz");
    assert_eq!(notes(&world, "app.db"), "30");
}

#[test]
fn an_interrupted_restore_of_several_is_reported_and_taken_back() {
    let mut world = shop();
    let was = fs::read(world.path("orders.db")).unwrap();
    world.heirloom(["restore", "--force"]).success();
    let safety = newest_safety(&world);
    // The state after a run was killed between its first and second commit.
    fs::write(world.path("orders.db"), was).unwrap();
    interrupt(&world, &safety, "shop");
    world.at("2026-03-03");

    world.heirloom(["list"]).success().says("was interrupted").says("heirloom restore --undo");
    undo(&world, &[]).success();
    assert_eq!(both(&world), ("50".into(), "50".into()));
    assert!(!world.heirloom(["list"]).success().stderr.contains("interrupted"));
    assert_eq!(intents(&world), [""; 0]);
}

#[test]
fn a_completed_restore_is_undone_to_before_the_interruption() {
    for fresh in [false, true] {
        let mut world = shop();
        let was = fs::read(world.path("orders.db")).unwrap();
        world.heirloom(["restore", "--force"]).success();
        let safety = newest_safety(&world);
        fs::write(world.path("orders.db"), was).unwrap();
        interrupt(&world, &safety, "shop");
        world.at("2026-03-03");

        // One of them does not complete it.
        world.heirloom(["restore", "--only", "users", "--force"]).success().says("was interrupted");
        assert_eq!(intents(&world).len(), 1);
        world.heirloom(["restore", "--force"]).success();
        assert_eq!(both(&world), ("100".into(), "100".into()));
        assert_eq!(intents(&world), [""; 0]);
        if fresh {
            fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
        }
        world.at("2026-03-04");
        undo(&world, &[]).success();
        assert_eq!(both(&world), ("50".into(), "50".into()), "never the mixture in between");
    }
}

#[test]
fn the_note_about_an_interrupted_restore_goes_also_where_a_target_was_missing() {
    for made in [false, true] {
        let mut world = shop();
        world.database("p.db");
        fs::remove_file(world.path("users.db")).unwrap();
        world.heirloom(["restore", "--force"]).success();
        let safety = newest_safety(&world);
        if !made {
            fs::remove_file(world.path("users.db")).unwrap();
        }
        interrupt(&world, &safety, "shop");
        world.at("2026-03-03");
        world.heirloom(["list"]).success().says("was interrupted");
        undo(&world, &[]).success();
        assert!(!world.path("users.db").exists());
        assert_eq!(notes(&world, "orders.db"), "50");
        assert!(!world.heirloom(["list"]).success().stderr.contains("interrupted"));
        assert_eq!(intents(&world), [""; 0]);

        // From now on it is over: another set is undone without a word of it.
        world.heirloom(["backup", "p.db"]).success();
        keep(&world, "p.db", 20);
        world.at("2026-03-05");
        world.heirloom(["restore", "--set", "p", "--force"]).success();
        undo(&world, &["--set", "p"]).success();
        assert_eq!(notes(&world, "p.db"), "20");
        assert_eq!(notes(&world, "orders.db"), "50");
    }
}

#[test]
fn an_interrupted_restore_of_one_set_does_not_touch_another() {
    let mut world = shop();
    world.database("p.db");
    world.heirloom(["backup", "p.db"]).success();
    keep(&world, "p.db", 20);
    world.heirloom(["restore", "--force", "--set", "p"]).success();
    world.at("2026-03-02T05:00:00Z");
    world.heirloom(["restore", "--force", "--set", "shop"]).success();
    interrupt(&world, &newest_safety(&world), "shop");
    world.at("2026-03-03");
    undo(&world, &["--set", "p"]).success();
    assert_eq!(notes(&world, "p.db"), "20");
    assert_eq!(both(&world), ("100".into(), "100".into()));
    assert_eq!(intents(&world).len(), 1);
}

#[test]
fn after_a_restore_that_died_before_it_changed_anything_the_finished_one_is_undone() {
    let mut world = restored();
    world.at("2026-03-03");
    keep(&world, "app.db", 70);
    let was = fs::read(world.path("app.db")).unwrap();
    world.heirloom(["restore", "--force"]).success();
    let safety = newest_safety(&world);
    fs::write(world.path("app.db"), was).unwrap();
    interrupt(&world, &safety, "app");
    world.at("2026-03-04");
    undo(&world, &[]).success().says("the interrupted restore had changed nothing");
    assert_eq!(notes(&world, "app.db"), "50", "to before the restore of March 2");
    assert_eq!(intents(&world), [""; 0]);
}

#[test]
fn an_interrupted_restore_is_found_beside_its_targets_with_another_store() {
    let mut world = shop();
    let was = fs::read(world.path("orders.db")).unwrap();
    world.heirloom(["restore", "--force"]).success();
    let safety = newest_safety(&world);
    fs::write(world.path("orders.db"), was).unwrap();
    interrupt(&world, &safety, "shop");
    world.at("2026-03-03");
    world
        .heirloom(["backup", "users.db", "orders.db", "--set", "shop", "--dir", "new"])
        .success()
        .says("was interrupted");
    fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\nusers = \"users.db\"\norders = \"orders.db\"\n")
        .unwrap();
    world.heirloom(["list", "--dir", "new"]).success().says("was interrupted");
    undo(&world, &["--dir", "new"])
        .exits(12)
        .says("has no safety backup in this store")
        .says("--dir [world]/work/backups");
    assert_eq!(intents(&world).len(), 1);
    // A restore of the whole set completes it.
    world.heirloom(["restore", "--force", "--dir", "new"]).success();
    assert_eq!(intents(&world), [""; 0]);
    assert!(!world.heirloom(["list"]).success().stderr.contains("interrupted"), "the first store knows it, too");
}

#[test]
fn a_set_may_be_replaced_without_a_safety_backup() {
    let world = shop();
    let archives = world.archives();
    world.heirloom(["restore", "--no-safety-backup"]).exits(14);
    world.heirloom(["restore", "--no-safety-backup", "--force"]).success();
    assert_eq!(both(&world), ("100".into(), "100".into()));
    assert_eq!(world.archives(), archives);
    undo(&world, &[]).exits(12).says("had no safety backup");
}
