//! Object stores against real servers: the contract of a store, and what each service can do.

use std::sync::Arc;
use std::sync::OnceLock;

use heirloom::progress::Progress;
use heirloom::store::remote::{self, Remote};
use heirloom::store::{Capabilities, Entry, Found, ReadAt, ReadStore, Store, StoreError, Upload};
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
    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        self.0.list()
    }
    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        self.0.open(name, known)
    }
    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        self.0.stat(name)
    }
}

impl Store for Opened {
    fn prepare(&self) -> Result<(), StoreError> {
        self.0.prepare()
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
    store.prepare().unwrap();
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
