//! Where the bytes of an archive go.

use std::fs::File;
use std::io;

use super::positional_write::write_at;

/// Takes an archive from front to back, except for a place at its start that is filled last.
///
/// No other byte is written twice, so that a sink can encrypt or upload what it was given: it holds back the reserved
/// bytes and the little that shares a block or a part with them.
pub trait Sink {
    /// Leaves this many bytes free at the start. Called once, before anything else.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
    /// Appends bytes behind everything so far.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Fills the reserved place, which has exactly this size. Called once, after everything else.
    fn fill_reserved(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns the size of the archive so far, the reserved place included.
    fn bytes(&self) -> u64;
}

/// A file that nobody else sees yet.
///
/// Until the reserved place is filled the file begins with a hole: what a run leaves that dies before that is no
/// archive.
pub struct FileSink {
    file: File,
    at: u64,
}

impl FileSink {
    /// Writes into an empty file.
    pub fn new(file: File) -> Self {
        Self { file, at: 0 }
    }

    /// Waits until the file is on the disk.
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
