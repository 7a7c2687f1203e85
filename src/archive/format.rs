//! The constants of archive format 1, which `man/heirloom-archive.5` describes in words. The limits of what a reader
//! accepts are in [`limits`](super::limits).

/// How much input one member of a database holds when we write it, in bytes. Members start at multiples of it,
/// counted from the start of each database.
///
/// With 128 KiB the archive would be 0.9 % larger, because each member starts without a window.
pub const MEMBER_BYTES: usize = 1024 * 1024;
/// The size of a tar block, in bytes.
pub const TAR_BLOCK: usize = 512;

/// The text of `RESTORE.txt`. Readers do not compare it, so a later release may reword it.
pub const RESTORE_TEXT: &str = "\
How to restore without heirloom
===============================

This archive contains copies of SQLite databases. `tar` and `sqlite3` are enough.

1. Unpack it into an empty folder:

       mkdir restored && tar xzf ARCHIVE.tar.gz -C restored

   (`tar xf` if the name ends in .tar or .tar.zst. A tar that does not know Zstandard needs
   `zstd -dc ARCHIVE.tar.zst | tar xf - -C restored`.) `backup_metadata.json` describes each file:
   \"source\" is the path it was copied from, \"sha256\" the digest of the copy.

   If the name ends in .age, the archive is encrypted. With the file of the secret key:

       mkdir restored && age -d -i KEY.txt ARCHIVE.tar.gz.age | tar xz -C restored

2. Compare the digest, then check the database:

       sha256sum restored/FILE
       sqlite3 restored/FILE \"PRAGMA integrity_check\"

   They must print the digest from the metadata, and \"ok\".

3. Put it in place:

   - Stop everything that uses the old database first. Never copy over a database that is in use.
   - Move the old file away, together with the files beside it that end in -wal, -shm and
     -journal. A file left behind is applied to the restored database and corrupts it.
   - Copy the restored file to its place, and set the old owner and mode.

With heirloom: `heirloom restore ARCHIVE` does all of this, and keeps a safety backup of what it replaces.
";
