//! `deploy-with-data.sh`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::JoinHandle;

use super::stage::{Stage, flip_in_database, with_every_shell};
use crate::tools;

const DEPLOY: &str = "deploy-with-data.sh";

fn rows(stage: &Stage, file: &str) -> String {
    stage.world.ask(file, "SELECT count(*) FROM notes")
}

/// An application with a database and a store, and the folder of the next bundle.
fn deployed(stage: &Stage) {
    stage.world.database("app.db");
    stage.world.heirloom(["backup", "app.db"]).success();
    fs::create_dir(stage.world.path("bundle")).unwrap();
}

/// Answers one request with this status, after a backup if it is a success; returns the request.
fn answer_once(status: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/backup", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, server)
}

#[test]
fn the_application_is_asked_and_its_latest_data_is_in_the_bundle() {
    with_every_shell(|mut stage| {
        deployed(&stage);
        stage.world.sql("app.db", "INSERT INTO notes VALUES (1000, 'written since')");
        stage.world.at("2026-03-01T04:00:00Z");
        let args = ["--backup-command", "heirloom backup app.db", "--to", "bundle/app.db", "--set", "app"];
        stage.run(DEPLOY, &args).success().says("bundle/app.db is in place");
        assert_eq!(rows(&stage, "bundle/app.db"), "101");
        assert_eq!(stage.world.files("bundle"), ["app.db"]);
        // Again, over what is there, and then the bundle is deployed.
        stage.world.sql("app.db", "INSERT INTO notes VALUES (1001, 'and since')");
        stage.world.at("2026-03-01T05:00:00Z");
        fs::set_permissions(stage.world.path("bundle/app.db"), fs::Permissions::from_mode(0o664)).unwrap();
        let deploy = [&args[..], &["--", "sh", "-c", "echo deployed \"$@\"; exit 7", "sh", "a b"]].concat();
        let ran = stage.run(DEPLOY, &deploy).exits(7);
        assert_eq!(ran.stdout, "deployed a b\n");
        assert_eq!(rows(&stage, "bundle/app.db"), "102");
        let mode = fs::metadata(stage.world.path("bundle/app.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o664);
        // No safety backup of what a bundle had.
        assert_eq!(stage.world.archives().len(), 3);
    });
}

#[test]
fn the_request_carries_the_secret_and_no_process_list_does() {
    with_every_shell(|mut stage| {
        if !tools::installed("the request for a backup", &["curl"]) {
            return;
        }
        deployed(&stage);
        let seen = stage.world.path("../bin/curl");
        fs::write(&seen, "#!/bin/sh\necho \"$@\" >>\"$STUB_ROOT/curl\"\nPATH=${PATH#*:} exec curl \"$@\"\n").unwrap();
        fs::set_permissions(&seen, fs::Permissions::from_mode(0o755)).unwrap();
        stage.world.env("BACKUP_AUTHORIZATION", r#"Key it's a "secret" \"#);
        let (url, server) = answer_once("204 No Content");
        stage.run(DEPLOY, &["--backup-url", &url, "--to=bundle/app.db"]).success();
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /backup HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("Authorization: Key it's a \"secret\" \\\r\n"), "{request}");
        assert!(!fs::read_to_string(stage.engine().join("curl")).unwrap().contains("secret"));
        assert_eq!(rows(&stage, "bundle/app.db"), "100");
    });
}

#[test]
fn an_application_that_makes_no_backup_is_not_deployed_unless_that_is_allowed() {
    with_every_shell(|stage| {
        if !tools::installed("a refused request for a backup", &["curl"]) {
            return;
        }
        deployed(&stage);
        for status in ["503 Service Unavailable", "401 Unauthorized"] {
            let (url, server) = answer_once(status);
            let ran = stage.run(DEPLOY, &["--backup-url", &url, "--to", "bundle/app.db", "--", "echo", "deployed"]);
            assert_eq!(ran.exits(1).says("--if-away").stdout, "");
            server.join().unwrap();
        }
        let away = ["--backup-url", "http://127.0.0.1:1/", "--to", "bundle/app.db"];
        stage.run(DEPLOY, &away).exits(1);
        stage.run(DEPLOY, &["--backup-command", "false", "--to", "bundle/app.db"]).exits(1);
        assert!(!stage.world.path("bundle/app.db").exists());
        stage
            .run(DEPLOY, &[&away[..], &["--if-away"]].concat())
            .success()
            .says("warning: the application made no backup");
        assert_eq!(rows(&stage, "bundle/app.db"), "100");
    });
}

#[test]
fn what_is_damaged_missing_or_in_use_leaves_the_bundle_as_it_was() {
    with_every_shell(|stage| {
        deployed(&stage);
        fs::write(stage.world.path("bundle/app.db"), "the last one").unwrap();
        let unchanged = |args: &[&str], code: i32| {
            let args = [args, &["--to", "bundle/app.db", "--", "echo", "deployed"]].concat();
            assert_eq!(stage.run(DEPLOY, &args).exits(code).stdout, "");
            assert_eq!(fs::read(stage.world.path("bundle/app.db")).unwrap(), b"the last one");
            assert!(!stage.world.files("bundle").iter().any(|name| name.starts_with('.')));
        };
        unchanged(&["--dir", "nowhere"], 16);
        unchanged(&["--set", "other"], 12);
        for sidecar in ["bundle/app.db-wal", "bundle/app.db-journal"] {
            fs::write(stage.world.path(sidecar), "of the last one").unwrap();
            unchanged(&[], 14);
            fs::remove_file(stage.world.path(sidecar)).unwrap();
        }
        let archive = stage.world.path("backups").join(&stage.world.archives()[0]);
        let mut bytes = fs::read(&archive).unwrap();
        flip_in_database(&mut bytes);
        fs::write(&archive, bytes).unwrap();
        unchanged(&[], 13);
    });
}

#[test]
fn the_archives_of_another_host_are_fetched_by_its_name() {
    with_every_shell(|mut stage| {
        deployed(&stage);
        // The machine that deploys has a database of its own in the same store.
        stage.world.env("HEIRLOOM_HOST", "build-machine");
        stage.world.at("2026-03-01T04:00:00Z");
        stage.world.sql("app.db", "DELETE FROM notes WHERE id > 7");
        stage.world.heirloom(["backup", "app.db"]);
        stage.run(DEPLOY, &["--to", "bundle/app.db", "--from", "test-host"]).success();
        assert_eq!(rows(&stage, "bundle/app.db"), "100");
    });
}

#[test]
fn wrong_usage_is_refused_before_anything_is_asked() {
    with_every_shell(|stage| {
        deployed(&stage);
        let asked = stage.world.path("asked");
        let order = format!("touch {}", asked.display());
        for (args, code) in [
            (&["--backup-command", order.as_str()][..], 2),
            (&["--backup-command", &order, "--to", ""], 2),
            (&["--backup-command", &order, "--to", "no/folder/app.db"], 2),
            (&["--backup-command", &order, "--to", "bundle"], 2),
            (&["--backup-command", &order, "--backup-url", "http://x", "--to", "bundle/app.db"], 2),
            (&["--backup-command", &order, "--to", "bundle/app.db", "--", "no-such-program"], 127),
        ] {
            stage.run(DEPLOY, args).exits(code);
        }
        assert!(!Path::new(&asked).exists());
    });
}
