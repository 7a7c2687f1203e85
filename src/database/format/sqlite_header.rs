//! The header of a database, its first 100 bytes (sqlite.org/fileformat2.html, section 1.3). Only this file knows the
//! offsets of its fields.

use std::fs::File;
use std::io;
use std::ops::Range;

use crate::platform::PositionalIo as _;

/// The size of the header of a database, in bytes.
pub(in crate::database) const HEADER_BYTES: usize = 100;
/// The first bytes of every database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The fields that change when a database is written. The file format read and write versions are 1 for a rollback
/// journal, 2 for WAL.
pub(in crate::database) const FILE_VERSIONS: Range<usize> = 18..20;
pub(in crate::database) const CHANGE_COUNTER: Range<usize> = 24..28;
pub(in crate::database) const PAGE_COUNT: Range<usize> = 28..32;
pub(in crate::database) const SCHEMA_VERSION: Range<usize> = 40..44;
/// The change counter for which the page count is valid.
pub(in crate::database) const VALID_FOR: Range<usize> = 92..96;
pub(in crate::database) const WRITER_VERSION: Range<usize> = 96..100;

/// How a database journals its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum JournalMode {
    /// In a `-wal`.
    Wal,
    /// In a `-journal`, of whatever kind.
    Rollback,
}

impl JournalMode {
    /// Returns the pragma's name for it: `wal`, or `delete` for every rollback mode.
    pub(in crate::database) fn name(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Rollback => "delete",
        }
    }
}

/// A header as stored in a file, valid or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) struct Header([u8; HEADER_BYTES]);

impl Header {
    /// Returns the header at the start of a first page; `None` if there are too few bytes.
    pub(in crate::database) fn of_page(page: &[u8]) -> Option<Self> {
        page.first_chunk().copied().map(Self)
    }

    /// Reads the header through a descriptor that stays open. Fails with "unexpected end of file" if the file is too
    /// short.
    pub(in crate::database) fn read(file: &File) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        Ok(Self(header))
    }

    /// Returns whether bytes start like a database.
    pub(in crate::database) fn is_one(start: &[u8]) -> bool {
        start.starts_with(MAGIC)
    }

    /// Returns whether this is the header of a database.
    pub(in crate::database) fn is_valid(&self) -> bool {
        Self::is_one(&self.0)
    }

    /// Returns the page size in bytes. It is never 0, but only a power of two if the header is valid.
    pub(in crate::database) fn page_bytes(&self) -> u32 {
        match u16::from_be_bytes([self.0[16], self.0[17]]) {
            0 | 1 => 65536,
            size => size.into(),
        }
    }

    /// Returns how many bytes are reserved at the end of each page.
    pub(in crate::database) fn reserved_bytes(&self) -> usize {
        self.0[20].into()
    }

    /// Returns the journal mode.
    pub(in crate::database) fn mode(&self) -> JournalMode {
        if self.0[19] == 2 { JournalMode::Wal } else { JournalMode::Rollback }
    }

    /// Returns whether readers must look for a `-wal`.
    pub(in crate::database) fn is_wal(&self) -> bool {
        self.mode() == JournalMode::Wal
    }

    /// Returns the name of the journal mode.
    pub(in crate::database) fn journal_mode(&self) -> &'static str {
        self.mode().name()
    }

    /// Returns the read and write versions, which give the journal mode.
    pub(in crate::database) fn file_versions(&self) -> &[u8] {
        &self.0[FILE_VERSIONS]
    }

    /// Returns the change counter. In WAL mode it does not change with every commit, but it never decreases.
    pub(in crate::database) fn changes(&self) -> u32 {
        self.number(CHANGE_COUNTER.start)
    }

    /// Returns the number of pages, if the header has a valid one: SQLite before 3.7.0 left an old number there, or
    /// none.
    pub(in crate::database) fn page_count(&self) -> Option<u32> {
        Some(self.page_count_field()).filter(|pages| *pages != 0 && self.changes() == self.number(VALID_FOR.start))
    }

    /// Returns the page count field, valid or not.
    pub(in crate::database) fn page_count_field(&self) -> u32 {
        self.number(PAGE_COUNT.start)
    }

    /// Returns the number of pages on the freelist.
    pub(in crate::database) fn free_pages(&self) -> u32 {
        self.number(36)
    }

    /// Returns the first trunk page of the freelist; 0 if there is none.
    pub(in crate::database) fn first_free_page(&self) -> u32 {
        self.number(32)
    }

    /// Returns whether some pages hold back-pointers for `auto_vacuum`, or a field says so without them.
    pub(in crate::database) fn has_pointer_map(&self) -> bool {
        (self.number(52), self.number(64)) != (0, 0)
    }

    /// Returns the schema version, which grows with every change of the schema.
    pub(in crate::database) fn schema_version(&self) -> u32 {
        self.number(SCHEMA_VERSION.start)
    }

    /// Returns `auto_vacuum` as the pragma names it.
    pub(in crate::database) fn auto_vacuum(&self) -> &'static str {
        match (self.number(52), self.number(64)) {
            (0, _) => "none",
            (_, 0) => "full",
            _ => "incremental",
        }
    }

    /// Returns the code of the text encoding.
    pub(in crate::database) fn encoding_code(&self) -> u32 {
        self.number(56)
    }

    /// Returns whether this can be a later state of a database, by its text encoding: the first table sets it, once.
    pub(super) fn may_follow_encoding_of(&self, earlier: &Self) -> bool {
        earlier.encoding_code() == 0 || earlier.encoding_code() == self.encoding_code()
    }

    /// Returns the pragma's name for the text encoding; `None` if none is set yet.
    pub(in crate::database) fn encoding(&self) -> Option<&'static str> {
        match self.encoding_code() {
            1 => Some("UTF-8"),
            2 => Some("UTF-16le"),
            3 => Some("UTF-16be"),
            _ => None,
        }
    }

    /// Returns `user_version`.
    pub(in crate::database) fn user_version(&self) -> i32 {
        self.number(60).cast_signed()
    }

    /// Returns `application_id`.
    pub(in crate::database) fn application_id(&self) -> i32 {
        self.number(68).cast_signed()
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_page_size_is_written_as_one() {
        let mut header = [0; HEADER_BYTES];
        for (bytes, size) in [([0x10, 0], 4096), ([0, 1], 65536), ([2, 0], 512), ([0x80, 0], 32768)] {
            header[16..18].copy_from_slice(&bytes);
            assert_eq!(Header(header).page_bytes(), size);
        }
    }

    #[test]
    fn a_page_count_of_an_old_release_is_ignored() {
        let mut header = [0; HEADER_BYTES];
        header[PAGE_COUNT].copy_from_slice(&7_u32.to_be_bytes());
        header[CHANGE_COUNTER].copy_from_slice(&3_u32.to_be_bytes());
        assert_eq!(Header(header).page_count(), None);
        header[VALID_FOR].copy_from_slice(&3_u32.to_be_bytes());
        assert_eq!(Header(header).page_count(), Some(7));
    }
}
