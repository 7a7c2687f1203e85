//! Whether each page of a copy has exactly one use: in a tree, or on the freelist.
//!
//! `integrity_check` of a single table examines the pages of that table, but neither whether another table uses them as
//! well nor whether any are left over. `integrity_check` of the whole file does, but also checks all full-text tables,
//! which takes longer than everything here.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;

use crate::database::format::sqlite_header::Header;
use crate::platform::PositionalIo as _;

/// The byte range that SQLite locks; the page with this byte is never used.
const LOCK_BYTE: u64 = 1 << 30;

/// The pages whose use is known.
struct Used {
    /// One bit for each page, from page 1 on.
    bits: Vec<u64>,
    pages: u64,
    count: u64,
}

impl Used {
    fn none_of(pages: u64) -> Self {
        Self { bits: vec![0; pages.div_ceil(64) as usize], pages, count: 0 }
    }

    /// Marks a page; returns `false` if there is no such page or it was marked before.
    fn mark(&mut self, page: u64) -> bool {
        if !(1..=self.pages).contains(&page) {
            return false;
        }
        let (word, bit) = (((page - 1) / 64) as usize, 1 << ((page - 1) % 64));
        let first = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        self.count += u64::from(first);
        first
    }
}

/// Returns whether each page of a copy is used exactly once. `connection` is one to the copy.
///
/// `false` is not a verdict: it can also mean that this copy must be checked as a whole, as with `auto_vacuum`, whose
/// pages point back at their parents. An error says no more.
pub(super) fn each_page_once(copy: &Path, connection: &Connection) -> rusqlite::Result<bool> {
    let file_error = |error: io::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let file = File::open(copy).map_err(file_error)?;
    let header = Header::read(&file).map_err(file_error)?;
    let bytes = file.metadata().map_err(file_error)?.len();
    let page_bytes = u64::from(header.page_bytes());
    let pages = connection.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0))?;
    if bytes != u64::from(pages) * page_bytes || header.has_pointer_map() {
        return Ok(false);
    }
    let mut used = Used::none_of(pages.into());
    used.mark(LOCK_BYTE / page_bytes + 1);
    let mut statement = connection.prepare("SELECT pageno FROM dbstat('main')")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !used.mark(row.get::<_, i64>(0)?.unsigned_abs()) {
            return Ok(false);
        }
    }
    Ok(mark_free(&file, &header, &mut used).map_err(file_error)? && used.count == used.pages)
}

/// Marks the pages of the freelist (sqlite.org/fileformat2.html, section 1.5); returns `false` if it is not intact.
fn mark_free(file: &File, header: &Header, used: &mut Used) -> io::Result<bool> {
    let page_bytes = header.page_bytes() as usize;
    let Some(most) = (page_bytes.saturating_sub(header.reserved_bytes()) / 4).checked_sub(2) else { return Ok(false) };
    let mut trunk = vec![0; page_bytes];
    let (mut next, mut free) = (header.first_free_page(), 0);
    while next != 0 {
        if !used.mark(next.into()) {
            return Ok(false);
        }
        file.read_exact_at(&mut trunk, (u64::from(next) - 1) * page_bytes as u64)?;
        let number = |index: usize| {
            let at = 4 * index;
            u32::from_be_bytes([trunk[at], trunk[at + 1], trunk[at + 2], trunk[at + 3]])
        };
        let leaves = number(1) as usize;
        if leaves > most || !(0..leaves).all(|leaf| used.mark(number(2 + leaf).into())) {
            return Ok(false);
        }
        free += 1 + leaves as u64;
        next = number(0);
    }
    Ok(free == u64::from(header.free_pages()))
}
