//! File systems that are not like ext4: FUSE, exFAT, and a single file that is mounted.

use std::fs;

use crate::tools::{Mounted, have, run};
use crate::world::World;

/// A removed file that is still open keeps its folder alive on FUSE and NFS: the lock file of each run did.
#[test]
fn each_run_on_fuse_left_its_scratch_folder_and_rotate_ended_with_3() {
    if !have("scratch is removed on FUSE", &["bindfs"]) {
        return;
    }
    let world = World::new();
    for folder in ["under", "m"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    let _mounted = Mounted::new("bindfs", [world.path("under")], &world.path("m"));
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--dir", "m/S"]).success();
    let left = |folder: &str| {
        let names = world.files(folder).into_iter();
        names
            .filter(|name| name.starts_with("run-") || name.starts_with(".heirloom-run-") || name.starts_with(".fuse"))
            .collect::<Vec<_>>()
    };
    assert_eq!(left("m/S/.heirloom"), [""; 0]);
    world.heirloom(["rotate", "--dir", "m/S", "--keep-daily=7"]).success();

    fs::copy(world.path("app.db"), world.path("m/b.db")).unwrap();
    world.heirloom(["backup", "m/b.db", "--dir", "S2"]).success();
    world.sql("m/b.db", "DELETE FROM notes");
    world.heirloom(["restore", "latest", "--dir", "S2", "--force"]).success();
    assert_eq!(world.ask("m/b.db", "SELECT count(*) FROM notes"), "100");
    assert_eq!(left("m"), [""; 0]);
}

#[test]
fn a_leftover_that_is_in_use_does_not_make_every_rotate_end_with_3() {
    if !have("scratch is removed on FUSE", &["bindfs"]) {
        return;
    }
    let world = World::new();
    for folder in ["under", "m"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    let _mounted = Mounted::new("bindfs", [world.path("under")], &world.path("m"));
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--dir", "m/S"]).success();
    let scratch = world.path("m/S/.heirloom/run-1-0");
    fs::create_dir(&scratch).unwrap();
    let open = fs::File::create(scratch.join("half.tar.gz")).unwrap();
    world.heirloom(["rotate", "--dir", "m/S", "--keep-daily=7"]).success();
    drop(open);
}

/// An exFAT file system in a file, mounted with these options.
fn exfat(world: &World, options: &str) -> (Mounted, Loop) {
    let image = world.path("image");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    run("mkfs.exfat", [&image]);
    let device = run("losetup", ["-f", "--show", image.to_str().unwrap()]).trim().to_owned();
    fs::create_dir(world.path("m")).unwrap();
    let looped = Loop(device.clone());
    (Mounted::new("mount.exfat-fuse", ["-o", options, &device], &world.path("m")), looped)
}

/// A loop device; dropped after what is mounted from it.
struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup").args(["-d", &self.0]).status();
    }
}

const EXFAT: [&str; 3] = ["mkfs.exfat", "mount.exfat-fuse", "losetup"];

#[test]
fn a_missing_database_on_exfat_could_not_be_restored() {
    if !have("a restore to exFAT", &EXFAT) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let _mounted = exfat(&world, "umask=077");
    world.heirloom(["restore", "latest", "--to", "m/new.db"]).success();
    assert_eq!(world.ask("m/new.db", "SELECT count(*) FROM notes"), "100");
    world.heirloom(["backup", "m/new.db", "--dir", "m/S"]).success();
    fs::remove_file(world.path("m/new.db")).unwrap();
    world.heirloom(["restore", "latest", "--dir", "m/S"]).success();
}

#[test]
fn chmod_was_advised_where_the_mount_sets_the_modes() {
    if !have("a store on exFAT", &EXFAT) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    let _mounted = exfat(&world, "umask=000");
    let ran = world.heirloom(["backup", "app.db", "--dir", "m/S"]).exits(1).says("umask=077");
    assert!(!ran.stderr.contains("chmod"), "{}", ran.stderr);
    assert!(world.files("m/S").iter().all(|name| !name.contains("mode")), "{:?}", world.files("m/S"));
}

