//! Two hosts, two paths, one store: what the scripts restore and keep belongs to the database that is meant.

use std::fs;

use rusqlite::Connection;

use super::stage::{Stage, with_every_shell};
use crate::world::Ran;

const START: &str = "start-with-restore.sh";

/// Starts an application on a host.
fn start_on(stage: &Stage, host: &str, database: &str, options: &[&str]) -> Ran {
    let mut command = stage.command(START, &[options, &["--", "sh", "-c", "echo started; exit 42"]].concat());
    stage.world.run(command.env("HEIRLOOM_HOST", host).env("DATABASE_PATH", database))
}

fn heirloom_on(stage: &Stage, host: &str, args: &[&str]) -> Ran {
    stage.world.run(stage.world.command(args).env("HEIRLOOM_HOST", host))
}

/// Makes a database of one row, by which it is recognized.
fn database(stage: &Stage, path: &str, row: &str) {
    let path = stage.world.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(&format!("CREATE TABLE t(x); INSERT INTO t VALUES('{row}');")).unwrap();
}

/// Counts the archives whose description contains a text.
fn archives_with(stage: &Stage, text: &str) -> usize {
    let shown = |name: &String| stage.world.heirloom(["show", name, "--json"]).success().stdout;
    stage.world.archives().iter().filter(|name| shown(name).contains(text)).count()
}

#[test]
fn a_new_replica_does_not_start_on_the_database_of_another_host() {
    with_every_shell(|stage| {
        database(&stage, "app.db", "tenant 1");
        heirloom_on(&stage, "web-1", &["backup", "app.db"]).success();
        fs::remove_file(stage.world.path("app.db")).unwrap();
        for options in [&[][..], &["--allow-empty"], &["--database", "app.db", "--allow-empty"]] {
            let ran = start_on(&stage, "web-2", "app.db", options).exits(12).says("web-1").says("--fresh");
            assert!(ran.stdout.is_empty() && !stage.world.path("app.db").exists(), "{options:?}");
        }
        fs::write(stage.world.path("first.toml"), "[run]\nfirst_deployment = true\n").unwrap();
        start_on(&stage, "web-2", "app.db", &["--allow-empty", "--config", "first.toml"]).exits(42);
        assert!(!stage.world.path("app.db").exists());
        start_on(&stage, "web-2", "app.db", &["--from", "web-1"]).exits(42);
        assert_eq!(stage.world.ask("app.db", "SELECT x FROM t"), "tenant 1");
        fs::remove_file(stage.world.path("app.db")).unwrap();
        start_on(&stage, "web-1", "app.db", &[]).exits(42);
        assert_eq!(stage.world.ask("app.db", "SELECT x FROM t"), "tenant 1");
    });
}

#[test]
fn each_of_two_sites_gets_its_own_database_back() {
    with_every_shell(|mut stage| {
        for (day, site) in [(1, "site2"), (2, "site1")] {
            stage.world.at(&format!("2026-02-0{day}"));
            let path = format!("{site}/db.sqlite3");
            database(&stage, &path, site);
            heirloom_on(&stage, "web", &["backup", &path]).success();
            fs::remove_file(stage.world.path(&path)).unwrap();
        }
        for (site, options) in [("site2", &[][..]), ("site1", &["--allow-empty"])] {
            let path = format!("{site}/db.sqlite3");
            start_on(&stage, "web", &path, options).exits(42);
            assert_eq!(stage.world.ask(&path, "SELECT x FROM t"), site);
            fs::remove_file(stage.world.path(&path)).unwrap();
            start_on(&stage, "web", "", &["--database", &path]).exits(42);
            assert_eq!(stage.world.ask(&path, "SELECT x FROM t"), site);
        }
    });
}

#[test]
fn two_lines_of_cron_for_two_databases_of_one_name_keep_each_its_own() {
    with_every_shell(|mut stage| {
        let crontab = include_str!("../../../scripts/crontab.example");
        let options = crontab.split_once("heirloom backup ").unwrap().1.lines().next().unwrap();
        for site in ["site1", "site2"] {
            database(&stage, &format!("{site}/db.sqlite3"), site);
        }
        for day in 1..=15 {
            stage.world.at(&format!("2026-02-{day:02}"));
            for site in ["site1", "site2"] {
                let line = format!("heirloom backup {site}/db.sqlite3 {options}");
                stage.world.run(stage.line(&line).env("HEIRLOOM_HOST", "web")).success();
            }
        }
        let [one, two] = ["site1", "site2"].map(|site| archives_with(&stage, &format!("{site}/db.sqlite3\"")));
        assert!(one >= 8 && one == two, "{one} and {two} archives");
    });
}

#[test]
fn two_hosts_that_rotate_one_store_keep_each_its_own() {
    with_every_shell(|mut stage| {
        database(&stage, "app.db", "the same path on both");
        for day in 1..=15 {
            stage.world.at(&format!("2026-02-{day:02}"));
            for host in ["web-1", "web-2"] {
                let mut command = stage.line("heirloom backup app.db --kind scheduled && heirloom rotate");
                stage.world.run(command.env("HEIRLOOM_HOST", host)).success();
            }
        }
        let [one, two] = ["web-1", "web-2"].map(|host| archives_with(&stage, &format!("\"{host}\"")));
        assert!(one >= 8 && one == two, "{one} and {two} archives");
    });
}

#[test]
fn volumes_of_one_name_on_two_hosts_are_restored_each_from_its_own() {
    with_every_shell(|mut stage| {
        stage.run("manage-volume.sh", &["create", "app-data"]).success();
        let path = stage.engine().join("volumes/app-data/app.db");
        for (day, host) in [(1, "web-1"), (2, "web-2")] {
            stage.world.at(&format!("2026-02-0{day}"));
            let sql = format!("CREATE TABLE IF NOT EXISTS t(x); DELETE FROM t; INSERT INTO t VALUES('{host}')");
            Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
            stage.run("manage-volume.sh", &["backup", "app-data", "--host", host]).success();
        }
        for host in ["web-1", "web-2"] {
            stage.run("manage-volume.sh", &["restore", "app-data", "--host", host, "--force"]).success();
            let connection = Connection::open(&path).unwrap();
            let row: String = connection.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
            assert_eq!(row, host);
        }
        stage.run("manage-volume.sh", &["restore", "app-data", "--host", "web-3", "--force"]).exits(12).says("web-1");
    });
}

#[test]
fn the_command_that_a_refused_restore_prints_works_through_the_script() {
    with_every_shell(|stage| {
        database(&stage, "app.db", "tenant 1");
        heirloom_on(&stage, "web-1", &["backup", "app.db"]).success();
        fs::remove_file(stage.world.path("app.db")).unwrap();
        let restore = |args: &[&str]| {
            let mut command = stage.command("restore-databases.sh", args);
            stage.world.run(command.env("HEIRLOOM_HOST", "web-2").env("DATABASE_PATH", "app.db"))
        };
        restore(&["--latest"]).exits(12).says("--from");
        restore(&["--latest", "--", "--from", "web-1"]).success();
        assert_eq!(stage.world.ask("app.db", "SELECT x FROM t"), "tenant 1");
    });
}
