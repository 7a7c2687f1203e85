//! `backup --if-changed`: an archive is made if, and only if, a database changed.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::world::World;

/// Longer than the times of files must be old for a look to count if there is a `-shm`, and if there is none.
const WITH_INDEX: Duration = Duration::from_millis(150);
const WITHOUT_INDEX: Duration = Duration::from_millis(5100);

fn world() -> World {
    let world = World::new();
    world.database("app.db");
    world
}

/// An application that keeps a database in WAL mode open.
fn application(world: &World, name: &str) -> Connection {
    let connection = Connection::open(world.path(name)).unwrap();
    connection.execute_batch("PRAGMA journal_mode=WAL; INSERT INTO notes(text) VALUES ('of the application')").unwrap();
    connection
}

/// Backs up if something changed, and returns the document.
fn if_changed(world: &World, more: &[&str]) -> Value {
    let args = ["backup", "app.db", "--if-changed", "--json"];
    world.heirloom(args.iter().chain(more)).success().json()
}

/// Returns what showed that nothing changed; `made` if an archive was made.
fn how(document: &Value) -> String {
    match document["outcome"].as_str() {
        Some("unchanged") => document["by"].as_str().unwrap().to_owned(),
        None => "made".to_owned(),
        Some(other) => panic!("{other}"),
    }
}

#[test]
fn an_archive_is_made_only_if_something_changed() {
    let mut world = world();
    let application = application(&world, "app.db");
    sleep(WITH_INDEX);
    assert_eq!(how(&if_changed(&world, &[])), "made", "it was never backed up");
    let document = if_changed(world.at("2026-03-01T04:00:00Z"), &[]);
    assert_eq!(how(&document), "look");
    assert_eq!(document["archive"], "app_20260301T030000Z.tar.gz");
    assert_eq!(document["created_at"], "2026-03-01T03:00:00.000000Z");
    assert_eq!(document["confirmed_at"], "2026-03-01T04:00:00.000000Z");
    assert_eq!(document["databases"][0]["name"], "app");
    let ran = world.heirloom(["backup", "app.db", "--if-changed"]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "cron has nothing to mail");
    let ran = world.heirloom(["backup", "app.db", "--if-changed", "--verbose"]).success();
    assert_eq!(ran.stdout, "nothing to do: app is unchanged since app_20260301T030000Z.tar.gz, made 1 hour ago\n");

    application.execute_batch("UPDATE notes SET text = 'changed' WHERE id = 1").unwrap();
    sleep(WITH_INDEX);
    assert_eq!(how(&if_changed(world.at("2026-03-01T05:00:00Z"), &[])), "made");
    // A checkpoint moves what is there already.
    application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert_eq!(how(&if_changed(world.at("2026-03-01T06:00:00Z"), &[])), "copy");
    // The last connection removes its sidecars; a reader makes others.
    drop(application);
    assert_eq!(how(&if_changed(world.at("2026-03-01T07:00:00Z"), &[])), "copy");
    assert_eq!(world.archives().len(), 2);
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
}

