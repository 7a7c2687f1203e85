//! Reads format 1 as we write it: member by member, in parallel, and only the members that are wanted.
//!
//! The sizes that members claim are hints: each must lead to the next member, or to the end of the file. The position
//! of a member in the tar follows from the sizes of those before it, and its expected contents from the metadata. A
//! member that claims anything else is refused before memory is allocated for it.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use super::metadata_reader::padded;
use crate::archive::codec::{Codec, Decoder, Member, Members};
use crate::archive::error::{ArchiveError, damaged, shown};
use crate::archive::format::TAR_BLOCK;
use crate::archive::limits::MAX_TAIL_BYTES;
use crate::archive::tar_file::tar_header::{self, EntryKind};
use crate::archive::wanted::{Reach, ReadDatabase, Wanted};
use crate::archive::{pipeline, positional_write};
use crate::digest::Hasher;
use crate::metadata::DatabaseMetadata;
use crate::names::RESTORE_ENTRY;
use crate::progress::Progress;
use crate::store::ReadAt;

/// How many uncompressed bytes a job holds, unless a single member is larger.
const RUN_BYTES: usize = 1024 * 1024;
/// More threads than this would wait for the hashing thread, and use memory.
const MAX_THREADS: usize = 8;

/// Reads the databases of a file of members.
pub(crate) struct MemberReader<'a> {
    pub(crate) codec: Codec,
    pub(crate) source: &'a dyn ReadAt,
    /// Where the second member starts.
    pub(crate) second: u64,
    pub(crate) databases: &'a [DatabaseMetadata],
    /// For each database: whether it is read, and into which file.
    pub(crate) wanted: &'a [Wanted<'a>],
    pub(crate) reach: Reach,
    /// Held while writing to a file.
    pub(crate) writing: Mutex<()>,
}

impl MemberReader<'_> {
    /// Reads the databases; returns those that were wanted, in the order of the archive.
    pub(crate) fn run(
        &self,
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> Result<Vec<ReadDatabase>, ArchiveError> {
        let total =
            self.databases.iter().map(|database| database.bytes / RUN_BYTES as u64 + 1).fold(0, u64::saturating_add);
        let workers = threads.get().min(MAX_THREADS).min(usize::try_from(total).unwrap_or(usize::MAX));
        let walk = Members::after_first(self.codec, self.source, self.second)?;
        let mut feeder = Feeder { walk, reader: self, next: Next::Header(0) };
        let mut checker = Checker { reader: self, current: None, tail: Vec::new(), done: Vec::new() };
        pipeline::ordered(
            // Enough jobs that no thread waits for the hashing thread whenever that is preempted for a moment.
            (0..2 * workers + 4).map(|_| Job::default()).collect(),
            &mut (0..workers).map(|_| Worker::new(self.codec)).collect::<Result<Vec<_>, _>>()?,
            |job| feeder.fill(job),
            |worker, job| if job.is_large() { Ok(()) } else { worker.unpack(self, job) },
            |job| {
                progress.checkpoint()?;
                if job.is_large() {
                    // One at a time, and without buffers that stay allocated: in all workers at once they would take
                    // hundreds of MiB.
                    Worker::new(self.codec)?.unpack(self, job)?;
                    checker.check(job)?;
                    job.unpacked = Vec::new();
                } else {
                    checker.check(job)?;
                }
                if let Content::Data { .. } = job.content {
                    progress.advance(job.live as u64);
                }
                Ok(())
            },
        )?;
        checker.finish()
    }
}

/// A few consecutive members that are read together.
#[derive(Default)]
struct Job {
    content: Content,
    /// Where the first one starts in the file.
    at: u64,
    members: Vec<Member>,
    unpacked: Vec<u8>,
    /// How much of `unpacked` belongs to the database; the rest is tar padding.
    live: usize,
}

impl Job {
    /// Returns whether this is a single member larger than a run. We never write such members.
    fn is_large(&self) -> bool {
        self.members.first().is_some_and(|member| member.unpacked as usize > RUN_BYTES)
    }
}

/// What a job contains.
#[derive(Clone, Copy, Default)]
enum Content {
    /// The tar header of a database.
    Header(usize),
    /// Part of a database, starting at this byte of it.
    Data { index: usize, from: u64 },
    /// What follows the last database.
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

/// Splits the file into jobs.
struct Feeder<'a> {
    walk: Members<'a>,
    reader: &'a MemberReader<'a>,
    next: Next,
}

