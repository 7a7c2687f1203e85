//! Reads and writes at an offset, without moving the position of the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A file that is read and written at an offset, by several threads at once.
pub trait PositionalIo {
    /// Reads up to `buffer.len()` bytes from `offset`; 0 means the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills the whole buffer from `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all bytes at `offset`; the file grows if necessary.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
}

impl PositionalIo for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }
}
