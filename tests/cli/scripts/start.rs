//! `start-with-restore.sh`.

use std::fs;

use super::stage::{Stage, flip_in_database, with_every_shell};

const START: &str = "start-with-restore.sh";

fn start(stage: &Stage, options: &[&str]) -> crate::world::Ran {
    let args: Vec<&str> =
        options.iter().chain(&["--", "sh", "-c", "echo started \"$0\" \"$@\"; exit 42", "a b", "c"]).copied().collect();
    stage.run(START, &args)
}

/// Configures that a store that does not answer is asked once.
fn impatient(stage: &Stage) {
    let path = stage.world.path("heirloom.toml");
    let text = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, text + "\n[run]\nrestore_wait = \"1s\"\n").unwrap();
}

#[test]
fn a_sound_database_is_left_alone_and_the_application_takes_over() {
    with_every_shell(|stage| {
        let path = stage.world.database("app.db");
        let before = fs::read(&path).unwrap();
        let mut command =
            stage.command(START, &["--database", "app.db", "--", "sh", "-c", "echo \"$0\" \"$@\"", "a b", "c"]);
        let ran = stage.world.run(command.env("AUTO_BACKUP_ENABLED", "false")).exits(0);
        assert_eq!(ran.stdout, "a b c\n");
        assert_eq!(fs::read(&path).unwrap(), before);
        // There is no store, and without backups none is needed.
        assert_eq!(stage.world.files("."), ["app.db"]);
        start(&stage, &["--database", "app.db", "--check-only"]).exits(42);
        assert_eq!(stage.world.files("."), ["app.db"]);
        let ran = start(&stage, &["--database", "app.db"]).exits(42);
        assert_eq!(ran.stdout, "started a b c\n");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(stage.world.archives().len(), 1, "a backup at the start");
    });
}

#[test]
fn a_missing_database_comes_back() {
    with_every_shell(|mut stage| {
        stage.world.database("app.db");
        stage.world.heirloom(["backup", "app.db"]).success();
        fs::remove_file(stage.world.path("app.db")).unwrap();
        start(&stage, &["--database=app.db", "--check", "full"]).exits(42);
        assert_eq!(stage.world.ask("app.db", "SELECT count(*) FROM notes"), "100");
        fs::remove_file(stage.world.path("app.db")).unwrap();
        stage.world.env("DATABASE_PATH", "app.db");
        start(&stage, &["--allow-empty"]).exits(42);
        assert_eq!(stage.world.ask("app.db", "SELECT count(*) FROM notes"), "100");
        // Another name is another set: no archive of it, by path or by name.
        fs::remove_file(stage.world.path("app.db")).unwrap();
        start(&stage, &["--database", "other.db"]).exits(10).says("there is no backup of it");
        // The same name at another path may be another database: whose archive is meant has to be said.
        fs::create_dir(stage.world.path("new")).unwrap();
        let old = stage.world.path("app.db").display().to_string();
        start(&stage, &["--database", "new/app.db", "--allow-empty"]).exits(12).says("--from").says("--fresh");
        assert!(!["other.db", "new/app.db", "app.db"].iter().any(|name| stage.world.path(name).exists()));
        start(&stage, &["--database", "new/app.db", "--from", &old]).exits(42);
        assert_eq!(stage.world.ask("new/app.db", "SELECT count(*) FROM notes"), "100");
    });
}

#[test]
fn without_database_and_backup_it_starts_only_when_that_is_allowed() {
    with_every_shell(|stage| {
        let ran = start(&stage, &["--database", "app.db"]).exits(10).says("--allow-empty");
        assert_eq!(ran.stdout, "");
        assert!(!stage.world.path("app.db").exists());
        // The application creates it.
        start(&stage, &["--database", "app.db", "--allow-empty"]).exits(42);
        assert!(!stage.world.path("app.db").exists());
        fs::write(stage.world.path("app.db"), "").unwrap();
        start(&stage, &["--database", "app.db", "--allow-empty"]).exits(42);
        start(&stage, &["--database", "app.db"]).exits(10).says("is empty");
    });
}

#[test]
fn a_damaged_database_keeps_the_application_from_starting() {
    with_every_shell(|stage| {
        let path = stage.world.database("app.db");
        stage.world.heirloom(["backup", "app.db"]).success();
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 4096;
        bytes[last..].fill(0x5a);
        fs::write(&path, &bytes).unwrap();
        let ran = start(&stage, &["--database", "app.db", "--check", "full"]).exits(13).says("not sound");
        assert_eq!(ran.stdout, "");
        fs::write(&path, "no database ".repeat(100)).unwrap();
        start(&stage, &["--database", "app.db", "--allow-empty"]).exits(13);
        assert_eq!(fs::read(&path).unwrap(), "no database ".repeat(100).as_bytes(), "never overwritten");
    });
}

