//! Shrinks: `heirloom accept`, and what `rotate`, `cleanup`, `delete` and `health` do until then.

use std::fs;

use serde_json::Value;

use crate::world::World;

/// Adds or removes notes until this many exist.
fn notes(world: &World, count: u32) {
    world.sql("app.db", "CREATE TABLE IF NOT EXISTS notes(id INTEGER PRIMARY KEY, text TEXT)");
    world.sql("app.db", &format!("DELETE FROM notes WHERE id > {count}"));
    world.sql(
        "app.db",
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT OR IGNORE INTO notes SELECT i, 'note' FROM n;"
        ),
    );
}

/// Two backups of 15,607 rows, then two of 4,652.
fn shrunken() -> World {
    let mut world = World::new();
    for (day, count) in [(1, 15_607), (2, 15_607), (3, 4_652), (4, 4_700)] {
        notes(&world, count);
        let code = world.at(&format!("2026-03-0{day}T03:00:00Z")).heirloom(["backup", "app.db"]).code;
        assert_eq!(code, if day == 3 { 3 } else { 0 }, "day {day}");
    }
    world.at("2026-03-04T04:00:00Z");
    world
}

const SHRINK: &str = "app_20260303T030000Z.tar.gz";

fn check(world: &World, name: &str) -> Value {
    let document = world.heirloom(["health", "--json"]).json();
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name}: {document}")).clone()
}

#[test]
fn a_shrink_is_reported_with_the_command_that_accepts_it() {
    let world = shrunken();
    let accept = format!("heirloom accept {SHRINK} --dir backups");
    let ran = world.heirloom(["rotate", "--dir", "backups", "--keep-last", "1"]).exits(3);
    assert!(
        ran.stderr.contains("rows fell from 15,607 to 4,652 (-70%)") && ran.stderr.contains(&accept),
        "{}",
        ran.stderr
    );
    assert_eq!(world.archives().len(), 3, "of before the newest, the shrink, and of after it the newest");
    world.heirloom(["cleanup", "--keep", "1"]).exits(3);
    assert_eq!(world.archives().len(), 3);
    let found = check(&world, "shrunken");
    assert_eq!(found["state"], "warning");
    assert!(found["value"].as_str().unwrap().contains("rows fell from 15,607 to 4,652 (-70%)"), "{found}");
    assert!(found["advice"].as_str().unwrap().contains(&format!("heirloom accept {SHRINK}")), "{found}");
    world
        .heirloom(["delete", SHRINK, "--force"])
        .exits(14)
        .says("not accepted")
        .says(&format!("heirloom accept {SHRINK}"));
}

#[test]
fn an_accepted_shrink_is_quiet_and_what_was_before_it_goes() {
    let world = shrunken();
    let ran = world.heirloom(["accept", "app_20260303"]).success();
    assert!(ran.stdout.contains("rows fell from 15,607 to 4,652"), "it says what is accepted: {}", ran.stdout);
    assert!(world.path(format!("backups/{SHRINK}.accepted")).exists());
    assert_eq!(check(&world, "shrunken")["state"], "ok");
    let document = world.heirloom(["list", "--json"]).success().json();
    assert_eq!(document["archives"][1]["accepted"], true);
    assert_eq!(document["archives"][1]["databases"][0]["previous"]["rows"], 15_607);
    world.heirloom(["cleanup", "--keep", "2"]).success();
    assert_eq!(world.archives(), [SHRINK, "app_20260304T030000Z.tar.gz"]);
    world.heirloom(["delete", SHRINK, "--force"]).success();
    assert_eq!(
        world.files("backups"),
        [".heirloom", "app_20260304T030000Z.tar.gz", "heirloom-store.json"],
        "its mark went with it"
    );
}

