//! What `serve token` reports.

use serde::Serialize;

/// A new token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewToken {
    /// Its name, for the log.
    pub name: String,
    /// What it may do.
    pub role: &'static str,
    /// The token: it is not shown again.
    pub token: String,
    /// Its digest, for the configuration.
    pub sha256: String,
}
