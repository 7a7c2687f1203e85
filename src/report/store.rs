//! What is reported about what a store can do.

use serde::Serialize;

/// What `store check` reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The store.
    pub store: String,
    /// What was tried.
    pub checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about.
    pub check: &'static str,
    /// Its state.
    pub state: State,
    /// What came out.
    pub result: String,
}

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Something is weaker than it could be.
    Warning,
    /// Something that is needed does not work.
    Error,
}
