//! Tar files: their headers, and a strict reader for any of them.

pub(crate) mod tar_header;
pub(crate) mod tar_stream;
