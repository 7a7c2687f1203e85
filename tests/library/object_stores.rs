//! Object stores against real servers: the contract of a store, and what each service can do.

use std::sync::Arc;
use std::sync::OnceLock;

use chrono::Utc;
use heirloom::progress::Progress;
use heirloom::store::remote::{self, Remote};
use heirloom::store::{
    Capabilities, Entry, Examination, Found, ReadAt, ReadStore, Store, StoreError, Upload, identity,
};
use heirloom::store_url::StoreUrl;

use crate::servers::{self, Kind, Place};
use crate::store_contract::keeps_the_contract;

/// A store that was opened by its URL.
#[derive(Clone)]
pub struct Opened(pub Arc<dyn Store>);

impl ReadStore for Opened {
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
        self.0.list()
    }
    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        self.0.open(name, known)
    }
    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        self.0.stat(name)
    }
    fn has(&self, name: &str) -> Result<bool, StoreError> {
        self.0.has(name)
    }
}

impl Store for Opened {
    fn prepare(&self, largest: u64) -> Result<(), StoreError> {
        self.0.prepare(largest)
    }
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

/// What is found out about a server is remembered for the whole test process.
fn memory() -> &'static std::path::Path {
    static MEMORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    MEMORY.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// The surroundings that a place needs.
pub fn remote(place: &Place) -> Remote {
    let variables = place.clone();
    let mut remote = Remote::new(move |name| variables.variable(name));
    remote.memory = Some(memory().to_owned());
    remote.repeated = Arc::new(|line| eprintln!("{line}"));
    remote
}

/// Opens the store in a place.
pub fn opened(place: &Place) -> Opened {
    let url = StoreUrl::parse(&place.url).unwrap().unwrap();
    Opened(remote::open(&url, &remote(place)).unwrap())
}

fn fulfils_the_contract(kind: Kind, stated: Capabilities) {
    let promise = format!("{kind:?} fulfils the contract");
    let Some(place) = servers::place(kind, &promise) else { return };
    let store = opened(&place);
    store.prepare(u64::MAX).unwrap();
    assert_eq!(store.capabilities(), stated);
    keeps_the_contract(|| opened(&servers::place(kind, &promise).unwrap()));
}

#[test]
fn seaweedfs_fulfils_the_contract() {
    fulfils_the_contract(Kind::Seaweed, Capabilities::OF_OBJECTS);
}

#[test]
fn moto_fulfils_the_contract() {
    fulfils_the_contract(Kind::Moto, Capabilities { checksums: false, ..Capabilities::OF_OBJECTS });
}

#[test]
fn azurite_fulfils_the_contract() {
    fulfils_the_contract(Kind::Azurite, Capabilities::OF_OBJECTS);
}

#[test]
fn google_with_its_preconditions_fulfils_the_contract() {
    fulfils_the_contract(Kind::Gcs, Capabilities::OF_OBJECTS);
}

/// It overwrites whatever the precondition says.
#[test]
fn fake_gcs_without_preconditions_is_found_out_and_fulfils_the_contract() {
    fulfils_the_contract(Kind::FakeGcs, Capabilities { atomic_commit: false, ..Capabilities::OF_OBJECTS });
}

/// The kinds, and whether each checks credentials.
const KINDS: [(Kind, bool); 4] =
    [(Kind::Seaweed, true), (Kind::Moto, false), (Kind::Azurite, true), (Kind::Gcs, false)];

/// Returns the chain of an error in one line.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn a_missing_bucket_is_unreachable_and_never_empty() {
    for (kind, _) in KINDS {
        let Some(mut place) = servers::place(kind, "a missing bucket is unreachable") else { continue };
        place.url = place.url.replace(&format!("//{}/", servers::BUCKET), "//missing/");
        let store = opened(&place);
        let is_told = |error: &StoreError| {
            assert!(chain(error).contains("there is no bucket or container \"missing\""), "{kind:?}: {}", chain(error));
            // Not like a folder that was not made yet.
            matches!(error, StoreError::Unreachable { cause, .. } if cause.kind() != std::io::ErrorKind::NotFound)
        };
        assert!(is_told(&store.list().unwrap_err()), "{kind:?}");
        assert!(is_told(&store.stat("a.tar.gz").unwrap_err()), "{kind:?}");
        assert!(is_told(&store.has("a.tar.gz").unwrap_err()), "{kind:?}");
        assert!(is_told(&store.open("a.tar.gz", None).err().unwrap()), "{kind:?}");
        // seaweedfs does not say more to those who may not make buckets.
        let refused = store.put("a.tar.gz", b"x").unwrap_err();
        assert!(matches!(refused, StoreError::Denied { .. }) && kind == Kind::Seaweed || is_told(&refused), "{kind:?}");
        assert!(is_told(&store.remove("a.tar.gz").unwrap_err()), "{kind:?}");
        assert!(is_told(&identity(&store).unwrap_err()), "{kind:?}");
    }
}

