//! Archive format 1 as we write it: one member for the metadata, followed by members for the databases.

pub(crate) mod member_reader;
pub(crate) mod metadata_reader;
pub(crate) mod metadata_room;
pub(crate) mod salvage;
pub(crate) mod writer;
