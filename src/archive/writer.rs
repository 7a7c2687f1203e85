//! Writes archive format 1.

use std::fs::File;
use std::num::NonZeroUsize;

use chrono::{DateTime, Utc};

use super::ArchiveError;
use crate::digest::Sha256;
use crate::metadata::Metadata;
use crate::progress::Progress;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip members at a level of libdeflate, 1 to 12: `.tar.gz`.
    Gzip(u8),
    /// A plain tar: `.tar`.
    None,
}

/// How an archive is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// The compression.
    pub compression: Compression,
    /// How many threads compress.
    pub threads: NonZeroUsize,
}

/// Writes one archive into a file that nobody else sees yet.
pub struct Writer;

impl Writer {
    /// Begins an archive in an empty file and leaves `room` bytes for the metadata. `created_at` becomes the time of all entries.
    pub fn create(_file: File, _options: &WriteOptions, _created_at: DateTime<Utc>, _room: usize) -> Result<Self, ArchiveError> {
        todo!()
    }

    /// Appends a database of exactly `bytes` bytes, read from the start of `source` by `pread`, and returns the digest of those bytes.
    pub fn add_database(&mut self, _entry: &str, _source: &File, _bytes: u64, _progress: &dyn Progress) -> Result<Sha256, ArchiveError> {
        todo!()
    }

    /// Appends `RESTORE.txt`, writes the metadata into its room, syncs the file, and returns its size.
    pub fn finish(self, _metadata: &Metadata) -> Result<u64, ArchiveError> {
        todo!()
    }
}

/// Returns the room that the final metadata can need: `draft` holds every name, path and table, and any numbers; those are taken at their longest.
pub fn metadata_room(_draft: &Metadata) -> usize {
    todo!()
}
