//! `start-with-restore.sh`: which database and which archive are meant, and when an application may start without one.

use std::fs;

use super::stage::{Stage, with_every_shell};
use crate::world::Ran;

const START: &str = "start-with-restore.sh";

fn start(stage: &Stage, options: &[&str]) -> Ran {
    let args: Vec<&str> = options.iter().chain(&["--", "sh", "-c", "echo started; exit 42"]).copied().collect();
    stage.run(START, &args)
}

/// Asserts that the application was not started and that nothing empty was created.
#[track_caller]
fn refused(stage: &Stage, options: &[&str], code: i32, missing: &str) -> Ran {
    let ran = start(stage, options).exits(code);
    assert_eq!(ran.stdout, "", "the application was started, or its standard output is not its own");
    assert!(!stage.world.path(missing).exists(), "{missing} was created");
    ran
}

fn rows(stage: &Stage, name: &str) -> String {
    stage.world.ask(name, "SELECT count(*) FROM notes")
}

fn remove(stage: &Stage, names: &[&str]) {
    names.iter().for_each(|name| fs::remove_file(stage.world.path(name)).unwrap());
}

#[test]
fn a_path_with_brackets_blanks_or_stars_is_that_file_and_no_other() {
    with_every_shell(|mut stage| {
        // As a pattern each of these names means the other file.
        stage.world.database("app1.db");
        for name in ["app[1].db", "app?.db", "app*"] {
            refused(&stage, &["--database", name], 10, name);
            start(&stage, &["--database", name, "--allow-empty"]).exits(42);
            assert!(!stage.world.path(name).exists());
            fs::write(stage.world.path(name), "rubbish ".repeat(100)).unwrap();
            start(&stage, &["--database", name]).exits(13).says(name);
            remove(&stage, &[name]);
        }
        let name = "it's [a] db/my $app.db";
        fs::create_dir(stage.world.path("it's [a] db")).unwrap();
        stage.world.database(name);
        stage.world.heirloom(["backup", name]).success();
        remove(&stage, &[name]);
        start(&stage, &["--database", name]).exits(42);
        remove(&stage, &[name]);
        stage.world.env("DATABASE_PATH", name);
        start(&stage, &[]).exits(42);
        assert_eq!(rows(&stage, name), "100");
    });
}

#[test]
fn a_database_that_is_there_needs_no_store() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.world.database("two.db");
        let here = stage.world.path("app.db");
        let urls = [format!("sqlite:///{}", here.display()), "sqlite+aiosqlite:///app.db?timeout=5".into()];
        let away = &["--dir", "not/mounted"][..];
        let variables = [("DATABASE_PATH", "app.db"), ("DATABASE_URL", &urls[0]), ("DATABASE_URL", &urls[1])];
        for (variable, value) in variables {
            for option in [&[][..], &["--allow-empty"]] {
                let mut command = stage.command(START, &[away, option, &["--", "sh", "-c", "exit 42"]].concat());
                stage.world.run(command.env(variable, value)).exits(42);
            }
        }
        // One of two is missing: only the store knows whether there is a backup of it.
        let text = "[sets.two.databases]\na = \"app.db\"\nb = \"two.db\"\n[run]\nrestore_wait = \"1s\"\n";
        fs::write(stage.world.path("heirloom.toml"), text).unwrap();
        start(&stage, away).exits(42);
        remove(&stage, &["two.db"]);
        refused(&stage, &[away, &["--allow-empty"]].concat(), 16, "two.db");
    });
}

#[test]
fn a_moved_database_is_not_restored_to_its_old_path() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.world.heirloom(["backup", "app.db"]).success();
        fs::rename(stage.world.path("app.db"), stage.world.path("prod.db")).unwrap();
        for (variable, value) in [("DATABASE_PATH", "prod.db"), ("DATABASE_URL", "sqlite:///prod.db")] {
            let mut command = stage.command(START, &["--", "sh", "-c", "exit 42"]);
            stage.world.run(command.env(variable, value)).exits(42);
        }
        start(&stage, &["--database", "prod.db"]).exits(42);
        assert!(!stage.world.path("app.db").exists());
    });
}

