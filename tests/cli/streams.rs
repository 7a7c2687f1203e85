//! Whose archive it is: databases of one name, hosts that share a store, release folders, old archives.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::world::{Ran, World};

/// A world whose databases `db.sqlite3` lie in these folders, each with 100 notes.
fn sites(folders: &[&str]) -> World {
    let world = World::new();
    for folder in folders {
        fs::create_dir_all(world.path(folder)).unwrap();
        world.database(&format!("{folder}/db.sqlite3"));
    }
    world
}

/// The archives of a list of `list`, `rotate` or `cleanup`.
fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry["archive"].as_str().unwrap().to_owned()).collect()
}

/// For each archive of the store, newest first: its host label and the path of its first database.
fn origins(world: &World) -> Vec<(String, String)> {
    let document = world.heirloom(["list", "--json"]).success().json();
    let text = |value: &Value| value.as_str().unwrap_or("-").rsplit("/work/").next().unwrap().to_owned();
    let archives = document["archives"].as_array().unwrap();
    archives.iter().map(|archive| (text(&archive["host"]), text(&archive["databases"][0]["path"]))).collect()
}

fn on_host(world: &World, host: &str, args: &[&str]) -> Ran {
    world.run(world.command(args).env("HEIRLOOM_HOST", host))
}

#[test]
fn two_sites_with_one_file_name_keep_their_archives() {
    let mut world = sites(&["site1", "site2"]);
    world.at("2026-03-01T03:00:00Z").heirloom(["backup", "site1/db.sqlite3"]).success();
    world.at("2026-03-02T03:00:00Z");
    let ran = world.heirloom(["backup", "site2/db.sqlite3"]).success();
    assert!(
        ran.stderr.contains("site1/db.sqlite3") && ran.stderr.contains("stay apart"),
        "a new stream says so: {}",
        ran.stderr
    );
    for args in [&["rotate", "--keep-last", "1"][..], &["cleanup", "--keep", "1"], &["rotate"]] {
        world.heirloom(args).success();
        assert_eq!(world.archives().len(), 2, "{args:?}: each is the newest of its stream");
    }
    // Rotating after a backup of one site does not touch the other.
    for day in 3..=6 {
        world.at(&format!("2026-03-{day:02}T03:00:00Z"));
        world.heirloom(["backup", "site2/db.sqlite3", "--cleanup", "--keep", "1"]).success();
    }
    let at = |path: &str| ("here".to_owned(), path.to_owned());
    assert_eq!(origins(&world), [at("site2/db.sqlite3"), at("site1/db.sqlite3")]);
}

#[test]
fn a_young_archive_of_another_site_does_not_stand_for_this_one() {
    let world = sites(&["site1", "site2"]);
    let backup = |site: &str| {
        world.heirloom(["backup", &format!("{site}/db.sqlite3"), "--if-older-than", "20h", "--json"]).success().json()
    };
    assert_eq!(backup("site1")["outcome"], Value::Null);
    assert_eq!(backup("site2")["outcome"], Value::Null, "it was never backed up");
    assert_eq!(backup("site1")["outcome"], "skipped_recent");
    assert_eq!(world.archives().len(), 2);
}

