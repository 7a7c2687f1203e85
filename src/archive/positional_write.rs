//! Writes bytes at an offset of a file, and hashes what the file then holds.

use std::fs::File;
use std::io;

use crate::digest::Hasher;
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

/// Hashes what a file holds at an offset, and leaves it in `buffer`, whose previous contents were written there.
///
/// A digest of the buffer would prove the archive and the decompression. Only this one also proves that the bytes are
/// in the file, at their place, which is what a restore goes on with: it is read through the same page cache as by
/// every later reader. Whether they reach the disk is the job of the sync.
pub(super) fn hash_written(file: &File, buffer: &mut [u8], at: u64, hasher: &mut Hasher) -> io::Result<()> {
    // In pieces, so that what is hashed is still in the processor's cache.
    let places = (at..).step_by(PIECE_BYTES);
    buffer.chunks_mut(PIECE_BYTES).zip(places).try_for_each(|(piece, place)| {
        file.read_exact_at(piece, place)?;
        hasher.update(piece);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    #[test]
    fn what_the_file_holds_is_hashed_and_not_the_buffer() {
        let contents: Vec<u8> = (0..PIECE_BYTES * 2 + 11).map(|at| (at % 253) as u8).collect();
        let file = tempfile::tempfile().unwrap();
        write_at(&file, &contents, 3).unwrap();
        let mut buffer = vec![0; contents.len()];
        let mut hasher = Hasher::default();
        hash_written(&file, &mut buffer, 3, &mut hasher).unwrap();
        assert!(hasher.finish() == Sha256::of(&contents) && buffer == contents);
        assert!(hash_written(&file, &mut buffer, 4, &mut Hasher::default()).is_err(), "the file ends earlier");
    }

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
