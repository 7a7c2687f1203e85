//! The contents of an encrypted file, read at any offset.
//!
//! Age encrypts in chunks of 64 KiB, each with a code of its own that also holds its number and whether it is the last.
//! So a chunk that was changed, moved or swapped is found when it is read, and nothing of it is returned. That the file
//! goes on as far as it was written shows only in its last chunk: it is checked once, before anything after the first
//! chunk is returned. A listing reads the first chunk alone, as it reads the first member of a plain archive alone.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use age::stream::StreamReader;
use age::{DecryptError, Decryptor, x25519};

use super::header::{Header, NONCE_BYTES};
use super::keys::Keys;
use crate::archive::codec::SourceFailed;
use crate::archive::error::{ArchiveError, damaged};
use crate::archive::locked::Locked;
use crate::store::ReadAt;

/// The plain bytes of a chunk, except the last one, which may have fewer.
const CHUNK: u64 = 64 * 1024;
/// The bytes that encryption adds to each chunk.
const TAG: u64 = 16;
/// How many readers are kept for the next read. Each holds two chunks.
const KEPT_READERS: usize = 32;

/// Decrypts a source from its position on.
type Reader = StreamReader<BufReader<Cursor>>;

/// The contents of an encrypted file.
pub(crate) struct DecryptedFile {
    source: Arc<dyn ReadAt>,
    /// The key that opens it.
    identity: x25519::Identity,
    bytes: u64,
    /// Set once the last chunk was found to be the last.
    is_complete: OnceLock<()>,
    /// Idle readers, each with its position. Every thread that reads takes one, or opens another.
    idle: Mutex<Vec<(Reader, u64)>>,
}

impl DecryptedFile {
    /// Opens a file with one of the keys. If none of them opens it, returns what is known about it.
    pub(crate) fn open(
        source: Arc<dyn ReadAt>,
        header: &Header,
        keys: &Keys,
    ) -> Result<Result<Self, Locked>, ArchiveError> {
        let start = header.bytes as u64 + NONCE_BYTES;
        // Cut off inside the nonce or the only chunk; whether at the end of a chunk is found when it is read.
        let encrypted = source.bytes().checked_sub(start).ok_or_else(truncated)?;
        let chunks = encrypted.div_ceil(CHUNK + TAG);
        let last = encrypted.saturating_sub(chunks.saturating_sub(1) * (CHUNK + TAG));
        if last < TAG {
            return Err(truncated());
        }
        for identity in keys.all() {
            match open_reader(&source, identity) {
                Ok(reader) => {
                    return Ok(Ok(Self {
                        source,
                        identity: identity.clone(),
                        bytes: encrypted - chunks * TAG,
                        is_complete: OnceLock::new(),
                        idle: Mutex::new(vec![(reader, 0)]),
                    }));
                }
                Err(DecryptError::NoMatchingKeys) => {}
                Err(error) => return Err(of_header(error)),
            }
        }
        Ok(Err(Locked {
            envelope: header.envelope.clone(),
            tried: keys.identities().len(),
            has_passphrase: header.has_passphrase,
        }))
    }

    /// Takes the idle reader that is at this offset, or in its chunk, or any; opens one if there is none.
    fn reader_at(&self, offset: u64) -> io::Result<(Reader, u64)> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().position(|(_, at)| *at == offset);
        let at = at.or_else(|| idle.iter().position(|(_, at)| at / CHUNK == offset / CHUNK));
        if let Some(at) = at {
            return Ok(idle.swap_remove(at));
        }
        if let Some(reader) = idle.pop() {
            return Ok(reader);
        }
        drop(idle);
        let reader = open_reader(&self.source, &self.identity).map_err(|error| match of_header(error) {
            ArchiveError::Io(cause) => cause,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })?;
        Ok((reader, 0))
    }

    /// Checks that the file ends where it was ended. The reader is at the end then.
    fn check_end(&self, reader: &mut Reader) -> io::Result<()> {
        // This decrypts the last chunk as the last.
        let found = reader.seek(SeekFrom::End(0)).map_err(|error| of_payload(error, true))?;
        if found != self.bytes {
            return Err(evidence("it is truncated"));
        }
        // Another thread may have set it.
        let _ = self.is_complete.set(());
        Ok(())
    }

    /// Fills the buffer from an offset with a reader that is at `at`.
    fn fill(&self, (reader, at): (&mut Reader, u64), buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut at = at;
        let end = offset + buffer.len() as u64;
        if (end > CHUNK || end == self.bytes) && self.is_complete.get().is_none() {
            self.check_end(reader)?;
            at = self.bytes;
        }
        if at != offset {
            reader.seek(SeekFrom::Start(offset)).map_err(|error| of_payload(error, false))?;
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..]) {
                Ok(0) => return Err(evidence("it is truncated")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(of_payload(error, false)),
            }
        }
        Ok(())
    }
}

impl ReadAt for DecryptedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.bytes.saturating_sub(offset).min(buffer.len() as u64) as usize;
        if count == 0 {
            return Ok(0);
        }
        let (mut reader, at) = self.reader_at(offset)?;
        // After an error the position of the reader is unknown: it is dropped.
        self.fill((&mut reader, at), &mut buffer[..count], offset).inspect_err(|_| buffer[..count].fill(0))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_READERS {
            idle.push((reader, offset + count as u64));
        }
        Ok(count)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn open_reader(source: &Arc<dyn ReadAt>, identity: &x25519::Identity) -> Result<Reader, DecryptError> {
    // Buffered: otherwise `age` reads the header byte by byte, and parses it again after each.
    let input = BufReader::new(Cursor { source: source.clone(), at: 0 });
    Decryptor::new_buffered(input)?.decrypt(std::iter::once(identity as &dyn age::Identity))
}

/// A source as a file with a position. Marks its errors, so that they are not taken for damage.
struct Cursor {
    source: Arc<dyn ReadAt>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read_at(buffer, self.at) {
            Ok(count) => {
                self.at += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(io::Error::other(SourceFailed(error))),
        }
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.bytes().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn truncated() -> ArchiveError {
    damaged("it is truncated")
}

/// Makes damage an error of reading, which [`ArchiveError`] takes out again.
fn evidence(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, damaged(why))
}

/// Returns what an error means that a key met in the header.
fn of_header(error: DecryptError) -> ArchiveError {
    match error {
        DecryptError::Io(error) => match error.downcast::<SourceFailed>() {
            Ok(failed) => failed.0.into(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => truncated(),
            Err(error) => error.into(),
        },
        DecryptError::InvalidMac => damaged("its age header was changed after it was written"),
        _ => damaged("its age header is corrupt"),
    }
}

/// Returns what an error means that was met behind the header: one of the source, or a chunk that is not as it was
/// written.
fn of_payload(error: io::Error, at_end: bool) -> io::Error {
    match error.downcast::<SourceFailed>() {
        Ok(failed) => failed.0,
        Err(_) if at_end => evidence("it is truncated, or its end was changed"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => evidence("it is truncated"),
        Err(_) => evidence("its encrypted data was changed after it was written"),
    }
}
