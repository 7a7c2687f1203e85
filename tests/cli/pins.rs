//! Pins on Posit Connect as the store of an application on a host that does not survive.

use std::fs;

use crate::connect_server::{ALICE, BOB, Connect, Parts};
use crate::world::{Ran, World};

/// A world whose store is named by the variables of Posit Connect.
fn world(server: &Connect, user: &str, key: &str) -> World {
    let mut world = World::new();
    world.env("HEIRLOOM_DIR", "connect:").env("CONNECT_SERVER", &server.endpoint());
    world.env("CONNECT_USERNAME", user).env("CONNECT_API_KEY", key);
    world
}

/// The host after a restart: neither database nor state is there.
fn restarted(world: &World) {
    let _ = fs::remove_file(world.path("app.db"));
    let _ = fs::remove_dir_all(world.path("../state"));
}

const START: [&str; 4] = ["restore", "--if-missing", "--if-backup-exists", "app.db"];

fn archives(world: &World) -> Vec<String> {
    let listed = world.heirloom(["list", "--json"]).success().json();
    listed["archives"].as_array().unwrap().iter().map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_variables_of_posit_connect_name_the_pin() {
    let server = Connect::start(Parts::Given);
    let world = world(&server, "alice", ALICE);
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let long =
        server.url("alice/python-api-database").replace("connect.example", &format!("127.0.0.1:{}", server.port));
    let shown = world.heirloom(["list", "--json", "--dir", &long]).success().json();
    assert_eq!(shown["archives"].as_array().unwrap().len(), 1);

    // From `.env`, and in a configuration file, whose origin names what was used.
    let mut other = World::new();
    other.env("CONNECT_API_KEY", ALICE);
    fs::write(other.path(".env"), format!("CONNECT_SERVER={}\nCONNECT_USERNAME=alice\n", server.endpoint())).unwrap();
    fs::write(other.path("heirloom.toml"), "[store]\nurl = \"connect:\"\n").unwrap();
    let shown = other.heirloom(["config", "show"]).success().stdout;
    assert!(shown.contains("/alice/python-api-database") && shown.contains("$CONNECT_USERNAME"), "{shown}");
    other.heirloom(["config", "check"]);
    assert_eq!(archives(&other).len(), 1);

    // Without variables: the defaults of the old tool.
    let mut old = World::new();
    old.env("HEIRLOOM_DIR", "connect:");
    let refused = old.heirloom(["list"]).exits(16);
    refused.says("connect://connect.posit.it/default_user/python-api-database").says("CONNECT_API_KEY");
}

#[test]
fn a_wrong_variable_is_named_with_its_place_and_without_its_value() {
    let mut world = World::new();
    world.env("CONNECT_API_KEY", ALICE).env("CONNECT_SERVER", "https://ada:hunter2@connect.example");
    fs::write(world.path("heirloom.toml"), "[store]\nurl = \"connect:\"\n").unwrap();
    for command in [vec!["config", "check"], vec!["list"]] {
        let refused = world.heirloom(&command);
        let all = format!("{}{}", refused.stdout, refused.stderr);
        assert_eq!(refused.code, 2, "{all}");
        assert!(all.contains("heirloom.toml:2") && all.contains("CONNECT_SERVER") && !all.contains("hunter2"), "{all}");
    }
}

/// The application runs, and nobody is told that all is well.
#[test]
fn without_a_key_a_backup_and_a_restore_of_what_is_missing_warn() {
    let server = Connect::start(Parts::Given);
    let with = world(&server, "alice", ALICE);
    with.database("app.db");
    with.heirloom(["backup", "app.db"]).success();
    let without = world(&server, "alice", "");
    let warned = |ran: Ran| ran.exits(3).says("warning: CONNECT_API_KEY is not set").says("python-api-database");

    for more in [
        &["app.db"][..],
        &["app.db", "--if-backup-exists"],
        &["app.db", "--dry-run"],
        &["--to", "app.db", "--if-backup-exists", "--fresh"],
    ] {
        let ran = warned(without.heirloom([&["restore", "--if-missing"], more].concat()));
        ran.says("unknown whether there is a backup");
        assert!(!without.path("app.db").exists());
    }
    without.database("app.db");
    warned(without.heirloom(["backup", "app.db"])).says("nothing was backed up");
    warned(without.heirloom(["backup", "app.db", "--rotate", "--kind", "final", "--if-older-than", "1h"]));
    // What is there needs no store.
    without.heirloom(START).success();

    let backup = without.heirloom(["backup", "app.db", "--json"]).exits(3).json();
    assert_eq!((&backup["outcome"], &backup["variable"]), (&"skipped_no_key".into(), &"CONNECT_API_KEY".into()));
    assert!(backup["warning"].as_str().unwrap().contains("nothing was backed up"));
    fs::remove_file(without.path("app.db")).unwrap();
    let restore = without.heirloom([&START[..], &["--json"]].concat()).exits(3).json();
    assert_eq!(restore["outcome"], "skipped_no_key");
    assert!(restore["warning"].as_str().unwrap().contains("unknown whether"));

    // What a person asks for needs the key.
    for command in [
        &["list"][..],
        &["show", "latest"],
        &["verify", "--all"],
        &["rotate", "--keep-last", "1"],
        &["restore", "latest"],
        &["restore"],
        &["store", "check"],
    ] {
        let refused = without.heirloom(command);
        assert_eq!(refused.code, 16, "{command:?}: {}", refused.stderr);
    }
    // A guard that could not roll back does not start.
    without.database("app.db");
    without.heirloom(["guard", "app.db", "--", "true"]).exits(125);
}

#[test]
fn an_application_does_not_start_without_its_store() {
    let server = Connect::start(Parts::Given);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/start-with-restore.sh --database app.db");
    let start =
        |world: &World, options: &str| world.run(&mut world.shell(&format!("{script} {options} -- sh -c 'exit 42'")));
    let mut away = World::new();
    away.env("HEIRLOOM_DIR", "not/mounted");
    fs::write(away.path("heirloom.toml"), "[run]\nrestore_wait = \"1s\"\n").unwrap();
    for (without, code) in [(world(&server, "alice", ""), 3), (away, 16)] {
        start(&without, "").exits(code).says("the application was not started");
        start(&without, "--allow-empty").exits(code);
        assert!(!without.path("app.db").exists());
        without.database("app.db");
        start(&without, "").exits(42);
    }
    let with = world(&server, "bob", BOB);
    with.database("app.db");
    with.heirloom(["backup", "app.db"]).success();
    restarted(&with);
    start(&with, "").exits(42);
    assert_eq!(with.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

/// The store of this run is not the pin, which only gets a copy.
#[test]
fn a_copy_without_a_key_does_not_stop_the_backup() {
    let mut world = World::new();
    fs::write(world.path("heirloom.toml"), "[store]\ndir = \"main\"\n[copies.pin]\nurl = \"connect:\"\n").unwrap();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).exits(3).says("CONNECT_API_KEY");
    assert_eq!(world.files("main").iter().filter(|name| name.ends_with(".tar.gz")).count(), 1);
    // The main store answers, and the newest backup may still be in the pin.
    fs::remove_dir_all(world.path("main")).unwrap();
    fs::remove_file(world.path("app.db")).unwrap();
    fs::remove_dir_all(world.path("../state")).unwrap();
    world.at("2026-03-02");
    world.heirloom(START).exits(3).says("unknown whether there is a backup");
}

/// A pin takes no safety backups; on the host, a year of restores must not fill the disk.
#[test]
fn safety_backups_that_stay_on_the_host_are_thinned_out() {
    let server = Connect::start(Parts::Given);
    let mut world = world(&server, "alice", ALICE);
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let waiting = |world: &World| {
        let workspaces = fs::read_dir(world.path("../state/workspaces")).unwrap().map(|entry| entry.unwrap().path());
        let waiting: Vec<_> = workspaces.filter_map(|folder| fs::read_dir(folder.join("pending")).ok()).collect();
        waiting.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    // A crash loop: a restore and an update, each of changed data.
    for round in 0..9 {
        world.sql("app.db", &format!("INSERT INTO notes VALUES ({}, 'new')", 1000 + round));
        world.at(&format!("2026-03-02T04:{:02}:00Z", 10 + 2 * round));
        world.heirloom(["guard", "app.db", "--", "true"]).success();
        world.sql("app.db", &format!("INSERT INTO notes VALUES ({}, 'newer')", 2000 + round));
        world.at(&format!("2026-03-02T04:{:02}:00Z", 11 + 2 * round));
        world.heirloom(["restore", "latest", "--to", "app.db", "--force"]).success();
    }
    // Of 18: the newest 5 of the restores, the newest 5 of the updates, and the first of the hour of each.
    assert_eq!(waiting(&world).len(), 12, "{:?}", waiting(&world));
    // The last restore can still be undone.
    world.heirloom(["restore", "--undo", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes WHERE text LIKE 'new%'"), "2");
}

#[test]
fn a_guard_rolls_back_although_a_pin_takes_no_archive_from_before_an_update() {
    let server = Connect::start(Parts::Given);
    let world = world(&server, "alice", ALICE);
    world.database("app.db");
    for round in 1..=2 {
        world.heirloom(["guard", "app.db", "--", "sh", "-c", "rm app.db; exit 9"]).exits(9);
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100", "round {round}");
    }
    assert_eq!(archives(&world).len(), 2, "what the first guard saved and what its rollback saved, both on this host");
    // By hand.
    world.sql("app.db", "DELETE FROM notes WHERE id > 50");
    world.heirloom(["backup", "app.db", "--kind", "pre-update"]).success();
    world.heirloom(["verify", "--all"]).success();
}

/// It was taken for an empty store: the application started on an empty database.
#[test]
fn the_key_of_another_user_is_no_first_deployment() {
    let server = Connect::start(Parts::Given);
    let alice = world(&server, "alice", ALICE);
    alice.database("app.db");
    alice.heirloom(["backup", "app.db"]).success();
    restarted(&alice);
    let other = world(&server, "alice", BOB);
    other.heirloom(START).exits(2).says("the key is that of \"bob\"").says("may exist");
    other.database("app.db");
    other.heirloom(["backup", "app.db"]).exits(2).says("the key is that of \"bob\"");
    let unknown = world(&server, "nobody", ALICE);
    assert_ne!(unknown.heirloom(START).says("no user \"nobody\"; the key is that of \"alice\"").code, 0);
    // Two users with pins of the same name have nothing to do with each other.
    let bob = world(&server, "bob", BOB);
    bob.heirloom(START).success();
    assert!(!bob.path("app.db").exists());
    bob.sql("app.db", "CREATE TABLE t(x)");
    bob.heirloom(["backup", "app.db"]).success();
    alice.heirloom(START).success();
    assert_eq!(alice.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

/// A host that used the pin notices; to one that keeps nothing it is a first deployment, as the server says.
#[test]
fn a_pin_that_was_deleted_by_hand_is_not_the_same_store() {
    let server = Connect::start(Parts::Given);
    let world = world(&server, "alice", ALICE);
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let items = server.ask("GET", "/__api__/v1/content?name=python-api-database", ALICE);
    let guid = items.split("\"guid\": \"").nth(1).unwrap().split('"').next().unwrap();
    server.ask("DELETE", &format!("/__api__/v1/content/{guid}"), ALICE);
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(START).exits(16).says("is gone: this host has used one").says("look there");
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).exits(16).says("--new-store");
    world.heirloom(["backup", "app.db", "--new-store"]).success();
    assert_eq!(archives(&world).len(), 1);
}

/// What the server says of its time is not the age of an archive.
#[test]
fn a_server_whose_clock_is_wrong_changes_no_order() {
    let server = Connect::start(Parts::Given);
    let mut world = world(&server, "alice", ALICE);
    world.database("app.db");
    for (day, ahead) in [(1, 0), (2, -800 * 86_400), (3, 800 * 86_400), (4, 3600)] {
        server.set_clock(ahead);
        world.sql("app.db", &format!("DELETE FROM notes WHERE id = {day}"));
        world.at(&format!("2026-03-0{day}T03:00:00Z")).heirloom(["backup", "app.db"]).success();
    }
    let names = archives(&world);
    assert_eq!(names.len(), 4);
    assert!(names.windows(2).all(|pair| pair[0] > pair[1]), "newest first: {names:?}");
    world.at("2026-03-05T03:00:00Z").heirloom(["cleanup", "--keep", "2"]).success();
    assert_eq!(archives(&world), names[..2]);
    restarted(&world);
    world.heirloom(START).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "96");
}

/// By hand an older version was made the active one and the newest removed.
#[test]
fn a_newest_version_that_was_removed_by_hand_is_missed_where_it_is_remembered() {
    let server = Connect::start(Parts::Given);
    let mut world = world(&server, "alice", ALICE);
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    world.at("2026-03-02T03:00:00Z").heirloom(["backup", "app.db"]).success();
    let kept = archives(&world);
    let items = server.ask("GET", "/__api__/v1/content?name=python-api-database", ALICE);
    let items: serde_json::Value = serde_json::from_str(&items).unwrap();
    let item = format!("/__api__/v1/content/{}", items[0]["guid"].as_str().unwrap());
    let bundles: serde_json::Value =
        serde_json::from_str(&server.ask("GET", &format!("{item}/bundles"), ALICE)).unwrap();
    let numbers: Vec<&str> = bundles.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let older = serde_json::json!({ "bundle_id": numbers[1] });
    server.tell("POST", &format!("{item}/deploy"), ALICE, &older);
    server.ask("DELETE", &format!("{item}/bundles/{}", numbers[0]), ALICE);
    assert_eq!(archives(&world), kept[1..]);
    // This host knows that a newer one existed; one that keeps nothing takes what there is.
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(START).exits(2).says(&kept[0]).says("--accept-older");
    assert!(!world.path("app.db").exists());
    restarted(&world);
    world.heirloom(START).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    world.at("2026-03-03T03:00:00Z").heirloom(["backup", "app.db"]).success();
    assert_eq!(archives(&world).len(), 2);
}
