//! Which archive `latest` and `--at` select: its origin, contents and age.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::latest_hosts::two_hosts;
use crate::restore::flip;
use crate::world::{Ran, World};

pub fn notes(world: &World, name: &str) -> String {
    world.ask(name, "SELECT count(*) FROM notes")
}

/// Makes a database with this many notes.
pub fn database(world: &World, name: &str, rows: u32) {
    world.database(name);
    world.sql(name, &format!("DELETE FROM notes WHERE id > {rows}"));
}

pub fn remove(world: &World, names: &[&str]) {
    for name in names {
        fs::remove_file(world.path(name)).unwrap();
    }
}

/// The archive that a restore would take.
pub fn taken(world: &World, args: &[&str]) -> String {
    let args: Vec<&str> = ["restore"].into_iter().chain(args.iter().copied()).chain(["--dry-run", "--json"]).collect();
    world.heirloom(args).success().json()["archive"].as_str().unwrap().to_owned()
}

/// Runs the command of a hint that contains this text, as a shell would.
pub fn paste(world: &World, ran: &Ran, containing: &str) -> Ran {
    let line = ran.stderr.lines().map(str::trim).find(|line| line.contains("heirloom ") && line.contains(containing));
    let line = line.unwrap_or_else(|| panic!("no command with {containing:?} in: {}", ran.stderr));
    let root = world.work().parent().unwrap().to_str().unwrap().to_owned();
    let line = line[line.find("heirloom ").unwrap()..].replace("[world]", &root);
    let mut command = Command::new("sh");
    let binary = Path::new(env!("CARGO_BIN_EXE_heirloom")).parent().unwrap();
    command.args(["-c", &line]).current_dir(world.work()).stdin(Stdio::null()).env_clear();
    for (name, value) in world.command([""; 0]).get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("PATH", format!("{}:{}", binary.display(), std::env::var("PATH").unwrap()));
    world.run(&mut command)
}

/// `users.db` and `orders.db` as the set `shop` of the configuration.
pub fn shop() -> World {
    let world = World::new();
    database(&world, "users.db", 10);
    database(&world, "orders.db", 20);
    fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\nusers = \"users.db\"\norders = \"orders.db\"\n")
        .unwrap();
    world
}

#[test]
fn a_partial_archive_was_the_latest() {
    for configured in [true, false] {
        let mut world = shop();
        world.heirloom(["backup"]).success();
        world.at("2026-03-01T04:00:00Z").heirloom(["backup", "--only", "users"]).success();
        if !configured {
            remove(&world, &["heirloom.toml"]);
        }
        remove(&world, &["users.db", "orders.db"]);
        let deploy = ["restore", "latest", "--if-missing", "--if-backup-exists"];
        world.heirloom(deploy).success().says("shop_20260301T040000Z.tar.gz is newer").says("users");
        assert_eq!(
            (notes(&world, "users.db"), notes(&world, "orders.db")),
            ("10".into(), "20".into()),
            "configured: {configured}"
        );
        // Only the one that is missing, from the newest archive that holds it.
        remove(&world, &["users.db"]);
        assert_eq!(taken(&world, &["--if-missing"]), "shop_20260301T040000Z.tar.gz");
    }
}

#[test]
fn a_full_archive_that_is_much_older_than_a_partial_one_is_not_taken_unasked() {
    let mut world = shop();
    world.heirloom(["backup"]).success();
    world.at("2026-03-02T05:00:00Z").heirloom(["backup", "--only", "users"]).success();
    assert_eq!(taken(&world, &[]), "shop_20260301T030000Z.tar.gz", "26 hours are not too much");
    world.at("2026-03-02T05:00:01Z").heirloom(["backup", "--only", "users"]).success();
    remove(&world, &["users.db", "orders.db"]);

    let ran =
        world.heirloom(["restore", "--if-missing", "--config", "heirloom.toml"]).exits(12).says("newer by 26 hours");
    assert!(!world.path("users.db").exists());
    paste(&world, &ran, "--only users").success();
    assert_eq!((notes(&world, "users.db"), world.path("orders.db").exists()), ("10".into(), false));
    remove(&world, &["users.db"]);
    paste(&world, &ran, "--at 2026-03-01T03:00:00Z").success();
    assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("10".into(), "20".into()));

    remove(&world, &["users.db", "orders.db"]);
    let patient = fs::read_to_string(world.path("heirloom.toml")).unwrap() + "[health]\nmax_backup_age = \"2d\"\n";
    fs::write(world.path("heirloom.toml"), patient).unwrap();
    world.heirloom(["restore", "--if-missing"]).success();
}

