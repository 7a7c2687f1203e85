//! Reads the contents of a database: header fields, schema, rows.

pub(super) mod facts;
pub(super) mod live_stats;
pub(super) mod schema;
