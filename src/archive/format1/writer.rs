//! Writes archive format 1.
//!
//! The metadata is the first entry but is known last: its place is left free at the start of the file and filled
//! at the end. Until then the file begins with a hole, so that a file of a run that died is no archive.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;

use chrono::{DateTime, Utc};

use crate::archive::ArchiveError;
use crate::archive::codec::gzip::{self, Encoder};
use crate::archive::format::{MAX_METADATA_BYTES, MEMBER_BYTES, RESTORE_TEXT, TAR_BLOCK};
use crate::archive::tar_file::tar_header;
use crate::archive::{pipeline, positional_write};
use crate::digest::{Hasher, Sha256};
use crate::metadata::{Integrity, Kind, Metadata};
use crate::names::{MAX_ENTRY_BYTES, METADATA_ENTRY, RESTORE_ENTRY, is_file_name};
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

/// More threads than this would wait for the one that hashes, and take memory.
const MAX_THREADS: usize = 16;
/// What the findings of one database may need beyond those of the draft.
const FINDINGS_ROOM: usize = 8 * 1024;

/// Writes one archive into a file that nobody else sees yet.
pub struct Writer {
    file: File,
    /// Where the next member goes.
    at: u64,
    room: usize,
    modified: u64,
    /// One for each thread, kept from database to database.
    packers: Vec<Packer>,
}

/// Makes the bytes of the archive out of the bytes of the tar.
enum Packer {
    Gzip(Box<Encoder>),
    None,
}

/// A run of blocks on its way through the threads.
struct Run {
    /// The bytes of the tar; its length is what is used of it.
    input: Vec<u8>,
    /// How many of them come from the database; the rest is the padding of the tar.
    live: u64,
    output: Vec<u8>,
}

impl Writer {
    /// Begins an archive in an empty file and leaves `room` bytes for the metadata. `created_at` becomes the time of all entries.
    pub fn create(file: File, options: &WriteOptions, created_at: DateTime<Utc>, room: usize) -> Result<Self, ArchiveError> {
        if room == 0 || !room.is_multiple_of(TAR_BLOCK) || room as u64 > MAX_METADATA_BYTES {
            return Err(invalid("the room for the metadata must be a multiple of 512 up to 16 MiB"));
        }
        let first = TAR_BLOCK + room;
        let (at, new): (_, fn(u8) -> Packer) = match options.compression {
            Compression::Gzip(_) => (gzip::stored_bytes(first), |level| Packer::Gzip(Box::new(Encoder::new(level)))),
            Compression::None => (first, |_| Packer::None),
        };
        let level = if let Compression::Gzip(level) = options.compression { level } else { 0 };
        let packers = (0..options.threads.get().min(MAX_THREADS)).map(|_| new(level)).collect();
        let modified = u64::try_from(created_at.timestamp()).unwrap_or(0);
        Ok(Self { file, at: at as u64, room, modified, packers })
    }

    /// Appends a database of exactly `bytes` bytes, read from the start of `source` by `pread`, and returns the digest of those bytes.
    ///
    /// Fails where the source holds fewer bytes or more. Advances `progress` by bytes of the source.
    pub fn add_database(&mut self, entry: &str, source: &File, bytes: u64, progress: &dyn Progress) -> Result<Sha256, ArchiveError> {
        if !is_file_name(entry) || entry.len() > MAX_ENTRY_BYTES {
            return Err(invalid("the name cannot be that of an archive entry"));
        }
        let padded = tar_header::padded(bytes).ok_or_else(|| invalid("the database is too large for a tar"))?;
        self.append(&tar_header::header(entry, bytes, self.modified))?;

        let runs = usize::try_from(padded.div_ceil(MEMBER_BYTES as u64)).unwrap_or(usize::MAX);
        let workers = self.packers.len().min(runs.max(1));
        let jobs =
            (0..workers.saturating_add(2).min(runs.max(1))).map(|_| Run { input: Vec::new(), live: 0, output: Vec::new() }).collect();
        let mut hasher = Hasher::default();
        let (mut read, file, at) = (0, &self.file, &mut self.at);
        pipeline::ordered(
            jobs,
            &mut self.packers[..workers],
            |run: &mut Run| {
                if read == padded {
                    return Ok(false);
                }
                run.live = (bytes - read).min(MEMBER_BYTES as u64);
                run.input.resize((padded - read).min(MEMBER_BYTES as u64) as usize, 0);
                let (live, padding) = run.input.split_at_mut(run.live as usize);
                source.read_exact_at(live, read)?;
                padding.fill(0);
                hasher.update(live);
                read += run.input.len() as u64;
                Ok(true)
            },
            |packer, run| {
                packer.pack(&run.input, &mut run.output);
                Ok(())
            },
            |run| {
                progress.checkpoint()?;
                positional_write::write_at(file, &run.output, *at)?;
                *at += run.output.len() as u64;
                progress.advance(run.live);
                Ok::<_, ArchiveError>(())
            },
        )?;
        if source.read_at(&mut [0], bytes)? != 0 {
            return Err(invalid("the copy grew while it was archived"));
        }
        Ok(hasher.finish())
    }