#[test]
fn databases_that_are_in_no_archive_together_are_named_one_by_one() {
    let mut world = shop();
    world.heirloom(["backup", "--only", "orders"]).success();
    world.at("2026-03-01T04:00:00Z").heirloom(["backup", "--only", "users"]).success();
    remove(&world, &["users.db", "orders.db"]);
    for flags in [&["restore"][..], &["restore", "--if-missing"]] {
        let ran =
            world.heirloom(flags).exits(12).says("no archive holds all of them").says("shop_20260301T030000Z.tar.gz");
        paste(&world, &ran, "--only orders").success();
        paste(&world, &ran, "--only users").success();
        remove(&world, &["users.db", "orders.db"]);
    }
}

#[test]
fn a_database_that_was_added_to_the_configuration_does_not_keep_the_others_away() {
    let world = shop();
    world.heirloom(["backup"]).success();
    let added = fs::read_to_string(world.path("heirloom.toml")).unwrap() + "stock = \"stock.db\"\n";
    fs::write(world.path("heirloom.toml"), added).unwrap();
    remove(&world, &["users.db", "orders.db"]);
    world.heirloom(["restore", "--if-missing"]).exits(3).says("no backup of \"stock\" yet");
    assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("10".into(), "20".into()));
    world.heirloom(["restore", "--if-missing"]).exits(12).says("stock");
    let ran = world.heirloom(["restore", "--if-missing", "--if-backup-exists", "--json"]).success();
    assert_eq!(ran.json()["outcome"], "skipped_no_backup");
    remove(&world, &["users.db"]);
    world.heirloom(["restore", "--if-missing", "--if-backup-exists"]).success().says("no backup of \"stock\" yet");
    assert!(world.path("users.db").exists() && !world.path("stock.db").exists());
    remove(&world, &["users.db"]);
    world.heirloom(["restore", "--force"]).exits(3).says("stock");
}

#[test]
fn what_cannot_be_restored_although_an_archive_holds_it_is_named() {
    let mut world = shop();
    world.heirloom(["backup", "--only", "orders"]).success();
    flip(&world.path("backups/shop_20260301T030000Z.tar.gz"));
    world.heirloom(["verify", "--all"]).exits(13);
    world.at("2026-03-01T04:00:00Z").heirloom(["backup", "--only", "users"]).success();
    remove(&world, &["users.db", "orders.db"]);
    let deploy = ["restore", "--if-missing", "--if-backup-exists"];
    world.heirloom(deploy).exits(3).says("\"orders\" was not restored").says("shop_20260301T030000Z.tar.gz");
    assert!(world.path("users.db").exists());
    world.heirloom(deploy).exits(12).says("\"orders\" is damaged");
    remove(&world, &["users.db"]);
    world.heirloom(["restore"]).exits(12).says("\"orders\" is damaged");
    assert!(!world.path("users.db").exists(), "without --if-missing a part is not enough");
}

