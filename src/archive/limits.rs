//! What a reader accepts at most. Archives come from anywhere: nothing is allocated or followed beyond these.

/// The most input that a member may hold, in bytes.
pub const MAX_MEMBER_BYTES: usize = 16 * 1024 * 1024;
/// The longest metadata entry that is read, in bytes.
pub const MAX_METADATA_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes that may follow the last database: `RESTORE.txt` and the end of the tar.
pub const MAX_TAIL_BYTES: u64 = 1024 * 1024;
/// The most entries that a tar may hold.
pub const MAX_ENTRIES: usize = 10_000;
/// The longest name that an entry may have, in bytes; all names of an archive are held at once.
pub const MAX_ENTRY_NAME_BYTES: usize = 1024;
/// The most that an extension header of a tar may hold, in bytes.
pub const MAX_EXTENSION_BYTES: u64 = 64 * 1024;
/// The most zeros that may follow the end of a tar, in bytes; record sizes are far smaller.
pub const MAX_PADDING_BYTES: u64 = 1024 * 1024;
/// The longest metadata of the old tool that is read, in bytes; its databases had a dozen tables. As a tree of values
/// JSON takes up to a hundred times its length.
pub const MAX_LEGACY_METADATA_BYTES: u64 = 256 * 1024;
/// The largest entry that is passed over, in bytes: what lies beside a database in a volume can be an attachment. More
/// of it would be a bomb.
pub const MAX_UNKNOWN_ENTRY_BYTES: u64 = 256 * 1024 * 1024;
/// The most members that salvage looks at: a terabyte of them as we write them.
pub const MAX_SALVAGED_MEMBERS: usize = 1 << 20;
/// How many oddities of one kind are named one by one.
pub const MAX_ODDITIES: usize = 10;
