//! `heirloom schedule` on hosts that share a store, with two sites, and after the clock or its zone changed.

use std::fs;

use serde_json::Value;

use crate::world::World;

fn world(schedule: &str) -> World {
    let world = World::new();
    world.database("app.db");
    site(&world, "app", schedule);
    world
}

/// A configuration `NAME.toml` with a set, a database and a store of this name.
fn site(world: &World, name: &str, schedule: &str) {
    let work = world.work();
    let text = format!(
        "[sets.{name}.databases]\nmain = '{0}/{name}.db'\n[store]\ndir = '{0}/{name}-backups'\n\
         [schedule]\n{schedule}\n",
        work.display()
    );
    fs::write(work.join(format!("{name}.toml")), text).unwrap();
}

fn run(world: &World, args: &[&str]) -> crate::world::Ran {
    world.heirloom([args, &["--config", "app.toml"]].concat())
}

/// The backup job of a set: whether it is due, and its next times.
fn planned(world: &World, set: &str) -> (bool, Vec<String>) {
    let document = run(world, &["schedule", "--json"]).success().json();
    let jobs = document["jobs"].as_array().unwrap();
    let job = jobs.iter().find(|job| job["job"] == "backup" && job["set"] == set).unwrap();
    let times = job["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()[..16].to_owned());
    (job["due"] == true, times.collect())
}

#[test]
fn the_backup_of_another_host_does_not_hold_back_ours() {
    let mut world = world("every = '1h'");
    run(&world, &["backup"]).success();
    world.at("2026-03-01T03:30:00Z");
    assert!(!planned(&world, "app").0);
    world.env("HEIRLOOM_HOST", "other");
    assert!(planned(&world, "app").0);
    run(&world, &["backup", "--if-older-than", "1h"]).success();
    assert_eq!(world.files("app-backups").iter().filter(|name| name.ends_with(".tar.gz")).count(), 2);
}

#[test]
fn after_three_days_of_sleep_one_backup_is_due_and_then_the_next_slot() {
    let mut world = world("cron = '0 3 * * *'");
    run(&world, &["backup"]).success();
    world.at("2026-03-04T12:00:00Z");
    let (due, times) = planned(&world, "app");
    assert_eq!((due, &times[..2]), (true, &["2026-03-04T12:00".to_owned(), "2026-03-05T03:00".to_owned()][..]));
    run(&world, &["backup"]).success();
    let (due, times) = planned(&world, "app");
    assert_eq!((due, times[0].as_str()), (false, "2026-03-05T03:00"));
}

#[test]
fn a_host_that_moved_to_another_time_zone_keeps_the_hour_of_its_slots() {
    let mut world = world("cron = '0 3 * * *'");
    run(&world, &["backup"]).success();
    assert_eq!(planned(&world, "app").1[0], "2026-03-02T03:00");
    world.env("TZ", "America/New_York");
    // It is 22:00 there: the slot of that night is still to come.
    assert_eq!(planned(&world, "app").1[0], "2026-03-01T08:00");
    world.env("TZ", "Pacific/Auckland");
    // It is 16:00 there, and the slot of 03:00 came before the last backup.
    assert_eq!(planned(&world, "app").1[0], "2026-03-01T14:00");
}

#[test]
fn one_database_in_two_sets_is_due_for_each() {
    let mut world = world("every = '1h'");
    let text = fs::read_to_string(world.path("app.toml")).unwrap();
    let again = text.lines().nth(1).unwrap();
    fs::write(world.path("app.toml"), format!("{text}[sets.again.databases]\n{again}\n")).unwrap();
    run(&world, &["backup", "--set", "app"]).success();
    world.at("2026-03-01T03:20:00Z");
    assert_eq!((planned(&world, "app").0, planned(&world, "again").0), (false, true));
}

#[test]
fn a_link_to_another_database_is_due_at_once() {
    let mut world = world("every = '1d'");
    run(&world, &["backup"]).success();
    world.at("2026-03-01T04:00:00Z");
    world.database("other.db");
    fs::rename(world.path("app.db"), world.path("old.db")).unwrap();
    std::os::unix::fs::symlink("other.db", world.path("app.db")).unwrap();
    assert!(planned(&world, "app").0, "the last backup is one of the other file");
}

#[test]
fn the_units_of_two_sites_do_not_replace_each_other() {
    let world = world("every = '1h'");
    world.database("shop.db");
    site(&world, "shop", "cron = '0 4 * * *'");
    let units = |site: &str, more: &[&str]| {
        let file = format!("{site}.toml");
        let args = [&["schedule", "--systemd", "--json", "--config", &file], more].concat();
        let document: Value = world.heirloom(args).success().json();
        let files = document["files"].as_array().unwrap().iter();
        files.map(|file| file["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, second) = (units("app", &[]), units("shop", &["--name", "shop"]));
    assert!(first.contains(&"heirloom-backup.timer".to_owned()), "{first:?}");
    assert!(second.contains(&"heirloom-shop-backup.timer".to_owned()), "{second:?}");
    assert!(first.iter().all(|name| !second.contains(name)));
    let text = world.heirloom(["schedule", "--systemd", "--config", "shop.toml", "--name", "shop"]).success().stdout;
    assert!(text.contains("systemctl enable --now heirloom-shop-backup.timer"), "{text}");
    let unnamed = run(&world, &["schedule", "--systemd"]).success().stdout;
    assert!(unnamed.contains("add --name NAME"), "{unnamed}");
    run(&world, &["schedule", "--cron", "--name", "shop"]).exits(2);
}

#[test]
fn one_crontab_with_two_sites_backs_up_each_into_its_store() {
    let world = world("every = '1h'");
    world.database("shop.db");
    world.sql("shop.db", "DELETE FROM notes WHERE id > 7");
    site(&world, "shop", "every = '1h'");
    let both: String = ["app.toml", "shop.toml"]
        .map(|file| world.heirloom(["schedule", "--cron", "--config", file]).success().stdout)
        .concat()
        .replace("[world]", world.root());
    let lines: Vec<&str> = both.lines().filter(|line| line.contains(" backup ")).collect();
    assert_eq!(lines.len(), 2, "{both}");
    for line in lines {
        let command = format!("cd {}", line.split_once(" cd ").unwrap().1);
        world.run(world.shell(&command).current_dir("/")).success();
    }
    for (name, notes) in [("app", "100"), ("shop", "7")] {
        let restored = format!("{name}-copy.db");
        let config = format!("{name}.toml");
        world.heirloom(["restore", "latest", "--config", &config, "--to", &restored]).success();
        assert_eq!(world.ask(&restored, "SELECT count(*) FROM notes"), notes);
    }
}

/// The commands that a crontab of this configuration runs for backups.
fn backup_lines(world: &World, file: &str) -> Vec<String> {
    let text = world.heirloom(["schedule", "--cron", "--config", file]).success().stdout;
    let text = text.replace("[world]", world.root());
    let lines = text.lines().filter(|line| line.contains(" backup "));
    lines.map(|line| format!("cd {}", line.split_once(" cd ").unwrap().1)).collect()
}

fn archives(world: &World, store: &str) -> usize {
    world.files(store).iter().filter(|name| name.ends_with(".tar.gz")).count()
}

#[test]
fn a_crontab_whose_configuration_was_moved_saves_nothing_else() {
    let world = world("every = '1h'");
    let lines = backup_lines(&world, "app.toml");
    assert_eq!(lines.len(), 1);
    fs::rename(world.path("app.toml"), world.path("moved.toml")).unwrap();
    // What is found by chance is another database.
    world.database("shop.db");
    site(&world, "shop", "every = '1h'");
    fs::rename(world.path("shop.toml"), world.path("heirloom.toml")).unwrap();
    world.run(world.shell(&lines[0]).current_dir("/")).exits(2).says("app.toml");
    assert_eq!((archives(&world, "app-backups"), archives(&world, "shop-backups")), (0, 0));
}

#[test]
fn two_crontab_lines_of_a_copied_configuration_save_once_an_hour() {
    let mut world = world("every = '1h'\nif_changed = false");
    fs::copy(world.path("app.toml"), world.path("copied.toml")).unwrap();
    let lines = [backup_lines(&world, "app.toml"), backup_lines(&world, "copied.toml")].concat();
    assert_eq!(lines.len(), 2);
    for (time, expected) in [("2026-03-01T03:00:00Z", 1), ("2026-03-01T03:30:00Z", 1), ("2026-03-01T04:00:00Z", 2)] {
        world.at(time);
        for line in &lines {
            world.run(world.shell(line).current_dir("/")).success();
        }
        assert_eq!(archives(&world, "app-backups"), expected, "at {time}");
    }
}

#[test]
fn a_time_that_two_cron_lines_name_comes_once() {
    let world = world("cron = ['0 3 * * *', '0 3,15 * * *']");
    run(&world, &["backup"]).success();
    let times = planned(&world, "app").1;
    assert_eq!(times[..3], ["2026-03-01T15:00", "2026-03-02T03:00", "2026-03-02T15:00"]);
}

#[test]
fn a_backup_of_half_a_set_leaves_the_set_due() {
    let mut world = world("every = '1h'");
    world.database("blog.db");
    let text = fs::read_to_string(world.path("app.toml")).unwrap();
    let blog = format!("blog = '{}'\n[store]", world.path("blog.db").display());
    fs::write(world.path("app.toml"), text.replace("[store]", &blog)).unwrap();
    run(&world, &["backup"]).success();
    world.at("2026-03-01T05:00:00Z");
    run(&world, &["backup", "--only", "main"]).success();
    assert!(planned(&world, "app").0, "the other half was saved two hours ago");
    run(&world, &["backup", "--only", "blog"]).success();
    assert!(!planned(&world, "app").0);
}

#[test]
fn the_safety_backup_of_a_restore_does_not_put_off_the_next_backup() {
    let mut world = world("every = '1h'");
    run(&world, &["backup"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 40");
    world.at("2026-03-01T03:50:00Z");
    run(&world, &["restore", "latest", "--force"]).success();
    assert_eq!(archives(&world, "app-backups"), 2);
    assert!(!planned(&world, "app").0);
    assert!(planned(world.at("2026-03-01T04:00:00Z"), "app").0);
}
