//! What to read from an archive, and the result.

use std::fs::File;

use crate::digest::Sha256;

/// Whether to read a database.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    No,
    /// Read and compare it.
    Read,
    /// Write it into this file, which must be open for reading, too, and compare what the file holds.
    Into(&'a File),
}

impl Wanted<'_> {
    pub(crate) fn is_no(&self) -> bool {
        matches!(self, Self::No)
    }
}

/// How far to read an archive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Up to the last database that is wanted.
    LastWanted,
    /// To the end of the file.
    End,
}

/// One database that was read from an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadDatabase {
    /// Its size.
    pub bytes: u64,
    /// The digest of the data that was read; if it was written into a file, of what that file holds. It equals the one
    /// in the archive, if that has one.
    pub sha256: Sha256,
}

/// The result of reading a whole archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadThrough {
    /// Every database, in the order of [`Contents::databases`](crate::snapshot::Contents::databases).
    pub databases: Vec<ReadDatabase>,
    /// Oddities beyond [`Contents::oddities`](crate::snapshot::Contents::oddities) that only show when everything is
    /// read.
    pub oddities: Vec<String>,
}
