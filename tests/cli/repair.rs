//! Damaged archives of the main store come back from a copy, beside the damaged ones.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::copies::{configure, copies, damage, damage_in, world};
use crate::world::World;

/// A world with two archives, each in both stores.
fn copied() -> World {
    let mut world = world();
    for name in ["one", "two"] {
        world.at(if name == "one" { "2026-03-01" } else { "2026-03-02" });
        world.heirloom(["backup", "--name", name]).success();
    }
    world
}

#[test]
fn a_damaged_archive_comes_back_from_a_copy() {
    let world = copied();
    let good = fs::read(world.path("backups/two.tar.gz")).unwrap();
    damage(&world, "two.tar.gz");
    let bad = fs::read(world.path("backups/two.tar.gz")).unwrap();
    world.heirloom(["verify", "--all"]).exits(13);

    let ran = world.heirloom(["copy", "--json"]).success();
    let repaired = &ran.json()["repaired"][0];
    assert_eq!((&repaired["damaged"], &repaired["from"]), (&"two.tar.gz".into(), &"usb".into()));
    assert_eq!(repaired["name"], "two-2.tar.gz");
    // Nothing was replaced, and nothing was removed.
    assert_eq!(world.archives(), ["one.tar.gz", "two-2.tar.gz", "two.tar.gz"]);
    assert_eq!(fs::read(world.path("backups/two-2.tar.gz")).unwrap(), good);
    assert_eq!(fs::read(world.path("backups/two.tar.gz")).unwrap(), bad);
    assert_eq!(copies(&world), ["one.tar.gz", "two.tar.gz"]);
    world.heirloom(["verify", "two-2"]).success();

    // Once is enough.
    let again = world.heirloom(["copy", "--json"]).success().json();
    assert_eq!(again["repaired"].as_array().unwrap().len(), 0);
    let restored = world.heirloom(["restore", "--to", "a.db", "--json"]).success();
    assert!(restored.stdout.contains("two-2.tar.gz"), "{}", restored.stdout);
    world.heirloom(["pin", "two.tar.gz"]).success();
    world.heirloom(["cleanup", "--damaged", "--force"]).success();
    assert_eq!(world.archives().len(), 3, "a pinned name stays");
    world.heirloom(["unpin", "two.tar.gz"]).success();
    world.heirloom(["cleanup", "--damaged", "--force"]).success();
    assert_eq!(world.archives(), ["one.tar.gz", "two-2.tar.gz"]);
    world.heirloom(["copy"]).success();
    assert_eq!((world.archives().len(), copies(&world).len()), (2, 2));
}

#[test]
fn damage_that_is_found_while_copying_is_repaired_at_once() {
    let world = copied();
    damage(&world, "one.tar.gz");
    configure(&world, "[copies.attic]\ndir = 'disk/attic'\n");
    // It is not copied to the new store, and marked. The next run copies the good one.
    world.heirloom(["copy"]).exits(3).says("one-2.tar.gz is a good copy from usb");
    assert!(world.path("backups/one.tar.gz.damaged").exists());
    world.heirloom(["copy"]).success();
    let attic = |name: &str| world.path("disk/attic").join(name).exists();
    assert!(attic("one-2.tar.gz") && attic("two.tar.gz") && !attic("one.tar.gz"));
    // A clean verify removes a mark that copying set.
    fs::copy(world.path("backups/one-2.tar.gz"), world.path("backups/one.tar.gz")).unwrap();
    world.heirloom(["verify", "one.tar.gz"]).success();
    assert!(!world.path("backups/one.tar.gz.damaged").exists());
}

#[test]
fn an_archive_whose_beginning_is_lost_comes_back_by_its_name() {
    let beginning = fs::read(copied().path("backups/two.tar.gz")).unwrap()[..100].to_vec();
    for left in [vec![0; 3000], beginning] {
        let world = copied();
        fs::write(world.path("backups/two.tar.gz"), &left).unwrap();
        let ran = world.heirloom(["copy", "-v"]);
        let ran = ran.success().says("two-2.tar.gz is a good copy");
        assert!(!ran.stderr.contains("two-3"));
        world.heirloom(["verify", "two-2"]).success();
        assert_eq!(fs::read(world.path("backups/two.tar.gz")).unwrap(), left);
    }
}

#[test]
fn a_copy_that_is_damaged_too_repairs_nothing() {
    let world = copied();
    damage(&world, "two.tar.gz");
    damage_in(&world, "disk/copies", "two.tar.gz");
    world.heirloom(["verify", "--all"]).exits(13);
    world.heirloom(["copy"]).exits(3).says("was not repaired from usb");
    assert_eq!(world.archives(), ["one.tar.gz", "two.tar.gz"]);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn what_the_rules_would_remove_is_not_fetched_every_night() {
    let mut world = copied();
    damage(&world, "one.tar.gz");
    world.heirloom(["verify", "--all"]).exits(13);
    for day in 3..=8 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup", "--no-copies"]).success();
    }
    let copied = world.heirloom(["copy", "--json"]).success().json();
    assert_eq!(copied["repaired"].as_array().unwrap().len(), 0, "three days are kept");
}

#[test]
fn a_repair_that_dies_leaves_both_or_the_damaged_one() {
    let world = copied();
    let good = fs::read(world.path("backups/two.tar.gz")).unwrap();
    damage(&world, "two.tar.gz");
    let bad = fs::read(world.path("backups/two.tar.gz")).unwrap();
    world.heirloom(["verify", "--all"]).exits(13);
    for pause in 1..=25 {
        let mut run = world.command(["copy"]).stderr(std::process::Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(4 * pause));
        let _ = run.kill();
        run.wait().unwrap();
        assert_eq!(fs::read(world.path("backups/two.tar.gz")).unwrap(), bad);
        assert_eq!(fs::read(world.path("disk/copies/two.tar.gz")).unwrap(), good);
        let there = world.path("backups/two-2.tar.gz");
        assert!(!there.exists() || fs::read(&there).unwrap() == good, "a part of an archive is visible");
    }
    world.heirloom(["copy"]).success();
    assert_eq!(fs::read(world.path("backups/two-2.tar.gz")).unwrap(), good);
    assert_eq!(world.archives().len(), 3, "each run would add one");
}

#[cfg(feature = "remote")]
#[test]
fn a_damaged_archive_comes_back_from_a_bucket() {
    let Some(place) = crate::servers::place(crate::servers::Kind::Moto, "a copy in S3 repairs the store") else {
        return;
    };
    let mut world = World::new();
    world.database("app.db");
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    let text = format!(
        "[sets.app.databases]\napp = 'app.db'\n[store]\ndir = 'backups'\n[copies.offsite]\nurl = '{}'",
        place.url
    );
    fs::write(world.path("heirloom.toml"), text).unwrap();
    world.heirloom(["backup", "--name", "one"]).success();
    let good = fs::read(world.path("backups/one.tar.gz")).unwrap();
    damage(&world, "one.tar.gz");
    world.heirloom(["verify", "--store", "all"]).exits(13);
    world.heirloom(["copy"]).success().says("good copy from offsite");
    assert_eq!(fs::read(world.path("backups/one-2.tar.gz")).unwrap(), good);
}
