//! `manage-volume.sh`.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::stage::{Stage, with_every_shell};

const MANAGE: &str = "manage-volume.sh";

/// Makes a volume with two databases, one of them in a folder with a blank.
fn volume(stage: &Stage) -> PathBuf {
    stage.run(MANAGE, &["create", "app-data"]).success();
    let volume = stage.engine().join("volumes/app-data");
    fs::create_dir(volume.join("more data")).unwrap();
    for name in ["app.db", "more data/users.sqlite"] {
        Connection::open(volume.join(name))
            .unwrap()
            .execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1);")
            .unwrap();
    }
    fs::write(volume.join("notes.txt"), "no database").unwrap();
    volume
}

#[test]
fn a_volume_is_made_once_listed_and_inspected() {
    with_every_shell(|stage| {
        let volume = volume(&stage);
        assert!(stage.run(MANAGE, &["create", "app-data"]).success().stdout.contains("already exists"));
        assert!(volume.join("app.db").exists());
        assert_eq!(stage.run(MANAGE, &["list"]).success().stdout, "app-data\n");
        stage.run(MANAGE, &["backup", "app-data"]).success();
        let ran = stage.run(MANAGE, &["inspect", "app-data"]).success();
        for part in ["\"Name\": \"app-data\"", "app.db", "app-data_20260301T030000Z.tar.gz"] {
            assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
        }
    });
}

#[test]
fn every_database_in_the_volume_is_backed_up() {
    with_every_shell(|stage| {
        volume(&stage);
        stage.run(MANAGE, &["--engine=podman", "backup", "app-data"]).success();
        assert_eq!(stage.world.archives(), ["app-data_20260301T030000Z.tar.gz"]);
        let document = stage.world.heirloom(["show", "latest", "--json"]).success().json();
        let text = document.to_string();
        assert!(text.contains("app.db") && text.contains("users.sqlite"), "{text}");
        assert!(stage.calls().contains("podman run --rm --interactive --network none"), "{}", stage.calls());
    });
}

#[test]
fn a_volume_that_is_not_there_is_never_made_by_mistake() {
    with_every_shell(|stage| {
        for command in ["backup", "restore", "inspect", "delete"] {
            stage.run(MANAGE, &[command, "app-dta"]).exits(10).says("no volume \"app-dta\"");
        }
        assert!(!stage.engine().join("volumes/app-dta").exists());
        stage.run(MANAGE, &["backup", "../other"]).exits(2).says("../other");
        stage.run(MANAGE, &["destroy", "app-data"]).exits(2).says("destroy");
        stage.run(MANAGE, &["--engine", "no-engine", "list"]).exits(127).says("no-engine");
    });
}

#[test]
fn a_volume_is_deleted_after_its_last_backup_only() {
    with_every_shell(|stage| {
        let volume = volume(&stage);
        stage.run(MANAGE, &["delete", "app-data"]).exits(14).says("--force");
        fs::write(stage.engine().join("users/app-data"), "c0ffee\n").unwrap();
        stage.run(MANAGE, &["delete", "app-data", "--force"]).exits(14).says("c0ffee");
        fs::remove_file(stage.engine().join("users/app-data")).unwrap();
        let good = fs::read(volume.join("app.db")).unwrap();
        fs::write(volume.join("app.db"), "rubbish ".repeat(100)).unwrap();
        stage.run(MANAGE, &["delete", "app-data", "--force"]).exits(3).says("was not deleted");
        assert!(volume.join("app.db").exists());
        fs::write(volume.join("app.db"), good).unwrap();
        stage.run(MANAGE, &["delete", "app-data", "--force"]).success();
        assert!(!volume.exists());
        let document = stage.world.heirloom(["list", "--json"]).success().json();
        assert_eq!(document["archives"][0]["kind"], "final");
    });
}

#[test]
fn a_volume_without_databases_goes_only_when_that_is_said() {
    with_every_shell(|stage| {
        stage.run(MANAGE, &["create", "empty"]).success();
        stage
            .run(MANAGE, &["delete", "empty", "--force"])
            .exits(10)
            .says("no SQLite database")
            .says("--without-backup");
        stage.run(MANAGE, &["delete", "empty", "--force", "--without-backup"]).success();
        let mut command = stage.command(MANAGE, &["create", "other"]);
        stage.world.run(command.env("STUB_FAIL", "volume create")).exits(1).says("could not create the volume");
    });
}

#[test]
fn a_volume_is_restored_after_a_question() {
    with_every_shell(|stage| {
        let volume = volume(&stage);
        stage.run(MANAGE, &["backup", "app-data"]).success();
        let ask = |name: &str| -> i64 {
            Connection::open(volume.join(name))
                .unwrap()
                .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
                .unwrap()
        };
        Connection::open(volume.join("app.db")).unwrap().execute_batch("DELETE FROM t").unwrap();
        fs::remove_file(volume.join("more data/users.sqlite")).unwrap();
        stage.run(MANAGE, &["restore", "app-data"]).exits(14).says("--force");
        stage.run(MANAGE, &["restore", "app-data", "no-such"]).exits(12).says("no-such");
        stage.run(MANAGE, &["restore", "app-data", "--force"]).success();
        assert_eq!([ask("app.db"), ask("more data/users.sqlite")], [1, 1]);
        stage.run(MANAGE, &["restore", "app-data", "app-data_20260301T030000Z", "--force"]).success();
    });
}
