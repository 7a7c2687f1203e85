//! The decompressed contents of a file, read from front to back, whichever tool compressed it.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::sync::Arc;

use super::codecs::Codec;
use super::forward::{Forward, unreadable};
use super::{gzip, zstd};
use crate::archive::error::{ArchiveError, damaged};
use crate::store::ReadAt;

/// How many bytes are read at once.
const CHUNK: usize = 256 * 1024;

/// The contents of a file.
pub(crate) enum ByteStream {
    Plain(BufReader<Forward>),
    Gzip(Box<gzip::Stream>),
    Zstd(Box<zstd::Stream>),
}

impl ByteStream {
    /// Starts at the first byte. Fails only for lack of memory.
    pub(crate) fn new(source: Arc<dyn ReadAt>, codec: Option<Codec>) -> io::Result<Self> {
        let reader = BufReader::with_capacity(CHUNK, Forward { source, at: 0 });
        Ok(match codec {
            Some(Codec::Gzip) => Self::Gzip(Box::new(gzip::Stream::new(reader))),
            Some(Codec::Zstd) => Self::Zstd(Box::new(zstd::Stream::new(reader)?)),
            None => Self::Plain(reader),
        })
    }

    /// Fills the buffer as far as there is data.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let (count, what) = match self {
                Self::Plain(reader) => (reader.read(&mut buffer[filled..]), "file"),
                Self::Gzip(gzip) => (gzip.read(&mut buffer[filled..]), "gzip stream"),
                Self::Zstd(zstd) => (zstd.read(&mut buffer[filled..]), "Zstandard stream"),
            };
            match count {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error, what)),
            }
        }
        Ok(filled)
    }

    /// Fills the whole buffer, or fails.
    pub(crate) fn fill_all(&mut self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        if self.fill(buffer)? == buffer.len() { Ok(()) } else { Err(damaged("the tar is truncated")) }
    }

    /// Skips bytes; those of an uncompressed file are not even read.
    pub(crate) fn skip(&mut self, mut bytes: u64) -> Result<(), ArchiveError> {
        if let Self::Plain(reader) = self {
            let at = reader.get_ref().at - reader.buffer().len() as u64;
            let end = reader.get_ref().source.bytes();
            let to = at.checked_add(bytes).filter(|&to| to <= end).ok_or_else(|| damaged("the tar is truncated"))?;
            reader.consume(reader.buffer().len());
            reader.get_mut().at = to;
            return Ok(());
        }
        let mut skipped = vec![0; CHUNK];
        while bytes > 0 {
            let part = bytes.min(CHUNK as u64);
            self.fill_all(&mut skipped[..part as usize])?;
            bytes -= part;
        }
        Ok(())
    }

    /// Returns how many bytes follow the compressed data; known only after everything was read.
    pub(crate) fn trailing(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Gzip(gzip) => gzip.trailing(),
            Self::Zstd(zstd) => zstd.trailing(),
        }
    }
}
