//! `[sets.NAME] each`: one set for each file that a pattern matches, as operators of many small databases meet it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::world::World;

/// A world with tenants in `data` and a store beside it.
fn world(tenants: &[&str]) -> World {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tenants.iter().for_each(|tenant| drop(world.database(&format!("data/{tenant}.db"))));
    configure(&world, "[sets.tenants]\neach = 'data/*.db'\n");
    world
}

fn configure(world: &World, sets: &str) {
    fs::write(world.path("heirloom.toml"), format!("{sets}[store]\ndir = 'backups'\n")).unwrap();
}

/// The sets of the archives, each once.
fn sets(world: &World) -> Vec<String> {
    let mut sets: Vec<String> =
        world.archives().iter().map(|name| name.rsplit_once('_').unwrap().0.to_owned()).collect();
    sets.sort();
    sets.dedup();
    sets
}

fn remove(world: &World, file: &str) {
    fs::remove_file(world.path(file)).unwrap();
}

/// A new disk: no file, and nothing that this host remembers of it.
fn fresh_disk(world: &World) {
    fs::remove_dir_all(world.path("data")).unwrap();
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    let state = world.work().join("../state");
    if state.exists() {
        fs::remove_dir_all(state).unwrap();
    }
}

#[test]
fn a_new_tenant_takes_part_from_the_next_look() {
    let mut world = world(&["acme", "umbrella"]);
    let ran = world.heirloom(["backup", "-v"]).success();
    assert!(ran.stdout.contains("backed up tenants: 2 databases"), "{}", ran.stdout);
    assert_eq!(sets(&world), ["acme", "umbrella"]);
    let ran = world.at("2026-03-02").heirloom(["backup"]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "cron has nothing to mail");

    world.database("data/initech.db");
    let document = world.at("2026-03-03").heirloom(["backup", "--set", "tenants", "--json"]).success().json();
    assert_eq!(document["backups"].as_array().unwrap().len(), 3);
    assert_eq!(sets(&world), ["acme", "initech", "umbrella"]);
    world.at("2026-03-04").heirloom(["backup", "--set", "acme"]).success();
    world.heirloom(["backup", "data/acme.db", "--name", "by-path"]).success();
    assert_eq!(world.archives().len(), 2 + 2 + 3 + 2);

    let shown = world.heirloom(["list", "--set", "tenants", "--json"]).success().json();
    assert_eq!(shown["archives"].as_array().unwrap().len(), 9);
    world.heirloom(["verify", "--set", "tenants"]).exits(2).says("stands for a set for each database");
    let verified = world.heirloom(["verify", "--set", "tenants", "--all", "--json"]).success().json();
    assert_eq!(verified["archives"].as_array().unwrap().len(), 9);
    world.heirloom(["verify", "--all"]).success();
    world.heirloom(["health"]).success();
    world.heirloom(["config", "check"]).success();
    let shown = world.heirloom(["config", "show"]).success();
    assert!(shown.stdout.contains("sets.tenants.each") && shown.stdout.contains("data/*.db"), "{}", shown.stdout);
    world.heirloom(["backup", "--set", "nobody"]).exits(2).says("there is no set \"nobody\"").says("tenants");
}

