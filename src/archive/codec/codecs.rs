//! The codecs. Everything that depends on the codec is a `match` in this file.

use std::io;

use super::member::Member;
use super::{gzip, zstd};
use crate::archive::error::{ArchiveError, damaged};
use crate::archive::format::MEMBER_BYTES;
use crate::compression::Compression;
use crate::store::ReadAt;

/// A compressed format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    Zstd,
}

impl Codec {
    /// Detects the codec from the first bytes; `None` if the file is not compressed, or uses a codec that we cannot
    /// read.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(&gzip::MAGIC) {
            Some(Self::Gzip)
        } else if zstd::is_start(head) {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// Returns the codec of new archives; `None` for a plain tar.
    pub(crate) fn for_new(compression: Compression) -> Option<Self> {
        match compression {
            Compression::Gzip(_) => Some(Self::Gzip),
            Compression::Zstd(_) => Some(Self::Zstd),
            Compression::None => None,
        }
    }

    /// Returns whether a file that starts like this claims to consist of members as we write them. What is around their
    /// contents has no checksum.
    pub(crate) fn claims_members(self, head: &[u8]) -> bool {
        match self {
            Self::Gzip => gzip::has_extra_field(head),
            Self::Zstd => zstd::starts_with_raw_block(head),
        }
    }

    /// Returns the size of a member that holds this many bytes uncompressed.
    pub(crate) fn stored_bytes(self, input: usize) -> usize {
        match self {
            Self::Gzip => gzip::stored_bytes(input),
            Self::Zstd => zstd::stored_bytes(input),
        }
    }

    /// Appends one member that stores `input` uncompressed, so that its size depends only on the size of `input`.
    pub(crate) fn append_stored(self, input: &[u8], output: &mut Vec<u8>) {
        match self {
            Self::Gzip => gzip::append_stored(input, output),
            Self::Zstd => zstd::append_stored(input, output),
        }
    }

    /// Returns the size of a stored member, and the part of its contents that is in `head`; `None` if it is not stored
    /// the way we do it.
    pub(crate) fn stored_start(self, head: &[u8]) -> Option<(u32, &[u8])> {
        match self {
            Self::Gzip => Some((gzip::size_in_header(head.first_chunk()?)?, gzip::first_stored_block(head)?)),
            Self::Zstd => zstd::stored_start(head),
        }
    }

    /// Unpacks a stored member. Returns `None` if it is not exactly what [`append_stored`](Self::append_stored) writes
    /// for `bytes` bytes. Fails if its checksum is wrong.
    pub(crate) fn stored_contents(self, member: &[u8], bytes: usize) -> Result<Option<Vec<u8>>, ArchiveError> {
        match self {
            Self::Gzip => gzip::stored_contents(member, bytes).transpose().map_err(damaged),
            Self::Zstd => zstd::stored_contents(member, bytes).transpose().map_err(damaged),
        }
    }

    /// Returns how many bytes show whether a member may start there.
    pub(crate) fn header_bytes(self) -> usize {
        match self {
            Self::Gzip => gzip::HEADER_BYTES,
            Self::Zstd => zstd::LONGEST_HEADER,
        }
    }

    /// Returns whether bytes look like the header of a member of ours.
    pub(crate) fn is_header(self, bytes: &[u8]) -> bool {
        match self {
            Self::Gzip => bytes.first_chunk().and_then(gzip::size_in_header).is_some(),
            Self::Zstd => zstd::is_header(bytes),
        }
    }
}

/// Compresses data into members.
pub(crate) enum Encoder {
    Gzip(Box<gzip::Encoder>),
    Zstd(zstd::Encoder),
    /// A plain tar, which has no members.
    Plain,
}

impl Encoder {
    /// Fails only for lack of memory.
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip(level) => Self::Gzip(Box::new(gzip::Encoder::new(level))),
            Compression::Zstd(level) => Self::Zstd(zstd::Encoder::new(level)?),
            Compression::None => Self::Plain,
        })
    }

    /// Replaces `output` with the compressed form of `input`: members of at most [`MEMBER_BYTES`]. Fails only for lack
    /// of memory.
    pub(crate) fn pack(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        output.clear();
        match self {
            Self::Gzip(encoder) => input.chunks(MEMBER_BYTES).for_each(|block| encoder.append(block, output)),
            Self::Zstd(encoder) => input.chunks(MEMBER_BYTES).try_for_each(|block| encoder.append(block, output))?,
            Self::Plain => output.extend_from_slice(input),
        }
        Ok(())
    }
}