#[test]
fn a_change_in_the_second_of_the_backup_is_not_missed() {
    let mut world = world();
    let path = world.path("app.db");
    // Without a -shm only times show a change that is not made through SQLite, and they are coarse.
    let edit = |text: &str| {
        let found = fs::metadata(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(11).rposition(|part| part.starts_with(b"note number")).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(text.as_bytes(), at as u64).unwrap();
        file.set_times(FileTimes::new().set_modified(found.modified().unwrap())).unwrap();
    };
    assert_eq!(how(&if_changed(&world, &[])), "made");
    assert_eq!(how(&if_changed(world.at("2026-03-01T04:00:00Z"), &[])), "copy", "it was written just before");
    sleep(WITHOUT_INDEX);
    assert_eq!(how(&if_changed(world.at("2026-03-01T05:00:00Z"), &[])), "copy", "this look counts from here on");
    assert_eq!(how(&if_changed(world.at("2026-03-01T06:00:00Z"), &[])), "look");
    edit("NOTE");
    assert_eq!(
        how(&if_changed(world.at("2026-03-01T07:00:00Z"), &["--check", "none"])),
        "made",
        "same size, same time"
    );
    edit("nOTE");
    assert_eq!(how(&if_changed(world.at("2026-03-01T08:00:00Z"), &["--check", "none"])), "made");
}

#[test]
fn a_restore_is_a_change_and_what_is_saved_already_is_not_saved_again() {
    let mut world = world();
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id = 7");
    assert_eq!(how(&if_changed(world.at("2026-03-01T04:00:00Z"), &[])), "made");
    world.at("2026-03-01T05:00:00Z");
    world.heirloom(["restore", "app_20260301T030000Z.tar.gz", "--force", "--no-safety-backup"]);
    let before = world.archives().len();
    assert_eq!(
        how(&if_changed(world.at("2026-03-01T06:00:00Z"), &[])),
        "made",
        "the newest archive holds another state"
    );
    assert_eq!(world.archives().len(), before + 1);
    // The same file, moved away and back, with another time.
    let (path, aside) = (world.path("app.db"), world.path("aside.db"));
    fs::copy(&path, &aside).unwrap();
    fs::rename(&aside, &path).unwrap();
    File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(how(&if_changed(world.at("2026-03-01T07:00:00Z"), &[])), "copy");
}

#[test]
fn unchanged_counts_only_while_the_archive_is_there_and_good() {
    let mut world = world();
    let _application = application(&world, "app.db");
    sleep(WITH_INDEX);
    let backup = |world: &mut World, time: &str| how(&if_changed(world.at(time), &[]));
    assert_eq!(backup(&mut world, "2026-03-01T03:00:00Z"), "made");
    assert_eq!(backup(&mut world, "2026-03-01T04:00:00Z"), "look");
    fs::write(world.path("backups/app_20260301T030000Z.tar.gz.damaged"), "").unwrap();
    assert_eq!(backup(&mut world, "2026-03-01T05:00:00Z"), "made", "the archive is damaged");
    fs::remove_file(world.path("backups/app_20260301T050000Z.tar.gz")).unwrap();
    assert_eq!(backup(&mut world, "2026-03-01T06:00:00Z"), "made", "the archive is gone");
    let cut = world.path("backups/app_20260301T060000Z.tar.gz");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(backup(&mut world, "2026-03-01T07:00:00Z"), "made", "the archive is cut");
    let garbage = world.path("backups/app_20260301T070000Z.tar.gz");
    fs::write(&garbage, vec![0xa5; fs::read(&garbage).unwrap().len()]).unwrap();
    assert_eq!(backup(&mut world, "2026-03-01T07:30:00Z"), "made", "the archive is garbage of the same size");
    // Without the records only the copy can tell.
    fs::remove_dir_all(world.path("backups/.heirloom/seen")).unwrap();
    assert_eq!(backup(&mut world, "2026-03-01T08:00:00Z"), "copy");
    assert_eq!(backup(&mut world, "2026-03-01T09:00:00Z"), "look");
    for garbage in ["", "{", "{\"look\":null}"] {
        for file in world.files("backups/.heirloom/seen") {
            fs::write(world.path("backups/.heirloom/seen").join(file), garbage).unwrap();
        }
        assert_eq!(backup(&mut world, "2026-03-01T10:00:00Z"), "copy", "{garbage}");
    }
}

#[test]
fn every_database_of_a_set_must_be_unchanged() {
    let mut world = world();
    world.database("b.db");
    let (_app, other) = (application(&world, "app.db"), application(&world, "b.db"));
    let backup = |world: &mut World, time: &str| {
        world.at(time);
        world.heirloom(["backup", "app.db", "b.db", "--set", "shop", "--if-changed", "--json"]).success().json()
    };
    sleep(WITH_INDEX);
    assert_eq!(how(&backup(&mut world, "2026-03-01T03:00:00Z")), "made");
    assert_eq!(how(&backup(&mut world, "2026-03-01T04:00:00Z")), "look");
    other.execute_batch("DELETE FROM notes WHERE id = 1").unwrap();
    sleep(WITH_INDEX);
    assert_eq!(how(&backup(&mut world, "2026-03-01T05:00:00Z")), "made");
    // Another set has no archive of it.
    assert_eq!(how(&if_changed(world.at("2026-03-01T06:00:00Z"), &[])), "made");
    // A backup of one alone does not hold the other.
    let document = backup(&mut world, "2026-03-01T07:00:00Z");
    assert_eq!((how(&document).as_str(), document["databases"].as_array().unwrap().len()), ("look", 2));
    // One that is empty is left out, and said every time.
    fs::write(world.path("empty.db"), "").unwrap();
    let args = ["backup", "app.db", "b.db", "empty.db", "--set", "shop", "--if-changed", "--json"];
    let ran = world.at("2026-03-01T08:00:00Z").heirloom(args).exits(3).says("empty");
    assert_eq!(how(&ran.json()), "look");
}

#[test]
fn a_vacuumed_backup_is_compared_by_its_copy() {
    let mut world = world();
    let args = ["backup", "app.db", "--if-changed", "--vacuum", "--json"];
    let backup = |world: &mut World, time: &str| how(&world.at(time).heirloom(args).success().json());
    assert_eq!(backup(&mut world, "2026-03-01T03:00:00Z"), "made");
    assert_eq!(backup(&mut world, "2026-03-01T04:00:00Z"), "copy");
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    assert_eq!(backup(&mut world, "2026-03-01T05:00:00Z"), "made");
}

#[test]
fn a_dry_run_looks_and_records_nothing() {
    let mut world = world();
    let _application = application(&world, "app.db");
    sleep(WITH_INDEX);
    let dry = ["backup", "app.db", "--if-changed", "--dry-run", "--json"];
    assert_eq!(world.heirloom(dry).success().json()["dry_run"], true);
    world.heirloom(["backup", "app.db"]).success();
    let document = world.at("2026-03-01T04:00:00Z").heirloom(dry).success().json();
    assert_eq!(document["confirmed_at"], "2026-03-01T03:00:00.000000Z", "the time of the backup");
}

#[test]
fn unchanged_renews_the_age() {
    let mut world = world();
    let _application = application(&world, "app.db");
    sleep(WITH_INDEX);
    world.heirloom(["backup", "app.db"]).success();
    let age = |world: &World| {
        let ran = world.heirloom(["health", "app.db", "--check", "none", "--json"]);
        let checks = ran.json()["checks"].clone();
        checks.as_array().unwrap().iter().find(|check| check["check"] == "backup_age").unwrap().clone()
    };
    world.at("2026-03-03T03:00:00Z");
    assert_eq!(age(&world)["state"], "warning", "two days old");
    assert_eq!(how(&if_changed(&world, &[])), "look");
    world.at("2026-03-03T04:00:00Z");
    let found = age(&world);
    assert_eq!(found["state"], "ok");
    assert_eq!(found["measures"]["backup_age_seconds"]["value"], 3600.0);
    let times = ["backup_newest_timestamp_seconds", "backup_confirmed_timestamp_seconds"]
        .map(|name| found["measures"][name]["value"].as_f64().unwrap());
    assert_eq!(times[1] - times[0], 48.0 * 3600.0);
    assert!(world.heirloom(["health", "app.db", "--check", "none", "--nagios"]).stdout.contains("age_seconds'=3600s"));
    let metrics = world.heirloom(["health", "app.db", "--check", "none", "--prometheus"]).stdout;
    assert!(metrics.contains("heirloom_backup_confirmed_timestamp_seconds"), "{metrics}");

    // What was confirmed is the archive: without it there is no backup.
    fs::remove_file(world.path("backups/app_20260301T030000Z.tar.gz")).unwrap();
    assert_eq!(age(&world)["state"], "critical");
}

#[test]
fn an_application_that_writes_to_a_deleted_file_is_not_unchanged() {
    let world = world();
    let application = application(&world, "app.db");
    sleep(WITH_INDEX);
    world.heirloom(["backup", "app.db"]).success();
    fs::remove_file(world.path("app.db-wal")).unwrap();
    application.execute_batch("INSERT INTO notes(text) VALUES ('into a deleted file')").unwrap();
    let ran = world.heirloom(["backup", "app.db", "--if-changed"]);
    assert_ne!(ran.code, 0, "{}", ran.stdout);
}
