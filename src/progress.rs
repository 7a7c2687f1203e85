//! Reports the progress of an operation, and requests its cancellation.
//!
//! Operations never print. A terminal shows a bar, cron uses [`Silent`], tests count.

use std::fmt;

/// A part of an operation that takes long enough to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for locks until databases can be copied as they are at one point in time; counts nothing.
    Lock,
    /// Copying a live database; counts bytes.
    Copy,
    /// Checking, hashing and compressing the copy; counts bytes.
    Pack,
    /// Encrypting the finished archive; counts bytes.
    Encrypt,
    /// Reading the finished archive again; counts bytes.
    ReadBack,
    /// Extracting databases from an archive; counts bytes.
    Unpack,
    /// Checking unpacked databases; counts nothing.
    Check,
    /// Writing a database in place; counts bytes.
    Replace,
    /// Giving a finished archive its name in the store; counts nothing.
    Commit,
    /// Uploading a finished archive to a remote store; counts bytes.
    Upload,
    /// Downloading an archive from a remote store; counts bytes.
    Download,
    /// Processing archives; counts archives.
    Archives,
}

impl Stage {
    /// Returns the word that JSON uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Copy => "copy",
            Self::Pack => "pack",
            Self::Encrypt => "encrypt",
            Self::ReadBack => "read_back",
            Self::Unpack => "unpack",
            Self::Check => "check",
            Self::Replace => "replace",
            Self::Commit => "commit",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Archives => "archives",
        }
    }
}

/// Receives progress. Calls may come from several threads.
pub trait Progress: Sync {
    /// Starts a stage of `total` units and ends the previous one. `subject` is its name for the user (a database, an
    /// archive).
    fn begin(&self, stage: Stage, subject: &str, total: u64);
    /// Reports that the state of the databases is captured and keeps no writer waiting: nothing that is written from
    /// now on is part of the backup.
    fn captured(&self) {}
    /// Adds to the current stage.
    fn advance(&self, units: u64);
    /// Returns whether the operation was asked to stop. It is called often, so it must be cheap.
    fn cancelled(&self) -> bool {
        false
    }

    /// Fails with [`Interrupted`] once the operation was asked to stop.
    fn checkpoint(&self) -> Result<(), Interrupted> {
        if self.cancelled() { Err(Interrupted) } else { Ok(()) }
    }
}

/// The operation was asked to stop (a signal). Nothing was committed after the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Shows nothing and never stops.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
}
