//! Room on the disks: what a restore and a backup need, and where.

use std::fs;

use crate::tools::{Mounted, have, run};
use crate::world::World;

/// A world with `d`, a file system in memory of this size.
fn small(size: &str) -> (World, Mounted) {
    let world = World::new();
    fs::create_dir(world.path("d")).unwrap();
    let mounted = Mounted::new("mount", ["-t", "tmpfs", "-o", &format!("size={size}"), "none"], &world.path("d"));
    (world, mounted)
}

/// Makes a database of 8 MB.
fn eight(world: &World, mode: &str) {
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8)";
    world.sql(
        "d/app.db",
        &format!(
            "PRAGMA journal_mode={mode}; CREATE TABLE t(x); INSERT INTO t {numbers} SELECT randomblob(1000000) FROM n"
        ),
    );
}

#[test]
fn an_online_restore_wanted_four_times_the_database_in_its_folder() {
    if !have("the room that a restore needs", &["mount"]) {
        return;
    }
    for mode in ["wal", "delete"] {
        // The database, and once more for its journal or -wal.
        let (world, _mounted) = small("18m");
        eight(&world, mode);
        world.heirloom(["backup", "d/app.db"]).success();
        world.sql("d/app.db", "UPDATE t SET x = zeroblob(1000000) WHERE rowid = 3");
        world.heirloom(["restore", "latest", "--force"]).success();
        assert_eq!(world.ask("d/app.db", "SELECT count(*) FROM t WHERE x = zeroblob(1000000)"), "0", "{mode}");
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

/// The store lies on the small disk, too: then the folder for temporary files has the copies.
#[test]
fn the_copies_of_a_restore_go_where_there_is_room() {
    if !have("the room that a restore needs", &["mount"]) {
        return;
    }
    let (world, _mounted) = small("38m");
    eight(&world, "wal");
    world.heirloom(["backup", "d/app.db", "--dir", "d/S"]).success();
    world.sql("d/app.db", "UPDATE t SET x = zeroblob(1000000) WHERE rowid = 3; PRAGMA wal_checkpoint(TRUNCATE)");
    world.heirloom(["restore", "latest", "--dir", "d/S", "--force"]).success();
    assert_eq!(world.ask("d/app.db", "SELECT count(*) FROM t WHERE x = zeroblob(1000000)"), "0");
    assert_eq!(fs::read_dir(world.work().parent().unwrap().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_full_disk_of_the_target_was_answered_with_the_advice_to_use_another_store() {
    if !have("the room that a restore needs", &["mount"]) {
        return;
    }
    let (world, _mounted) = small("12m");
    eight(&world, "delete");
    world.heirloom(["backup", "d/app.db"]).success();
    world.sql("d/app.db", "UPDATE t SET x = zeroblob(1000000) WHERE rowid = 3");
    let ran = world.heirloom(["restore", "latest", "--force"]).exits(15);
    let ran =
        ran.says("not enough space on the disk of \"[world]/work/d\"").says("are needed there").says("`--to FILE`");
    assert!(!ran.stderr.contains("--dir"), "{}", ran.stderr);
    assert_eq!(world.ask("d/app.db", "SELECT count(*) FROM t WHERE x = zeroblob(1000000)"), "1");
}

#[test]
fn a_vacuumed_backup_needed_room_for_the_free_pages_in_the_store() {
    if !have("the room that a backup needs", &["mount"]) {
        return;
    }
    let (world, _mounted) = small("8m");
    world.sql(
        "app.db",
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)
         INSERT INTO t SELECT randomblob(1000000) FROM n; DELETE FROM t WHERE rowid > 1",
    );
    world.heirloom(["backup", "app.db", "--vacuum", "--dir", "d/S"]).success();
    let archive = world.files("d/S").into_iter().find(|name| name.ends_with(".tar.gz")).unwrap();
    let metadata = run("tar", ["xzOf", world.path("d/S").join(archive).to_str().unwrap(), "backup_metadata.json"]);
    assert!(metadata.contains("\"vacuumed\":true"), "{metadata}");
    assert_eq!(fs::read_dir(world.work().parent().unwrap().join("tmp")).unwrap().count(), 0);
}

/// The state directory of an ephemeral host is often in memory.
#[cfg(feature = "remote")]
#[test]
fn scratch_in_memory_is_named_with_its_size_and_room_is_checked_before_the_capture() {
    use crate::servers::{Kind, place};
    if !have("scratch in memory is named", &["mount"]) {
        return;
    }
    let Some(place) = place(Kind::Moto, "scratch in memory is named") else { return };
    let (mut world, _mounted) = small("6m");
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    let state = world.path("d/state").to_str().unwrap().to_owned();
    world.env("HEIRLOOM_DIR", &place.url).env("HEIRLOOM_STATE_DIR", &state);
    world.sql("small.db", "CREATE TABLE t(x)");
    let ran = world.heirloom(["backup", "small.db", "-v"]).success();
    assert_eq!(ran.stderr.matches("is in memory (6.0 MiB in all)").count(), 1, "{}", ran.stderr);
    assert!(!world.heirloom(["backup", "small.db", "--name", "again"]).success().stderr.contains("memory"));

    world.sql(
        "big.db",
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8)
         INSERT INTO t SELECT randomblob(1000000) FROM n",
    );
    let ran = world.heirloom(["backup", "big.db"]).exits(15).says("is in memory (6.0 MiB in all)");
    assert!(ran.stderr.contains("the copies need") && ran.stderr.contains("store.scratch_dir"), "{}", ran.stderr);
    let listed = world.heirloom(["list", "--json"]).success().json();
    assert_eq!(listed["archives"].as_array().unwrap().len(), 2);

    // With scratch on the disk it works.
    std::fs::write(world.path("heirloom.toml"), "[store]\nscratch_dir = 'disk'").unwrap();
    let ran = world.heirloom(["backup", "big.db", "-v"]).success();
    assert!(!ran.stderr.contains("memory"), "{}", ran.stderr);
}
