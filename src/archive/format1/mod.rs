//! Archive format 1, as we write it.

pub(crate) mod member_reader;
pub(crate) mod metadata_reader;
pub(crate) mod salvage;
pub(crate) mod writer;
