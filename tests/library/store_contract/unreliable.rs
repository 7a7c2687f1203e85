//! A store whose replies to commits get lost.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heirloom::progress::Progress;
use heirloom::store::{Capabilities, Entry, Found, ReadAt, ReadStore, Store, StoreError, Upload};

use super::{Subject, let_the_newest_be_removed};

/// Which reply to a commit is lost.
#[derive(Clone, Copy, PartialEq)]
pub enum Lost {
    /// The request never arrived.
    Request,
    /// It was carried out, and the reply was lost.
    Answer,
    /// It was carried out, the reply was lost, and the file was removed by another client.
    AnswerAndFile,
}

/// A store whose first replies to commits are lost.
#[derive(Clone)]
pub struct Unreliable<S> {
    store: S,
    lost: Lost,
    left: Arc<AtomicU64>,
    pub attempts: Arc<AtomicU64>,
}

impl<S: Subject> Unreliable<S> {
    pub fn new(store: S, lost: Lost, times: u64) -> Self {
        Self { store, lost, left: Arc::new(times.into()), attempts: Arc::default() }
    }
}

impl<S: Subject> ReadStore for Unreliable<S> {
    fn location(&self) -> String {
        self.store.location()
    }
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        self.store.list()
    }
    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        self.store.open(name, known)
    }
    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        self.store.stat(name)
    }
    fn has(&self, name: &str) -> Result<bool, StoreError> {
        self.store.has(name)
    }
}

impl<S: Subject> Store for Unreliable<S> {
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.store.put(name, content)
    }
    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.store.remove(name)
    }
    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let is_lost = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if !is_lost {
            return self.store.try_commit(name, upload, progress);
        }
        if self.lost != Lost::Request {
            // As with a link on NFS: the first name stays until the reply arrives.
            let kept = upload.path().with_extension("kept");
            fs::hard_link(upload.path(), &kept).unwrap();
            self.store.try_commit(name, upload, progress)?;
            let _ = fs::rename(&kept, upload.path());
        }
        if self.lost == Lost::AnswerAndFile {
            let_the_newest_be_removed(&self.store);
            self.store.remove(name)?;
        }
        let cause = io::ErrorKind::ConnectionReset.into();
        Err(StoreError::Unanswered { name: name.into(), location: self.location(), cause })
    }
    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        self.store.look_up(name, upload)
    }
}
