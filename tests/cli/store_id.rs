//! A store that is not the one it was: a disk that is not mounted, one that was exchanged, and stores that are made for
//! nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::tools::{have, not_tested};
use crate::world::World;

/// A file system in memory at a path, until it is dropped.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(path: &Path) -> Self {
        assert!(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(path).status().unwrap().success());
        Self(path.to_owned())
    }

    fn bind(from: &Path, path: &Path) -> Self {
        assert!(Command::new("mount").arg("--bind").args([from, path]).status().unwrap().success());
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Reports whether this test may mount; only root may.
fn may_mount() -> bool {
    let promise = "a store that is not mounted is noticed";
    if !have(promise, &["mount", "umount"]) {
        return false;
    }
    let world = World::new();
    let may = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(world.work()).output().unwrap().status.success();
    if may {
        assert!(Command::new("umount").arg(world.work()).status().unwrap().success());
    } else {
        not_tested(promise, "the right to mount");
    }
    may
}

fn id(world: &World, store: &str) -> String {
    let text = fs::read(world.path(store).join("heirloom-store.json")).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    document["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_disk_that_is_not_mounted_gets_no_new_store() {
    if !may_mount() {
        return;
    }
    let world = World::new();
    world.database("app.db");
    let (usb, disk) = (world.path("usb"), world.path("disk"));
    fs::create_dir(&usb).unwrap();
    fs::create_dir(&disk).unwrap();
    for dir in ["usb/store", "usb"] {
        {
            let _mounted = Mounted::bind(&disk, &usb);
            world.heirloom(["backup", "app.db", "--dir", dir]).success();
            world.heirloom(["health", "app.db", "--dir", dir, "--check", "none"]);
        }
        let store = ["--dir", dir];
        let refused = |args: &[&str]| world.heirloom(args.iter().chain(&store)).exits(16).says("this host has used");
        refused(&["backup", "app.db"]).says("--new-store");
        refused(&["backup", "app.db", "--if-older-than", "1h"]);
        for command in ["rotate", "cleanup", "list", "verify", "log"] {
            refused(&[command]);
        }
        refused(&["restore", "--to", "new.db", "--if-missing", "--if-backup-exists"]);
        refused(&["backup", "gone.db", "--if-exists"]);
        world.heirloom(["guard", "app.db", "--dir", dir, "--", "true"]).exits(125).says("this host has used");
        let health = world.heirloom(["health", "app.db", "--dir", dir, "--check", "none"]).exits(21);
        assert!(health.stdout.contains("this host has used"), "{}", health.stdout);
        assert_eq!(world.files("usb"), [""; 0], "nothing was written beneath the mount point");
        let _mounted = Mounted::bind(&disk, &usb);
        world.heirloom(["backup", "app.db", "--dir", dir]).success();
        assert_eq!(world.files(dir).iter().filter(|name| name.ends_with(".gz")).count(), 2);
    }
}

#[test]
fn a_link_to_a_store_leads_to_the_same_one_when_the_disk_is_away() {
    let world = World::new();
    world.database("app.db");
    fs::create_dir(world.path("disk")).unwrap();
    std::os::unix::fs::symlink("disk/store", world.path("backups")).unwrap();
    fs::create_dir(world.path("disk/store")).unwrap();
    world.heirloom(["backup", "app.db"]).success();
    fs::rename(world.path("disk"), world.path("away")).unwrap();
    world.heirloom(["backup", "app.db"]).exits(16).says("is gone");
    world.heirloom(["backup", "app.db", "--dir", "disk/store"]).exits(16).says("is gone");
    fs::create_dir(world.path("disk")).unwrap();
    world.heirloom(["restore", "--if-missing", "--if-backup-exists", "--to", "x.db"]).exits(16);
}

#[test]
fn a_new_store_is_accepted_once_and_two_disks_take_turns() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let first = id(&world, "backups");
    fs::rename(world.path("backups"), world.path("first")).unwrap();
    world.heirloom(["backup", "app.db"]).exits(16);
    assert!(!world.path("backups").exists());
    world.heirloom(["backup", "app.db", "--new-store"]).success();
    world.heirloom(["backup", "app.db"]).success();
    let second = id(&world, "backups");
    assert_ne!(first, second);

    fs::rename(world.path("backups"), world.path("second")).unwrap();
    fs::rename(world.path("first"), world.path("backups")).unwrap();
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(id(&world, "backups"), first, "an id is never replaced");

    let strange =
        fs::read_to_string(world.path("backups/heirloom-store.json")).unwrap().replace(&first, &"0".repeat(32));
    fs::write(world.path("backups/heirloom-store.json"), strange).unwrap();
    world.heirloom(["rotate"]).exits(16).says("is not the store that this host has used").says(&"0".repeat(32));
    world.heirloom(["guard", "app.db", "--new-store", "--", "true"]).success();
    world.heirloom(["rotate"]).success();
}

#[test]
fn a_store_from_before_gets_its_id_without_complaint() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    fs::remove_file(world.path("backups/heirloom-store.json")).unwrap();
    fs::remove_dir_all(world.path("../state")).unwrap();
    for args in [&["list"][..], &["rotate"], &["health", "--check", "none", "-q"]] {
        assert_ne!(world.heirloom(args).code, 16, "{args:?}");
    }
    assert!(
        !world.path("../state").exists() && !world.path("backups/heirloom-store.json").exists(),
        "only a commit makes them"
    );
    let ran = world.heirloom(["backup", "app.db"]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let document: Value =
        serde_json::from_slice(&fs::read(world.path("backups/heirloom-store.json")).unwrap()).unwrap();
    assert_eq!(document["made_at"], "2026-03-01T03:00:00.000000Z");
    assert!(document["made_by"].as_str().unwrap().ends_with(" on here"), "{document}");
    let mode = |path: &str| fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("backups/heirloom-store.json"), mode("../state")), (0o600, 0o700));

    // An empty claim of the name, as a run leaves it that died on a file system without hard links, is none.
    fs::remove_dir_all(world.path("../state")).unwrap();
    fs::write(world.path("backups/heirloom-store.json"), "").unwrap();
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(id(&world, "backups").len(), 32);
}

