//! Converts between the bytes of a tar and those of a compressed file.
//!
//! A *member* is a piece that is compressed, read and checked on its own. The tar, the digests and the checks only deal
//! with members. This module decides which codec made them; everything specific to one codec is in its own file.

pub(crate) mod byte_stream;
mod codecs;
mod forward;
mod gzip;
mod member;
mod zstd;

pub(crate) use codecs::{Codec, Decoder, Encoder, Index, Members};
pub(crate) use forward::SourceFailed;
pub(crate) use member::Member;
