//! Replaces databases.

pub(super) mod live_database;
pub(super) mod lock_wait;
pub(super) mod overwrite;
pub(super) mod replace_file;
pub(super) mod target;
mod target_connection;
