//! Checksums in the last 8 bytes of every page, as SQLite's checksum VFS keeps them (sqlite.org/cksumvfs.html).
//!
//! An application that uses them gets an I/O error for a page with a wrong checksum. SQLite without that VFS copies the
//! 8 bytes with the page, but rewrites the header of the first page with each commit, and every page in VACUUM; after
//! that, the checksums must be set again. Any other wrong checksum means that a page changed on the disk, which
//! `integrity_check` cannot detect.
//!
//! Whether the 8 bytes are checksums is derived from the pages: they are if the checksums of most pages match.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use crate::database::error::SourceError;
use crate::database::format::pair_sum::PairSum;
use crate::database::format::sqlite_header::{
    CHANGE_COUNTER, FILE_VERSIONS, Header, JournalMode, PAGE_COUNT, SCHEMA_VERSION, VALID_FOR, WRITER_VERSION,
};
use crate::platform::PositionalIo as _;
use crate::progress::{Interrupted, Progress};

/// The size of the checksum of a page, in bytes.
const CHECKSUM_BYTES: usize = 8;
/// How many bytes are read at once.
const BLOCK: usize = 1 << 20;
/// The byte range that SQLite locks; the page with this byte is always empty.
const LOCK_BYTE: u64 = 1 << 30;
/// How many pages are listed individually.
const NAMED: usize = 10;

/// What the last bytes of the pages of a database show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::database) struct PageChecksums {
    /// Whether they are checksums.
    pub(in crate::database) in_use: bool,
    /// Whether the checksum of the first page is wrong.
    pub(in crate::database) first_is_wrong: bool,
    /// The first of the other pages whose checksum is wrong.
    named: Vec<u64>,
    /// How many of the other pages have a wrong checksum.
    pub(in crate::database) wrong: u64,
}

impl PageChecksums {
    /// Reports the pages other than the first that changed on the disk; `None` if none did.
    pub(in crate::database) fn damage(&self) -> Option<String> {
        if !self.in_use || self.wrong == 0 {
            return None;
        }
        let named: Vec<String> = self.named.iter().map(u64::to_string).collect();
        let more = self.wrong - named.len() as u64;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let pages = if self.wrong == 1 { "page" } else { "pages" };
        Some(format!("the page checksum is wrong on {pages} {}{more}", named.join(", ")))
    }
}

/// Returns the page size if 8 bytes are reserved at the end of each page, otherwise `None`.
pub(in crate::database) fn checked_page_bytes(page: &[u8]) -> Option<usize> {
    bytes_with_checksum(&Header::of_page(page)?)
}

fn bytes_with_checksum(header: &Header) -> Option<usize> {
    let size = header.page_bytes();
    let is_sound = header.is_valid() && size.is_power_of_two() && size >= 512;
    (is_sound && header.reserved_bytes() == CHECKSUM_BYTES).then_some(size as usize)
}

/// Returns the checksum of a page.
fn checksum(page: &[u8]) -> [u8; CHECKSUM_BYTES] {
    PairSum::default().little_endian(&page[..page.len() - CHECKSUM_BYTES]).to_le_bytes()
}

/// Returns whether the checksum of a page matches.
pub(in crate::database) fn holds(page: &[u8]) -> bool {
    page.ends_with(&checksum(page))
}

/// Sets the checksum of a page.
pub(in crate::database) fn set(page: &mut [u8]) {
    let sum = checksum(page);
    let end = page.len() - CHECKSUM_BYTES;
    page[end..].copy_from_slice(&sum);
}

