//! Parses a `-journal`: whether it can belong to a database, and what it would restore.
//!
//! SQLite rolls back any complete journal, even one of another state of the file; see `wal.rs`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use super::sqlite_header::{HEADER_BYTES, Header};
use super::wal::{Fit, fill, number};
use crate::database::sidecars::is_no_file;
use crate::platform::{PositionalIo as _, path_of_bytes};

/// The first bytes of a `-journal` (section 3).
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// The longest path of a super-journal, in bytes.
const LONGEST_NAME: u64 = 4096;

/// Examines the `-journal` of a database whose main file starts with `main`. `Fits` has the number of pages that it
/// restores.
pub(in crate::database) fn look_at_journal(journal: &Path, main: &Header) -> io::Result<Fit> {
    let mut file = File::open(journal)?;
    let bytes = file.metadata()?.len();
    let mut start = [0; 28];
    let there = fill(&mut file, &mut start)?;
    // A zeroed journal belongs to a finished transaction. This is SQLite's own test.
    if bytes == 0 || start[0] == 0 {
        return Ok(Fit::Nothing);
    }
    if !there || start[..8] != JOURNAL_MAGIC {
        return Ok(Fit::Strange("has no valid header".into()));
    }
    let (initial_pages, sector, page) = (number(&start, 16), u64::from(number(&start, 20)), number(&start, 24));
    if sector < 32 || !sector.is_power_of_two() {
        return Ok(Fit::Strange("has no valid header".into()));
    }
    if page != main.page_bytes() {
        return Ok(Fit::Strange(format!(
            "has pages of {page} bytes, but the database has pages of {}",
            main.page_bytes()
        )));
    }
    let (record, strange) = (u64::from(page) + 8, || {
        Ok(Fit::Strange("belongs to another state of the file, or to another database".into()))
    });
    let mut reader = BufReader::with_capacity(8192, file);
    let (mut at, mut pages, mut checked, mut head) = (0, 0_u64, false, [0; 4 + HEADER_BYTES]);
    // Each time that SQLite synced the journal, another header and more pages follow at the next multiple of the sector
    // size.
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
                // The saved first page shows the state that the transaction started from.
                let Some(before) = Header::of_page(&head[4..]) else { return strange() };
                let since = main.changes().wrapping_sub(before.changes());
                if since > 1 || !main.may_follow_encoding_of(&before) || before.page_bytes() != main.page_bytes() {
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
    if !checked && main.page_count().is_some_and(|now| now != initial_pages) {
        return strange();
    }
    Ok(Fit::Fits(pages))
}

/// The state of the super-journal that the journal of a multi-database transaction names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum SuperJournal {
    /// The journal names none.
    None,
    /// It exists: the transaction was not committed.
    There,
    /// It is gone: SQLite takes the transaction as committed.
    Gone,
}

/// Removes the name of the super-journal from a private copy of a journal, if that file exists. SQLite checks its
/// existence, and older releases delete the original after rolling back the copy.
pub(in crate::database) fn detach_super_journal(journal: &Path) -> io::Result<SuperJournal> {
    let file = OpenOptions::new().read(true).write(true).open(journal)?;
    let bytes = file.metadata()?.len();
    let mut end = [0; 16];
    let Some(tail) = bytes.checked_sub(end.len() as u64) else { return Ok(SuperJournal::None) };
    file.read_exact_at(&mut end, tail)?;
    let length = u64::from(number(&end, 0));
    let start =
        tail.checked_sub(length + 4).filter(|_| end[8..] == JOURNAL_MAGIC && (1..=LONGEST_NAME).contains(&length));
    let Some(start) = start else { return Ok(SuperJournal::None) };
    let mut name = vec![0; length as usize];
    file.read_exact_at(&mut name, start + 4)?;
    if !is_super_journal(&name, number(&end, 4)) {
        return Ok(SuperJournal::None);
    }
    match fs::symlink_metadata(path_of_bytes(&name)) {
        Ok(_) => file.set_len(start).map(|()| SuperJournal::There),
        Err(error) if is_no_file(&error) => Ok(SuperJournal::Gone),
        Err(error) => Err(error),
    }
}

/// Returns whether SQLite takes the end of a journal for the name of a super-journal; otherwise it rolls back, whatever
/// those bytes are.
fn is_super_journal(name: &[u8], sum: u32) -> bool {
    let Some((_, [b'-', b'm', b'j', digits @ ..])) = name.split_last_chunk::<12>() else { return false };
    // The checksum adds signed bytes.
    let found = name.iter().fold(0_u32, |sum, byte| sum.wrapping_add_signed(byte.cast_signed().into()));
    digits.iter().all(u8::is_ascii_hexdigit) && digits[6] == b'9' && found == sum && !name.contains(&0)
}
