//! What is reported about an error.

use serde::Serialize;

/// The one document about an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorDocument {
    /// The error.
    pub error: ErrorReport,
}

/// An error with its meaning, in the interface's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorReport {
    /// The exit code.
    pub code: u8,
    /// The word for it.
    pub kind: &'static str,
    /// What happened, to what, and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}