#[test]
fn wrong_credentials_are_denied_at_once_and_not_shown() {
    for (kind, checks) in KINDS {
        if !checks {
            continue;
        }
        let Some(mut place) = servers::place(kind, "wrong credentials are denied") else { continue };
        opened(&place).put("a.tar.gz", b"x").unwrap();
        let wrong = "d3Jvbmc2NjY=";
        place.variables.last_mut().unwrap().1 = wrong.into();
        let mut remote = remote(&place);
        remote.repeated = Arc::new(|line| panic!("repeated: {line}"));
        let store = Opened(remote::open(&StoreUrl::parse(&place.url).unwrap().unwrap(), &remote).unwrap());
        for error in [
            store.list().unwrap_err(),
            store.stat("a.tar.gz").unwrap_err(),
            store.open("a.tar.gz", None).err().unwrap(),
            store.put("b.tar.gz", b"x").unwrap_err(),
            store.remove("a.tar.gz").unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Denied { .. }), "{kind:?}: {error:?}");
            let text = format!("{} {error:?}", chain(&error));
            assert!(!text.contains(wrong) && !text.contains("of-the-tests"), "{text}");
        }
    }
}

#[test]
fn what_is_missing_to_open_a_store_is_named() {
    let none = Remote::new(|_| None);
    for (url, named) in [
        ("s3://bucket/prefix", "AWS_REGION"),
        ("az://container/prefix", "AZURE_STORAGE_ACCOUNT"),
        ("az://container/prefix?account=a", "AZURE_STORAGE_KEY"),
        ("connect://server/user/name", "CONNECT_API_KEY"),
    ] {
        let error = remote::open(&StoreUrl::parse(url).unwrap().unwrap(), &none).err().unwrap();
        assert!(chain(&error).contains(named), "{url}: {}", chain(&error));
    }
}

/// Neither hidden names nor those in deeper folders, and all of several pages.
#[test]
fn a_listing_has_all_pages_and_only_its_own_names() {
    for kind in [Kind::Moto, Kind::Gcs] {
        let Some(place) = servers::place(kind, "a listing has all pages") else { continue };
        let store = opened(&place);
        let prefix = place.url.split(['/', '?']).nth(3).unwrap().to_owned();
        for name in
            ["deeper/a.tar.gz", ".hidden"].into_iter().map(String::from).chain((0..1_100).map(|n| n.to_string()))
        {
            let status = match kind {
                // It accepts requests without a signature.
                Kind::Moto => {
                    servers::request(place.port, "PUT", &format!("/{}/{prefix}/{name}", servers::BUCKET), "", "x")
                }
                _ => {
                    let (bucket, name) = (servers::BUCKET, format!("{prefix}/{name}").replace('/', "%2F"));
                    let start = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}");
                    servers::request(place.port, "POST", &start, "", "x")
                }
            };
            assert_eq!(status, Some(200));
        }
        let mut names: Vec<u32> = store.list().unwrap().iter().map(|entry| entry.name.parse().unwrap()).collect();
        names.sort_unstable();
        assert!(names.into_iter().eq(0..1_100), "{kind:?}");
    }
}

fn examined(place: &Place) -> Examination {
    let url = StoreUrl::parse(&place.url).unwrap().unwrap();
    remote::examine(&url, &remote(place), Utc::now()).unwrap()
}

