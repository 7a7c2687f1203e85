//! Zstandard: frames that are written and read whole, the seek table behind them, and any file of frames as one stream.
//!
//! A frame of ours is a single segment that gives the size of its contents and ends with their checksum. Its header
//! follows from that size alone, so it is compared, not interpreted: decoders ignore one of its bits. A frame does not
//! say how long it is itself; the seek table (zstd seekable format 0.1.0, without checksums) gives the sizes of all.

mod seek_table;
mod stream;

use std::io;

use twox_hash::XxHash64;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, ErrorCode, find_frame_compressed_size, get_error_name};

use super::member::Member;
use crate::archive::error::{ArchiveError, damaged};
use crate::archive::format::MEMBER_BYTES;
use crate::archive::limits::MAX_MEMBER_BYTES;
use crate::store::ReadAt;

pub(crate) use seek_table::{Table, TableWriter};
pub(crate) use stream::Stream;

/// The first bytes of a frame.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of a seek table, which decoders skip.
const TABLE_MAGIC: [u8; 4] = [0x5e, 0x2a, 0x4d, 0x18];

/// Flags in a frame header: a single segment, and a checksum. The two highest bits give the length of the size.
const FLAGS: u8 = 1 << 5 | 1 << 2;
/// The flags if the size takes four bytes.
const LONG_SIZE: u8 = 2 << 6;
/// The length of a header with a size of four bytes: the longest that we write.
pub(crate) const LONGEST_HEADER: usize = MAGIC.len() + 1 + 4;
/// The length of a block header, in bytes.
const BLOCK_HEADER: usize = 3;
/// The most bytes in a block (RFC 8878, 3.1.1.2.4).
const BLOCK_MAX: usize = 128 * 1024;
/// The length of a checksum, in bytes.
const CHECKSUM: usize = 4;

/// Compresses blocks into frames.
pub(crate) struct Encoder(CCtx<'static>);

impl Encoder {
    /// Creates an encoder; `level` is clamped to 1 to 19. Fails only for lack of memory.
    pub(crate) fn new(level: u8) -> io::Result<Self> {
        let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        context.set_parameter(CParameter::CompressionLevel(i32::from(level.clamp(1, 19)))).map_err(failed)?;
        context.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
        // With a smaller window, as of level 1, a frame would not be a single segment.
        context.set_parameter(CParameter::WindowLog(MEMBER_BYTES.ilog2())).map_err(failed)?;
        Ok(Self(context))
    }

    /// Appends one frame that holds `input`. Fails only for lack of memory.
    pub(crate) fn append(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        let start = output.len();
        output.resize(start + zstd::zstd_safe::compress_bound(input.len()), 0);
        let packed = self.0.compress2(&mut output[start..], input).map_err(failed)?;
        output.truncate(start + packed);
        Ok(())
    }
}

/// The code for a failed allocation (`ZSTD_error_memory_allocation` in `zstd_errors.h`).
const NO_MEMORY: ErrorCode = 0_usize.wrapping_sub(64);

/// Converts an error of libzstd. Lack of memory says nothing about the file.
fn failed(code: ErrorCode) -> io::Error {
    if code == NO_MEMORY { io::ErrorKind::OutOfMemory.into() } else { io::Error::other(get_error_name(code)) }
}

/// Returns the header of a frame that holds this many bytes, as libzstd writes it.
fn header(bytes: u32) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    match bytes {
        0..256 => header.extend([FLAGS, bytes as u8]),
        256..65_792 => {
            header.push(FLAGS | 1 << 6);
            header.extend((bytes as u16).wrapping_sub(256).to_le_bytes());
        }
        _ => {
            header.push(FLAGS | LONG_SIZE);
            header.extend(bytes.to_le_bytes());
        }
    }
    header
}

/// Returns the size of the contents and the length of the header, if `bytes` start with a header as we write it.
fn parse_header(bytes: &[u8]) -> Option<(u32, usize)> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let unpacked = match rest.split_first()? {
        (&flags, size) if flags == FLAGS => u32::from(*size.first()?),
        (&flags, size) if flags == FLAGS | 1 << 6 => u32::from(u16::from_le_bytes(*size.first_chunk()?)) + 256,
        (&flags, size) if flags == FLAGS | LONG_SIZE => u32::from_le_bytes(*size.first_chunk()?),
        _ => return None,
    };
    let header = header(unpacked);
    bytes.starts_with(&header).then_some((unpacked, header.len()))
}

