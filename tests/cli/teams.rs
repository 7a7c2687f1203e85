//! Each team that had backups inside its application, with the settings that it has, under `heirloom run`.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::connect_server::{ALICE, Connect, Parts};
use crate::run_world::{Run, acks, live, nobody_is_left};
use crate::tools::installed;
use crate::world::World;

/// An application that is there until it is told to end.
const IDLE: &str = "trap 'exit 0' TERM; echo ready >&2; while true; do sleep 0.05; done";

fn start(world: &World, script: &str) -> Run {
    let mut run = Run::start(world, &mut live(world, ["run", "--", "sh", "-c", script]));
    run.says("ready");
    run
}

fn stop(mut run: Run, world: &World) -> String {
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    nobody_is_left(world);
    run.said()
}

/// An assistant whose database is one folder up, with a backup every night at three.
fn assistant() -> World {
    let mut world = World::new();
    world.database("app.db");
    fs::create_dir(world.path("server")).unwrap();
    let database = format!("sqlite:///{}", world.path("app.db").display());
    world.env("DATABASE_URL", &database).env("BACKUP_DIR", "nightly");
    let config = "[schedule]\ncron = '0 3 * * *'\n[retention]\ndaily = 7\nweekly = 4\nmonthly = 12\n";
    fs::write(world.path("heirloom.toml"), config).unwrap();
    world
}

/// Row B1.
#[test]
fn a_night_that_was_missed_is_made_up_and_the_next_one_is_at_three() {
    let mut world = assistant();
    let mut run = start(&world, IDLE);
    run.says("saved app_");
    let said = stop(run, &world);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(world.files("nightly").iter().filter(|name| name.ends_with(".tar.gz")).count(), 1);

    let next = world.at("2026-03-01T12:00:00Z").heirloom(["schedule", "--json", "--next", "2"]).exits(0).json();
    let job = &next["jobs"][0];
    assert_eq!((job["job"].as_str(), job["rule"].as_str()), (Some("backup"), Some("0 3 * * *")), "{next}");
    let coming = job["next"].as_array().unwrap();
    assert!(coming.iter().any(|at| at.as_str().unwrap().starts_with("2026-03-02T03:00")), "{next}");
    // By hand, whatever the time.
    world.run(&mut live(&world, ["backup"])).success();
    assert_eq!(world.files("nightly").iter().filter(|name| name.ends_with(".tar.gz")).count(), 2);
}

/// Row B6, without the notices.
#[test]
fn what_a_run_did_is_in_the_log() {
    let world = assistant();
    let mut run = start(&world, IDLE);
    run.says("saved app_");
    stop(run, &world);
    let log = world.heirloom(["log", "--json"]).success().json();
    let commands: Vec<&str> =
        log["activities"].as_array().unwrap().iter().filter_map(|entry| entry["command"].as_str()).collect();
    assert!(commands.contains(&"backup") && commands.contains(&"rotate"), "{log}");
}

/// A web application in a container.
fn web() -> World {
    let mut world = World::new();
    world.database("app.db");
    world.env("DATABASE_PATH", "app.db").env("MAX_DATABASE_BACKUPS", "3").env("COMPRESS_BACKUPS", "true");
    world
}

/// Rows C1 and C2.
#[test]
fn a_backup_at_start_up_the_last_ones_kept_and_all_of_them_sound() {
    let mut world = web();
    for hours in ["24", "0.0003"] {
        world.env("AUTO_BACKUP_INTERVAL_HOURS", hours);
        let shown = world.heirloom(["config", "show"]);
        if hours == "24" {
            assert!(shown.success().stdout.contains("1d"));
        } else {
            // Less than a minute is refused.
            shown.exits(2).says("AUTO_BACKUP_INTERVAL_HOURS");
        }
    }
    world.env("AUTO_BACKUP_INTERVAL_HOURS", "24");
    for number in 1..=5 {
        world.sql("app.db", &format!("DELETE FROM notes WHERE id = {number}"));
        let mut run = start(&world, IDLE);
        run.says("saved app_");
        stop(run, &world);
    }
    assert_eq!(world.archives().len(), 3, "the last three of five, and nothing thins them");
    world.heirloom(["verify", "--all"]).success();
    world.env("BACKUP_ON_STARTUP", "false");
    let run = start(&world, IDLE);
    let said = stop(run, &world);
    assert!(!said.contains("saved"), "nothing changed: {said}");
}

