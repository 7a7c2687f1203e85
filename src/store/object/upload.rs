//! Writes objects: whole or not at all, and never over another one.
//!
//! Crash at any moment: until the last request arrives, no object has the name. What was sent before it is an
//! unfinished upload, which no listing shows and which the next run of this host aborts, or the provider's lifecycle
//! rule. After it, the object is there, whole.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use opendal::options::WriteOptions;
use opendal::{Metadata, Writer};

use super::checksum::Checksum;
use super::fault::Fault;
use super::look;
use super::pace::Pace;
use super::service::Place;
use super::unfinished::Underway;
use super::wire::Started;
use crate::digest::{Hasher, Sha256};
use crate::net;
use crate::progress::{Progress, Stage};
use crate::store::{Found, StoreError, Token, Upload};
use crate::store_url::Service;

/// Up to this size, a file is sent in one request.
pub(super) const SINGLE: u64 = 16 << 20;
/// The smallest part.
const PART: u64 = 8 << 20;
/// At most this many parts; S3 allows 10,000.
const PARTS: u64 = 9_000;
/// How many parts are sent side by side at most.
const SIDE_BY_SIDE: u64 = 4;
/// How much memory the parts of one upload take.
const MEMORY: u64 = 64 << 20;
/// Below this rate, in bytes per second, parts side by side only make each of them slower.
const SLOW: u64 = 8 << 20;
/// How often an upload starts anew because another request for the name was under way.
const CONFLICTS: u32 = 5;
/// The pause before it starts anew.
const PAUSE: Duration = Duration::from_millis(500);
/// How long cleaning up after a stopped upload may take.
const CLEAN: Duration = Duration::from_secs(10);

/// The names of the attributes. Azure allows letters and digits only.
const TOKEN: &str = "heirloomtoken";
const SHA256: &str = "heirloomsha256";

/// What is to be written.
pub(super) struct Parcel<'a> {
    pub(super) source: Source<'a>,
    pub(super) bytes: u64,
    pub(super) token: Token,
    pub(super) sha256: Sha256,
    /// The size of a part; `None` to send it in one request.
    pub(super) part: Option<u64>,
}

/// Where its bytes are.
pub(super) enum Source<'a> {
    Memory(&'a [u8]),
    File(&'a Upload),
}

impl<'a> Parcel<'a> {
    /// Prepares a few bytes.
    pub(super) fn small(content: &'a [u8]) -> Self {
        Self {
            source: Source::Memory(content),
            bytes: content.len() as u64,
            token: Token::random(),
            sha256: Sha256::of(content),
            part: None,
        }
    }

    /// Prepares a file. Reads it once, for its digest.
    pub(super) fn file(upload: &'a Upload) -> io::Result<Self> {
        let bytes = upload.bytes();
        Ok(Self {
            source: Source::File(upload),
            bytes,
            token: upload.token(),
            sha256: upload.sha256()?,
            part: (bytes > SINGLE).then(|| PART.max(bytes.div_ceil(PARTS))),
        })
    }

    fn attributes(&self) -> HashMap<String, String> {
        HashMap::from([(TOKEN.to_owned(), self.token.to_string()), (SHA256.to_owned(), self.sha256.to_string())])
    }

    fn open(&self) -> io::Result<Box<dyn io::Read + '_>> {
        Ok(match self.source {
            Source::Memory(content) => Box::new(content),
            Source::File(upload) => Box::new(File::open(upload.path())?),
        })
    }

    /// Returns whether an object is this one: an attempt whose answer was lost.
    fn is(&self, found: &Metadata) -> bool {
        let has = |name, value: &str| attribute(found, name).is_some_and(|found| found == value);
        found.content_length() == self.bytes
            && has(TOKEN, &self.token.to_string())
            && has(SHA256, &self.sha256.to_string())
    }

    /// Looks the name up.
    pub(super) fn look_up(&self, place: &Place, name: &str) -> Result<Found, Fault> {
        Ok(match look::head(place, name)? {
            None => Found::Absent,
            Some(found) if self.is(&found) => Found::Same,
            Some(_) => Found::Other,
        })
    }
}

