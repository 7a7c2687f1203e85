//! The numbers of archive format 1. `man/heirloom-archive.5` says the same in words.

/// How much input one gzip member of a database holds when we write, in bytes. Members begin at multiples of it, counted from the start of each database.
pub const MEMBER_BYTES: usize = 128 * 1024;
/// The most input that a member may hold when we read, in bytes.
pub const MAX_MEMBER_BYTES: usize = 16 * 1024 * 1024;
/// The default compression level of libdeflate.
pub const DEFAULT_LEVEL: u8 = 5;
/// The size of a tar block, in bytes.
pub const TAR_BLOCK: usize = 512;
