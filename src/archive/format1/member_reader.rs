//! Reads format 1 as we write it: member by member, in parallel, and only those that are wanted.
//!
//! The sizes in the gzip headers are hints: each must land on the next header of ours, or on the end of the
//! file. Where a member lies in the tar follows from the ISIZE of those before it, and what must lie there from the
//! metadata; a member that says anything else is refused before anything is allocated for it.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use super::metadata_reader::{self, damaged, shown};
use crate::archive::ArchiveError;
use crate::archive::codec::gzip::{self, Decoder, HEADER_BYTES, TRAILER_BYTES};
use crate::archive::format::{MAX_METADATA_BYTES, MAX_TAIL_BYTES, TAR_BLOCK};
use crate::archive::reader::ReadDatabase;
use crate::archive::tar_file::tar_header::{self, EntryKind};
use crate::archive::{pipeline, positional_write};
use crate::digest::Hasher;
use crate::metadata::DatabaseMetadata;
use crate::names::{METADATA_ENTRY, RESTORE_ENTRY};
use crate::progress::Progress;
use crate::snapshot::Contents;
use crate::store::ReadAt;

/// How much a job holds unpacked, unless a single member is larger.
const RUN_BYTES: usize = 1024 * 1024;
/// More threads than this would wait for the one that hashes, and take memory.
const MAX_THREADS: usize = 8;

/// Reads the first member. `head` is the beginning of the file: all of a small first member, and enough to recognise any.
///
/// Returns what it describes and where the second member begins; `None` where the first member is not as we write it.
pub(crate) fn open(source: &dyn ReadAt, head: &[u8]) -> Result<Option<(Contents, u64)>, ArchiveError> {
    let Some(packed) = head.first_chunk().and_then(gzip::size_in_header) else { return Ok(None) };
    let Some(block) = gzip::first_stored_block(head).and_then(<[u8]>::first_chunk) else { return Ok(None) };
    let Ok(entry) = tar_header::parse(block) else { return Ok(None) };
    if entry.kind != EntryKind::File || entry.name != METADATA_ENTRY.as_bytes() || entry.bytes % TAR_BLOCK as u64 != 0 {
        return Ok(None);
    }
    if entry.bytes > MAX_METADATA_BYTES {
        return Err(ArchiveError::Hostile { why: "the metadata is larger than 16 MiB".into() });
    }
    let bytes = TAR_BLOCK + entry.bytes as usize;
    if u64::from(packed) > source.bytes() {
        return Err(damaged("it is cut short"));
    }
    if packed as usize != gzip::stored_bytes(bytes) {
        return Ok(None);
    }
    let mut first = head[..head.len().min(packed as usize)].to_vec();
    let there = first.len();
    first.resize(packed as usize, 0);
    source.read_exact_at(&mut first[there..], there as u64)?;
    let Some(contents) = gzip::stored_contents(&first, bytes) else { return Ok(None) };
    gzip::check(&contents, &first[first.len() - TRAILER_BYTES..]).map_err(damaged)?;
    let json = &contents[TAR_BLOCK..];
    if metadata_reader::format(json)?.is_none() {
        return Err(damaged("the metadata claims no format"));
    }
    Ok(Some((metadata_reader::read(json)?, packed.into())))
}

/// What is read, and how far.
pub(crate) struct Reading<'a> {
    pub(crate) source: &'a dyn ReadAt,
    /// Where the second member begins.
    pub(crate) second: u64,
    pub(crate) databases: &'a [DatabaseMetadata],
    /// For each database: whether it is read at all, and into which file.
    pub(crate) wanted: &'a [Wanted<'a>],
    /// Whether everything is read to the end of the file; otherwise the last wanted database is the end.
    pub(crate) to_the_end: bool,
    /// Held while a file is written to.
    pub(crate) writing: Mutex<()>,
}

/// Whether a database is read.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    No,
    /// Read and compared.
    Read,
    /// The same, and written into this file.
    Into(&'a File),
}