#[test]
fn an_examination_tries_everything_and_leaves_nothing() {
    for (kind, _) in KINDS.into_iter().chain([(Kind::FakeGcs, false)]) {
        let Some(place) = servers::place(kind, "an examination tries everything") else { continue };
        let store = opened(&place);
        store.put("a.tar.gz", b"x").unwrap();
        let found = examined(&place);
        found.write.unwrap();
        assert_eq!(found.list.unwrap(), 1);
        found.read.unwrap().unwrap();
        found.remove.unwrap().unwrap();
        assert_eq!(found.refuses_taken_names, Some(kind != Kind::FakeGcs), "{kind:?}");
        assert_eq!(found.checksums, Some(kind != Kind::Moto), "{kind:?}");
        assert!(found.clock_ahead.unwrap().abs() < 600, "{kind:?}: {:?}", found.clock_ahead);
        assert_ne!(found.keeps_versions, Some(true), "{kind:?}");
        assert_eq!(found.unfinished_uploads.is_some(), matches!(kind, Kind::Seaweed | Kind::Moto));
        // Hidden names are not listed: the proof is that the server has none.
        if kind == Kind::Gcs {
            let prefix = place.url.split(['/', '?']).nth(3).unwrap();
            let list = format!("/storage/v1/b/{}/o?prefix={prefix}", servers::BUCKET);
            let listing = servers::answer(place.port, "GET", &list, "", "");
            assert!(!listing.unwrap().contains(".heirloom-"));
        }
    }
}

#[test]
fn an_examination_shows_that_removed_files_stay_as_versions() {
    let Some(mut place) = servers::place(Kind::Moto, "an examination shows versions") else { return };
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(servers::request(place.port, "PUT", "/versioned", "", ""), Some(200));
    assert_eq!(servers::request(place.port, "PUT", "/versioned?versioning", "application/xml", on), Some(200));
    place.url = place.url.replace(servers::BUCKET, "versioned");
    let found = examined(&place);
    assert_eq!(found.keeps_versions, Some(true));
    assert_eq!(found.locks, Some(false));
    found.remove.unwrap().unwrap();
}

#[test]
fn an_examination_names_each_right_that_is_missing() {
    let Some(mut place) = servers::place(Kind::Seaweed, "an examination names missing rights") else { return };
    place.variables.last_mut().unwrap().1 = "wrong".into();
    let found = examined(&place);
    assert!(matches!(found.write, Err(StoreError::Denied { .. })), "{found:?}");
    assert!(matches!(found.list, Err(StoreError::Denied { .. })), "{found:?}");
    assert!(found.read.is_none() && found.remove.is_none() && found.refuses_taken_names.is_none());
}

#[test]
fn missing_credentials_are_denied() {
    let Some(place) = servers::place(Kind::Seaweed, "missing credentials are denied") else { return };
    let mut remote = Remote::new(|_| None);
    remote.repeated = Arc::new(|line| panic!("repeated: {line}"));
    let store = remote::open(&StoreUrl::parse(&place.url).unwrap().unwrap(), &remote).unwrap();
    let error = store.list().unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }) && chain(&error).contains("credentials"), "{}", chain(&error));
}

/// Whoever may only write has the service's word: a listing is denied, and a write counts.
#[test]
fn a_user_who_may_only_write_writes() {
    let Some(mut place) = servers::place(Kind::Seaweed, "a user who may only write writes") else { return };
    let owner = opened(&place);
    place.variables[0].1 = "writer".into();
    let mut remote = remote(&place);
    remote.memory = None;
    let writer = Opened(remote::open(&StoreUrl::parse(&place.url).unwrap().unwrap(), &remote).unwrap());
    writer.put("a.tar.gz", b"mine").unwrap();
    assert!(writer.capabilities().atomic_commit && writer.capabilities().checksums);
    assert!(matches!(writer.list(), Err(StoreError::Denied { action: "list", .. })));
    assert!(matches!(writer.stat("a.tar.gz"), Err(StoreError::Denied { .. })));
    assert_eq!(owner.list().unwrap().len(), 1);
    // The name is refused all the same.
    assert!(writer.put("a.tar.gz", b"again").is_err());
    let mut found = [0; 4];
    owner.open("a.tar.gz", None).unwrap().read_exact_at(&mut found, 0).unwrap();
    assert_eq!(&found, b"mine");
}