/// Decompresses members.
pub(crate) enum Decoder {
    Gzip(gzip::Decoder),
    Zstd(zstd::Decoder),
}

impl Decoder {
    /// Fails only for lack of memory.
    pub(crate) fn new(codec: Codec) -> io::Result<Self> {
        Ok(match codec {
            Codec::Gzip => Self::Gzip(gzip::Decoder::new()),
            Codec::Zstd => Self::Zstd(zstd::Decoder::new()?),
        })
    }

    /// Decompresses a member into `output`, which it must fill exactly, and compares its checksum.
    pub(crate) fn open(&mut self, member: &[u8], output: &mut [u8]) -> Result<(), ArchiveError> {
        match self {
            Self::Gzip(decoder) => decoder.open(member, output).map_err(damaged),
            Self::Zstd(decoder) => decoder.open(member, output).map_err(damaged),
        }
    }
}

/// Collects what a file says about its members after the last one.
pub(crate) enum Index {
    /// Each member records its own size.
    None,
    Zstd(zstd::TableWriter),
}

impl Index {
    pub(crate) fn new(codec: Option<Codec>) -> Self {
        match codec {
            Some(Codec::Zstd) => Self::Zstd(zstd::TableWriter::default()),
            Some(Codec::Gzip) | None => Self::None,
        }
    }

    /// Adds the next member by its sizes.
    pub(crate) fn add(&mut self, packed: usize, unpacked: usize) {
        match self {
            Self::None => {}
            Self::Zstd(table) => table.add(packed, unpacked),
        }
    }

    /// Returns the bytes that end the file.
    pub(crate) fn finish(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Zstd(table) => table.finish(),
        }
    }
}

/// Walks the members of a file without reading their contents.
pub(crate) struct Members<'a> {
    walk: Walk,
    source: &'a dyn ReadAt,
    at: u64,
    /// The member that was peeked at and not taken yet.
    peeked: Option<Member>,
}

/// Where the sizes of members come from.
enum Walk {
    /// The header of each member.
    Gzip,
    Table(zstd::Table),
    /// The blocks of each frame.
    Frames,
}

impl<'a> Members<'a> {
    /// Starts at the end of the first member. Fails if the file says nothing consistent about its members.
    pub(crate) fn after_first(codec: Codec, source: &'a dyn ReadAt, second: u64) -> Result<Self, ArchiveError> {
        let walk = match codec {
            Codec::Gzip => Walk::Gzip,
            Codec::Zstd => Walk::Table(zstd::Table::open(source, second)?),
        };
        Ok(Self { walk, source, at: second, peeked: None })
    }

    /// Starts at an offset where a member may start, and relies on the members alone.
    pub(crate) fn from(codec: Codec, source: &'a dyn ReadAt, at: u64) -> Self {
        let walk = match codec {
            Codec::Gzip => Walk::Gzip,
            Codec::Zstd => Walk::Frames,
        };
        Self { walk, source, at, peeked: None }
    }

    /// Returns whether the sizes come from an index, not from the members.
    pub(crate) fn has_index(&self) -> bool {
        matches!(self.walk, Walk::Table(_))
    }

    /// Returns where the next member starts.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Moves ahead to a gzip member of this uncompressed size that is said to start at an offset, and returns whether
    /// one does. An index makes that superfluous: no member is read to pass it.
    pub(crate) fn jump(&mut self, to: u64, unpacked: usize) -> bool {
        if !matches!(self.walk, Walk::Gzip) || !(self.at..self.source.bytes()).contains(&to) {
            return false;
        }
        // Without a member there, and if it cannot be read, nothing is skipped.
        let there = Self { walk: Walk::Gzip, source: self.source, at: to, peeked: None }.peek();
        let lands = there.is_ok_and(|member| member.is_some_and(|member| member.unpacked as usize == unpacked));
        if lands {
            (self.at, self.peeked) = (to, None);
        }
        lands
    }

    /// Returns the next member without taking it; `None` at the exact end of the members.
    pub(crate) fn peek(&mut self) -> Result<Option<Member>, ArchiveError> {
        if self.peeked.is_none() {
            self.peeked = match &mut self.walk {
                Walk::Gzip => gzip::member_at(self.source, self.at)?,
                Walk::Table(table) => table.next(self.source, self.at)?,
                Walk::Frames => zstd::frame_at(self.source, self.at)?,
            };
        }
        Ok(self.peeked)
    }

    /// Takes the next member; `None` at the exact end of the members.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let member = self.peek()?;
        self.peeked = None;
        self.at = member.map_or(self.at, |member| member.end());
        Ok(member)
    }
}
