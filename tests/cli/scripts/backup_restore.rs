//! `backup-databases.sh`, `restore-databases.sh`, `populate-demo-data.sh`, `test-persistence.sh`.

use std::fs;

use super::stage::{Stage, flip_in_database, with_every_shell};

const BACKUP: &str = "backup-databases.sh";
const DEMO: &str = "populate-demo-data.sh";

fn held(stage: &Stage, archive: &str) -> String {
    let document = stage.world.heirloom(["list", "--json"]).success().json();
    let archives = document["archives"].as_array().unwrap().clone();
    let found = archives.into_iter().find(|found| found["archive"].as_str().unwrap().starts_with(archive)).unwrap();
    let names =
        found["databases"].as_array().unwrap().iter().map(|database| database["name"].as_str().unwrap().to_owned());
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn backups_hold_what_was_asked_for() {
    with_every_shell(|stage| {
        stage.demo_here();
        let ran = stage.run(BACKUP, &[]).success();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "quiet where nobody looks");
        stage.run(BACKUP, &["--name", "../all"]).exits(2).says("../all");
        stage.run(BACKUP, &["--name", "users", "--user-db-only", "--note=two words"]).success();
        stage.run(BACKUP, &["--name=arrows", "--arrow-db-only"]).success();
        stage.run(BACKUP, &["--name=both", "--only", "user", "--only=arrow"]).success();
        stage.run(BACKUP, &["--name", "behind", "--", "--kind", "scheduled", "--only", "user"]).success();
        assert_eq!(held(&stage, "archerytools_"), "arrow user");
        assert_eq!(
            [held(&stage, "users"), held(&stage, "arrows"), held(&stage, "both")],
            ["user", "arrow", "arrow user"]
        );
        assert_eq!(held(&stage, "behind"), "user");
        stage.run(BACKUP, &["--bow-db-only"]).exits(2).says("bow");
    });
}

#[test]
fn the_clean_up_follows_good_backups_only() {
    with_every_shell(|mut stage| {
        stage.demo_here();
        for minute in 0..4 {
            stage.world.at(&format!("2026-03-01T03:0{minute}:00Z"));
            stage.run(BACKUP, &["--cleanup", "--keep", "2"]).success();
        }
        let kept = ["archerytools_20260301T030200Z.tar.gz", "archerytools_20260301T030300Z.tar.gz"];
        assert_eq!(stage.world.archives(), kept);
        fs::write(stage.world.path("user_data.db"), "rubbish ".repeat(100)).unwrap();
        stage.world.at("2026-03-01T03:05:00Z");
        stage.run(BACKUP, &["--cleanup", "--keep", "1"]).exits(3).says("user_data.db");
        // The other database is backed up; what holds the damaged one stays.
        assert_eq!(stage.world.archives(), [&kept[..], &["archerytools_20260301T030500Z.tar.gz"]].concat());
        stage.run(BACKUP, &["--keep", "1"]).exits(2);
        stage.run(BACKUP, &["--keep"]).exits(2).says("--keep needs a value");
    });
}

#[test]
fn a_container_is_backed_up_from_within() {
    with_every_shell(|stage| {
        let inside = stage.engine().join("containers/archerytools");
        stage.demo(&inside);
        stage.run(BACKUP, &["--container", "archerytools", "--user-db-only", "--name", "a"]).success();
        assert!(inside.join("backups/a.tar.gz").exists());
        assert_eq!(stage.calls(), "docker exec archerytools heirloom backup --only=user --name=a\n");
        stage.run(BACKUP, &["--container", "archerytools", "--engine", "podman", "--name", "b"]).success();
        assert!(stage.calls().ends_with("podman exec archerytools heirloom backup --name=b\n"), "{}", stage.calls());
        stage.run(BACKUP, &["--container", "elsewhere"]).exits(1).says("elsewhere");
        stage.run(BACKUP, &["--container", "archerytools", "--engine", "no-engine"]).exits(127);
    });
}

#[test]
fn a_missing_binary_is_named() {
    with_every_shell(|stage| {
        let mut command = stage.command(BACKUP, &[]);
        stage.world.run(command.env("HEIRLOOM", "no-heirloom")).exits(127).says("no-heirloom");
    });
}

#[test]
fn demo_data_never_overwrites() {
    with_every_shell(|stage| {
        let ran = stage.run(DEMO, &["--rows=7", "--wal", "a folder"]).success();
        assert!(ran.stdout.contains("a folder"), "{}", ran.stdout);
        assert_eq!(stage.world.ask("a folder/user_data.db", "SELECT count(*) FROM bows"), "7");
        assert_eq!(stage.world.ask("a folder/arrow_database.db", "PRAGMA journal_mode"), "wal");
        stage.run(DEMO, &["a folder"]).exits(14).says("already exists");
        assert_eq!(stage.world.ask("a folder/user_data.db", "SELECT count(*) FROM users"), "7");
        for rows in ["many", "-1", ""] {
            stage.run(DEMO, &["--rows", rows, "other"]).exits(2).says("--rows");
        }
    });
}

const RESTORE: &str = "restore-databases.sh";