impl Feeder<'_> {
    fn fill(&mut self, job: &mut Job) -> Result<bool, ArchiveError> {
        job.members.clear();
        loop {
            job.at = self.walk.at();
            match self.next {
                Next::Header(index) => {
                    let nothing_left = self.reader.wanted[index..].iter().all(|wanted| wanted.is_no());
                    if nothing_left && self.reader.reach == Reach::LastWanted {
                        return Ok(false);
                    }
                    let index = self.skip_unwanted(index);
                    job.at = self.walk.at();
                    let member = self.walk.next()?.ok_or_else(cut_short)?;
                    if member.unpacked as usize != TAR_BLOCK {
                        return Err(damaged("a database does not start at the expected place"));
                    }
                    job.members.push(member);
                    job.content = Content::Header(index);
                    self.next = self.after(index, 0);
                    return Ok(true);
                }
                Next::Data { index, from } => {
                    let to = self.collect(job, index, from)?;
                    self.next = self.after(index, to);
                    if !self.reader.wanted[index].is_no() {
                        job.content = Content::Data { index, from };
                        job.live = (self.reader.databases[index].bytes.min(to) - from) as usize;
                        return Ok(true);
                    }
                    job.members.clear();
                }
                Next::Tail { seen } => {
                    if self.reader.reach == Reach::LastWanted {
                        return Ok(false);
                    }
                    let Some(member) = self.walk.next()? else { return Ok(false) };
                    let seen = seen + u64::from(member.unpacked);
                    if seen > MAX_TAIL_BYTES {
                        return Err(ArchiveError::Hostile {
                            why: "there is too much data after the last database".into(),
                        });
                    }
                    job.members.push(member);
                    job.content = Content::Tail;
                    self.next = Next::Tail { seen };
                    return Ok(true);
                }
            }
        }
    }

    /// Moves to the next database that is wanted if the metadata says where it starts: reading the size of each member
    /// before it would fetch nearly everything from a remote store. Returns the database whose header comes next.
    fn skip_unwanted(&mut self, index: usize) -> usize {
        let wanted = (index..self.reader.wanted.len()).find(|index| !self.reader.wanted[*index].is_no());
        let Some(next) = wanted.filter(|next| *next > index && self.reader.reach == Reach::LastWanted) else {
            return index;
        };
        let jumped = self.reader.databases[next].offset.is_some_and(|offset| self.walk.jump(offset, TAR_BLOCK));
        if jumped { next } else { index }
    }

    /// Collects members of a database into a job and returns the offset they reach. They must end exactly where the
    /// database ends.
    fn collect(&mut self, job: &mut Job, index: usize, from: u64) -> Result<u64, ArchiveError> {
        let end = padded(&self.reader.databases[index]);
        let mut to = from;
        let start = self.walk.at();
        // Tiny members are larger compressed than uncompressed, and there could be a million of them.
        while to < end && to - from < RUN_BYTES as u64 && self.walk.at() - start < RUN_BYTES as u64 {
            let member = self.walk.peek()?.ok_or_else(cut_short)?;
            let after = to + u64::from(member.unpacked);
            if after > end {
                return Err(damaged(format!(
                    "\"{}\" does not have the size recorded in the metadata",
                    shown(&self.reader.databases[index].file)
                )));
            }
            if after - from > RUN_BYTES as u64 && !job.members.is_empty() {
                // It would make the job too large; the next job starts with it.
                break;
            }
            self.walk.next()?;
            job.members.push(member);
            to = after;
        }
        Ok(to)
    }

    fn after(&self, index: usize, reached: u64) -> Next {
        if reached < padded(&self.reader.databases[index]) {
            Next::Data { index, from: reached }
        } else if index + 1 < self.reader.databases.len() {
            Next::Header(index + 1)
        } else {
            Next::Tail { seen: 0 }
        }
    }
}

fn cut_short() -> ArchiveError {
    damaged("it is truncated")
}

/// Decompresses on its own thread.
struct Worker {
    decoder: Decoder,
    packed: Vec<u8>,
}

impl Worker {
    fn new(codec: Codec) -> Result<Self, ArchiveError> {
        Ok(Self { decoder: Decoder::new(codec)?, packed: Vec::new() })
    }

