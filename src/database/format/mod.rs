//! The bytes of the files that SQLite writes, read without SQLite.

pub(super) mod page_checksums;
pub(super) mod pair_sum;
pub(super) mod wal;