impl Reading<'_> {
    /// Reads; returns every database that was wanted, in the order of the archive.
    pub(crate) fn run(&self, threads: NonZeroUsize, progress: &dyn Progress) -> Result<Vec<ReadDatabase>, ArchiveError> {
        let total = self.databases.iter().map(|database| database.bytes / RUN_BYTES as u64 + 1).fold(0, u64::saturating_add);
        let workers = threads.get().min(MAX_THREADS).min(usize::try_from(total).unwrap_or(usize::MAX));
        let mut feeder = Feeder { members: Members { source: self.source, at: self.second }, reading: self, next: Next::Header(0) };
        let mut checker = Checker { reading: self, current: None, tail: Vec::new(), done: Vec::new() };
        pipeline::ordered(
            // Enough that nobody waits for the one that hashes, whenever it loses its processor for a moment.
            (0..2 * workers + 4).map(|_| Job::default()).collect(),
            &mut (0..workers).map(|_| Worker::new()).collect::<Vec<_>>(),
            |job| feeder.fill(job),
            |worker, job| if job.is_large() { Ok(()) } else { worker.unpack(self, job) },
            |job| {
                progress.checkpoint()?;
                if job.is_large() {
                    // One at a time, and with no buffers that stay: all workers at it would hold hundreds of MiB.
                    Worker::new().unpack(self, job)?;
                    checker.check(job)?;
                    job.unpacked = Vec::new();
                } else {
                    checker.check(job)?;
                }
                if let Part::Data { .. } = job.part {
                    progress.advance(job.live as u64);
                }
                Ok(())
            },
        )?;
        checker.finish()
    }
}

/// One member, as its header and trailer describe it.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) packed: u32,
    pub(crate) unpacked: u32,
}

/// Walks over the members of a file, two small reads each.
pub(crate) struct Members<'a> {
    pub(crate) source: &'a dyn ReadAt,
    pub(crate) at: u64,
}

impl Members<'_> {
    /// Returns the next member, or `None` at the exact end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Span>, ArchiveError> {
        let left = self.source.bytes().saturating_sub(self.at);
        if left == 0 {
            return Ok(None);
        }
        if left < (HEADER_BYTES + TRAILER_BYTES) as u64 {
            return Err(damaged("it is cut short, or has something behind its end"));
        }
        let mut header = [0; HEADER_BYTES];
        self.source.read_exact_at(&mut header, self.at)?;
        let packed =
            gzip::size_in_header(&header).ok_or_else(|| damaged(format!("no gzip member begins at byte {}, where one should", self.at)))?;
        if u64::from(packed) > left {
            return Err(damaged("it is cut short"));
        }
        let mut size = [0; 4];
        self.at += u64::from(packed);
        self.source.read_exact_at(&mut size, self.at - 4)?;
        let unpacked = u32::from_le_bytes(size);
        if !gzip::can_hold(packed, unpacked) {
            return Err(damaged("a gzip member claims an impossible size"));
        }
        Ok(Some(Span { packed, unpacked }))
    }

    fn expect_next(&mut self) -> Result<Span, ArchiveError> {
        self.next()?.ok_or_else(|| damaged("it is cut short"))
    }
}

/// Some members in a row that are read together.
#[derive(Default)]
struct Job {
    part: Part,
    /// Where the first one begins in the file.
    at: u64,
    spans: Vec<Span>,
    unpacked: Vec<u8>,
    /// How much of `unpacked` belongs to the database; the rest is the padding of the tar.
    live: usize,
}

impl Job {
    /// Says whether it is a single member that holds more than a run. We write none such.
    fn is_large(&self) -> bool {
        self.spans.first().is_some_and(|span| span.unpacked as usize > RUN_BYTES)
    }
}

/// What a job holds.
#[derive(Clone, Copy, Default)]
enum Part {
    /// The tar header of a database.
    Header(usize),
    /// A part of a database, from this byte of it.
    Data { index: usize, from: u64 },
    /// What comes after the last database.
    #[default]
    Tail,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Next {
    Header(usize),
    Data { index: usize, from: u64 },
    Tail { seen: u64 },
}

/// Cuts the file into jobs.
struct Feeder<'a> {
    members: Members<'a>,
    reading: &'a Reading<'a>,
    next: Next,
}