    fn unpack(&mut self, reader: &MemberReader, job: &mut Job) -> Result<(), ArchiveError> {
        let packed: usize = job.members.iter().map(|member| member.packed as usize).sum();
        let unpacked: usize = job.members.iter().map(|member| member.unpacked as usize).sum();
        // The walk bounds both: a run of about 1 MiB, or one member of at most 16 MiB.
        self.packed.resize(packed, 0);
        job.unpacked.resize(unpacked, 0);
        reader.source.read_exact_at(&mut self.packed, job.at)?;
        let (mut from, mut to) = (&self.packed[..], &mut job.unpacked[..]);
        for member in &job.members {
            let (bytes, rest) = from.split_at(member.packed as usize);
            let (output, free) = to.split_at_mut(member.unpacked as usize);
            self.decoder.open(bytes, output)?;
            (from, to) = (rest, free);
        }
        if let Content::Data { index, from } = job.content
            && let Wanted::Into(file) = reader.wanted[index]
        {
            // The kernel lets one thread write to a file at a time and makes the others spin; with this mutex they
            // sleep.
            let _alone = reader.writing.lock().unwrap_or_else(PoisonError::into_inner);
            positional_write::write_at(file, &job.unpacked[..job.live], from)?;
        }
        Ok(())
    }
}

/// Compares the decompressed data with the metadata, in the order of the archive; of what is written, what is in the
/// file.
struct Checker<'a> {
    reader: &'a MemberReader<'a>,
    current: Option<(usize, Hasher)>,
    tail: Vec<u8>,
    done: Vec<ReadDatabase>,
}

impl Checker<'_> {
    fn check(&mut self, job: &mut Job) -> Result<(), ArchiveError> {
        match job.content {
            Content::Header(index) => {
                self.complete()?;
                let database = &self.reader.databases[index];
                let header = job.unpacked.first_chunk().ok_or_else(|| damaged("a tar header is missing"))?;
                entry_is(header, &database.file, Some(database.bytes))?;
                if !self.reader.wanted[index].is_no() {
                    self.current = Some((index, Hasher::default()));
                }
            }
            Content::Data { index, from } => {
                let (live, padding) = job.unpacked.split_at_mut(job.live);
                if padding.iter().any(|&byte| byte != 0) {
                    return Err(damaged("the padding of the tar is not zero"));
                }
                match (&mut self.current, self.reader.wanted[index]) {
                    // The worker wrote it before it passed the job on. The digest must prove what is in the file.
                    (Some((_, hasher)), Wanted::Into(file)) => {
                        positional_write::hash_written(file, live, from, hasher)?;
                    }
                    (Some((_, hasher)), _) => hasher.update(live),
                    (None, _) => {}
                }
            }
            Content::Tail => self.tail.extend_from_slice(&job.unpacked),
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), ArchiveError> {
        if let Some((index, hasher)) = self.current.take() {
            self.done.push(compare(&self.reader.databases[index], hasher)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<ReadDatabase>, ArchiveError> {
        self.complete()?;
        if self.reader.reach == Reach::End {
            check_tail(&self.tail)?;
        }
        Ok(self.done)
    }
}

/// Compares the digest of a database that was read in full.
fn compare(database: &DatabaseMetadata, hasher: Hasher) -> Result<ReadDatabase, ArchiveError> {
    let sha256 = hasher.finish();
    if sha256 != database.sha256 {
        return Err(ArchiveError::DigestMismatch { entry: shown(&database.file) });
    }
    Ok(ReadDatabase { bytes: database.bytes, sha256 })
}

/// Checks that a header belongs to this entry.
fn entry_is(header: &tar_header::Block, name: &str, bytes: Option<u64>) -> Result<u64, ArchiveError> {
    let found = tar_header::parse(header)?;
    if found.kind != EntryKind::File || found.name != name.as_bytes() {
        let name = String::from_utf8_lossy(&found.name);
        return Err(ArchiveError::Hostile {
            why: format!("the entry \"{}\" is not the one that the metadata names", shown(&name)),
        });
    }
    if bytes.is_some_and(|bytes| bytes != found.bytes) {
        return Err(damaged(format!("\"{}\" does not have the size recorded in the metadata", shown(name))));
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
        return Err(ArchiveError::Hostile { why: "there is data after the end of the tar".into() });
    }
    Ok(())
}
