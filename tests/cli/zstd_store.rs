//! gzip, zstd and plain archives in one store: every command treats them alike.

use std::fs;

use serde_json::Value;

use crate::world::World;

/// Backs up on successive days with these compressions; returns the names of the archives.
fn days(world: &mut World, compressions: &[&str]) -> Vec<String> {
    for (day, compression) in compressions.iter().enumerate() {
        world.sql("app.db", &format!("INSERT INTO notes VALUES (NULL, 'day {day}');"));
        let time = format!("2026-03-{:02}T03:00:00Z", day + 1);
        world.at(&time).heirloom(["backup", "app.db", "--compression", compression]).success();
    }
    world.archives()
}

fn rows(archive: &Value) -> i64 {
    archive["databases"][0]["rows"].as_i64().unwrap()
}

#[test]
fn archives_of_all_compressions_are_treated_alike() {
    let mut world = World::new();
    world.database("app.db");
    let names = days(&mut world, &["gzip", "zstd", "none", "zstd:9", "gzip:1", "zstd:1"]);
    assert_eq!(names.len(), 6);
    assert_eq!(names.iter().filter(|name| name.ends_with(".tar.zst")).count(), 3, "{names:?}");
    let listed = world.heirloom(["list", "--json"]).success().json();
    let listed = listed["archives"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 6);
    for (archive, day) in listed.iter().zip([106, 105, 104, 103, 102, 101]) {
        assert_eq!(rows(archive), day, "the newest is the first: {archive}");
    }
    for (name, count) in names.iter().zip(101..) {
        world.heirloom(["show", name]).success();
        world.heirloom(["verify", name, "--depth", "deep"]).success();
        world.heirloom(["restore", name, "--to", "new.db", "--force", "--no-safety-backup"]).success();
        assert_eq!(world.ask("new.db", "SELECT count(*) FROM notes"), count.to_string(), "{name}");
    }
    world.heirloom(["verify", "--all"]).success();
    world.at("2026-03-06T04:00:00Z").heirloom(["health", "app.db"]).success();
    world.heirloom(["restore", "latest", "--to", "new.db", "--force", "--no-safety-backup"]).success();
    assert_eq!(world.ask("new.db", "SELECT count(*) FROM notes"), "106");
    world.heirloom(["pin", &names[1]]).success();
    let plan = world.heirloom(["rotate", "--keep-last", "2", "--dry-run"]);
    assert!(plan.code == 0 || plan.code == 2, "{}", plan.stderr);
    world.heirloom(["delete", "--force", &names[3]]).success();
    assert_eq!(world.archives().len(), 5);
    world.heirloom(["cleanup", "--keep", "2"]).success();
    let kept = [&names[1], &names[4], &names[5]];
    assert_eq!(world.archives().iter().collect::<Vec<_>>(), kept, "the two newest, and the pinned one");
}

#[test]
fn a_changed_byte_of_either_compression_is_found_and_the_older_archive_is_restored() {
    let mut world = World::new();
    world.database("app.db");
    let names = days(&mut world, &["gzip", "zstd"]);
    for name in &names {
        let path = world.path("backups").join(name);
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(good.len() / 24).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            fs::write(&path, bad).unwrap();
            assert_ne!(world.heirloom(["verify", name, "--depth", "quick"]).code, 0, "{name}, byte {at}");
        }
        fs::write(&path, good).unwrap();
        world.heirloom(["verify", name, "--depth", "standard"]).success();
    }
}

#[test]
fn the_contents_of_an_archive_count_and_not_its_ending() {
    let mut world = World::new();
    world.database("app.db");
    let names = days(&mut world, &["gzip", "zstd"]);
    let swapped = [names[0].replace(".tar.gz", ".tar.zst"), names[1].replace(".tar.zst", ".tar.gz")];
    for (old, new) in names.iter().zip(&swapped) {
        fs::rename(world.path("backups").join(old), world.path("backups").join(new)).unwrap();
    }
    assert_eq!(world.archives(), swapped);
    world.heirloom(["verify", "--all"]).success();
    for (name, count) in swapped.iter().zip(["101", "102"]) {
        world.heirloom(["restore", name, "--to", "new.db", "--force", "--no-safety-backup"]).success();
        assert_eq!(world.ask("new.db", "SELECT count(*) FROM notes"), count, "{name}");
    }
    // Decompressed on the way, though its name says otherwise.
    fs::rename(world.path("backups").join(&swapped[0]), world.path("one.tar.gz")).unwrap();
    world.heirloom(["backup", "app.db", "--compression", "none", "--name", "plain.tar"]).success();
    fs::rename(world.path("backups/plain.tar"), world.path("plain.tar.zst")).unwrap();
    world.heirloom(["verify", "plain.tar.zst"]).exits(13).says("its name says that it is compressed");
}

#[test]
fn two_hosts_with_different_compressions_share_a_store() {
    let world = World::new();
    world.database("app.db");
    for (host, compression) in [("web-1", "gzip"), ("web-2", "zstd"), ("web-1", "zstd"), ("web-2", "gzip")] {
        let mut command = world.command(["backup", "app.db", "--compression", compression]);
        world.run(command.env("HEIRLOOM_HOST", host)).success();
    }
    assert_eq!(world.archives().len(), 4, "{:?}", world.archives());
    let listed = world.heirloom(["list", "--all-hosts", "--json"]);
    let listed = if listed.code == 0 { listed } else { world.heirloom(["list", "--json"]).success() };
    assert_eq!(listed.json()["archives"].as_array().unwrap().len(), 4);
    world.heirloom(["verify", "--all"]).success();
}

#[test]
fn the_compression_can_be_changed_between_two_nights() {
    let mut world = World::new();
    world.database("app.db");
    for (day, compression, ending) in [(1, "gzip", ".tar.gz"), (2, "zstd", ".tar.zst"), (3, "none", ".tar")] {
        fs::write(world.path("heirloom.toml"), format!("[backup]\ncompression = \"{compression}\"\n")).unwrap();
        world.at(&format!("2026-03-0{day}T03:00:00Z"));
        let backup = ["backup", "app.db", "--if-older-than", "20h"];
        world.heirloom(backup).success();
        assert!(world.archives().last().unwrap().ends_with(ending), "{:?}", world.archives());
        world.heirloom(backup).success();
        assert_eq!(world.archives().len(), day, "young enough, whatever its compression");
    }
}

#[test]
fn guard_takes_and_restores_a_zstd_archive() {
    let world = World::new();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[backup]\ncompression = \"zstd\"\n").unwrap();
    let script = "sqlite3 app.db 'DELETE FROM notes WHERE id > 10'; exit 3";
    world.heirloom(["guard", "app.db", "--", "sh", "-c", script]).exits(3);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    assert!(world.archives().iter().any(|name| name.ends_with(".tar.zst")), "{:?}", world.archives());
    world.sql("app.db", "DELETE FROM notes WHERE id > 50");
    world.heirloom(["restore", "latest", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    world.heirloom(["restore", "--undo", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "50");
}

#[test]
fn a_name_keeps_its_ending() {
    let world = World::new();
    world.database("app.db");
    for name in ["x", "y.tar.zst"] {
        world.heirloom(["backup", "app.db", "--compression", "zstd", "--name", name]).success();
    }
    let named = world.heirloom(["list", "--json"]).success().json();
    assert_eq!(named["archives"].as_array().unwrap().len(), 2);
    assert_eq!(world.archives(), ["x.tar.zst", "y.tar.zst"]);
    world.heirloom(["verify", "x.tar.zst"]).success();
    world.heirloom(["restore", "x", "--to", "new.db", "--no-safety-backup"]).success();
}