#[test]
fn a_damaged_archive_or_a_lost_store_is_not_a_first_start() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.world.heirloom(["backup", "app.db"]).success();
        fs::remove_file(stage.world.path("app.db")).unwrap();
        let archive = stage.world.path("backups").join(&stage.world.archives()[0]);
        let mut bytes = fs::read(&archive).unwrap();
        flip_in_database(&mut bytes);
        fs::write(&archive, bytes).unwrap();
        start(&stage, &["--database", "app.db", "--allow-empty"]).exits(13);
        impatient(&stage);
        start(&stage, &["--database", "app.db", "--allow-empty", "--dir", "not/mounted"]).exits(16);
        assert!(!stage.world.path("app.db").exists());
    });
}

#[test]
fn configured_databases_are_restored_together() {
    with_every_shell(|stage| {
        stage.demo_here();
        start(&stage, &[]).exits(42);
        stage.world.heirloom(["backup"]).success();
        fs::remove_file(stage.world.path("user_data.db")).unwrap();
        stage.world.sql("arrow_database.db", "INSERT INTO arrows VALUES(1000, 'a', 'b', 1, 1)");
        start(&stage, &[]).exits(42);
        assert_eq!(stage.world.ask("user_data.db", "SELECT count(*) FROM users"), "50");
        assert_eq!(
            stage.world.ask("arrow_database.db", "SELECT count(*) FROM arrows"),
            "51",
            "what exists is left alone"
        );
        fs::remove_file(stage.world.path("user_data.db")).unwrap();
        fs::remove_dir_all(stage.world.path("backups")).unwrap();
        impatient(&stage);
        start(&stage, &[]).exits(16).says("is gone");
        // On another host, which never had that store.
        fs::remove_dir_all(stage.world.path("../state")).unwrap();
        start(&stage, &[]).exits(10).says("--allow-empty");
    });
}

#[test]
fn what_cannot_run_is_named() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        stage.run(START, &["--database", "app.db"]).exits(2).says("--");
        start(&stage, &["--database", "app.db", "--check", "deep"]).exits(2).says("--check");
        for (options, part) in [
            (&["--database", "app.db", "--fresh"][..], "first_deployment = true"),
            (&["--database", "app.db", "--allow-offline"], "start_without_restore = true"),
            (&["--database", "app.db", "--database", "b.db"], "[sets.NAME.databases]"),
            (&["--database="], "--database needs a value"),
        ] {
            assert_eq!(start(&stage, options).exits(2).says(part).stdout, "");
        }
        fs::write(stage.world.path("heirloom.toml"), "[sets.app.databases]\napp = \"other.db\"\n").unwrap();
        start(&stage, &["--database", "app.db"]).exits(2).says("leave out --database");
        fs::remove_file(stage.world.path("heirloom.toml")).unwrap();
        stage.run(START, &["--database", "app.db", "--", "no-such-program"]).exits(127);
        let mut command = stage.command(START, &["--database", "app.db", "--", "true"]);
        stage.world.run(command.env("HEIRLOOM", "no-heirloom")).exits(127).says("no-heirloom");
    });
}

#[test]
fn a_second_host_does_not_start_on_the_data_of_the_first() {
    with_every_shell(|mut stage| {
        stage.world.database("app.db");
        fs::write(stage.world.path("heirloom.toml"), "[sets.app.databases]\napp = \"app.db\"\n").unwrap();
        stage.world.heirloom(["backup"]).success();
        fs::remove_file(stage.world.path("app.db")).unwrap();
        stage.world.env("HEIRLOOM_HOST", "second");
        let ran = start(&stage, &["--allow-empty"]).exits(12).says("--from test-host").says("--fresh");
        assert_eq!(ran.stdout, "");
        let path = stage.world.path("heirloom.toml");
        let text = fs::read_to_string(&path).unwrap() + "[run]\nfirst_deployment = true\n";
        fs::write(&path, text).unwrap();
        start(&stage, &[]).exits(10);
        assert!(!stage.world.path("app.db").exists());
        start(&stage, &["--allow-empty"]).exits(42);
    });
}

#[test]
fn a_url_names_the_database_as_a_path_does() {
    with_every_shell(|mut stage| {
        let path = stage.world.database("app.db");
        stage.world.env("DATABASE_URL", &format!("sqlite:///{}", path.display()));
        start(&stage, &["--dir", "not/mounted"]).exits(42);
        stage.world.heirloom(["backup"]).success();
        fs::remove_file(&path).unwrap();
        start(&stage, &[]).exits(42);
        assert_eq!(stage.world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    });
}

#[test]
fn a_partial_archive_is_no_reason_to_start_on_an_empty_database() {
    with_every_shell(|mut stage| {
        for name in ["users.db", "orders.db"] {
            stage.world.database(name);
        }
        stage.world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
        stage.world.at("2026-03-01T04:00:00Z");
        stage.world.heirloom(["backup", "users.db", "orders.db", "--set", "shop", "--only", "users"]).success();
        for name in ["users.db", "orders.db"] {
            fs::remove_file(stage.world.path(name)).unwrap();
        }
        let text = "[sets.shop.databases]\nusers = \"users.db\"\norders = \"orders.db\"\n";
        fs::write(stage.world.path("heirloom.toml"), text).unwrap();
        start(&stage, &["--allow-empty"]).exits(42);
        assert_eq!(stage.world.ask("orders.db", "SELECT count(*) FROM notes"), "100");
    });
}
