//! A database, a store and a workspace for the tests of the operations, which run on each store. Compiled with
//! `#[cfg(test)]` only.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::inventory::{Reading, inventory};
use super::{Repository, backup, pack};
use crate::clock::Clock;
use crate::compression::Compression;
use crate::database::{Depth, Source};
use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::progress::{Progress, Silent};
use crate::snapshot::Snapshot;
use crate::store::{Capabilities, Entry, Found, LocalStore, MemoryStore, ReadAt, ReadStore, Store, StoreError, Upload};
use crate::workspace::Workspace;

/// Runs tests that take a [`World`] on each store.
macro_rules! on_each_store {
    ($($test:ident)*) => {
        on_each_store!(local: $($test)*);
        on_each_store!(memory: $($test)*);
        on_each_store!(memory_that_can_do_less: $($test)*);
    };
    ($store:ident: $($test:ident)*) => {
        mod $store {
            $(#[test]
            fn $test() {
                super::$test(crate::ops::test_world::World::$store());
            })*
        }
    };
}
pub(super) use on_each_store;

/// A store in which one call fails.
#[derive(Clone)]
pub struct Faulty {
    store: Arc<dyn Store>,
    /// Whether it cannot be listed.
    pub list_fails: bool,
    /// What cannot be removed.
    pub removal_fails: Option<&'static str>,
    /// What another process does just before a file is looked up.
    pub before_stat: fn(&dyn Store),
}

fn broken(name: &str) -> StoreError {
    StoreError::io("remove", name, "here".into(), std::io::ErrorKind::PermissionDenied.into())
}

impl ReadStore for Faulty {
    fn location(&self) -> String {
        self.store.location()
    }
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
    fn folder(&self) -> Option<&Path> {
        self.store.folder()
    }
    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        if self.list_fails { Err(broken("folder")) } else { self.store.list() }
    }
    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        self.store.open(name, known)
    }
    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        (self.before_stat)(&*self.store);
        self.store.stat(name)
    }
}

impl Store for Faulty {
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.store.put(name, content)
    }
    fn remove(&self, name: &str) -> Result<(), StoreError> {
        if self.removal_fails == Some(name) { Err(broken(name)) } else { self.store.remove(name) }
    }
    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        self.store.try_commit(name, upload, progress)
    }
    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        self.store.look_up(name, upload)
    }
}

/// A database `app.db` with one table, a store, and a workspace.
pub struct World {
    folder: tempfile::TempDir,
    workspace: Workspace,
    pub store: Faulty,
}

impl World {
    /// A local store, with its workspace in it.
    pub fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::create(&folder.path().join("store")).unwrap();
        let workspace = Workspace::at(store.private());
        Self::new(folder, Arc::new(store), workspace)
    }

    /// A store that can do everything and is in no folder.
    pub fn memory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path().join("workspace"));
        Self::new(folder, Arc::new(MemoryStore::default()), workspace)
    }

    /// A store that can do no more than every store must.
    pub fn memory_that_can_do_less() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path().join("workspace"));
        Self::new(
            folder,
            Arc::new(MemoryStore::with(Capabilities { atomic_commit: false, ..Capabilities::OF_OBJECTS })),
            workspace,
        )
    }

    fn new(folder: tempfile::TempDir, store: Arc<dyn Store>, workspace: Workspace) -> Self {
        let store = Faulty { store, list_fails: false, removal_fails: None, before_stat: |_| {} };
        let world = Self { folder, workspace, store };
        world.execute("CREATE TABLE t(x)");
        world
    }

    /// The path of the database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    /// Changes the database.
    pub fn execute(&self, sql: &str) {
        rusqlite::Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }

    /// Returns how many rows the table has.
    pub fn rows(&self) -> i64 {
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        connection.query_row("SELECT count(*) FROM t", (), |row| row.get(0)).unwrap()
    }

    /// Makes five archives, a day apart.
    pub fn five_days(&self) {
        for day in 1..=5 {
            self.back_up(&format!("2026-03-0{day}T03:00:00Z"));
        }
    }

    /// Backs the database up into the store, in which nothing fails now.
    pub fn back_up(&self, at: &str) -> ArchiveName {
        self.try_back_up(at).unwrap()
    }

    pub fn try_back_up(&self, at: &str) -> anyhow::Result<ArchiveName> {
        let mut plan = self.plan(at.parse().unwrap());
        // Without the random digits, so that tests know the names.
        if !self.repository().gives_a_name_once(0)? {
            plan.request.name = Some(ArchiveName::automatic(&plan.request.set, at.parse().unwrap(), ".tar.gz"));
        }
        self.carry_out(plan, at)
    }

    /// Backs the database up under whatever name it gets.
    pub fn back_up_as_it_is(&self, at: &str) -> ArchiveName {
        self.carry_out(self.plan(at.parse().unwrap()), at).unwrap()
    }

    fn carry_out(&self, plan: backup::Plan, at: &str) -> anyhow::Result<ArchiveName> {
        let at: DateTime<Utc> = at.parse().unwrap();
        let (clock, reading) = (Clock::fixed(at), reading());
        let run = backup::Run {
            clock: &clock,
            reading: &reading,
            limits: Default::default(),
            temporary: &std::env::temp_dir(),
            watch_shrinks: true,
            known: None,
            hold: None,
        };
        let repository = Repository::new(Arc::clone(&self.store.store), self.workspace.clone());
        backup::execute(&repository, &plan, &run, &Silent).map(|made| made.packed.archive)
    }

    /// Plans a backup of the database.
    pub fn plan(&self, at: DateTime<Utc>) -> backup::Plan {
        let name = Name::new("app").unwrap();
        let sources = vec![Source { name: name.clone(), path: self.database() }];
        backup::plan(sources, backup::IfMissing::Fail, request(name, at)).unwrap()
    }

    /// The store with its workspace.
    pub fn repository(&self) -> Repository {
        Repository::new(Arc::new(self.store.clone()), self.workspace.clone())
    }

    /// Puts a database of another tool into the store.
    pub fn plain(&self, name: &str) {
        let path = self.folder.path().join("plain.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE IF NOT EXISTS t(x)").unwrap();
        self.store.put(name, &std::fs::read(&path).unwrap()).unwrap();
    }

    /// Returns the names of the files in the store, in order, without its id.
    pub fn files(&self) -> Vec<String> {
        let entries = self.store.store.list().unwrap();
        let mut names: Vec<String> =
            entries.into_iter().map(|entry| entry.name).filter(|name| name != crate::identity::FILE).collect();
        names.sort();
        names
    }

    /// Returns the archives of the store, newest first.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        inventory(&self.repository(), &reading(), &Silent).unwrap().snapshots
    }
}

/// How the archives of a [`World`] are read.
pub fn reading() -> Reading {
    Reading {
        opener: crate::archive::Opener::new(chrono_tz::Tz::UTC),
        host: HostLabel::container(),
        encryption: Default::default(),
    }
}

/// The host that the archives of a [`World`] are made on.
pub fn host() -> pack::Host {
    pack::Host { name: "here".into(), label: HostLabel::new("here").unwrap() }
}

fn request(set: Name, created_at: DateTime<Utc>) -> pack::Request {
    pack::Request {
        digits: None,
        set,
        kind: Kind::Manual,
        name: None,
        note: None,
        host: host(),
        created_at,
        replaces: None,
        consistent: true,
        absent: Vec::new(),
        check: Depth::Full,
        keep_damaged: false,
        vacuum: false,
        compression: Compression::Gzip(1),
        sealing: None,
        threads: NonZeroUsize::MIN,
        lock_wait: Duration::ZERO,
    }
}
