//! Decides whether a private copy is sound.

pub(super) mod findings;
pub(super) mod indexes;
pub(super) mod integrity;
mod page_use;
pub(super) mod parallel_check;
mod sql_text;
