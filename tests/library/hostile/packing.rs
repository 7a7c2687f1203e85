//! Wraps bytes so that the code behind the checksums is reached: valid tar header checksums, CRCs and member sizes.

use std::io::Write as _;

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
