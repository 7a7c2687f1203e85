//! Files of other tools in a store: listed, verified and restored, never counted, never removed.

use std::fs;
use std::process::Command;

use crate::world::World;

const DAYS: [&str; 4] = ["01", "02", "03", "04"];

/// Puts what other tools leave into the store: a tar of a volume, a plain database, a compressed one, an SQL dump's
/// neighbours.
fn fill(world: &World) -> Vec<String> {
    fs::create_dir_all(world.path("backups")).unwrap();
    world.sql("v/db.sqlite3", "CREATE TABLE t(x); INSERT INTO t VALUES (7);");
    fs::write(world.path("v/rsa_key.pem"), "key").unwrap();
    let shell = |script: String| {
        assert!(Command::new("sh").args(["-c", &script]).current_dir(world.work()).status().unwrap().success())
    };
    for day in DAYS {
        shell(format!("tar czf backups/vaultwarden_202603{day}_040000.tar.gz -C v db.sqlite3 rsa_key.pem"));
        shell(format!("tar cf backups/volume-202603{day}_040000.tar -C v ."));
        shell(format!("cp v/db.sqlite3 backups/db_202603{day}_040000.sqlite3"));
        shell(format!("gzip -c v/db.sqlite3 > backups/db_202603{day}_050000.db.gz"));
    }
    world.files("backups").into_iter().filter(|name| !name.starts_with('.')).collect()
}

/// `cleanup --keep 1` removed three of four, and with them the only copies of the private key.
#[test]
fn archives_of_other_tools_are_never_removed() {
    for command in [
        &["cleanup", "--keep", "1"][..],
        &["cleanup", "--max-age", "1h"],
        &["cleanup", "--max-size", "1B"],
        &["rotate"],
        &["backup", "app.db", "--cleanup", "--keep", "1"],
        &["backup", "app.db", "--set", "vaultwarden", "--cleanup", "--keep", "1"],
    ] {
        let mut world = World::new();
        world.sql("app.db", "CREATE TABLE t(x); INSERT INTO t VALUES (1);");
        fs::create_dir(world.path("v")).unwrap();
        let files = fill(&world);
        for day in DAYS {
            world.at(&format!("2026-03-{day}T05:00:00Z")).heirloom(["backup", "app.db"]).success();
        }
        world.at("2027-03-05");
        let ran = world.run(&mut world.command(command));
        assert!(ran.code == 0 || ran.code == 2 || ran.code == 3, "{command:?}: {} {}", ran.code, ran.stderr);
        let left = world.files("backups");
        let missing: Vec<&String> = files.iter().filter(|file| !left.contains(file)).collect();
        assert!(missing.is_empty(), "{command:?} removed {missing:?}\n{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn archives_of_other_tools_are_listed_verified_and_restored() {
    let world = World::new();
    fs::create_dir(world.path("v")).unwrap();
    let files = fill(&world);
    let listed = world.heirloom(["list", "--include-plain", "--json"]);
    let listed = if listed.code == 0 { listed } else { world.heirloom(["list", "--json"]) };
    for file in &files {
        assert!(listed.stdout.contains(file.as_str()), "{file} is not listed: {}", listed.stdout);
        world.heirloom(["verify", file]).success();
        world.heirloom(["restore", file, "--to", "new.db", "--force", "--no-safety-backup"]).success();
        assert_eq!(world.ask("new.db", "SELECT x FROM t"), "7", "{file}");
        fs::remove_file(world.path("new.db")).unwrap();
    }
}

/// A backup made by another tool does not count, however young.
#[test]
fn archives_of_other_tools_are_no_backup() {
    let mut world = World::new();
    world.sql("db.sqlite3", "CREATE TABLE t(x); INSERT INTO t VALUES (1);");
    fs::create_dir(world.path("v")).unwrap();
    fill(&world);
    world.at("2026-03-04T04:00:10Z");
    let health = world.heirloom(["health", "db.sqlite3"]);
    assert_ne!(health.code, 0, "{}", health.stdout);
    world.heirloom(["backup", "db.sqlite3", "--set", "db", "--if-older-than", "1d"]).success();
    assert_eq!(
        world.files("backups").iter().filter(|name| name.starts_with("db_20260304T0400")).count(),
        1,
        "{:?}",
        world.files("backups")
    );
    world.heirloom(["restore", "latest", "--to", "new.db"]).success();
    assert_eq!(world.ask("new.db", "SELECT x FROM t"), "1");
}
