//! The store in a pin on Posit Connect: against a fake server that the real client of Posit, `pins`, is held against.

mod client;
mod faults;

use std::fs;
use std::io;
use std::sync::Arc;

use heirloom::names::ArchiveName;
use heirloom::ops::Repository;
use heirloom::store::remote::Remote;
use heirloom::store::{self, ConnectStore, ReadStore, Store, StoreError, Upload};
use heirloom::store_url::StoreUrl;
use heirloom::workspace::Workspace;
use serde_json::json;

use self::faults::impatient;
use super::connect_server::{ALICE, BOB, Connect, Parts, connect};
use crate::store_contract::keeps_the_contract;

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
    store.prepare(0).unwrap();
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
    store.prepare(0).unwrap();
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
    // The pin of another user: it is not seen, which does not make it empty, and cannot be made.
    let other = open(&server.url("bob/backups"), &remote(ALICE));
    for error in [other.list().unwrap_err(), other.stat("a.tar.gz").unwrap_err(), other.own_id().unwrap_err()] {
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    }
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
