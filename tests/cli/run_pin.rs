//! The backup at the start of `run` holds what was there before the application.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::run_world::{Run, live, nobody_is_left};
use crate::world::World;

/// A database of a few megabytes, so that reading it takes longer than the application needs for its first change.
const OLD: &str = "CREATE TABLE old(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO old SELECT randomblob(400) FROM n;";

/// Returns the names of the archives of a kind, newest first.
fn archives(world: &World, kind: &str) -> Vec<String> {
    let listed = world.run(&mut live(world, ["list", "--json"])).success().json();
    let of_kind = listed["archives"].as_array().unwrap().iter().filter(|one| one["kind"] == kind);
    of_kind.map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
}

/// Returns the tables of a database in an archive.
fn tables(world: &World, archive: &str) -> String {
    let _ = fs::remove_file(world.path("copy.db"));
    world.run(&mut live(world, ["restore", archive, "--to", "copy.db"])).success();
    world.ask("copy.db", "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema ORDER BY 1)")
}

/// Runs an application that drops a table as its first act.
fn drop_old(world: &World, databases: &[&str]) -> Run {
    let script: Vec<String> =
        databases.iter().map(|name| format!("sqlite3 -cmd '.timeout 60000' {name} 'DROP TABLE old'")).collect();
    let script = script.join(" && ");
    Run::start(world, &mut live(world, ["run", "--", "sh", "-c", &script]))
}

/// Holds a database locked, until it is dropped.
struct Lock(Child);

impl Lock {
    fn of(world: &World, database: &str) -> Self {
        let script = "import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute('begin exclusive')
open('locked', 'w').close()
time.sleep(600)";
        let mut command = Command::new("python3");
        command.args(["-c", script, database]).current_dir(world.work()).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        while !world.path("locked").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Self(child)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_first_change_of_the_application_is_not_in_the_backup_of_the_start() {
    for mode in ["wal", "delete"] {
        let mut world = World::new();
        world.env("DATABASE_PATH", "app.db");
        world.sql("app.db", &format!("PRAGMA journal_mode={mode}; CREATE TABLE kept(x); {OLD}"));
        let mut run = drop_old(&world, &["app.db"]);
        assert_eq!(run.code(), 0, "{}", run.said());
        let [before] = &archives(&world, "pre-update")[..] else { panic!("{mode}: {}", run.said()) };
        assert_eq!(tables(&world, before), "kept,old", "{mode}: {}", run.said());
        let [after] = &archives(&world, "final")[..] else { panic!("{mode}: {}", run.said()) };
        assert_eq!(tables(&world, after), "kept", "{mode}");
        nobody_is_left(&world);

        // Nothing has changed since: nothing is saved, and nothing is waited for.
        let mut run = Run::start(&world, &mut live(&world, ["run", "--", "true"]));
        assert_eq!(run.code(), 0);
        assert!(!run.said().contains("saved"), "{}", run.said());
    }
}

#[test]
fn what_a_new_version_found_outlives_the_backups_of_its_hour() {
    let mut world = World::new();
    world.env("DATABASE_PATH", "app.db");
    world.sql("app.db", &format!("CREATE TABLE kept(x); {OLD} INSERT INTO kept SELECT x FROM old; DROP TABLE old"));
    for version in 1..=3 {
        world.sql("app.db", &format!("CREATE TABLE old(x); INSERT INTO old VALUES({version})"));
        let mut run = drop_old(&world, &["app.db"]);
        assert_eq!(run.code(), 0, "{}", run.said());
    }
    let ran = world.run(&mut live(&world, ["rotate", "--force"])).success();
    let before = archives(&world, "pre-update");
    assert_eq!(before.len(), 3, "{}", ran.stdout);
    before.iter().for_each(|archive| assert_eq!(tables(&world, archive), "kept,old", "{archive}"));
    assert!(archives(&world, "final").len() < 3, "of an hour the last one stays: {}", ran.stdout);
}

#[test]
fn each_of_several_sets_is_captured_before_the_application() {
    let world = World::new();
    let sets = "[sets.one.databases]\none = 'one.db'\n[sets.two.databases]\ntwo = 'two.db'\n";
    fs::write(world.path("heirloom.toml"), sets).unwrap();
    world.sql("one.db", &format!("PRAGMA journal_mode=wal; {OLD}"));
    world.sql("two.db", OLD);
    let mut run = drop_old(&world, &["one.db", "two.db"]);
    assert_eq!(run.code(), 0, "{}", run.said());
    let before = archives(&world, "pre-update");
    assert_eq!(before.len(), 2, "{}", run.said());
    before.iter().for_each(|archive| assert_eq!(tables(&world, archive), "old", "{archive}"));
    assert_eq!(archives(&world, "final").len(), 2);
}

#[test]
fn a_database_that_stays_locked_delays_the_start_by_start_timeout_only() {
    let mut world = World::new();
    world.env("DATABASE_PATH", "app.db");
    fs::write(world.path("heirloom.toml"), "[run]\nstart_timeout = '300ms'\n").unwrap();
    world.sql("app.db", OLD);
    let lock = Lock::of(&world, "app.db");
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", "touch started; exec sleep 60"]));
    run.says("could not be captured within `start_timeout`");
    run.until(|_| world.path("started").exists(), "the application");
    assert!(!run.said().contains("warning"), "{}", run.said());
    drop(lock);
    // The backup begins anew, and waits for the lock as any other.
    run.says("saved app_");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 143, "{}", run.said());
    nobody_is_left(&world);
}

#[test]
fn a_stop_while_the_databases_are_captured_starts_nothing() {
    let mut world = World::new();
    world.env("DATABASE_PATH", "app.db");
    fs::write(world.path("heirloom.toml"), "[run]\nstart_timeout = '1h'\n").unwrap();
    world.sql("app.db", OLD);
    let lock = Lock::of(&world, "app.db");
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
    // The job waits for the lock, in its scratch folder.
    run.until(|_| world.path("backups/.heirloom/lock").exists(), "the scratch of the job");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 143, "{}", run.said());
    drop(lock);
    assert!(!world.path("started").exists());
    nobody_is_left(&world);
    assert!(!run.said().contains("saved"), "{}", run.said());
}

#[test]
fn a_store_that_is_away_does_not_keep_the_application_from_its_database() {
    let mut world = World::new();
    world.env("DATABASE_PATH", "app.db").env("HEIRLOOM_DIR", "nowhere/store");
    world.sql("app.db", OLD);
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
    assert_eq!(run.code(), 0, "{}", run.said());
    assert!(world.path("started").exists());
    assert!(run.said().contains("the backup failed"), "{}", run.said());
}
