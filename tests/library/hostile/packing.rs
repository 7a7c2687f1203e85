//! Wraps bytes so that the code behind the checksums is reached: valid tar header checksums, CRCs and member sizes.

use std::io::Write as _;

use twox_hash::XxHash64;
use zstd::zstd_safe::CParameter;

/// The size of a tar block, in bytes.
pub const BLOCK: usize = 512;

/// Builds a tar header with a valid checksum; a name that is too long is truncated.
pub fn header(name: &[u8], kind: u8, bytes: u64) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    let name = &name[..name.len().min(100)];
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header.as_old_mut().linkflag = [kind];
    header.set_cksum();
    *header.as_bytes()
}

/// Appends an entry: its header and its contents, padded.
pub fn append(tar: &mut Vec<u8>, name: &[u8], kind: u8, claimed: u64, contents: &[u8]) {
    tar.extend(header(name, kind, claimed));
    tar.extend(contents);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// Returns where the entries of a tar start, as far as their sizes lead, and where the last one ends.
fn entries(tar: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut at = 0_usize;
    while let Some(block) = tar.get(at..at.saturating_add(BLOCK)).filter(|block| block.iter().any(|&byte| byte != 0)) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        let bytes = header.entry_size().unwrap_or(0).min(tar.len() as u64) as usize;
        at = (at + BLOCK + bytes.next_multiple_of(BLOCK)).min(tar.len());
        starts.push(at);
    }
    starts
}

/// Sets the right checksum in every header.
pub fn mend_checksums(tar: &mut [u8]) {
    let starts = entries(tar);
    for &at in &starts[..starts.len() - 1] {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&tar[at..at + BLOCK]);
        header.set_cksum();
        tar[at..at + BLOCK].copy_from_slice(header.as_bytes());
    }
}

/// Compresses as one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Compresses as format 1 does: the first entry as a stored member, one member for each header, data in members of this
/// size.
pub fn members(tar: &[u8], member: usize) -> Vec<u8> {
    let starts = entries(tar);
    let first = starts.get(1).map_or(tar.len(), |&end| end);
    let mut packed = Vec::new();
    append_member(&mut packed, &tar[..first], |block, packed| {
        let mut chunks = block.chunks(0xffff).peekable();
        while let Some(chunk) = chunks.next() {
            let length = (chunk.len() as u16).to_le_bytes();
            packed.extend([u8::from(chunks.peek().is_none()), length[0], length[1], !length[0], !length[1]]);
            packed.extend(chunk);
        }
    });
    let mut encoder = libdeflater::Compressor::new(libdeflater::CompressionLvl::fastest());
    let mut compressed = |block: &[u8], packed: &mut Vec<u8>| {
        let start = packed.len();
        packed.resize(start + encoder.deflate_compress_bound(block.len()), 0);
        let bytes = encoder.deflate_compress(block, &mut packed[start..]).unwrap();
        packed.truncate(start + bytes);
    };
    let ends = starts.iter().skip(2).copied().chain([tar.len()]);
    for (&start, end) in starts.iter().skip(1).zip(ends) {
        let (header, data) = tar[start..end].split_at(BLOCK.min(end - start));
        for block in [header].into_iter().chain(data.chunks(member)).filter(|block| !block.is_empty()) {
            append_member(&mut packed, block, &mut compressed);
        }
    }
    packed
}

fn append_member(packed: &mut Vec<u8>, block: &[u8], compress: impl FnOnce(&[u8], &mut Vec<u8>)) {
    let start = packed.len();
    packed.extend([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'I', b'G', 4, 0, 0, 0, 0, 0]);
    compress(block, packed);
    packed.extend(libdeflater::crc32(block).to_le_bytes());
    packed.extend((block.len() as u32).to_le_bytes());
    let bytes = (packed.len() - start) as u32;
    packed[start + 16..start + 20].copy_from_slice(&bytes.to_le_bytes());
}

/// Compresses as one Zstandard frame, as in a pipe.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut zstd = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    zstd.include_checksum(true).unwrap();
    zstd.write_all(bytes).unwrap();
    zstd.finish().unwrap()
}

/// A frame that decoders skip.
pub fn skippable(bytes: &[u8]) -> Vec<u8> {
    [&[0x50, 0x2a, 0x4d, 0x18][..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// Compresses as format 1 does with Zstandard, without the seek table. Also returns the sizes of the frames, packed and
/// unpacked.
pub fn frames(tar: &[u8], member: usize) -> (Vec<u8>, Vec<[u32; 2]>) {
    let starts = entries(tar);
    let first = starts.get(1).map_or(tar.len(), |&end| end);
    let mut packed = stored_frame(&tar[..first]);
    let mut sizes = vec![[packed.len() as u32, first as u32]];
    let ends = starts.iter().skip(2).copied().chain([tar.len()]);
    for (&start, end) in starts.iter().skip(1).zip(ends) {
        let (header, data) = tar[start..end].split_at(BLOCK.min(end - start));
        for block in [header].into_iter().chain(data.chunks(member)).filter(|block| !block.is_empty()) {
            let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
            compressor.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
            let window = block.len().next_power_of_two().ilog2().clamp(20, 27);
            compressor.set_parameter(CParameter::WindowLog(window)).unwrap();
            let frame = compressor.compress(block).unwrap();
            sizes.push([frame.len() as u32, block.len() as u32]);
            packed.extend(frame);
        }
    }
    (packed, sizes)
}

fn stored_frame(contents: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa4];
    frame.extend((contents.len() as u32).to_le_bytes());
    let mut blocks = contents.chunks(128 * 1024).peekable();
    while let Some(block) = blocks.next() {
        let header = (block.len() as u32) << 3 | u32::from(blocks.peek().is_none());
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame.extend((XxHash64::oneshot(0, contents) as u32).to_le_bytes());
    frame
}

/// Builds the seek table of these frames. Four bytes decide what is wrong with it; zeros mean nothing.
pub fn seek_table(mut sizes: Vec<[u32; 2]>, wrong: [u8; 4]) -> Vec<u8> {
    let [what, which, low, high] = wrong;
    let value = u32::from(u16::from_le_bytes([low, high]));
    let which = usize::from(which) % sizes.len();
    match what % 8 {
        1 => sizes[which][0] = sizes[which][0].wrapping_add(value),
        2 => sizes[which][1] = sizes[which][1].wrapping_add(value),
        3 => sizes[which] = [value, value << 16],
        4 => drop(sizes.remove(which)),
        5 => sizes.extend(vec![[0, 1]; value as usize]),
        _ => {}
    }
    let (mut count, mut flags) = (sizes.len() as u32, 0);
    match what % 8 {
        6 => count = count.wrapping_sub(value),
        7 => flags = low,
        _ => {}
    }
    let mut table: Vec<u8> = sizes.iter().flatten().flat_map(|size| size.to_le_bytes()).collect();
    table.extend(count.to_le_bytes());
    table.push(flags);
    table.extend([0xb1, 0xea, 0x92, 0x8f]);
    let mut table = skippable(&table);
    table[0] = 0x5e;
    table
}
