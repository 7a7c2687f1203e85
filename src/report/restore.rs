//! What a restore, an undo and their plans report.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::time;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::schema_diff::Difference;

/// The outcome of a restore.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Restore {
    /// Nothing had to be done; no archive was searched or found.
    Skipped(Skipped),
    /// A dry run: the plan.
    Planned(Planned),
    /// Every target already held the archive's contents.
    Unchanged(Unchanged),
    /// Databases were restored.
    Restored(Box<Restored>),
}

/// How a restore ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All targets exist.
    SkippedExists,
    /// There is no backup yet.
    SkippedNoBackup,
    /// The key of the store is not set, so it is unknown whether there is a backup.
    SkippedNoKey,
    /// Nothing had to be changed.
    Unchanged,
    /// It was done.
    Restored,
}

/// A restore that had nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Why.
    pub outcome: Outcome,
    /// Always null.
    pub archive: Option<String>,
    /// Always empty.
    pub databases: Vec<Name>,
    /// Always null.
    pub undo: Option<String>,
    /// What a person must know about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Skipped {
    /// Makes one.
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, archive: None, databases: Vec::new(), undo: None, warning: None }
    }
}

/// The restores of the sets of a pattern.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Many {
    /// The document of each one that did not fail.
    pub restored: Vec<serde_json::Value>,
    /// The sets that failed, or were restored with problems.
    pub failed: Vec<Name>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// Always true.
    pub dry_run: bool,
    /// The archive.
    pub archive: String,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// What would be restored.
    pub databases: Vec<Step>,
    /// Existing targets that would be kept.
    pub skipped: Vec<Target>,
    /// The restore that would be undone.
    pub undo_of: Option<String>,
    /// What would be moved aside.
    pub removals: Vec<Target>,
}

/// A restore that changed nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unchanged {
    /// [`Outcome::Unchanged`].
    pub outcome: Outcome,
    /// The archive.
    pub archive: String,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// The set.
    pub set: Name,
    /// What the targets hold.
    pub databases: Vec<Step>,
    /// Existing targets that were kept.
    pub skipped: Vec<Target>,
    /// Always null.
    pub safety_backup: Option<ArchiveName>,
    /// Always null.
    pub undo: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A restore that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restored {
    /// [`Outcome::Restored`].
    pub outcome: Outcome,
    /// The archive.
    pub archive: String,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// The set.
    pub set: Name,
    /// The label of its host.
    pub host: HostLabel,
    /// Databases that have no backup yet.
    pub no_backup_yet: Vec<Name>,
    /// Databases of which an archive exists that could not be chosen.
    pub not_restored: Vec<Name>,
    /// What was restored.
    pub databases: Vec<RestoredDatabase>,
    /// Existing targets that were kept.
    pub skipped: Vec<Target>,
    /// The safety backup.
    pub safety_backup: Option<ArchiveName>,
    /// Why the safety backup is not in the store yet.
    pub pending: Option<String>,
    /// Databases moved aside: they did not exist before the undone restore.
    pub removed: Vec<Removed>,
    /// The restore that was undone.
    pub undo_of: Option<String>,
    /// How to undo it, in the interface's words.
    pub undo: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A database of a plan and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: Name,
    /// The file that is written.
    pub target: String,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its rows.
    pub rows: Option<u64>,
    /// How it is written.
    pub method: Method,
    /// The rows of what it replaces.
    pub rows_before: Option<u64>,
    /// The pages that become zeros.
    pub unreadable_pages: Option<Vec<Pages>>,
    /// Why it is damaged.
    pub damage: Option<String>,
    /// What changes in the schema.
    pub schema: Option<Difference>,
    /// Who has the target open.
    pub in_use_by: Vec<Process>,
}

/// A database that was restored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestoredDatabase {
    /// Its name.
    pub name: Name,
    /// The file that was written.
    pub target: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: Option<u64>,
    /// What shows that it is sound.
    pub proof: Proof,
    /// Whether something was there.
    pub replaced: bool,
    /// The rows of what it replaced.
    pub rows_before: Option<u64>,
    /// How it was written.
    pub method: Method,
    /// Its journal mode now, if it was replaced through SQLite.
    pub journal_mode: Option<&'static str>,
    /// What changed in the schema.
    pub schema: Option<Difference>,
    /// Who has it open.
    pub in_use_by: Vec<Process>,
    /// The folder that holds what was moved aside.
    pub set_aside: Option<String>,
    /// The pages that became zeros.
    pub unreadable_pages: Option<Vec<Pages>>,
}

/// What shows that a restored database is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// It holds the bytes that passed a check when they were saved.
    Digest,
    /// A complete check found no damage.
    IntegrityCheck,
    /// A quick check found no damage.
    QuickCheck,
    /// Nothing: it was not checked, or it is damaged.
    None,
}

/// How a database is written to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A new file is created.
    Created,
    /// A live database is replaced through SQLite.
    Replaced,
    /// The file is replaced, after proof that nobody has it open.
    ReplacedOffline,
    /// The target is not a database: it is moved aside and replaced by a new file.
    SetAside,
}

/// A database and a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its name.
    pub name: Name,
    /// Its path.
    pub target: String,
}

/// A database that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Its name.
    pub name: Name,
    /// Where it was.
    pub target: String,
    /// The folder that holds it.
    pub set_aside: String,
}

/// A range of pages, written as `[257, 512]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Serialize for Pages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.first, self.last].serialize(serializer)
    }
}

/// A process that has a database open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}
