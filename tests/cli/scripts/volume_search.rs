//! `manage-volume.sh`: which files of a volume count as databases, and what keeps a volume from being deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use super::stage::{Stage, with_every_shell};
use crate::world::Ran;

const MANAGE: &str = "manage-volume.sh";

fn volume(stage: &Stage, name: &str) -> PathBuf {
    stage.run(MANAGE, &["create", name]).success();
    stage.engine().join("volumes").join(name)
}

fn database(path: &Path, value: i64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(&format!("CREATE TABLE t(x); INSERT INTO t VALUES({value});")).unwrap();
    connection.close().unwrap();
}

fn value(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap()
}

/// Runs `manage-volume.sh` as a user who may not read what its mode forbids, also if the tests run as root.
fn run_without_privilege(stage: &Stage, args: &[&str]) -> Ran {
    let inner = stage.command(MANAGE, args);
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.arg("--bounding-set=-dac_override,-dac_read_search");
    }
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(stage.world.work()).env_clear();
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap());
    }
    stage.world.run(&mut command)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_deleted_volume_comes_back_with_every_database_whatever_its_name_and_depth() {
    with_every_shell(|stage| {
        let volume = volume(&stage, "app-data");
        let names = [
            "app.db",
            "var/lib/app/state/v2/store",
            ".hidden/cache",
            "with blank/app [1].db",
            "with\nnewline/a\nb.sqlite",
            "a\nb",
            "quote's \"name\" $HOME `x` \\n",
            "-rf.db",
            "*",
            "あ/日本.db",
            "site1/db.sqlite3",
            "site2/db.sqlite3",
            "UPPER.DB",
        ];
        for (number, name) in (0..).zip(names) {
            database(&volume.join(name), number);
        }
        fs::write(volume.join("empty.db"), "").unwrap();
        fs::write(volume.join("notes"), "SQLite format 3 is what this text is about").unwrap();
        std::os::unix::fs::symlink("nowhere", volume.join("link.db")).unwrap();

        let inspected = stage.run(MANAGE, &["inspect", "app-data"]).success();
        for part in ["/var/lib/app/state/v2/store\n", "/site2/db.sqlite3\n", "/a?b\n"] {
            assert!(inspected.stdout.contains(part), "{part:?} is not in {}", inspected.stdout);
        }
        stage.run(MANAGE, &["delete", "app-data", "--force"]).success();
        assert!(!volume.exists());
        let archive = stage.world.heirloom(["show", "latest", "--json"]).success().json();
        assert_eq!(archive["databases"].as_array().unwrap().len(), names.len(), "{archive}");

        // The folders of a new volume are missing, too.
        stage.run(MANAGE, &["create", "app-data"]).success();
        for name in names.iter().filter(|name| name.contains('\n')) {
            fs::create_dir_all(volume.join(name).parent().unwrap()).unwrap();
        }
        stage.run(MANAGE, &["restore", "app-data", "--force"]).success();
        for (number, name) in (0..).zip(names) {
            assert_eq!(value(&volume.join(name)), number, "{name:?}");
        }
    });
}

#[test]
fn a_volume_that_cannot_be_read_completely_is_not_deleted() {
    with_every_shell(|stage| {
        let volume = volume(&stage, "app-data");
        database(&volume.join("app.db"), 1);
        database(&volume.join("private/secret"), 2);
        for (path, mode) in [(volume.join("private/secret"), 0o600), (volume.join("private"), 0o700)] {
            set_mode(&path, 0);
            for command in [&["backup", "app-data"][..], &["delete", "app-data", "--force"]] {
                let ran = run_without_privilege(&stage, command).exits(1).says("denied");
                assert!(ran.stderr.contains("private"), "{}", ran.stderr);
            }
            assert!(!stage.calls().contains("volume rm"));
            assert_eq!(stage.world.archives(), [""; 0]);
            set_mode(&path, mode);
        }
        run_without_privilege(&stage, &["delete", "app-data", "--force"]).success();
    });
}

