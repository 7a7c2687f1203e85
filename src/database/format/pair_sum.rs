//! The running sum that SQLite takes of the frames of a `-wal` and, in its checksum VFS, of each page.

/// A sum over pairs of 32-bit words (sqlite.org/fileformat2.html, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::database) struct PairSum(u32, u32);

impl PairSum {
    /// Goes on from a sum that was written down, its words in big-endian order.
    pub(in crate::database) fn resume(written: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = written;
        Self(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    }

    /// Adds bytes, in words of little-endian order; what follows the last whole pair of words is left out.
    pub(in crate::database) fn little_endian(self, bytes: &[u8]) -> Self {
        self.add(bytes, u32::from_le_bytes)
    }

    /// Adds bytes, in words of big-endian order; what follows the last whole pair of words is left out.
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

    /// Returns the sum as the end of a page of the checksum VFS holds it.
    pub(in crate::database) fn to_le_bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.0.to_le_bytes(), self.1.to_le_bytes());
        [a, b, c, d, e, f, g, h]
    }
}
