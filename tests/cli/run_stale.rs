//! `heirloom run`: a deployment that brings an old database is reported, and the application starts.

use std::fs;

use crate::run_world::{live, world as application_world};
use crate::world::{Ran, World};

const STALE: &str = "a deployment may have brought an old database";

/// Runs an application that does nothing.
fn run(world: &World) -> Ran {
    world.run(&mut live(world, ["run", "--", "touch", "started"])).success()
}

fn change(world: &World, database: &str, text: &str) {
    world.sql(database, &format!("UPDATE notes SET text = '{text}' WHERE id = 1"));
}

/// Two archives of `app.db`, which holds what the newer one holds; `bundle.db` holds what the older one holds. Each
/// notice becomes a line of `got`.
fn world() -> World {
    let mut world = application_world();
    world.env("HEIRLOOM_CONFIG", "heirloom.toml");
    let script = "command = ['sh', '-c', 'cat >> got; echo >> got']";
    let text = format!("[schedule]\nrotate = 'never'\n[notify]\non = ['problems']\n[notify.script]\n{script}\n");
    fs::write(world.path("heirloom.toml"), text).unwrap();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::copy(world.path("app.db"), world.path("bundle.db")).unwrap();
    change(&world, "app.db", "second");
    world.run(&mut live(&world, ["backup"])).success();
    world
}

fn deploy(world: &World) {
    fs::copy(world.path("bundle.db"), world.path("app.db")).unwrap();
}

fn notices(world: &World) -> String {
    fs::read_to_string(world.path("got")).unwrap_or_default()
}

#[test]
fn a_bundle_that_is_deployed_twice_is_reported_each_time_and_a_restart_says_nothing() {
    let world = world();
    assert!(!run(&world).stderr.contains(STALE), "it is the newest");
    assert_eq!(notices(&world), "");
    for time in 1..=2 {
        deploy(&world);
        fs::remove_file(world.path("started")).unwrap();
        run(&world).says(STALE).says("app: holds what app_");
        assert!(world.path("started").exists());
        assert!(notices(&world).matches("problems").count() >= 1, "{time}: {}", notices(&world));
        assert!(!run(&world).stderr.contains(STALE), "{time}: the backup of that start is the newest now");
        change(&world, "app.db", &format!("written after deployment {time}"));
        world.run(&mut live(&world, ["backup"])).success();
    }
}

#[test]
fn the_archives_know_it_where_no_state_of_this_host_is_left() {
    let world = world();
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    deploy(&world);
    run(&world).says(STALE);
}

#[test]
fn a_database_of_another_environment_and_one_that_is_newer_than_all_are_no_old_ones() {
    let world = world();
    change(&world, "app.db", "written after the last backup");
    assert!(!run(&world).stderr.contains(STALE));
    deploy(&world);
    change(&world, "app.db", "of staging");
    assert!(!run(&world).stderr.contains(STALE));
    assert_eq!(notices(&world), "");
}

#[test]
fn an_old_state_that_somebody_restored_is_meant() {
    let world = world();
    let listed = world.run(&mut live(&world, ["list", "--json"])).success().json();
    let oldest = listed["archives"].as_array().unwrap().last().unwrap()["archive"].as_str().unwrap().to_owned();
    world.run(&mut live(&world, ["restore", oldest.as_str(), "--force"])).success();
    // As if it had been restored by putting the file back: byte for byte what was archived.
    deploy(&world);
    assert!(!run(&world).stderr.contains(STALE));
}

#[test]
fn an_archive_that_is_dated_in_the_future_makes_nothing_old() {
    let mut world = world();
    change(&world, "app.db", "third");
    world.env("HEIRLOOM_NOW", "2095-01-01T00:00:00Z");
    world.heirloom(["backup"]).success();
    // By the clock of this start the second one is the newest.
    let ran = world.run(&mut live(&world, ["run", "--", "true"])).success();
    assert!(!ran.stderr.contains(STALE), "{}", ran.stderr);
}

#[test]
fn of_a_set_that_is_half_old_the_old_half_is_named() {
    let world = world();
    let text = fs::read_to_string(world.path("heirloom.toml")).unwrap();
    fs::write(world.path("heirloom.toml"), text + "[sets.both.databases]\none = 'one.db'\ntwo = 'two.db'\n").unwrap();
    world.database("one.db");
    world.database("two.db");
    world.heirloom(["backup", "--set", "both"]).success();
    fs::copy(world.path("two.db"), world.path("old.db")).unwrap();
    for database in ["one.db", "two.db"] {
        change(&world, database, "second");
    }
    world.run(&mut live(&world, ["backup", "--set", "both"])).success();
    fs::copy(world.path("old.db"), world.path("two.db")).unwrap();
    let ran = run(&world).says("two: holds what both_").says(STALE);
    assert!(!ran.stderr.contains("one: holds"), "{}", ran.stderr);
}
