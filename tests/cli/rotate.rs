//! `heirloom rotate` and `heirloom cleanup`.

use std::fs;

use serde_json::Value;

use crate::world::World;

/// Makes a backup on each of these days of March 2026, at 03:00, and sets the clock to an hour after the last.
fn backups(world: &mut World, days: std::ops::RangeInclusive<u32>) {
    world.database("app.db");
    for day in days {
        world.at(&format!("2026-03-{day:02}T03:00:00Z")).heirloom(["backup", "app.db"]).success();
        world.at(&format!("2026-03-{day:02}T04:00:00Z"));
    }
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry["archive"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_dry_run_is_the_real_run_without_the_removals() {
    let mut world = World::new();
    backups(&mut world, 1..=12);
    let args = ["rotate", "--keep-daily", "3", "--keep-weekly", "1", "--json"];
    let planned = world.heirloom(args.iter().chain(&["--dry-run"])).success().json();
    assert_eq!(world.archives().len(), 12);
    assert_eq!((&planned["dry_run"], &planned["remove"][0]["removed"]), (&true.into(), &false.into()));

    let done = world.heirloom(args).success().json();
    assert_eq!((names(&planned["keep"]), names(&planned["remove"])), (names(&done["keep"]), names(&done["remove"])));
    assert!(done["remove"].as_array().unwrap().iter().all(|removed| removed["removed"] == true));
    assert_eq!(done["freed_bytes"], planned["freed_bytes"]);
    let mut kept = names(&done["keep"]);
    kept.reverse();
    assert_eq!(world.archives(), kept);
    let days: Vec<&str> = kept.iter().map(|name| &name[10..12]).collect();
    assert_eq!(days, ["08", "10", "11", "12"], "three days, and the Sunday before");
    assert_eq!(done["oldest"], "2026-03-08T03:00:00.000000Z");

    let again = world.heirloom(args).success().json();
    assert_eq!(again["remove"].as_array().unwrap().len(), 0, "twice is once");
}

#[test]
fn cron_gets_no_mail_and_a_dry_run_says_everything() {
    let mut world = World::new();
    backups(&mut world, 1..=3);
    let printed = world.heirloom(["cleanup", "--keep", "2", "--dry-run"]).success();
    assert!(
        printed.stdout.contains("newest good, newest 1 of 2") && printed.stdout.contains("beyond the newest 2"),
        "{}",
        printed.stdout
    );
    assert!(
        printed.stdout.contains("keep 2 archives")
            && printed.stdout.contains("oldest archive from 2026-03-02 (1 day ago)"),
        "{}",
        printed.stdout
    );
    let ran = world.heirloom(["cleanup", "--keep", "2"]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert_eq!(world.archives().len(), 2);
}

#[test]
fn what_is_not_ours_survives_every_command() {
    let mut world = World::new();
    backups(&mut world, 1..=4);
    world.database("other.db");
    world.heirloom(["backup", "other.db"]).success();
    let store = world.path("backups");
    fs::write(store.join("vacation.tar.gz"), "pictures").unwrap();
    fs::write(store.join("notes.txt"), "call Anna").unwrap();
    fs::create_dir(store.join("folder.tar.gz")).unwrap();
    std::os::unix::fs::symlink("../app.db", store.join("link.db")).unwrap();
    world.heirloom(["rotate", "--set", "app", "--keep-last", "1"]).success();
    world.heirloom(["cleanup", "--keep", "1", "--max-age", "1s", "--max-size", "1B"]).success();
    world.heirloom(["cleanup"]).success();
    assert_eq!(
        world.files("backups"),
        [
            ".heirloom",
            "app_20260304T030000Z.tar.gz",
            "folder.tar.gz",
            "heirloom-store.json",
            "link.db",
            "notes.txt",
            "other_20260304T040000Z.tar.gz",
            "vacation.tar.gz"
        ]
    );
    assert!(world.path("app.db").exists());
}

#[test]
fn a_pin_and_a_clock_that_is_behind_keep_archives() {
    let mut world = World::new();
    backups(&mut world, 1..=6);
    fs::write(world.path("backups/app_20260301T030000Z.tar.gz.keep"), "").unwrap();
    let document = world.at("2026-03-05T04:00:00Z").heirloom(["cleanup", "--keep", "1", "--json"]).success().json();
    let keep = document["keep"].as_array().unwrap();
    let reasons: Vec<&str> = keep.iter().map(|entry| entry["reasons"][0].as_str().unwrap()).collect();
    assert_eq!(reasons, ["dated in the future", "newest good", "pinned"]);
    world.heirloom(["cleanup", "--keep", "1"]).success().says("1 archive is dated in the future");
}

#[test]
fn leftovers_of_dead_runs_are_removed_even_without_limits() {
    let mut world = World::new();
    backups(&mut world, 1..=2);
    let dead = world.path("backups/.heirloom/run-1-0");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("half.tar.gz"), "half").unwrap();
    let planned = world.heirloom(["cleanup", "--dry-run", "--json"]).success().json();
    assert_eq!((&planned["leftovers"], dead.exists()), (&1.into(), true));
    let done = world.heirloom(["cleanup", "--json"]).success().json();
    assert_eq!((&done["leftovers"], dead.exists(), world.archives().len()), (&1.into(), false, 2));
    assert_eq!(done["keep"][1]["reasons"], serde_json::json!(["no limit given"]));
}

#[test]
fn rules_that_keep_nothing_and_stores_that_are_not_there_are_refused() {
    let mut world = World::new();
    backups(&mut world, 1..=2);
    world.heirloom(["rotate", "--keep-daily", "0"]).exits(2).says("keeps nothing");
    world.heirloom(["cleanup", "--keep", "0"]).exits(2);
    assert_eq!(world.archives().len(), 2);
    world.heirloom(["rotate", "--dir", "nowhere"]).exits(16).says("nowhere");
    assert!(!world.path("nowhere").exists());
}

#[test]
fn another_run_that_holds_the_lock_is_waited_for() {
    let mut world = World::new();
    backups(&mut world, 1..=2);
    let lock = fs::File::open(world.path("backups/.heirloom/lock")).unwrap();
    lock.lock().unwrap();
    let mut command = world.command(["cleanup", "--keep", "1"]);
    let mut child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    assert_eq!(world.archives().len(), 2);
    drop(lock);
    assert!(child.wait().unwrap().success());
    assert_eq!(world.archives().len(), 1);
}

#[test]
fn a_simulation_needs_no_store() {
    let world = World::new();
    let document = world.heirloom(["rotate", "--simulate", "2y", "--every", "1d", "--json"]).success().json();
    assert_eq!(document["keep"].as_array().unwrap().len(), 23);
    assert_eq!(document["oldest"], "2025-02-28T03:00:00.000000Z");
    let counts = document["counts"].as_array().unwrap();
    assert_eq!((&counts[0]["archives"], &counts[counts.len() - 1]["archives"]), (&1.into(), &23.into()));
    let printed = world.heirloom(["rotate", "--simulate", "2y"]).success();
    assert!(printed.stdout.contains("the oldest is from 2025-02-28"), "{}", printed.stdout);
    world.heirloom(["rotate", "--simulate", "2y", "--every", "0s"]).exits(2);
    assert_eq!(world.files("."), [""; 0]);
}

/// A backup and a rotation each day of a year, through the binary; at each month's end the archives are what the plan
/// says.
#[test]
fn a_year_of_daily_backups_and_rotations() {
    let mut world = World::new();
    world.database("app.db");
    let first = chrono::NaiveDate::from_ymd_opt(2025, 3, 1).unwrap();
    for day in first.iter_days().take(366) {
        world.at(&format!("{day}T03:00:00Z"));
        world.heirloom(["backup", "app.db"]).success();
        let planned = world.heirloom(["rotate", "--dry-run", "--json"]).success().json();
        world.heirloom(["rotate"]).success();
        let next = day.succ_opt().unwrap();
        if chrono::Datelike::day(&next) == 1 || next == first + chrono::TimeDelta::days(366) {
            let mut kept = names(&planned["keep"]);
            kept.reverse();
            assert_eq!(world.archives(), kept, "{day}");
        }
    }
    let dates: Vec<String> = world.archives().iter().map(|name| name[4..12].to_owned()).collect();
    assert_eq!(
        dates,
        [
            "20250331", "20250430", "20250531", "20250630", "20250731", "20250831", "20250930", "20251031", "20251130",
            "20251231", "20260131", "20260201", "20260208", "20260215", "20260222", "20260223", "20260224", "20260225",
            "20260226", "20260227", "20260228", "20260301"
        ]
    );
    world.heirloom(["verify", "--all"]).success();
}
