//! Where the bytes of an archive are written.

use std::fs::File;
use std::io;

use super::positional_write::write_at;

/// Receives an archive from front to back, except for reserved space at its start that is filled last.
///
/// No other byte is written twice, so a sink can encrypt or upload its input: it only has to hold back the reserved
/// bytes and the few that share a block or a part with them.
pub trait Sink {
    /// Leaves this many bytes free at the start. Called once, before anything else.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Fills the reserved space, which has exactly this size. Called once, after everything else.
    fn fill_reserved(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns the size of the archive so far, including the reserved space.
    fn bytes(&self) -> u64;
}

/// A file that is not visible to others yet.
///
/// Until the reserved space is filled, the file starts with a hole, so a run that crashes before that does not leave a
/// valid archive.
pub struct FileSink {
    file: File,
    at: u64,
}

impl FileSink {
    /// Writes into an empty file.
    pub fn new(file: File) -> Self {
        Self { file, at: 0 }
    }

    /// Waits until the file is on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Sink for FileSink {
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.at = bytes;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_at(&self.file, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn fill_reserved(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_at(&self.file, bytes, 0)
    }

    fn bytes(&self) -> u64 {
        self.at
    }
}