#[test]
fn two_databases_of_one_name_stood_for_each_other() {
    let mut world = World::new();
    for (day, site, rows) in [("2026-03-01", "site1", 10), ("2026-03-02", "site2", 5)] {
        fs::create_dir(world.path(site)).unwrap();
        let path = format!("{site}/db.sqlite3");
        database(&world, &path, rows);
        world.at(day).heirloom(["backup", &path]).success();
    }
    remove(&world, &["site1/db.sqlite3"]);
    for restore in [&["restore", "site1/db.sqlite3"][..], &["restore", "--to", "site1/db.sqlite3"]] {
        world.heirloom(restore).success();
        assert_eq!(notes(&world, "site1/db.sqlite3"), "10", "{restore:?}");
        remove(&world, &["site1/db.sqlite3"]);
    }
    world.env("DATABASE_PATH", "site1/db.sqlite3").heirloom(["restore", "--if-missing"]).success();
    assert_eq!(notes(&world, "site1/db.sqlite3"), "10");
    assert_eq!(taken(&world, &["site2/db.sqlite3"]), "db_20260302T000000Z.tar.gz");

    // A third one has no archive: only the user can choose between two.
    let ran = world.heirloom(["restore", "site3/db.sqlite3"]).exits(12).says("hint");
    assert!(!ran.stderr.contains("restored"), "{}", ran.stderr);
    world.env("DATABASE_PATH", "site3.sqlite3");
    let ran = world.heirloom(["restore", "--set", "db", "--only", "db", "--to", "site3.sqlite3"]).exits(12);
    paste(&world, &ran, "site1/db.sqlite3").success();
    assert_eq!(notes(&world, "site3.sqlite3"), "10");
}

#[test]
fn without_a_configuration_the_newest_archive_says_where_its_databases_belong() {
    let mut world = World::new();
    for (day, folder, rows) in [("2026-03-01", "old", 10), ("2026-03-02", "new", 5)] {
        fs::create_dir(world.path(folder)).unwrap();
        database(&world, &format!("{folder}/app.db"), rows);
        world.at(day).heirloom(["backup", &format!("{folder}/app.db")]).success();
    }
    remove(&world, &["new/app.db"]);
    world.heirloom(["restore"]).success();
    assert_eq!((notes(&world, "old/app.db"), notes(&world, "new/app.db")), ("10".into(), "5".into()));
}

#[test]
fn the_names_of_a_database_may_change_its_path_finds_it() {
    let world = shop();
    world.heirloom(["backup"]).success();
    fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\ncustomers = \"users.db\"\n").unwrap();
    remove(&world, &["users.db"]);
    world.heirloom(["restore"]).success();
    assert_eq!(notes(&world, "users.db"), "10");
}

#[test]
fn an_archive_dated_in_the_future_was_the_latest() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 5");
    world.at("2028-03-01").heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02");
    remove(&world, &["app.db"]);
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(notes(&world, "app.db"), "10");
    assert_eq!(taken(&world, &["--at", "2029-01-01"]), "app_20260301T030000Z.tar.gz");
    assert_eq!(taken(&world, &["app_2028"]), "app_20280301T000000Z.tar.gz", "named, it can be used");
    remove(&world, &["backups/app_20260301T030000Z.tar.gz"]);
    world
        .heirloom(["restore", "--if-missing", "--if-backup-exists", "--to", "x.db"])
        .exits(12)
        .says("dated in the future");
}

#[test]
fn the_time_in_an_archive_s_name_did_not_find_it() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.at("2026-03-01T03:00:00.591353Z").heirloom(["backup", "app.db"]).success();
    for at in ["2026-03-01T03:00:00Z", "20260301T030000Z", "2026-03-01 03:00", "2026-03-01T03:00:00.1Z"] {
        world.at("2026-03-02").heirloom(["restore", "--at", at, "--to", "then.db", "--force"]).success();
    }
    world
        .heirloom(["restore", "--at", "2026-03-01T02:59:59Z", "--to", "then.db"])
        .exits(12)
        .says("at or before 2026-03-01T02:59:59Z");
}