impl Feeder<'_> {
    fn fill(&mut self, job: &mut Job) -> Result<bool, ArchiveError> {
        job.spans.clear();
        loop {
            job.at = self.members.at;
            match self.next {
                Next::Header(index) => {
                    let nothing_left = self.reading.wanted[index..].iter().all(|wanted| matches!(wanted, Wanted::No));
                    if nothing_left && !self.reading.to_the_end {
                        return Ok(false);
                    }
                    let span = self.members.expect_next()?;
                    if span.unpacked as usize != TAR_BLOCK {
                        return Err(damaged("a database does not begin where it should"));
                    }
                    job.spans.push(span);
                    job.part = Part::Header(index);
                    self.next = self.after(index, 0);
                    return Ok(true);
                }
                Next::Data { index, from } => {
                    let to = self.collect(job, index, from)?;
                    self.next = self.after(index, to);
                    if !matches!(self.reading.wanted[index], Wanted::No) {
                        job.part = Part::Data { index, from };
                        job.live = (self.reading.databases[index].bytes.min(to) - from) as usize;
                        return Ok(true);
                    }
                    job.spans.clear();
                }
                Next::Tail { seen } => {
                    if !self.reading.to_the_end {
                        return Ok(false);
                    }
                    let Some(span) = self.members.next()? else { return Ok(false) };
                    let seen = seen + u64::from(span.unpacked);
                    if seen > MAX_TAIL_BYTES {
                        return Err(ArchiveError::Hostile { why: "there is too much behind the last database".into() });
                    }
                    job.spans.push(span);
                    job.part = Part::Tail;
                    self.next = Next::Tail { seen };
                    return Ok(true);
                }
            }
        }
    }

    /// Collects members of a database into a job; returns how far they reach. They must end exactly where the database does.
    fn collect(&mut self, job: &mut Job, index: usize, from: u64) -> Result<u64, ArchiveError> {
        let end = padded(&self.reading.databases[index]);
        let mut to = from;
        let start = self.members.at;
        // Members of few bytes are larger packed, and there would be a million of them.
        while to < end && to - from < RUN_BYTES as u64 && self.members.at - start < RUN_BYTES as u64 {
            let before = self.members.at;
            let span = self.members.expect_next()?;
            to += u64::from(span.unpacked);
            if to > end {
                return Err(damaged(format!(
                    "\"{}\" is not of the size that the metadata gives",
                    shown(&self.reading.databases[index].file)
                )));
            }
            if to - from > RUN_BYTES as u64 && !job.spans.is_empty() {
                // It would make the job too large; the next one begins with it.
                self.members.at = before;
                to -= u64::from(span.unpacked);
                break;
            }
            job.spans.push(span);
        }
        Ok(to)
    }

    fn after(&self, index: usize, reached: u64) -> Next {
        if reached < padded(&self.reading.databases[index]) {
            Next::Data { index, from: reached }
        } else if index + 1 < self.reading.databases.len() {
            Next::Header(index + 1)
        } else {
            Next::Tail { seen: 0 }
        }
    }
}

/// Returns how many bytes a database takes in the tar behind its header.
pub(crate) fn padded(database: &DatabaseMetadata) -> u64 {
    tar_header::padded(database.bytes).expect("sizes were checked when the metadata was read")
}

/// Decompresses on a thread of its own.
struct Worker {
    decoder: Decoder,
    packed: Vec<u8>,
}

impl Worker {
    fn new() -> Self {
        Self { decoder: Decoder::new(), packed: Vec::new() }
    }

    fn unpack(&mut self, reading: &Reading, job: &mut Job) -> Result<(), ArchiveError> {
        let packed: usize = job.spans.iter().map(|span| span.packed as usize).sum();
        let unpacked: usize = job.spans.iter().map(|span| span.unpacked as usize).sum();
        // Both are bounded by the walk: a run of about 1 MiB, or one member of at most 16 MiB.
        self.packed.resize(packed, 0);
        job.unpacked.resize(unpacked, 0);
        reading.source.read_exact_at(&mut self.packed, job.at)?;
        let (mut from, mut to) = (&self.packed[..], &mut job.unpacked[..]);
        for span in &job.spans {
            let (member, rest) = from.split_at(span.packed as usize);
            let (output, free) = to.split_at_mut(span.unpacked as usize);
            self.decoder.open(member, output).map_err(damaged)?;
            (from, to) = (rest, free);
        }
        if let Part::Data { index, from } = job.part
            && let Wanted::Into(file) = reading.wanted[index]
        {
            // The kernel lets one write to a file at a time, and burns the processor of whoever waits; here the other one sleeps.
            let _alone = reading.writing.lock().unwrap_or_else(PoisonError::into_inner);
            positional_write::write_at(file, &job.unpacked[..job.live], from)?;
        }
        Ok(())
    }
}

