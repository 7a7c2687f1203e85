//! Notices after somebody deleted, copied, renamed or broke what they are about.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::world::{Ran, World};

/// A world with one configured set, `app`, and a receiver that appends each notice to `got`.
fn world() -> World {
    let world = World::new();
    world.database("app.db");
    let text = format!("#!/bin/sh\ncat >>{0}\necho >>{0}\n", world.path("got").display());
    fs::write(world.path("alert"), text).unwrap();
    fs::set_permissions(world.path("alert"), fs::Permissions::from_mode(0o755)).unwrap();
    configure(&world, "h.toml", "phone", "./alert");
    world
}

fn configure(world: &World, file: &str, receiver: &str, program: &str) {
    let text = format!(
        "[sets.app.databases]\nmain = 'app.db'\n[store]\ndir = 'backups'\n\
         [notify.{receiver}]\ncommand = ['{program}']\n"
    );
    fs::write(world.path(file), text).unwrap();
}

fn run(world: &World, args: &[&str]) -> Ran {
    world.heirloom([args, &["--config", "h.toml"]].concat())
}

/// Takes the titles and texts of what was received.
fn got(world: &World) -> Vec<(String, String)> {
    let text = fs::read_to_string(world.path("got")).unwrap_or_default();
    let _ = fs::remove_file(world.path("got"));
    let read = |line: &str| {
        let notice: Value = serde_json::from_str(line).unwrap();
        let part = |name: &str| notice[name].as_str().unwrap().to_owned();
        (part("title"), part("text"))
    };
    text.lines().map(read).collect()
}

fn titles(world: &World) -> Vec<String> {
    got(world).into_iter().map(|(title, _)| title).collect()
}

const FAILED: &str = "heirloom on here: backup of app failed";
const WORKS: &str = "heirloom on here: backup of app works again";

/// The disk with the store is not mounted tonight: which backup is on it?
#[test]
fn a_store_that_is_away_leaves_a_name_of_what_is_safe_on_it() {
    let mut world = world();
    run(&world, &["backup"]).success();
    fs::rename(world.path("backups"), world.path("unplugged")).unwrap();
    run(world.at("2026-03-02"), &["backup"]).exits(16);
    let [(title, text)] = &got(&world)[..] else { panic!("one notice") };
    assert_eq!(title, FAILED);
    assert!(
        text.contains("still safe: app_20260301T030000Z.tar.gz, made 21 hours ago, verified 21 hours ago"),
        "{text}"
    );
    assert!(text.contains("mount the disk it is on"), "{text}");
    fs::rename(world.path("unplugged"), world.path("backups")).unwrap();
    run(world.at("2026-03-03"), &["backup"]).success();
    assert_eq!(titles(&world), [WORKS]);
}

#[test]
fn a_backup_that_was_deleted_by_hand_is_not_called_safe() {
    let mut world = world();
    run(&world, &["backup"]).success();
    run(world.at("2026-03-02"), &["backup"]).success();
    fs::remove_file(world.path("backups/app_20260302T000000Z.tar.gz")).unwrap();
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run(world.at("2026-03-03"), &["backup"]).exits(10);
    let older = "still safe: app_20260301T030000Z.tar.gz, made 1 day ago";
    assert!(got(&world)[0].1.contains(older), "the older one is there");
    fs::remove_file(world.path("backups/app_20260301T030000Z.tar.gz")).unwrap();
    run(world.at("2026-03-04"), &["backup"]).exits(10);
    assert!(got(&world)[0].1.contains("still safe: no good backup is known"));
}

#[test]
fn a_clock_that_is_set_back_repeats_a_notice_and_loses_no_recovery() {
    let mut world = world();
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run(world.at("2026-03-05"), &["backup"]).exits(10);
    run(world.at("2026-03-01"), &["backup"]).exits(10);
    run(world.at("2026-03-01T00:10:00Z"), &["backup"]).exits(10);
    assert_eq!(titles(&world), [FAILED, FAILED], "the report from the future proves nothing");
    fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    run(world.at("2026-03-01T00:20:00Z"), &["backup"]).success();
    run(world.at("2026-03-05T00:20:00Z"), &["backup"]).success();
    assert_eq!(titles(&world), [WORKS]);
}

#[test]
fn a_host_with_a_copied_state_directory_has_troubles_of_its_own() {
    let mut world = world();
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run(&world, &["backup"]).exits(10);
    assert_eq!(titles(&world), [FAILED]);
    // The clone of the machine works, and did not fail before.
    world.env("HEIRLOOM_HOST", "clone");
    fs::copy(world.path("away.db"), world.path("app.db")).unwrap();
    run(world.at("2026-03-01T03:10:00Z"), &["backup"]).success();
    assert!(titles(&world).is_empty(), "its first success is no recovery");
    fs::remove_file(world.path("app.db")).unwrap();
    run(world.at("2026-03-01T03:20:00Z"), &["backup"]).exits(10);
    assert_eq!(titles(&world), ["heirloom on clone: backup of app failed"], "it is not held back for the other host");
}

#[test]
fn two_configurations_of_one_store_do_not_end_the_troubles_of_each_other() {
    let world = world();
    configure(&world, "second.toml", "phone", "./alert");
    let second = fs::read_to_string(world.path("second.toml")).unwrap().replace("app.db", "second.db");
    fs::write(world.path("second.toml"), second).unwrap();
    run(&world, &["backup"]).success();
    world.heirloom(["backup", "--config", "second.toml"]).exits(10);
    assert_eq!(titles(&world), [FAILED]);
    run(&world, &["backup"]).success();
    assert!(titles(&world).is_empty(), "the other site still fails");
    world.database("second.db");
    world.heirloom(["backup", "--config", "second.toml"]).success();
    assert_eq!(titles(&world), [WORKS]);
}

#[test]
fn what_waits_for_a_receiver_that_was_removed_goes_to_nobody_else_and_ends_in_a_day() {
    let mut world = world();
    configure(&world, "h.toml", "old", "./absent");
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run(&world, &["backup"]).exits(10).says("notice to old not delivered");
    configure(&world, "h.toml", "new", "./alert");
    fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    run(world.at("2026-03-01T04:00:00Z"), &["backup"]).success();
    assert_eq!(titles(&world), [WORKS], "the failure was for the other receiver");
    run(world.at("2026-03-03"), &["backup"]).success();
    let log = run(&world, &["log", "--notices", "--json"]).success().json();
    let states: Vec<&Value> = log["notices"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["sent", "given up"]);
    let status = run(&world, &["status", "--json"]).success().json();
    assert_eq!(status["undelivered_notices"], 0);
}

#[test]
fn without_a_place_for_records_a_failure_is_still_reported() {
    let mut world = world();
    // As on a full disk or without rights: no file can be made there.
    fs::write(world.path("full"), "").unwrap();
    let state = world.path("full/state").to_str().unwrap().to_owned();
    world.env("HEIRLOOM_STATE_DIR", &state);
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run(&world, &["backup"]).exits(10);
    assert_eq!(titles(&world), [FAILED]);
    fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    run(&world, &["backup"]).success();
    assert_eq!(world.archives().len(), 1, "the data does not depend on it");
}

#[test]
fn a_damaged_ledger_is_replaced_and_the_failure_is_reported() {
    let mut world = world();
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run(&world, &["backup"]).exits(10);
    let ledger = world.work().join("../state/notices.db");
    fs::write(&ledger, "garbage ".repeat(1000)).unwrap();
    run(world.at("2026-03-01T03:10:00Z"), &["backup"]).exits(10);
    assert_eq!(titles(&world), [FAILED, FAILED], "twice is better than never");
}