#[test]
fn changes_whose_database_is_empty_or_missing_keep_the_volume() {
    with_every_shell(|stage| {
        let volume = volume(&stage, "app-data");
        database(&volume.join("other.db"), 1);
        let path = volume.join("data/app");
        database(&path, 1);
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES(2);").unwrap();
        let wal = fs::read(volume.join("data/app-wal")).unwrap();
        drop(writer);
        fs::write(volume.join("data/app-wal"), wal).unwrap();
        for (main, word) in [(Some(""), "empty"), (None, "missing")] {
            fs::remove_file(&path).unwrap_or_default();
            if let Some(text) = main {
                fs::write(&path, text).unwrap();
            }
            for command in [&["backup", "app-data"][..], &["delete", "app-data", "--force"]] {
                stage.run(MANAGE, command).exits(13).says("data/app-wal").says(word);
            }
        }
        assert!(volume.join("data/app-wal").exists() && stage.world.archives().is_empty());
        // What --without-backup says, it does.
        stage.run(MANAGE, &["delete", "app-data", "--force", "--without-backup"]).success();
    });
}

#[test]
fn a_database_whose_header_is_gone_keeps_the_volume() {
    with_every_shell(|stage| {
        let volume = volume(&stage, "app-data");
        database(&volume.join("other.db"), 1);
        fs::create_dir_all(volume.join("a/b/c")).unwrap();
        for name in ["a/b/c/app.sqlite3", "a/b/c/with sidecar"] {
            fs::write(volume.join(name), "rubbish ".repeat(100)).unwrap();
            if name.ends_with("sidecar") {
                fs::write(volume.join(format!("{name}-wal")), "rubbish").unwrap();
            }
            stage.run(MANAGE, &["delete", "app-data", "--force"]).exits(3).says(name).says("not deleted");
            fs::remove_file(volume.join(name)).unwrap();
        }
    });
}

#[test]
fn databases_in_use_are_backed_up_with_what_only_their_sidecars_hold() {
    with_every_shell(|stage| {
        let volume = volume(&stage, "app-data");
        let path = volume.join("live");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x);").unwrap();
        let journaled = Connection::open(volume.join("journaled")).unwrap();
        journaled.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(3); PRAGMA journal_mode=PERSIST;").unwrap();
        journaled.execute_batch("UPDATE t SET x = 4; BEGIN; UPDATE t SET x = 5;").unwrap();
        writer.execute_batch("INSERT INTO t VALUES(2)").unwrap();
        assert!(volume.join("live-wal").exists() && volume.join("journaled-journal").exists());
        journaled.execute_batch("ROLLBACK").unwrap();
        stage.run(MANAGE, &["backup", "app-data"]).success();
        for (database, expected) in [("live", 2), ("journaled", 4)] {
            let copy = format!("{database}.copy");
            stage.world.heirloom(["restore", "latest", "--only", database, "--to", &copy]).success();
            assert_eq!(value(&stage.world.path(&copy)), expected);
        }
    });
}

#[test]
fn a_volume_that_holds_backups_is_not_deleted() {
    with_every_shell(|stage| {
        stage.world.database("app.db");
        for (name, options) in [("packed", &[][..]), ("plain", &["--no-compress"])] {
            let volume = volume(&stage, name);
            let store = volume.join("backups");
            stage.world.heirloom([&["backup", "app.db", "--dir", store.to_str().unwrap()], options].concat()).success();
            stage.run(MANAGE, &["delete", name, "--force"]).exits(14).says("backups/app_").says("not deleted");
            // The activity log of a store is not a database of an application.
            stage.run(MANAGE, &["backup", name]).exits(10).says("no SQLite database");
            assert!(volume.exists());
        }
    });
}

#[test]
fn archives_carry_the_name_of_this_machine_not_of_the_helper_container() {
    with_every_shell(|mut stage| {
        let volume = volume(&stage, "app-data");
        database(&volume.join("app.db"), 1);
        let this = String::from_utf8(Command::new("uname").arg("-n").output().unwrap().stdout).unwrap();
        stage.world.run(stage.command(MANAGE, &["backup", "app-data"]).env_remove("HEIRLOOM_HOST")).success();
        assert!(stage.calls().contains(&format!("--env HEIRLOOM_HOST={} ", this.trim())), "{}", stage.calls());
        stage.run(MANAGE, &["backup", "app-data", "--host", "web-7"]).success();
        assert!(stage.calls().contains("--env HEIRLOOM_HOST=web-7 "), "{}", stage.calls());
        stage.world.env("HEIRLOOM_HOST", "web-8");
        stage.run(MANAGE, &["backup", "app-data"]).success();
        assert!(stage.calls().contains("--env HEIRLOOM_HOST=web-8 "), "{}", stage.calls());
    });
}