#[test]
fn an_id_that_cannot_be_read_is_an_error_and_never_a_missing_one() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    fs::write(world.path("backups/heirloom-store.json"), "{\"id\": \"../../x\"}").unwrap();
    world.heirloom(["backup", "app.db"]).exits(1).says("heirloom-store.json");
    assert_eq!(world.archives().len(), 1);
}

#[test]
fn a_memory_that_could_not_be_read_made_another_store_on_the_system_disk() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let known = world.path("../state/stores");
    let memory = known.join(world.files("../state/stores").first().unwrap());
    fs::write(&memory, "{").unwrap();
    world.heirloom(["backup", "app.db"]).success().says("cannot read which store was used before").says(".json");
    fs::remove_file(&memory).unwrap();
    fs::create_dir(&memory).unwrap();
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    let refused = |args: &[&str]| world.heirloom(args).exits(16).says("cannot determine whether").says("--new-store");
    refused(&["backup", "app.db"]);
    refused(&["restore", "--if-missing", "--if-backup-exists", "--to", "new.db"]);
    assert!(!world.path("backups").exists());
    fs::create_dir(world.path("backups")).unwrap();
    refused(&["backup", "app.db"]);
    assert_eq!(world.files("backups"), [""; 0], "a mount point without its disk");

    world.heirloom(["backup", "app.db", "--new-store"]).success().says("cannot remember this store");
    world.heirloom(["backup", "app.db"]).success();
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_warning_once() {
    let mut world = World::new();
    world.database("app.db");
    world.env("HEIRLOOM_STATE_DIR", "/dev/null/state");
    world.heirloom(["backup", "app.db"]).success().says("HEIRLOOM_STATE_DIR");
    assert_eq!(world.heirloom(["backup", "app.db"]).success().stderr, "", "not every night");
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    world.heirloom(["backup", "app.db"]).success();
}

