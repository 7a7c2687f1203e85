//! Remembers multipart uploads to S3 while they run, and aborts those of runs that died.
//!
//! Their parts cost money and no listing shows them. Only uploads that this host recorded are aborted: what another
//! host sends is none of its business, and the provider's lifecycle rule removes the rest. A run holds a `flock` on its
//! record, so a record without a lock belongs to a run that died. Google and Azure remove unfinished uploads after a
//! week by themselves.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use opendal::options::WriteOptions;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::service::Place;
use crate::digest::Sha256;
use crate::platform::{create_private_folders, parent, private_file};
use crate::store::Token;
use crate::store_url::Service;

/// Less than this, opendal keeps back.
const PART: usize = 5 << 20;

/// What is remembered of an upload.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The object that it was to become.
    name: String,
    /// The service's id of the upload, as it stands in its answer.
    upload: String,
}

/// The record of one upload of this run.
pub(super) struct Underway {
    path: PathBuf,
    name: String,
    /// Locked as long as the upload runs; `None` until the service has given it an id.
    file: Mutex<Option<File>>,
}

impl Underway {
    /// Prepares the record; `None` if the service needs none or there is no folder for it.
    pub(super) fn of(place: &Place, name: &str) -> Option<Self> {
        let folder = place.remote.memory.as_ref().filter(|_| place.url.service == Service::S3)?;
        let path = folder.join(format!("{}{}.json", prefix(place), Token::random()));
        Some(Self { path, name: name.to_owned(), file: Mutex::new(None) })
    }

    /// Records the id before any part is sent. If that fails, the upload goes on: the lifecycle rule is left.
    ///
    /// Crash before this: an upload that nothing records. Crash inside: a file that the next run
    /// removes.
    pub(super) fn started(&self, upload: &str) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = self.record(upload).ok();
    }

    fn record(&self, upload: &str) -> io::Result<File> {
        create_private_folders(parent(&self.path))?;
        // It gets its name when it is locked and complete.
        let staged = self.path.with_extension("new");
        let mut file = private_file(&staged)?;
        file.try_lock()?;
        let record = Record { name: self.name.clone(), upload: upload.to_owned() };
        file.write_all(&serde_json::to_vec(&record)?)?;
        fs::rename(&staged, &self.path)?;
        Ok(file)
    }

    /// Forgets an upload that was finished or aborted.
    ///
    /// Crash before this: the next run aborts an upload that is not there.
    pub(super) fn ended(&self) {
        if self.file.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The beginning of the names of the records of a store.
fn prefix(place: &Place) -> String {
    let key = format!("{} {} {}", place.endpoint, place.url.place, place.url.prefix);
    format!("upload-{}-", &Sha256::of(key.as_bytes()).to_string()[..16])
}

/// Aborts the recorded uploads of dead runs. One that cannot be aborted stays recorded, and nothing else depends on it.
///
/// Crash in between: the next run does it.
pub(super) fn abort_those_of_dead_runs(place: &Place) {
    let Some(folder) = place.remote.memory.as_ref().filter(|_| place.url.service == Service::S3) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    let prefix = prefix(place);
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = abort_recorded(place, &entry.path());
        }
    }
}

fn abort_recorded(place: &Place, path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        // Its run is alive.
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(cause)) => return Err(cause),
    }
    if path.extension().is_some_and(|ending| ending == "json")
        && let Ok(Record { name, upload }) = serde_json::from_slice(&fs::read(path)?)
    {
        abort(place, &name, &upload).map_err(io::Error::from)?;
        (place.remote.repeated)(&format!("aborted an unfinished upload of {name} by an interrupted run"));
    }
    fs::remove_file(path)
}

/// Aborts an upload of which only the id is known. opendal aborts those that it started: the transport hands it this
/// id instead of starting one, and sends no part.
fn abort(place: &Place, name: &str, upload: &str) -> Result<(), Fault> {
    let operator = place.through(place.wire.resuming(upload));
    place.ask(async {
        let mut writer = operator.writer_options(name, WriteOptions::default()).await?;
        // The second part makes opendal ask for an id; then the transport refuses the first one.
        for _ in 0..2 {
            let _ = writer.write(Bytes::from(vec![0; PART])).await;
        }
        writer.abort().await
    })
}
