//! Scheduled jobs of `run` give way to a restore; nobody else's do.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::run_world::{Run, live, nobody_is_left};
use crate::world::World;

/// Longer than anything takes.
const LIMIT: Duration = Duration::from_secs(90);

/// Holds a lock on a file, until it is dropped.
struct Locked(Child);

impl Locked {
    fn file(world: &World, path: &str) -> Self {
        let script = "import fcntl, sys, time
f = open(sys.argv[1], 'a')
fcntl.flock(f, fcntl.LOCK_EX)
open('locked', 'w').close()
time.sleep(600)";
        let _ = fs::remove_file(world.path("locked"));
        let mut command = Command::new("python3");
        let child = command.args(["-c", script, path]).current_dir(world.work()).stdin(Stdio::null()).spawn().unwrap();
        wait_for(world, "locked");
        Self(child)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(world: &World, file: &str) {
    let started = Instant::now();
    while !world.path(file).exists() {
        assert!(started.elapsed() < LIMIT, "{file} never appears");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A set whose backups take until `ready` exists.
fn slow() -> World {
    slow_with("")
}

fn slow_with(more: &str) -> World {
    let mut world = World::new();
    world.env("HEIRLOOM_CONFIG", world.path("slow.toml").to_str().unwrap());
    let hook = "echo >> hooked; while [ ! -e ready ]; do sleep 0.05; done";
    let text = format!(
        "[sets.app.databases]\napp = 'app.db'\n[schedule]\nfinal = false\n\
         [hooks]\nbefore_backup = ['sh', '-c', '{hook}']\non_failure = ['touch', 'failed']\n{more}"
    );
    fs::write(world.path("slow.toml"), text).unwrap();
    world.sql("app.db", "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    fs::write(world.path("ready"), "").unwrap();
    world.run(&mut live(&world, ["backup"])).success();
    fs::remove_file(world.path("ready")).unwrap();
    fs::remove_file(world.path("hooked")).unwrap();
    world.sql("app.db", "INSERT INTO t VALUES (2)");
    world
}

#[test]
fn a_restore_does_not_wait_for_a_scheduled_backup_which_is_repeated_after_it() {
    let world = slow();
    let mut run = Run::start(&world, &mut live(&world, ["run"]));
    run.until(|_| world.path("hooked").exists(), "a scheduled backup");
    let restored = world.run(&mut live(&world, ["restore", "latest", "--force"])).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM t"), "1", "{}", restored.stderr);
    run.says("the backup gave way to a restore, and is repeated after it");
    assert!(!world.path("failed").exists() && !run.said().contains("warning"), "{}", run.said());
    world.sql("app.db", "INSERT INTO t VALUES (3)");
    fs::write(world.path("ready"), "").unwrap();
    run.says("saved app_");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    nobody_is_left(&world);
}

#[test]
fn the_rollback_of_a_guarded_command_does_not_wait_either() {
    let world = slow();
    let mut run = Run::start(&world, &mut live(&world, ["run"]));
    run.until(|_| world.path("hooked").exists(), "a scheduled backup");
    // Its own backup is not a scheduled one.
    let text = fs::read_to_string(world.path("slow.toml")).unwrap();
    let text = text.replace("while", "[ $HEIRLOOM_KIND = scheduled ] || exit 0; while");
    fs::write(world.path("guard.toml"), text).unwrap();
    let script = "sqlite3 app.db 'DROP TABLE t'; exit 1";
    let guarded = world.run(&mut live(&world, ["guard", "--config", "guard.toml", "--", "sh", "-c", script]));
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM t"), "2", "{}", guarded.stderr);
    run.says("the backup gave way to a restore, and is repeated after it");
    run.signal(Signal::KILL);
}

#[test]
fn a_backup_that_somebody_asked_for_is_not_cancelled() {
    let world = slow();
    let mut manual = live(&world, ["backup"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&world, "hooked");
    // The announcement is made only beside a run.
    let mut run = Run::start(&world, &mut live(&world, ["run"]));
    run.says("backups until a stop signal");
    world.run(&mut live(&world, ["restore", "latest", "--force"])).success();
    run.says("gave way");
    assert!(manual.try_wait().unwrap().is_none());
    fs::write(world.path("ready"), "").unwrap();
    assert!(manual.wait().unwrap().success());
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
}

#[test]
fn a_scheduled_verification_gives_way_and_waits_for_a_restore_that_is_under_way() {
    let mut world = World::new();
    world.env("HEIRLOOM_DIR", "store");
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)";
    world.sql("app.db", &format!("CREATE TABLE t(x); {many} INSERT INTO t SELECT randomblob(1000000) FROM n"));
    world.run(&mut live(&world, ["backup", "app.db"])).success();
    let verify = || {
        let mut command = live(&world, ["verify", "--all", "--give-way"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let lock = "store/.heirloom/restoring-app.lock";
    let locked = Locked::file(&world, lock);
    let mut waiting = verify();
    thread::sleep(Duration::from_millis(500));
    assert!(waiting.try_wait().unwrap().is_none());
    drop(locked);
    assert!(waiting.wait().unwrap().success());

    let running = verify();
    let locked = Locked::file(&world, lock);
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(said.contains("{\"gave_way\":true}"), "{said}");
    drop(locked);
}

#[test]
fn a_restore_of_another_set_disturbs_nobody() {
    let world = slow();
    fs::write(world.path("ready"), "").unwrap();
    let _locked = Locked::file(&world, "backups/.heirloom/restoring-other.lock");
    world.run(&mut live(&world, ["backup", "--set", "app", "--give-way"])).success();
}

#[test]
fn a_file_that_a_killed_restore_left_announces_nothing() {
    let world = slow();
    fs::write(world.path("ready"), "").unwrap();
    fs::write(world.path("backups/.heirloom/restoring-app.lock"), "").unwrap();
    world.run(&mut live(&world, ["backup", "--set", "app", "--give-way"])).success();
}

#[test]
fn a_restore_inside_a_hook_does_not_end_the_backup_that_runs_the_hook() {
    let world = slow();
    let hook = format!("echo >> hooked; {} restore latest --force", env!("CARGO_BIN_EXE_heirloom"));
    let text = format!(
        "[sets.app.databases]\napp = 'app.db'\n[schedule]\nfinal = false\n\
         [hooks]\nbefore_backup = ['sh', '-c', '{hook}']\n"
    );
    fs::write(world.path("slow.toml"), text).unwrap();
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "sleep", "2"]));
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(fs::read(world.path("hooked")).unwrap().len(), 1, "{}", run.said());
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM t"), "1", "{}", run.said());
    assert!(!run.said().contains("gave way"), "{}", run.said());
}

#[test]
fn a_restore_from_a_copy_does_not_wait_for_a_scheduled_backup_into_the_main_store() {
    let world = slow_with("[copies.second]\ndir = 'second'\n");
    let mut run = Run::start(&world, &mut live(&world, ["run"]));
    run.until(|_| world.path("hooked").exists(), "a scheduled backup");
    world.run(&mut live(&world, ["restore", "latest", "--force", "--store", "second"])).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM t"), "1");
    run.says("the backup gave way to a restore, and is repeated after it");
    run.signal(Signal::KILL);
}

#[test]
fn a_restore_from_a_copy_does_not_wait_for_a_main_store_that_hangs() {
    let world = slow_with("[copies.second]\ndir = 'second'\n");
    let lock = world.path("backups/.heirloom/run.lock");
    let _ = fs::remove_file(&lock);
    // To open it takes until somebody writes to it.
    world.run(&mut world.shell("mkfifo backups/.heirloom/run.lock")).success();
    let mut restore = live(&world, ["restore", "latest", "--force", "--store", "second"]);
    let mut restore = restore.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let ended = loop {
        match restore.try_wait().unwrap() {
            Some(ended) => break ended,
            None if started.elapsed() > LIMIT => {
                restore.kill().unwrap();
                panic!("it hangs");
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(ended.success());
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM t"), "1");
}