fn attribute<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata.user_metadata()?.get(name)
}

/// How sending ended.
pub(super) enum Sent {
    /// The service has it. With the checksum of what was sent, if the service keeps that of each object.
    Done(Option<String>),
    /// It failed, and no object has the name.
    Failed(Fault),
    /// The answer was lost.
    Open(Fault),
}

/// Writes an object, and checks what the service has then. [`StoreError::Unanswered`] means that it may be there.
pub(super) fn write(place: &Place, name: &str, parcel: &Parcel<'_>, progress: &dyn Progress) -> Result<(), StoreError> {
    for attempt in 1.. {
        progress.begin(Stage::Upload, name, parcel.bytes);
        progress.checkpoint().map_err(StoreError::Interrupted)?;
        let sent = send(place, name, parcel, progress)
            .map_err(|cause| StoreError::io("write", name, place.url.to_string(), cause))?;
        match sent {
            Sent::Done(checksum) => return confirm(place, name, parcel, checksum),
            Sent::Failed(Fault::Conflict(answer)) if attempt < CONFLICTS => {
                (place.remote.repeated)(&format!("upload of {name}: {}; starting anew", Fault::Conflict(answer)));
                thread::sleep(PAUSE * attempt);
            }
            Sent::Failed(fault) => return Err(place.failed("write", Some(name), fault)),
            Sent::Open(fault) => return Err(unanswered(place, name, fault)),
        }
    }
    unreachable!("the attempts end")
}

fn unanswered(place: &Place, name: &str, fault: Fault) -> StoreError {
    StoreError::Unanswered { name: name.to_owned(), location: place.url.to_string(), cause: fault.into() }
}

/// Sends an object once. Fails if its bytes cannot be read, or are not those that were announced; then nothing has the
/// name.
pub(super) fn send(place: &Place, name: &str, parcel: &Parcel<'_>, progress: &dyn Progress) -> io::Result<Sent> {
    // A few bytes are not worth waiting for as long as an archive.
    let patience = match parcel.source {
        Source::Memory(_) => place.remote.request,
        Source::File(_) => place.remote.stalled,
    };
    let (pace, mut asks) = Pace::new(place.rate.clone(), patience);
    let underway = parcel.part.and_then(|_| Underway::of(place, name)).map(Arc::new);
    let ended = || underway.iter().for_each(|underway| underway.ended());
    let started = underway.clone().map(|underway| -> Started { Arc::new(move |upload| underway.started(upload)) });
    let operator = place.through(place.wire.paced(pace.clone(), started));
    let part = parcel.part.unwrap_or(parcel.bytes).max(1);
    let is_slow = place.rate.limit().is_some_and(|limit| limit.get() < SLOW);
    let concurrent = if is_slow { 1 } else { (MEMORY / part).saturating_sub(2).clamp(1, SIDE_BY_SIDE) };
    let options = WriteOptions {
        if_not_exists: true,
        user_metadata: Some(parcel.attributes()),
        content_type: Some("application/octet-stream".into()),
        concurrent: usize::try_from(concurrent).expect("at most four"),
        ..WriteOptions::default()
    };
    // Sends nothing yet.
    let mut writer = match place.ask(operator.writer_options(name, options)) {
        Ok(writer) => writer,
        Err(fault) => return Ok(Sent::Failed(fault)),
    };
    let mut source = parcel.open()?;
    let work = feed(&mut writer, &mut *source, parcel, part, place.url.service != Service::S3);
    let outcome = pace.drive(&mut asks, progress, parcel.bytes, work)?;
    let fault = match outcome {
        Some(Ok(checksum)) => {
            ended();
            return Ok(Sent::Done(checksum));
        }
        Some(Err(Failed::Service(fault))) => fault,
        Some(Err(Failed::Source(cause))) => {
            if clean(&mut writer) {
                ended();
            }
            return Err(cause);
        }
        None => Fault::Stopped,
    };
    // Crash before this is done: an unfinished upload stays, which is not an object. The next run aborts it.
    if clean(&mut writer) {
        ended();
    }
    let settles = matches!(fault, Fault::Taken);
    Ok(if (pace.is_open() || fault.is_open() && fault == Fault::NoUpload) && !settles {
        Sent::Open(fault)
    } else {
        Sent::Failed(fault)
    })
}

