//! Reads archives of every origin.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::ArchiveError;
use crate::digest::Sha256;
use crate::progress::Progress;
use crate::snapshot::Contents;
use crate::store::ReadAt;

/// An archive that was opened: its description was read and validated, its databases were not.
pub struct Archive;

/// One database as it was read out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadDatabase {
    /// Its size.
    pub bytes: u64,
    /// The digest of what was read. Where the archive recorded one, it is the same.
    pub sha256: Sha256,
}

/// All of an archive as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadThrough {
    /// Every database in order.
    pub databases: Vec<ReadDatabase>,
    /// What only reading all of it shows.
    pub oddities: Vec<String>,
}

impl Archive {
    /// Opens an archive; reads no more than its first member where it is of format 1. `zone` is used for times of old tools, which carry none.
    pub fn open(_source: Arc<dyn ReadAt>, _file_name: &str, _modified: DateTime<Utc>, _zone: Tz) -> Result<Self, ArchiveError> {
        todo!()
    }

    /// Says what is in it.
    pub fn contents(&self) -> &Contents {
        todo!()
    }

    /// Writes the databases at these indices of [`Contents::databases`] into these empty files, and compares sizes and digests. On an error the files hold nothing of worth. Syncs nothing.
    pub fn unpack(
        &self,
        _wanted: &[(usize, &File)],
        _threads: NonZeroUsize,
        _progress: &dyn Progress,
    ) -> Result<Vec<ReadDatabase>, ArchiveError> {
        todo!()
    }

    /// Reads every byte to the end of the file: structure, CRCs, sizes, digests, padding. Returns every database in order.
    pub fn read_through(&self, _threads: NonZeroUsize, _progress: &dyn Progress) -> Result<ReadThrough, ArchiveError> {
        todo!()
    }
}
