//! `heirloom status`, and a bare `heirloom` at a terminal.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::terminal::run_at;
use crate::world::World;

fn configured() -> World {
    let world = World::new();
    world.database("app.db");
    world.database("log.db");
    let text = "[sets.app.databases]\napp = 'app.db'\n[sets.log.databases]\nlog = 'log.db'\n[copies.usb]\ndir = 'usb'";
    fs::write(world.path("heirloom.toml"), text).unwrap();
    world
}

fn status(world: &World) -> Value {
    world.heirloom(["status", "--json"]).success().json()
}

/// Returns the state of the only database of a set.
fn state(document: &Value, set: &str) -> String {
    let sets = document["sets"].as_array().unwrap();
    let set = sets.iter().find(|one| one["set"] == set).unwrap_or_else(|| panic!("no {set} in {document}"));
    set["databases"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn each_set_is_shown_with_its_backup_and_whether_it_needs_one() {
    let mut world = configured();
    let application = Connection::open(world.path("app.db")).unwrap();
    application.execute_batch("PRAGMA journal_mode=WAL; DELETE FROM notes WHERE id = 1").unwrap();
    sleep(Duration::from_millis(150));
    let document = status(&world);
    assert_eq!(
        (state(&document, "app"), state(&document, "log")),
        ("never_backed_up".into(), "never_backed_up".into())
    );
    assert_eq!(document["sets"][0]["backup_needed"], true);
    assert_eq!(document["store_error"], Value::Null, "the store comes with the first backup");

    world.heirloom(["backup", "--no-copies"]).success();
    world.at("2026-03-01T05:00:00Z");
    world.sql("log.db", "DELETE FROM notes WHERE id = 1");
    let document = status(&world);
    let (app, log) = (&document["sets"][0], &document["sets"][1]);
    assert_eq!((state(&document, "app"), state(&document, "log")), ("unchanged".into(), "changed".into()));
    assert_eq!((&app["backup_needed"], &log["backup_needed"]), (&false.into(), &true.into()));
    assert_eq!(app["last_backup"]["archive"], "app_20260301T030000Z.tar.gz");
    assert_eq!(app["last_backup"]["in_store"], true);
    assert_eq!(app["last_confirmed"], "2026-03-01T03:00:00.000000Z");
    assert_eq!(app["databases"][0]["bytes"], fs::metadata(world.path("app.db")).unwrap().len());
    assert_eq!((&app["schedule"], &app["next_due"]), (&Value::Null, &Value::Null));
    assert_eq!(app["copies"][0]["has_last_backup"], Value::Null, "the copy was never listed");

    world.heirloom(["copy"]).success();
    assert_eq!(status(&world)["sets"][0]["copies"][0]["has_last_backup"], true);
    world.heirloom(["backup", "--if-changed", "--no-copies"]).success();
    let document = status(&world);
    assert_eq!(document["sets"][0]["last_confirmed"], "2026-03-01T05:00:00.000000Z", "renewed");
    assert_eq!(document["sets"][1]["copies"][0]["has_last_backup"], false, "the new archive is not copied");

    let one = world.heirloom(["status", "log", "--json"]).success().json();
    assert_eq!(one["sets"].as_array().unwrap().len(), 1);
    world.heirloom(["status", "nothing"]).exits(2).says("no set \"nothing\" is known");

    fs::remove_file(world.path("log.db")).unwrap();
    fs::remove_file(world.path("backups/app_20260301T030000Z.tar.gz")).unwrap();
    let document = status(&world);
    assert_eq!((state(&document, "app"), state(&document, "log")), ("archive_gone".into(), "missing".into()));
    assert_eq!(document["sets"][1]["databases"][0]["exists"], false);
    assert_eq!(document["sets"][1]["backup_needed"], false);
}

/// Nothing but its name is left of the archive, and nobody verified it.
#[test]
fn an_archive_that_was_overwritten_was_still_the_last_backup() {
    let mut world = World::new();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = 'app.db'\n").unwrap();
    let (first, second) = ("app_20260301T030000Z.tar.gz", "app_20260302T030000Z.tar.gz");
    world.heirloom(["backup"]).success();
    world.at("2026-03-02T03:00:00Z").heirloom(["backup"]).success();
    world.at("2026-03-02T04:00:00Z");
    let path = world.path("backups").join(second);
    let sound = fs::read(&path).unwrap();
    let last = |world: &World| status(world)["sets"][0]["last_backup"].clone();
    assert_eq!(last(&world)["archive"], second);
    // Cut off behind its description, which still says what should be there.
    let end = sound.len() - 600;
    for bytes in [vec![0xa5; sound.len()], vec![0; sound.len()], Vec::new(), sound[..end].to_vec()] {
        fs::write(&path, &bytes).unwrap();
        let case = format!("{} bytes", bytes.len());
        let document = status(&world);
        assert_eq!(document["sets"][0]["last_backup"]["archive"], first, "{case}");
        assert_eq!(document["sets"][0]["backup_needed"], true, "{case}");
        let ran = world.heirloom(["health", "--json"]).exits(21).json();
        let damaged = ran["checks"].as_array().unwrap().iter().find(|check| check["check"] == "damaged").unwrap();
        assert_eq!(damaged["state"], "critical", "{case}: {damaged}");
        assert!(damaged["value"].as_str().unwrap().contains(second), "{case}: {damaged}");
        let listed = world.heirloom(["list", "--json"]).success().json();
        let states = [&listed["archives"][0]["damaged"], &listed["foreign"][0]["damaged"]];
        assert!(states.contains(&&Value::Bool(true)), "{case}: {listed}");
    }
    // An archive, but another one.
    fs::copy(world.path("backups").join(first), &path).unwrap();
    assert_eq!(status(&world)["sets"][0]["backup_needed"], true);
    fs::write(&path, &sound).unwrap();
    assert_eq!(last(&world)["archive"], second);
    fs::write(world.path("backups").join(format!("{second}.damaged")), "").unwrap();
    assert_eq!(last(&world)["archive"], first, "verify found it damaged");

    fs::write(&path, "garbage").unwrap();
    fs::write(world.path("backups").join(first), "garbage").unwrap();
    let document = status(&world);
    assert_eq!((&last(&world)["in_store"], state(&document, "app")), (&false.into(), "archive_gone".into()));
}

#[test]
fn without_records_the_archives_of_a_local_store_are_listed() {
    let mut world = configured();
    world.heirloom(["backup", "--no-copies"]).success();
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    world.at("2026-03-01T05:00:00Z");
    let document = status(&world);
    assert_eq!(document["sets"][0]["last_backup"]["archive"], "app_20260301T030000Z.tar.gz");
    assert_eq!(state(&document, "app"), "unknown");
}

#[test]
fn without_a_configuration_the_records_name_the_databases() {
    let world = World::new();
    world.database("app.db");
    assert_eq!(status(&world)["sets"], Value::Array(Vec::new()));
    let ran = world.heirloom(["status"]).success();
    assert!(ran.stdout.contains("No database is known"), "{}", ran.stdout);
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    let document = status(&world);
    assert_eq!(state(&document, "app"), "changed");
}

#[test]
fn a_store_that_is_away_does_not_matter() {
    let mut world = configured();
    world.heirloom(["backup"]).success();
    world.at("2026-03-01T05:00:00Z");
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    let ran = world.heirloom(["status"]).success().says("the store cannot be read");
    assert!(ran.stdout.contains("app_20260301T030000Z.tar.gz"), "{}", ran.stdout);
    let document = status(&world);
    assert!(document["store_error"].as_str().unwrap().contains("is gone"), "{document}");

    fs::rename(world.path("away"), world.path("backups")).unwrap();
    fs::rename(world.path("usb"), world.path("usb-away")).unwrap();
    assert_eq!(status(&world)["sets"][0]["copies"][0]["error"], Value::Null, "nobody asked");
    let document = world.heirloom(["status", "--check-stores", "--json"]).success().json();
    assert!(document["sets"][0]["copies"][0]["error"].is_string(), "{document}");
}

/// A server that is not there: a request would fail, and a name that is not resolved would take long.
#[cfg(feature = "remote")]
#[test]
fn a_remote_store_is_asked_only_on_request() {
    let mut world = World::new();
    world.database("app.db");
    world.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "y");
    let store = "s3://bucket/prefix?endpoint=http://127.0.0.1:9&region=us-east-1";
    let ran = world.heirloom(["status", "--json", "--dir", store]).success();
    assert_eq!(ran.json()["store_error"], Value::Null);
    let ran = world.heirloom(["status", "--json", "--dir", store, "--check-stores"]).success();
    assert!(ran.json()["store_error"].is_string(), "{}", ran.stdout);
}

#[test]
fn a_bare_heirloom_at_a_terminal_prints_the_status_and_the_next_step() {
    let world = World::new();
    let none: [&str; 0] = [];
    let bare = |world: &World| {
        let screen = run_at(80, &mut world.command(none), "");
        assert_eq!(screen.code, 0, "{}", screen.text);
        screen.text
    };
    assert!(bare(&world).contains("No database is known"));
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = 'app.db'\n").unwrap();
    let text = bare(&world);
    assert!(text.contains("app  never backed up\n") && text.contains("Next: `heirloom backup --if-changed`"), "{text}");
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    let text = bare(&world);
    assert!(text.contains("`heirloom restore latest`"), "{text}");
    // In a script it is a mistake.
    let ran = world.heirloom(none);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("Usage: heirloom"), "{}", ran.stderr);
}
