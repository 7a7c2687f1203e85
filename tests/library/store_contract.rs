//! The contract of [`Store`], run against every store we ship, and against stores with fewer capabilities.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod unreliable;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heirloom::progress::{Progress, Silent, Stage};
use heirloom::store::{
    Capabilities, Entry, Found, ListedStore, LocalStore, MemoryStore, ReadAt, ReadStore, Store, StoreError, Upload,
};

use self::unreliable::{Lost, Unreliable};

/// A store in which all names of the contract are free.
pub trait Subject: Store + Clone {}
impl<S: Store + Clone> Subject for S {}

/// Progress that counts, and cancels after some bytes.
#[derive(Default)]
struct Counting {
    bytes: AtomicU64,
    stop_after: Option<u64>,
}

impl Progress for Counting {
    fn begin(&self, _: Stage, _: &str, _: u64) {}

    fn advance(&self, units: u64) {
        self.bytes.fetch_add(units, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.stop_after.is_some_and(|limit| self.bytes.load(Ordering::Relaxed) >= limit)
    }
}

/// Finished files to commit.
struct Staging(tempfile::TempDir);

impl Staging {
    fn new(store: &impl Store) -> Self {
        // A local store links, so they must be on its file system.
        Self(
            store
                .folder()
                .map_or_else(tempfile::tempdir, |folder| tempfile::tempdir_in(folder.parent().unwrap()))
                .unwrap(),
        )
    }

