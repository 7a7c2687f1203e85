//! Reports of operations: owned values without references to a store or a database. The JSON of a command is
//! such a value.

pub mod archives;
pub mod backup;
pub mod config;
pub mod copies;
pub mod error;
pub mod guard;
pub mod health;
pub mod key;
pub mod log;
pub mod notice;
pub mod quantity;
pub mod restore;
pub mod retain;
pub mod schedule;
pub mod server;
pub mod status;
pub mod store;

use chrono::{DateTime, Utc};
use serde::Serializer;

use crate::metadata::rfc3339;

/// Writes a time as RFC 3339 in UTC.
fn time<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

/// Writes a time that may be missing.
fn time_or_null<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}