/// Row C8.
#[test]
fn a_writer_that_never_waits_is_never_refused_by_a_backup() {
    if !installed("backups do not block the application", &["python3"]) {
        return;
    }
    let world = web();
    let script = r#"
import sqlite3, sys, time
c = sqlite3.connect("app.db", isolation_level=None, timeout=0)
c.execute("pragma journal_mode=wal")
print("ready", file=sys.stderr, flush=True)
for n in range(3000):
    c.execute("insert into notes(text) values(?)", ("x" * 500,))
    time.sleep(0.001)
print("refused: 0", file=sys.stderr, flush=True)
"#;
    fs::write(world.path("app.py"), script).unwrap();
    let mut run = Run::start(&world, &mut live(&world, ["run", "--every", "1s", "--", "python3", "app.py"]));
    assert_eq!(run.code(), 0, "{}", run.said());
    let said = run.said();
    assert!(said.contains("refused: 0") && said.matches("saved app_").count() >= 2, "{said}");
    nobody_is_left(&world);
}

/// A Python API on a host that forgets its disk, whose store is a pin.
fn api(server: &Connect) -> World {
    let mut world = World::new();
    let variables = format!(
        "CONNECT_SERVER={}\nCONNECT_USERNAME=alice\nHEIRLOOM_DIR=connect:\nDATABASE_URL=sqlite:///app.db\n",
        server.endpoint()
    );
    fs::write(world.path(".env"), variables).unwrap();
    world.env("CONNECT_API_KEY", ALICE);
    world
}

/// Rows D1 to D5.
#[test]
fn a_database_on_a_host_without_a_disk_outlives_it() {
    if !installed("an application on an ephemeral host", &["python3"]) {
        return;
    }
    let server = Connect::start(Parts::Given);
    let world = api(&server);
    fs::write(world.path("app.py"), crate::run_world::APPLICATION).unwrap();
    let mut saved = 0;
    for life in 0..3 {
        // The interval has not passed since the backup before: only the last one of a life is made.
        let mut run = Run::application(&world, &["--every", "1h"], "wal", "3");
        run.acknowledged(&world, saved + 20);
        let state = world.run(&mut live(&world, ["status", "--json"])).success().json();
        assert!(state["supervisor"].is_string(), "{state}");
        assert_eq!(state["sets"][0]["databases"][0]["exists"], true);
        run.signal(Signal::TERM);
        assert_eq!(run.code(), 7, "{}", run.said());
        saved = acks(&world.work()).len();
        assert_eq!(life > 0, run.said().contains("restored app from"), "{}", run.said());
        for name in ["app.db", "app.db-wal", "app.db-shm"] {
            let _ = fs::remove_file(world.path(name));
        }
        let _ = fs::remove_dir_all(world.path("../state"));
    }
    world.run(&mut live(&world, ["restore", "latest", "--to", "found.db"])).success();
    assert_eq!(world.ask("found.db", "SELECT max(n) FROM t"), acks(&world.work()).last().unwrap().0.to_string());
    assert_eq!(world.ask("found.db", "SELECT count(*) FROM t"), saved.to_string(), "no row of any life is missing");
}

/// Rows D2 and D4.
#[test]
fn an_hour_must_have_passed_except_by_hand() {
    let server = Connect::start(Parts::Given);
    let world = api(&server);
    world.database("app.db");
    let config = "[schedule]\nevery = '1h'\ncheck_every = '1s'\non_start = false\nfinal = false\n";
    fs::write(world.path("heirloom.toml"), config).unwrap();
    world.run(&mut live(&world, ["backup"])).success();
    let run = start(&world, IDLE);
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    sleep(Duration::from_secs(3));
    let listed = |world: &World| {
        let listed = world.run(&mut live(world, ["list", "--json"])).success().json();
        listed["archives"].as_array().unwrap().len()
    };
    assert_eq!(listed(&world), 1);
    world.run(&mut live(&world, ["backup"])).success();
    assert_eq!(listed(&world), 2);
    stop(run, &world);
}

/// Row D8: the database is there and the remote is not.
#[test]
fn a_remote_that_is_away_is_a_warning() {
    let server = Connect::start(Parts::Given);
    let mut world = api(&server);
    world.database("app.db");
    world.run(&mut live(&world, ["backup"])).success();
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    // It is asked again for longer than a stop may take.
    fs::write(world.path("heirloom.toml"), "[run]\ngrace = '6s'\n").unwrap();
    world.env("CONNECT_SERVER", "http://127.0.0.1:9");
    let run = start(&world, IDLE);
    let said = stop(run, &world);
    assert!(said.contains("warning: the last backup") && said.contains("ended with exit code 0"), "{said}");
}
