//! The seek table behind the frames of an archive: the sizes of each.

use super::{BLOCK_HEADER, CHECKSUM, MAGIC, TABLE_MAGIC, is_possible, stored_bytes};
use crate::archive::codec::member::Member;
use crate::archive::error::{ArchiveError, damaged};
use crate::store::ReadAt;

/// The last bytes of a seek table.
const TABLE_END: [u8; 4] = [0xb1, 0xea, 0x92, 0x8f];
/// The size of the header of a seek table: magic, and the number of bytes that follow.
pub(super) const TABLE_HEADER: u64 = 8;
/// The size of the footer of a seek table: number of frames, flags (none), magic.
pub(super) const TABLE_FOOTER: u64 = 9;
/// The size of an entry of a seek table: the sizes of a frame, compressed and decompressed.
pub(super) const TABLE_ENTRY: u64 = 8;
/// How many entries of a seek table are read at once.
pub(super) const ENTRIES_AT_ONCE: u64 = 8192;
/// The length of the shortest frame of ours that holds something, in bytes: a block of one byte, repeated or not.
const SHORTEST_FRAME: u64 = (MAGIC.len() + 2 + BLOCK_HEADER + 1 + CHECKSUM) as u64;

/// Collects the sizes of the frames of a file for its seek table.
#[derive(Default)]
pub(crate) struct TableWriter {
    entries: Vec<u8>,
}

impl TableWriter {
    pub(crate) fn add(&mut self, packed: usize, unpacked: usize) {
        for bytes in [packed, unpacked] {
            let bytes = u32::try_from(bytes).expect("a frame holds at most 16 MiB");
            self.entries.extend(bytes.to_le_bytes());
        }
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut table = TABLE_MAGIC.to_vec();
        let size = |bytes: u64| u32::try_from(bytes).expect("a seek table of half a billion frames").to_le_bytes();
        table.extend(size(self.entries.len() as u64 + TABLE_FOOTER));
        table.extend_from_slice(&self.entries);
        table.extend(size(self.entries.len() as u64 / TABLE_ENTRY));
        table.push(0);
        table.extend(TABLE_END);
        table
    }
}

/// Walks the frames of a file by its seek table, which is read in pieces.
pub(crate) struct Table {
    /// Where the table starts, and the frames end.
    start: u64,
    /// The number of frames.
    frames: u64,
    /// The number of the next frame.
    next: u64,
    /// The entries of the frames from `first` on.
    entries: Vec<u8>,
    first: u64,
}

impl Table {
    /// Reads the end of a file whose first frame ends at `second`, where the walk starts. Fails if there is no seek
    /// table, or if it gives another size for the first frame.
    pub(crate) fn open(source: &dyn ReadAt, second: u64) -> Result<Self, ArchiveError> {
        let missing = || damaged("the seek table is missing: it is truncated, or has data after its end");
        let wrong = || damaged("the seek table is damaged");
        let end = source.bytes();
        let mut footer = [0; TABLE_FOOTER as usize];
        source.read_exact_at(&mut footer, end.checked_sub(TABLE_FOOTER).ok_or_else(missing)?)?;
        let (frames, rest) = footer.split_first_chunk().ok_or_else(missing)?;
        if rest[1..] != TABLE_END {
            return Err(missing());
        }
        let frames = u64::from(u32::from_le_bytes(*frames));
        let bytes = frames * TABLE_ENTRY + TABLE_FOOTER;
        let start = end.checked_sub(bytes + TABLE_HEADER).ok_or_else(wrong)?;
        let mut head = [0; TABLE_HEADER as usize];
        source.read_exact_at(&mut head, start)?;
        let size = u32::try_from(bytes).map_err(|_| wrong())?.to_le_bytes();
        if head[..4] != TABLE_MAGIC || head[4..] != size || rest[0] != 0 {
            return Err(wrong());
        }
        let mut table = Self { start, frames, next: 0, entries: Vec::new(), first: 0 };
        let first = table.next(source, 0)?.ok_or_else(wrong)?;
        if first.end() != second || first.packed as usize != stored_bytes(first.unpacked as usize) {
            return Err(wrong());
        }
        Ok(table)
    }

    /// Returns the frame that starts at an offset, which must be the next one; `None` after the last one.
    pub(crate) fn next(&mut self, source: &dyn ReadAt, at: u64) -> Result<Option<Member>, ArchiveError> {
        let wrong = || damaged("the seek table does not match the frames");
        if self.next == self.frames {
            return if at == self.start { Ok(None) } else { Err(wrong()) };
        }
        let offset = ((self.next - self.first) * TABLE_ENTRY) as usize;
        let entry = match self.entries.get(offset..).and_then(<[u8]>::first_chunk::<{ TABLE_ENTRY as usize }>) {
            Some(entry) => *entry,
            None => {
                let count = (self.frames - self.next).min(ENTRIES_AT_ONCE);
                self.first = self.next;
                self.entries.resize((count * TABLE_ENTRY) as usize, 0);
                let place = self.start + TABLE_HEADER + self.first * TABLE_ENTRY;
                source.read_exact_at(&mut self.entries, place)?;
                *self.entries.first_chunk().ok_or_else(wrong)?
            }
        };
        let [packed, unpacked] =
            [0, 4].map(|from| u32::from_le_bytes([entry[from], entry[from + 1], entry[from + 2], entry[from + 3]]));
        // Frames without a size would let a table name any number of them in one place.
        let possible =
            u64::from(packed) >= SHORTEST_FRAME && is_possible(packed.into(), unpacked.into(), self.next == 0);
        if !possible || at + u64::from(packed) > self.start {
            return Err(wrong());
        }
        self.next += 1;
        Ok(Some(Member { at, packed, unpacked }))
    }
}
