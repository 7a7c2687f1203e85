//! Reads ranges of an object: always of the version that was opened.

use std::io;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use opendal::options::ReaderOptions;

use super::fault::Fault;
use super::look;
use super::service::Place;
use crate::store::{Entry, ReadAt};
use crate::store_url::Service;

/// How much one request reads.
const BLOCK: NonZeroUsize = NonZeroUsize::new(1 << 20).expect("not zero");
/// The pause before a range is requested again.
const PAUSE: Duration = Duration::from_millis(250);

/// An open object.
pub(super) struct Object {
    place: Place,
    entry: Entry,
}

impl Object {
    /// Opens an object. Sends no request.
    pub(super) fn new(place: Place, entry: Entry) -> Self {
        Self { place, entry }
    }

    /// Reads into a buffer; returns how much arrived, and what ended it.
    fn fetch(&self, buffer: &mut [u8], offset: u64) -> (usize, Result<(), Fault>) {
        let version = self.entry.version.clone();
        let options = match self.place.url.service {
            Service::Gcs => ReaderOptions { if_version_match: version, ..ReaderOptions::default() },
            _ => ReaderOptions { if_match: version, ..ReaderOptions::default() },
        };
        let wanted = buffer.len();
        let mut rest = buffer;
        let outcome = self.place.ask(async {
            let reader = self.place.operator.reader_options(&self.entry.name, options).await?;
            reader.read_into(&mut rest, offset..offset + wanted as u64).await
        });
        let missing = rest.len();
        let outcome = match outcome {
            Ok(_) if missing > 0 => Err(Fault::Broken("it ended early".into())),
            other => other.map(drop),
        };
        (wanted - missing, outcome)
    }

    /// Returns whether the opened version is still there: one answer is not enough to call it gone.
    fn is_there(&self) -> Result<bool, Fault> {
        let found = look::head(&self.place, &self.entry.name)?;
        let found = found.map(|found| look::entry(&self.place, &self.entry.name, &found)).transpose()?;
        Ok(found.is_some_and(|found| found.version == self.entry.version && found.bytes == self.entry.bytes))
    }

    fn failed(&self, fault: Fault) -> io::Error {
        match fault {
            Fault::NoKey | Fault::Changed | Fault::Cold => fault.into(),
            fault => {
                let kind = io::Error::from(fault.clone()).kind();
                io::Error::new(kind, self.place.failed("read", Some(&self.entry.name), fault))
            }
        }
    }
}

impl ReadAt for Object {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.entry.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let started = Instant::now();
        loop {
            let fault = match self.fetch(&mut buffer[..wanted], offset) {
                (bytes, Ok(())) => return Ok(bytes),
                (bytes, Err(fault)) => {
                    if bytes > 0 && fault.is_passing() {
                        // The caller continues behind it.
                        (self.place.remote.repeated)(&format!("GetObject: {fault}; continuing after {bytes} bytes"));
                        return Ok(bytes);
                    }
                    fault
                }
            };
            let may_pass = fault.is_passing()
                || matches!(fault, Fault::NoKey | Fault::Changed | Fault::Unproved)
                    && self.is_there().map_err(|fault| self.failed(fault))?;
            if !may_pass {
                return Err(self.failed(if fault == Fault::Unproved { Fault::NoKey } else { fault }));
            }
            if started.elapsed() + PAUSE >= self.place.remote.request || self.place.wire.is_away() {
                return Err(self.failed(fault));
            }
            (self.place.remote.repeated)(&format!("GetObject: {fault}; trying again"));
            thread::sleep(PAUSE);
        }
    }

    fn bytes(&self) -> u64 {
        self.entry.bytes
    }

    fn block_bytes(&self) -> Option<NonZeroUsize> {
        Some(BLOCK)
    }
}
