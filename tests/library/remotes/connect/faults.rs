//! A pin whose server fails at the n-th request, stands still, or whose client is stopped.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use heirloom::progress::{Progress, Silent, Stage};
use heirloom::store::remote::Remote;
use heirloom::store::{Found, ReadStore, Store, StoreError};
use serde_json::{Value, json};

use super::super::connect_server::{ALICE, Connect, Parts, connect};
use super::{Archive, content, names, open, remote};

/// Every fault at the n-th request, for n = 1, 2, 3 … until none is left to fail.
fn at_every_request(mut run: impl FnMut(&Connect, &Value)) {
    let server = Connect::start(Parts::Given);
    let kinds = [
        json!({ "drop": true }),
        json!({ "drop": true, "after": true }),
        json!({ "status": 500, "body": "<html>" }),
        json!({ "status": 503, "after": true }),
        json!({ "status": 429 }),
        json!({ "status": 403, "body": "{\"code\": 19, \"error\": \"no\"}" }),
        json!({ "status": 404, "body": "<html>not here" }),
        json!({ "status": 409, "body": "{\"code\": 1, \"error\": \"busy\"}" }),
        json!({ "status": 200, "body": "<html>a proxy" }),
        json!({ "status": 200, "body": "{\"half\": " }),
        json!({ "status": 302 }),
    ];
    for kind in kinds {
        for n in 0.. {
            let mut fault = kind.clone();
            fault["path"] = json!(".");
            (fault["times"], fault["skip"]) = (json!(1), json!(n));
            run(&server, &fault);
            // Fewer requests than that: everything was tried.
            if server.plan(&[]).len() <= n {
                assert!(n >= 3, "{kind}");
                break;
            }
        }
    }
}

pub(super) fn impatient() -> Remote {
    Remote { request: Duration::from_secs(3), stalled: Duration::from_secs(3), ..remote(ALICE) }
}

#[test]
fn whichever_request_of_a_commit_fails_the_archive_is_there_once_or_not_at_all() {
    let archive = Archive::new(100_000);
    at_every_request(|server, fault| {
        let url = server.pin();
        let store = open(&url, &impatient());
        server.plan(std::slice::from_ref(fault));
        let committed = store.commit("a.tar.gz", &archive.upload, &Silent);
        let requests = server.plan(&[]);
        // As another host sees it.
        let seen = open(&url, &remote(ALICE));
        let listed = names(&seen);
        let shown = || format!("{fault}: {committed:?}, {listed:?} after {requests:?}");
        assert!(listed.is_empty() || listed == ["a.tar.gz"], "{}", shown());
        assert!(committed.is_err() || listed == ["a.tar.gz"], "{}", shown());
        assert!(!matches!(committed, Err(StoreError::NotFound { .. } | StoreError::Exists { .. })), "{}", shown());
        // The next try of this run makes up for it, and makes no second one.
        store.commit("a.tar.gz", &archive.upload, &Silent).unwrap_or_else(|error| panic!("{error:?}: {}", shown()));
        assert_eq!(names(&seen), ["a.tar.gz"], "{}", shown());
        assert_eq!(content(&seen, "a.tar.gz"), archive.bytes);
        server.plan(std::slice::from_ref(fault));
        let _ = open(&url, &impatient()).list();
    });
}

#[test]
fn whichever_request_of_a_reader_fails_nothing_is_called_gone() {
    let url = std::cell::OnceCell::new();
    let archive = Archive::new(300_000);
    at_every_request(|server, fault| {
        let url = url.get_or_init(|| {
            let url = server.pin();
            let store = open(&url, &remote(ALICE));
            store.put("old.tar.gz", b"old").unwrap();
            store.commit("a.tar.gz", &archive.upload, &Silent).unwrap();
            url
        });
        let is_honest = |error: &StoreError| !matches!(error, StoreError::NotFound { .. });
        server.plan(std::slice::from_ref(fault));
        let store = open(url, &impatient());
        match store.list() {
            // A version whose files the server does not give out is not listed; the active one is never left out.
            Ok(entries) if fault["status"] == 404 => assert!(entries.iter().any(|entry| entry.name == "a.tar.gz")),
            Ok(entries) => assert_eq!(entries.len(), 2, "{fault}"),
            Err(error) => assert!(is_honest(&error), "{fault}: {error:?}"),
        }
        match store.stat("a.tar.gz") {
            Ok(found) => assert_eq!(found.unwrap().bytes, 300_000),
            Err(error) => assert!(is_honest(&error), "{fault}: {error:?}"),
        }
        match store.open("a.tar.gz", None) {
            Ok(file) => {
                let mut bytes = vec![0; 300_000];
                match file.read_exact_at(&mut bytes, 0) {
                    Ok(()) => assert_eq!(bytes, archive.bytes),
                    Err(error) => assert_ne!(error.kind(), io::ErrorKind::NotFound, "{fault}"),
                }
            }
            Err(error) => assert!(is_honest(&error), "{fault}: {error:?}"),
        }
    });
}