#[test]
fn two_hosts_with_one_store_and_one_set_keep_their_archives() {
    let mut world = World::new();
    let first = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    world.database("app.db");
    // The same path on both, as in two containers.
    for day in first.iter_days().take(60) {
        for (host, hour) in [("web-1", 3), ("web-2", 4)] {
            world.at(&format!("{day}T{hour:02}:00:00Z"));
            on_host(&world, host, &["backup", "app.db", "--rotate"]).success();
            on_host(&world, host, &["rotate"]).success();
        }
    }
    let of_host = |host: &str| origins(&world).iter().filter(|(label, _)| label == host).count();
    // 7 daily, 4 weekly, and the ends of January and of what is left of February.
    let own = of_host("web-1");
    assert!((12..=13).contains(&own), "{own}");
    assert_eq!(of_host("web-2"), own);
    let ran = on_host(&world, "web-1", &["rotate", "--dry-run"]).success();
    assert!(ran.stdout.contains(&format!("{own} archives of other hosts or sets not touched")), "{}", ran.stdout);
    let document = on_host(&world, "web-1", &["cleanup", "--keep", "1", "--dry-run", "--json"]).success().json();
    assert_eq!((names(&document["keep"]).len(), names(&document["remove"]).len()), (1, own - 1));
    assert_eq!(document["left_alone"], own);
    let document =
        on_host(&world, "web-1", &["cleanup", "--keep", "1", "--all-hosts", "--dry-run", "--json"]).success().json();
    assert_eq!((names(&document["keep"]).len(), names(&document["remove"]).len()), (2, 2 * own - 2));
}

#[test]
fn names_in_other_scripts_stay_apart() {
    let mut world = World::new();
    for name in ["日本.db", "中国.db", "a b.db", "a_b.db"] {
        world.database(name);
        world.heirloom(["backup", name]).success();
    }
    let document = world.heirloom(["list", "--json"]).success().json();
    let sets: std::collections::BTreeSet<&str> =
        document["archives"].as_array().unwrap().iter().map(|archive| archive["set"].as_str().unwrap()).collect();
    assert_eq!(sets.len(), 4, "{sets:?}");
    world.at("2026-03-02T03:00:00Z").heirloom(["cleanup", "--keep", "1"]).success();
    assert_eq!(world.archives().len(), 4);
}

#[test]
fn a_release_folder_is_one_stream_over_deployments() {
    let mut world = World::new();
    fs::create_dir_all(world.path("shared/storage")).unwrap();
    world.database("shared/storage/db.sqlite3");
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, world.path(at)).unwrap();
    for release in 1..=3 {
        fs::create_dir_all(world.path(format!("releases/{release}"))).unwrap();
        link("../../shared/storage", &format!("releases/{release}/storage"));
        let _ = fs::remove_file(world.path("current"));
        link(&format!("releases/{release}"), "current");
        let mut command = world.command(["backup", "storage/db.sqlite3", "--cleanup", "--keep", "2"]);
        // As `cd current` leaves it: the working directory is the release.
        command.current_dir(world.path("current")).env("HEIRLOOM_DIR", world.path("backups"));
        command.env("HEIRLOOM_NOW", format!("2026-03-0{release}T03:00:00Z"));
        let ran = world.run(&mut command).success();
        assert_eq!(ran.stderr, "", "nothing about another path");
    }
    world.at("2026-03-03T04:00:00Z");
    assert_eq!(world.archives().len(), 2);
    assert!(origins(&world).iter().all(|(_, path)| path == "shared/storage/db.sqlite3"), "{:?}", origins(&world));
    let document = world.heirloom(["list", "--json"]).success().json();
    assert!(document["archives"].as_array().unwrap().iter().all(|archive| archive["copy_of"].is_null()));
    let shown = world.heirloom(["show", "latest", "--json"]).success().json();
    let source = shown["metadata"]["databases"][0]["source"].as_str().unwrap().to_owned();
    assert!(source.ends_with("releases/3/storage/db.sqlite3"), "shown as it was given: {source}");
}

