//! Archives: format 1, which we write, and what older tools left behind, which we read.
//!
//! The only place that compresses. `man/heirloom-archive.5` is the description for people; [`mod@format`] holds its
//! numbers. Reading treats every byte as hostile: nothing is allocated by a claimed size, nothing is written under
//! a name taken from an archive, and an archive is only called good after all of it was read.

mod described;
mod entry;
mod error;
pub mod format;
mod legacy;
mod member;
mod members;
mod output;
mod pipeline;
mod plain;
mod reader;
mod salvage;
mod stream;
mod writer;

pub use error::ArchiveError;
pub use legacy::set_in_name;
pub use reader::{Archive, ReadDatabase, ReadThrough};
pub use salvage::Unreadable;
pub use writer::{Compression, Finished, WriteOptions, Writer, metadata_room};
