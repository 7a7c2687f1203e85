//! gzip: members that record their own size, written and read whole; and any gzip file as one stream.
//!
//! The header is always the same 16 bytes (no time, no name, one `IG` subfield), followed by the size of the member. It
//! is compared, not interpreted: gzip protects the contents of a member, but not its header.

use std::io::{self, BufRead as _, BufReader, Read as _};

use flate2::bufread::GzDecoder;
use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::forward::{Forward, SourceFailed};
use super::member::Member;
use crate::archive::error::{ArchiveError, damaged};
use crate::archive::limits::MAX_MEMBER_BYTES;
use crate::store::ReadAt;

/// The first bytes of a gzip file.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Everything before the size: gzip, deflate, FEXTRA, no time, no hints, system unknown, XLEN 8, `IG`, 4 bytes.
const LEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'I', b'G', 4, 0];
/// The size of a header, in bytes.
pub(crate) const HEADER_BYTES: usize = LEAD.len() + 4;
/// The size of a trailer (CRC-32 and ISIZE), in bytes.
const TRAILER_BYTES: usize = 8;
/// The size of the header of a stored block that starts on a byte boundary.
const STORED_HEADER: usize = 5;
/// The most bytes that a stored block can hold.
const STORED_MAX: usize = 0xffff;
/// The highest compression ratio of deflate.
const MAX_RATIO: u64 = 1032;

/// Compresses blocks into members.
pub(crate) struct Encoder(Compressor);

impl Encoder {
    /// Creates an encoder; `level` is clamped to 1 to 12.
    pub(crate) fn new(level: u8) -> Self {
        let level = CompressionLvl::new(i32::from(level.clamp(1, 12))).expect("libdeflate knows the levels 1 to 12");
        Self(Compressor::new(level))
    }

    /// Appends one member that holds `input`.
    pub(crate) fn append(&mut self, input: &[u8], output: &mut Vec<u8>) {
        let start = begin(output);
        let body = output.len();
        output.resize(body + self.0.deflate_compress_bound(input.len()), 0);
        let packed = self
            .0
            .deflate_compress(input, &mut output[body..])
            .expect("the buffer is as large as libdeflate asked for");
        output.truncate(body + packed);
        end(start, input, output);
    }
}

/// Returns the size of a member that holds this many bytes uncompressed.
pub(crate) fn stored_bytes(input: usize) -> usize {
    HEADER_BYTES + input + input.div_ceil(STORED_MAX).max(1) * STORED_HEADER + TRAILER_BYTES
}

/// Appends one member that stores `input` uncompressed, so that its size depends only on the size of `input`.
pub(crate) fn append_stored(input: &[u8], output: &mut Vec<u8>) {
    let start = begin(output);
    let mut blocks = input.chunks(STORED_MAX).peekable();
    while let Some(block) = blocks.next() {
        output.extend(stored_header(block.len(), blocks.peek().is_none()));
        output.extend_from_slice(block);
    }
    end(start, input, output);
}

fn stored_header(bytes: usize, last: bool) -> [u8; STORED_HEADER] {
    let length = u16::try_from(bytes).expect("a stored block holds at most 65535 bytes").to_le_bytes();
    [u8::from(last), length[0], length[1], !length[0], !length[1]]
}

/// Unpacks a stored member; returns an error if its CRC is wrong, and `None` if it is not what [`append_stored`] writes
/// for `bytes` bytes.
pub(crate) fn stored_contents(member: &[u8], bytes: usize) -> Option<Result<Vec<u8>, &'static str>> {
    if member.len() != stored_bytes(bytes) || size_in_header(member.first_chunk()?)? as usize != member.len() {
        return None;
    }
    let mut contents = Vec::with_capacity(bytes);
    let mut rest = &member[HEADER_BYTES..member.len() - TRAILER_BYTES];
    while contents.len() < bytes {
        let block = (bytes - contents.len()).min(STORED_MAX);
        let last = contents.len() + block == bytes;
        rest = rest.strip_prefix(&stored_header(block, last))?;
        contents.extend_from_slice(rest.get(..block)?);
        rest = &rest[block..];
    }
    let (_, trailer) = member.split_at(member.len() - TRAILER_BYTES);
    Some(check(&contents, trailer).map(|()| contents))
}

