//! Finds out whether a service keeps its promises: whether it refuses to overwrite is not believed, but tried.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::look;
use super::service::Place;
use super::upload::{Parcel, Sent, send};
use crate::digest::Sha256;
use crate::progress::Silent;
use crate::store::{Found, StoreError, Token};
use crate::store_url::Service;

/// The size of a part of the object that is tried: the smallest that every service takes.
const PART: u64 = 5 << 20;

/// How often it is tried if answers are lost.
const TRIES: u32 = 3;

/// What a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Whether it refuses to write onto a taken name: in one request, and in parts if that was tried.
    pub(super) refuses_taken_names: bool,
    /// Whether that was tried in parts, which takes 10 MiB. A host that does not survive would repeat it at each start.
    #[serde(default)]
    pub(super) tried_in_parts: bool,
    /// Whether it checks what it receives by a checksum.
    pub(super) checksums: bool,
}

/// Returns what was found out about a service earlier.
pub(super) fn remembered(place: &Place) -> Option<Facts> {
    let text = fs::read(place.remote.memory.as_ref()?.join(file_name(place))).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Remembers what was found out. If that fails, it is tried again next time.
fn remember(folder: &Path, place: &Place, facts: Facts) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Under another name first: a reader sees all of it or nothing. Crash in between: a leftover that nobody reads.
    let temporary = folder.join(format!(".{}-{}", file_name(place), Token::random()));
    fs::write(&temporary, serde_json::to_vec(&facts)?)?;
    fs::rename(&temporary, folder.join(file_name(place)))
}

/// One per endpoint and bucket.
fn file_name(place: &Place) -> String {
    let key = format!("{:?} {} {}", place.url.service, place.endpoint, place.url.place);
    format!("service-{}.json", &Sha256::of(key.as_bytes()).to_string()[..16])
}

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trial {
    /// A few bytes in one request: enough before an object that is sent in one request.
    InOneRequest,
    /// Also three parts, 10 MiB: a service can refuse the one and not the other.
    InParts,
}

impl Facts {
    /// Returns whether a trial would find out more.
    pub(super) fn lacks(&self, trial: Trial) -> bool {
        trial == Trial::InParts && self.refuses_taken_names && !self.tried_in_parts
    }
}

/// Tries what a service does, with a hidden object that is removed afterwards, and remembers it.
///
/// Crash in between: the hidden object stays, and no listing shows it.
pub(super) fn probe(place: &Place, trial: Trial) -> Result<Facts, StoreError> {
    let name = format!(".heirloom-probe-{}", Token::random());
    let facts = try_names(place, &name, trial);
    // Without the right to remove, it stays; the next rotation reports that right as missing.
    let _ = look::delete(place, &name);
    let facts = facts.map_err(|fault| place.failed("write", None, fault))?;
    if let Some(folder) = &place.remote.memory {
        let _ = remember(folder, place, facts);
    }
    Ok(facts)
}

fn try_names(place: &Place, name: &str, trial: Trial) -> Result<Facts, Fault> {
    if !is_written(place, name, &Parcel::small(b"1"))? {
        return Err(Fault::Foreign("a new name is taken".into()));
    }
    let mut refuses_taken_names = !is_written(place, name, &Parcel::small(b"2"))?;
    if refuses_taken_names && trial == Trial::InParts {
        let large = vec![3; usize::try_from(2 * PART + 1).expect("10 MiB fit")];
        refuses_taken_names = !is_written(place, name, &Parcel { part: Some(PART), ..Parcel::small(&large) })?;
    }
    let has_md5 = |found: &opendal::Metadata| found.content_md5().is_some_and(|md5| !md5.is_empty());
    let checksums = match place.url.service {
        Service::S3 => place.wire.seen().checksum(),
        Service::Gcs => look::head(place, name)?.as_ref().is_some_and(has_md5),
        _ => true,
    };
    Ok(Facts { refuses_taken_names, tried_in_parts: trial == Trial::InParts, checksums })
}

/// Returns whether an object was written; `false` if the name was refused.
fn is_written(place: &Place, name: &str, parcel: &Parcel<'_>) -> Result<bool, Fault> {
    for _ in 0..TRIES {
        let sent = send(place, name, parcel, &Silent).map_err(|cause| Fault::Refused(cause.to_string()))?;
        match sent {
            Sent::Done(_) => return Ok(true),
            // Perhaps refused because an earlier request succeeded and its answer was lost.
            Sent::Failed(Fault::Taken | Fault::Conflict(_)) | Sent::Open(_) => match parcel.look_up(place, name) {
                Ok(Found::Same) => return Ok(true),
                // Whoever may only write has the service's word.
                Ok(Found::Other) | Err(Fault::Denied(_)) => return Ok(false),
                Ok(Found::Absent) => {}
                Err(fault) => return Err(fault),
            },
            Sent::Failed(fault) => return Err(fault),
        }
    }
    Err(Fault::Foreign("its answers contradict each other".into()))
}
