//! Stores in S3, Google Cloud Storage and Azure Blob Storage, through opendal.
//!
//! opendal signs requests and knows the services; it may be named in this folder only, since its interface changes with
//! each release. Limits, retries and what an answer means are ours: `wire.rs` and `answer.rs`.

mod answer;
mod checksum;
mod fault;
mod look;
mod pace;
mod probe;
mod read;
mod service;
mod unfinished;
mod upload;
mod wire;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use self::fault::Fault;
use self::probe::{Facts, Trial};
use self::read::Object;
use self::service::Place;
use self::upload::Parcel;
use super::examination::{Examination, try_out};
use super::surroundings::Remote;
use super::{Capabilities, Entry, Found, ReadAt, ReadStore, Removal, Store, StoreError, Upload};
use crate::progress::{Progress, Silent};
use crate::store_url::{Service, StoreUrl};

/// A store under a prefix of a bucket.
#[derive(Clone)]
pub struct ObjectStore {
    place: Place,
    facts: Arc<Mutex<Option<Facts>>>,
}

impl ObjectStore {
    /// Opens a store. Sends no request.
    pub fn open(url: &StoreUrl, remote: &Remote) -> Result<Self, StoreError> {
        let place = Place::open(url, remote)?;
        let facts = Arc::new(Mutex::new(probe::remembered(&place)));
        Ok(Self { place, facts })
    }

    fn facts(&self) -> Option<Facts> {
        // A panic elsewhere cannot have left the value half changed: each change is one assignment.
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found_out(&self, facts: Facts) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = Some(facts);
    }

    /// Tries everything that a store is needed for. `now` is the time of this host.
    pub(super) fn examine(&self, now: DateTime<Utc>) -> Examination {
        // What is remembered may have changed.
        let found = probe::probe(&self.place, Trial::InParts);
        if let Ok(facts) = &found {
            self.found_out(*facts);
        }
        let mut examination = try_out(self);
        if let Ok(facts) = found {
            examination.refuses_taken_names = Some(facts.refuses_taken_names);
            examination.checksums = Some(facts.checksums);
        }
        let seen = self.place.wire.seen();
        examination.clock_ahead = match &examination.list {
            Err(StoreError::Clock { ahead, .. }) => *ahead,
            _ => seen.ahead(now),
        };
        // Google shows neither with an object.
        if examination.write.is_ok() && self.place.url.service != Service::Gcs {
            examination.keeps_versions = Some(seen.versions());
            examination.locks = Some(seen.lock());
        }
        examination.unfinished_uploads = unfinished_uploads(&self.place.url);
        examination
    }

    fn named<'a>(&self, name: &'a str) -> Result<&'a str, StoreError> {
        if look::is_name(name) {
            return Ok(name);
        }
        Err(StoreError::io("use", name, self.location(), io::ErrorKind::InvalidFilename.into()))
    }

    fn find(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        look::head(&self.place, name)
            .and_then(|found| found.map(|found| look::entry(&self.place, name, &found)).transpose())
            .map_err(|fault| self.place.failed("look up", Some(name), fault))
    }
}

impl ReadStore for ObjectStore {
    fn location(&self) -> String {
        self.place.url.to_string()
    }

    fn capabilities(&self) -> Capabilities {
        let facts = self.facts();
        Capabilities {
            atomic_commit: facts.is_some_and(|facts| facts.refuses_taken_names),
            checksums: facts.is_some_and(|facts| facts.checksums),
            ..Capabilities::OF_OBJECTS
        }
    }

    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        look::list(&self.place).map_err(|fault| self.place.failed("list", None, fault))
    }

    fn hidden(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        look::hidden(&self.place, prefix).map_err(|fault| self.place.failed("list", None, fault))
    }

    fn folders(&self) -> Result<Vec<String>, StoreError> {
        look::folders(&self.place).map_err(|fault| self.place.failed("list", None, fault))
    }

    fn removal(&self) -> Removal {
        match self.place.url.service {
            // Google shows no version with an answer.
            Service::Gcs => Removal::Unknown,
            _ if self.place.wire.seen().versions() => Removal::Hidden,
            _ => Removal::Freed,
        }
    }

    fn open(&self, name: &str, known: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        let name = self.named(name)?;
        let entry = match known {
            Some(known) => known.clone(),
            None => self.find(name)?.ok_or_else(|| self.place.failed("read", Some(name), Fault::NoKey))?,
        };
        Ok(Arc::new(Object::new(self.place.clone(), entry)))
    }

    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        self.find(self.named(name)?)
    }

    fn has(&self, name: &str) -> Result<bool, StoreError> {
        let name = self.named(name)?;
        let missing = look::is_missing(&self.place, name);
        missing.map(|missing| !missing).map_err(|fault| self.place.failed("look up", Some(name), fault))
    }
}

impl Store for ObjectStore {
    /// Tries in parts only what will be sent in parts.
    fn prepare(&self, largest: u64) -> Result<(), StoreError> {
        let trial = if largest > upload::SINGLE { Trial::InParts } else { Trial::InOneRequest };
        if self.facts().is_none_or(|known| known.lacks(trial)) {
            self.found_out(probe::probe(&self.place, trial)?);
        }
        Ok(())
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let name = self.named(name)?;
        self.free(name, content.len() as u64)?;
        upload::put(&self.place, name, content, &Silent)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let name = self.named(name)?;
        // The services remove what does not exist without an error.
        if !self.has(name)? {
            return Err(self.place.failed("remove", Some(name), Fault::NoKey));
        }
        look::delete(&self.place, name).map_err(|fault| self.place.failed("remove", Some(name), fault))
    }

    fn try_commit(&self, name: &str, upload: &Upload, progress: &dyn Progress) -> Result<(), StoreError> {
        let name = self.named(name)?;
        self.free(name, upload.bytes())?;
        unfinished::abort_those_of_dead_runs(&self.place);
        let parcel = Parcel::file(upload).map_err(|cause| StoreError::io("write", name, self.location(), cause))?;
        upload::write(&self.place, name, &parcel, progress)
    }

    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        let name = self.named(name)?;
        let parcel = Parcel::file(upload).map_err(|cause| StoreError::io("look up", name, self.location(), cause))?;
        parcel.look_up(&self.place, name).map_err(|fault| self.place.failed("look up", Some(name), fault))
    }
}

impl ObjectStore {
    /// Looks first, if the service does not refuse a taken name by itself. Another client may take it in between; then
    /// the one that wrote first finds the other's token, and fails.
    fn free(&self, name: &str, bytes: u64) -> Result<(), StoreError> {
        self.prepare(bytes)?;
        if !self.capabilities().atomic_commit && self.find(name)?.is_some() {
            return Err(self.place.failed("write", Some(name), Fault::Taken));
        }
        Ok(())
    }
}

/// Returns a lifecycle rule against unfinished uploads. Google and Azure remove theirs after a week by themselves.
fn unfinished_uploads(url: &StoreUrl) -> Option<String> {
    let prefix = if url.prefix.is_empty() { String::new() } else { format!("{}/", url.prefix) };
    let rule = serde_json::json!({"Rules": [{
        "ID": "remove unfinished uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }]});
    (url.service == Service::S3).then(|| rule.to_string())
}