    /// Appends `RESTORE.txt` and writes the metadata into its room. The file is complete now, but not synced.
    pub fn finish(mut self, metadata: &Metadata) -> Result<Finished, ArchiveError> {
        let text = RESTORE_TEXT.as_bytes();
        let mut tail = tar_header::header(RESTORE_ENTRY, text.len() as u64, self.modified).to_vec();
        tail.extend_from_slice(text);
        tail.resize(tail.len().next_multiple_of(TAR_BLOCK) + 2 * TAR_BLOCK, 0);
        self.append(&tail)?;

        let mut first = tar_header::header(METADATA_ENTRY, self.room as u64, self.modified).to_vec();
        serde_json::to_writer(&mut first, metadata).map_err(io::Error::from)?;
        let needed = first.len() - TAR_BLOCK + 1;
        if needed > self.room {
            return Err(ArchiveError::MetadataTooLarge { needed, room: self.room });
        }
        first.resize(TAR_BLOCK + self.room - 1, b' ');
        // The end of the line is the end of the entry: a reader sees by it that nothing was cut off.
        first.push(b'\n');
        let packed = match self.packers.first() {
            Some(Packer::Gzip(_)) => {
                let mut member = Vec::with_capacity(gzip::stored_bytes(first.len()));
                gzip::append_stored(&first, &mut member);
                member
            }
            _ => first,
        };
        self.file.write_all_at(&packed, 0)?;
        Ok(Finished { file: self.file, bytes: self.at })
    }

    /// Appends one small member.
    fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut packed = Vec::new();
        if let Some(packer) = self.packers.first_mut() {
            packer.pack(bytes, &mut packed);
        }
        self.file.write_all_at(&packed, self.at)?;
        self.at += packed.len() as u64;
        Ok(())
    }
}

impl Packer {
    fn pack(&mut self, input: &[u8], output: &mut Vec<u8>) {
        output.clear();
        match self {
            Self::Gzip(encoder) => input.chunks(MEMBER_BYTES).for_each(|block| encoder.append(block, output)),
            Self::None => output.extend_from_slice(input),
        }
    }
}

fn invalid(what: &'static str) -> ArchiveError {
    ArchiveError::Io(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// An archive that is complete but perhaps not on the disk yet.
#[must_use = "an archive that is not synced must not be committed"]
pub struct Finished {
    file: File,
    bytes: u64,
}

impl Finished {
    /// Waits until the file is on the disk. Without this a power cut after the commit could leave a name for a file that is not whole.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Returns the size of the archive.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Returns the room that the final metadata can need: `draft` holds every name, path and table, and any numbers; those are taken at their longest.
///
/// Each database may get findings of 8 KiB beyond those that the draft holds.
pub fn metadata_room(draft: &Metadata) -> usize {
    let mut longest = draft.clone();
    longest.format = u32::MAX;
    longest.kind = Kind::PreUpdate;
    longest.consistent_set = false;
    longest.includes.values_mut().for_each(|included| *included = false);
    for database in &mut longest.databases {
        database.bytes = u64::MAX;
        database.page_size = u32::MAX;
        for count in [
            &mut database.page_count,
            &mut database.freelist_count,
            &mut database.table_count,
            &mut database.index_count,
            &mut database.trigger_count,
            &mut database.view_count,
        ] {
            *count = u64::MAX;
        }
        database.application_id = i32::MIN;
        database.user_version = i32::MIN;
        database.foreign_key_violations = Some(u64::MAX);
        database.vacuumed = false;
        database.integrity = Integrity::Unchecked;
        database.encoding = "UTF-16le".into();
        database.journal_mode = "delete".into();
        database.auto_vacuum = "incremental".into();
        if database.sqlite_version.len() < 16 {
            database.sqlite_version = "x".repeat(16);
        }
        database.tables.iter_mut().for_each(|table| table.rows = Some(u64::MAX));
    }
    let json = serde_json::to_vec(&longest).expect("metadata has no keys that JSON cannot have");
    (json.len() + 1 + longest.databases.len() * FINDINGS_ROOM).next_multiple_of(TAR_BLOCK)
}
