//! `heirloom verify --part`: a part each time, and every archive within as many times as there are parts.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::world::World;

/// One archive on each of so many days of March, at three o'clock.
fn days(count: u32) -> World {
    let mut world = World::new();
    world.database("app.db");
    for day in 1..=count {
        world.env("HEIRLOOM_NOW", &format!("2026-03-{day:02}T03:00:00Z"));
        world.heirloom(["backup", "app.db"]).success();
    }
    world
}

/// Verifies a part at noon of a day of April. Returns the names of the archives.
fn verify(world: &mut World, day: u32, part: &str) -> Vec<String> {
    world.env("HEIRLOOM_NOW", &format!("2026-04-{day:02}T12:00:00Z"));
    let document = world.heirloom(["verify", "--part", part, "--json"]).success().json();
    names(&document)
}

fn names(document: &Value) -> Vec<String> {
    let archives = document["archives"].as_array().unwrap();
    archives.iter().map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_archive_is_verified_once_in_as_many_times_as_there_are_parts() {
    let mut world = days(10);
    let oldest = ["app_20260303T030000Z.tar.gz", "app_20260302T030000Z.tar.gz", "app_20260301T030000Z.tar.gz"];
    let mut parts = vec![verify(&mut world, 1, "1/4")];
    assert_eq!(parts[0], oldest, "three of ten");
    for day in 2..=9 {
        parts.push(verify(&mut world, day, "1/4"));
    }
    let all: BTreeSet<String> = world.archives().into_iter().collect();
    for four in parts.windows(4) {
        assert_eq!(four.iter().flatten().cloned().collect::<BTreeSet<_>>(), all);
    }
    assert_eq!(verify(&mut world, 30, "1/1").len(), 10);
}

#[test]
fn what_was_verified_by_hand_waits_and_a_new_archive_too() {
    let mut world = days(4);
    world.env("HEIRLOOM_NOW", "2026-04-01T03:00:00Z");
    world.heirloom(["verify", "app_20260301T030000Z"]).success();
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(verify(&mut world, 2, "1/5"), ["app_20260302T030000Z.tar.gz"]);
}

#[test]
fn a_damaged_archive_is_found_by_its_part_and_again_until_it_is_good() {
    let mut world = World::new();
    world.database("app.db");
    for day in 1..=4 {
        world.env("HEIRLOOM_NOW", &format!("2026-03-{day:02}T03:00:00Z"));
        // In a plain tar a changed byte is found by reading the database only.
        world.heirloom(["backup", "app.db", "--no-compress"]).success();
    }
    let path = world.path("backups/app_20260302T030000Z.tar");
    let good = fs::read(&path).unwrap();
    let mut bytes = good.clone();
    let data = bytes.len() - 4000;
    bytes[data] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    assert_eq!(verify(&mut world, 1, "1/4"), ["app_20260301T030000Z.tar"]);
    for day in 2..=3 {
        world.env("HEIRLOOM_NOW", &format!("2026-04-{day:02}T12:00:00Z"));
        world.heirloom(["verify", "--part", "1/4"]).exits(13).says("app_20260302T030000Z.tar");
    }
    fs::write(&path, good).unwrap();
    assert_eq!(verify(&mut world, 4, "1/4"), ["app_20260302T030000Z.tar"]);
    assert_eq!(verify(&mut world, 5, "1/4"), ["app_20260303T030000Z.tar"]);
}

#[test]
fn a_lost_log_and_a_clock_that_was_wrong_leave_nothing_out() {
    let mut world = days(3);
    // Two years ahead for one backup and one verification.
    world.env("HEIRLOOM_NOW", "2028-01-01T00:00:00Z");
    world.heirloom(["backup", "app.db"]).success();
    world.heirloom(["verify", "app_20260301T030000Z"]).success();
    let mut seen = BTreeSet::new();
    for day in 1..=4 {
        seen.extend(verify(&mut world, day, "1/4"));
    }
    assert_eq!(seen, world.archives().into_iter().collect());
    fs::remove_file(world.path("backups/.heirloom/activity.db")).unwrap();
    let first = verify(&mut world, 10, "1/4");
    assert_eq!(first, ["app_20280101T000000Z.tar.gz"], "dated in the future: nothing is known of it");
    assert_eq!(verify(&mut world, 11, "1/4"), ["app_20260301T030000Z.tar.gz"]);
}

#[test]
fn a_part_of_nothing_and_of_all_stores_is_refused() {
    let world = days(1);
    for part in ["2/4", "1/0", "0", "1/", "quarter"] {
        world.heirloom(["verify", "--part", part]).exits(2).says("1/N");
    }
    world.heirloom(["verify", "--part", "1/4", "--all"]).exits(2);
    world.heirloom(["verify", "--part", "1/4", "app_20260301T030000Z"]).exits(2);
    world.heirloom(["verify", "--part", "1/4", "--store", "all"]).exits(2).says("all stores");
}

#[test]
fn other_schedulers_verify_the_same_part() {
    let world = days(1);
    for (config, words) in [
        ("", "verify --part 1/4 --quiet"),
        ("[schedule]\nverify_parts = 1\n", "verify --all --quiet"),
        ("[schedule]\nverify_parts = 52\n", "verify --part 1/52 --quiet"),
    ] {
        fs::write(world.path("heirloom.toml"), config).unwrap();
        let printed = world.heirloom(["schedule", "--cron"]).success().stdout;
        assert!(printed.contains(words), "{printed}");
    }
    fs::write(world.path("heirloom.toml"), "[schedule]\nverify_parts = 0\n").unwrap();
    world.heirloom(["schedule", "--cron"]).exits(2).says("schedule.verify_parts");
}
