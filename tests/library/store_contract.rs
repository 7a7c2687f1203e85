//! The contract of [`Store`], run against every store we ship.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;

use heirloom::store::{LocalStore, MemoryStore, Store, StoreError};

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the source broke"))
    }
}

fn content(store: &dyn Store, name: &str) -> Vec<u8> {
    let file = store.open(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.bytes()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn names(store: &dyn Store) -> Vec<String> {
    let mut names: Vec<String> = store.list().unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

fn what_was_put_is_listed_found_and_read(store: &dyn Store) {
    store.put("a.tar.gz", &mut &b"first archive"[..]).unwrap();
    store.put("b.tar.gz", &mut &b""[..]).unwrap();
    assert_eq!(names(store), ["a.tar.gz", "b.tar.gz"]);
    assert_eq!(content(store, "a.tar.gz"), b"first archive");
    assert_eq!(store.stat("a.tar.gz").unwrap().unwrap().bytes, 13);
    assert_eq!(store.stat("c.tar.gz").unwrap(), None);
}

fn a_range_is_read_and_the_end_is_told(store: &dyn Store) {
    store.put("a.tar.gz", &mut &b"0123456789"[..]).unwrap();
    let file = store.open("a.tar.gz").unwrap();
    let mut buffer = [0; 4];
    file.read_exact_at(&mut buffer, 3).unwrap();
    assert_eq!(&buffer, b"3456");
    assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
    assert_eq!(file.read_exact_at(&mut buffer, 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

fn a_taken_name_is_refused_and_nothing_is_replaced(store: &dyn Store) {
    store.put("a.tar.gz", &mut &b"old"[..]).unwrap();
    assert!(matches!(store.put("a.tar.gz", &mut &b"new"[..]), Err(StoreError::Exists { .. })));
    assert_eq!(content(store, "a.tar.gz"), b"old");

    let folder = tempfile::tempdir().unwrap();
    let staged = folder.path().join("staged");
    fs::write(&staged, "newer").unwrap();
    assert!(matches!(store.commit("a.tar.gz", &staged), Err(StoreError::Exists { .. })));
    assert_eq!(content(store, "a.tar.gz"), b"old");
}

fn a_put_that_fails_half_way_leaves_nothing_to_find(store: &dyn Store) {
    let mut source = io::Read::chain(&b"half an archive"[..], Broken);
    store.put("a.tar.gz", &mut source).unwrap_err();
    assert_eq!(names(store), [""; 0]);
    assert_eq!(store.stat("a.tar.gz").unwrap(), None);
}

fn a_removed_file_is_gone_but_readable_where_it_is_held(store: &dyn Store) {
    store.put("a.tar.gz", &mut &b"held"[..]).unwrap();
    let held = store.open("a.tar.gz").unwrap();
    store.remove("a.tar.gz").unwrap();
    assert_eq!(names(store), [""; 0]);
    let mut buffer = [0; 4];
    held.read_exact_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"held");
    assert!(matches!(store.remove("a.tar.gz"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.open("a.tar.gz"), Err(StoreError::NotFound { .. })));
}

fn a_name_that_leaves_the_store_is_refused(store: &dyn Store) {
    for name in ["../a.tar.gz", "/a.tar.gz", "a/b.tar.gz", "", "..", "a\0.tar.gz"] {
        assert!(store.put(name, &mut &b"x"[..]).is_err(), "{name:?}");
    }
    assert_eq!(names(store), [""; 0]);
}

const CONTRACT: [fn(&dyn Store); 6] = [
    what_was_put_is_listed_found_and_read,
    a_range_is_read_and_the_end_is_told,
    a_taken_name_is_refused_and_nothing_is_replaced,
    a_put_that_fails_half_way_leaves_nothing_to_find,
    a_removed_file_is_gone_but_readable_where_it_is_held,
    a_name_that_leaves_the_store_is_refused,
];

#[test]
fn a_local_directory_keeps_the_contract() {
    for clause in CONTRACT {
        let folder = tempfile::tempdir().unwrap();
        clause(&LocalStore::create(&folder.path().join("store")).unwrap());
    }
}

#[test]
fn memory_keeps_the_contract() {
    for clause in CONTRACT {
        clause(&MemoryStore::default());
    }
}

#[test]
fn a_local_store_is_private_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = LocalStore::create(&root).unwrap();
    store.put("a.tar.gz", &mut &b"secret"[..]).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&store.private()), 0o700);
    assert_eq!(mode(&root.join("a.tar.gz")), 0o600);
}

#[test]
fn a_folder_that_is_not_there_is_unreachable_and_never_empty() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("not/mounted");
    assert!(matches!(LocalStore::open(&missing), Err(StoreError::Unreachable { .. })));
    assert!(matches!(LocalStore::create(&missing), Err(StoreError::Unreachable { .. })));
    let root = folder.path().join("store");
    let store = LocalStore::create(&root).unwrap();
    fs::remove_dir_all(&root).unwrap();
    assert!(matches!(store.list(), Err(StoreError::Unreachable { .. })));
    assert!(matches!(store.stat("a.tar.gz"), Err(StoreError::Unreachable { .. })));
}

#[test]
fn a_folder_in_which_anybody_replaces_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(LocalStore::create(folder.path()), Err(StoreError::Unsafe { .. })));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    LocalStore::create(folder.path()).unwrap();
}

#[test]
fn folders_links_and_hidden_files_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::create(folder.path()).unwrap();
    fs::create_dir(folder.path().join("folder.tar.gz")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link.tar.gz")).unwrap();
    fs::write(folder.path().join(".hidden.tar.gz"), "").unwrap();
    fs::write(folder.path().join("file.tar.gz"), "").unwrap();
    assert_eq!(names(&store), ["file.tar.gz"]);
}
