//! Copies of archives in further stores: what each lacks, and how one archive gets there.
//!
//! A copy is the same file, byte for byte. It is proven twice: the source is read to its end before anything is sent,
//! and the copy is opened where it arrived. Nothing there is ever replaced.

mod copier;
mod missing;
mod sent;

pub use copier::{Copied, Copier, NotCopied};
pub use missing::{Known, awaited, is_same, missing};