#[test]
fn a_url_names_the_database_as_a_path_does() {
    with_every_shell(|stage| {
        let with_url = |options: &[&str]| {
            let mut command = stage.command(START, &[options, &["--", "sh", "-c", "exit 42"]].concat());
            stage.world.run(command.env("DATABASE_URL", "sqlite:///app.db"))
        };
        with_url(&[]).exits(10).says("app.db");
        with_url(&["--allow-empty"]).exits(42);
        stage.world.database("app.db");
        stage.world.heirloom(["backup", "app.db"]).success();
        remove(&stage, &["app.db"]);
        with_url(&["--allow-empty"]).exits(42);
        assert_eq!(rows(&stage, "app.db"), "100");
        // A configuration that names databases is stronger than the variable that the application reads.
        let text = "[sets.both.databases]\na = \"app.db\"\nb = \"other.db\"\n";
        fs::write(stage.world.path("heirloom.toml"), text).unwrap();
        with_url(&[]).exits(10).says("other.db");
    });
}

#[test]
fn two_sets_in_the_store_do_not_stop_a_start_that_names_its_database() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.world.sql("users.db", "CREATE TABLE users(x)");
        for name in ["app.db", "users.db"] {
            stage.world.heirloom(["backup", name]).success();
        }
        remove(&stage, &["app.db"]);
        start(&stage, &["--database", "app.db"]).exits(42);
        assert_eq!(rows(&stage, "app.db"), "100");
    });
}

#[test]
fn one_database_comes_back_from_an_archive_of_two() {
    with_every_shell(|stage| {
        stage.world.database("users.db");
        stage.world.sql("orders.db", "CREATE TABLE orders(x)");
        stage.world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
        remove(&stage, &["users.db", "orders.db"]);
        start(&stage, &["--database", "users.db"]).exits(42);
        assert_eq!(rows(&stage, "users.db"), "100");
        assert!(!stage.world.path("orders.db").exists(), "it was not named");
    });
}

#[test]
fn sets_that_may_hold_the_database_are_not_taken_for_no_backup() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.world.database("users.db");
        stage.world.heirloom(["backup", "app.db", "--set", "shop"]).success();
        stage.world.heirloom(["backup", "users.db"]).success();
        remove(&stage, &["app.db"]);
        let ran = start(&stage, &["--database", "app.db", "--allow-empty"]);
        // Refused, or restored from the archive that holds it: never an empty database.
        assert!(
            ran.code == 2 && !stage.world.path("app.db").exists() || ran.code == 42 && rows(&stage, "app.db") == "100",
            "{}",
            ran.stderr
        );
    });
}

#[test]
fn a_database_that_an_older_archive_holds_is_not_created_empty() {
    with_every_shell(|mut stage| {
        for name in ["users.db", "orders.db"] {
            stage.world.database(name);
        }
        stage.world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
        stage.world.at("2026-03-04T03:00:00Z");
        stage.world.sql("users.db", "INSERT INTO notes SELECT max(id) + 1, 'late' FROM notes");
        stage.world.heirloom(["backup", "users.db", "orders.db", "--set", "shop", "--only", "users"]).success();
        remove(&stage, &["users.db", "orders.db"]);
        let text = "[sets.shop.databases]\nusers = \"users.db\"\norders = \"orders.db\"\n";
        fs::write(stage.world.path("heirloom.toml"), text).unwrap();
        let options = ["--allow-empty"];
        // The only archive with both is older than the newest one of users by more than the limit.
        refused(&stage, &options, 12, "orders.db").says("--at 2026-03-01T03:00:00Z").says("--only users");
        assert!(!stage.world.path("users.db").exists());
        // As the message says; the start brings back the other one, from the older archive.
        stage.world.heirloom(["restore", "latest", "--if-missing", "--if-backup-exists", "--only", "users"]).success();
        assert_eq!(rows(&stage, "users.db"), "101");
        start(&stage, &options).exits(42);
        assert_eq!((rows(&stage, "users.db"), rows(&stage, "orders.db")), ("101".into(), "100".into()));
    });
}

