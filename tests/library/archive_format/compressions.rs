//! The compressions that the properties of archives are shown for, and those of other tools.

use std::io::{Read, Write};
use std::ops::Range;

use heirloom::compression::Compression;

/// Every kind of archive, and two levels where the level decides how frames look.
pub const EVERY: [Compression; 5] =
    [Compression::Gzip(1), Compression::Gzip(5), Compression::Zstd(1), Compression::Zstd(3), Compression::None];

/// A file name with the ending of a compression.
pub fn name_of(compression: Compression) -> String {
    format!("a{}", compression.ending())
}

/// Decompresses an archive as any other tool does.
pub fn unpack_tar(bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut tar).unwrap();
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut tar).unwrap();
    } else {
        tar.extend_from_slice(bytes);
    }
    tar
}

/// Compresses like `gzip`.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Compresses like `zstd` in a pipe: one frame with a checksum, which does not give the size of its contents.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns where the frames of an archive are, and its seek table.
pub fn frames(archive: &[u8]) -> (Vec<Range<usize>>, Range<usize>) {
    let footer = archive.len() - 9;
    let count = u32::from_le_bytes(archive[footer..footer + 4].try_into().unwrap()) as usize;
    let table = footer - 8 * count - 8;
    let mut at = 0;
    let frames = archive[table + 8..footer].chunks_exact(8).map(|entry| {
        let start = at;
        at += u32::from_le_bytes(entry[..4].try_into().unwrap()) as usize;
        start..at
    });
    let frames: Vec<_> = frames.collect();
    assert_eq!(frames[count - 1].end, table);
    (frames, table..archive.len())
}

/// Returns the ranges of compressed data of all members except the first: what is around them has a checksum, or only
/// one correct value.
pub fn data_members(archive: &[u8]) -> Vec<Range<usize>> {
    if archive.starts_with(&[0x28]) {
        // Magic, flags, and a size of one to four bytes; at the end a checksum of four.
        let header = |frame: &Range<usize>| 5 + [1, 2, 4][usize::from(archive[frame.start + 4] >> 6)];
        return frames(archive).0[1..].iter().map(|frame| frame.start + header(frame)..frame.end - 4).collect();
    }
    let mut members = Vec::new();
    let mut at = 0;
    while at < archive.len() {
        let size = u32::from_le_bytes(archive[at + 16..at + 20].try_into().unwrap()) as usize;
        members.push(at + 20..at + size - 8);
        at += size;
    }
    assert_eq!(at, archive.len());
    members.remove(0);
    members
}