/// A folder of the host with a database, and a folder of a container into which that file alone is mounted.
fn single_file(world: &World) -> Mounted {
    for folder in ["host", "c"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    world.database("host/app.db");
    fs::write(world.path("c/app.db"), "").unwrap();
    let mounted = Mounted::new("mount", ["--bind".into(), world.path("host/app.db")], &world.path("c/app.db"));
    world.heirloom(["backup", "c/app.db"]).success();
    mounted
}

fn damage(world: &World) -> Vec<u8> {
    let mut bytes = fs::read(world.path("host/app.db")).unwrap();
    bytes[..4096].fill(0x55);
    fs::write(world.path("host/app.db"), &bytes).unwrap();
    bytes
}

/// The folder of the container without the file: what was kept aside.
fn asides(world: &World) -> Vec<String> {
    world.files("c").into_iter().filter(|name| name.contains(".replaced-")).collect()
}

#[test]
fn a_damaged_file_that_is_a_mount_point_was_busy() {
    if !have("a single file as a mount point", &["mount"]) {
        return;
    }
    let mut world = World::new();
    let mounted = single_file(&world);
    let damaged = damage(&world);
    fs::write(world.path("c/app.db-wal"), "an old -wal").unwrap();
    world.at("2026-03-02").heirloom(["restore", "latest", "--force"]).success();
    assert_eq!(world.ask("c/app.db", "SELECT count(*) FROM notes"), "100");
    assert_eq!(world.ask("host/app.db", "PRAGMA integrity_check"), "ok");
    let [aside] = &asides(&world)[..] else { panic!("{:?}", world.files("c")) };
    assert_eq!(fs::read(world.path("c").join(aside).join("app.db")).unwrap(), damaged);
    assert_eq!(world.files(&format!("c/{aside}")), ["app.db", "app.db-wal"]);
    assert!(!world.files("c").contains(&"app.db-wal".into()));
    drop(mounted);
}

/// A crash after the header was taken away, which is the longest state in between.
#[test]
fn a_second_restore_completes_one_that_died_while_it_replaced_a_mount_point() {
    if !have("a single file as a mount point", &["mount", "strace"]) {
        return;
    }
    let mut world = World::new();
    let mounted = single_file(&world);
    let damaged = damage(&world);
    let inner = world.at("2026-03-02").command(["restore", "latest", "--force"]);
    let mut killed = std::process::Command::new("strace");
    // The first write at the place of the header is the one that takes it away; the second one would bring the new one.
    killed.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(world.path("c/app.db"));
    killed.args(["-e", "trace=ftruncate", "-e", "inject=ftruncate:signal=KILL"]);
    killed.arg(inner.get_program()).args(inner.get_args()).current_dir(world.work()).env_clear();
    killed.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = world.run(&mut killed);
    assert_ne!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(fs::read(world.path("host/app.db")).unwrap()[..100], [0; 100], "{}", ran.stderr);

    world.at("2026-03-03").heirloom(["restore", "latest", "--force"]).success();
    assert_eq!(world.ask("host/app.db", "SELECT count(*) FROM notes"), "100");
    let kept = asides(&world).into_iter().map(|aside| fs::read(world.path("c").join(aside).join("app.db")).unwrap());
    assert!(kept.into_iter().any(|kept| kept == damaged), "the evidence of the first run is gone");
    drop(mounted);
}

#[test]
fn an_offline_restore_replaces_a_mount_point_in_place() {
    if !have("a single file as a mount point", &["mount"]) {
        return;
    }
    let mut world = World::new();
    let mounted = single_file(&world);
    world.sql("host/app.db", "DELETE FROM notes");
    world.at("2026-03-02").heirloom(["restore", "latest", "--force", "--offline", "--assume-unused"]).success();
    assert_eq!(world.ask("c/app.db", "SELECT count(*) FROM notes"), "100");
    assert_eq!(world.ask("host/app.db", "PRAGMA integrity_check"), "ok");
    assert_eq!(world.archives().len(), 2, "a safety backup is made");
    drop(mounted);
}

/// Of two databases of a set, the mount point was damaged before the restore: the undo leaves an empty file there.
#[test]
fn an_undo_at_a_mount_point_was_busy() {
    if !have("a single file as a mount point", &["mount"]) {
        return;
    }
    let mut world = World::new();
    let mounted = single_file(&world);
    world.database("c/user.db");
    let pair = ["backup", "c/app.db", "c/user.db", "--set", "pair"];
    world.at("2026-03-02").heirloom(pair).success();
    world.sql("c/user.db", "DELETE FROM notes");
    let damaged = damage(&world);
    world.at("2026-03-03").heirloom(["restore", "latest", "--set", "pair", "--force"]).success();
    assert_eq!(world.ask("host/app.db", "SELECT count(*) FROM notes"), "100");

    world.at("2026-03-04").heirloom(["restore", "--undo", "--set", "pair", "--force"]).success();
    assert_eq!(world.ask("c/user.db", "SELECT count(*) FROM notes"), "0");
    assert_eq!(fs::read(world.path("host/app.db")).unwrap(), b"", "what was not a database before is none now");
    let kept: Vec<_> =
        asides(&world).iter().map(|aside| fs::read(world.path("c").join(aside).join("app.db")).unwrap()).collect();
    assert!(kept.len() == 2 && kept.contains(&damaged), "{:?}", world.files("c"));
    world.at("2026-03-05").heirloom(["restore", "latest", "--set", "pair", "--force"]).success();
    assert_eq!(world.ask("host/app.db", "SELECT count(*) FROM notes"), "100");
    drop(mounted);
}
