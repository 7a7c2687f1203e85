//! Reads a `-wal` and a `-journal` by themselves: whether they can be those of a database, and what they hold for it.
//!
//! SQLite asks only whether a sidecar is whole. One that was left by an older state, or by another database of the same name, is
//! whole too, and SQLite applies it: rows of two databases in one file, which the integrity check can find in order.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::database::files::sidecars::is_no_file;
use crate::database::format::pair_sum::PairSum;
use crate::database::format::sqlite_header::HEADER_BYTES;

/// The size of the header of a `-wal`, and of that of each frame in it (sqlite.org/fileformat2.html, section 4.1).
const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first bytes of a `-wal`, but for the last bit, which gives the order of bytes in its checksums.
const WAL_MAGIC: u32 = 0x377f_0682;
/// The only version of the format.
const WAL_VERSION: u32 = 3_007_000;
/// The first bytes of a `-journal` (section 3).
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// The most pages that are told apart; a `-wal` of more is counted by its frames.
const MOST_PAGES: usize = 1 << 20;

/// The longest path of a super-journal, in bytes.
const LONGEST_NAME: u64 = 4096;

/// What a sidecar is to a database.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::database) enum Fit {
    /// It holds nothing that counts.
    Nothing,
    /// It belongs to the database, and holds this many pages for it.
    Fits(u64),
    /// It does not belong to the database as it is; why, after "its -wal".
    Strange(String),
}

/// The fields of the first page that tell states of a database apart.
#[derive(Clone, Copy)]
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn number(self, at: usize) -> u32 {
        number(self.0, at)
    }

    fn page_bytes(self) -> u32 {
        match u16::from_be_bytes([self.0[16], self.0[17]]) {
            1 => 65536,
            size => size.into(),
        }
    }

    /// How often the database was changed. In WAL mode it does not move with every commit, but it never falls.
    fn changes(self) -> u32 {
        self.number(24)
    }

    fn schema_version(self) -> u32 {
        self.number(40)
    }

    /// How many pages the database has, where the header says it: SQLite before 3.7.0 did not.
    fn pages(self) -> Option<u32> {
        Some(self.number(28)).filter(|pages| *pages != 0 && self.number(24) == self.number(92))
    }

    fn encoding(self) -> u32 {
        self.number(56)
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Says whether the first counter was reached after the second, or with it; counters start again at 0 after 2^32 changes.
fn not_before(first: u32, second: u32) -> bool {
    first.wrapping_sub(second) < 1 << 31
}

/// Looks at the `-wal` of a database whose main file begins with `header`.
pub(in crate::database) fn look_at_wal(wal: &Path, header: &[u8; HEADER_BYTES]) -> io::Result<Fit> {
    let file = File::open(wal)?;
    if file.metadata()?.len() == 0 {
        return Ok(Fit::Nothing);
    }
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let strange = |why: &str| Ok(Fit::Strange(why.into()));
    let mut start = [0; WAL_HEADER_BYTES];
    if !fill(&mut reader, &mut start)? {
        return strange("is cut off within its header");
    }
    let magic = number(&start, 0);
    let sum = |sum: PairSum, bytes: &[u8]| if magic & 1 == 1 { sum.big_endian(bytes) } else { sum.little_endian(bytes) };
    let mut running = sum(PairSum::default(), &start[..24]);
    if magic & !1 != WAL_MAGIC || number(&start, 4) != WAL_VERSION || running != written(&start[24..]) {
        return strange("has no valid header");
    }
    let main = Header(header);
    if number(&start, 8) != main.page_bytes() {
        return Ok(Fit::Strange(format!("has pages of {} bytes, and the database pages of {}", number(&start, 8), main.page_bytes())));
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + main.page_bytes() as usize];
    let (mut frames, mut committed, mut pages) = (0_u64, None, HashSet::new());
    let (mut first_page, mut waiting): (Option<Vec<u8>>, Option<Vec<u8>>) = (None, None);
    let (mut oldest_changes, mut size) = (None, 0);
    // A frame counts if it carries the salts of the header and continues its checksum, and a commit follows it or is on it.
    while fill(&mut reader, &mut frame)? && frame[8..16] == start[16..24] {
        running = sum(sum(running, &frame[..8]), &frame[FRAME_HEADER_BYTES..]);
        if running != written(&frame[16..24]) {
            break;
        }
        frames += 1;
        let page = number(&frame, 0);
        if pages.len() < MOST_PAGES {
            pages.insert(page);
        }
        if page == 1 {
            let head = &frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + HEADER_BYTES];
            waiting = Some(head.to_vec());
            oldest_changes.get_or_insert(Header(head).changes());
        }
        if number(&frame, 4) != 0 {
            committed = Some(if pages.len() < MOST_PAGES { pages.len() as u64 } else { frames });
            first_page = waiting.take().or(first_page);
            size = number(&frame, 4);
        }
    }
    let Some(committed) = committed else { return strange("holds no whole commit") };
    // A commit that changes the number of pages writes the first one.
    if first_page.is_none() && main.pages().is_some_and(|pages| pages != size) {
        return strange("is older than the file, or belongs to another database");
    }
    if let Some(head) = &first_page {
        let last = Header(head);
        if last.page_bytes() != main.page_bytes() || last.encoding() != main.encoding() {
            return strange("belongs to another database");
        }
        if !not_before(last.changes(), main.changes()) || last.schema_version() < main.schema_version() {
            return strange("is older than the file, or belongs to another database");
        }
        // Its first commit was made on what the main file then held.
        if oldest_changes.is_some_and(|oldest| !not_before(main.changes().wrapping_add(1), oldest)) {
            return strange("is newer than the file: what lies between the two is missing");
        }
    }
    Ok(Fit::Fits(committed))
}