/// Returns the contents of the first stored block of a member, as far as they are in `member`.
pub(crate) fn first_stored_block(member: &[u8]) -> Option<&[u8]> {
    let block = member.get(HEADER_BYTES..)?;
    let header: &[u8; STORED_HEADER] = block.first_chunk()?;
    let bytes = u16::from_le_bytes([header[1], header[2]]);
    let last = header[0] == 1;
    let contents = &block[STORED_HEADER..];
    (*header == stored_header(bytes.into(), last)).then(|| &contents[..contents.len().min(bytes.into())])
}

/// Returns the size that a member's header gives for the whole member; `None` if it is not a header of ours.
pub(crate) fn size_in_header(header: &[u8; HEADER_BYTES]) -> Option<u32> {
    let size = header.strip_prefix(&LEAD)?;
    let size = u32::from_le_bytes(size.try_into().ok()?);
    (size as usize > HEADER_BYTES + TRAILER_BYTES).then_some(size)
}

/// Returns whether a header carries an extra field (flag 4, FEXTRA), as each of ours does.
pub(crate) fn has_extra_field(head: &[u8]) -> bool {
    head.get(3).is_some_and(|flags| flags & 4 != 0)
}

/// Returns the member at an offset, or `None` at the exact end of the file. Two small reads.
pub(crate) fn member_at(source: &dyn ReadAt, at: u64) -> Result<Option<Member>, ArchiveError> {
    let left = source.bytes().saturating_sub(at);
    if left == 0 {
        return Ok(None);
    }
    if left < (HEADER_BYTES + TRAILER_BYTES) as u64 {
        return Err(damaged("it is truncated, or has data after its end"));
    }
    let mut header = [0; HEADER_BYTES];
    source.read_exact_at(&mut header, at)?;
    let packed = size_in_header(&header)
        .ok_or_else(|| damaged(format!("no gzip member at byte {at}, where one is expected")))?;
    if u64::from(packed) > left {
        return Err(damaged("it is truncated"));
    }
    let mut size = [0; 4];
    source.read_exact_at(&mut size, at + u64::from(packed) - 4)?;
    let unpacked = u32::from_le_bytes(size);
    if !can_hold(packed, unpacked) {
        return Err(damaged("a gzip member claims an impossible size"));
    }
    Ok(Some(Member { at, packed, unpacked }))
}

/// Returns whether a member of this size can hold that many bytes; called before memory is allocated for either.
fn can_hold(member: u32, unpacked: u32) -> bool {
    let (member, unpacked) = (u64::from(member), u64::from(unpacked));
    // No honest encoder grows its input by an eighth; a hostile one could, to make us allocate memory.
    (1..=MAX_MEMBER_BYTES as u64).contains(&unpacked)
        && unpacked <= member * MAX_RATIO
        && member <= unpacked + unpacked / 8 + 1024
}

/// Decompresses members.
pub(crate) struct Decoder(Decompressor);

impl Decoder {
    pub(crate) fn new() -> Self {
        Self(Decompressor::new())
    }

    /// Decompresses a member into `output`, which it must fill exactly; otherwise returns what is wrong with it.
    pub(crate) fn open(&mut self, member: &[u8], output: &mut [u8]) -> Result<(), &'static str> {
        let (body, trailer) = member.split_at(member.len() - TRAILER_BYTES);
        match self.0.deflate_decompress(&body[HEADER_BYTES..], output) {
            Ok(bytes) if bytes == output.len() => {}
            Ok(_) => return Err("a gzip member holds fewer bytes than it declares"),
            Err(_) => return Err("a gzip member cannot be decompressed"),
        }
        check(output, trailer)
    }
}

/// Compares contents with the trailer of their member.
fn check(contents: &[u8], trailer: &[u8]) -> Result<(), &'static str> {
    if trailer == trailer_of(contents) { Ok(()) } else { Err("checksum mismatch in a gzip member") }
}

/// All members of a gzip file as one stream, and the number of bytes after them.
pub(crate) struct Stream {
    decoder: Option<GzDecoder<BufReader<Forward>>>,
    trailing: u64,
}

