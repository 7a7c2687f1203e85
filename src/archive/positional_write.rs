//! Writes bytes at an offset of a file.

use std::fs::File;
use std::io;

use crate::platform::PositionalIo as _;

/// How many bytes are written with one call.
///
/// For large writes, Linux allocates large page cache folios. Those come from memory that was not used for a while, and
/// under a hypervisor often never: 1 GB took 0.4 s in pieces of 64 KiB, but 0.9 to 5.6 s in pieces of 1 MiB.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes all bytes at an offset. May be called from several threads for different offsets.
pub(super) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let places = (at..).step_by(PIECE_BYTES);
    bytes.chunks(PIECE_BYTES).zip(places).try_for_each(|(piece, place)| file.write_all_at(piece, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_written_without_gaps() {
        for bytes in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7] {
            let contents: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            let file = tempfile::tempfile().unwrap();
            write_at(&file, &contents, 5).unwrap();
            let mut read = vec![0; bytes];
            file.read_exact_at(&mut read, 5).unwrap();
            assert!(
                read == contents && file.metadata().unwrap().len() == if bytes == 0 { 0 } else { bytes as u64 + 5 }
            );
        }
    }
}
