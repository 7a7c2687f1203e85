//! The running checksum that SQLite uses for the frames of a `-wal` and, in its checksum VFS, for each page.

/// A checksum over pairs of 32-bit words (sqlite.org/fileformat2.html, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::database) struct PairSum(u32, u32);

impl PairSum {
    /// Continues from a stored checksum, whose words are big-endian.
    pub(in crate::database) fn resume(written: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = written;
        Self(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    }

    /// Adds bytes as little-endian words; bytes after the last whole pair of words are ignored.
    pub(in crate::database) fn little_endian(self, bytes: &[u8]) -> Self {
        self.add(bytes, u32::from_le_bytes)
    }

    /// Adds bytes as big-endian words; bytes after the last whole pair of words are ignored.
    pub(in crate::database) fn big_endian(self, bytes: &[u8]) -> Self {
        self.add(bytes, u32::from_be_bytes)
    }

    fn add(mut self, bytes: &[u8], word: fn([u8; 4]) -> u32) -> Self {
        for pair in bytes.chunks_exact(8) {
            let (first, second) = ([pair[0], pair[1], pair[2], pair[3]], [pair[4], pair[5], pair[6], pair[7]]);
            self.0 = self.0.wrapping_add(word(first)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(word(second)).wrapping_add(self.0);
        }
        self
    }

    /// Returns the checksum as the checksum VFS stores it at the end of a page.
    pub(in crate::database) fn to_le_bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.0.to_le_bytes(), self.1.to_le_bytes());
        [a, b, c, d, e, f, g, h]
    }
}
