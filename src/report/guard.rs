//! What `guard` reports.

use serde::Serialize;

use crate::names::{ArchiveName, Name};

/// The outcome of a guarded command and the state of its databases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Guarded {
    /// `succeeded` or `failed`.
    pub outcome: Outcome,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Its exit code, if it ended by itself.
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<u8>,
    /// Whether it was ended by the timeout.
    pub timed_out: bool,
    /// How long it took.
    pub seconds: f64,
    /// Problems other than the command's own failure.
    pub findings: Vec<String>,
    /// The store.
    pub store: String,
    /// The archives to roll back to.
    pub backups: Vec<Before>,
    /// The databases, as the command left them.
    pub databases: Vec<Database>,
    /// The outcome of the rollback.
    pub rollback: Rollback,
    /// What the command left in databases that were rolled back.
    pub safety_backups: Vec<ArchiveName>,
    /// What a person should know about the rollback.
    pub warnings: Vec<String>,
    /// How to roll back by hand, in the interface's words.
    pub restore_command: String,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command succeeded and everything is healthy.
    Succeeded,
    /// It failed, or something is not healthy.
    Failed,
}

/// The outcome of the rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// Nothing failed.
    NotNeeded,
    /// The databases did not change.
    NothingChanged,
    /// It was declined.
    NotWanted,
    /// It was done.
    Done,
}

/// The archive of a set to roll back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Before {
    /// The set.
    pub set: Name,
    /// The archive.
    pub archive: ArchiveName,
    /// Whether this run made it.
    pub made: bool,
}

/// A database, as the command left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Database {
    /// The set.
    pub set: Name,
    /// Its name.
    pub name: Name,
    /// Its path.
    pub path: String,
    /// How it compares with before.
    pub state: State,
}

/// How a database compares with before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It did not change.
    Same,
    /// It is sound and changed.
    Changed,
    /// It is no longer a sound database.
    Damaged,
    /// It no longer exists.
    Gone,
}
