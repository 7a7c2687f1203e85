//! Archives: format 1, which we write, and what older tools left behind, which we read.
//!
//! The only place that compresses. `man/heirloom-archive.5` is the description for people; [`mod@format`] holds its
//! numbers. Reading treats every byte as hostile: nothing is allocated by a claimed size, nothing is written under
//! a name taken from an archive, and an archive is only called good after all of it was read.

mod codec;
mod error;
pub mod format;
mod format1;
mod other_tools;
mod pipeline;
mod positional_write;
mod reader;
mod tar_file;

pub use error::ArchiveError;
pub use format1::salvage::Unreadable;
pub use format1::writer::{Compression, Finished, WriteOptions, Writer, metadata_room};
pub use other_tools::legacy::set_in_name;
pub use reader::{Archive, ReadDatabase, ReadThrough};
