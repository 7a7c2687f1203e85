//! Reads the file of a version: by ranges, or from its beginning if the server gives no parts.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::api::Fault;
use super::pin::Pin;
use crate::net;
use crate::store::ReadAt;

/// How much one request reads.
const BLOCK: NonZeroUsize = NonZeroUsize::new(1 << 20).expect("not zero");

/// An open file of a version.
pub(super) struct VersionFile {
    pub(super) pin: Pin,
    pub(super) guid: String,
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) bytes: u64,
    /// An answer that is read from its beginning.
    pub(super) whole: Mutex<Option<Whole>>,
}

/// An answer with the whole file, and how far it was read.
pub(super) struct Whole {
    response: Response,
    at: u64,
    /// What arrived and was not read yet.
    rest: bytes::Bytes,
}

impl VersionFile {
    /// Requests the file, or a range of it.
    async fn get(&self, range: Option<&str>) -> Result<Response, Fault> {
        let request = self.pin.api.request(Method::GET, self.pin.file(&self.guid, self.id, &self.name));
        let request = range.into_iter().fold(request, |request, range| request.header(RANGE, range));
        let response = tokio::time::timeout(self.pin.api.remote.request, request.send()).await;
        let response = response.map_err(|_| self.pin.api.silent())?.map_err(Fault::of)?;
        // The files are not given out by the part of the server that has codes for its errors.
        if response.status() == StatusCode::NOT_FOUND && !self.pin.has(&self.guid, self.id).await? {
            return Err(Fault::Missing);
        }
        self.pin.api.judged(response).await
    }

    /// Reads a range; `None` if the server gives no parts of files.
    async fn range(&self, offset: u64, count: usize) -> Result<Option<Vec<u8>>, Fault> {
        let range = format!("bytes={offset}-{}", offset + count as u64 - 1);
        self.pin
            .api
            .repeated("read", async || {
                let mut response = self.get(Some(&range)).await?;
                self.pin.note_ranges(response.status());
                if response.status() != StatusCode::PARTIAL_CONTENT {
                    return Ok(None);
                }
                let given = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
                let expected = format!("bytes {offset}-{}/{}", offset + count as u64 - 1, self.bytes);
                if given != Some(expected.as_str()) {
                    return Err(Fault::Refused(format!(
                        "the server gave another part than \"{expected}\"; the file may have another size"
                    )));
                }
                let mut read = Vec::with_capacity(count);
                while let Some(chunk) = self.pin.api.chunk(&mut response).await? {
                    read.extend_from_slice(&chunk);
                }
                if read.len() != count {
                    return Err(Fault::Passing("the answer of the server is cut".into(), None));
                }
                Ok(Some(read))
            })
            .await
    }

    /// Reads from an answer with the whole file; what lies before the offset is skipped.
    async fn in_order(&self, whole: &mut Option<Whole>, offset: u64, count: usize) -> Result<Vec<u8>, Fault> {
        if whole.as_ref().is_none_or(|whole| whole.at > offset) {
            let response = self.pin.api.repeated("read", async || self.get(None).await).await?;
            *whole = Some(Whole { response, at: 0, rest: bytes::Bytes::new() });
        }
        let mut read = Vec::with_capacity(count);
        while let Some(open) = whole.as_mut().filter(|_| read.len() < count) {
            if open.rest.is_empty() {
                match self.pin.api.chunk(&mut open.response).await {
                    Ok(Some(chunk)) => open.rest = chunk,
                    ended => {
                        *whole = None;
                        ended?;
                        return Err(Fault::Passing("the answer of the server is cut".into(), None));
                    }
                }
            }
            let skipped = open.rest.len().min(usize::try_from(offset.saturating_sub(open.at)).unwrap_or(usize::MAX));
            open.at += skipped as u64;
            drop(open.rest.split_to(skipped));
            let taken = open.rest.split_to(open.rest.len().min(count - read.len()));
            open.at += taken.len() as u64;
            read.extend_from_slice(&taken);
        }
        Ok(read)
    }
}

impl ReadAt for VersionFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = (buffer.len() as u64).min(self.bytes.saturating_sub(offset)) as usize;
        if count == 0 {
            return Ok(0);
        }
        let by_range = match self.pin.ranges() {
            Some(false) => None,
            _ => net::block_on(self.range(offset, count))?.map_err(error)?,
        };
        let read = match by_range {
            Some(read) => read,
            None => {
                // Not half changed after a panic: at worst the next read starts anew.
                let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
                net::block_on(self.in_order(&mut whole, offset, count))?.map_err(error)?
            }
        };
        buffer[..count].copy_from_slice(&read);
        Ok(count)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Without parts of files, reading ahead side by side would start the answer anew each time.
    fn block_bytes(&self) -> Option<NonZeroUsize> {
        Some(BLOCK).filter(|_| self.pin.ranges() != Some(false))
    }
}

/// Returns the error of a read.
fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::Local(cause) => cause,
        Fault::Missing => io::ErrorKind::NotFound.into(),
        Fault::Denied(text) => io::Error::new(io::ErrorKind::PermissionDenied, text),
        fault => io::Error::other(fault.to_string()),
    }
}
