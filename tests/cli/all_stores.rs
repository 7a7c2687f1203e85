//! Every store at once, what is remembered of a verify, and what becomes of removed bytes.

use std::fs;

use crate::copies::{copies, damage_in, take_away, world};
#[cfg(feature = "remote")]
use crate::servers::{self, Kind};
use crate::world::World;

/// What health says about the copy: its state and its value.
fn copy_health(world: &World) -> (String, String) {
    let report = world.heirloom(["health", "--json"]).json();
    let checks = report["checks"].as_array().unwrap();
    let copy = checks.iter().find(|check| check["check"] == "copy").unwrap();
    (copy["state"].as_str().unwrap().to_owned(), copy["value"].as_str().unwrap().to_owned())
}

#[test]
fn every_archive_in_every_store_is_verified_and_the_worst_counts() {
    let mut world = world();
    world.heirloom(["backup", "--name", "one"]).success();
    world.at("2026-03-02").heirloom(["backup", "--name", "two"]).success();
    let all = world.heirloom(["verify", "--store", "all", "--json"]).success().json();
    let stores = all["stores"].as_array().unwrap();
    assert_eq!((&stores[0]["name"], &stores[1]["name"]), (&"main".into(), &"usb".into()));
    for store in stores {
        assert_eq!(store["archives"].as_array().unwrap().len(), 2, "{all}");
        assert!(store["error"].is_null());
    }
    world.heirloom(["verify", "--store", "all", "one"]).exits(2);

    damage_in(&world, "disk/copies", "one.tar.gz");
    let all = world.heirloom(["verify", "--store", "all", "--json"]).exits(13).json();
    let damaged = |store: usize| all["stores"][store]["archives"].to_string().contains("damaged");
    assert_eq!((damaged(0), damaged(1)), (false, true));
    assert!(world.path("disk/copies/one.tar.gz.damaged").exists());
    assert!(!world.path("backups/one.tar.gz.damaged").exists());

    // One that is away is worse than nothing, and hides no damage in the other.
    take_away(&world);
    world.heirloom(["verify", "--store", "all"]).exits(16).says("usb");
    damage_in(&world, "backups", "two.tar.gz");
    let all = world.heirloom(["verify", "--store", "all", "--json"]).exits(13).json();
    assert!(all["stores"][1]["error"].as_str().unwrap().contains("disk/copies"), "{all}");
}

#[test]
fn all_stores_are_what_rotate_takes_anyway() {
    let mut world = world();
    for day in 1..=5 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup"]).success();
    }
    world.heirloom(["rotate", "--store", "all"]).success();
    assert_eq!((world.archives().len(), copies(&world).len()), (3, 3));
    world.heirloom(["delete", "--store", "all", "x", "--force"]).exits(2);
}

#[test]
fn health_says_when_a_copy_was_last_verified() {
    let mut world = world();
    world.heirloom(["backup", "--name", "one"]).success();
    assert!(copy_health(&world).1.contains("never verified there"));
    world.heirloom(["verify", "--all"]).success();
    assert!(copy_health(&world).1.contains("never verified there"), "that was the main store");

    world.heirloom(["verify", "--all", "--store", "usb"]).success();
    world.at("2026-03-01T05:00:00Z");
    assert!(copy_health(&world).1.contains("last verified there 2 hours ago"), "{}", copy_health(&world).1);
    let metrics = world.heirloom(["health", "--prometheus"]).stdout;
    assert!(metrics.contains("copy_verified_timestamp_seconds"), "{metrics}");
    // It is known of a store that is away, too.
    take_away(&world);
    assert!(copy_health(&world).1.contains("last verified there 2 hours ago"));
    crate::copies::bring_back(&world);

    damage_in(&world, "disk/copies", "one.tar.gz");
    world.heirloom(["verify", "--store", "all"]).exits(13);
    let (state, value) = copy_health(&world);
    assert!(state == "warning" && value.contains("1 archive damaged"), "{state}: {value}");
    // What it advises repairs the copy.
    world.heirloom(["copy"]).success();
    world.heirloom(["verify", "one-2", "--store", "usb"]).success();

    // A cache: without it nothing is known, and nothing fails.
    fs::remove_dir_all(world.path("../state/verified")).unwrap();
    assert!(copy_health(&world).1.contains("never verified there"));
}

#[cfg(feature = "remote")]
#[test]
fn removed_archives_of_a_versioned_bucket_are_hidden_and_not_freed() {
    let Some(mut place) = servers::place(Kind::Moto, "removed archives are hidden versions") else { return };
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(servers::request(place.port, "PUT", "/hidden", "", ""), Some(200));
    let plain = place.url.clone();
    assert_eq!(servers::request(place.port, "PUT", "/hidden?versioning", "application/xml", on), Some(200));
    place.url = place.url.replace(servers::BUCKET, "hidden");
    let mut world = World::new();
    world.database("app.db");
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    for (url, is_hidden) in [(&place.url, true), (&plain, false)] {
        world.env("HEIRLOOM_DIR", url);
        for hour in 1..=4 {
            world.at(&format!("2026-02-20T0{hour}:00:00Z")).heirloom(["backup", "app.db"]).success();
        }
        world.at("2026-02-28");
        let rotated = world.heirloom(["rotate", "--keep-last", "3", "-v"]).success();
        let (word, other) = if is_hidden { ("hidden", "freed") } else { ("freed", "hidden") };
        let said = format!("{}{}", rotated.stdout, rotated.stderr);
        assert!(said.contains(word) && !said.contains(other), "{said}");
        let rotated = world.heirloom(["rotate", "--keep-last", "2", "--json"]).success().json();
        let bytes = |key: &str| rotated[key].as_u64().unwrap();
        assert_eq!((bytes("freed_bytes") == 0, bytes("hidden_bytes") > 0), (is_hidden, is_hidden), "{rotated}");
        let oldest = world.heirloom(["list", "--json"]).success().json()["archives"][1]["archive"].clone();
        let deleted = world.heirloom(["delete", oldest.as_str().unwrap(), "--force", "--json"]).success().json();
        assert_eq!(deleted["hidden"], is_hidden);
    }
    // A folder frees.
    world.env("HEIRLOOM_DIR", "here");
    for hour in 1..=2 {
        world.at(&format!("2026-02-20T0{hour}:00:00Z")).heirloom(["backup", "app.db"]).success();
    }
    let rotated = world.heirloom(["rotate", "--keep-last", "1", "-v"]).success();
    assert!(format!("{}{}", rotated.stdout, rotated.stderr).contains("freed"));
}
