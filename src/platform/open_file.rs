//! An open file that is read at any offset.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Whether to follow a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Open its target.
    Follow,
    /// Fail.
    Refuse,
}

/// Opens a file for reading without blocking: a pipe may never get a writer.
pub fn open_at_once(path: &Path, links: Links) -> io::Result<File> {
    let flags = match links {
        Links::Follow => OFlags::NONBLOCK,
        Links::Refuse => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

/// Opens a regular file for reading, and nothing else: no symbolic link, no pipe.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open_at_once(path, Links::Refuse)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Opens a file for reading and writing without blocking; a symbolic link is refused.
pub fn open_to_overwrite(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    OpenOptions::new().read(true).write(true).custom_flags(flags.bits() as i32).open(path)
}

/// Returns whether opening failed because the path is a socket, or a device that does not exist.
pub fn is_no_file(cause: &io::Error) -> bool {
    cause.raw_os_error() == Some(Errno::NXIO.raw_os_error())
}

/// A regular file that is held open for reading.
pub struct OpenFile {
    file: File,
    bytes: u64,
    modified: DateTime<Utc>,
}

impl OpenFile {
    /// Opens a regular file; a pipe or device is refused without blocking.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, Links::Follow)
    }

    /// Like [`open`](Self::open); a symbolic link is refused, too.
    pub fn open_no_link(path: &Path) -> io::Result<Self> {
        Self::open_with(path, Links::Refuse)
    }

    fn open_with(path: &Path, links: Links) -> io::Result<Self> {
        let file = open_at_once(path, links)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { bytes: found.len(), modified: modified(&found), file })
    }

    /// Reads up to `buffer.len()` bytes from `offset`; 0 means the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    /// Returns its size when it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns when it was last written.
    pub fn modified(&self) -> DateTime<Utc> {
        self.modified
    }
}

/// Returns when a file was last written; the epoch if its file system does not record it.
pub fn modified(found: &Metadata) -> DateTime<Utc> {
    found.modified().map(DateTime::from).unwrap_or_default()
}