    fn file(&self, content: &[u8]) -> Upload {
        let path = self.0.path().join(format!("staged-{}", fs::read_dir(self.0.path()).unwrap().count()));
        fs::write(&path, content).unwrap();
        Upload::of(&path).unwrap()
    }
}

fn content(store: &impl ReadStore, name: &str) -> Vec<u8> {
    let file = store.open(name, None).unwrap();
    let mut bytes = vec![0; usize::try_from(file.bytes()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn names(store: &impl ReadStore) -> Vec<String> {
    let mut names: Vec<String> = store.list().unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

/// Makes another archive the newest where that cannot be removed.
fn let_the_newest_be_removed(store: &impl Subject) {
    if !store.capabilities().remove_newest {
        store.put("z.tar.gz", b"newer").unwrap();
    }
}

fn what_was_put_is_listed_found_and_read(store: &impl Subject) {
    store.put("a.tar.gz", b"first archive").unwrap();
    store.put("b.tar.gz", b"").unwrap();
    assert_eq!(names(store), ["a.tar.gz", "b.tar.gz"]);
    assert_eq!(content(store, "a.tar.gz"), b"first archive");
    assert_eq!(store.stat("a.tar.gz").unwrap().unwrap().bytes, 13);
    assert_eq!(store.stat("c.tar.gz").unwrap(), None);
    assert!(store.has("a.tar.gz").unwrap() && !store.has("c.tar.gz").unwrap());
}

fn a_range_is_read_and_the_end_is_told(store: &impl Subject) {
    store.put("a.tar.gz", b"0123456789").unwrap();
    let file = store.open("a.tar.gz", None).unwrap();
    let mut buffer = [0; 4];
    file.read_exact_at(&mut buffer, 3).unwrap();
    assert_eq!(&buffer, b"3456");
    assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
    assert_eq!(file.read_exact_at(&mut buffer, 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

fn a_taken_name_is_refused_and_nothing_is_replaced(store: &impl Subject) {
    store.put("a.tar.gz", b"old").unwrap();
    assert!(matches!(store.put("a.tar.gz", b"new"), Err(StoreError::Exists { .. })));
    assert_eq!(content(store, "a.tar.gz"), b"old");

    let staging = Staging::new(store);
    let refused = store.commit("a.tar.gz", &staging.file(b"newer"), &Silent);
    assert!(matches!(refused, Err(StoreError::Exists { .. })));
    assert_eq!(content(store, "a.tar.gz"), b"old");
    // The same bytes from another run are a different file: that run may remove its own.
    let refused = store.commit("a.tar.gz", &staging.file(b"old"), &Silent);
    assert!(matches!(refused, Err(StoreError::Exists { .. })));
}

fn what_was_committed_is_there_whole_and_its_bytes_are_counted_where_they_are_sent(store: &impl Subject) {
    let staging = Staging::new(store);
    let (bytes, progress) = (vec![7; 300_000], Counting::default());
    store.commit("a.tar.gz", &staging.file(&bytes), &progress).unwrap();
    assert_eq!(content(store, "a.tar.gz"), bytes);
    // A store that links a file has nothing to count.
    let sent = if store.folder().is_some() { 0 } else { 300_000 };
    assert_eq!(progress.bytes.into_inner(), sent);
}

fn a_commit_that_is_stopped_leaves_nothing_to_find(store: &impl Subject) {
    let staging = Staging::new(store);
    let progress = Counting { stop_after: Some(100_000), ..Counting::default() };
    match store.commit("a.tar.gz", &staging.file(&vec![7; 300_000]), &progress) {
        Err(StoreError::Interrupted(_)) => assert_eq!(names(store), [""; 0]),
        // It finished before it could be cancelled.
        done => {
            done.unwrap();
            assert!(store.folder().is_some() || !store.capabilities().atomic_commit);
            assert_eq!(content(store, "a.tar.gz").len(), 300_000);
        }
    }
}

fn a_commit_whose_file_is_gone_leaves_nothing_to_find(store: &impl Subject) {
    let staging = Staging::new(store);
    let upload = staging.file(b"an archive");
    fs::remove_file(upload.path()).unwrap();
    store.commit("a.tar.gz", &upload, &Silent).unwrap_err();
    assert_eq!(names(store), [""; 0]);
    assert_eq!(store.stat("a.tar.gz").unwrap(), None);
    assert!(!store.has("a.tar.gz").unwrap());
}

fn after_a_lost_answer_our_own_file_is_success(store: &impl Subject) {
    let staging = Staging::new(store);
    let store = Unreliable::new(store.clone(), Lost::Answer, 1);
    store.commit("a.tar.gz", &staging.file(b"an archive"), &Silent).unwrap();
    assert_eq!(store.attempts.load(Ordering::Relaxed), 1);
    assert_eq!(content(&store, "a.tar.gz"), b"an archive");
}

fn after_a_lost_request_it_is_tried_again_but_not_for_ever(store: &impl Subject) {
    let staging = Staging::new(store);
    let once = Unreliable::new(store.clone(), Lost::Request, 1);
    once.commit("a.tar.gz", &staging.file(b"an archive"), &Silent).unwrap();
    assert_eq!(once.attempts.load(Ordering::Relaxed), 2);
    assert_eq!(content(&once, "a.tar.gz"), b"an archive");

    let always = Unreliable::new(store.clone(), Lost::Request, u64::MAX);
    let failed = always.commit("b.tar.gz", &staging.file(b"an archive"), &Silent);
    assert!(matches!(failed, Err(StoreError::Unanswered { .. })));
    assert_eq!(store.stat("b.tar.gz").unwrap(), None);
}

fn after_a_lost_answer_a_file_that_was_removed_is_sent_again(store: &impl Subject) {
    let staging = Staging::new(store);
    let store = Unreliable::new(store.clone(), Lost::AnswerAndFile, 1);
    store.commit("a.tar.gz", &staging.file(b"an archive"), &Silent).unwrap();
    assert_eq!(content(&store, "a.tar.gz"), b"an archive");
}

fn after_a_lost_request_a_file_of_another_run_is_a_conflict(store: &impl Subject) {
    let staging = Staging::new(store);
    store.commit("a.tar.gz", &staging.file(b"an archive"), &Silent).unwrap();
    let unreliable = Unreliable::new(store.clone(), Lost::Request, 1);
    let conflict = unreliable.commit("a.tar.gz", &staging.file(b"an archive"), &Silent);
    assert!(matches!(conflict, Err(StoreError::Exists { .. })));
}

fn of_many_commits_to_one_name_one_succeeds(store: &impl Subject) {
    let staging = Staging::new(store);
    let uploads: Vec<Upload> = (0..8_u8).map(|number| staging.file(&[number; 4])).collect();
    let commit = |upload: &Upload| store.commit("a.tar.gz", upload, &Silent).is_ok();
    let won: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = uploads.iter().map(|upload| scope.spawn(move || commit(upload))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<[u8; 4]> = (0..8_u8).filter(|index| won[usize::from(*index)]).map(|index| [index; 4]).collect();
    let found = content(store, "a.tar.gz");
    assert!(winners.iter().any(|winner| found == winner), "{won:?}: {found:?}");
    if store.capabilities().atomic_commit || store.folder().is_some() {
        assert_eq!(winners.len(), 1, "{won:?}");
    }
}

fn what_a_listing_said_opens_the_file(store: &impl Subject) {
    store.put("a.tar.gz", b"first").unwrap();
    let listed = store.list().unwrap().remove(0);
    assert_eq!(Some(&listed), store.stat("a.tar.gz").unwrap().as_ref());
    assert_eq!(store.open("a.tar.gz", Some(&listed)).unwrap().bytes(), 5);
    let_the_newest_be_removed(store);
    store.remove("a.tar.gz").unwrap();
    // At the latest when it is read: opening may send no request.
    let is_gone = || match store.open("a.tar.gz", Some(&listed)) {
        Err(StoreError::NotFound { .. }) => true,
        opened => opened.unwrap().read_at(&mut [0; 5], 0).is_err_and(|error| error.kind() == io::ErrorKind::NotFound),
    };
    assert!(is_gone());
    // Another version is not the listed one, if the store has versions.
    store.put("a.tar.gz", b"again").unwrap();
    assert_eq!(is_gone(), listed.version.is_some());
}

fn a_taken_name_is_refused_to_one_byte_and_to_three_parts(store: &impl Subject) {
    store.put("a.tar.gz", b"old").unwrap();
    let staging = Staging::new(store);
    let sizes = [1, (16 << 20) + 1];
    for bytes in sizes {
        let refused = store.commit("a.tar.gz", &staging.file(&vec![1; bytes]), &Silent);
        assert!(matches!(refused, Err(StoreError::Exists { .. })), "{bytes} bytes: {refused:?}");
        assert_eq!(content(store, "a.tar.gz"), b"old");
    }
    // What was written in parts is as safe.
    let large: Vec<u8> = (0..sizes[1]).map(|index| (index / 7) as u8).collect();
    store.commit("b.tar.gz", &staging.file(&large), &Silent).unwrap();
    let refused = store.commit("b.tar.gz", &staging.file(b"2"), &Silent);
    assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
    assert!(content(store, "b.tar.gz") == large);
}

fn a_removed_file_is_gone_and_readable_as_the_store_promises(store: &impl Subject) {
    store.put("a.tar.gz", b"held").unwrap();
    let held = store.open("a.tar.gz", None).unwrap();
    let has_versions = store.stat("a.tar.gz").unwrap().unwrap().version.is_some();
    let_the_newest_be_removed(store);
    store.remove("a.tar.gz").unwrap();
    assert!(!names(store).contains(&"a.tar.gz".to_owned()));
    assert!(matches!(store.remove("a.tar.gz"), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.open("a.tar.gz", None), Err(StoreError::NotFound { .. })));
    let mut buffer = [0; 4];
    // Never the bytes of another file, if the store can tell them apart.
    if has_versions || store.capabilities().readable_after_removal {
        store.put("a.tar.gz", b"next").unwrap();
    }
    let read = held.read_exact_at(&mut buffer, 0);
    if store.capabilities().readable_after_removal {
        read.unwrap();
        assert_eq!(&buffer, b"held");
    } else {
        read.unwrap_err();
    }
}

/// The lease of a run is a row of hidden files.
fn hidden_files_are_found_by_their_beginning_where_a_name_is_taken_once(store: &impl Subject) {
    store.prepare(0).unwrap();
    if !store.capabilities().atomic_commit {
        return;
    }
    assert_eq!(store.hidden(".lease-a-").unwrap(), [""; 0]);
    for name in [".lease-a-1", ".lease-a-2", ".lease-b-1", "lease-a-1"] {
        store.put(name, b"held").unwrap();
    }
    let mut found = store.hidden(".lease-a-").unwrap();
    found.sort();
    assert_eq!(found, [".lease-a-1", ".lease-a-2"]);
    assert_eq!(names(store), ["lease-a-1"]);
    store.remove(".lease-a-1").unwrap();
    assert_eq!(store.hidden(".lease-a-").unwrap(), [".lease-a-2"]);
}

fn a_name_that_leaves_the_store_is_refused(store: &impl Subject) {
    for name in ["../a.tar.gz", "/a.tar.gz", "a/b.tar.gz", "", "..", "a\0.tar.gz"] {
        assert!(store.put(name, b"x").is_err(), "{name:?}");
    }
    assert_eq!(names(store), [""; 0]);
}

/// Every clause, each on a store of its own.
pub fn keeps_the_contract<S: Subject>(new: impl Fn() -> S) {
    what_was_put_is_listed_found_and_read(&new());
    a_range_is_read_and_the_end_is_told(&new());
    a_taken_name_is_refused_and_nothing_is_replaced(&new());
    a_taken_name_is_refused_to_one_byte_and_to_three_parts(&new());
    what_was_committed_is_there_whole_and_its_bytes_are_counted_where_they_are_sent(&new());
    a_commit_that_is_stopped_leaves_nothing_to_find(&new());
    a_commit_whose_file_is_gone_leaves_nothing_to_find(&new());
    after_a_lost_answer_our_own_file_is_success(&new());
    after_a_lost_request_it_is_tried_again_but_not_for_ever(&new());
    after_a_lost_answer_a_file_that_was_removed_is_sent_again(&new());
    after_a_lost_request_a_file_of_another_run_is_a_conflict(&new());
    of_many_commits_to_one_name_one_succeeds(&new());
    what_a_listing_said_opens_the_file(&new());
    a_removed_file_is_gone_and_readable_as_the_store_promises(&new());
    a_name_that_leaves_the_store_is_refused(&new());
    hidden_files_are_found_by_their_beginning_where_a_name_is_taken_once(&new());
}

#[test]
fn a_local_directory_fulfils_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let stores = AtomicU64::new(0);
    keeps_the_contract(|| {
        LocalStore::create(&folder.path().join(stores.fetch_add(1, Ordering::Relaxed).to_string())).unwrap()
    });
}

#[test]
fn the_memory_store_fulfils_the_contract() {
    keeps_the_contract(MemoryStore::default);
}

/// The contract is that of the store below: a listing of this run shows what this run did.
#[test]
fn a_store_that_is_listed_once_fulfils_the_contract() {
    #[derive(Clone)]
    struct Shared(Arc<ListedStore>);
    impl ReadStore for Shared {
        fn location(&self) -> String {
            self.0.location()
        }
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }
        fn hidden(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
            self.0.hidden(prefix)
        }
        fn list(&self) -> Result<Vec<Entry>, StoreError> {
            // Filled before everything that the contract does.
            self.0.list()
        }
        fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
            self.0.open(name, known)
        }
        fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
            self.0.stat(name)
        }
    }
    impl Store for Shared {
        fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
            self.0.put(name, content)
        }
        fn remove(&self, name: &str) -> Result<(), StoreError> {
            self.0.remove(name)
        }
        fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
            self.0.try_commit(name, upload, progress)
        }
        fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
            self.0.look_up(name, upload)
        }
    }
    keeps_the_contract(|| {
        let store = Shared(Arc::new(ListedStore::new(Arc::new(MemoryStore::default()))));
        assert_eq!(names(&store), [""; 0]);
        store
    });
}

#[test]
fn what_others_did_is_seen_after_a_refresh() {
    let inner = MemoryStore::default();
    let store = ListedStore::new(Arc::new(inner.clone()));
    assert_eq!(names(&store), [""; 0]);
    inner.put("a.tar.gz", b"of another client").unwrap();
    assert_eq!(names(&store), [""; 0]);
    store.refresh();
    assert_eq!(names(&store), ["a.tar.gz"]);
    inner.remove("a.tar.gz").unwrap();
    assert!(matches!(store.remove("a.tar.gz"), Err(StoreError::NotFound { .. })));
    assert_eq!(names(&store), [""; 0]);
}

#[test]
fn memory_stores_with_fewer_capabilities_fulfil_the_contract() {
    keeps_the_contract(|| MemoryStore::with(Capabilities { atomic_commit: false, ..Capabilities::OF_OBJECTS }));
}

#[test]
fn a_local_store_is_private_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = LocalStore::create(&root).unwrap();
    store.put("a.tar.gz", b"secret").unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&store.private()), 0o700);
    assert_eq!(mode(&root.join("a.tar.gz")), 0o600);
}

#[test]
fn a_missing_folder_is_unreachable_and_never_empty() {
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
fn a_folder_in_which_any_user_can_replace_files_is_refused() {
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
