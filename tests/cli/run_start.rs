//! `heirloom run`: the backup at the start holds what the databases were before the application wrote anything.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::run_world::{self, Run, live, nobody_is_left};
use crate::world::{Ran, World};

/// The first act of an application: an update that destroys the data.
const DROP: &str = "python3 -c \"import sqlite3; c = sqlite3.connect('app.db', timeout=30); \
                    c.execute('drop table notes'); c.execute('create table other(x)'); c.commit()\"";

/// A program before the backup that gives an application that does not wait all the time to write first.
const SLOW_HOOK: &str = "[hooks]\nbefore_backup = ['sleep', '1']\n";

/// Writes the configuration. Rotation is off: of two archives of one hour it keeps the newer one.
fn configure(world: &World, text: &str) {
    fs::write(world.path("heirloom.toml"), format!("[schedule]\nrotate = 'never'\n{text}")).unwrap();
}

/// A world whose configuration is named, so that commands in it are honoured.
fn world() -> World {
    let mut world = run_world::world();
    world.env("HEIRLOOM_CONFIG", "heirloom.toml");
    world
}

/// Runs a script as the application.
fn run(world: &World, script: &str) -> Ran {
    world.run(&mut live(world, ["run", "--", "sh", "-c", script]))
}

/// The names and kinds of the archives, without safety backups.
fn archives(world: &World) -> Vec<(String, String)> {
    let listed = world.run(&mut live(world, ["list", "--json"])).success().json();
    let text = |archive: &serde_json::Value, field: &str| archive[field].as_str().unwrap().to_owned();
    let all = listed["archives"].as_array().unwrap().iter();
    all.filter(|archive| archive["kind"] != "safety").map(|one| (text(one, "archive"), text(one, "kind"))).collect()
}

/// The tables of the first database in the only scheduled archive of a set: the one of the start.
fn tables_of_the_start(world: &World, set: &str) -> String {
    let of_start = |(name, kind): &(String, String)| kind == "scheduled" && name.starts_with(&format!("{set}_"));
    let found: Vec<String> = archives(world).into_iter().filter(of_start).map(|(name, _)| name).collect();
    let [archive] = &found[..] else { panic!("{found:?}") };
    let _ = fs::remove_file(world.path("copy.db"));
    world.run(&mut live(world, ["restore", archive.as_str(), "--to", "copy.db"])).success();
    world.ask(
        "copy.db",
        "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1)",
    )
}

/// A process that holds a lock; it is killed when dropped.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process that holds an EXCLUSIVE lock until a file named `release` exists.
fn holder(world: &World) -> Holder {
    let script = "import os, sqlite3, time\n\
                  c = sqlite3.connect('app.db', isolation_level=None)\n\
                  c.execute('begin exclusive')\n\
                  open('held', 'w').close()\n\
                  while not os.path.exists('release'): time.sleep(0.005)\n";
    let mut command = Command::new("python3");
    let child = command.args(["-c", script]).current_dir(world.work()).stdin(Stdio::null()).spawn().unwrap();
    while !world.path("held").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Holder(child)
}

#[test]
fn the_archive_of_the_start_has_the_table_that_the_application_drops_first() {
    for mode in ["wal", "delete"] {
        let world = world();
        configure(&world, SLOW_HOOK);
        world.database("app.db");
        world.sql("app.db", &format!("PRAGMA journal_mode = {mode}"));
        run(&world, DROP).success().says("saved app_");
        assert_eq!(tables_of_the_start(&world, "app"), "notes", "{mode}");
        assert_eq!(archives(&world).len(), 2, "the one at the end has what the application wrote");
    }
}

#[test]
fn a_database_that_cannot_be_pinned_in_time_does_not_keep_the_application_waiting() {
    let world = world();
    configure(&world, "[run]\nstart_timeout = '300ms'\n");
    world.database("app.db");
    let holder = holder(&world);
    // The application ends the wait of the backup, so both go on beside each other.
    let ran = run(&world, "touch release; sleep 1").success();
    ran.says("the databases are not pinned after 300ms (start_timeout): the application starts").says("saved app_");
    assert_eq!(archives(&world).len(), 1);
    drop(holder);
}

#[test]
fn a_stop_signal_during_the_wait_ends_the_backup_and_starts_nothing() {
    let world = world();
    configure(&world, "[run]\nstart_timeout = '10m'\n");
    world.database("app.db");
    let holder = holder(&world);
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
    // The job waits for the lock.
    run.until(|_| world.path("backups/.heirloom/scratch").exists() || world.path("backups/.heirloom").exists(), "job");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 143, "{}", run.said());
    assert!(run.said().contains("stopped before the application was started"), "{}", run.said());
    assert!(!world.path("started").exists());
    assert!(!world.path("backups").exists() || !world.files("backups").iter().any(|file| file.contains("app_")));
    drop(holder);
    nobody_is_left(&world);
}

#[test]
fn an_unchanged_database_is_not_waited_for() {
    let world = world();
    configure(&world, "[run]\nstart_timeout = '10m'\n");
    world.database("app.db");
    run(&world, "exit 0").success().says("saved app_");
    assert_eq!(run(&world, "exit 3").exits(3).stderr.matches("saved").count(), 0);
    assert_eq!(archives(&world).len(), 1);
}

#[test]
fn all_sets_are_pinned_before_the_start_while_no_hook_runs() {
    let world = world();
    // The second hook changes the database of the first set, so that set must not be pinned yet.
    let hook = "import os, sqlite3\n\
                c = sqlite3.connect('app.db'); c.execute('pragma journal_mode = delete')\n\
                c.execute('create table if not exists hook_' + os.environ['HEIRLOOM_SET'] + '(x)'); c.commit()\n";
    fs::write(world.path("hook.py"), hook).unwrap();
    configure(
        &world,
        "[sets.app.databases]\napp = 'app.db'\n[sets.other.databases]\nother = 'other.db'\n[sets.same.databases]\napp = 'app.db'\n\
         [hooks]\nbefore_backup = ['python3', 'hook.py']\n",
    );
    world.database("app.db");
    world.database("other.db");
    world.sql("other.db", "PRAGMA journal_mode = wal");
    let script = format!("{DROP}; {}", DROP.replace("app.db", "other.db"));
    run(&world, &script).success().says("saved app_").says("saved other_").says("saved same_");
    assert_eq!(tables_of_the_start(&world, "other"), "notes");
    assert_eq!(tables_of_the_start(&world, "app"), "hook_app,hook_other,notes", "both hooks ran before the pin");
}

#[test]
fn tenants_of_a_pattern_are_not_waited_for_and_the_single_set_is() {
    let world = world();
    configure(
        &world,
        "[sets.app.databases]\napp = 'app.db'\n[sets.tenants]\neach = 'tenants/*.db'\n[run]\nstart_timeout = '10m'\n\
         [hooks]\nbefore_backup = ['sh', '-c', 'case $HEIRLOOM_SET in app) sleep 1;; *) while ! test -e started; do sleep 0.01; done;; esac']\n",
    );
    fs::create_dir(world.path("tenants")).unwrap();
    world.database("app.db");
    for tenant in ["tenants/a.db", "tenants/b.db"] {
        world.database(tenant);
    }
    // The hook of a tenant waits for the application: if the application waited for tenants, neither would go on.
    run(&world, &format!("touch started; {DROP}; sleep 1")).success().says("saved app_");
    assert_eq!(tables_of_the_start(&world, "app"), "notes");
}
