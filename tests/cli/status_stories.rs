//! `heirloom status` after files, clocks and hosts were exchanged: it must not call safe what is not.

use std::fs;

use serde_json::Value;

use crate::world::World;

/// A world with the database and a named configuration.
fn world(sets: &str) -> World {
    let world = World::new();
    world.database("app.db");
    configure(&world, sets);
    world
}

fn configure(world: &World, sets: &str) {
    fs::write(world.path("heirloom.toml"), format!("{sets}[store]\ndir = 'backups'\n")).unwrap();
}

const APP: &str = "[sets.app.databases]\nmain = 'app.db'\n";

/// Returns what is shown of a set.
fn of(world: &World, set: &str) -> Value {
    let document = world.heirloom(["status", "--json"]).success().json();
    let sets = document["sets"].as_array().unwrap().clone();
    sets.into_iter().find(|one| one["set"] == set).unwrap_or_else(|| panic!("{document}"))
}

fn state(world: &World, set: &str) -> String {
    of(world, set)["databases"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_look_under_a_wrong_clock_does_not_confirm_anything() {
    let mut world = world(APP);
    world.heirloom(["backup"]).success();
    world.at("2038-01-01").heirloom(["backup", "--if-changed"]).success();
    assert_eq!(world.archives().len(), 1);
    world.at("2026-03-09");
    let confirmed = of(&world, "app")["last_confirmed"].clone();
    assert!(confirmed.as_str().unwrap().starts_with("2026-03-01T03:00:00"), "{confirmed}");
    assert!(!world.heirloom(["status"]).success().stdout.contains("confirmed"));
    world.heirloom(["health"]).exits(21);
}

#[test]
fn a_database_that_was_replaced_by_a_link_was_never_backed_up() {
    let world = world(APP);
    world.heirloom(["backup"]).success();
    world.database("other.db");
    fs::rename(world.path("app.db"), world.path("old.db")).unwrap();
    std::os::unix::fs::symlink("other.db", world.path("app.db")).unwrap();
    let found = of(&world, "app");
    assert_eq!((&found["backup_needed"], found["last_backup"].is_null()), (&true.into(), true), "{found}");
}

#[test]
fn one_database_in_two_sets_is_shown_for_each() {
    let world = world(&format!("{APP}[sets.again.databases]\nmain = 'app.db'\n"));
    world.heirloom(["backup", "--set", "app"]).success();
    assert_eq!(of(&world, "again")["backup_needed"], true);
    assert!(of(&world, "again")["last_backup"].is_null(), "the archive of the other set is none of this one");
    assert!(!of(&world, "app")["last_backup"].is_null());
}

#[test]
fn half_a_set_needs_a_backup_and_names_what_lacks_one() {
    let world = world(APP);
    world.heirloom(["backup"]).success();
    world.database("blog.db");
    configure(&world, &format!("{APP}blog = 'blog.db'\n"));
    let found = of(&world, "app");
    assert_eq!(found["backup_needed"], true);
    assert!(found["why"].as_str().unwrap().starts_with("blog: "), "{found}");
}

#[test]
fn a_moved_database_is_missing_and_the_next_step_restores_it() {
    let world = world(APP);
    world.heirloom(["backup"]).success();
    fs::rename(world.path("app.db"), world.path("moved.db")).unwrap();
    assert_eq!(state(&world, "app"), "missing");
    // Configured at its new place, the old history does not count for it.
    configure(&world, "[sets.app.databases]\nmain = 'moved.db'\n");
    assert_eq!(of(&world, "app")["backup_needed"], true);
}

#[test]
fn an_archive_that_was_deleted_by_hand_is_no_backup() {
    let world = world(APP);
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("backups/app_20260301T030000Z.tar.gz")).unwrap();
    assert_eq!(of(&world, "app")["backup_needed"], true);
    assert!(world.heirloom(["status"]).success().stdout.contains("gone or damaged"));
}

#[test]
fn a_copied_configuration_and_store_show_nothing_as_backed_up_on_another_host() {
    let mut world = world(APP);
    world.heirloom(["backup"]).success();
    world.env("HEIRLOOM_HOST", "clone");
    assert_eq!(
        (of(&world, "app")["backup_needed"].clone(), state(&world, "app")),
        (true.into(), "never_backed_up".into())
    );
    // Without a configuration nothing is known of the databases of the other host.
    fs::remove_file(world.path("heirloom.toml")).unwrap();
    let document = world.heirloom(["status", "--json"]).success().json();
    assert_eq!(document["sets"], serde_json::json!([]));
}

#[test]
fn without_a_place_for_records_it_shows_what_the_store_has() {
    let mut world = world(APP);
    world.heirloom(["backup"]).success();
    fs::write(world.path("full"), "").unwrap();
    let state = world.path("full/state").to_str().unwrap().to_owned();
    world.env("HEIRLOOM_STATE_DIR", &state);
    assert_eq!(of(&world, "app")["last_backup"]["archive"], "app_20260301T030000Z.tar.gz");
}
