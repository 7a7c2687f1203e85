//! What `guard` reports.

use serde::Serialize;

use crate::names::{ArchiveName, Name};

/// What became of a guarded command, and of the databases.
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
    /// Whether it was ended because its time was up.
    pub timed_out: bool,
    /// How long it took.
    pub seconds: f64,
    /// Problems other than the command's own failure.
    pub findings: Vec<String>,
    /// The store.
    pub store: String,
    /// The archives to go back to.
    pub backups: Vec<Before>,
    /// The databases, as the command left them.
    pub databases: Vec<Database>,
    /// What became of the rollback.
    pub rollback: Rollback,
    /// What the command left in databases that were rolled back.
    pub safety_backups: Vec<ArchiveName>,
    /// What a person should know about the rollback.
    pub warnings: Vec<String>,
    /// How to go back by hand, in the words of the face.
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

/// What became of the rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// Nothing failed.
    NotNeeded,
    /// The databases hold what they held before.
    NothingChanged,
    /// It was not wanted.
    NotWanted,
    /// It was done.
    Done,
}

/// The archive of a set to go back to.
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
    /// It holds what it held before.
    Same,
    /// It is sound and holds something else.
    Changed,
    /// It is no sound database any more.
    Damaged,
    /// It is not there any more.
    Gone,
}
