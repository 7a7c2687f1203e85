//! Plain databases in a store: live ones, and copies of other tools. They are shown and never counted.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::world::World;

const COPY: &str = "app_20260101_000000.db";

/// The ways in which the folder of an application is its store: arguments that back up, the store, and the database in
/// it.
fn ordinary_configurations() -> [(World, &'static [&'static str], &'static str, &'static str); 3] {
    let mut environment = World::new();
    environment.env("BACKUP_DIR", ".");
    let configured = World::new();
    fs::create_dir(configured.path("data")).unwrap();
    fs::write(
        configured.path("heirloom.toml"),
        "[store]\ndir = 'data'\n[sets.app.databases]\napp = 'data/app.db'\n[retention]\nlast = 1\ndaily = 0\nweekly = \
         0\nmonthly = 0\n",
    )
    .unwrap();
    [
        (World::new(), &["backup", "app.db", "--dir", ".", "--kind", "scheduled", "--rotate"], ".", "app.db"),
        (environment, &["backup", "app.db", "--cleanup", "--keep", "1"], ".", "app.db"),
        (configured, &["backup", "--rotate"], "data", "data/app.db"),
    ]
}

#[test]
fn a_live_database_that_lies_in_the_store_is_never_removed() {
    for (mut world, backup, store, database) in ordinary_configurations() {
        world.database(database);
        let application = Connection::open(world.path(database)).unwrap();
        application.execute_batch("PRAGMA journal_mode=WAL; INSERT INTO notes(text) VALUES ('in the wal')").unwrap();
        let copy = format!("{store}/{COPY}");
        fs::copy(world.path(database), world.path(&copy)).unwrap();
        for day in 1..=3 {
            world.at(&format!("2026-03-0{day}T03:00:00Z")).heirloom(backup).success();
            world.heirloom(["rotate", "--keep-last", "1", "--dir", store]).success();
            world.heirloom(["cleanup", "--keep", "1", "--max-age", "1s", "--max-size", "1B", "--dir", store]).success();
            application.execute_batch("INSERT INTO notes(text) VALUES ('later')").unwrap();
        }
        let archives: Vec<String> = world.files(store).into_iter().filter(|name| name.ends_with(".tar.gz")).collect();
        assert_eq!(archives, ["app_20260303T030000Z.tar.gz"], "{backup:?}");
        assert!(world.path(&copy).exists(), "{backup:?}: a copy of another tool");
        drop(application);
        assert_eq!(world.ask(database, "SELECT count(*) FROM notes"), "104", "{backup:?}");
    }
}

