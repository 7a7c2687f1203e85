//! Parses the files that SQLite writes, without SQLite.

pub(super) mod journal;
pub(super) mod page_checksums;
mod pair_sum;
pub(super) mod sqlite_header;
pub(super) mod wal;