#[test]
fn configured_names_unlike_their_files_are_recognized() {
    with_every_shell(|mut stage| {
        let path = |name: &str| stage.world.path(name).to_str().unwrap().to_owned();
        let paths = ["arrow database.db", "user_data.db"].map(path);
        let text = format!("[sets.shop.databases]\narrow = \"{}\"\nuser = \"{}\"\n", paths[0], paths[1]);
        fs::write(stage.world.path("heirloom.toml"), text).unwrap();
        let options = ["--allow-empty"];
        start(&stage, &options[..0]).exits(10).says("arrow database.db").says("user_data.db");
        start(&stage, &options).exits(42);
        for name in ["arrow database.db", "user_data.db"] {
            stage.world.database(name);
        }
        stage.world.heirloom(["backup"]).success();
        stage.world.at("2026-03-04T03:00:00Z");
        stage.world.heirloom(["backup", "--only", "user"]).success();
        remove(&stage, &["arrow database.db", "user_data.db"]);
        refused(&stage, &options, 12, "arrow database.db").says("--at 2026-03-01T03:00:00Z").says("--only user");
        stage.world.heirloom(["restore", "latest", "--only", "user"]).success();
        start(&stage, &options).exits(42);
        assert_eq!(rows(&stage, "arrow database.db"), "100");
    });
}

#[test]
fn a_configuration_without_archives_does_not_hide_those_of_a_database_that_it_does_not_name() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.world.heirloom(["backup", "app.db"]).success();
        remove(&stage, &["app.db"]);
        fs::write(stage.world.path("heirloom.toml"), "[sets.shop.databases]\nusers = \"users.db\"\n").unwrap();
        // The application may use another database than the configuration backs up: a mistake, not a first start.
        refused(&stage, &["--database", "app.db", "--allow-empty"], 2, "app.db").says("--database");
    });
}

#[test]
fn a_database_that_moved_is_not_created_empty_beside_another() {
    with_every_shell(|stage| {
        for name in ["users.db", "orders.db"] {
            stage.world.database(name);
        }
        stage.world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
        fs::create_dir(stage.world.path("new")).unwrap();
        // By its name an archive of the set holds it.
        let text = "[sets.shop.databases]\nusers = \"users.db\"\norders = \"new/orders.db\"\n";
        fs::write(stage.world.path("heirloom.toml"), text).unwrap();
        refused(&stage, &["--allow-empty"], 12, "new/orders.db").says("--from");
    });
}

#[test]
fn a_database_that_no_archive_holds_does_not_stop_a_first_start() {
    with_every_shell(|stage| {
        stage.world.database("users.db");
        stage.world.heirloom(["backup", "users.db"]).success();
        remove(&stage, &["users.db"]);
        let text = "[sets.users.databases]\nusers = \"users.db\"\nnew = \"new.db\"\n";
        fs::write(stage.world.path("heirloom.toml"), text).unwrap();
        refused(&stage, &[], 10, "new.db");
        start(&stage, &["--allow-empty"]).exits(42);
        assert_eq!(rows(&stage, "users.db"), "100");
    });
}

#[test]
fn an_empty_file_is_not_a_first_start_if_there_is_a_backup_or_a_wal() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.world.heirloom(["backup", "app.db"]).success();
        fs::write(stage.world.path("app.db"), "").unwrap();
        let ran = start(&stage, &["--database", "app.db", "--allow-empty"]);
        // Refused or restored: never started on the empty file.
        let restored = ran.code == 42 && rows(&stage, "app.db") == "100";
        assert!(restored || ran.code == 12 && ran.stdout.is_empty(), "{}", ran.stderr);

        // SQLite deletes a -wal beside an empty database.
        for main in [Some("other.db"), None] {
            fs::write(stage.world.path("other.db-wal"), "all the rows").unwrap();
            main.iter().for_each(|name| fs::write(stage.world.path(name), "").unwrap());
            let ran = start(&stage, &["--database", "other.db", "--allow-empty"]).exits(13);
            let ran = ran.says("other.db-wal");
            assert!(ran.stdout.is_empty() && stage.world.path("other.db-wal").exists());
            fs::remove_file(stage.world.path("other.db")).unwrap_or_default();
        }
    });
}
