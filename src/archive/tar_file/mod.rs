//! Tar files: their headers, and a strict reading of any of them from front to back.

pub(crate) mod tar_header;
pub(crate) mod tar_stream;