#[test]
fn a_database_that_was_just_written_to_is_no_recent_backup() {
    for (mut world, backup, store, database) in ordinary_configurations() {
        world.database(database);
        world.at("2026-03-01T03:00:00Z").heirloom(backup).success();
        // The files of the world are younger than its clock, which is what tempted the old rules.
        world.sql(database, "INSERT INTO notes(text) VALUES ('after the backup')");
        fs::File::options()
            .write(true)
            .open(world.path(database))
            .unwrap()
            .set_modified("2026-03-02T02:59:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap().into())
            .unwrap();
        world.at("2026-03-02T03:00:00Z").heirloom(["rotate", "--keep-last", "1", "--dir", store]).success();
        assert!(world.files(store).contains(&"app_20260301T030000Z.tar.gz".to_owned()), "{backup:?}: the only backup");
        let health = world.at("2026-03-03T06:00:00Z").heirloom(["health", "--dir", store, "--json", database]);
        let checks = health.json()["checks"].as_array().unwrap().clone();
        let age = checks.iter().find(|check| check["check"] == "backup_age").unwrap();
        assert_eq!(
            (age["state"].as_str(), age["measures"]["backup_age_seconds"]["value"].as_f64()),
            (Some("critical"), Some(183_600.0))
        );
        let again: Vec<&str> = backup.iter().copied().chain(["--if-older-than", "20h", "--json"]).collect();
        let document = world.heirloom(again).success().json();
        assert_eq!(document["outcome"], Value::Null, "{backup:?}: {document}");
    }
}

#[test]
fn config_check_warns_of_a_database_among_the_archives() {
    let [.., (world, _, _, database)] = ordinary_configurations();
    world.database(database);
    let document = world.heirloom(["config", "check", "--json"]).success().json();
    let found =
        document["checks"].as_array().unwrap().iter().find(|check| check["state"] == "warning").unwrap().clone();
    assert!(found["message"].as_str().unwrap().contains("data/app.db\" is in the folder of the store"), "{found}");
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = 'data/app.db'\n").unwrap();
    let document = world.heirloom(["config", "check", "--json"]).success().json();
    assert!(document["checks"].as_array().unwrap().iter().all(|check| check["state"] == "ok"), "{document}");
}

#[test]
fn what_other_tools_left_is_listed_verified_and_restored_and_never_counted() {
    let mut world = World::new();
    world.database("app.db");
    world.at("2026-03-01T03:00:00Z").heirloom(["backup", "app.db"]).success();
    let store = world.path("backups");
    fs::copy(world.path("app.db"), store.join("app_20260302T000000Z.db")).unwrap();
    let tar = std::process::Command::new("tar")
        .current_dir(world.work())
        .args(["czf", "backups/volume_20260302_000000.tar.gz", "app.db"])
        .status();
    assert!(tar.unwrap().success());
    world.at("2026-03-02T03:00:00Z");
    let document = world.heirloom(["list", "--json"]).success().json();
    let origins: Vec<&str> =
        document["archives"].as_array().unwrap().iter().map(|archive| archive["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["plain", "plain", "heirloom"]);
    world.heirloom(["verify", "app_20260302T000000Z.db", "volume_20260302_000000.tar.gz"]).success();
    world.heirloom(["restore", "app_20260302T000000Z.db", "--to", "again.db"]).success();
    assert_eq!(world.ask("again.db", "SELECT count(*) FROM notes"), "100");
    let document = world.heirloom(["cleanup", "--keep", "1", "--json"]).success().json();
    assert_eq!((document["keep"].as_array().unwrap().len(), document["left_alone"].as_u64()), (1, Some(0)));
    assert_eq!(world.files("backups").len(), 5, "all of them, the private folder and the id of the store");
    let health = world.heirloom(["health", "--json"]).exits(0).json();
    let of =
        |name: &str| health["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap().clone();
    assert_eq!(of("backup_age")["measures"]["backup_age_seconds"]["value"], 86_400.0);
    assert_eq!(of("archives")["measures"]["backup_archives"]["value"], 1.0);
    assert!(of("plain")["value"].as_str().unwrap().starts_with("2 files of other tools"));
}

#[test]
fn plain_databases_are_removed_if_somebody_asks_for_it_and_live_ones_never() {
    let mut world = World::new();
    world.database("app.db");
    world.database("recorded.db");
    world.at("2026-03-01T03:00:00Z").heirloom(["backup", "recorded.db", "--dir", "."]).success();
    fs::write(
        world.path("heirloom.toml"),
        "[sets.app.databases]\napp = 'app.db'\n[sets.copy.databases]\nx = 'app.db'\n",
    )
    .unwrap();
    for name in ["copy_20251228_000000.db", "copy_20251229_000000.db", "copy_20251230_000000.db"] {
        fs::copy(world.path("app.db"), world.path(name)).unwrap();
        assert!(std::process::Command::new("gzip").arg(world.path(name)).status().unwrap().success());
    }
    // Copies of other tools, one of each kind that has to stay, and two that can go.
    for name in ["copy_20260101_000000.db", "copy_20260102_000000.db", "copy_20260103_000000.db"] {
        fs::copy(world.path("app.db"), world.path(name)).unwrap();
    }
    for (name, sidecar) in [
        ("copy_20260104_000000.db", "-wal"),
        ("copy_20260105_000000.db", "-journal"),
        ("copy_20260106_000000.db", "-shm"),
    ] {
        fs::copy(world.path("app.db"), world.path(name)).unwrap();
        fs::write(world.path(format!("{name}{sidecar}")), "").unwrap();
    }
    fs::copy(world.path("app.db"), world.path("copy_20260107_000000.db")).unwrap();
    let open = fs::File::open(world.path("copy_20260107_000000.db")).unwrap();
    let held = std::process::Command::new("sleep").arg("60").stdin(open).spawn();
    std::os::unix::fs::symlink("app.db", world.path("copy_20260108_000000.db")).unwrap();
    fs::hard_link(world.path("app.db"), world.path("copy_20260109_000000.db")).unwrap();
    fs::hard_link(world.path("recorded.db"), world.path("copy_20260110_000000.db")).unwrap();

    let before = world.files(".");
    world.at("2026-03-02T03:00:00Z").heirloom(["cleanup", "--keep", "1", "--dir", ".", "--set", "copy"]).success();
    assert_eq!(world.files("."), before, "nobody asked for it");
    let ran = world
        .heirloom(["cleanup", "--keep", "1", "--dir", ".", "--set", "copy", "--include-plain", "--json"])
        .success();
    let mut held = held.unwrap();
    held.kill().unwrap();
    held.wait().unwrap();
    let document = ran.json();
    let kept: Vec<(String, String)> = document["plain_kept"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kept| (kept["archive"].as_str().unwrap().to_owned(), kept["why"].as_str().unwrap().to_owned()))
        .collect();
    let why =
        |name: &str| kept.iter().find(|(archive, _)| archive == name).map_or("removable", |(_, why)| why.as_str());
    assert!(why("app.db").contains("configured database"), "{kept:?}");
    assert!(why("recorded.db").contains("archives were copied from"), "{kept:?}");
    assert_eq!(why("copy_20260104_000000.db"), "a -wal lies beside it");
    assert_eq!(why("copy_20260105_000000.db"), "a -journal lies beside it");
    assert_eq!(why("copy_20260106_000000.db"), "a -shm lies beside it");
    assert!(why("copy_20260107_000000.db").starts_with("it is open in sleep ("), "{kept:?}");
    assert!(
        why("copy_20260109_000000.db").contains("configured database"),
        "the same file under another name: {kept:?}"
    );
    assert!(why("copy_20260110_000000.db").contains("archives were copied from"), "{kept:?}");
    let left = world.files(".");
    let gone: Vec<&str> = before.iter().filter(|name| !left.contains(name)).map(String::as_str).collect();
    let packed = ["copy_20251228_000000.db.gz", "copy_20251229_000000.db.gz"];
    if why("copy_20260101_000000.db").starts_with("not all processes can be seen") {
        // What is packed is no live database; the newest of those that are counted stays.
        assert_eq!(gone, packed);
        crate::tools::cannot_be_tested_here(
            "plain files that nobody has open are removed",
            "not all processes can be seen",
        );
    } else {
        let plain = ["copy_20251230_000000.db.gz", "copy_20260101_000000.db", "copy_20260102_000000.db"];
        assert_eq!(gone, [&packed[..], &plain].concat());
    }
    assert_eq!(document["remove"].as_array().unwrap().len(), gone.len());
}

#[test]
fn a_live_database_is_not_deleted_by_its_name_either() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--dir", "."]).success();
    world.heirloom(["delete", "app.db", "--force", "--dir", "."]).exits(14).says("may be a live database");
    assert!(world.path("app.db").exists());
}
