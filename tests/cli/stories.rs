//! Copies and keys as operators use them, in ways that nobody planned.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::copies::{bring_back, configure, copies, take_away, world};
use crate::encryption::{key, new_key};
use crate::world::World;

fn write(world: &World, text: &str) {
    fs::write(world.path("heirloom.toml"), format!("[sets.app.databases]\napp = 'app.db'\n{text}")).unwrap();
}

fn names(world: &World, store: &str) -> Vec<String> {
    let listed = world.heirloom(["list", "--store", store, "--json"]).success().json();
    let archives = listed["archives"].as_array().unwrap().iter();
    let mut names: Vec<String> = archives.map(|one| one["archive"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The folder of the copy is the store itself, written in another way.
#[test]
fn the_store_itself_counted_as_its_own_copy() {
    let world = World::new();
    world.database("app.db");
    fs::create_dir(world.path("backups")).unwrap();
    std::os::unix::fs::symlink("backups", world.path("other-name")).unwrap();
    write(&world, "[store]\ndir = 'backups'\n[copies.usb]\ndir = 'other-name'\n");
    world.heirloom(["backup"]).exits(3).says("are the same store");
    world.heirloom(["copy"]).exits(3).says("are the same store");
    let listed = world.heirloom(["list", "--json"]).success().json();
    assert_eq!(listed["archives"][0]["copies"].to_string(), "[]");
    assert_eq!(world.archives().len(), 1);
}

/// Two tables that mean one folder.
#[test]
fn one_folder_under_two_names_counted_as_two_copies() {
    let world = world();
    configure(&world, "[copies.again]\ndir = 'disk/./copies'\n");
    world.heirloom(["backup"]);
    world.heirloom(["copy"]).exits(3).says("are the same store");
    assert_eq!(copies(&world).len(), 1);
}

#[test]
fn a_copy_with_a_new_name_in_the_configuration_is_the_same_copy() {
    let world = world();
    world.heirloom(["backup"]).success();
    world.heirloom(["verify", "--store", "all"]).success();
    write(&world, "[store]\ndir = 'backups'\n[copies.stick]\ndir = 'disk/copies'\n");
    let copied = world.heirloom(["copy", "--json"]).success().json();
    assert_eq!(copied["copies"][0]["copied"].as_array().unwrap().len(), 0, "{copied}");
    assert_eq!(copies(&world).len(), 1);
    // What was remembered of the store is by its id.
    let health = world.heirloom(["health", "-v"]);
    assert!(health.stdout.contains("last verified there"), "{}", health.stdout);
}

/// The disk of the main store came back from a snapshot of last week: the copies are newer than the store.
#[test]
fn a_store_from_an_older_snapshot_takes_nothing_from_the_copies() {
    let mut world = world();
    world.heirloom(["backup"]).success();
    let saved = world.path("saved");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copy(&world.path("backups"), &saved);
    for day in 2..=4 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup"]).success();
    }
    let before = copies(&world);
    fs::remove_dir_all(world.path("backups")).unwrap();
    copy(&saved, &world.path("backups"));

    world.at("2026-03-05");
    world.heirloom(["backup", "--rotate"]);
    let after = copies(&world);
    assert!(before[2..].iter().all(|name| after.contains(name)), "{before:?} {after:?}");
}

#[test]
fn a_rotated_key_still_opens_what_was_made_for_it() {
    let mut world = World::new();
    world.database("app.db");
    let old = new_key(&world, "old.txt");
    write(&world, &format!("[encryption]\nrecipients = ['{old}']\n"));
    world.heirloom(["backup"]).success();
    let new = new_key(&world, "new.txt");
    write(&world, &format!("[encryption]\nrecipients = ['{new}']\n"));
    world.at("2026-03-02").heirloom(["backup"]).success();

    // Somebody deletes the old key because "everything is encrypted for the new one".
    let with_new = ["--identity".to_owned(), key(&world, "new.txt")];
    let check = world.heirloom(["key", "check"].map(String::from).into_iter().chain(with_new.clone()));
    assert_eq!(check.code, 17, "{}{}", check.stdout, check.stderr);
    assert!(check.stdout.contains("2026-03"), "{}", check.stdout);
    let to = |name: &str| ["restore", "--to", name].map(String::from).into_iter().chain(with_new.clone());
    world.heirloom(to("newest.db")).success();
    let at = ["restore", "--at", "2026-03-01T23:00:00Z", "--to", "old.db"].map(String::from);
    world.heirloom(at.into_iter().chain(with_new.clone())).exits(17).says(&old);
    assert!(!world.path("old.db").exists());
}

#[test]
fn a_secret_key_that_all_may_read_is_named() {
    let world = World::new();
    world.database("app.db");
    let recipient = new_key(&world, "key.txt");
    let file = key(&world, "key.txt");
    write(&world, &format!("[encryption]\nrecipients = ['{recipient}']\nidentity_file = ['{file}']\n"));
    world.heirloom(["backup"]).success();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = world.heirloom(["config", "check"]);
    assert!(ran.stdout.contains("key.txt") && ran.stdout.contains("chmod 600"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("SECRET"));
}

#[test]
fn a_copy_that_keeps_less_does_not_get_back_what_it_removed() {
    let mut world = world();
    configure(&world, "retention = { last = 1 }\n");
    for day in 1..=5 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup", "--rotate"]).success();
        assert_eq!(copies(&world).len(), 1);
    }
    assert_eq!(world.archives().len(), 3);
    let idle = world.heirloom(["copy", "--json"]).success().json();
    assert_eq!(idle["copies"][0]["copied"].as_array().unwrap().len(), 0);
}

/// Files of a copy are deleted by hand: one archive, or the whole content.
#[test]
fn what_was_deleted_by_hand_is_copied_again_and_an_emptied_store_is_not_taken_for_it() {
    let mut world = world();
    for day in 1..=2 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup"]).success();
    }
    fs::remove_file(world.path("disk/copies").join(&copies(&world)[0])).unwrap();
    world.heirloom(["copy"]).success();
    assert_eq!(copies(&world), world.archives());

    for entry in fs::read_dir(world.path("disk/copies")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    world.heirloom(["copy"]).exits(3).says("not the store that this host has used");
    assert_eq!(copies(&world), [""; 0]);
}

#[test]
fn two_cron_lines_in_one_minute_leave_two_sound_backups() {
    let world = world();
    let start = || world.command(["backup", "--rotate"]).stderr(Stdio::piped()).spawn().unwrap();
    let runs: Vec<_> = (0..3).map(|_| start()).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 3 | 11)), "{:?} {error}", output.status);
    }
    assert!(!world.archives().is_empty());
    world.heirloom(["verify", "--store", "all"]).success();
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn a_rotation_during_a_copy_takes_nothing_from_it() {
    let mut world = world();
    for day in 1..=9 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup", "--no-copies"]).success();
    }
    let mut copy = world.command(["copy"]).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..3 {
        let rotated = world.heirloom(["rotate"]);
        assert!(matches!(rotated.code, 0 | 3), "{}: {}", rotated.code, rotated.stderr);
    }
    assert!(matches!(copy.wait().unwrap().code(), Some(0 | 3)));
    world.heirloom(["copy"]).success();
    assert_eq!(copies(&world).iter().filter(|name| world.archives().contains(name)).count(), 3);
    world.heirloom(["verify", "--store", "all"]).success();
}

