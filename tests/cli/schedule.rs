//! `heirloom schedule`, and the section `[schedule]` as `config check` and `config show` see it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::tools::installed;
use crate::world::World;

const SET: &str = "[sets.app.databases]\nmain = 'app.db'\n";

fn world(schedule: &str) -> World {
    let world = World::new();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), format!("{SET}{schedule}")).unwrap();
    world
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn job<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["jobs"].as_array().unwrap().iter().find(|job| job["job"] == name).unwrap()
}

fn next(document: &Value, name: &str) -> Vec<DateTime<Utc>> {
    job(document, name)["next"].as_array().unwrap().iter().map(|time| at(time.as_str().unwrap())).collect()
}

#[test]
fn every_mistake_is_found_by_config_check_with_its_line() {
    let world = world("[schedule]\nevery = '10s'\ncron = '0 0 30 2 *'\nif_changd = true\nverify = 'sometimes'\n");
    let found = world.heirloom(["config", "check", "--json"]).exits(2).json();
    let messages: Vec<&str> =
        found["checks"].as_array().unwrap().iter().filter_map(|check| check["message"].as_str()).collect();
    for (line, start) in [
        (4, "schedule.every: "),
        (5, "schedule.cron: \"0 0 30 2 *\" never"),
        (6, "schedule.if_changd: "),
        (7, "schedule.verify: "),
    ] {
        let start = format!("heirloom.toml:{line}: {start}");
        assert!(messages.iter().any(|message| message.contains(&start)), "{start}: {messages:?}");
    }
    world.heirloom(["schedule"]).exits(2).says("and 3 more problems");
}

#[test]
fn a_schedule_that_is_finer_than_the_rotation_is_a_warning() {
    for (schedule, warned) in [
        ("[schedule]\nevery = '30m'\n", Some("every 30m")),
        ("[schedule]\nevery = '1h'\n", None),
        ("[schedule]\nevery = '12h'\n", None),
        ("[schedule]\nevery = '1h'\n[retention]\nhourly = 0\n", Some("retention.daily")),
        ("[schedule]\nevery = '1h'\n[retention]\nlast = 30\n", None),
        ("[schedule]\nevery = '1h'\n[retention]\nkeep = 10\n", None),
        ("[schedule]\ncron = ['0 3 * * *', '0 15 * * *']\n", Some("every 12h")),
        ("[schedule]\ncron = '0 3 * * *'\n", None),
        ("[schedule]\ncron = '0 * * * *'\nrotate = 'never'\n", None),
        ("", None),
    ] {
        let found = world(schedule).heirloom(["config", "check", "--json"]).success().json();
        let checks = found["checks"].as_array().unwrap();
        let about = checks.iter().find(|check| check["check"].as_str().unwrap().starts_with("schedule."));
        assert_eq!(about.is_some(), warned.is_some(), "{schedule}: {found}");
        if let (Some(about), Some(warned)) = (about, warned) {
            assert_eq!(about["state"], "warning");
            assert!(about["message"].as_str().unwrap().contains(warned), "{about}");
        }
    }
}

#[test]
fn the_variables_of_the_web_application_are_settings_with_their_origin() {
    let mut world = World::new();
    world.database("app.db");
    fs::write(
        world.path(".env"),
        "AUTO_BACKUP_ENABLED=true\nAUTO_BACKUP_INTERVAL_HOURS=24\nBACKUP_ON_STARTUP=false\nMAX_DATABASE_BACKUPS=10\n\
         DATABASE_URL=sqlite:///app.db\n",
    )
    .unwrap();
    let shown = |world: &World| world.heirloom(["config", "show", "--json"]).success().json();
    let setting = |shown: &Value, key: &str| {
        let settings = shown["settings"].as_array().unwrap();
        let found = settings.iter().find(|setting| setting["key"] == key).unwrap();
        (found["value"].clone(), found["origin"].as_str().unwrap().to_owned(), found["variables"].clone())
    };
    let before = shown(&world);
    let dotenv = |value: Value, variable: &str| (value, "dotenv".to_owned(), serde_json::json!([variable]));
    assert_eq!(setting(&before, "schedule.every"), dotenv("1d".into(), "AUTO_BACKUP_INTERVAL_HOURS"));
    assert_eq!(setting(&before, "schedule.on_start"), dotenv(false.into(), "BACKUP_ON_STARTUP"));
    assert_eq!(setting(&before, "schedule.rotate"), dotenv("never".into(), "MAX_DATABASE_BACKUPS"));
    world.env("AUTO_BACKUP_ENABLED", "off");
    let after = shown(&world);
    let off = (Value::Bool(false), "environment".to_owned(), serde_json::json!(["AUTO_BACKUP_ENABLED"]));
    assert_eq!(setting(&after, "schedule.enabled"), off);

    let document = world.heirloom(["schedule", "--json"]).success().json();
    assert_eq!((&document["enabled"], &document["final"]), (&false.into(), &false.into()));
    assert!(next(&document, "backup").is_empty());
    world.heirloom(["schedule"]).success().says("the schedule is off");
    world.heirloom(["schedule", "--cron"]).exits(2).says("AUTO_BACKUP_ENABLED");
}

