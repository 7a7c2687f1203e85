//! What `log` reports, and what is written into the log.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::time;

/// What was done when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Log {
    /// The store.
    pub store: String,
    /// What was done, newest first.
    pub activities: Vec<Activity>,
}

/// One operation that changed or checked something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Activity {
    /// When it began.
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// The command: `backup`, `verify` …
    pub command: String,
    /// The kind of the archive that it made.
    pub kind: Option<String>,
    /// `done`, `problems`, `found`, `declined` (at a prompt) or `failed`.
    pub outcome: String,
    /// The exit code.
    pub exit_code: u8,
    /// The set it was about.
    pub set: Option<String>,
    /// The archive it made, checked, restored or removed.
    pub archive: Option<String>,
    /// The size of that archive.
    pub bytes: Option<u64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Who ran it.
    pub user: String,
    /// Where it ran.
    pub host: String,
}
