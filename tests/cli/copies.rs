//! Copies in further stores: what is copied, what happens if a store is away, and which store a restore uses.

use std::fs;

use crate::world::World;

/// A world with a database, a store, and a further store on a disk that can be taken away.
pub fn world() -> World {
    let world = World::new();
    world.database("app.db");
    fs::create_dir(world.path("disk")).unwrap();
    configure(&world, "");
    world
}

/// Writes the configuration, with more lines for the copy.
pub fn configure(world: &World, more: &str) {
    let text = format!(
        "[sets.app.databases]\napp = 'app.db'\n[store]\ndir = 'backups'\n[retention]\ndaily = 3\nweekly = 0\n\
         monthly = 0\n[copies.usb]\ndir = 'disk/copies'\n{more}"
    );
    fs::write(world.path("heirloom.toml"), text).unwrap();
}

pub fn copies(world: &World) -> Vec<String> {
    world.files("disk/copies").into_iter().filter(|name| name.ends_with(".tar.gz")).collect()
}

/// Changes a byte of the database in an archive of the main store.
pub fn damage(world: &World, archive: &str) {
    damage_in(world, "backups", archive);
}

/// Changes a byte of the database in an archive of a folder.
pub fn damage_in(world: &World, folder: &str, archive: &str) {
    let path = world.path(folder).join(archive);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 1600;
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

pub fn take_away(world: &World) {
    fs::rename(world.path("disk/copies"), world.path("elsewhere")).unwrap();
}

pub fn bring_back(world: &World) {
    fs::rename(world.path("elsewhere"), world.path("disk/copies")).unwrap();
}

#[test]
fn a_backup_is_copied_byte_for_byte() {
    let world = world();
    let made = world.heirloom(["backup", "--json"]).success().json();
    assert_eq!(copies(&world), world.archives());
    let name = &copies(&world)[0];
    assert_eq!(
        fs::read(world.path("backups").join(name)).unwrap(),
        fs::read(world.path("disk/copies").join(name)).unwrap()
    );
    assert_eq!(made["copies"][0]["name"], "usb");
    assert_eq!(made["copies"][0]["copied"][0]["archive"], name.as_str());
    assert_eq!(made["copies"][0]["missing"].as_array().unwrap().len(), 0);
    world.heirloom(["backup", "--no-copies", "--name", "here"]).success();
    assert_eq!(copies(&world).len(), 1);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn a_store_that_is_away_does_not_fail_the_backup_and_the_next_one_makes_up_for_it() {
    let mut world = world();
    world.heirloom(["backup"]).success();
    take_away(&world);
    world.at("2026-03-02");
    let ran = world.heirloom(["backup"]).exits(3).says("usb").says("1 archive missing there");
    assert!(ran.stderr.contains("heirloom copy"), "{}", ran.stderr);
    assert_eq!((world.archives().len(), copies(&world).len()), (2, 0));
    world.heirloom(["copy"]).exits(3);

    bring_back(&world);
    let planned = world.heirloom(["copy", "--dry-run"]).success();
    assert!(planned.stdout.contains("would copy app_20260302T000000Z.tar.gz"), "{}", planned.stdout);
    assert_eq!(copies(&world).len(), 1);
    world.at("2026-03-03");
    world.heirloom(["backup"]).success();
    assert_eq!(copies(&world), world.archives());
    let again = world.heirloom(["copy", "--json"]).success().json();
    assert_eq!(again["copies"][0]["copied"].as_array().unwrap().len(), 0);
}

#[test]
fn a_backup_without_a_required_copy_fails_but_is_complete() {
    let world = world();
    configure(&world, "required = true\n");
    world.heirloom(["backup"]).success();
    take_away(&world);
    world.heirloom(["backup", "--name", "second"]).exits(16).says("usb");
    assert_eq!(world.archives().len(), 2);
    world.heirloom(["verify", "--all"]).success();
}

#[test]
fn each_store_is_rotated_by_its_own_rules() {
    let mut world = world();
    configure(&world, "retention = { daily = 6 }\n");
    for day in 1..=9 {
        world.at(&format!("2026-03-0{day}"));
        world.heirloom(["backup", "--rotate"]).success();
    }
    let days = |names: Vec<String>| names.iter().map(|name| name[10..12].to_owned()).collect::<Vec<_>>();
    assert_eq!(days(world.archives()), ["07", "08", "09"]);
    assert_eq!(days(copies(&world)), ["04", "05", "06", "07", "08", "09"]);

    configure(&world, "retention = { daily = 4 }\n");
    let rotated = world.heirloom(["rotate", "--json"]).success().json();
    assert_eq!(rotated["copies"][0]["retention"]["remove"].as_array().unwrap().len(), 2);
    assert_eq!(days(copies(&world)), ["06", "07", "08", "09"]);
    world.heirloom(["rotate", "--store", "usb", "--keep-daily", "1"]).success();
    assert_eq!((days(copies(&world)), world.archives().len()), (vec!["09".to_owned()], 3));
}

#[test]
fn a_copy_does_not_wait_for_another_copy() {
    let mut world = world();
    configure(&world, "retention = { daily = 2 }\n[copies.attic]\ndir = 'disk/attic'\nretention = { daily = 30 }\n");
    for day in 1..=5 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup"]).success();
    }
    world.heirloom(["rotate"]).success();
    let attic = world.files("disk/attic").into_iter().filter(|name| name.ends_with(".tar.gz")).count();
    assert_eq!((world.archives().len(), copies(&world).len(), attic), (3, 2, 5));
}

#[test]
fn an_archive_waits_a_week_for_its_copy() {
    let mut world = world();
    world.heirloom(["backup"]).success();
    take_away(&world);
    // One a day of the archives that no longer fit the rules would go each night.
    for day in 2..=9 {
        world.at(&format!("2026-03-0{day}"));
        world.heirloom(["backup", "--rotate"]).exits(3);
    }
    let reasons = world.heirloom(["rotate", "--dry-run", "--json"]).json();
    let kept = reasons["keep"].as_array().unwrap();
    assert_eq!(kept.len(), 3, "the rules of the copy want no more than the newest three: {kept:?}");

    configure(&world, "retention = { daily = 30 }\n");
    for day in 10..=20 {
        world.at(&format!("2026-03-{day}"));
        world.heirloom(["backup", "--rotate"]).exits(3);
    }
    let names = world.archives();
    assert_eq!(names.len(), 7, "those of the last 7 days wait for the copy: {names:?}");
    let kept = world.heirloom(["rotate", "--dry-run", "--json"]).json()["keep"].clone();
    let waits = |one: &serde_json::Value| one["reasons"].to_string().contains("not copied yet");
    assert_eq!(kept.as_array().unwrap().iter().filter(|one| waits(one)).count(), 7);

    bring_back(&world);
    world.at("2026-03-21");
    world.heirloom(["backup", "--rotate"]).success();
    assert_eq!((copies(&world).len(), world.archives().len()), (9, 3));
}

#[test]
fn a_damaged_archive_is_not_copied_and_the_others_are() {
    let world = world();
    world.heirloom(["backup", "--no-copies", "--name", "one"]).success();
    world.heirloom(["backup", "--no-copies", "--name", "two"]).success();
    damage(&world, "one.tar.gz");
    world.heirloom(["copy", "one.tar.gz", "two"]).exits(3).says("the archive is damaged");
    assert_eq!(copies(&world), ["two.tar.gz"]);
}

#[test]
fn two_archives_of_one_name_are_both_copied() {
    let world = world();
    world.heirloom(["backup", "--name", "before"]).success();
    fs::remove_file(world.path("backups/before.tar.gz")).unwrap();
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    world.heirloom(["backup", "--name", "before"]).success();
    assert_eq!(copies(&world), ["before-2.tar.gz", "before.tar.gz"]);
    world.heirloom(["copy", "before"]).success();
    assert_eq!(copies(&world).len(), 2, "a copy that is there under another name is not made again");
}

#[test]
fn a_pin_and_an_acceptance_hold_wherever_the_archive_lies() {
    let world = world();
    world.heirloom(["backup", "--name", "one", "--no-copies"]).success();
    world.heirloom(["pin", "one"]).success();
    world.heirloom(["copy"]).success();
    assert!(world.path("disk/copies/one.tar.gz.keep").exists(), "a pin is copied with its archive");
    world.heirloom(["unpin", "one"]).success();
    assert!(!world.path("disk/copies/one.tar.gz.keep").exists());
    world.heirloom(["pin", "one"]).success();
    assert!(world.path("disk/copies/one.tar.gz.keep").exists());
    take_away(&world);
    world.heirloom(["unpin", "one"]).exits(3).says("usb: not marked there");
}

#[test]
fn a_restore_goes_on_to_the_next_store() {
    let mut world = world();
    world.heirloom(["backup"]).success();
    let archive = world.archives().remove(0);

    // The archive here is damaged, and the copy is not.
    damage(&world, &archive);
    world.heirloom(["restore", "--to", "a.db"]).success().says("trying the next store").says("no earlier store has it");
    assert_eq!(world.ask("a.db", "SELECT count(*) FROM notes"), "100");

    // It was removed here.
    fs::remove_file(world.path("backups").join(&archive)).unwrap();
    world.heirloom(["restore", &archive, "--to", "b.db"]).success();
    world.heirloom(["restore", "--to", "c.db"]).success();

    // The disk with database and store is gone: a recent copy comes back, an old one only with a word.
    fs::remove_dir_all(world.path("backups")).unwrap();
    fs::remove_file(world.path("app.db")).unwrap();
    fs::remove_dir_all(world.path("../state/workspaces")).unwrap();
    world.at("2026-03-22T03:00:00Z");
    let refused = world.heirloom(["restore", "--if-missing", "--if-backup-exists"]).exits(16);
    assert!(refused.stderr.contains("--accept-older"), "{}", refused.stderr);
    assert!(!world.path("app.db").exists());
    world.at("2026-03-01T09:00:00Z");
    world.heirloom(["restore", "--if-missing", "--if-backup-exists"]).success().says("did not answer");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

/// The main store is away. A copy that is three weeks old is the newest archive that this host ever made, or it is not.
#[test]
fn an_old_copy_is_restored_only_if_nothing_newer_is_remembered() {
    let mut world = world();
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    let store = world.path("backups");
    let away = world.path("away");
    world.at("2026-03-22T03:00:00Z");
    fs::rename(&store, &away).unwrap();
    for restore in [&["restore", "--if-missing", "--if-backup-exists"][..], &["restore", "latest", "--force"]] {
        world.heirloom(restore).success().says("did not answer");
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    }

    // The next backup did not reach the copy.
    fs::rename(&away, &store).unwrap();
    world.at("2026-03-23T03:00:00Z").heirloom(["backup", "--no-copies"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    fs::rename(&store, &away).unwrap();
    world.at("2026-03-24T03:00:00Z").heirloom(["restore", "--if-missing"]).exits(16).says("--accept-older");
    assert!(!world.path("app.db").exists());
    // A host that remembers nothing does not guess.
    fs::remove_dir_all(world.path("../state/workspaces")).unwrap();
    world.heirloom(["restore", "--if-missing"]).exits(16);
    world.heirloom(["restore", "--if-missing", "--accept-older"]).success();
}

#[test]
fn a_fresh_machine_gets_everything_back_from_the_copy_with_one_command() {
    let mut world = world();
    world.heirloom(["backup"]).success();
    for gone in ["backups", "../state"] {
        fs::remove_dir_all(world.path(gone)).unwrap();
    }
    fs::remove_file(world.path("app.db")).unwrap();
    // Weeks later; this host never had a store, so none is away.
    world.at("2026-04-01");
    world.heirloom(["restore"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    world.heirloom(["backup"]).success();
    assert_eq!(copies(&world).len(), 2);
}

#[test]
fn a_first_deployment_is_one_only_if_every_store_says_so() {
    let world = world();
    fs::remove_file(world.path("app.db")).unwrap();
    let first = ["restore", "--if-missing", "--if-backup-exists"];
    // The folder of the copy does not exist, and was never used.
    fs::create_dir(world.path("disk/copies")).unwrap();
    world.heirloom(first).success();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    fs::remove_dir_all(world.path("backups")).unwrap();
    take_away(&world);
    world.heirloom(first).exits(16);
    bring_back(&world);
    world.heirloom(first).success();
    assert!(world.path("app.db").exists());
}

#[test]
fn an_archive_comes_back_to_the_store_without_being_restored() {
    let world = world();
    world.heirloom(["backup"]).success();
    let archive = world.archives().remove(0);
    fs::remove_file(world.path("backups").join(&archive)).unwrap();
    world.heirloom(["copy", "latest", "--from", "usb", "--to", "main"]).success();
    assert_eq!(world.archives(), [archive]);
    world.heirloom(["copy", "latest", "--to", "main"]).exits(2).says("both source and target");
    world.heirloom(["copy", "--to", "attic"]).exits(2).says("no store \"attic\" is configured");
}

#[test]
fn a_list_says_where_each_archive_lies() {
    let world = world();
    world.heirloom(["backup", "--name", "both"]).success();
    world.heirloom(["backup", "--name", "here", "--no-copies"]).success();
    let listed = world.heirloom(["list", "--json"]).success().json();
    let copies = |name: &str| {
        let archives = listed["archives"].as_array().unwrap();
        archives.iter().find(|one| one["archive"] == name).unwrap()["copies"].to_string()
    };
    assert_eq!((copies("both.tar.gz"), copies("here.tar.gz")), ("[\"usb\"]".into(), "[]".into()));
    let there = world.heirloom(["list", "--store", "usb", "--json"]).success().json();
    assert_eq!(there["archives"].as_array().unwrap().len(), 1);
    let all = world.heirloom(["list", "--store", "all", "--json"]).success().json();
    assert_eq!(all["stores"].as_array().unwrap().len(), 2);
    take_away(&world);
    world.heirloom(["list"]).success();
    world.heirloom(["list", "--store", "all"]).exits(3).says("usb");
    world.heirloom(["list", "--store", "attic"]).exits(2).says("there are: main, usb");
}

#[test]
fn health_knows_which_copies_are_missing() {
    let mut world = world();
    let copy = |world: &World| {
        let report = world.heirloom(["health", "--json"]).json();
        let checks = report["checks"].as_array().unwrap();
        let copy = checks.iter().find(|check| check["check"] == "copy").unwrap();
        (copy["state"].as_str().unwrap().to_owned(), copy["value"].as_str().unwrap().to_owned())
    };
    world.heirloom(["backup", "--no-copies"]).success();
    assert_eq!(copy(&world).0, "critical");
    world.heirloom(["copy"]).success();
    assert_eq!(copy(&world).0, "ok");
    take_away(&world);
    world.at("2026-03-02");
    world.heirloom(["backup"]).exits(3);
    let (state, value) = copy(&world);
    assert!(state == "warning" && value.contains("1 archive missing") && value.contains("last try failed"), "{value}");
    world.at("2026-03-20");
    assert_eq!(copy(&world).0, "critical");
}

#[test]
fn each_host_copies_its_own_archives() {
    let mut world = world();
    world.heirloom(["backup", "--no-copies"]).success();
    world.env("HEIRLOOM_HOST", "other");
    world.heirloom(["copy"]).success();
    assert_eq!(copies(&world), [""; 0]);
}

#[test]
fn copies_are_encrypted_where_only_they_leave_this_host() {
    let world = world();
    let recipient = crate::encryption::new_key(&world, "key.txt");
    configure(&world, &format!("[encryption]\nrecipients = ['{recipient}']\nscope = 'copies'\n"));
    world.heirloom(["backup"]).success();
    let [here] = &world.archives()[..] else { panic!("{:?}", world.archives()) };
    assert!(here.ends_with(".tar.gz"));
    let there: Vec<String> = world.files("disk/copies").into_iter().filter(|name| name.ends_with(".age")).collect();
    assert_eq!(there, [format!("{here}.age")]);
    assert!(world.path("disk/copies").join(format!("{here}.age.sha256")).exists());
    // It is there: nothing is missing, and nothing is copied again.
    let again = world.heirloom(["copy", "--json"]).success().json();
    assert_eq!(again["copies"][0]["copied"].as_array().unwrap().len(), 0, "{again}");

    // A plain archive that somebody put there is never chosen.
    fs::copy(world.path("backups").join(here), world.path("disk/copies/app_20260301T040000Z.tar.gz")).unwrap();
    fs::remove_dir_all(world.path("backups")).unwrap();
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore", "--accept-older"]).exits(17);
    let key = crate::encryption::key(&world, "key.txt");
    world.heirloom(["restore", "--accept-older", "--identity", &key]).success().says(&format!("{here}.age"));
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}
