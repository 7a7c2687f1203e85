//! `heirloom verify`, and what it leaves beside an archive.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use crate::tools::{have, not_tested};
use crate::world::World;

const ARCHIVE: &str = "app_20260301T030000Z.tar.gz";

fn one_archive() -> World {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    world
}

fn flip(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn a_good_archive_is_good_at_every_depth() {
    let world = one_archive();
    for depth in ["quick", "standard", "deep"] {
        let document = world.heirloom(["verify", "--depth", depth, "--json"]).success().json();
        assert_eq!(document["archives"][0]["state"], "ok");
        assert_eq!(document["archives"][0]["findings"], serde_json::json!([]));
    }
    assert_eq!(world.leftovers(), [""; 0]);
    assert_eq!(world.files("tmp"), [""; 0]);
}

#[test]
fn damage_is_marked_and_a_later_clean_check_takes_the_mark_away() {
    let world = one_archive();
    let path = world.path(format!("backups/{ARCHIVE}"));
    let middle = fs::metadata(&path).unwrap().len() / 2;
    flip(&path, middle);
    world.heirloom(["verify", ARCHIVE]).exits(13).says(ARCHIVE);
    assert!(world.files("backups").contains(&format!("{ARCHIVE}.damaged")));
    world.heirloom(["show", "latest"]).exits(12);
    flip(&path, middle);
    world.heirloom(["verify", ARCHIVE, "--depth", "quick"]).success();
    assert!(
        world.files("backups").contains(&format!("{ARCHIVE}.damaged")),
        "a quicker look does not refute a deeper one"
    );
    world.heirloom(["verify", ARCHIVE]).success();
    assert!(!world.files("backups").contains(&format!("{ARCHIVE}.damaged")));
}

#[test]
fn a_mark_that_a_person_made_stays() {
    let world = one_archive();
    let mark = world.path(format!("backups/{ARCHIVE}.damaged"));
    fs::write(&mark, "found by me\n").unwrap();
    world.heirloom(["verify", ARCHIVE]).success();
    assert_eq!(fs::read_to_string(&mark).unwrap(), "found by me\n");
}

#[test]
fn all_archives_are_looked_at_and_one_bad_one_decides() {
    let mut world = one_archive();
    world.at("2026-03-02").heirloom(["backup", "app.db"]).success();
    let path = world.path(format!("backups/{ARCHIVE}"));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(700).unwrap();
    fs::write(world.path("backups/photos.tar.gz"), "something else").unwrap();
    let document = world.heirloom(["verify", "--all", "--json"]).exits(13).json();
    let states: Vec<&str> =
        document["archives"].as_array().unwrap().iter().map(|archive| archive["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ok", "damaged"], "what is not ours is not called damaged");
    world.heirloom(["verify"]).success().says(ARCHIVE).says("--all");
}

#[test]
fn every_flipped_byte_of_an_archive_is_found() {
    let world = one_archive();
    let path = world.path(format!("backups/{ARCHIVE}"));
    let bytes = fs::metadata(&path).unwrap().len();
    // The reader's own tests try every byte; this covers the whole program.
    for at in (0..bytes).step_by(usize::try_from(bytes / 40).unwrap()) {
        flip(&path, at);
        let ran = world.heirloom(["verify", &format!("./backups/{ARCHIVE}")]);
        assert_eq!(ran.code, 13, "byte {at}: {}", ran.stderr);
        flip(&path, at);
    }
    world.heirloom(["verify"]).success();
}

#[test]
fn a_read_only_store_can_be_verified() {
    let world = one_archive();
    let store = world.path("backups");
    let mount =
        |args: &[&str]| Command::new("mount").args(args).arg(&store).status().is_ok_and(|status| status.success());
    if !have("a read-only store can be verified", &["mount"]) {
        return;
    }
    if !mount(&["--bind", store.to_str().unwrap()]) {
        not_tested("a read-only store can be verified", "the right to mount");
        return;
    }
    assert!(mount(&["-o", "remount,bind,ro"]));
    let ran = world.heirloom(["verify"]);
    let listed = world.heirloom(["list", "--json"]);
    assert!(Command::new("umount").arg(&store).status().unwrap().success());
    ran.success();
    assert_eq!(listed.success().json()["archives"].as_array().unwrap().len(), 1);
}

#[test]
fn the_old_tools_files_are_listed_and_verified() {
    let world = World::new();
    world.sql("user_data.db", "CREATE TABLE users(id INTEGER PRIMARY KEY); INSERT INTO users VALUES(1), (2);");
    let script = r#"
import gzip, json, os, shutil, tarfile, io
os.mkdir("backups")
meta = {"backup_name": "archerytools_backup_20250804_163829", "created_at": "2025-08-04T16:38:29.591353",
        "version": "1.0.0",
        "includes": {"arrow_database": False, "user_database": True},
        "user_db_stats": {"table_count": 1, "tables": {"users": 2}}}
with tarfile.open("backups/archerytools_backup_20250804_163829.tar.gz", "w:gz") as tar:
    tar.add("user_data.db")
    data = json.dumps(meta).encode()
    entry = tarfile.TarInfo("backup_metadata.json"); entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
shutil.copy("user_data.db", "backups/backup-2025-08-05-030000.db")
with gzip.open("backups/backup-2025-08-06-030000.db.gz", "wb") as f: f.write(open("user_data.db", "rb").read())
"#;
    assert!(Command::new("python3").args(["-c", script]).current_dir(world.work()).status().unwrap().success());
    let document = world.heirloom(["list", "--json"]).success().json();
    let seen: Vec<(&str, &str)> = document["archives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|archive| (archive["created_at"].as_str().unwrap(), archive["origin"].as_str().unwrap()))
        .collect();
    let expected = [
        ("2025-08-06T03:00:00.000000Z", "plain"),
        ("2025-08-05T03:00:00.000000Z", "plain"),
        ("2025-08-04T16:38:29.591353Z", "old_tool"),
    ];
    assert_eq!(seen, expected);
    let document = world.heirloom(["verify", "--all", "--json"]).success().json();
    assert_eq!(document["archives"].as_array().unwrap().len(), 3);
}

#[test]
fn verify_prints_what_it_checked() {
    let world = World::new();
    world.database("app.db");
    world.database("other.db");
    world.heirloom(["backup", "app.db", "other.db", "--set", "two"]).success();
    let bytes = "24.0 KiB";
    let quick = world.heirloom(["verify", "--depth", "quick"]).success().stdout;
    assert_eq!(quick, format!("ok  two_20260301T030000Z.tar.gz · 2 databases, {bytes} · 2 digests ok\n"));
    let standard = world.heirloom(["verify"]).success().stdout;
    assert_eq!(standard, quick.replace("ok\n", "ok · integrity ok · 200 rows\n"));
    let verbose = world.heirloom(["verify", "-v"]).success().stdout;
    let lines: Vec<&str> = verbose.lines().collect();
    assert_eq!(lines.len(), 3, "{verbose}");
    assert!(lines[1].starts_with("    app: 12.0 KiB, sha256 "), "{verbose}");
    assert!(lines[2].ends_with(" as recorded, integrity ok, 100 rows in 1 table as recorded"), "{verbose}");
}

#[test]
fn verify_claims_no_digest_that_was_never_recorded() {
    let world = World::new();
    world.database("app.db");
    std::fs::create_dir(world.path("backups")).unwrap();
    std::fs::copy(world.path("app.db"), world.path("backups/backup-2025-08-05-030000.db")).unwrap();
    let ran = world.heirloom(["verify", "--all"]).success();
    assert!(ran.stdout.ends_with(" · 12.0 KiB · no digest recorded · integrity ok\n"), "{}", ran.stdout);
}
