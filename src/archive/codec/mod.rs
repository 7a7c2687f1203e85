//! How the bytes of a tar become those of a file, and back.
//!
//! A *member* is a piece that is compressed, read and checked on its own. The tar, the digests and the checks know
//! members only; which codec made them is decided here, and what is particular to one codec stands in its file.

pub(crate) mod byte_stream;
mod codecs;
mod forward;
mod gzip;
mod member;

pub use codecs::Compression;
pub(crate) use codecs::{Codec, Decoder, Encoder, Members};
pub(crate) use member::Member;