#[test]
fn a_backup_that_waited_held_rows_from_after_its_time() {
    let world = World::new();
    let path = world.database("app.db");
    let script = "import sqlite3,sys,time,datetime
c=sqlite3.connect(sys.argv[1],isolation_level=None)
c.execute('BEGIN EXCLUSIVE')
print('ready',flush=True)
sys.stdin.readline()
time.sleep(1.2)
c.execute(\"INSERT INTO notes VALUES(1000,'late')\")
print(datetime.datetime.now(datetime.timezone.utc).isoformat(),flush=True)
c.execute('COMMIT')";
    let mut writer = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::{BufRead as _, BufReader};
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let mut command = world.command(["backup", "app.db", "--json"]);
    let backup = command.env_remove("HEIRLOOM_NOW").stdout(Stdio::piped()).spawn().unwrap();
    drop(writer.stdin.take());
    let committed: chrono::DateTime<chrono::Utc> = lines.next().unwrap().unwrap().parse().unwrap();
    writer.wait().unwrap();
    let document = world.ran("backup".into(), backup.wait_with_output().unwrap()).success().json();
    assert_eq!(document["databases"][0]["tables"][0]["rows"], 101, "it waited for the row");
    let created_at: chrono::DateTime<chrono::Utc> = document["created_at"].as_str().unwrap().parse().unwrap();
    assert!(created_at >= committed, "a row of {committed} in an archive of {created_at}");
}

#[test]
fn a_mark_alone_hid_a_good_archive() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 5");
    world.at("2026-03-02").heirloom(["backup", "app.db"]).success();
    fs::write(world.path("backups/app_20260302T000000Z.tar.gz.damaged"), "").unwrap();
    remove(&world, &["app.db"]);
    world
        .heirloom(["restore"])
        .success()
        .says("app_20260302T000000Z.tar.gz is marked as damaged, but was read and is sound");
    assert_eq!(notes(&world, "app.db"), "5");
    assert!(world.path("backups/app_20260302T000000Z.tar.gz.damaged").exists(), "the mark is the business of verify");

    flip(&world.path("backups/app_20260302T000000Z.tar.gz"));
    remove(&world, &["app.db"]);
    world.heirloom(["restore"]).success().says("passed over app_20260302T000000Z.tar.gz");
    assert_eq!(notes(&world, "app.db"), "10");
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn an_archive_that_is_missing_from_the_store_was_not_missed() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02").heirloom(["backup", "app.db"]).success();
    let newest = world.path("backups/app_20260302T000000Z.tar.gz");
    let kept = fs::read(&newest).unwrap();
    fs::remove_file(&newest).unwrap();
    remove(&world, &["app.db"]);
    let ran = world
        .heirloom(["restore", "--if-missing", "--if-backup-exists"])
        .exits(2)
        .says("this host made app_20260302T000000Z.tar.gz");
    assert!(!world.path("app.db").exists());
    assert_eq!(taken(&world, &["--at", "2026-03-01"]), "app_20260301T030000Z.tar.gz", "it is not about that time");
    assert_eq!(taken(&world, &["app_20260301"]), "app_20260301T030000Z.tar.gz");
    paste(&world, &ran, "--accept-older").success();

    // It may have been renamed.
    fs::write(world.path("backups/renamed.tar.gz"), kept).unwrap();
    assert_eq!(taken(&world, &[]), "renamed.tar.gz");
    remove(&world, &["backups/renamed.tar.gz"]);
    world.heirloom(["restore", "--force"]).exits(2);
    // The memory is only a hint.
    fs::remove_file(world.path("backups/.heirloom/activity.db")).unwrap();
    world.heirloom(["restore", "--force"]).success();
}

#[test]
fn what_was_deleted_on_purpose_is_not_missed() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02").heirloom(["backup", "app.db"]).success();
    world.heirloom(["delete", "app_20260302T000000Z.tar.gz", "--force"]).success();
    assert_eq!(taken(&world, &[]), "app_20260301T030000Z.tar.gz");
}

