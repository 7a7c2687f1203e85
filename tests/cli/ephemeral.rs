//! A year of restarts (a bucket), and weeks of them (a pin, whose deployments take their time), of a host that keeps
//! nothing: neither the database nor the state directory.

use std::fs;

use chrono::{Days, NaiveDate};

use crate::connect_server::{ALICE, Connect, Parts};
use crate::servers::{Kind, place};
use crate::world::World;

/// Each day: the container starts, restores, writes a row, backs up, rotates, and is thrown away.
fn restarts(world: &mut World, days: u64) {
    fs::write(world.path("heirloom.toml"), "[retention]\ndaily = 7\nweekly = 4\nmonthly = 12\n").unwrap();
    for day in 0..days {
        let _ = fs::remove_file(world.path("app.db"));
        let _ = fs::remove_dir_all(world.path("../state"));
        let date = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap() + Days::new(day);
        world.at(&format!("{date}T03:00:00Z"));
        world.heirloom(["restore", "latest", "--if-missing", "--if-backup-exists", "--to", "app.db"]).success();
        assert_eq!(world.path("app.db").exists(), day > 0, "{date}");
        world.sql("app.db", &format!("CREATE TABLE IF NOT EXISTS t(day PRIMARY KEY); INSERT INTO t VALUES ({day})"));
        world.heirloom(["backup", "app.db"]).success();
        world.heirloom(["rotate"]).success();
    }
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM t"), days.to_string(), "every row of every day");
    let listed = world.heirloom(["list", "--json"]).success().json();
    let dates: Vec<&str> =
        listed["archives"].as_array().unwrap().iter().map(|one| one["created_at"].as_str().unwrap()).collect();
    let last = (NaiveDate::from_ymd_opt(2025, 1, 1).unwrap() + Days::new(days - 1)).to_string();
    assert!(dates[0].starts_with(&last), "{dates:?}");
    if days == 365 {
        // A week of days, four weeks, of which the oldest ends with November, and the months before.
        assert_eq!(dates.len(), 7 + 4 + 10, "{dates:?}");
    }
    world.heirloom(["verify", "--all"]).success();
}

#[test]
fn a_year_of_restarts_with_a_bucket_loses_no_row() {
    let Some(place) = place(Kind::Seaweed, "a year of restarts with a bucket loses no row") else { return };
    let mut world = World::new();
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    world.env("HEIRLOOM_DIR", &place.url);
    restarts(&mut world, 365);
}

#[test]
fn weeks_of_restarts_with_a_pin_lose_no_row() {
    let server = Connect::start(Parts::Given);
    let mut world = World::new();
    world.env("HEIRLOOM_DIR", "connect:").env("CONNECT_SERVER", &server.endpoint());
    world.env("CONNECT_USERNAME", "alice").env("CONNECT_API_KEY", ALICE);
    restarts(&mut world, 40);
}