#[test]
fn a_deleted_tenant_keeps_its_archives_and_does_not_come_back() {
    let mut world = world(&["acme", "umbrella"]);
    for day in 1..=9 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup"]).success();
    }
    remove(&world, "data/acme.db");
    let line = "tenants: 1 database gone, archives are kept: acme";
    world.at("2026-03-20").heirloom(["backup", "--rotate", "-v"]).success().says(line);
    let ran = world.heirloom(["backup", "-v"]).success();
    assert!(ran.stdout.contains(line) && !ran.stderr.contains("gone"), "{}", ran.stderr);
    let document = world.heirloom(["backup", "--json"]).success().json();
    assert_eq!(document["gone"], serde_json::json!(["acme"]));
    world.heirloom(["rotate"]).success();
    world.heirloom(["rotate", "--set", "tenants"]).success();
    let of = |world: &World, set: &str| world.archives().iter().filter(|name| name.starts_with(set)).count();
    assert_eq!(of(&world, "acme"), 9);
    assert!(of(&world, "umbrella") < 12, "twelve were made");
    let health = world.heirloom(["health", "-v"]).success();
    assert!(health.stdout.contains("1 database gone, archives are kept"), "{}", health.stdout);

    for _ in 0..2 {
        world.heirloom(["restore", "--if-missing"]).success().says("seem to be deleted: acme");
        world.heirloom(["restore", "--set", "tenants", "--if-missing"]).success();
    }
    assert!(!world.path("data/acme.db").exists());
    world.heirloom(["restore", "--set", "acme"]).success();
    assert_eq!(world.ask("data/acme.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn a_fresh_disk_gets_all_that_the_store_has() {
    let mut world = world(&["acme", "umbrella", "initech"]);
    world.heirloom(["backup"]).success();
    world.sql("data/acme.db", "DELETE FROM notes WHERE id > 90");
    world.at("2026-03-02").heirloom(["backup"]).success();
    fresh_disk(&world);
    let planned = world.heirloom(["restore", "--if-missing", "--dry-run"]).success();
    assert!(!world.path("data/acme.db").exists(), "{}", planned.stdout);
    let restored = world.heirloom(["restore", "--if-missing", "--json"]).success().json();
    assert_eq!(restored["restored"].as_array().unwrap().len(), 3);
    assert_eq!(world.files("data"), ["acme.db", "initech.db", "umbrella.db"], "and no note is left");
    assert_eq!(world.ask("data/acme.db", "SELECT count(*) FROM notes"), "90");

    // A host that remembers them was not given a new disk.
    world.at("2026-03-03").heirloom(["backup"]).success();
    fs::remove_dir_all(world.path("data")).unwrap();
    fs::create_dir(world.path("data")).unwrap();
    world
        .heirloom(["restore", "--if-missing"])
        .exits(10)
        .says("no file matches data/*.db, although this host backed up 3 databases of it before")
        .says("--force");
    world.heirloom(["restore", "--if-missing", "--force"]).success();
    assert_eq!(world.files("data").len(), 3);
    world.heirloom(["restore", "--force"]).exits(2).says("stands for a set for each database");
}

#[test]
fn an_interrupted_restore_of_all_goes_on() {
    let world = world(&["acme", "umbrella", "initech"]);
    world.heirloom(["backup"]).success();
    fresh_disk(&world);
    // What a run leaves that died after the first one.
    fs::create_dir(world.path("data")).unwrap();
    world.heirloom(["restore", "--set", "acme"]).success();
    fs::write(world.path("data/.heirloom-each-tenants"), r#"["acme","umbrella"]"#).unwrap();
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(
        world.files("data"),
        ["acme.db", "umbrella.db"],
        "initech was deleted meanwhile, and is not in the note"
    );

    // One that cannot be restored leaves the others in place, and is tried again.
    fresh_disk(&world);
    let archive = world.archives().into_iter().find(|name| name.starts_with("initech")).unwrap();
    let path = world.path("backups").join(&archive);
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() - 1600;
    damaged[middle] ^= 1;
    fs::write(&path, damaged).unwrap();
    world.heirloom(["restore", "--if-missing"]).exits(3).says("initech");
    assert_eq!(world.files("data"), [".heirloom-each-tenants", "acme.db", "umbrella.db"]);
    fs::write(&path, whole).unwrap();
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(world.files("data"), ["acme.db", "initech.db", "umbrella.db"]);
}

#[test]
fn a_first_deployment_has_no_tenant_and_no_archive() {
    let world = world(&[]);
    world.heirloom(["restore", "--if-missing", "--if-backup-exists"]).success();
    world.heirloom(["restore", "--if-missing"]).exits(12).says("there is no backup of data/*.db yet");
    world.heirloom(["backup"]).exits(10).says("no database matches data/*.db yet");
    world.heirloom(["backup", "--if-exists"]).success();
    world.heirloom(["backup", "--if-exists", "--json"]).success();
    assert_eq!(world.files("backups"), [""; 0], "no store was made");
    world.database("data/acme.db");
    world.heirloom(["backup", "--if-exists"]).success();
    assert_eq!(sets(&world), ["acme"]);
}

#[test]
fn a_renamed_tenant_is_a_new_one_and_a_replaced_one_is_not() {
    let mut world = world(&["acme", "umbrella"]);
    world.heirloom(["backup"]).success();
    fs::rename(world.path("data/acme.db"), world.path("data/acme-corp.db")).unwrap();
    world.database("other.db");
    fs::rename(world.path("other.db"), world.path("data/umbrella.db")).unwrap();
    world.at("2026-03-02").heirloom(["backup"]).success();
    assert_eq!(sets(&world), ["acme", "acme-corp", "umbrella"]);
    world.heirloom(["restore", "--set", "umbrella", "--force"]).success();
    fresh_disk(&world);
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(world.files("data"), ["acme-corp.db", "acme.db", "umbrella.db"]);
}

#[test]
fn patterns_that_overlap_take_each_file_once_and_a_name_is_not_given_twice() {
    let world = world(&["acme", "umbrella"]);
    fs::create_dir(world.path("more")).unwrap();
    world.database("more/acme.db");
    world.database("more/initech.db");
    configure(
        &world,
        "[sets.umbrella-db.databases]\numbrella = 'data/umbrella.db'\n[sets.first]\neach = 'data/*.db'\n\
         [sets.second]\neach = 'data/a*.db'\n[sets.third]\neach = 'more/*.db'\n",
    );
    world
        .heirloom(["backup"])
        .exits(3)
        .says("\"more/acme.db\" is not backed up: its set would be named \"acme\", and \"data/acme.db\" has it");
    assert_eq!(sets(&world), ["acme", "initech", "umbrella-db"]);
    let checked = world.heirloom(["config", "check"]).exits(10);
    assert!(checked.stdout.contains("sets.third.each"), "{}", checked.stdout);
    world.heirloom(["health", "--check", "none"]).exits(21);
    configure(&world, "[sets.a]\neach = 'data/*.db'\ndatabases = { x = 'x.db' }\n");
    world.heirloom(["backup"]).exits(2).says("has databases and each");
    configure(&world, "[sets.a]\neach = 'data/acme.db'\n");
    world.heirloom(["backup"]).exits(2).says("heirloom.toml:2: sets.a.each: has no wildcard");
}

#[test]
fn a_folder_that_vanishes_is_never_a_folder_without_tenants() {
    let world = world(&["acme", "umbrella"]);
    world.heirloom(["backup"]).success();
    fs::rename(world.path("data"), world.path("away")).unwrap();
    world.heirloom(["backup"]).exits(10).says("data/*.db cannot be looked for");
    world.heirloom(["backup", "--if-exists"]).exits(10);
    world.heirloom(["health"]).exits(21);
    world.heirloom(["rotate"]).success();
    assert_eq!(world.archives().len(), 2, "rotation is not about other sets then");
    // The disk is mounted, and empty.
    fs::create_dir(world.path("data")).unwrap();
    world.heirloom(["backup", "--if-exists"]).exits(3).says("2 databases gone");
    world.heirloom(["health"]).exits(21);
    // One of several folders is no reason to leave the others out.
    configure(&world, "[sets.tenants]\neach = 'away/*.db'\n[sets.others]\neach = 'nowhere/*.db'\n");
    world.heirloom(["backup"]).exits(3).says("nowhere");
    assert_eq!(world.archives().len(), 4);
}

#[test]
fn sidecars_and_other_files_are_no_databases() {
    let world = world(&[]);
    configure(&world, "[sets.tenants]\neach = 'data/*'\n");
    let path = world.sql("data/acme", "PRAGMA journal_mode = wal; CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    let open = rusqlite::Connection::open(&path).unwrap();
    open.execute_batch("PRAGMA journal_mode = wal; INSERT INTO t VALUES (2)").unwrap();
    assert!(world.path("data/acme-wal").exists() && world.path("data/acme-shm").exists());
    fs::create_dir(world.path("data/folder")).unwrap();
    fs::write(world.path("data/.hidden"), "SQLite format 3\0").unwrap();
    fs::write(world.path("data/notes.txt"), "no database").unwrap();
    fs::write(world.path("data/new"), "").unwrap();
    world.run(&mut world.shell("mkfifo data/pipe")).success();
    let ran = world.heirloom(["backup", "-v"]).success();
    assert_eq!(sets(&world), ["acme"]);
    assert!(ran.stdout.contains("2 files not yet a database"), "{}", ran.stdout);

    // The application writes the first page.
    world.database("data/new");
    world.heirloom(["backup", "--set", "new"]).success();
    // An emptied one is not new.
    fs::write(world.path("data/new"), "").unwrap();
    world.heirloom(["backup"]).exits(3).says("\"data/new\" is no database, but archives of it exist");
}

#[test]
fn a_link_is_another_name_or_a_tenant_of_its_own() {
    let world = world(&["acme"]);
    fs::create_dir(world.path("elsewhere")).unwrap();
    world.database("elsewhere/far.sqlite");
    symlink("acme.db", world.path("data/current.db")).unwrap();
    symlink("../elsewhere/far.sqlite", world.path("data/umbrella.db")).unwrap();
    symlink("nowhere.db", world.path("data/dangling.db")).unwrap();
    fs::hard_link(world.path("data/acme.db"), world.path("data/again.db")).unwrap();
    world.heirloom(["backup"]).success();
    assert_eq!(sets(&world).len(), 2);
    assert!(sets(&world).contains(&"umbrella".to_owned()));
    fs::remove_file(world.path("data/umbrella.db")).unwrap();
    fs::remove_file(world.path("data/again.db")).unwrap();
    fresh_disk(&world);
    world.heirloom(["restore", "--if-missing"]).success();
    assert!(world.files("data").contains(&"umbrella.db".to_owned()), "{:?}", world.files("data"));
}

#[test]
fn a_name_with_strange_characters_gets_a_set_and_comes_back() {
    let world = world(&["Müller & Söhne", "a b", "a_b", "-rf", "x\ny"]);
    world.heirloom(["backup"]).success();
    assert_eq!(sets(&world).len(), 5);
    world.heirloom(["verify", "--all"]).success();
    fresh_disk(&world);
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(world.files("data"), ["-rf.db", "Müller & Söhne.db", "a b.db", "a_b.db", "x\ny.db"]);
}

#[test]
fn a_wildcard_may_be_a_folder() {
    let world = World::new();
    for tenant in ["acme", "umbrella"] {
        fs::create_dir_all(world.path("data").join(tenant)).unwrap();
        world.database(&format!("data/{tenant}/app.db"));
    }
    fs::create_dir(world.path("data/initech")).unwrap();
    configure(&world, "[sets.tenants]\neach = 'data/*/app.db'\n");
    world.heirloom(["backup"]).success();
    assert_eq!(sets(&world), ["acme", "umbrella"]);
    fresh_disk(&world);
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(world.ask("data/umbrella/app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn two_hosts_in_one_store_have_tenants_of_their_own() {
    let mut world = world(&["acme", "umbrella"]);
    world.heirloom(["backup"]).success();
    remove(&world, "data/umbrella.db");
    world.database("data/initech.db");
    world.env("HEIRLOOM_HOST", "there").at("2026-03-02").heirloom(["backup"]).success();
    fresh_disk(&world);
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(world.files("data"), ["acme.db", "initech.db"]);
    fresh_disk(&world);
    world.env("HEIRLOOM_HOST", "here").heirloom(["restore", "--if-missing"]).success();
    assert_eq!(world.files("data"), ["acme.db", "umbrella.db"]);
}

#[test]
fn a_copy_restores_all_tenants_if_the_store_is_away() {
    let world = world(&["acme", "umbrella"]);
    fs::create_dir(world.path("disk")).unwrap();
    let text = "[sets.tenants]\neach = 'data/*.db'\n[store]\ndir = 'backups'\n[copies.usb]\ndir = 'disk/copies'\n";
    fs::write(world.path("heirloom.toml"), text).unwrap();
    world.heirloom(["backup"]).success();
    assert_eq!(world.files("disk/copies").iter().filter(|name| name.ends_with(".tar.gz")).count(), 2);
    fresh_disk(&world);
    fs::rename(world.path("backups"), world.path("lost")).unwrap();
    fs::write(world.path("backups"), "not a folder").unwrap();
    world.heirloom(["restore", "--if-missing"]).success();
    assert_eq!(world.files("data"), ["acme.db", "umbrella.db"]);
}