/// Compares what was unpacked with the metadata, in the order of the archive.
struct Checker<'a> {
    reading: &'a Reading<'a>,
    current: Option<(usize, Hasher)>,
    tail: Vec<u8>,
    done: Vec<ReadDatabase>,
}

impl Checker<'_> {
    fn check(&mut self, job: &Job) -> Result<(), ArchiveError> {
        match job.part {
            Part::Header(index) => {
                self.complete()?;
                let database = &self.reading.databases[index];
                let header = job.unpacked.first_chunk().ok_or_else(|| damaged("a tar header is missing"))?;
                entry_is(header, &database.file, Some(database.bytes))?;
                if !matches!(self.reading.wanted[index], Wanted::No) {
                    self.current = Some((index, Hasher::default()));
                }
            }
            Part::Data { .. } => {
                let (live, padding) = job.unpacked.split_at(job.live);
                if padding.iter().any(|&byte| byte != 0) {
                    return Err(damaged("the padding of the tar holds something"));
                }
                if let Some((_, hasher)) = &mut self.current {
                    hasher.update(live);
                }
            }
            Part::Tail => self.tail.extend_from_slice(&job.unpacked),
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), ArchiveError> {
        if let Some((index, hasher)) = self.current.take() {
            self.done.push(compare(&self.reading.databases[index], hasher)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<ReadDatabase>, ArchiveError> {
        self.complete()?;
        if self.reading.to_the_end {
            check_tail(&self.tail)?;
        }
        Ok(self.done)
    }
}

/// Compares the digest of a database that was read in full.
pub(crate) fn compare(database: &DatabaseMetadata, hasher: Hasher) -> Result<ReadDatabase, ArchiveError> {
    let sha256 = hasher.finish();
    if sha256 != database.sha256 {
        return Err(damaged(format!("\"{}\" does not have the sha256 that was recorded for it", shown(&database.file))));
    }
    Ok(ReadDatabase { bytes: database.bytes, sha256 })
}

/// Checks that a header is that of this entry.
fn entry_is(header: &tar_header::Block, name: &str, bytes: Option<u64>) -> Result<u64, ArchiveError> {
    let found = tar_header::parse(header)?;
    if found.kind != EntryKind::File || found.name != name.as_bytes() {
        let name = String::from_utf8_lossy(&found.name);
        return Err(ArchiveError::Hostile { why: format!("the entry \"{}\" is not the one that the metadata names", shown(&name)) });
    }
    if bytes.is_some_and(|bytes| bytes != found.bytes) {
        return Err(damaged(format!("\"{}\" is not of the size that the metadata gives", shown(name))));
    }
    Ok(found.bytes)
}

/// Checks what follows the last database: `RESTORE.txt`, its padding, two blocks of zeros, and nothing else.
fn check_tail(tail: &[u8]) -> Result<(), ArchiveError> {
    let cut = || damaged("the end of the tar is missing");
    let header = tail.first_chunk().ok_or_else(cut)?;
    let bytes = entry_is(header, RESTORE_ENTRY, None)?;
    let text_end = TAR_BLOCK.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
    let rest = tail.get(text_end..).ok_or_else(cut)?;
    let expected = text_end.next_multiple_of(TAR_BLOCK) - text_end + 2 * TAR_BLOCK;
    if rest.len() < expected {
        return Err(cut());
    }
    if rest.iter().any(|&byte| byte != 0) {
        return Err(ArchiveError::Hostile { why: "there is something behind the end of the tar".into() });
    }
    Ok(())
}
