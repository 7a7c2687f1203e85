//! The header of a database, its first 100 bytes (sqlite.org/fileformat2.html, section 1.3).

/// The size of the header of a database, in bytes.
pub(in crate::database) const HEADER_BYTES: usize = 100;
/// The first bytes of every database.
pub(in crate::database) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Returns the journal mode that a header says.
pub(in crate::database) fn journal_mode(header: &[u8; HEADER_BYTES]) -> &'static str {
    if header[19] == 2 { "wal" } else { "delete" }
}
