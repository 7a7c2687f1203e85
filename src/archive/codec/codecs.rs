//! The codecs. Everything that depends on the codec is a `match` in this file.

use super::gzip;
use super::member::Member;
use crate::archive::error::{ArchiveError, damaged};
use crate::archive::format::MEMBER_BYTES;
use crate::store::ReadAt;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip members at libdeflate level 1 to 12: `.tar.gz`.
    Gzip(u8),
    /// A plain tar: `.tar`.
    None,
}

impl Compression {
    /// Returns the extension of an automatic name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Gzip(_) => ".tar.gz",
            Self::None => ".tar",
        }
    }

    /// Returns the codec; `None` for a plain tar.
    pub(crate) fn codec(self) -> Option<Codec> {
        match self {
            Self::Gzip(_) => Some(Codec::Gzip),
            Self::None => None,
        }
    }
}

/// A compressed format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
}

impl Codec {
    /// Detects the codec from the first bytes; `None` if the file is not compressed, or uses a codec that we cannot
    /// read.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        head.starts_with(&gzip::MAGIC).then_some(Self::Gzip)
    }

    /// Returns whether a file that starts like this claims to consist of members that record their sizes, as ours do.
    pub(crate) fn has_sizes(self, head: &[u8]) -> bool {
        match self {
            Self::Gzip => gzip::has_extra_field(head),
        }
    }

    /// Returns the size of a member that holds this many bytes uncompressed.
    pub(crate) fn stored_bytes(self, input: usize) -> usize {
        match self {
            Self::Gzip => gzip::stored_bytes(input),
        }
    }

    /// Appends one member that stores `input` uncompressed, so that its size depends only on the size of `input`.
    pub(crate) fn append_stored(self, input: &[u8], output: &mut Vec<u8>) {
        match self {
            Self::Gzip => gzip::append_stored(input, output),
        }
    }

    /// Returns the size of a stored member, and the part of its contents that is in `head`; `None` if it is not stored
    /// the way we do it.
    pub(crate) fn stored_start(self, head: &[u8]) -> Option<(u32, &[u8])> {
        match self {
            Self::Gzip => Some((gzip::size_in_header(head.first_chunk()?)?, gzip::first_stored_block(head)?)),
        }
    }

    /// Unpacks a stored member. Returns `None` if it is not exactly what [`append_stored`](Self::append_stored) writes
    /// for `bytes` bytes. Fails if its checksum is wrong.
    pub(crate) fn stored_contents(self, member: &[u8], bytes: usize) -> Result<Option<Vec<u8>>, ArchiveError> {
        match self {
            Self::Gzip => gzip::stored_contents(member, bytes).transpose().map_err(damaged),
        }
    }

    /// Returns the size of a member header.
    pub(crate) fn header_bytes(self) -> usize {
        match self {
            Self::Gzip => gzip::HEADER_BYTES,
        }
    }

    /// Returns the size of the member whose header starts `bytes`; `None` if it is not a header of ours.
    pub(crate) fn size_in_header(self, bytes: &[u8]) -> Option<u32> {
        match self {
            Self::Gzip => bytes.first_chunk().and_then(gzip::size_in_header),
        }
    }
}

/// Compresses data into members.
pub(crate) enum Encoder {
    Gzip(Box<gzip::Encoder>),
    /// A plain tar, which has no members.
    Plain,
}

impl Encoder {
    pub(crate) fn new(compression: Compression) -> Self {
        match compression {
            Compression::Gzip(level) => Self::Gzip(Box::new(gzip::Encoder::new(level))),
            Compression::None => Self::Plain,
        }
    }

    /// Replaces `output` with the compressed form of `input`: members of at most [`MEMBER_BYTES`].
    pub(crate) fn pack(&mut self, input: &[u8], output: &mut Vec<u8>) {
        output.clear();
        match self {
            Self::Gzip(encoder) => input.chunks(MEMBER_BYTES).for_each(|block| encoder.append(block, output)),
            Self::Plain => output.extend_from_slice(input),
        }
    }
}

/// Decompresses members.
pub(crate) enum Decoder {
    Gzip(gzip::Decoder),
}

impl Decoder {
    pub(crate) fn new(codec: Codec) -> Self {
        match codec {
            Codec::Gzip => Self::Gzip(gzip::Decoder::new()),
        }
    }

    /// Decompresses a member into `output`, which it must fill exactly, and compares its checksum.
    pub(crate) fn open(&mut self, member: &[u8], output: &mut [u8]) -> Result<(), ArchiveError> {
        match self {
            Self::Gzip(decoder) => decoder.open(member, output).map_err(damaged),
        }
    }
}

/// Walks the members of a file without reading their contents.
pub(crate) struct Members<'a> {
    codec: Codec,
    source: &'a dyn ReadAt,
    at: u64,
    /// The member that was peeked at and not taken yet.
    peeked: Option<Member>,
}

impl<'a> Members<'a> {
    /// Starts at an offset where a member should start.
    pub(crate) fn new(codec: Codec, source: &'a dyn ReadAt, at: u64) -> Self {
        Self { codec, source, at, peeked: None }
    }

    /// Returns where the next member starts.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Returns the next member without taking it; `None` at the exact end of the file.
    pub(crate) fn peek(&mut self) -> Result<Option<Member>, ArchiveError> {
        if self.peeked.is_none() {
            self.peeked = match self.codec {
                Codec::Gzip => gzip::member_at(self.source, self.at)?,
            };
        }
        Ok(self.peeked)
    }

    /// Takes the next member; `None` at the exact end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let member = self.peek()?;
        self.peeked = None;
        self.at = member.map_or(self.at, |member| member.end());
        Ok(member)
    }
}
