//! What `health` reports: checks with their state, and what to do about them.

use std::fmt;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

use super::quantity::{Measure, Quantity};
use crate::failure::Remedy;
use crate::names::{ArchiveName, Name, printable};

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing to do.
    Ok,
    /// Needs attention.
    Warning,
    /// Data is lost, or would be if something broke now.
    Critical,
}

impl State {
    /// Returns the word that JSON uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a check is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The store and its surroundings.
    Store,
    /// The backups of a set.
    Set(Name),
    /// The copies in a further store.
    Copy(Name),
    /// A database of a set.
    Database {
        /// The set.
        set: Name,
        /// Its name.
        name: Name,
        /// Its path, if another database of the same name and set is checked too.
        path: Option<String>,
    },
}

impl Subject {
    /// Returns the set, where it is about one.
    pub fn set(&self) -> Option<&Name> {
        match self {
            Self::Store | Self::Copy(_) => None,
            Self::Set(set) | Self::Database { set, .. } => Some(set),
        }
    }

    /// Returns the database, where it is about one.
    pub fn database(&self) -> Option<&Name> {
        match self {
            Self::Store | Self::Set(_) | Self::Copy(_) => None,
            Self::Database { name, .. } => Some(name),
        }
    }

    /// Returns the path of the database, if its name does not say which one it is.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Database { path, .. } => path.as_deref(),
            Self::Store | Self::Set(_) | Self::Copy(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.pad("store"),
            Self::Copy(copy) => f.pad(&format!("copy {copy}")),
            Self::Set(set) => f.pad(&format!("set {set}")),
            Self::Database { set, name, path } => {
                let front = if set == name { String::new() } else { format!("{set}/") };
                let path = path.as_ref().map(|path| format!(" ({})", printable(path))).unwrap_or_default();
                f.pad(&format!("database {front}{name}{path}"))
            }
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What was checked, as named in JSON and metrics: `backup_age`.
    pub name: &'static str,
    /// Its subject.
    pub subject: Subject,
    /// Its state.
    pub state: State,
    /// What was found, for people. It may contain text from files: print it through [`printable`].
    pub value: String,
    /// The same in numbers, for machines.
    pub measures: Vec<Measure>,
    /// What to do.
    pub remedy: Option<Advice>,
    /// The same in the words of a face; `None` until [`Report::word`] was called.
    pub advice: Option<String>,
}

impl Check {
    pub(crate) fn new(name: &'static str, subject: &Subject, state: State, value: impl Into<String>) -> Self {
        Self {
            name,
            subject: subject.clone(),
            state,
            value: value.into(),
            measures: Vec::new(),
            remedy: None,
            advice: None,
        }
    }

    pub(crate) fn ok(name: &'static str, subject: &Subject, value: impl Into<String>) -> Self {
        Self::new(name, subject, State::Ok, value)
    }

    pub(crate) fn advise(mut self, remedy: impl Into<Advice>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn measure(mut self, quantity: Quantity, value: f64) -> Self {
        self.measures.push(Measure { quantity, value, warning: None, critical: None });
        self
    }

    pub(crate) fn measure_within(mut self, quantity: Quantity, value: f64, warning: f64, critical: f64) -> Self {
        self.measures.push(Measure { quantity, value, warning: Some(warning), critical: Some(critical) });
        self
    }
}

/// All checks of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The store.
    pub store: String,
    /// The checks: databases, backups, store.
    pub checks: Vec<Check>,
}

impl Report {
    /// Returns the worst state of all checks.
    pub fn state(&self) -> State {
        self.checks.iter().map(|check| check.state).max().unwrap_or(State::Ok)
    }

    /// Words the advice of each check.
    pub fn word(&mut self, words: &dyn Fn(&Advice) -> String) {
        for check in &mut self.checks {
            check.advice = check.remedy.as_ref().map(words);
        }
    }
}

/// What to do about a check. Each interface words it in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// A fixed sentence without an option or a command of ours, the same in every interface.
    Words(String),
    /// What can be done about an error.
    Remedy(Remedy),
    /// Several, one for each thing that was found.
    All(Vec<Advice>),

