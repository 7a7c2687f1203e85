//! The store in a pin on Posit Connect: against a fake server that the real client of Posit, `pins`, is held against.

use std::fs;
use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heirloom::archive::Opener;
use heirloom::names::{ArchiveName, HostLabel};
use heirloom::ops::Repository;
use heirloom::ops::inventory::{Reading, inventory};
use heirloom::ops::sealing::Encryption;
use heirloom::progress::{Progress, Silent, Stage};
use heirloom::store::remote::Remote;
use heirloom::store::{self, ConnectStore, Entry, Found, ReadStore, Store, StoreError, Upload};
use heirloom::store_url::StoreUrl;
use heirloom::workspace::Workspace;
use serde_json::{Value, json};

use super::connect_server::{ALICE, BOB, Connect, Parts, connect};
use crate::store_contract::keeps_the_contract;
use crate::tools;

fn remote(key: &'static str) -> Remote {
    Remote::new(move |name| (name == "CONNECT_API_KEY").then(|| key.into()))
}

fn open(url: &str, remote: &Remote) -> ConnectStore {
    ConnectStore::open(&StoreUrl::parse(url).unwrap().unwrap(), remote).unwrap()
}

fn content(store: &dyn ReadStore, name: &str) -> Vec<u8> {
    let file = store.open(name, None).unwrap();
    let mut bytes = vec![0; usize::try_from(file.bytes()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn names(store: &dyn ReadStore) -> Vec<String> {
    store.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

/// A finished archive of some size.
struct Archive {
    upload: Upload,
    bytes: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Archive {
    fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let bytes: Vec<u8> = (0..bytes).map(|index| (index * 31 / 7) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        Self { upload: Upload::of(&path).unwrap(), bytes, _folder: folder }
    }
}

#[test]
fn a_pin_fulfils_the_contract() {
    let server = connect(Parts::Given);
    keeps_the_contract(|| open(&server.pin(), &remote(ALICE)));
}

#[test]
fn a_pin_on_a_server_that_gives_no_parts_fulfils_the_contract() {
    let server = connect(Parts::Refused);
    keeps_the_contract(|| open(&server.pin(), &remote(ALICE)));
    let store = open(&server.pin(), &remote(ALICE));
    store.put("a.tar.gz", b"0123456789").unwrap();
    store.prepare().unwrap();
    assert!(!store.capabilities().ranges);
    let file = store.open("a.tar.gz", None).unwrap();
    assert_eq!(file.block_bytes(), None);
    for (offset, expected) in [(0, b"01"), (2, b"23"), (6, b"67"), (1, b"12")] {
        let mut buffer = [0; 2];
        file.read_exact_at(&mut buffer, offset).unwrap();
        assert_eq!(&buffer, expected);
    }
}

#[test]
fn a_server_that_gives_parts_is_recognized() {
    let store = open(&connect(Parts::Given).pin(), &remote(ALICE));
    store.put("a.tar.gz", b"0123456789").unwrap();
    store.prepare().unwrap();
    assert!(store.capabilities().ranges);
    assert!(store.open("a.tar.gz", None).unwrap().block_bytes().is_some());
}

/// Without that, each member of an archive took several requests.
#[test]
fn an_archive_that_is_held_is_read_in_blocks_too() {
    let store = open(&connect(Parts::Given).pin(), &remote(ALICE));
    store.put("a.tar.gz", b"0123456789").unwrap();
    let blocks = store.open("a.tar.gz", None).unwrap().block_bytes();
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::new(Arc::new(store), Workspace::at(folder.path().join("workspace")));
    let held = repository.open(&ArchiveName::new("a.tar.gz").unwrap(), None).unwrap();
    assert_eq!(held.block_bytes(), blocks);
    assert!(blocks.is_some());
}

/// The client of Posit, in Python.
struct Client<'a> {
    server: &'a Connect,
    cache: tempfile::TempDir,
}

impl<'a> Client<'a> {
    fn new(promise: &str, server: &'a Connect) -> Option<Self> {
        tools::have_modules(promise, "pins").then(|| Self { server, cache: tempfile::tempdir().unwrap() })
    }

    fn ask(&self, action: &str, arguments: &[&str]) -> Value {
        self.ask_as(ALICE, action, arguments)
    }

    fn ask_as(&self, key: &str, action: &str, arguments: &[&str]) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/pins_client.py");
        let mut command = tools::python();
        command.arg(script).args([&self.server.endpoint(), key, action]).args(arguments);
        command.env("PINS_CACHE_DIR", self.cache.path()).env("PINS_DATA_DIR", self.cache.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn sha256(bytes: &[u8]) -> String {
    heirloom::digest::Sha256::of(bytes).to_string()
}

/// The name of a pin in its URL: `alice/pin-1`.
fn pin_of(url: &str) -> String {
    StoreUrl::parse(url).unwrap().unwrap().prefix
}

#[test]
fn the_client_of_posit_reads_what_we_write() {
    let server = connect(Parts::Given);
    let Some(client) = Client::new("what we write is read by pins", server) else { return };
    let url = server.pin();
    let pin = pin_of(&url);
    let store = open(&url, &remote(ALICE));
    let archives = [100, 200_000, 70_000].map(Archive::new);
    let file_names = [
        "notes_20260301T030000Z.tar.gz",
        "a: \"b\" 'c' & ü 20260301T030000Z.tar.gz",
        &format!("{}.tar.gz", "n".repeat(200)),
    ];
    for (archive, name) in archives.iter().zip(file_names) {
        store.commit(name, &archive.upload, &Silent).unwrap();
    }
    let listed = store.list().unwrap();
    let versions: Vec<&str> = listed.iter().map(|entry| entry.version.as_deref().unwrap()).collect();
    assert_eq!(client.ask("versions", &[&pin]), json!(versions));
    assert!(client.ask("list", &[]).as_array().unwrap().contains(&json!(pin)));
    for ((archive, name), version) in archives.iter().zip(file_names).zip(&versions) {
        assert_eq!(client.ask("download", &[&pin, version]), json!({ name: sha256(&archive.bytes) }));
        let meta = client.ask("meta", &[&pin, version]);
        assert_eq!((&meta["file"], &meta["file_size"]), (&json!(name), &json!(archive.bytes.len())));
        assert_eq!((&meta["type"], &meta["api_version"]), (&json!("file"), &json!(1)));
        assert_eq!(meta["user"]["heirloom_sha256"], sha256(&archive.bytes));
    }
    // The newest is what a reader gets without a version.
    assert_eq!(client.ask("download", &[&pin]), json!({ file_names[2]: sha256(&archives[2].bytes) }));
    // And it may prune: the others are gone, as the server says.
    client.ask("prune", &[&pin, "1"]);
    assert_eq!(names(&store), [file_names[2]]);
    assert!(matches!(store.open(file_names[0], Some(&listed[0])), Err(StoreError::NotFound { .. })));
    assert_eq!(
        client.ask("delete_version", &[&pin, versions[2]])["error"].as_str().unwrap(),
        "PinsError: Posit Connect \
        cannot delete the latest pin version."
    );
}

#[test]
fn we_read_what_the_client_of_posit_writes() {
    let server = connect(Parts::Given);
    let Some(client) = Client::new("what pins writes is read", server) else { return };
    let url = server.pin();
    let pin = pin_of(&url);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    client.ask("upload", &[&pin, &write("notes_20260301T030000Z.tar.gz", b"an archive by hand")]);
    client.ask("upload_as_list", &[&pin, &write("app.db", b"a database")]);
    client.ask("upload", &[&pin, &write("app.db", b"a newer one")]);
    client.ask("upload", &[&pin, &write("a.csv", b"1,2"), &write("b.csv", b"3,4")]);
    client.ask("upload", &[&pin, &write("table.csv", b"1,2")]);
    let store = open(&url, &remote(ALICE));
    let listed = store.list().unwrap();
    let time = |entry: &Entry| entry.modified.format("%Y%m%dT%H%M%SZ").to_string();
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert_eq!(listed[0].name, format!("notes_20260301T030000Z_{}.tar.gz", time(&listed[0])));
    assert_eq!(listed[1].name, format!("app_{}.db", time(&listed[1])));
    assert!(listed[2].name.starts_with(&format!("app_{}", time(&listed[2]))), "{listed:?}");
    for (entry, expected) in listed.iter().zip([&b"an archive by hand"[..], b"a database", b"a newer one"]) {
        assert_eq!((content(&store, &entry.name).as_slice(), entry.bytes), (expected, expected.len() as u64));
    }
    // A wrong key, and a pin of somebody else.
    let refused = client.ask_as("wrong", "list", &[])["error"].to_string();
    assert!(refused.contains("'code': 30"), "{refused}");
    client.ask("delete", &[&pin]);
    assert_eq!(store.list().unwrap(), []);
}

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

fn impatient() -> Remote {
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

#[test]
fn the_key_is_needed_and_its_errors_are_told_apart() {
    let server = connect(Parts::Given);
    let url = StoreUrl::parse(&server.pin()).unwrap().unwrap();
    for none in [None, Some(""), Some(" \n")] {
        let without = ConnectStore::open(&url, &Remote::new(move |_| none.map(str::to_owned)));
        let error = without.err().unwrap();
        assert!(matches!(error, StoreError::NoCredentials { variable: "CONNECT_API_KEY", .. }), "{error:?}");
    }
    let text = url.text();
    let secret = "wrong-key-with-a-secret";
    for error in [
        open(&text, &remote(secret)).list().unwrap_err(),
        open(&text, &remote(secret)).put("a.tar.gz", b"x").unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains(secret));
    }
    // The pin of another user: it is not seen, and cannot be made.
    let other = open(&server.url("bob/backups"), &remote(ALICE));
    assert_eq!(other.list().unwrap(), []);
    assert!(matches!(other.put("a.tar.gz", b"x"), Err(StoreError::Denied { .. })));
    open(&server.url("bob/backups"), &remote(BOB)).put("a.tar.gz", b"x").unwrap();
    let unknown = open(&server.url("nobody/backups"), &remote(ALICE)).list().unwrap_err();
    assert!(matches!(unknown, StoreError::Io { .. }), "{unknown:?}");
    // The server is away.
    let away = open("connect://connect.example/alice/backups?endpoint=http://127.0.0.1:1", &impatient());
    for error in [away.list().unwrap_err(), away.put("a.tar.gz", b"x").unwrap_err(), away.own_id().unwrap_err()] {
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    }
}

#[test]
fn an_application_is_never_replaced_by_an_archive() {
    let server = Connect::start(Parts::Given);
    for (app_mode, category) in [("shiny", ""), ("static", "plot"), ("api", "pin")] {
        let item = json!([{ "guid": "g", "app_mode": app_mode, "content_category": category }]);
        server.plan(&[json!({ "path": "GET .*/v1/content$", "times": 99, "status": 200, "body": item.to_string() })]);
        let store = open(&server.pin(), &remote(ALICE));
        let refused = store.put("a.tar.gz", b"x");
        assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
        assert!(!server.plan(&[]).iter().any(|request| request.starts_with("POST")));
    }
}

#[test]
fn a_pin_has_an_id_of_its_own_and_no_place_for_small_files() {
    let server = connect(Parts::Given);
    let (url, other) = (server.pin(), server.pin());
    let store = open(&url, &remote(ALICE));
    let capabilities = store.capabilities();
    assert!(!capabilities.marks && !capabilities.remove_newest && !capabilities.takes_safety);
    assert!(store::identity(&store).unwrap().is_none());
    store::identify(&store, "a test", "2026-03-01T03:00:00Z".parse().unwrap()).unwrap();
    store.put("a.tar.gz", b"x").unwrap();
    let id = store::identity(&store).unwrap().unwrap().id;
    store.put("b.tar.gz", b"x").unwrap();
    assert_eq!(store::identity(&open(&url, &remote(ALICE))).unwrap().unwrap().id, id);
    let another = open(&other, &remote(ALICE));
    another.put("a.tar.gz", b"x").unwrap();
    assert_ne!(store::identity(&another).unwrap().unwrap().id, id);

    for name in ["a.tar.gz.keep", "heirloom-store.json"] {
        let StoreError::Io { cause, .. } = store.put(name, b"{}").unwrap_err() else { panic!() };
        assert_eq!(cause.kind(), io::ErrorKind::Unsupported);
    }
    let StoreError::Io { cause, .. } = store.remove("b.tar.gz").unwrap_err() else { panic!() };
    assert!(cause.to_string().contains("active version"), "{cause}");
    store.remove("a.tar.gz").unwrap();
}

/// The tool that this one replaces uploaded plain databases to its pin.
#[test]
fn the_pin_of_the_old_tool_goes_on_as_a_store() {
    let server = connect(Parts::Given);
    let Some(client) = Client::new("the pin of the old tool is read", server) else { return };
    let (url, folder) = (server.pin(), tempfile::tempdir().unwrap());
    let database = folder.path().join("python_api.db");
    let uploaded: Vec<Vec<u8>> = (1..=2)
        .map(|rows| {
            let sql = format!("CREATE TABLE IF NOT EXISTS notes(text); INSERT INTO notes VALUES ('note {rows}');");
            rusqlite::Connection::open(&database).unwrap().execute_batch(&sql).unwrap();
            client.ask("upload", &[&pin_of(&url), database.to_str().unwrap()]);
            fs::read(&database).unwrap()
        })
        .collect();

    let store = open(&url, &remote(ALICE));
    let listed = || {
        let repository = Repository::new(Arc::new(store.clone()), Workspace::at(folder.path().join("workspace")));
        let reading = Reading {
            opener: Opener::new(chrono_tz::UTC),
            host: HostLabel::new("here").unwrap(),
            encryption: Encryption::default(),
        };
        inventory(&repository, &reading, &Silent).unwrap()
    };
    let before = listed();
    assert_eq!(before.foreign, []);
    assert_eq!(before.snapshots.len(), 2);
    for (snapshot, expected) in before.snapshots.iter().rev().zip(&uploaded) {
        assert!(snapshot.is_plain() && snapshot.set.as_str() == "python_api", "{snapshot:?}");
        assert_eq!(&content(&store, snapshot.name.as_str()), expected);
    }
    // What a restore gets is what was uploaded.
    let newest = before.snapshots[0].name.as_str();
    let file = store.open(newest, None).unwrap();
    let archive = Opener::new(chrono_tz::UTC).open(file, newest, before.snapshots[0].created_at).unwrap();
    let restored = tempfile::tempfile().unwrap();
    archive.unpack(&[(0, &restored)], NonZeroUsize::MIN, &Silent).unwrap();
    assert_eq!(restored.metadata().unwrap().len(), uploaded[1].len() as u64);

    // The first archive of this tool becomes the active version; the databases stay until the server removes them.
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_heirloom"))
        .args(["backup", database.to_str().unwrap(), "--dir", folder.path().join("local").to_str().unwrap()])
        .env("HOME", folder.path())
        .env("HEIRLOOM_STATE_DIR", folder.path().join("state"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let made = fs::read_dir(folder.path().join("local")).unwrap().map(|entry| entry.unwrap().path());
    let made = made.into_iter().find(|path| path.extension().is_some_and(|ending| ending != "json")).unwrap();
    let name = made.file_name().unwrap().to_str().unwrap();
    store.commit(name, &Upload::of(&made).unwrap(), &Silent).unwrap();
    let after = listed();
    assert_eq!(after.snapshots.len(), 3);
    let archives: Vec<&str> =
        after.snapshots.iter().filter(|one| !one.is_plain()).map(|one| one.name.as_str()).collect();
    assert_eq!(archives, [name]);
    assert_eq!(client.ask("download", &[&pin_of(&url)]), json!({ name: sha256(&fs::read(&made).unwrap()) }));
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
