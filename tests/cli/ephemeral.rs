//! A year of restarts of a host that keeps nothing: neither the database nor the state directory.
//! `HEIRLOOM_TEST_DAYS=1` restarts it each day, not every few days.

use std::fs;

use chrono::{Days, NaiveDate};

use crate::connect_server::{ALICE, Connect, Parts};
use crate::servers::{Kind, place};
use crate::world::World;

/// Each time: the container starts, restores, writes a row, backs up, rotates, and is thrown away.
fn a_year_of_restarts(world: &mut World, every: usize) {
    let every = std::env::var("HEIRLOOM_TEST_DAYS").map_or(every, |days| days.parse().unwrap());
    let days: Vec<u64> = (0..365).step_by(every).collect();
    fs::write(world.path("heirloom.toml"), "[retention]\ndaily = 7\nweekly = 4\nmonthly = 12\n").unwrap();
    for &day in &days {
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
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM t"), days.len().to_string(), "every row");
    let listed = world.heirloom(["list", "--json"]).success().json();
    let dates: Vec<&str> =
        listed["archives"].as_array().unwrap().iter().map(|one| one["created_at"].as_str().unwrap()).collect();
    let last = (NaiveDate::from_ymd_opt(2025, 1, 1).unwrap() + Days::new(days[days.len() - 1])).to_string();
    assert!(dates[0].starts_with(&last), "{dates:?}");
    if every == 1 {
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
    a_year_of_restarts(&mut world, 4);
}

#[test]
fn a_year_of_restarts_with_a_pin_loses_no_row() {
    let server = Connect::start(Parts::Given);
    let mut world = World::new();
    world.env("HEIRLOOM_DIR", "connect:").env("CONNECT_SERVER", &server.endpoint());
    world.env("CONNECT_USERNAME", "alice").env("CONNECT_API_KEY", ALICE);
    a_year_of_restarts(&mut world, 52);
}
