//! Finds other processes that use the files of a database.

pub(super) mod holders;
pub(super) mod unlinked;
