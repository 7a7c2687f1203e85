//! Compares a restored database with its copy, and converts copies to another page size.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::OpenFlags;

use super::vacuum::{set_checksums_as_in, vacuum_into};
use crate::database::check::integrity::{Depth, check};
use crate::database::check::parallel_check::Effort;
use crate::database::contents::facts::{Facts, count_rows, facts};
use crate::database::error::message;
use crate::database::format::page_checksums;
use crate::database::format::sqlite_header::{
    CHANGE_COUNTER, FILE_VERSIONS, Header, PAGE_COUNT, SCHEMA_VERSION, VALID_FOR, WRITER_VERSION,
};
use crate::database::sqlite::connection::connect;
use crate::metadata::Integrity;
use crate::platform::PositionalIo as _;
use crate::progress::Silent;

/// The byte range that SQLite locks; the page with this byte never holds data and is never copied.
const LOCK_BYTE: u64 = 1 << 30;
/// How many bytes are compared at once.
const BLOCK: usize = 1 << 20;
/// Header fields that change when a database is written: journal mode, change counter, schema version,
/// version-valid-for and SQLite version.
const FREE: [std::ops::Range<usize>; 5] = [FILE_VERSIONS, CHANGE_COUNTER, SCHEMA_VERSION, VALID_FOR, WRITER_VERSION];

/// Returns where two database files differ beyond the header fields that writing changes; `None` if they do not.
///
/// Both are read with `pread` through descriptors that stay open: nothing here closes a descriptor of a live database.
pub fn difference(wanted: &File, found: &File) -> io::Result<Option<String>> {
    let bytes = wanted.metadata()?.len();
    let found_bytes = found.metadata()?.len();
    if bytes != found_bytes {
        return Ok(Some(format!("{found_bytes} bytes instead of {bytes}")));
    }
    let page = u64::from(Header::read(wanted)?.page_bytes());
    let (mut ours, mut theirs) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut at = 0;
    while at < bytes {
        let length = usize::try_from(bytes - at).unwrap_or(BLOCK).min(BLOCK);
        let (ours, theirs) = (&mut ours[..length], &mut theirs[..length]);
        wanted.read_exact_at(ours, at)?;
        found.read_exact_at(theirs, at)?;
        if at == 0 {
            forgive_header(ours, theirs, bytes / page);
            if let Some(end) = page_checksums::checked_page_bytes(theirs).filter(|end| *end <= length) {
                // If the header of a page differs, so does its checksum.
                ours[end - 8..end].copy_from_slice(&theirs[end - 8..end]);
            }
        }
        if ours != theirs {
            let differs = |index: &usize| ours[*index] != theirs[*index] && !in_lock_page(at + *index as u64, page);
            if let Some(index) = (0..length).find(differs) {
                return Ok(Some(format!("page {}", (at + index as u64) / page + 1)));
            }
        }
        at += length as u64;
    }
    Ok(None)
}

/// Returns whether two private copies have the same content. `space` is a path for a temporary third copy.
///
/// A database in WAL mode keeps its page size when another is restored into it. So a copy with another page size is
/// rewritten as such a restore would do it, and the result is compared. Copies that cannot be rewritten count as
/// different.
pub fn same_content(wanted: &Path, found: &Path, space: &Path) -> io::Result<bool> {
    let found_file = File::open(found)?;
    let found_header = Header::read(&found_file)?;
    let (wanted_page, found_page) = (page_size(wanted)?, found_header.page_bytes());
    if wanted_page == u64::from(found_page) {
        return Ok(difference(&File::open(wanted)?, &found_file)?.is_none());
    }
    if !found_header.is_wal() || resize(wanted, space, found_page).is_err() {
        return Ok(false);
    }
    let same = difference(&File::open(space)?, &found_file)?.is_none();
    // To free space; the scratch folder is removed in any case.
    let _ = std::fs::remove_file(space);
    Ok(same)
}

/// Returns the page size of a private copy, in bytes.
pub fn page_size(copy: &Path) -> io::Result<u64> {
    Ok(Header::read(&File::open(copy)?)?.page_bytes().into())
}

/// Makes the fields equal that may differ.
fn forgive_header(ours: &mut [u8], theirs: &[u8], pages: u64) {
    for range in FREE {
        ours[range.clone()].copy_from_slice(&theirs[range]);
    }
    // Old releases left the page count unset; SQLite fills in the right one.
    if theirs[PAGE_COUNT] == u32::try_from(pages).unwrap_or(0).to_be_bytes() {
        ours[PAGE_COUNT].copy_from_slice(&theirs[PAGE_COUNT]);
    }
}

fn in_lock_page(at: u64, page: u64) -> bool {
    at / page == LOCK_BYTE / page
}

/// Returns the journal mode in the header of a private copy.
pub(in crate::database) fn journal_mode_of(copy: &Path) -> io::Result<&'static str> {
    Ok(Header::read(&File::open(copy)?)?.journal_mode())
}

/// Rewrites a private copy with another page size into a new file, and verifies that the content is the same. Fails
/// with the reason.
pub(in crate::database) fn resize(copy: &Path, resized: &Path, page_size: u32) -> Result<(), String> {
    // Not immutable: SQLite treats such a file as in-memory, and keeps its page size.
    let connection = connect(copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| message(&error))?;
    connection.pragma_update(None, "page_size", page_size).map_err(|error| message(&error))?;
    vacuum_into(&connection, resized).map_err(|error| message(&error))?;
    connection.close().map_err(|(_, error)| message(&error))?;
    set_checksums_as_in(copy, resized).map_err(|error| error.to_string())?;

    let (old, new) =
        (facts(copy).map_err(|error| error.to_string())?, facts(resized).map_err(|error| error.to_string())?);
    let rows = |path| count_rows(path, &old.tables, &Silent).map_err(|error| error.to_string());
    // Not the digest of the schema: VACUUM lists tables before indexes.
    let known = |facts: &Facts| {
        (
            facts.tables.clone(),
            facts.index_count,
            facts.trigger_count,
            facts.view_count,
            facts.user_version,
            facts.application_id,
        )
    };
    if known(&old) != known(&new) || rows(copy)? != rows(resized)? {
        return Err("the rewritten copy has different content".into());
    }
    match check(resized, Depth::Quick, Effort::single(), &Silent).map_err(|error| error.to_string())?.integrity {
        Integrity::Damaged => Err("the rewritten copy is damaged".into()),
        _ => Ok(()),
    }
}