#[test]
fn a_store_that_lost_its_archives_is_not_a_first_deployment() {
    let world = World::new();
    database(&world, "app.db", 10);
    world.heirloom(["backup", "app.db"]).success();
    fs::remove_file(world.path("backups").join(&world.archives()[0])).unwrap();
    remove(&world, &["app.db"]);
    let mut command = world.command(["restore", "--if-missing", "--if-backup-exists"]);
    world.run(command.env("DATABASE_PATH", "app.db")).exits(12).says("this host made app_20260301T030000Z.tar.gz");
}

#[test]
fn plain_files_are_never_the_latest_beside_archives() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.heirloom(["backup", "app.db"]).success();
    fs::copy(world.path("app.db"), world.path("backups/app_20260302_000000.db")).unwrap();
    world.at("2026-03-03");
    assert_eq!(taken(&world, &[]), "app_20260301T030000Z.tar.gz");
    // A team that still runs its old tool beside this one sees that something newer is there.
    world.heirloom(["restore", "--force"]).success().says("passed over app_20260302_000000.db: another tool made it");
    remove(&world, &["backups/app_20260301T030000Z.tar.gz"]);
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    assert_eq!(taken(&world, &["--to", "x.db"]), "app_20260302_000000.db", "alone they are");
}

#[test]
fn a_newer_archive_that_this_release_cannot_read_is_mentioned() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02").heirloom(["backup", "app.db", "--no-compress"]).success();
    let newest = world.path("backups/app_20260302T000000Z.tar");
    let mut bytes = fs::read(&newest).unwrap();
    let at = bytes.windows(9).position(|window| window == b"\"format\":").unwrap() + 9;
    let digit = at + bytes[at..].iter().position(u8::is_ascii_digit).unwrap();
    bytes[digit] = b'2';
    fs::write(&newest, bytes).unwrap();
    world.heirloom(["restore", "--force"]).success().says("passed over app_20260302T000000Z.tar");
}

#[test]
fn at_a_terminal_the_user_chooses() {
    let mut world = two_hosts();
    world.env("HEIRLOOM_HOST", "web-3");
    remove(&world, &["app.db"]);
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = \"app.db\"\n").unwrap();
    let script = "import os,pty,sys
pid,fd=pty.fork()
if pid==0: os.execv(sys.argv[1],sys.argv[1:])
text=b''
while b'[1-2]' not in text: text+=os.read(fd,1000)
os.write(fd,b'2\\n')
try:
    while True:
        data=os.read(fd,1000)
        if not data: break
        text+=data
except OSError: pass
print(text.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid,0)[1]))";
    let mut command = Command::new("python3");
    command.args(["-c", script, env!("CARGO_BIN_EXE_heirloom"), "restore"]).current_dir(world.work()).env_clear();
    for (name, value) in world.command([""; 0]).get_envs() {
        command.env(name, value.unwrap());
    }
    let ran = world.run(&mut command).success();
    assert!(ran.stdout.contains("web-1") && ran.stdout.contains("web-2"), "{}", ran.stdout);
    assert_eq!(notes(&world, "app.db"), "10", "the second choice is the older one");
}

#[test]
fn an_archive_of_an_older_release_is_found_by_the_path_as_it_was_typed() {
    let mut world = World::new();
    fs::create_dir_all(world.path("releases/1")).unwrap();
    std::os::unix::fs::symlink("releases/1", world.path("current")).unwrap();
    database(&world, "current/app.db", 10);
    world.heirloom(["backup", "current/app.db", "--no-compress"]).success();
    let path = world.path("backups/app_20260301T030000Z.tar");
    let mut bytes = fs::read(&path).unwrap();
    // Those releases did not record the path without links.
    let at = bytes.windows(17).position(|window| window == b"\"source_resolved\"").unwrap();
    bytes[at + 1] = b'x';
    fs::write(&path, bytes).unwrap();
    remove(&world, &["current/app.db", "backups/.heirloom/activity.db"]);
    world.env("DATABASE_PATH", "current/app.db").heirloom(["restore", "--if-missing"]).success();
    assert_eq!(notes(&world, "current/app.db"), "10");
}