#[test]
fn a_mount_point_is_demanded() {
    if !may_mount() {
        return;
    }
    let world = World::new();
    world.database("app.db");
    fs::create_dir(world.path("a disk")).unwrap();
    let config = "[store]\nmount = 'a disk'\ndir = 'a disk/store'\n[sets.app.databases]\napp = 'app.db'\n";
    fs::write(world.path("heirloom.toml"), config).unwrap();
    for args in
        [&["backup"][..], &["list"], &["rotate"], &["restore", "--if-missing", "--if-backup-exists", "--to", "x.db"]]
    {
        world.heirloom(args).exits(16).says("nothing is mounted at \"a disk\"");
    }
    let checked = world.heirloom(["config", "check"]).exits(16);
    assert!(
        checked.stdout.contains("store.mount") && checked.stdout.contains("nothing is mounted"),
        "{}",
        checked.stdout
    );
    world.heirloom(["health", "--check", "none"]).exits(21);
    assert_eq!(world.files("a disk"), [""; 0]);
    {
        let _mounted = Mounted::tmpfs(&world.path("a disk"));
        world.heirloom(["config", "check"]).success();
        world.heirloom(["backup"]).success();
    }
    {
        // A bind mount of the same file system is a mount, too: its device is that of the folder above.
        fs::create_dir(world.path("other")).unwrap();
        let _mounted = Mounted::bind(&world.path("other"), &world.path("a disk"));
        world.heirloom(["config", "check"]).exits(16);
        world.heirloom(["backup", "--new-store"]).success();
        world.heirloom(["config", "check"]).success();
    }
    // Another store than the configured one is not on that disk.
    world.heirloom(["backup", "--dir", "elsewhere"]).success();
    fs::write(world.path("heirloom.toml"), config.replace("a disk/store", "here")).unwrap();
    let checked = world.heirloom(["config", "check"]).exits(2);
    assert!(checked.stdout.contains("is not below"), "{}", checked.stdout);
}

#[test]
fn a_store_is_made_by_its_first_commit_only() {
    let mut world = World::new();
    fs::write(world.path("empty.db"), "").unwrap();
    fs::write(world.path("text.db"), "This is not a database at all.\n".repeat(200)).unwrap();
    world.database("app.db");
    world.heirloom(["backup", "gone.db"]).exits(10);
    world.heirloom(["backup", "gone.db", "--if-exists"]).success();
    world.heirloom(["backup", "empty.db"]).exits(10);
    world.heirloom(["backup", "text.db"]).exits(13);
    world.heirloom(["backup", "app.db", "--dry-run"]).success();
    world.heirloom(["guard", "gone.db", "--", "true"]).exits(125);
    world.heirloom(["guard", "text.db", "--", "true"]).exits(125);
    for args in [
        &["health", "app.db"][..],
        &["list"],
        &["rotate"],
        &["verify"],
        &["restore", "--if-missing", "--if-backup-exists"],
    ] {
        world.heirloom(args);
    }
    world.env("DATABASE_PATH", "data/app.db");
    world.heirloom(["backup"]).exits(10);
    assert_eq!(world.files("."), ["app.db", "empty.db", "text.db"]);
    // A folder that was there stays, whatever is in it.
    fs::create_dir(world.path("backups")).unwrap();
    world.heirloom(["backup", "text.db"]).exits(13);
    assert!(world.path("backups").exists());
}

#[test]
fn a_database_that_is_missing_makes_no_store_in_the_root_folder() {
    let mut world = World::new();
    world.env("DATABASE_PATH", "data/no such app.db");
    let before = Path::new("/backups").exists();
    world.run(world.command(["backup"]).current_dir("/")).exits(10);
    assert_eq!(Path::new("/backups").exists(), before);
}