#[test]
fn the_next_backup_follows_from_the_last_one_in_the_store() {
    let mut world = world("[schedule]\nevery = '1h'\n");
    let document = world.heirloom(["schedule", "--json"]).success().json();
    assert_eq!((&job(&document, "backup")["due"], &job(&document, "backup")["last"]), (&true.into(), &Value::Null));
    world.heirloom(["backup"]).success();
    world.at("2026-03-01T03:20:00Z");
    let document = world.heirloom(["schedule", "--json", "--next", "4"]).success().json();
    let hours: Vec<_> = (4..8).map(|hour| at(&format!("2026-03-01T0{hour}:00:00Z"))).collect();
    assert_eq!(next(&document, "backup"), hours);
    assert_eq!(job(&document, "rotate")["rule"], "after backup");
    let delay = TimeDelta::seconds(document["delay_seconds"].as_i64().unwrap());
    assert_eq!(next(&document, "verify")[0], at("2026-03-08T00:00:00Z") + delay);
    world.at("2026-03-01T07:00:00Z");
    let ran = world.heirloom(["schedule"]).success();
    assert!(ran.stdout.contains("due") && ran.stdout.contains("every 1h, if changed"), "{}", ran.stdout);
}

#[test]
fn an_archive_from_the_future_makes_a_backup_due_with_a_warning() {
    let mut world = world("[schedule]\ncron = '0 12 * * *'\n");
    world.at("2027-03-01T03:00:00Z").heirloom(["backup"]).success();
    world.at("2026-03-01T03:00:00Z");
    let ran = world.heirloom(["schedule", "--json"]).success().says("dated in the future, 2027-03-01T03:00:00Z");
    assert_eq!(job(&ran.json(), "backup")["due"], true);
}

#[test]
fn a_store_that_does_not_answer_leaves_the_lines_of_cron() {
    for (rule, times) in [("every = '1h'", 0), ("cron = '0 3 * * *'", 3)] {
        let world = world(&format!("[store]\ndir = 'store'\n[schedule]\n{rule}\n"));
        fs::write(world.path("store"), "a file").unwrap();
        let ran = world.heirloom(["schedule", "--json"]).exits(3).says("the last backups are not known");
        assert_eq!(next(&ran.json(), "backup").len(), times, "{rule}");
    }
}

#[test]
fn no_database_is_no_schedule() {
    World::new().heirloom(["schedule"]).exits(2).says("no database");
}