#[test]
fn a_later_archive_accepts_the_shrinks_before_it() {
    let world = shrunken();
    let document = world.heirloom(["accept", "latest", "--json"]).success().json();
    assert_eq!((&document["archive"], &document["changed"]), (&"app_20260304T030000Z.tar.gz".into(), &true.into()));
    assert_eq!(document["shrinks"][0]["archive"], SHRINK);
    assert!(
        world.path(format!("backups/{SHRINK}.accepted")).exists(),
        "a sidecar of its own: the newer archive may go first"
    );
    world.heirloom(["delete", "app_20260304T030000Z.tar.gz", "--force"]).success();
    world.heirloom(["rotate"]).success();
    world.heirloom(["cleanup", "--keep", "1"]).success();
    assert_eq!(world.archives().len(), 1);
}

#[test]
fn the_loss_of_another_database_is_not_accepted_with_an_archive_without_it() {
    let mut world = World::new();
    let both = ["backup", "app.db", "other.db", "--set", "shop"];
    for (day, count) in [(1, 4000), (2, 400)] {
        notes(&world, count);
        fs::copy(world.path("app.db"), world.path("other.db")).unwrap();
        let code = world.at(&format!("2026-03-0{day}T03:00:00Z")).heirloom(both).code;
        assert_eq!(code, if day == 2 { 3 } else { 0 }, "day {day}");
    }
    world.at("2026-03-03T03:00:00Z").heirloom(["backup", "app.db", "--set", "shop"]);
    let document = world.at("2026-03-03T04:00:00Z").heirloom(["accept", "latest", "--json"]).success().json();
    assert_eq!(document["shrinks"].as_array().unwrap().len(), 1, "{document}");
    assert!(!world.path("backups/shop_20260302T030000Z.tar.gz.accepted").exists());
    let open = check(&world, "shrunken").to_string();
    assert!(open.contains("other"), "{open}");
}

#[test]
fn nothing_is_accepted_where_nothing_shrank() {
    let world = shrunken();
    let before = world.files("backups");
    world.heirloom(["accept", "app_20260302"]).success().says("nothing to accept");
    assert_eq!(world.files("backups"), before, "no mark that would accept something later");
    world.heirloom(["accept", SHRINK]).success();
    world.heirloom(["accept", SHRINK]).success().says("it was accepted before");
    world.heirloom(["accept", "nothing"]).exits(12);
    fs::copy(world.path("backups/app_20260301T030000Z.tar.gz"), world.path("away.tar.gz")).unwrap();
    world.heirloom(["accept", "./away.tar.gz"]).exits(12);
}

#[test]
fn rows_that_came_back_close_a_shrink() {
    let mut world = shrunken();
    notes(&world, 9_000);
    world.at("2026-03-05T03:00:00Z").heirloom(["backup", "app.db"]).success();
    world.heirloom(["rotate"]).success();
    assert_eq!(check(&world, "shrunken")["state"], "ok");
    // The shrink and the archive before it stay for a month.
    world.heirloom(["cleanup", "--keep", "1"]).success();
    assert_eq!(world.archives(), ["app_20260302T030000Z.tar.gz", SHRINK, "app_20260305T030000Z.tar.gz"]);
    world.at("2026-04-03T03:00:00Z").heirloom(["cleanup", "--keep", "1"]).success();
    assert_eq!(world.archives(), ["app_20260305T030000Z.tar.gz"]);
}

#[test]
fn a_queue_may_shrink_if_its_set_says_so() {
    let mut world = World::new();
    fs::write(world.path("heirloom.toml"), "[sets.app]\nshrink = 'off'\n[sets.app.databases]\napp = 'app.db'\n")
        .unwrap();
    for (day, count) in [(1, 5_000), (2, 10)] {
        notes(&world, count);
        world.at(&format!("2026-03-0{day}T03:00:00Z")).heirloom(["backup"]).success();
    }
    world.heirloom(["cleanup", "--keep", "1"]).success();
    assert_eq!(world.archives(), ["app_20260302T030000Z.tar.gz"]);
}
