//! The client of Posit, `pins`, reads what we write, and we read what it writes.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use heirloom::archive::Opener;
use heirloom::names::HostLabel;
use heirloom::ops::Repository;
use heirloom::ops::inventory::{Reading, inventory};
use heirloom::ops::sealing::Encryption;
use heirloom::progress::Silent;
use heirloom::store::{Entry, ReadStore, Store, StoreError, Upload};
use heirloom::store_url::StoreUrl;
use heirloom::workspace::Workspace;
use serde_json::{Value, json};

use super::super::connect_server::{ALICE, Connect, Parts, connect};
use super::{Archive, content, names, open, remote};
use crate::tools;

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