/// The times that a line of a crontab or a timer starts at, without the commands.
fn words_of(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split_once(" backup ").map(|(_, rest)| rest.to_owned()))
        .flat_map(|rest| rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn the_units_are_accepted_by_systemd_and_come_at_the_same_times() {
    if !installed("systemd accepts the printed units", &["systemd-analyze"]) {
        return;
    }
    for (schedule, zone) in [
        ("cron = '0 3 * * *'", "UTC"),
        ("cron = ['*/20 1-3 * * *', '30 4 * * MON-WED,7']", "Europe/Berlin"),
        ("cron = '0 0 13 * FRI'\nrotate = '5 5 * * *'", "America/New_York"),
        ("every = '1h'\ncheck_every = '7m'", "UTC"),
    ] {
        let world =
            world(&format!("[schedule]\n{schedule}\n[retention]\ntime_zone = '{zone}'\nkeep = 10\ndaily = 7\n"));
        let document = world.heirloom(["schedule", "--systemd", "--json"]).success().json();
        let folder = tempfile::tempdir().unwrap();
        let mut units = Vec::new();
        let mut calendar = Vec::new();
        for file in document["files"].as_array().unwrap() {
            let (name, text) = (file["name"].as_str().unwrap(), file["text"].as_str().unwrap());
            // The folder of the world is normalised in the output.
            let text = text.replace("[world]", world.root());
            units.push(folder.path().join(name));
            fs::write(units.last().unwrap(), &text).unwrap();
            if name == "heirloom-backup.timer" {
                calendar =
                    text.lines().filter_map(|line| line.strip_prefix("OnCalendar=")).map(str::to_owned).collect();
            }
        }
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{schedule}: {said}");

        let elapse = |expression: &String| {
            let mut command = Command::new("systemd-analyze");
            command.args(["calendar", "--base-time=2026-03-01 03:00:00 UTC", expression]).env("TZ", "UTC");
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let line = text.lines().find_map(|line| line.trim().strip_prefix("Next elapse: ")).unwrap().to_owned();
            NaiveDateTime::parse_from_str(&line, "%a %Y-%m-%d %H:%M:%S UTC").unwrap().and_utc()
        };
        let of_systemd = calendar.iter().map(elapse).min().unwrap();
        if schedule.starts_with("cron") {
            // With a backup just made nothing is due.
            world.heirloom(["backup"]).success();
            let document = world.heirloom(["schedule", "--json"]).success().json();
            let delay = TimeDelta::seconds(document["delay_seconds"].as_i64().unwrap());
            assert_eq!(next(&document, "backup")[0] - delay, of_systemd, "{schedule}");
        } else {
            assert_eq!(of_systemd, at("2026-03-01T03:06:00Z"), "{schedule}");
        }
    }
    world("[schedule]\ncron = '0 0 L * *'\n").heirloom(["schedule", "--systemd"]).exits(2).says("L, W, # or +");
}

#[test]
fn the_crontab_runs_as_written_from_any_folder() {
    let mut world = world(
        "[schedule]\nevery = '1h'\nif_changed = false\nverify = '30 4 * * 0'\n\
         [retention]\ntime_zone = 'Europe/Berlin'\n",
    );
    // It has no variables of this shell.
    let ran = world.heirloom(["schedule", "--cron"]).success().says("HEIRLOOM_HOST");
    let text = ran.stdout.replace("[world]", world.root());
    assert!(text.contains("CRON_TZ=Europe/Berlin\n"), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" nice ")).collect();
    let times: Vec<String> =
        lines.iter().map(|line| line.split_whitespace().take(5).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(times, ["*/5 * * * *", "30 4 * * 0"]);
    assert!(words_of(&text).is_superset(&["--if-older-than", "1h", "--rotate"].map(str::to_owned).into()), "{text}");
    let commands: Vec<String> = lines.iter().map(|line| format!("cd {}", line.split_once(" cd ").unwrap().1)).collect();
    for (minute, archives) in [(0, 1), (5, 1), (59, 1), (60, 2)] {
        let now = at("2026-03-01T03:00:00Z") + TimeDelta::minutes(minute);
        world.at(&now.to_rfc3339());
        for command in &commands {
            world.run(world.shell(command).current_dir("/")).success();
        }
        assert_eq!(world.archives().len(), archives, "after {minute} minutes");
    }
    let changes = World::new();
    changes.database("app.db");
    fs::write(changes.path("heirloom.toml"), format!("{SET}[retention]\nkeep = 10\n[schedule]\ncron = '@daily'\n"))
        .unwrap();
    let text = changes.heirloom(["schedule", "--cron"]).success().stdout;
    assert!(text.contains("\n@daily  cd ") && !text.contains("--rotate"), "{text}");
    assert!(words_of(&text).is_superset(&["--if-changed", "--cleanup"].map(str::to_owned).into()), "{text}");
}

/// Row C1: the last 10 are the last 10, by the settings of the web application alone.
#[test]
fn with_a_number_of_backups_the_newest_of_them_stay_and_no_rotation_thins_them() {
    let mut world = World::new();
    world.database("app.db");
    for (name, value) in
        [("MAX_DATABASE_BACKUPS", "10"), ("AUTO_BACKUP_INTERVAL_HOURS", "1"), ("DATABASE_URL", "sqlite:///app.db")]
    {
        world.env(name, value);
    }
    let document = world.heirloom(["schedule", "--cron", "--json"]).success().json();
    let crontab = document["files"][0]["text"].as_str().unwrap();
    assert!(crontab.contains(" --cleanup") && !crontab.contains("--rotate"), "{crontab}");
    for hour in 0..14 {
        world.at(&format!("2026-03-01T{hour:02}:00:00Z"));
        world.heirloom(["backup", "--kind", "scheduled", "--if-older-than", "1h", "--cleanup"]).success();
    }
    let expected: Vec<String> = (4..14).map(|hour| format!("app_20260301T{hour:02}0000Z.tar.gz")).collect();
    assert_eq!(world.archives(), expected);
}

/// What `every = "1h"` leaves after 30 days with the default rules.
#[test]
fn an_hourly_schedule_keeps_a_day_of_hours_and_then_days_and_weeks() {
    let world = world("[schedule]\nevery = '1h'\n");
    let args = ["rotate", "--simulate", "30d", "--every", "1h", "--json"];
    let document = world.heirloom(args).success().json();
    let dates: Vec<DateTime<Utc>> =
        document["keep"].as_array().unwrap().iter().map(|one| at(one["date"].as_str().unwrap())).collect();
    let now = at("2026-03-01T03:00:00Z");
    let hours: Vec<_> = (0..24).map(|hour| now - TimeDelta::hours(hour)).collect();
    assert_eq!(dates[..24], hours);
    // Seven days, four weeks (of which the month has no more), and the end of January.
    let rest: Vec<String> = dates[24..].iter().map(|date| date.format("%m-%d %H").to_string()).collect();
    assert_eq!(
        rest,
        [
            "02-27 23", "02-26 23", "02-25 23", "02-24 23", "02-23 23", "02-22 23", "02-21 23", "02-15 23", "02-08 23",
            "02-01 23", "01-31 23"
        ]
    );
}
