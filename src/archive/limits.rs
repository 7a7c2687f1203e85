//! The limits of what a reader accepts. Archives come from anywhere: nothing is allocated or followed beyond these.

/// The most uncompressed bytes in a member.
pub const MAX_MEMBER_BYTES: usize = 16 * 1024 * 1024;
/// The longest metadata entry, in bytes.
pub const MAX_METADATA_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes after the last database: `RESTORE.txt` and the end of the tar.
pub const MAX_TAIL_BYTES: u64 = 1024 * 1024;
/// The most entries in a tar.
pub const MAX_ENTRIES: usize = 10_000;
/// The longest name of an entry, in bytes; all names of an archive are in memory at once.
pub const MAX_ENTRY_NAME_BYTES: usize = 1024;
/// The largest extension header of a tar, in bytes.
pub const MAX_EXTENSION_BYTES: u64 = 64 * 1024;
/// The most zeros after the end of a tar, in bytes; real record sizes are far smaller.
pub const MAX_PADDING_BYTES: u64 = 1024 * 1024;
/// The longest metadata of the old tool, in bytes; its databases had a dozen tables. A parsed JSON tree takes up to a
/// hundred times the length of its text.
pub const MAX_LEGACY_METADATA_BYTES: u64 = 256 * 1024;
/// The largest entry that is skipped, in bytes: a file beside a database in a volume can be an attachment. Anything
/// larger is treated as a bomb.
pub const MAX_UNKNOWN_ENTRY_BYTES: u64 = 256 * 1024 * 1024;
/// The most members that salvage looks at: a terabyte of members as we write them.
pub const MAX_SALVAGED_MEMBERS: usize = 1 << 20;
/// The largest window of a Zstandard frame, in bytes: that of `zstd --long`. The `zstd` command also refuses more,
/// unless a flag allows it.
pub const MAX_WINDOW_BYTES: u64 = 128 * 1024 * 1024;
/// How many times larger its contents may be than a compressed file: as much as deflate can do. Zstandard can do thirty
/// times as much.
pub const MAX_RATIO: u64 = 1032;
/// How large the contents of a compressed file may be, whatever its size, in bytes: a database full of zeros is honest.
pub const MAX_BYTES_AT_ANY_RATIO: u64 = 16 * 1024 * 1024 * 1024;
/// How much larger a compressed database may be than its header says, in bytes, unless that is less than twice as
/// large: one that was copied while it grew.
pub const MAX_SURPLUS_BYTES: u64 = 256 * 1024 * 1024;
/// How many oddities of one kind are listed individually.
pub const MAX_ODDITIES: usize = 10;
