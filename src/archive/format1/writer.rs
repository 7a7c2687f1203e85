//! Writes archive format 1.
//!
//! The metadata is the first entry but is known last, so space is reserved for it at the start and filled at the end.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::archive::codec::{Codec, Encoder, Index};
use crate::archive::error::ArchiveError;
use crate::archive::format::{MEMBER_BYTES, RESTORE_TEXT, TAR_BLOCK};
use crate::archive::limits::MAX_METADATA_BYTES;
use crate::archive::pipeline;
use crate::archive::sink::{FileSink, Sink};
use crate::archive::tar_file::tar_header;
use crate::compression::Compression;
use crate::digest::{Hasher, Sha256};
use crate::metadata::Metadata;
use crate::names::{MAX_ENTRY_BYTES, METADATA_ENTRY, RESTORE_ENTRY, is_file_name};
use crate::platform::PositionalIo as _;
use crate::processors::Processors;
use crate::progress::Progress;

/// How to write an archive.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// The compression.
    pub compression: Compression,
    /// How many threads compress.
    pub threads: NonZeroUsize,
}

/// More threads than this would wait for the hashing thread, and use memory.
const MAX_THREADS: usize = 16;

/// Writes one archive into a sink, by default a file.
pub struct Writer<S = FileSink> {
    sink: S,
    codec: Option<Codec>,
    room: usize,
    modified: u64,
    /// One per thread, kept from database to database.
    encoders: Vec<Encoder>,
    index: Index,
    processors: Option<Arc<Processors>>,
}

/// A database that was written into an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Where the member with its tar header starts in the file, in bytes; `None` in a tar without compression.
    pub offset: Option<u64>,
}

/// A run of blocks on its way through the threads.
struct Run {
    /// The bytes of the tar; only the first `len` are used.
    input: Vec<u8>,
    /// How many of them come from the database; the rest is tar padding.
    live: u64,
    output: Vec<u8>,
}

impl<S: Sink> Writer<S> {
    /// Starts an archive in an empty sink and reserves `room` bytes for the metadata. All entries get the time
    /// `created_at`.
    pub fn create(
        mut sink: S,
        options: &WriteOptions,
        created_at: DateTime<Utc>,
        room: usize,
    ) -> Result<Self, ArchiveError> {
        if room == 0 || !room.is_multiple_of(TAR_BLOCK) || room as u64 > MAX_METADATA_BYTES {
            return Err(invalid("the room for the metadata must be a multiple of 512 up to 16 MiB"));
        }
        let codec = Codec::for_new(options.compression);
        let first = TAR_BLOCK + room;
        let packed = codec.map_or(first, |codec| codec.stored_bytes(first));
        sink.reserve(packed as u64)?;
        let mut index = Index::new(codec);
        index.add(packed, first);
        let encoders = (0..options.threads.get().min(MAX_THREADS)).map(|_| Encoder::new(options.compression));
        let encoders = encoders.collect::<io::Result<_>>()?;
        let modified = u64::try_from(created_at.timestamp()).unwrap_or(0);
        Ok(Self { sink, codec, room, modified, encoders, index, processors: None })
    }

    /// Lets the threads that compress use only these processors, and only as far as nothing else claims them.
    #[must_use]
    pub fn sharing(self, processors: Arc<Processors>) -> Self {
        Self { processors: Some(processors), ..self }
    }