/// Looks at the `-journal` of a database whose main file begins with `header`. `Fits` counts the pages that it brings back.
pub(in crate::database) fn look_at_journal(journal: &Path, header: &[u8; HEADER_BYTES]) -> io::Result<Fit> {
    let mut file = File::open(journal)?;
    let bytes = file.metadata()?.len();
    let mut start = [0; 28];
    let there = fill(&mut file, &mut start)?;
    // One that is zeroed is that of a transaction that ended: SQLite's own test.
    if bytes == 0 || start[0] == 0 {
        return Ok(Fit::Nothing);
    }
    if !there || start[..8] != JOURNAL_MAGIC {
        return Ok(Fit::Strange("has no valid header".into()));
    }
    let main = Header(header);
    let (initial_pages, sector, page) = (number(&start, 16), u64::from(number(&start, 20)), number(&start, 24));
    if sector < 32 || !sector.is_power_of_two() {
        return Ok(Fit::Strange("has no valid header".into()));
    }
    if page != main.page_bytes() {
        return Ok(Fit::Strange(format!("has pages of {page} bytes, and the database pages of {}", main.page_bytes())));
    }
    let (record, strange) =
        (u64::from(page) + 8, || Ok(Fit::Strange("belongs to another state of the file, or to another database".into())));
    let mut reader = BufReader::with_capacity(8192, file);
    let (mut at, mut pages, mut checked, mut head) = (0, 0_u64, false, [0; 4 + HEADER_BYTES]);
    // Each time that SQLite synced the journal, another header and more pages follow, at the next multiple of the sector.
    loop {
        let room = bytes.saturating_sub(at + sector) / record;
        let count = match number(&start, 8) {
            u32::MAX => room,
            count => u64::from(count).min(room),
        };
        reader.seek(SeekFrom::Start(at + sector))?;
        for _ in 0..count {
            if !fill(&mut reader, &mut head)? {
                break;
            }
            pages += 1;
            if number(&head, 0) == 1 {
                // The first page as it was tells which state the transaction began with.
                let before = Header(&head[4..]);
                let since = main.changes().wrapping_sub(before.changes());
                if since > 1 || before.encoding() != main.encoding() || before.page_bytes() != main.page_bytes() {
                    return strange();
                }
                checked = true;
            }
            reader.seek_relative(record.cast_signed() - head.len() as i64)?;
        }
        at = (at + sector + count * record).checked_next_multiple_of(sector).unwrap_or(bytes);
        if count == 0 || at >= bytes {
            break;
        }
        reader.seek(SeekFrom::Start(at))?;
        if !fill(&mut reader, &mut start)? || start[..8] != JOURNAL_MAGIC {
            break;
        }
    }
    if !checked && main.pages().is_some_and(|now| now != initial_pages) {
        return strange();
    }
    Ok(Fit::Fits(pages))
}

/// What became of the file that the journal of a transaction over several databases names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum SuperJournal {
    /// The journal names none.
    None,
    /// It is there: the transaction was not committed.
    There,
    /// It is gone: SQLite takes the transaction for committed.
    Gone,
}

/// Takes the name of the super-journal out of a private copy of a journal, where that file is there. SQLite asks whether it exists, and
/// older releases remove the original once they have rolled back the copy.
pub(in crate::database) fn detach_super_journal(journal: &Path) -> io::Result<SuperJournal> {
    let file = OpenOptions::new().read(true).write(true).open(journal)?;
    let bytes = file.metadata()?.len();
    let mut end = [0; 16];
    let Some(tail) = bytes.checked_sub(end.len() as u64) else { return Ok(SuperJournal::None) };
    file.read_exact_at(&mut end, tail)?;
    let length = u64::from(number(&end, 0));
    let start = tail.checked_sub(length + 4).filter(|_| end[8..] == JOURNAL_MAGIC && (1..=LONGEST_NAME).contains(&length));
    let Some(start) = start else { return Ok(SuperJournal::None) };
    let mut name = vec![0; length as usize];
    file.read_exact_at(&mut name, start + 4)?;
    if !is_super_journal(&name, number(&end, 4)) {
        return Ok(SuperJournal::None);
    }
    match fs::symlink_metadata(OsStr::from_bytes(&name)) {
        Ok(_) => file.set_len(start).map(|()| SuperJournal::There),
        Err(error) if is_no_file(&error) => Ok(SuperJournal::Gone),
        Err(error) => Err(error),
    }
}

/// Says whether SQLite takes the end of a journal for the name of a super-journal; otherwise it rolls back whatever stands there.
fn is_super_journal(name: &[u8], sum: u32) -> bool {
    let Some((_, [b'-', b'm', b'j', digits @ ..])) = name.split_last_chunk::<12>() else { return false };
    // Its sum is over signed bytes.
    let found = name.iter().fold(0_u32, |sum, byte| sum.wrapping_add_signed(byte.cast_signed().into()));
    digits.iter().all(u8::is_ascii_hexdigit) && digits[6] == b'9' && found == sum && !name.contains(&0)
}

fn written(bytes: &[u8]) -> PairSum {
    PairSum::resume(std::array::from_fn(|index| bytes[index]))
}

/// Fills a buffer; `false` where the file ends before.
fn fill(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
