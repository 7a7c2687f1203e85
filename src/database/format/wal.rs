//! Parses a `-wal`: whether it can belong to a database, and what it contains for it.
//!
//! SQLite only checks that a sidecar is complete. One that was left by an older state, or by another database of the
//! same name, is complete too, and SQLite applies it: rows of two databases in one file, which the integrity check may
//! not detect.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::pair_sum::PairSum;
use super::sqlite_header::Header;

/// The size of the header of a `-wal`, and of that of each frame in it (sqlite.org/fileformat2.html, section 4.1).
pub(in crate::database) const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first bytes of a `-wal`, except the last bit, which gives the byte order of its checksums.
const WAL_MAGIC: u32 = 0x377f_0682;
/// The only version of the format.
const WAL_VERSION: u32 = 3_007_000;
/// The most pages that are counted individually; a larger `-wal` is counted by its frames.
const MOST_PAGES: usize = 1 << 20;

/// How a sidecar relates to a database.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::database) enum Fit {
    /// It contains nothing that counts.
    Nothing,
    /// It belongs to the database, and contains this many pages.
    Fits(u64),
    /// It does not belong to the database in its current state; the reason, to follow "its -wal".
    Strange(String),
}

/// Reads a big-endian number of a `-wal` or a `-journal`.
pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Returns whether the first counter value is equal to or later than the second; counters wrap around after 2^32
/// changes.
fn not_before(first: u32, second: u32) -> bool {
    first.wrapping_sub(second) < 1 << 31
}

/// Examines the `-wal` of a database whose main file starts with `main`.
pub(in crate::database) fn look_at_wal(wal: &Path, main: &Header) -> io::Result<Fit> {
    let file = File::open(wal)?;
    if file.metadata()?.len() == 0 {
        return Ok(Fit::Nothing);
    }
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let strange = |why: &str| Ok(Fit::Strange(why.into()));
    let mut start = [0; WAL_HEADER_BYTES];
    if !fill(&mut reader, &mut start)? {
        return strange("is truncated within its header");
    }
    let sums = Sums { is_big_endian: number(&start, 0) & 1 == 1 };
    let running = sums.add(PairSum::default(), &start[..24]);
    if number(&start, 0) & !1 != WAL_MAGIC || number(&start, 4) != WAL_VERSION || running != written(&start[24..]) {
        return strange("has no valid header");
    }
    if number(&start, 8) != main.page_bytes() {
        return Ok(Fit::Strange(format!(
            "has pages of {} bytes, but the database has pages of {}",
            number(&start, 8),
            main.page_bytes()
        )));
    }
    let frames = read_frames(&mut reader, &start, sums, running, main.page_bytes())?;
    let Some(pages) = frames.pages else { return strange("contains no complete commit") };
    Ok(frames.why_strange(main).map_or(Fit::Fits(pages), |why| Fit::Strange(why.into())))
}

/// The checksums of a `-wal`, whose header gives the byte order.
#[derive(Clone, Copy)]
struct Sums {
    is_big_endian: bool,
}

impl Sums {
    fn add(self, sum: PairSum, bytes: &[u8]) -> PairSum {
        if self.is_big_endian { sum.big_endian(bytes) } else { sum.little_endian(bytes) }
    }
}

/// The contents of the frames of a `-wal`.
#[derive(Default)]
struct Frames {
    /// How many pages its commits contain; `None` if there is no complete commit.
    pages: Option<u64>,
    /// The number of pages of the database after the last commit.
    size: u32,
    /// The first page as of the last commit that wrote it.
    last_header: Option<Header>,
    /// The change counter in the oldest first page.
    oldest_changes: Option<u32>,
}

/// Reads the frames. A frame counts if it has the salts of the header and continues its checksum, and it is a commit or
/// one follows.
fn read_frames(
    reader: &mut impl io::Read,
    start: &[u8; WAL_HEADER_BYTES],
    sums: Sums,
    mut running: PairSum,
    page_bytes: u32,
) -> io::Result<Frames> {
    let mut found = Frames::default();
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes as usize];
    let (mut frames, mut seen, mut waiting) = (0_u64, HashSet::new(), None);
    while fill(reader, &mut frame)? && frame[8..16] == start[16..24] {
        running = sums.add(sums.add(running, &frame[..8]), &frame[FRAME_HEADER_BYTES..]);
        if running != written(&frame[16..24]) {
            break;
        }
        frames += 1;
        let page = number(&frame, 0);
        if seen.len() < MOST_PAGES {
            seen.insert(page);
        }
        if page == 1 {
            waiting = Header::of_page(&frame[FRAME_HEADER_BYTES..]);
            found.oldest_changes = found.oldest_changes.or(waiting.map(|header| header.changes()));
        }
        if number(&frame, 4) != 0 {
            found.pages = Some(if seen.len() < MOST_PAGES { seen.len() as u64 } else { frames });
            found.last_header = waiting.take().or(found.last_header);
            found.size = number(&frame, 4);
        }
    }
    Ok(found)
}

impl Frames {
    /// Returns why they cannot belong to the database whose main file starts with `main`.
    fn why_strange(&self, main: &Header) -> Option<&'static str> {
        let Some(last) = &self.last_header else {
            // A commit that changes the number of pages writes the first page.
            let is_resized = main.page_count().is_some_and(|pages| pages != self.size);
            return is_resized.then_some("is older than the file, or belongs to another database");
        };
        if last.page_bytes() != main.page_bytes() || !last.may_follow_encoding_of(main) {
            return Some("belongs to another database");
        }
        if !not_before(last.changes(), main.changes()) || last.schema_version() < main.schema_version() {
            return Some("is older than the file, or belongs to another database");
        }
        // Its first commit was made on top of the state of the main file at that time.
        let is_newer = self.oldest_changes.is_some_and(|oldest| !not_before(main.changes().wrapping_add(1), oldest));
        is_newer.then_some("is newer than the file: changes between the two are missing")
    }
}

fn written(bytes: &[u8]) -> PairSum {
    PairSum::resume(std::array::from_fn(|index| bytes[index]))
}

/// Fills a buffer; returns `false` if the file ends before that.
pub(super) fn fill(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