/// Aborts an unfinished upload; returns whether that succeeded. The reason why it is unfinished is reported instead.
fn clean(writer: &mut Writer) -> bool {
    matches!(net::block_on(async { tokio::time::timeout(CLEAN, writer.abort()).await }), Ok(Ok(Ok(()))))
}

enum Failed {
    Service(Fault),
    Source(io::Error),
}

impl From<opendal::Error> for Failed {
    fn from(error: opendal::Error) -> Self {
        Self::Service(Fault::of(&error))
    }
}

/// Reads the parts of a file and hands them to the writer, which sends some of them side by side.
async fn feed(
    writer: &mut Writer,
    source: &mut dyn io::Read,
    parcel: &Parcel<'_>,
    part: u64,
    wants_checksum: bool,
) -> Result<Option<String>, Failed> {
    let mut hasher = Hasher::default();
    let mut checksum = wants_checksum.then(Checksum::default);
    let mut left = parcel.bytes;
    while left > 0 {
        let bytes = usize::try_from(left.min(part)).map_err(|_| Failed::Source(io::ErrorKind::OutOfMemory.into()))?;
        let mut block = Vec::with_capacity(bytes);
        source.take(bytes as u64).read_to_end(&mut block).map_err(Failed::Source)?;
        if block.len() < bytes {
            return Err(Failed::Source(changed()));
        }
        hasher.update(&block);
        if let Some(checksum) = &mut checksum {
            checksum.update(&block);
        }
        left -= bytes as u64;
        writer.write(Bytes::from(block)).await?;
    }
    // Nothing has the name before the writer is closed.
    if hasher.finish() != parcel.sha256 {
        return Err(Failed::Source(changed()));
    }
    writer.close().await?;
    Ok(checksum.map(Checksum::finish))
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file changed during the upload")
}

/// Looks at what the service has after it accepted an object: it counts if token, size and checksum are right.
fn confirm(place: &Place, name: &str, parcel: &Parcel<'_>, checksum: Option<String>) -> Result<(), StoreError> {
    let found = match look::head(place, name) {
        Ok(Some(found)) => found,
        Ok(None) => return Err(unanswered(place, name, Fault::NoKey)),
        // Whoever may only write has the service's word.
        Err(Fault::Denied(_)) => return Ok(()),
        Err(fault) => return Err(unanswered(place, name, fault)),
    };
    if !parcel.is(&found) {
        return Err(place.failed("write", Some(name), Fault::Taken));
    }
    // Azure keeps none of an object that was sent in parts; it confirmed that of each part.
    let kept = found.content_md5().filter(|kept| !kept.is_empty());
    if checksum.zip(kept).is_none_or(|(sent, kept)| sent == kept) {
        return Ok(());
    }
    // It is ours, by its token, and wrong: it must not stay under the name of an archive. Crash before this: the next
    // check of the archive finds it damaged.
    look::delete(place, name).map_err(|fault| place.failed("remove", Some(name), fault))?;
    Err(StoreError::io("write", name, place.url.to_string(), Fault::Corrupt.into()))
}

/// Writes a few bytes, like [`write`]; a lost answer is looked up.
pub(super) fn put(place: &Place, name: &str, content: &[u8], progress: &dyn Progress) -> Result<(), StoreError> {
    let parcel = Parcel::small(content);
    for attempt in 1.. {
        let failed = match write(place, name, &parcel, progress) {
            Err(error @ (StoreError::Unanswered { .. } | StoreError::Exists { .. })) => error,
            done => return done,
        };
        match parcel.look_up(place, name).map_err(|fault| place.failed("look up", Some(name), fault))? {
            Found::Same => return Ok(()),
            Found::Other => return Err(place.failed("write", Some(name), Fault::Taken)),
            Found::Absent if attempt >= 3 => return Err(failed),
            Found::Absent => {}
        }
    }
    unreachable!("the attempts end")
}