    /// The database does not exist: restore it, or name the right path.
    RestoreMissing,
    /// The database cannot be used; restore the newest backup. Another remedy, if any, comes first.
    RestoreUnusable(Option<Remedy>),
    /// The database cannot be read completely: check the disk, restore to another one.
    RestoreToOtherDisk,
    /// The database is damaged: copy it away, then restore the newest good backup, if there is one.
    CopyAwayAndRestore {
        /// The newest good backup.
        newest: Option<ArchiveName>,
    },
    /// No copy could be checked: skip the check; a backup checks too.
    LeaveCheckOut,
    /// Indexes must be rebuilt; a restore can do it.
    RebuildIndexes,
    /// The newest backup holds data that is gone: pin it, if the loss is unexpected.
    PinLatest {
        /// The archive.
        archive: ArchiveName,
    },
    /// The newest backup holds less than before: pin the previous one, if this is unexpected.
    PinBeforeLoss {
        /// The newest archive with the lost data.
        archive: ArchiveName,
    },
    /// The newest backup is a shrink: accept it, if it is expected.
    AcceptShrink {
        /// The archive.
        archive: ArchiveName,
    },

    /// The set has no backup: make one, or leave the set out.
    FirstBackupOfSet,
    /// All backups are damaged: make a new one.
    BackUpNow,
    /// A database is in none of the backups.
    BackUpDatabase,
    /// The newest backup is too old: see why none was made, and make one.
    BackUpLate,
    /// The newest backup is damaged: make a new one, and check the disk.
    BackUpAndLookAtDisk,
    /// Older backups are damaged: verify them again and remove damaged ones.
    RemoveDamaged,
    /// Older files are archives no more: no command removes them.
    RemoveUnreadable,
    /// No archive was verified for a long time.
    Verify,
    /// No key was tried for a long time.
    TryKey,
    /// Encrypted archives are kept because nothing vouches for their labels.
    ProveLabels,
    /// The digests of encrypted archives are missing.
    VerifyWithKey,

    /// There is nothing to watch: make the first backup, or name a database.
    FirstBackup,
    /// The store does not exist.
    MountStore,
    /// The remote store does not answer as one.
    ReachStore,
    /// The disk of the store is nearly full.
    MakeRoom,
    /// Archives of other hosts are checked there.
    RunThere,
    /// A database that is gone still has removable archives.
    RemoveGone {
        /// The set.
        set: Name,
        /// What removes them.
        by: Remover,
    },
    /// A database still exists but is no longer backed up.
    BackUpStale {
        /// Its path.
        path: PathBuf,
        /// The set.
        set: Name,
    },
    /// A further store lacks archives.
    CopyMissing,
    /// A further store has damaged archives.
    CopyDamaged(Name),
    /// Safety backups are pending.
    SendPending,
    /// Files that look like archives cannot be read.
    ListAndVerify,
    /// A restore was interrupted: undo it, or restore again.
    UndoOrRestore,
    /// The last backup failed: see the log.
    SeeFailures,
}

/// What removes the archives of a database that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remover {
    /// The rules decide about the other databases in them.
    Rotate,
    /// They hold nothing else.
    Cleanup,
}

impl From<String> for Advice {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

impl From<&str> for Advice {
    fn from(words: &str) -> Self {
        Self::Words(words.to_owned())
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Report", 4)?;
        document.serialize_field("state", self.state().as_str())?;
        document.serialize_field("at", &crate::metadata::rfc3339(self.at))?;
        document.serialize_field("store", &self.store)?;
        document.serialize_field("checks", &self.checks)?;
        document.end()
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Check", 8)?;
        document.serialize_field("check", self.name)?;
        document.serialize_field("set", &self.subject.set())?;
        document.serialize_field("database", &self.subject.database())?;
        document.serialize_field("path", &self.subject.path())?;
        document.serialize_field("state", self.state.as_str())?;
        document.serialize_field("value", &self.value)?;
        document.serialize_field("measures", &Measures(&self.measures))?;
        document.serialize_field("advice", &self.advice)?;
        document.end()
    }
}

/// Numbers by quantity name.
struct Measures<'a>(&'a [Measure]);

impl Serialize for Measures<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for measure in self.0 {
            map.serialize_entry(measure.quantity.name, measure)?;
        }
        map.end()
    }
}