impl Stream {
    pub(crate) fn new(reader: BufReader<Forward>) -> Self {
        Self { decoder: Some(GzDecoder::new(reader)), trailing: 0 }
    }

    /// Reads some of the contents; returns 0 at the end of the last member.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            // 0 means the end of a member whose CRC and size were right.
            let count = decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let Some(mut reader) = self.decoder.take().map(GzDecoder::into_inner) else { break };
            if reader.fill_buf()?.is_empty() {
                break;
            }
            let forward = reader.get_ref();
            let at = forward.at - reader.buffer().len() as u64;
            let mut magic = [0; 2];
            let more = forward.source.read_exact_at(&mut magic, at);
            match more {
                Ok(()) if magic == MAGIC => self.decoder = Some(GzDecoder::new(reader)),
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    return Err(io::Error::other(SourceFailed(error)));
                }
                _ => self.trailing = forward.source.bytes().saturating_sub(at),
            }
        }
        Ok(0)
    }

    /// Returns how many bytes follow the last member; known only after everything was read.
    pub(crate) fn trailing(&self) -> u64 {
        self.trailing
    }
}

fn begin(output: &mut Vec<u8>) -> usize {
    let start = output.len();
    output.extend_from_slice(&LEAD);
    output.extend_from_slice(&[0; 4]);
    start
}

fn end(start: usize, input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&trailer_of(input));
    let size = u32::try_from(output.len() - start).expect("a member holds at most 16 MiB");
    output[start + LEAD.len()..start + HEADER_BYTES].copy_from_slice(&size.to_le_bytes());
}

fn trailer_of(contents: &[u8]) -> [u8; TRAILER_BYTES] {
    let crc = u64::from(libdeflater::crc32(contents));
    // ISIZE is the size modulo 2^32 (RFC 1952, 2.3.1).
    (crc | (contents.len() as u64) << 32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn contents(bytes: usize) -> Vec<u8> {
        (0..bytes as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 & 0x3f).collect()
    }

    #[test]
    fn every_gzip_reader_sees_ordinary_members() {
        for bytes in [1, 511, STORED_MAX, STORED_MAX + 1, 200_000] {
            let input = contents(bytes);
            let mut output = Vec::new();
            append_stored(&input, &mut output);
            assert_eq!(output.len(), stored_bytes(bytes));
            Encoder::new(5).append(&input, &mut output);
            let mut read = Vec::new();
            flate2::read::MultiGzDecoder::new(&output[..]).read_to_end(&mut read).unwrap();
            assert_eq!(read, [&input[..], &input[..]].concat());
        }
    }

    #[test]
    fn a_member_returns_exactly_what_was_put_in() {
        let input = contents(100_000);
        let mut member = Vec::new();
        Encoder::new(1).append(&input, &mut member);
        assert_eq!(size_in_header(member.first_chunk().unwrap()), Some(member.len() as u32));
        let mut output = vec![0; input.len()];
        Decoder::new().open(&member, &mut output).unwrap();
        assert_eq!(output, input);
        Decoder::new().open(&member, &mut output[..99_999]).unwrap_err();
        Decoder::new().open(&member, &mut vec![0; 100_001]).unwrap_err();
    }

    #[test]
    fn every_changed_byte_of_a_stored_member_is_detected() {
        let input = contents(STORED_MAX + 10);
        let mut member = Vec::new();
        append_stored(&input, &mut member);
        assert_eq!(stored_contents(&member, input.len()), Some(Ok(input.clone())));
        for at in (0..40).chain(STORED_MAX - 10..member.len()) {
            let mut bad = member.clone();
            bad[at] ^= 0x10;
            let found = stored_contents(&bad, input.len()).is_none_or(|contents| contents.is_err());
            assert!(found, "byte {at}");
        }
    }

    #[test]
    fn incompressible_input_hardly_grows() {
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        })
        .take(128 * 1024)
        .collect();
        let mut member = Vec::new();
        Encoder::new(5).append(&noise, &mut member);
        assert!(member.len() <= noise.len() + 100, "{}", member.len());
    }
}
