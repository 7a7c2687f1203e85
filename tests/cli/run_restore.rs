//! `heirloom run`: what is restored before the application starts, and whose archives those of a run without it are.

use std::fs;

use crate::run_world::{Run, live, world};
use crate::world::{Ran, World};

fn run(world: &World, script: &str) -> Ran {
    world.run(&mut live(world, ["run", "--", "sh", "-c", script]))
}

/// The host labels of the archives, newest first, without safety backups.
fn hosts(world: &World) -> Vec<String> {
    let listed = world.run(&mut live(world, ["list", "--json"])).success().json();
    let of = |archive: &serde_json::Value| {
        (archive["kind"] != "safety").then(|| archive["host"].as_str().unwrap().to_owned())
    };
    listed["archives"].as_array().unwrap().iter().filter_map(of).collect()
}

/// Writes into the database that was made without the data.
const MORE: &str = "python3 -c \"import sqlite3; c = sqlite3.connect('app.db'); \
                    c.execute('insert into fresh values(2)'); c.commit()\"";

/// Changes the database, and leaves the number of rows.
const CHANGE: &str = "python3 -c \"import sqlite3; c = sqlite3.connect('app.db'); \
    c.execute('update notes set text = text || 1 where id = 1'); c.commit()\"";

const NEW: &str = "test -e app.db || python3 -c \"import sqlite3; \
                   sqlite3.connect('app.db').executescript('create table fresh(x); insert into fresh values(1)')\"";

#[test]
fn archives_of_a_run_without_a_restore_never_stand_before_the_real_ones() {
    let world = world();
    world.database("app.db");
    world.run(&mut live(&world, ["backup"])).success();
    fs::remove_file(world.path("app.db")).unwrap();
    let away = || fs::rename(world.path("backups"), world.path("away")).unwrap();
    let back = || fs::rename(world.path("away"), world.path("backups")).unwrap();
    away();
    fs::write(world.path("heirloom.toml"), "[run]\nrestore_wait = '10ms'\nstart_without_restore = true\n").unwrap();
    run(&world, NEW).success().says("the application starts without its data");
    back();
    // The application goes on with its database, whose backups stand apart.
    run(&world, NEW).success().says("saved app_");
    assert_eq!(hosts(&world), ["here.unrestored", "here"]);
    world.run(&mut live(&world, ["status"])).success().says("\"app\" runs without its data since");
    let plan = world.run(&mut live(&world, ["restore", "latest", "--dry-run", "--json"])).success().json();
    assert_eq!(plan["databases"][0]["rows"], 100, "{plan}");
    // The disk is lost, too: the real one is restored, and its history goes on.
    fs::copy(world.path("app.db"), world.path("fresh.db")).unwrap();
    fs::remove_file(world.path("app.db")).unwrap();
    run(&world, CHANGE).success().says("restored app from").says("saved app_");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    assert_eq!(hosts(&world)[0], "here");
    // The other way out: somebody restores while the application has the wrong one.
    fs::remove_file(world.path("app.db")).unwrap();
    away();
    run(&world, NEW).success().says("the application starts without its data");
    back();
    run(&world, MORE).success().says("saved app_");
    assert_eq!(hosts(&world)[0], "here.unrestored");
    world.run(&mut live(&world, ["restore", "latest", "--force"])).success();
    run(&world, CHANGE).success().says("saved app_");
    assert_eq!(hosts(&world)[0], "here");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    assert!(!world.run(&mut live(&world, ["status"])).success().stderr.contains("without its data"));
}

#[test]
fn the_newest_archive_replaces_what_is_not_the_same_and_that_is_kept() {
    let world = world();
    world.database("app.db");
    let bundled = fs::read(world.path("app.db")).unwrap();
    fs::write(world.path("heirloom.toml"), "[run]\nrestore = 'newest'\n").unwrap();
    run(&world, "exit 0").success().says("saved app_");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    world.run(&mut live(&world, ["backup"])).success();
    // A deployment brings its own, older one.
    fs::write(world.path("app.db"), &bundled).unwrap();
    let ran = run(&world, "exit 0").success().says("restored app from").says("what was there before is kept as app_");
    let ran = ran.says("app holds what app_").says("an older backup: the newest is restored");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10", "{}", ran.stderr);
    let kept = ran.stderr.split("is kept as ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    world.run(&mut live(&world, ["restore", &kept, "--to", "kept.db"])).success();
    assert_eq!(world.ask("kept.db", "SELECT count(*) FROM notes"), "100");
    // Nothing was written since the backup at its end.
    let ran = run(&world, "exit 0").success();
    assert!(!ran.stderr.contains("restored"), "{}", ran.stderr);
    // A bundle that is the newest backup, on a disk without any record, is left as it is.
    let restored = fs::read(world.path("app.db")).unwrap();
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    fs::write(world.path("app.db"), &restored).unwrap();
    let ran = run(&world, "exit 0").success();
    assert!(!ran.stderr.contains("restored") && !ran.stderr.contains("holds what"), "{}", ran.stderr);
    // One that no archive holds is replaced and kept.
    world.sql("app.db", "DELETE FROM notes WHERE id > 5");
    let ran = run(&world, "exit 0").success().says("restored app from").says("what was there before is kept as app_");
    assert!(!ran.stderr.contains("holds what"), "{}", ran.stderr);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10", "{}", ran.stderr);
    // A stale one is left alone under the default.
    fs::write(world.path("heirloom.toml"), "").unwrap();
    fs::write(world.path("app.db"), &bundled).unwrap();
    run(&world, "exit 0").success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn under_newest_a_store_that_is_away_stops_the_start_although_there_is_a_database() {
    let world = world();
    world.database("app.db");
    world.run(&mut live(&world, ["backup"])).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    fs::write(world.path("heirloom.toml"), "[run]\nrestore = 'newest'\nrestore_wait = '10ms'\n").unwrap();
    run(&world, "touch started").exits(16).says("was not started");
    assert!(!world.path("started").exists());
    let mut waiting = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
    assert_eq!(waiting.code(), 16, "{}", waiting.said());
}

#[test]
fn a_database_in_memory_is_a_warning_and_a_collector_gets_json() {
    if !std::path::Path::new("/dev/shm").is_dir() {
        return crate::tools::not_tested("a database in memory", "/dev/shm");
    }
    let mut world = world();
    let folder = tempfile::Builder::new().tempdir_in("/dev/shm").unwrap();
    world.env("DATABASE_PATH", folder.path().join("app.db").to_str().unwrap());
    run(&world, "exit 0").success().says("is in memory (tmpfs) and lost at the next restart: mount a volume at");
    world.database("app.db");
    fs::copy(world.path("app.db"), folder.path().join("app.db")).unwrap();
    let words = ["run", "--log-format", "json", "--", "sh", "-c", "exit 0"];
    let ran = world.run(&mut live(&world, words)).success();
    let lines: Vec<serde_json::Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["level"] == "warning"), "{}", ran.stderr);
    let saved = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("saved app_")).unwrap();
    assert_eq!(saved["level"], "info");
    assert!(chrono::DateTime::parse_from_rfc3339(saved["time"].as_str().unwrap()).is_ok());
}