/// Rewrites an archive as a release before streams would have written it; `edit` changes more of its metadata.
fn made_old(world: &World, archive: &str, edit: impl Fn(&mut Value)) {
    let folder = tempfile::tempdir().unwrap();
    let path = world.path("backups").join(archive);
    let tar = |args: &[&str]| {
        let mut command = Command::new("tar");
        command.current_dir(folder.path()).args(args);
        assert!(command.status().unwrap().success());
    };
    tar(&["xzf", path.to_str().unwrap()]);
    let file = folder.path().join("backup_metadata.json");
    let mut metadata: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    metadata.as_object_mut().unwrap().remove("host_label");
    for database in metadata["databases"].as_array_mut().unwrap() {
        for added in ["source_resolved", "file_id", "stream_by_file", "previous"] {
            database.as_object_mut().unwrap().remove(added);
        }
    }
    edit(&mut metadata);
    let entries: Vec<String> = metadata["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|database| database["file"].as_str().unwrap().to_owned())
        .collect();
    let mut json = metadata.to_string();
    let padded = (json.len() + 1).next_multiple_of(512);
    json.extend(std::iter::repeat_n(' ', padded - json.len() - 1));
    json.push('\n');
    fs::write(&file, json).unwrap();
    fs::remove_file(&path).unwrap();
    let entries: Vec<&str> =
        ["backup_metadata.json"].into_iter().chain(entries.iter().map(String::as_str)).chain(["RESTORE.txt"]).collect();
    tar(&[&["--format=ustar", "-czf", path.to_str().unwrap()][..], &entries].concat());
}

#[test]
fn archives_of_releases_before_streams_fall_into_the_right_ones() {
    let mut world = World::new();
    fs::create_dir(world.path("shared")).unwrap();
    world.database("shared/app.db");
    std::os::unix::fs::symlink("shared/app.db", world.path("app.db")).unwrap();
    for day in 1..=3 {
        world.at(&format!("2026-03-0{day}T03:00:00Z")).heirloom(["backup", "app.db"]).success();
        if day < 3 {
            // They record the path as it was typed, and the host name of the machine.
            made_old(&world, &format!("app_2026030{day}T030000Z.tar.gz"), |metadata| metadata["host"] = "here".into());
        }
    }
    world.at("2026-03-03T04:00:00Z").heirloom(["verify", "--all"]).success();
    let document = world.heirloom(["cleanup", "--keep", "2", "--json"]).success().json();
    assert_eq!(
        names(&document["remove"]),
        ["app_20260301T030000Z.tar.gz"],
        "one stream, though two archives name a link"
    );
    // One that another machine made is another host's.
    world.at("2026-03-04T03:00:00Z").heirloom(["backup", "app.db"]).success();
    made_old(&world, "app_20260304T030000Z.tar.gz", |metadata| metadata["host"] = "elsewhere".into());
    let document = world.heirloom(["cleanup", "--keep", "1", "--json"]).success().json();
    assert_eq!(
        (&document["left_alone"], names(&document["keep"])),
        (&1.into(), vec!["app_20260303T030000Z.tar.gz".to_owned()])
    );
}

#[test]
fn a_set_that_gains_a_database_needs_no_rule() {
    let mut world = World::new();
    world.database("a.db");
    world.database("b.db");
    let first = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    for (index, day) in first.iter_days().take(90).enumerate() {
        world.at(&format!("{day}T03:00:00Z"));
        let databases: &[&str] = if index < 30 { &["a.db"] } else { &["a.db", "b.db"] };
        let backup = ["backup"].iter().chain(databases).chain(&["--set", "shop", "--rotate"]);
        world.heirloom(backup).success();
    }
    assert!(
        world.archives().len() <= 14,
        "archives of the old shape are rotated like the others: {:?}",
        world.archives()
    );
    world.heirloom(["verify", "--all"]).success();
    world.heirloom(["health"]).exits(0);
}

#[test]
fn hosts_and_paths_are_headings_where_a_set_has_more_than_one() {
    let mut world = sites(&["site1", "site2"]);
    world.heirloom(["backup", "site1/db.sqlite3"]).success();
    for args in [&["list"][..], &["rotate", "--dry-run"]] {
        let ran = world.heirloom(args).success();
        assert!(!ran.stdout.contains("db on here"), "one is known by its name: {}", ran.stdout);
    }
    world.at("2026-03-02T03:00:00Z").heirloom(["backup", "site2/db.sqlite3"]).success();
    on_host(&world, "web-2", &["backup", "site2/db.sqlite3"]).success();
    let list = world.heirloom(["list"]).success().stdout;
    let headings =
        |text: &str| text.lines().filter(|line| line.starts_with("db on ")).map(str::to_owned).collect::<Vec<_>>();
    let expected = |hosts: &[(&str, &str)]| -> Vec<String> {
        hosts.iter().map(|(host, site)| format!("db on {host}, [world]/work/{site}/db.sqlite3")).collect()
    };
    assert_eq!(headings(&list), expected(&[("web-2", "site2"), ("here", "site2"), ("here", "site1")]));
    let rotate = world.heirloom(["rotate", "--dry-run"]).success().stdout;
    assert_eq!(headings(&rotate)[..2], expected(&[("here", "site2"), ("here", "site1")]));
    let document = world.heirloom(["rotate", "--dry-run", "--json"]).success().json();
    assert_eq!(document["keep"][0]["host"], "here");
    assert!(document["keep"][0]["paths"][0].as_str().unwrap().ends_with("site2/db.sqlite3"));
    let shown = world.heirloom(["show", "db_20260301T030000Z"]).success().stdout;
    for row in ["host label", "id ", "from"] {
        assert!(shown.lines().any(|line| line.starts_with(row)), "{row}: {shown}");
    }
    assert!(shown.contains("site1/db.sqlite3"));
    // Health checks both and distinguishes them by path.
    let health = world.heirloom(["health", "--json"]).exits(0).json();
    let of = |name: &str| -> Vec<Value> {
        health["checks"].as_array().unwrap().iter().filter(|check| check["check"] == name).cloned().collect()
    };
    let paths: Vec<String> = of("database").iter().map(|check| check["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(of("other_hosts")[0]["value"].as_str().unwrap().starts_with("1 archive of web-2"));
    let metrics = world.heirloom(["health", "--prometheus"]).exits(0).stdout;
    let samples: Vec<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(key, _)| key)
        .collect();
    let unique: std::collections::BTreeSet<&&str> = samples.iter().collect();
    assert_eq!(unique.len(), samples.len(), "no series twice: {metrics}");
}

#[test]
fn an_unknown_name_is_an_error_and_not_an_empty_store() {
    let world = World::new();
    world.database("app.db");
    world.database("other.db");
    world.heirloom(["backup", "app.db"]).success();
    for command in ["list", "rotate", "cleanup"] {
        world.heirloom([command, "--set", "typo"]).exits(12).says("\"typo\"").says("there are the sets: app");
    }
    world.heirloom(["rotate", "other.db"]).exits(2).says("other.db").says("app.db");
    world.heirloom(["rotate", "app.db"]).success();
    fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\norders = 'other.db'\n").unwrap();
    world.heirloom(["list", "--set", "shop"]).success();
    world.heirloom(["backup"]).success();
    let document = world.heirloom(["cleanup", "orders", "--keep", "1", "--json"]).success().json();
    assert_eq!(names(&document["keep"]), ["shop_20260301T030000Z.tar.gz"], "by its name in the configuration");
}

#[test]
fn a_copy_under_another_name_is_shown_as_one() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--name", "first"]).success();
    fs::copy(world.path("backups/first.tar.gz"), world.path("backups/before-the-move.tar.gz")).unwrap();
    let document = world.heirloom(["list", "--json"]).success().json();
    let archives = document["archives"].as_array().unwrap();
    assert_eq!(archives[0]["id"], archives[1]["id"]);
    assert_eq!(archives[0]["id"].as_str().unwrap().len(), 16);
    let copies: Vec<&Value> = archives.iter().map(|archive| &archive["copy_of"]).collect();
    assert_eq!(copies, [&Value::from("first.tar.gz"), &Value::Null], "the longer name is the copy");
    assert!(world.heirloom(["list"]).success().stdout.contains("copy of first.tar.gz"));
    // One verdict for both; a backup of either counts for both.
    world.heirloom(["cleanup", "--keep", "1"]).success();
    assert_eq!(world.archives().len(), 2);
    world.heirloom(["delete", "first.tar.gz", "--force"]).success();
    world.heirloom(["delete", "before-the-move.tar.gz", "--force"]).exits(14).says("last good archive of app on here");
}

#[test]
fn two_applications_under_one_name_get_their_own_streams_and_a_warning() {
    let mut world = World::new();
    for name in ["x", "y"] {
        fs::create_dir(world.path(name)).unwrap();
        world.database(&format!("{name}/app.db"));
    }
    // Both see their database at the same path, as containers do.
    let swap = |to: &str| {
        let _ = fs::rename(world.path("app.db"), world.path(if to == "x" { "y/app.db" } else { "x/app.db" }));
        fs::rename(world.path(format!("{to}/app.db")), world.path("app.db")).unwrap();
    };
    let mut codes = Vec::new();
    for (hour, application) in ["x", "y", "x", "y", "x", "y"].iter().enumerate() {
        swap(application);
        let mut command = world.command(["backup", "app.db", "--cleanup", "--keep", "1"]);
        codes.push(world.run(command.env("HEIRLOOM_NOW", format!("2026-03-01T{hour:02}:00:00Z"))).code);
    }
    assert_eq!(codes, [0, 0, 3, 3, 3, 3], "from the third on it is known");
    world.at("2026-03-01T06:00:00Z");
    let health = world.heirloom(["health", "app.db", "--json"]).exits(20).json();
    let check =
        health["checks"].as_array().unwrap().iter().find(|check| check["check"] == "two_applications").unwrap().clone();
    assert!(check["advice"].as_str().unwrap().contains("host = \"NAME\""), "{check}");
    let plan = world.heirloom(["rotate", "--dry-run"]).success().stdout;
    assert!(plan.contains("(another file)"), "{plan}");
}

#[test]
fn the_backups_of_another_host_or_path_are_no_backups_of_this_database() {
    let mut world = sites(&["site1", "site2"]);
    let state = |ran: Ran, name: &str| -> (String, String) {
        let document = ran.json();
        let check = document["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap().clone();
        (check["state"].as_str().unwrap().to_owned(), check["value"].as_str().unwrap().to_owned())
    };
    world.heirloom(["backup", "site1/db.sqlite3"]).success();
    let none = ("critical".to_owned(), "no backup".to_owned());
    assert_eq!(state(world.heirloom(["health", "site2/db.sqlite3", "--json"]).exits(21), "backup_age"), none);
    assert_eq!(
        state(on_host(&world, "web-2", &["health", "site1/db.sqlite3", "--json"]).exits(21), "backup_age"),
        none
    );
    world.heirloom(["health", "site1/db.sqlite3"]).exits(0);
    // A host whose archives are not here has nothing to judge, and that is not in order either.
    let (found, value) = state(on_host(&world, "nas", &["health", "--json"]).exits(21), "store");
    assert_eq!((found.as_str(), value.as_str()), ("critical", "no archive of this host and no database to watch"));
    // The other host's clock, damage and stale backups are for that host to judge.
    world.at("2026-03-05T03:00:00Z");
    on_host(&world, "web-2", &["backup", "site1/db.sqlite3"]).success();
    fs::write(world.path("backups/db_20260305T030000Z.tar.gz.damaged"), "").unwrap();
    world.at("2026-03-01T04:00:00Z").heirloom(["health", "site1/db.sqlite3"]).exits(0);
    // A machine that was renamed says which labels were its own.
    fs::write(world.path("heirloom.toml"), "former_hosts = ['here']\n").unwrap();
    on_host(&world, "renamed", &["health", "site1/db.sqlite3"]).exits(0);
}
