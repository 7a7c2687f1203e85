//! Remote stores, as users have them: one host, several hosts, a host that was replaced, a store that is away.

use std::fs;
use std::process::Command;

use crate::servers::{Kind, Place, place};
use crate::world::{Ran, World};

/// A world whose store is a place on a server.
struct Remote {
    world: World,
    place: Place,
}

impl Remote {
    fn new(kind: Kind, promise: &str) -> Option<Self> {
        let place = place(kind, promise)?;
        let mut world = World::new();
        for (name, value) in &place.variables {
            world.env(name, value);
        }
        world.env("HEIRLOOM_DIR", &place.url);
        Some(Self { world, place })
    }

    /// Another host that uses the same server.
    fn other(&self, host: &str) -> World {
        let mut world = World::new();
        for (name, value) in &self.place.variables {
            world.env(name, value);
        }
        world.env("HEIRLOOM_DIR", &self.place.url).env("HEIRLOOM_HOST", host);
        world
    }

    /// The URL with something appended to its prefix.
    fn below(&self, more: &str) -> String {
        self.place.url.replacen('?', &format!("/{more}?"), 1)
    }
}

fn archives(world: &World, args: &[&str]) -> Vec<String> {
    let listed = world.heirloom([&["list", "--json"], args].concat()).success().json();
    let archives = listed["archives"].as_array().unwrap().iter();
    archives.map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_command_works_on_a_remote_store() {
    let Some(remote) = Remote::new(Kind::Seaweed, "every command works on S3") else { return };
    let mut world = remote.world;
    world.database("app.db");
    world.sql("other.db", "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let backup = ["backup", "app.db", "other.db", "--set", "both"];
    for day in ["2026-02-26", "2026-02-27", "2026-02-28"] {
        world.at(day).heirloom(backup).success();
    }
    world.at("2026-02-28T05:00:00Z");
    let names = archives(&world, &[]);
    assert_eq!(names.len(), 3);
    world.heirloom(["show", "latest"]).success();
    world.heirloom(["verify", "--all"]).success();
    world.heirloom(["health", "app.db", "other.db", "--set", "both"]).success();
    world.heirloom(["pin", &names[2]]).success();

    world.sql("app.db", "DELETE FROM notes WHERE id > 40");
    world.heirloom(["restore", "latest", "--only", "app", "--to", "app.db", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    world.heirloom(["restore", "--undo", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "40");
    let safety = archives(&world, &[]).len() - 3;
    assert_eq!(safety, 2, "a restore and its undo");

    let failed = ["guard", "other.db", "--set", "both", "--", "sh", "-c", "rm other.db; exit 7"];
    world.heirloom(failed).exits(7);
    assert_eq!(world.ask("other.db", "SELECT count(*) FROM t"), "1");

    world.at("2026-03-05");
    let plan = world.heirloom(["rotate", "--keep-daily", "1", "--dry-run", "--json"]).success().json();
    let removed: Vec<&str> =
        plan["remove"].as_array().unwrap().iter().map(|one| one["archive"].as_str().unwrap()).collect();
    assert_eq!(removed, [names[1].as_str()], "one is pinned, one is the newest");
    world.heirloom(["rotate", "--keep-daily", "1"]).success();
    world.heirloom(["unpin", &names[2]]).success();
    world.heirloom(["delete", &names[2], "--force"]).success();
    let left = archives(&world, &[]);
    assert!(!left.contains(&names[1]) && !left.contains(&names[2]) && left.contains(&names[0]), "{left:?}");
    world.heirloom(["cleanup", "--max-age", "1d"]).success();
    assert!(archives(&world, &[]).contains(&names[0]), "the newest good one stays");
    world.heirloom(["log"]).success();
}

#[test]
fn each_service_takes_a_backup_and_gives_it_back() {
    for kind in [Kind::Seaweed, Kind::Moto, Kind::Azurite, Kind::Gcs] {
        let Some(remote) = Remote::new(kind, "a backup goes to each service and back") else { continue };
        let world = remote.world;
        world.database("app.db");
        world.heirloom(["backup", "app.db"]).success();
        world.heirloom(["backup", "app.db", "--name", "before"]).success();
        world.heirloom(["backup", "app.db", "--name", "before"]).exits(14);
        world.heirloom(["verify", "--all"]).success();
        world.heirloom(["restore", "before", "--to", "again.db"]).success();
        assert_eq!(world.ask("again.db", "SELECT count(*) FROM notes"), "100", "{kind:?}");
    }
}

#[test]
fn a_host_that_does_not_survive_needs_nothing_but_the_url() {
    let Some(remote) = Remote::new(Kind::Moto, "an ephemeral host works from a URL alone") else { return };
    let mut world = remote.world;
    let first = ["restore", "--if-missing", "--if-backup-exists", "app.db"];
    world.heirloom(first).success();
    world.database("app.db");
    for day in 1..=30 {
        world.at(&format!("2026-03-{day:02}T03:00:00Z"));
        world.heirloom(["backup", "app.db", "--rotate"]).success();
        world.sql("app.db", &format!("INSERT INTO notes VALUES ({}, 'of day {day}')", 1000 + day));
        world.heirloom(["backup", "app.db", "--kind", "final"]).success();
        // The container is thrown away.
        fs::remove_file(world.path("app.db")).unwrap();
        let _ = fs::remove_dir_all(world.path("../state"));
        world.heirloom(first).success();
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), (100 + day).to_string());
    }
}

#[test]
fn a_bucket_that_does_not_exist_is_no_empty_store() {
    let Some(remote) = Remote::new(Kind::Seaweed, "a missing bucket is not empty") else { return };
    let mut world = remote.world;
    world.env("HEIRLOOM_DIR", &remote.place.url.replace("s3://tests/", "s3://no-such-bucket/"));
    let first = world.heirloom(["restore", "--if-missing", "--if-backup-exists", "app.db"]);
    assert!(matches!(first.code, 2 | 16), "{}: {}", first.code, first.stderr);
    world.env("HEIRLOOM_DIR", &remote.place.url).env("AWS_SECRET_ACCESS_KEY", "wrong");
    let denied = world.heirloom(["list"]);
    assert!(denied.code != 0 && !denied.stderr.contains("wrong"), "{}", denied.stderr);
}

#[test]
fn two_hosts_that_copy_one_name_in_one_second_both_keep_theirs() {
    let Some(remote) = Remote::new(Kind::Seaweed, "two hosts copy into one store") else { return };
    let (one, two) = (remote.other("one"), remote.other("two"));
    for (index, world) in [&one, &two].into_iter().enumerate() {
        world.database("app.db");
        world.sql("app.db", &format!("DELETE FROM notes WHERE id <= {index}"));
        let text = format!(
            "[sets.app.databases]\napp = 'app.db'\n[store]\ndir = 'main'\n[copies.offsite]\nurl = '{}'",
            remote.place.url
        );
        fs::write(world.path("heirloom.toml"), text).unwrap();
    }
    let backup = |world: &World| world.command(["backup"]).env_remove("HEIRLOOM_DIR").spawn().unwrap();
    let mut runs = [backup(&one), backup(&two)];
    assert!(runs.iter_mut().all(|run| run.wait().unwrap().success()));
    let there = archives(&one, &["--store", "offsite"]);
    assert_eq!(there.len(), 2, "{there:?}");

    // Each host gets its own back.
    for (index, world) in [&one, &two].into_iter().enumerate() {
        fs::remove_dir_all(world.path("main")).unwrap();
        fs::remove_file(world.path("app.db")).unwrap();
        without_dir(world, &["restore", "--accept-older"]).success();
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), (100 - index).to_string());
    }
}

/// Runs a command with the store of the configuration.
fn without_dir(world: &World, args: &[&str]) -> Ran {
    world.run(world.command(args).env_remove("HEIRLOOM_DIR"))
}

#[test]
fn a_machine_with_another_name_does_not_take_the_store_for_empty() {
    let Some(remote) = Remote::new(Kind::Seaweed, "a renamed machine is no first deployment") else { return };
    let mut world = remote.other("web-1");
    world.env("HEIRLOOM_DIR", &remote.below("{host}"));
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    fs::remove_file(world.path("app.db")).unwrap();

    world.env("HEIRLOOM_HOST", "web-2");
    let refused = world.heirloom(["restore", "--if-missing", "--if-backup-exists", "app.db"]).exits(12);
    assert!(refused.stderr.contains("web-1"), "{}", refused.stderr);
    assert!(!world.path("app.db").exists());
    // It keeps where the file goes to.
    let elsewhere = world.heirloom(["restore", "--to", "other.db", "app.db"]).exits(12);
    elsewhere.says("restore --to other.db app.db --dir").says("--from web-1");
    // The command that it prints.
    let command = refused.stderr.split("heirloom restore").nth(1).unwrap().lines().next().unwrap();
    world.run(&mut world.shell(&format!("heirloom restore{}", command.trim_end_matches('`')))).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn another_tenant_with_the_same_configuration_gets_nothing_unasked() {
    let Some(remote) = Remote::new(Kind::Seaweed, "a second tenant gets no data of the first") else { return };
    let (one, two) = (remote.other("one"), remote.other("two"));
    for world in [&one, &two] {
        fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = 'app.db'").unwrap();
    }
    one.database("app.db");
    one.heirloom(["backup"]).success();
    two.heirloom(["restore", "--if-missing", "--if-backup-exists"]).exits(12).says("archives of one");
    assert!(!two.path("app.db").exists());
    two.heirloom(["restore", "--if-missing", "--if-backup-exists", "--fresh"]).success();
    assert!(!two.path("app.db").exists());
    two.heirloom(["rotate", "--keep-last", "1"]).success();
    assert_eq!(archives(&one, &[]).len(), 1);
}

#[test]
fn a_guard_on_one_host_and_a_rotation_on_another_do_not_meet() {
    let Some(remote) = Remote::new(Kind::Seaweed, "a guard survives a rotation elsewhere") else { return };
    let (one, two) = (remote.other("one"), remote.other("two"));
    one.database("app.db");
    let two_rotates = format!(
        "cd {} && HEIRLOOM_STATE_DIR={} HEIRLOOM_NOW=2026-03-09T00:00:00Z heirloom rotate --all-hosts --keep-last 1 \
         >/dev/null 2>&1; rm app.db; exit 9",
        two.work().display(),
        two.path("../state").display()
    );
    let script = format!("heirloom guard app.db -- sh -c {}", quoted(&format!("cd {} && {two_rotates}", one.root())));
    let script = script.replace("rm app.db", &format!("rm {}", one.path("app.db").display()));
    one.run(&mut one.shell(&script)).exits(9);
    assert_eq!(one.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn the_store_on_the_dying_disk_and_a_copy_far_away() {
    let Some(remote) = Remote::new(Kind::Seaweed, "a set comes back from the copy alone") else { return };
    let world = remote.other("web");
    world.database("users.db");
    world.sql("orders.db", "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)");
    let text = format!(
        "host = 'web'\n[sets.shop.databases]\nusers = 'users.db'\norders = 'orders.db'\n[store]\ndir = 'main'\n\
         [copies.offsite]\nurl = '{}'",
        remote.below("{host}")
    );
    fs::write(world.path("heirloom.toml"), &text).unwrap();
    without_dir(&world, &["backup"]).success();
    without_dir(&world, &["config", "check"]).success();

    // The disk is replaced: the configuration is all that is left.
    for gone in ["main", "../state"] {
        fs::remove_dir_all(world.path(gone)).unwrap();
    }
    for gone in ["users.db", "orders.db"] {
        fs::remove_file(world.path(gone)).unwrap();
    }
    without_dir(&world, &["restore"]).success();
    assert_eq!(world.ask("users.db", "SELECT count(*) FROM notes"), "100");
    assert_eq!(world.ask("orders.db", "SELECT count(*) FROM t"), "2");
}

#[test]
fn a_second_listing_reads_no_archive() {
    let Some(remote) = Remote::new(Kind::Moto, "descriptions are remembered") else { return };
    let mut world = remote.world;
    world.database("app.db");
    for day in 1..=5 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup", "app.db"]).success();
    }
    let first = archives(&world, &[]);
    // What is remembered decides nothing that the store does not confirm.
    fs::remove_dir_all(world.path("../state/workspaces")).unwrap();
    assert_eq!(archives(&world, &[]), first);
    let databases =
        Command::new("find").arg(world.path("../state")).args(["-name", "descriptions.db"]).output().unwrap();
    assert!(!databases.stdout.is_empty());
    assert_eq!(archives(&world, &[]), first);
    world.heirloom(["delete", &first[4], "--force"]).success();
    assert_eq!(archives(&world, &[]), first[..4]);
}