/// The clock was a day ahead for one night.
#[test]
fn a_copy_from_tomorrow_takes_no_slot_anywhere() {
    let mut world = world();
    world.at("2026-03-09").heirloom(["backup"]).success();
    for day in 1..=5 {
        world.at(&format!("2026-03-0{day}"));
        let ran = world.heirloom(["backup", "--rotate"]);
        assert!(matches!(ran.code, 0 | 3), "{}: {}", ran.code, ran.stderr);
    }
    assert_eq!(copies(&world), world.archives());
    assert_eq!(copies(&world).len(), 4, "three days, and the one from the future: {:?}", copies(&world));
}

/// One of two databases is missing for a night; the copy must not be "the latest" for the other.
#[test]
fn half_a_set_is_copied_and_a_restore_says_what_it_lacks() {
    let mut world = world();
    let both = "[sets.shop.databases]\napp = 'app.db'\nusers = 'users.db'\n[store]\ndir = 'backups'\n\
                [copies.usb]\ndir = 'disk/copies'\n";
    fs::write(world.path("heirloom.toml"), both).unwrap();
    world.database("users.db");
    world.heirloom(["backup"]).success();
    world.at("2026-03-02").heirloom(["backup", "--only", "app"]).success();
    assert_eq!(copies(&world).len(), 2);
    fs::remove_dir_all(world.path("backups")).unwrap();
    for gone in ["app.db", "users.db"] {
        fs::remove_file(world.path(gone)).unwrap();
    }
    world.at("2026-03-02T01:00:00Z").heirloom(["restore", "--if-missing", "--accept-older"]).success();
    assert_eq!(world.ask("users.db", "SELECT count(*) FROM notes"), "100");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn another_disk_at_the_mount_point_of_the_copy_gets_nothing() {
    let world = world();
    world.heirloom(["backup", "--name", "one"]).success();
    take_away(&world);
    let other = crate::copies::world();
    other.heirloom(["backup", "--name", "theirs"]).success();
    let moved = std::process::Command::new("cp")
        .arg("-a")
        .arg(other.path("disk/copies"))
        .arg(world.path("disk/copies"))
        .status();
    assert!(moved.unwrap().success());
    world.heirloom(["backup", "--name", "two"]).exits(3).says("usb");
    assert_eq!(copies(&world), ["theirs.tar.gz"]);
    fs::remove_dir_all(world.path("disk/copies")).unwrap();
    bring_back(&world);
    world.heirloom(["copy"]).success();
    assert!(!names(&world, "usb").is_empty());
}

/// The configuration was copied to a second machine that uses the same bucket and the same prefix.
#[cfg(feature = "remote")]
#[test]
fn two_sites_with_one_configuration_rotate_only_their_own() {
    let Some(place) = crate::servers::place(crate::servers::Kind::Moto, "two sites use one bucket") else { return };
    let site = |host: &str| {
        let mut world = World::new();
        world.database("app.db");
        for (name, value) in &place.variables {
            world.env(name, value);
        }
        world.env("HEIRLOOM_HOST", host);
        write(
            &world,
            &format!(
                "[retention]\ndaily = 2\nweekly = 0\nmonthly = 0\n[store]\ndir = 'main'\n\
                 [copies.offsite]\nurl = '{}'\n",
                place.url
            ),
        );
        world
    };
    let (mut one, mut two) = (site("one"), site("two"));
    for day in 1..=5 {
        for world in [&mut one, &mut two] {
            world.at(&format!("2026-02-0{day}")).heirloom(["backup", "--rotate"]).success();
        }
    }
    for world in [&mut one, &mut two] {
        world.at("2026-02-20").heirloom(["rotate"]).success();
    }
    assert_eq!(names(&one, "offsite").len(), 4, "two days of each: {:?}", names(&one, "offsite"));
    assert_eq!(names(&one, "offsite"), names(&two, "offsite"));
}

/// One bucket under two URLs: what one lists, the other has.
#[cfg(feature = "remote")]
#[test]
fn one_bucket_under_two_urls_gets_each_archive_once() {
    let Some(place) = crate::servers::place(crate::servers::Kind::Moto, "one bucket under two URLs") else { return };
    let mut world = World::new();
    world.database("app.db");
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    let other = place.url.replace("127.0.0.1", "localhost");
    assert_ne!(other, place.url);
    write(&world, &format!("[copies.a]\nurl = '{}'\n[copies.b]\nurl = '{other}'\n", place.url));
    world.heirloom(["backup"]).success();
    assert_eq!(names(&world, "a").len(), 1, "{:?}", names(&world, "a"));
    world.heirloom(["copy"]).exits(3).says("are the same store");
    assert_eq!(names(&world, "b").len(), 1);
}
