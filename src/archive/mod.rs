//! Archives: format 1, which we write, and those of older tools, which we only read.
//!
//! The only module that compresses and encrypts. `man/heirloom-archive.5` documents the format; [`mod@format`] has its
//! constants.
//! Reading treats every byte as hostile: nothing is allocated by a claimed size, nothing is written under a name taken
//! from an archive, and an archive is only called good after all of it was read.
//!
//! | what | where |
//! |---|---|
//! | what is this file? | [`Opener`] |
//! | read its databases | [`Archive`] |
//! | write one | [`Writer`], into a [`Sink`] |
//! | encryption | [`cipher`] |
//! | the gzip format | `codec/gzip.rs`; a new codec needs a file beside it, and an arm in each `match` of `codecs.rs` |
//! | the most that a reader accepts | [`limits`] |

pub mod cipher;
mod codec;
mod error;
pub mod format;
mod format1;
pub mod limits;
mod locked;
mod opener;
mod other_tools;
mod pipeline;
mod positional_write;
mod read_ahead;
mod reader;
mod sink;
mod stream_reader;
mod tar_file;
mod wanted;

pub use cipher::Keys;
pub use error::ArchiveError;
pub use format1::metadata_room::metadata_room;
pub use format1::salvage::Unreadable;
pub use format1::writer::{Added, Finished, WriteOptions, Writer};
pub use locked::{Envelope, Locked};
pub use opener::Opener;
pub use other_tools::file_label::set_in_name;
pub use reader::Archive;
pub use sink::{FileSink, Sink};
pub use wanted::{ReadDatabase, ReadThrough};
