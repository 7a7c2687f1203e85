//! Whose archive is meant where several hosts or applications use one store.

use std::fs;

use crate::latest::{database, notes, paste, remove, taken};
use crate::world::World;

/// Two hosts with one store and one set name, each with its own database.
pub fn two_hosts() -> World {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.env("HEIRLOOM_HOST", "web-1").heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 5");
    world.at("2026-03-02").env("HEIRLOOM_HOST", "web-2").heirloom(["backup", "app.db"]).success();
    world
}

#[test]
fn the_other_host_s_data_came_back() {
    let mut world = two_hosts();
    assert_eq!(taken(&world, &["latest"]), "app_20260302T000000Z.tar.gz");
    world.env("HEIRLOOM_HOST", "web-1").heirloom(["restore", "latest", "--force"]).success();
    assert_eq!(notes(&world, "app.db"), "10");
    for command in ["show", "verify"] {
        let ran = world.heirloom([command, "latest", "--json"]).success();
        assert!(ran.stdout.contains("app_20260301T030000Z.tar.gz"), "{command}: {}", ran.stdout);
    }
    world.heirloom(["pin", "latest"]).success();
    assert!(world.path("backups/app_20260301T030000Z.tar.gz.keep").exists());
}

#[test]
fn a_new_host_is_asked_whose_archive_it_wants() {
    let mut world = two_hosts();
    world.env("HEIRLOOM_HOST", "web-3");
    remove(&world, &["app.db"]);
    fs::write(world.path("my.toml"), "[sets.app.databases]\napp = \"app.db\"\n").unwrap();
    let deploy = ["restore", "latest", "--if-missing", "--if-backup-exists", "--config", "my.toml", "--dir", "backups"];
    let ran = world.heirloom(deploy).exits(12).says("web-1").says("web-2").says("--config my.toml --dir backups");
    assert!(!world.path("app.db").exists());
    paste(&world, &ran, "--fresh").success();
    assert!(!world.path("app.db").exists(), "a first deployment restores nothing");
    paste(&world, &ran, "--from web-1").success().says("app comes from web-1, \"[world]/work/app.db\"");
    assert_eq!(notes(&world, "app.db"), "10");
    remove(&world, &["app.db"]);
    paste(&world, &ran, "--from web-2").success();
    assert_eq!(notes(&world, "app.db"), "5");

    // Its own archives count from now on, also with --fresh.
    world.at("2026-03-03").heirloom(["backup", "app.db"]).success();
    remove(&world, &["app.db"]);
    world.heirloom(["restore", "--if-missing", "--fresh", "--to", "app.db"]).success();
    assert_eq!(notes(&world, "app.db"), "5");
    world.heirloom(["restore", "--from", "nobody", "--to", "x.db"]).exits(12).says("web-1").says("web-2");
    world.heirloom(["restore", "app_20260302T000000Z.tar.gz", "--from", "web-2"]).exits(2).says("--from");
}

#[test]
fn with_a_named_target_the_only_other_host_is_taken_and_named_and_one_of_two_is_not() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    world.env("HEIRLOOM_HOST", "web-1").heirloom(["backup", "app.db"]).success();
    world.env("HEIRLOOM_HOST", "web-3");
    let ran = world.heirloom(["restore", "--to", "copy.db"]).success();
    assert!(ran.stderr.starts_with("warning: app comes from web-1, \"[world]/work/app.db\""), "{}", ran.stderr);
    assert_eq!(notes(&world, "copy.db"), "10");
    fs::create_dir(world.path("out")).unwrap();
    world.heirloom(["restore", "--to-dir", "out"]).success().says("web-1");
    world.heirloom(["restore"]).exits(12).says("--from web-1");
    world.heirloom(["verify", "latest"]).success().says("web-1");

    world.at("2026-03-02").env("HEIRLOOM_HOST", "web-2").heirloom(["backup", "app.db"]).success();
    world.env("HEIRLOOM_HOST", "web-3");
    remove(&world, &["copy.db"]);
    let ran =
        world.heirloom(["restore", "--to", "copy.db"]).exits(12).says("heirloom restore --to copy.db --from web-2\n");
    assert!(ran.stderr.contains("heirloom restore --to copy.db --from web-1"), "{}", ran.stderr);
    assert!(!world.path("copy.db").exists());
    world.heirloom(["show", "latest"]).exits(12).says("heirloom show app_20260302T000000Z.tar.gz");
}

#[test]
fn a_renamed_host_goes_on_with_its_archives() {
    let mut world = two_hosts();
    fs::write(world.path("heirloom.toml"), "former_hosts = [\"web-1\"]\n[sets.app.databases]\napp = \"app.db\"\n")
        .unwrap();
    world.env("HEIRLOOM_HOST", "web");
    assert_eq!(taken(&world, &[]), "app_20260301T030000Z.tar.gz");
}

#[test]
fn two_applications_under_one_name_took_each_other_s_archive() {
    let mut world = World::new();
    database(&world, "app.db", 10);
    database(&world, "y.db", 5);
    let folder = world.work();
    let swap = |from: &str, to: &str| {
        fs::rename(folder.join("app.db"), folder.join(to)).unwrap();
        fs::rename(folder.join(from), folder.join("app.db")).unwrap();
    };
    world.heirloom(["backup", "app.db"]).success();
    swap("y.db", "x.db");
    world.at("2026-03-02").heirloom(["backup", "app.db"]).success();
    swap("x.db", "y.db");
    let third = world.at("2026-03-03").heirloom(["backup", "app.db"]);
    if third.code == 0 {
        crate::tools::cannot_be_tested_here(
            "a file that took the place of another",
            "this file system gives no time of birth",
        );
        return;
    }
    third.exits(3).says("host = ");

    world.at("2026-03-04");
    let ran =
        world.heirloom(["restore", "--force"]).exits(12).says("host = \"NAME\"").says("app_20260303T000000Z.tar.gz");
    world.heirloom(["verify", "latest"]).exits(12);
    paste(&world, &ran, "app_20260302T000000Z.tar.gz").success();
    assert_eq!(notes(&world, "app.db"), "5");
    // A week after the other one's last backup the choice is unambiguous.
    world.at("2026-03-09T12:00:00Z");
    assert_eq!(taken(&world, &[]), "app_20260303T000000Z.tar.gz");
}
