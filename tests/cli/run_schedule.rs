//! What `heirloom run` does by itself.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::run_world::{Run, live, nobody_is_left, world};
use crate::world::World;

/// An application that is there until it is told to end.
const IDLE: &str = "trap 'exit 0' TERM; echo ready >&2; while true; do sleep 0.05; done";

fn start(world: &World, config: &str, args: &[&str]) -> Run {
    fs::write(world.path("heirloom.toml"), config).unwrap();
    let words = [&["run"][..], args, &["--", "sh", "-c", IDLE]].concat();
    let mut run = Run::start(world, &mut live(world, words));
    run.says("ready");
    run
}

#[test]
fn what_follows_from_a_backup_runs_after_it() {
    // An archive is named by its second, so each change is saved by one of its own.
    // A rule also leaves what the application found at its start.
    for (config, last, left) in [("[retention]\nkeep = 2\n", "cleanup", 2), ("[retention]\nlast = 2\n", "rotation", 3)]
    {
        eprintln!("{last}");
        let world = world();
        world.database("app.db");
        let mut run = start(&world, config, &["--every", "1s"]);
        for number in 1..=5 {
            run.until(|run| run.said().matches("saved app_").count() >= number, "a backup");
            world.sql("app.db", &format!("DELETE FROM notes WHERE id = {number}"));
        }
        run.until(|_| world.archives().len() == left, last);
        run.signal(Signal::TERM);
        assert_eq!(run.code(), 0, "{}", run.said());
        nobody_is_left(&world);
    }
}

#[test]
fn nothing_is_saved_that_did_not_change() {
    let world = world();
    world.database("app.db");
    let mut run = start(&world, "", &["--every", "200ms"]);
    run.says("saved app_");
    thread::sleep(Duration::from_secs(2));
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 1, "{}", run.said());
}

#[test]
fn a_backup_that_somebody_else_made_counts() {
    let mut world = world();
    world.database("app.db");
    live(&world, ["backup"]).status().unwrap();
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    let config = "[schedule]\non_start = false\nfinal = false\nevery = '1h'\ncheck_every = '1s'\n";
    let mut run = start(&world, config, &[]);
    thread::sleep(Duration::from_secs(3));
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 1, "{}", run.said());

    // Due by its age, it is made at the first look.
    let old = world.archives();
    world.heirloom(["delete", &old[0], "--even-last", "--force"]).success();
    world.at("2026-03-01T03:00:00Z").heirloom(["backup"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id = 2");
    let mut run = start(&world, config, &[]);
    run.says("saved app_");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 2, "{}", run.said());
}

#[test]
fn a_slot_that_was_missed_is_made_up_at_the_start() {
    let mut world = world();
    world.database("app.db");
    world.at("2026-03-01T03:00:00Z").heirloom(["backup"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    let config = "[schedule]\non_start = false\nfinal = false\ncron = '@yearly'\n";
    let mut run = start(&world, config, &[]);
    thread::sleep(Duration::from_secs(1));
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 1, "the slot of 2027 has not come: {}", run.said());

    let mut run = start(&world, &config.replace("@yearly", "0 * * * *"), &[]);
    run.says("saved app_");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
}

#[test]
fn without_a_schedule_only_the_restore_stays() {
    let mut world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    world.env("AUTO_BACKUP_ENABLED", "false");
    let mut run = start(&world, "", &[]);
    assert!(world.path("app.db").exists());
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    thread::sleep(Duration::from_secs(1));
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 1, "{}", run.said());
}

#[test]
fn status_knows_the_run_and_when_it_saves_next() {
    let world = world();
    world.database("app.db");
    let mut run = start(&world, "", &["--every", "6h"]);
    run.says("saved app_");
    let status = world.heirloom(["status", "--json"]).success().json();
    assert!(status["supervisor"].as_str().unwrap().starts_with("process "), "{status}");
    assert_eq!(status["sets"][0]["schedule"], "every 1h");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    let status = world.heirloom(["status", "--json"]).success().json();
    assert!(status["supervisor"].is_null(), "{status}");
    assert!(status["sets"][0]["schedule"].is_null(), "nothing follows a schedule: {status}");
}

#[test]
fn whoever_gets_notices_hears_that_the_last_backup_is_too_old() {
    let mut world = world();
    world.database("app.db");
    world.at("2026-03-01T03:00:00Z").heirloom(["backup"]).success();
    fs::write(world.path("app.db"), "no database any more").unwrap();
    let config = "[health]\nmax_backup_age = '1h'\n[notify]\non = ['late']\n\
        [notify.script]\ncommand = ['sh', '-c', 'cat >> heard']\n";
    fs::write(world.path("h.toml"), config).unwrap();
    let mut run = Run::start(&world, &mut live(&world, ["run", "--config", "h.toml", "--", "sh", "-c", IDLE]));
    run.says("the backup failed");
    run.until(|_| fs::read_to_string(world.path("heard")).is_ok_and(|heard| heard.contains("late")), "a notice");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    nobody_is_left(&world);
}