/// Returns whether bytes can be the start of a file of frames; tools that compress in parallel start with one to skip.
pub(crate) fn is_start(head: &[u8]) -> bool {
    head.starts_with(&MAGIC) || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Returns the size of a frame that holds this many bytes in raw blocks.
pub(crate) fn stored_bytes(input: usize) -> usize {
    LONGEST_HEADER + input + input.div_ceil(BLOCK_MAX).max(1) * BLOCK_HEADER + CHECKSUM
}

/// Appends one frame that holds `input` in raw blocks. Its header has a size of four bytes in any case, so that it can
/// be recognised.
pub(crate) fn append_stored(input: &[u8], output: &mut Vec<u8>) {
    output.extend(stored_header(input.len()));
    let mut blocks = input.chunks(BLOCK_MAX).peekable();
    while let Some(block) = blocks.next() {
        output.extend(block_header(block.len(), blocks.peek().is_none()));
        output.extend_from_slice(block);
    }
    output.extend(checksum(input));
}

fn stored_header(bytes: usize) -> [u8; LONGEST_HEADER] {
    let size = u32::try_from(bytes).expect("metadata is at most 16 MiB").to_le_bytes();
    let mut header = [0; LONGEST_HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = FLAGS | LONG_SIZE;
    header[5..].copy_from_slice(&size);
    header
}

/// Returns the header of a raw block.
fn block_header(bytes: usize, last: bool) -> [u8; BLOCK_HEADER] {
    let [low, middle, high, _] = ((bytes as u32) << 3 | u32::from(last)).to_le_bytes();
    [low, middle, high]
}

fn checksum(contents: &[u8]) -> [u8; CHECKSUM] {
    // The low four bytes (RFC 8878, 3.1.1).
    (XxHash64::oneshot(0, contents) as u32).to_le_bytes()
}

/// Returns the size of the first frame and the start of its contents, if it is a stored one; `head` is the start of the
/// file.
pub(crate) fn stored_start(head: &[u8]) -> Option<(u32, &[u8])> {
    let size = u32::from_le_bytes(*head.get(5..)?.first_chunk()?);
    let bytes = usize::try_from(size).ok().filter(|bytes| (1..=2 * MAX_MEMBER_BYTES).contains(bytes))?;
    let first = bytes.min(BLOCK_MAX);
    let blocks = head.strip_prefix(&stored_header(bytes))?;
    let contents = blocks.strip_prefix(&block_header(first, first == bytes))?;
    let packed = u32::try_from(stored_bytes(bytes)).ok()?;
    Some((packed, &contents[..contents.len().min(first)]))
}

/// Unpacks a stored frame; returns an error if its checksum is wrong, and `None` if it is not what [`append_stored`]
/// writes for `bytes` bytes.
pub(crate) fn stored_contents(frame: &[u8], bytes: usize) -> Option<Result<Vec<u8>, &'static str>> {
    if frame.len() != stored_bytes(bytes) {
        return None;
    }
    let mut contents = Vec::with_capacity(bytes);
    let mut rest = frame.strip_prefix(&stored_header(bytes))?;
    while contents.len() < bytes {
        let block = (bytes - contents.len()).min(BLOCK_MAX);
        rest = rest.strip_prefix(&block_header(block, contents.len() + block == bytes))?;
        contents.extend_from_slice(rest.get(..block)?);
        rest = &rest[block..];
    }
    Some(if rest == checksum(&contents) { Ok(contents) } else { Err("checksum mismatch in a Zstandard frame") })
}

/// Returns whether a file starts with a raw block of at least a tar block, which no other tool writes for a tar: it is
/// the metadata, whatever was changed in the frame header.
pub(crate) fn starts_with_raw_block(head: &[u8]) -> bool {
    let Some(Frame { header, .. }) = Frame::parse(head) else { return false };
    let block = head.get(header..).and_then(<[u8]>::first_chunk::<BLOCK_HEADER>);
    let block = block.map(|[low, middle, high]| u32::from_le_bytes([*low, *middle, *high, 0]));
    block.is_some_and(|block| block >> 1 & 3 == 0 && block >> 3 >= 512)
}

/// The header of a frame of any tool (RFC 8878, 3.1.1.1).
struct Frame {
    /// Its length, in bytes.
    header: usize,
    /// How much memory decompressing the frame takes, in bytes.
    window: u64,
}

impl Frame {
    /// Parses the start of a frame; returns `None` if it is none, or a part of the header is missing.
    fn parse(head: &[u8]) -> Option<Self> {
        let (&flags, rest) = head.strip_prefix(&MAGIC)?.split_first()?;
        let single = flags & 1 << 5 != 0;
        let dictionary = [0, 1, 2, 4][usize::from(flags & 3)];
        let size = [usize::from(single), 2, 4, 8][usize::from(flags >> 6)];
        let header = MAGIC.len() + 1 + usize::from(!single) + dictionary + size;
        let window = if single {
            let mut bytes = [0; 8];
            bytes[..size].copy_from_slice(rest.get(dictionary..dictionary + size)?);
            u64::from_le_bytes(bytes) + if size == 2 { 256 } else { 0 }
        } else {
            let descriptor = *rest.first()?;
            let base = 1 << (10 + (descriptor >> 3));
            base + base / 8 * u64::from(descriptor & 7)
        };
        Some(Self { header, window })
    }
}

/// Decompresses frames.
pub(crate) struct Decoder(DCtx<'static>);

impl Decoder {
    /// Fails only for lack of memory.
    pub(crate) fn new() -> io::Result<Self> {
        DCtx::try_create().map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// Decompresses a frame into `output`, which it must fill exactly; otherwise returns what is wrong with it.
    pub(crate) fn open(&mut self, frame: &[u8], output: &mut [u8]) -> Result<(), &'static str> {
        let expected = u32::try_from(output.len()).map(header).unwrap_or_default();
        if expected.is_empty() || !frame.starts_with(&expected) {
            return Err("a Zstandard frame does not have the header that its size calls for");
        }
        if find_frame_compressed_size(frame) != Ok(frame.len()) {
            return Err("a Zstandard frame does not have its recorded size");
        }
        // It also compares the checksum.
        match self.0.decompress(output, frame) {
            Ok(bytes) if bytes == output.len() => Ok(()),
            Ok(_) => Err("a Zstandard frame holds fewer bytes than it declares"),
            Err(_) => Err("a Zstandard frame cannot be decompressed"),
        }
    }
}

/// Returns whether a frame of this size can hold that many bytes; called before memory is allocated for either.
fn is_possible(packed: u64, unpacked: u64, is_metadata: bool) -> bool {
    // No honest encoder grows its input by an eighth; a hostile one could, to make us allocate memory.
    let most = MAX_MEMBER_BYTES as u64 + if is_metadata { 512 } else { 0 };
    (1..=most).contains(&unpacked) && packed <= unpacked + unpacked / 8 + 1024
}

/// Returns the frame at an offset by its block headers, for files whose seek table is lost; `None` at the end of the
/// file or at the seek table.
pub(crate) fn frame_at(source: &dyn ReadAt, at: u64) -> Result<Option<Member>, ArchiveError> {
    let left = source.bytes().saturating_sub(at);
    let mut head = [0; LONGEST_HEADER];
    let head = &mut head[..LONGEST_HEADER.min(usize::try_from(left).unwrap_or(LONGEST_HEADER))];
    source.read_exact_at(head, at)?;
    if head.is_empty() || head.starts_with(&TABLE_MAGIC) {
        return Ok(None);
    }
    let no_frame = || damaged(format!("no Zstandard frame at byte {at}, where one is expected"));
    let (unpacked, header) = parse_header(head).ok_or_else(no_frame)?;
    let mut packed = header as u64;
    // Blocks of less than a kilobyte on average cost more than they save.
    for _ in 0..64 + unpacked / 1024 {
        if packed + (BLOCK_HEADER + CHECKSUM) as u64 > left {
            return Err(damaged("it is truncated"));
        }
        let mut block = [0; 4];
        source.read_exact_at(&mut block[..BLOCK_HEADER], at + packed)?;
        let block = u32::from_le_bytes(block);
        // The type of a block: raw, one byte that repeats, compressed, reserved.
        let bytes = if block >> 1 & 3 == 1 { 1 } else { u64::from(block >> 3) };
        packed += BLOCK_HEADER as u64 + bytes;
        if !is_possible(packed, unpacked.into(), false) || block >> 1 & 3 == 3 {
            return Err(no_frame());
        }
        if block & 1 == 1 {
            packed += CHECKSUM as u64;
            let packed = u32::try_from(packed).map_err(|_| no_frame())?;
            return if u64::from(packed) > left {
                Err(damaged("it is truncated"))
            } else {
                Ok(Some(Member { at, packed, unpacked }))
            };
        }
    }
    Err(no_frame())
}

/// Returns whether bytes look like the start of a frame of ours that holds part of a database.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    parse_header(bytes).is_some_and(|(unpacked, _)| (1..=MEMBER_BYTES).contains(&(unpacked as usize)))
}

#[cfg(test)]
mod tests;
