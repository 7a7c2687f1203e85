//! `backup --if-changed` after keys, files and stores were exchanged behind its back.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::Connection;

use crate::world::World;

/// Longer than the times of files must be old for a look to count beside a `-shm`.
const SETTLED: Duration = Duration::from_millis(150);

/// A world whose database is open in WAL mode, so that looks count at once.
fn world(more: &str) -> (World, Connection) {
    let world = World::new();
    world.database("app.db");
    configure(&world, more);
    let application = Connection::open(world.path("app.db")).unwrap();
    application
        .execute_batch("PRAGMA journal_mode=WAL; INSERT INTO notes(text) VALUES ('of the application')")
        .unwrap();
    sleep(SETTLED);
    (world, application)
}

fn configure(world: &World, more: &str) {
    let text = format!("[sets.app.databases]\napp = 'app.db'\n[store]\ndir = 'backups'\n{more}");
    fs::write(world.path("heirloom.toml"), text).unwrap();
}

/// Returns `look` or `copy` if nothing was made, else `made`.
fn if_changed(world: &World) -> String {
    let document = world.heirloom(["backup", "--set", "app", "--if-changed", "--json"]).success().json();
    document["by"].as_str().unwrap_or("made").to_owned()
}

fn key(world: &World, name: &str) -> String {
    world.heirloom(["key", "new", name]).success().stdout.trim().to_owned()
}

fn for_keys(recipients: &[&String]) -> String {
    format!("[encryption]\nrecipients = {recipients:?}\n")
}

#[test]
fn a_new_recipient_gets_an_archive_although_nothing_changed() {
    let (mut world, _application) = world("");
    let (old, new) = (key(&world, "old.key"), key(&world, "new.key"));
    assert_eq!((if_changed(&world), if_changed(&world)), ("made".into(), "look".into()));
    configure(&world, &for_keys(&[&old]));
    assert_eq!(if_changed(world.at("2026-03-02")), "made", "the newest one is not encrypted");
    assert_eq!(if_changed(&world), "look");
    configure(&world, &for_keys(&[&new]));
    assert_eq!(if_changed(world.at("2026-03-03")), "made", "whoever has the new key alone opens no archive");
    world.heirloom(["restore", "latest", "--identity", "new.key", "--to", "copy.db"]).success();
    configure(&world, &for_keys(&[&new, &old]));
    assert_eq!(if_changed(world.at("2026-03-04")), "made");
    configure(&world, &for_keys(&[&old]));
    assert_eq!(if_changed(world.at("2026-03-05")), "look", "the newest one is for both");
}

#[test]
fn a_file_that_was_moved_away_and_back_is_compared_and_not_saved_again() {
    let (world, application) = world("");
    application.close().unwrap();
    assert_eq!(if_changed(&world), "made");
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    world.heirloom(["backup", "--set", "app", "--if-changed", "--if-exists"]).exits(3).says("archives of it exist");
    fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    assert_eq!(if_changed(&world), "copy");
    assert_eq!(world.archives().len(), 1);
}

#[test]
fn a_link_to_another_database_is_not_what_was_saved_before() {
    let (mut world, application) = world("");
    application.close().unwrap();
    assert_eq!(if_changed(&world), "made");
    // The same size, the same number of notes, and times from before the backup.
    fs::copy(world.path("app.db"), world.path("other.db")).unwrap();
    world.sql("other.db", "UPDATE notes SET text = 'other' WHERE id = 1");
    let modified = fs::metadata(world.path("app.db")).unwrap().modified().unwrap();
    let other = fs::File::options().write(true).open(world.path("other.db")).unwrap();
    other.set_modified(modified).unwrap();
    fs::rename(world.path("app.db"), world.path("first.db")).unwrap();
    std::os::unix::fs::symlink("other.db", world.path("app.db")).unwrap();
    assert_eq!(if_changed(world.at("2026-03-02")), "made");
    world.heirloom(["restore", "app_20260302T000000Z.tar.gz", "--to", "copy.db"]).success();
    assert_eq!(world.ask("copy.db", "SELECT text FROM notes WHERE id = 1"), "other");
    // The link back: what was saved first holds that again.
    fs::remove_file(world.path("app.db")).unwrap();
    fs::rename(world.path("first.db"), world.path("app.db")).unwrap();
    assert_eq!(if_changed(world.at("2026-03-03")), "copy");
}

#[test]
fn one_database_in_two_sets_is_saved_for_each() {
    let (world, application) = world("[sets.again.databases]\napp = 'app.db'\n");
    let made = |set: &str| {
        let ran = world.heirloom(["backup", "--set", set, "--if-changed", "--json"]).success();
        ran.json()["outcome"] != "unchanged"
    };
    assert!(made("app") && made("again"), "the backup of one set is none of the other");
    assert!(!made("app") && !made("again"));
    application.execute("DELETE FROM notes WHERE id = 1", []).unwrap();
    assert!(made("again"));
    assert!(made("app"), "the look of the other set does not count");
}

#[test]
fn a_copy_that_was_away_gets_what_it_lacks_although_nothing_changed() {
    let (world, _application) = world("[copies.off]\ndir = 'mount/off'\n");
    fs::write(world.path("mount"), "no folder").unwrap();
    world.heirloom(["backup", "--if-changed"]).exits(3).says("off");
    fs::remove_file(world.path("mount")).unwrap();
    fs::create_dir_all(world.path("mount/off")).unwrap();
    let again = world.heirloom(["backup", "--if-changed", "--json"]).success().json();
    assert_eq!(again["outcome"], "unchanged");
    assert!(world.files("mount/off").contains(&"app_20260301T030000Z.tar.gz".to_owned()));
}

#[test]
fn the_records_of_a_copied_store_do_not_vouch_for_another_database() {
    let (world, application) = world("");
    assert_eq!((if_changed(&world), if_changed(&world)), ("made".into(), "look".into()));
    drop(application);
    // A second site on the same host: the store was copied with its records, the database is its own.
    let mut site = World::new();
    site.database("app.db");
    configure(&site, "");
    site.run(&mut site.shell(&format!("cp -a {}/work/backups backups", world.root()))).success();
    site.at("2026-03-02").heirloom(["backup", "--if-changed", "--json"]).success();
    assert!(site.archives().contains(&"app_20260302T000000Z.tar.gz".to_owned()), "{:?}", site.archives());
}