/// Reads the first page of a file if its pages may end with checksums.
pub(in crate::database) fn first_page(file: &File) -> io::Result<Option<Vec<u8>>> {
    let header = match Header::read(file) {
        Ok(header) => header,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(bytes) = bytes_with_checksum(&header) else { return Ok(None) };
    let mut page = vec![0; bytes];
    match file.read_exact_at(&mut page, 0) {
        Ok(()) => Ok(Some(page)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Examines every page of a private copy. Free if no 8 bytes are reserved.
pub(in crate::database) fn look(copy: &Path, progress: &dyn Progress) -> io::Result<PageChecksums> {
    let file = File::open(copy)?;
    let Some(first) = first_page(&file)? else { return Ok(PageChecksums::default()) };
    let mut found = PageChecksums { first_is_wrong: !holds(&first), ..PageChecksums::default() };
    let (mut right, mut empty) = (0_u64, 0_u64);
    pages(&file, first.len(), progress, |number, page| {
        if number == 1 {
            return false;
        }
        // A page of zeros has a checksum of zeros, in databases with and without checksums.
        empty += u64::from(page.iter().all(|&byte| byte == 0));
        if holds(page) {
            right += 1;
        } else {
            found.wrong += 1;
            if found.named.len() < NAMED {
                found.named.push(number);
            }
        }
        false
    })?;
    let telling = right - empty.min(right);
    found.in_use = if telling + found.wrong == 0 { !found.first_is_wrong } else { telling > found.wrong };
    Ok(found)
}

/// Sets the checksum of the first page of a private copy.
pub(in crate::database) fn set_first(copy: &Path) -> io::Result<()> {
    set_first_in(&OpenOptions::new().read(true).write(true).open(copy)?)
}

/// Sets the checksum of the first page of a file that has no other writer.
pub(in crate::database) fn set_first_in(file: &File) -> io::Result<()> {
    let Some(mut page) = first_page(file)? else { return Ok(()) };
    set(&mut page);
    file.write_all_at(&page[page.len() - CHECKSUM_BYTES..], (page.len() - CHECKSUM_BYTES) as u64)
}

/// Sets the checksums of all pages of a private copy that was rewritten.
pub(in crate::database) fn set_all(copy: &Path, progress: &dyn Progress) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(copy)?;
    let Some(first) = first_page(&file)? else { return Ok(()) };
    pages(&file, first.len(), progress, |_, page| {
        set(page);
        true
    })
}

/// Calls `each` with the number and the bytes of every page, and writes back those for which it returns `true`.
fn pages(
    file: &File,
    page_bytes: usize,
    progress: &dyn Progress,
    mut each: impl FnMut(u64, &mut [u8]) -> bool,
) -> io::Result<()> {
    let end = file.metadata()?.len();
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < end {
        progress.checkpoint().map_err(stopped)?;
        let length = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
        let block = &mut block[..length];
        file.read_exact_at(block, at)?;
        let mut changed = false;
        for (index, page) in block.chunks_exact_mut(page_bytes).enumerate() {
            let start = at + (index * page_bytes) as u64;
            if start / page_bytes as u64 != LOCK_BYTE / page_bytes as u64 {
                changed |= each(start / page_bytes as u64 + 1, page);
            }
        }
        if changed {
            file.write_all_at(block, at)?;
        }
        at += length as u64;
    }
    Ok(())
}

/// Marks an error as a cancellation.
fn stopped(interrupted: Interrupted) -> io::Error {
    io::Error::other(interrupted)
}

/// Creates an error about a private copy.
pub(in crate::database) fn failed(copy: &Path, cause: io::Error) -> SourceError {
    match cause.downcast::<Interrupted>() {
        Ok(interrupted) => SourceError::Interrupted(interrupted),
        Err(cause) => SourceError::Io { path: copy.to_owned(), action: "read", cause },
    }
}

/// Sets the checksum of the first page of a private copy that SQLite wrote, if its pages have checksums.
pub(in crate::database) fn settle(copy: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
    let found = look(copy, progress).map_err(|cause| failed(copy, cause))?;
    if found.in_use { set_first(copy).map_err(|cause| failed(copy, cause)) } else { Ok(()) }
}

/// Sets the checksum of the first page of an unpacked copy, if it is the only wrong one: archives of older releases
/// contain such copies. Returns whether it did.
pub fn set_missing_checksum(copy: &Path, progress: &dyn Progress) -> Result<bool, SourceError> {
    let found = look(copy, progress).map_err(|cause| failed(copy, cause))?;
    let missing = found.in_use && found.first_is_wrong && found.wrong == 0;
    if missing {
        set_first(copy).map_err(|cause| failed(copy, cause))?;
    }
    Ok(missing)
}

/// Returns the first page as a connection sees it; `None` if SQLite cannot read it, or was built without
/// `sqlite_dbpage`.
pub(in crate::database) fn seen_first_page(connection: &Connection) -> Option<Vec<u8>> {
    connection.query_row("SELECT data FROM sqlite_dbpage WHERE pgno = 1", [], |row| row.get(0)).ok()
}

/// Returns the header as a connection sees it; `None` in the same cases.
pub(in crate::database) fn seen_header(connection: &Connection) -> Option<Header> {
    Header::of_page(&seen_first_page(connection)?)
}

/// Returns whether a page is a first page with a matching checksum.
pub(in crate::database) fn is_first_and_holds(page: &[u8]) -> bool {
    checked_page_bytes(page) == Some(page.len()) && holds(page)
}

/// Sets the checksum of the first page of a private copy to the value that is right after SQLite wrote the page into
/// the database: SQLite copies the 8 bytes unchanged, but changes the header.
///
/// `old` is the current header of that database (`None`: it cannot be read). Writers are locked out; nothing else may
/// commit before.
pub(in crate::database) fn foresee(copy: &Path, old: Option<Header>, mode: JournalMode) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(copy)?;
    let Some(mut page) = first_page(&file)? else { return Ok(()) };
    if Header::of_page(&page).and_then(|header| header.page_count()).is_none() {
        let pages = file.metadata()?.len() / page.len() as u64;
        page[PAGE_COUNT].copy_from_slice(&u32::try_from(pages).unwrap_or(u32::MAX).to_be_bytes());
    }
    let changes = old.map_or(0, |old| old.changes()).wrapping_add(1).to_be_bytes();
    page[CHANGE_COUNTER].copy_from_slice(&changes);
    page[VALID_FOR].copy_from_slice(&changes);
    page[WRITER_VERSION].copy_from_slice(&rusqlite::version_number().to_be_bytes());
    page[SCHEMA_VERSION].copy_from_slice(&old.map_or(0, |old| old.schema_version()).wrapping_add(1).to_be_bytes());
    if mode == JournalMode::Wal {
        page[FILE_VERSIONS].fill(2);
    }
    set(&mut page);
    file.write_all_at(&page[page.len() - CHECKSUM_BYTES..], (page.len() - CHECKSUM_BYTES) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_checksum_matches_until_a_bit_changes() {
        let mut page: Vec<u8> = (0..1024_u32).map(|at| (at * 7) as u8).collect();
        set(&mut page);
        assert!(holds(&page));
        for at in [0, 500, 1015, 1016, 1023] {
            page[at] ^= 4;
            assert!(!holds(&page), "byte {at}");
            page[at] ^= 4;
        }
        assert!(holds(&[0; 512]));
    }
}
