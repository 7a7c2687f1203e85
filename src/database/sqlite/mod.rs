//! What all calls into SQLite share: connections, transactions, interruption, names.

pub(super) mod connection;
pub(super) mod interrupt;
pub(super) mod names;
pub(super) mod paged_copy;
pub(super) mod transaction;