/// Demo data with an archive `good`, and the users lost since.
fn damaged_stage(stage: &Stage) {
    stage.demo_here();
    stage.run(BACKUP, &["--name", "good"]).success();
    stage.world.sql("user_data.db", "DELETE FROM bows;");
    stage.world.sql("arrow_database.db", "DELETE FROM arrows;");
}

fn rows(stage: &Stage) -> [String; 2] {
    [
        stage.world.ask("user_data.db", "SELECT count(*) FROM bows"),
        stage.world.ask("arrow_database.db", "SELECT count(*) FROM arrows"),
    ]
}

#[test]
fn restores_bring_back_what_was_asked_for() {
    with_every_shell(|stage| {
        damaged_stage(&stage);
        assert!(stage.run(RESTORE, &["--list"]).success().stdout.contains("good.tar.gz"));
        let ran = stage.run(RESTORE, &["--file", "good", "--verify"]).success();
        assert!(ran.stdout.contains("good can be restored"), "{}", ran.stdout);
        assert_eq!(rows(&stage), ["0", "0"]);
        stage.run(RESTORE, &["--file", "good"]).exits(14).says("--force");
        stage.run(RESTORE, &["--file", "good", "--user-db-only", "--force"]).success();
        assert_eq!(rows(&stage), ["50", "0"]);
        stage.run(RESTORE, &["--latest", "--only=arrow", "--force"]).success();
        assert_eq!(rows(&stage), ["50", "50"]);
        stage.run(RESTORE, &["--undo", "--force"]).success();
        assert_eq!(rows(&stage), ["50", "0"]);
        stage.run(RESTORE, &["--latest", "--dry-run"]).success();
        stage.run(RESTORE, &["--file=good", "--", "--only", "user", "--to", "one [copy].db"]).success();
        assert_eq!(stage.world.ask("one [copy].db", "SELECT count(*) FROM bows"), "50");
        fs::create_dir(stage.world.path("a copy")).unwrap();
        stage.run(RESTORE, &["--latest", "--to-dir", "a copy"]).success();
        assert_eq!(stage.world.ask("a copy/arrow_database.db", "SELECT count(*) FROM arrows"), "50");
        assert_eq!(rows(&stage), ["50", "0"]);
    });
}

#[test]
fn restores_fail_as_heirloom_does() {
    with_every_shell(|stage| {
        damaged_stage(&stage);
        stage.run(RESTORE, &[]).exits(2).says("--list");
        stage.run(RESTORE, &["--latest", "--file", "good"]).exits(2).says("choose one");
        stage.run(RESTORE, &["--file", "-rf", "--force"]).exits(12);
        stage.run(RESTORE, &["--file", "none", "--force"]).exits(12).says("none");
        stage.run(RESTORE, &["--list", "--dir", "not/there"]).exits(16).says("not/there");
        let path = stage.world.path("backups/good.tar.gz");
        let mut bytes = fs::read(&path).unwrap();
        flip_in_database(&mut bytes);
        fs::write(&path, bytes).unwrap();
        stage.run(RESTORE, &["--file", "good", "--verify"]).exits(13);
        stage.run(RESTORE, &["--file", "good", "--force"]).exits(13);
        assert_eq!(rows(&stage), ["0", "0"]);
    });
}

#[test]
fn a_container_is_restored_from_within() {
    with_every_shell(|stage| {
        let inside = stage.engine().join("containers/archerytools");
        stage.demo(&inside);
        stage.run(BACKUP, &["--container", "archerytools", "--name", "good"]).success();
        fs::remove_file(inside.join("user_data.db")).unwrap();
        stage.run(RESTORE, &["--container", "archerytools", "--latest", "--user-db-only"]).success();
        assert!(inside.join("user_data.db").exists());
        assert!(
            stage.calls().ends_with("docker exec archerytools heirloom restore latest --only=user\n"),
            "{}",
            stage.calls()
        );
        assert!(stage.run(RESTORE, &["--container", "archerytools", "--list"]).success().stdout.contains("good"));
    });
}

#[test]
fn the_walk_through_backup_loss_and_restore_succeeds() {
    with_every_shell(|stage| {
        for args in [&[][..], &["--wal"]] {
            let ran = stage.run("test-persistence.sh", args).success();
            assert!(ran.stdout.ends_with("everything came back\n"), "{}", ran.stdout);
        }
        assert_eq!(stage.world.files("../tmp"), [""; 0], "nothing is left behind");
        let mut command = stage.command("test-persistence.sh", &[]);
        stage.world.run(command.env("HEIRLOOM", "no-heirloom")).exits(127).says("no-heirloom");
        // A script that restores nothing must fail the test.
        let pretender = stage.world.path("pretender");
        fs::write(&pretender, "#!/bin/sh\n[ \"$1\" = restore ] || exec heirloom \"$@\"\n").unwrap();
        assert!(std::process::Command::new("chmod").arg("+x").arg(&pretender).status().unwrap().success());
        let mut command = stage.command("test-persistence.sh", &[]);
        stage.world.run(command.env("HEIRLOOM", &pretender)).exits(1).says("FAILED");
    });
}