/// Cancels once some bytes were sent.
struct StopAfter(u64, std::sync::atomic::AtomicU64);

impl Progress for StopAfter {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, units: u64) {
        self.1.fetch_add(units, std::sync::atomic::Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::Relaxed) >= self.0
    }
}

#[test]
fn a_cancelled_upload_leaves_nothing_and_is_made_up_for() {
    let server = connect(Parts::Given);
    let archive = Archive::new(8_000_000);
    for stop_after in [0, 1, 4_000_000, 8_000_000] {
        let url = server.pin();
        let limited = Remote { upload_limit: NonZeroU64::new(16_000_000), ..remote(ALICE) };
        let store = open(&url, &limited);
        let stopped = store.commit("a.tar.gz", &archive.upload, &StopAfter(stop_after, 0.into()));
        assert!(matches!(stopped, Err(StoreError::Interrupted(_))), "{stop_after}: {stopped:?}");
        assert_eq!(names(&store), [""; 0]);
        store.commit("a.tar.gz", &archive.upload, &Silent).unwrap();
        assert_eq!(content(&store, "a.tar.gz"), archive.bytes);
    }
}

#[test]
fn an_upload_that_stands_still_ends() {
    let server = Connect::start(Parts::Given);
    let store = open(&server.pin(), &Remote { stalled: Duration::from_secs(1), ..remote(ALICE) });
    server.plan(&[json!({ "path": "POST .*/bundles", "times": 9, "sleep": 5, "drop": true })]);
    let failed = store.try_commit("a.tar.gz", &Archive::new(1000).upload, &Silent);
    assert!(matches!(failed, Err(StoreError::Unanswered { .. })), "{failed:?}");
}

#[test]
fn a_version_that_was_never_deployed_is_deployed_by_the_next_look() {
    let server = Connect::start(Parts::Given);
    let archive = Archive::new(1000);
    let store = open(&server.pin(), &impatient());
    store.put("old.tar.gz", b"old").unwrap();
    server.plan(&[json!({ "path": "POST .*/deploy", "times": 99, "status": 503 })]);
    let failed = store.try_commit("a.tar.gz", &archive.upload, &Silent);
    assert!(matches!(failed, Err(StoreError::Unanswered { .. })), "{failed:?}");
    server.plan(&[]);
    // It has no files, so it is not listed, and the active version stays.
    assert_eq!(names(&store), ["old.tar.gz"]);
    assert_eq!(store.look_up("a.tar.gz", &archive.upload).unwrap(), Found::Absent);
    store.commit("a.tar.gz", &archive.upload, &Silent).unwrap();
    assert_eq!(names(&store), ["old.tar.gz", "a.tar.gz"]);
}

/// A run that is killed while it uploads, deploys, or reads back.
#[test]
fn whenever_a_run_is_killed_nothing_half_made_is_listed_and_the_next_makes_up_for_it() {
    let server = Connect::start(Parts::Given);
    let (url, folder) = (server.pin(), tempfile::tempdir().unwrap());
    let database = folder.path().join("app.db");
    let sql = "CREATE TABLE t(x); INSERT INTO t VALUES (randomblob(2000000));";
    rusqlite::Connection::open(&database).unwrap().execute_batch(sql).unwrap();
    fs::write(folder.path().join("heirloom.toml"), "[store]\nlimit_upload = \"2 MB\"\n").unwrap();
    let heirloom = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_heirloom"));
        command.args(args).args(["--dir", &url, "--config", folder.path().join("heirloom.toml").to_str().unwrap()]);
        command.env("HOME", folder.path()).env("HEIRLOOM_STATE_DIR", folder.path().join("state"));
        command.env("CONNECT_API_KEY", ALICE).env("HEIRLOOM_HOST", "here");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let store = open(&url, &remote(ALICE));
    for (round, pause) in [100, 300, 500, 700, 900, 1100, 1300, 1500].into_iter().enumerate() {
        let mut run = heirloom(&["backup", database.to_str().unwrap()]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        let _ = run.kill();
        run.wait().unwrap();
        let listed = names(&store);
        assert!(heirloom(&["backup", database.to_str().unwrap()]).status().unwrap().success(), "round {round}");
        assert!(names(&store).len() > listed.len(), "round {round}");
    }
    // Whatever became an archive is whole.
    assert!(heirloom(&["verify", "--all"]).status().unwrap().success());
}