    /// Appends a database of exactly `bytes` bytes, read from the start of `source` by `pread`.
    ///
    /// Fails if the source holds more or fewer bytes. Advances `progress` by bytes of the source.
    pub fn add_database(
        &mut self,
        entry: &str,
        source: &File,
        bytes: u64,
        progress: &dyn Progress,
    ) -> Result<Added, ArchiveError> {
        if !is_file_name(entry) || entry.len() > MAX_ENTRY_BYTES {
            return Err(invalid("the name cannot be that of an archive entry"));
        }
        let padded = tar_header::padded(bytes).ok_or_else(|| invalid("the database is too large for a tar"))?;
        let offset = self.codec.map(|_| self.sink.bytes());
        self.append(&tar_header::header(entry, bytes, self.modified))?;

        let runs = usize::try_from(padded.div_ceil(MEMBER_BYTES as u64)).unwrap_or(usize::MAX);
        let workers = self.encoders.len().min(runs.max(1));
        let jobs = (0..workers.saturating_add(2).min(runs.max(1)))
            .map(|_| Run { input: Vec::new(), live: 0, output: Vec::new() })
            .collect();
        let mut hasher = Hasher::default();
        let (mut read, sink, index) = (0, &mut self.sink, &mut self.index);
        // A small database is packed by one thread: with a thousand of them, waiting for each check would leave all of
        // that for the end, on one processor.
        let processors = self.processors.as_deref().filter(|_| workers > 1);
        pipeline::ordered(
            jobs,
            &mut self.encoders[..workers],
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
            |encoder, run| {
                let _busy = processors.map(Processors::share);
                encoder.pack(&run.input, &mut run.output)?;
                Ok(())
            },
            |run| {
                progress.checkpoint()?;
                sink.append(&run.output)?;
                index.add(run.output.len(), run.input.len());
                progress.advance(run.live);
                Ok::<_, ArchiveError>(())
            },
        )?;
        if source.read_at(&mut [0], bytes)? != 0 {
            return Err(invalid("the copy grew while it was archived"));
        }
        Ok(Added { sha256: hasher.finish(), offset })
    }

    /// Appends `RESTORE.txt` and fills in the metadata. The archive is then complete, but not synced.
    pub fn finish(mut self, metadata: &Metadata) -> Result<Finished<S>, ArchiveError> {
        let text = RESTORE_TEXT.as_bytes();
        let mut tail = tar_header::header(RESTORE_ENTRY, text.len() as u64, self.modified).to_vec();
        tail.extend_from_slice(text);
        tail.resize(tail.len().next_multiple_of(TAR_BLOCK) + 2 * TAR_BLOCK, 0);
        self.append(&tail)?;
        self.sink.append(&self.index.finish())?;

        let mut first = tar_header::header(METADATA_ENTRY, self.room as u64, self.modified).to_vec();
        serde_json::to_writer(&mut first, metadata).map_err(io::Error::from)?;
        let needed = first.len() - TAR_BLOCK + 1;
        if needed > self.room {
            return Err(ArchiveError::MetadataTooLarge { needed, room: self.room });
        }
        first.resize(TAR_BLOCK + self.room - 1, b' ');
        // The newline ends the entry: it shows a reader that nothing was cut off.
        first.push(b'\n');
        if let Some(codec) = self.codec {
            let mut member = Vec::with_capacity(codec.stored_bytes(first.len()));
            codec.append_stored(&first, &mut member);
            first = member;
        }
        self.sink.fill_reserved(&first)?;
        Ok(Finished { sink: self.sink })
    }

    /// Appends one small member.
    fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut packed = Vec::new();
        if let Some(encoder) = self.encoders.first_mut() {
            encoder.pack(bytes, &mut packed)?;
        }
        self.sink.append(&packed)?;
        self.index.add(packed.len(), bytes.len());
        Ok(())
    }
}

fn invalid(what: &'static str) -> ArchiveError {
    ArchiveError::Io(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// An archive that is complete but perhaps not on disk yet.
#[must_use = "an archive that is not synced must not be committed"]
pub struct Finished<S = FileSink> {
    sink: S,
}

impl<S: Sink> Finished<S> {
    /// Returns the size of the archive.
    pub fn bytes(&self) -> u64 {
        self.sink.bytes()
    }

    /// Returns the sink that it was written into.
    pub fn into_sink(self) -> S {
        self.sink
    }
}

impl Finished {
    /// Waits until the file is on disk. Without this, a power cut after the commit could leave a name for an incomplete
    /// file.
    pub fn sync(&self) -> io::Result<()> {
        self.sink.sync()
    }
}
