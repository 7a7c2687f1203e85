//! A source that is read from front to back.

use std::io::{self, Read};
use std::sync::Arc;

use crate::archive::error::{ArchiveError, damaged};
use crate::store::ReadAt;

/// Reads a source from front to back.
pub(crate) struct Forward {
    pub(crate) source: Arc<dyn ReadAt>,
    pub(crate) at: u64,
}

/// Marks an error of the source itself, so that it is not reported as damage.
#[derive(Debug)]
pub(crate) struct SourceFailed(pub(crate) io::Error);

impl std::fmt::Display for SourceFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SourceFailed {}

impl Read for Forward {
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

/// Separates an error of the source, and the refusal to read on, from damage in a compressed stream.
pub(crate) fn unreadable(error: io::Error, stream: &str) -> ArchiveError {
    let error = match error.downcast::<ArchiveError>() {
        Ok(refused) => return refused,
        Err(error) => error,
    };
    match error.downcast::<SourceFailed>() {
        Ok(failed) => failed.0.into(),
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => ArchiveError::Io(error),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => damaged("it is truncated"),
        Err(error) => damaged(format!("the {stream} is corrupt: {error}")),
    }
}
