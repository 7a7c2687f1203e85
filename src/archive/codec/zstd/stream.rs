//! The frames of any file as one stream.

use std::io::{self, BufRead as _, BufReader};

use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer};

use super::{Frame, MAGIC, failed, is_start};
use crate::archive::codec::forward::{Forward, SourceFailed};
use crate::archive::error::ArchiveError;
use crate::archive::limits::{MAX_BYTES_AT_ANY_RATIO, MAX_RATIO, MAX_WINDOW_BYTES};

/// The length of the longest header of any frame: magic, flags, window, dictionary, size.
const ANY_HEADER: usize = MAGIC.len() + 1 + 1 + 4 + 8;

/// All frames of a file as one stream, and the number of bytes after them.
pub(crate) struct Stream {
    reader: BufReader<Forward>,
    // One for all frames: a file can consist of millions of empty ones.
    context: DCtx<'static>,
    place: Place,
    /// How many bytes may still come out.
    left: u64,
    trailing: u64,
}

/// Where a stream is.
#[derive(Clone, Copy)]
enum Place {
    /// Before a frame, or what follows the last one.
    Between,
    Inside,
    End,
}

impl Stream {
    /// Starts at the first frame. Fails only for lack of memory.
    pub(crate) fn new(reader: BufReader<Forward>) -> io::Result<Self> {
        let left = reader.get_ref().source.bytes().saturating_mul(MAX_RATIO).max(MAX_BYTES_AT_ANY_RATIO);
        let context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { reader, context, place: Place::Between, left, trailing: 0 })
    }

    /// Reads some of the contents; returns 0 at the end of the last frame.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            match self.place {
                Place::Between => self.place = self.look_at_next()?,
                Place::Inside => {
                    let count = self.decompress(buffer)?;
                    if count > 0 {
                        return Ok(count);
                    }
                }
                Place::End => break,
            }
        }
        Ok(0)
    }

    /// Looks at what comes next, and refuses a frame that takes too much memory to decompress.
    fn look_at_next(&mut self) -> io::Result<Place> {
        if self.reader.fill_buf()?.is_empty() {
            return Ok(Place::End);
        }
        let mut head = [0; ANY_HEADER];
        let (forward, buffered) = (self.reader.get_ref(), self.reader.buffer());
        let at = forward.at - buffered.len() as u64;
        let rest = forward.source.bytes().saturating_sub(at);
        let head = &mut head[..usize::try_from(rest).unwrap_or(usize::MAX).min(ANY_HEADER)];
        match buffered.get(..head.len()) {
            Some(buffered) => head.copy_from_slice(buffered),
            None => forward.source.read_exact_at(head, at).map_err(|error| io::Error::other(SourceFailed(error)))?,
        }
        match Frame::parse(head) {
            Some(Frame { window, .. }) if window > MAX_WINDOW_BYTES => {
                Err(io::Error::other(ArchiveError::WindowTooLarge { bytes: window }))
            }
            None if !is_start(head) => {
                self.trailing = rest;
                Ok(Place::End)
            }
            _ => Ok(Place::Inside),
        }
    }

    /// Reads some of the contents of a frame; 0 may mean its end.
    fn decompress(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = self.reader.fill_buf()?;
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(buffer));
        let hint = self.context.decompress_stream(&mut to, &mut from).map_err(failed)?;
        let (consumed, count) = (from.pos(), to.pos());
        if input.is_empty() && count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.consume(consumed);
        if hint == 0 {
            // The end of a frame whose checksum, if it has one, was right.
            self.place = Place::Between;
        }
        let too_much = || {
            let why = format!("it decompresses to more than {MAX_RATIO} times its size");
            io::Error::other(ArchiveError::Hostile { why })
        };
        self.left = self.left.checked_sub(count as u64).ok_or_else(too_much)?;
        Ok(count)
    }

    /// Returns how many bytes follow the last frame; known only after everything was read.
    pub(crate) fn trailing(&self) -> u64 {
        self.trailing
    }
}
