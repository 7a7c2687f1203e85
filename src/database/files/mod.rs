//! Finds the files of a database, and opens them only if that is safe.

pub(super) mod access;
pub(super) mod claim;
pub(super) mod source_file;
