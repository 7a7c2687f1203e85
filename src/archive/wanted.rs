//! What is read of an archive, and what came out of it.

use std::fs::File;

use crate::digest::Sha256;

/// Whether a database is read.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    No,
    /// Read and compared.
    Read,
    /// The same, and written into this file.
    Into(&'a File),
}

impl Wanted<'_> {
    pub(crate) fn is_no(&self) -> bool {
        matches!(self, Self::No)
    }
}

/// How far an archive is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Up to the last database that is wanted.
    LastWanted,
    /// To the end of the file.
    End,
}

/// One database as it was read out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadDatabase {
    /// Its size.
    pub bytes: u64,
    /// The digest of what was read. If the archive recorded one, it is the same.
    pub sha256: Sha256,
}

/// What reading a whole archive gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadThrough {
    /// Every database, in the order of [`Contents::databases`](crate::snapshot::Contents::databases).
    pub databases: Vec<ReadDatabase>,
    /// What is odd, beyond [`Contents::oddities`](crate::snapshot::Contents::oddities), and only shows on reading
    /// everything.
    pub oddities: Vec<String>,
}
