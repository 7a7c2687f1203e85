//! The public meaning of an error: its kind, its exit code, and its remedy.
//!
//! A remedy is a value. Each interface words it in its own way: the command line prints a command that can be pasted, a
//! page offers a button. No other layer names a flag. `ops/explain.rs` maps typed errors to kinds and remedies.

use std::fmt;
use std::path::PathBuf;

use crate::names::{Name, printable};
use crate::progress::Interrupted;

/// What went wrong. Each kind has a stable exit code and JSON word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Anything without a kind of its own.
    Failed,
    /// A wrong command line, request or configuration.
    Usage,
    /// There is no such database, or nothing in it.
    NoDatabase,
    /// Something is locked or busy: try again.
    Busy,
    /// There is no such backup.
    NoBackup,
    /// A database or an archive failed its check.
    Damaged,
    /// The target already exists.
    TargetExists,
    /// The target is in use, or is protected.
    TargetInUse,
    /// A disk is full.
    NoSpace,
    /// The store cannot be reached: try again.
    StoreUnreachable,
    /// A key is missing or wrong.
    KeyMissing,
    /// `guard` itself failed, whatever the cause.
    GuardFailed,
}

impl FailureKind {
    /// Returns the exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoDatabase => 10,
            Self::Busy => 11,
            Self::NoBackup => 12,
            Self::Damaged => 13,
            Self::TargetExists | Self::TargetInUse => 14,
            Self::NoSpace => 15,
            Self::StoreUnreachable => 16,
            Self::KeyMissing => 17,
            Self::GuardFailed => 125,
        }
    }

    /// Returns the word that JSON uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NoDatabase => "no_database",
            Self::Busy => "busy",
            Self::NoBackup => "no_backup",
            Self::Damaged => "damaged",
            Self::TargetExists => "target_exists",
            Self::TargetInUse => "target_in_use",
            Self::NoSpace => "no_space",
            Self::StoreUnreachable => "store_unreachable",
            Self::KeyMissing => "key_missing",
            Self::GuardFailed => "guard_failed",
        }
    }
}

/// What can be done about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A fixed sentence without an option or a command of ours, the same in every interface.
    Advice(String),

    /// The path of a database may be wrong, or its application was not started yet.
    CheckPath,
    /// The database is only a part of one: an interrupted copy, or a full disk.
    RestoreCutOff,
    /// The damage is in the `-wal`: keep both files, then restore.
    CopyAwayAndRestore,
    /// The database is damaged: restore it, or back it up as it is.
    RestoreOrKeepDamaged,
    /// Either the index or the table is wrong: compare with a backup, or run this command if the table is right.
    CompareOrRebuild {
        /// Settles it in favor of the table.
        rebuild: String,
    },

    /// Stop what uses the database and replace the file itself.
    ReplaceOffline,
    /// Run the restore as the user to whom the database belongs.
    RunAsOwner {
        /// The number of that user.
        owner: u32,
    },
    /// Run it where every process is visible, or confirm that no process has the database open.
    ProveUnused,

    /// It is encrypted: name the file with a secret key of one of its recipients.
    NameKey,
    /// It is plain in a store of encrypted archives: look at it, and name it.
    NamePlain {
        /// The archive.
        archive: String,
    },
    /// Decompressing it takes more memory than we use: decompress it, and name the decompressed file.
    Decompress,
    /// A newer release wrote it.
    UpdateHeirloom,
    /// See which archives there are.
    ListArchives,
    /// This archive is of no use: see which others there are.
    ChooseAnotherArchive {
        /// Whether to add that nothing was changed.
        unchanged: bool,
    },
    /// Choose another archive, or take this one although it is damaged.
    ChooseAnotherOrDamaged {
        /// Whether to add that nothing was changed.
        unchanged: bool,
    },
    /// One of these can be named instead.
    ChooseFrom(Vec<String>),
    /// One of these sets has to be named.
    ChooseSet(Vec<Name>),
    /// The beginning of a name fits all of these.
    TypeMore(Vec<String>),
    /// Only its full name gets this archive; verify it first, or choose another one.
    NameInFull {
        /// The archive.
        archive: String,
    },
    /// The archive could not be read: try again, or name another one in full.
    TryAgainOrNameInFull,

    /// Name the configuration file, if it can be trusted.
    NameConfiguration {
        /// The file.
        file: PathBuf,
    },
    /// Take an archive although a store that does not answer may have a newer one.
    AcceptOlder,
    /// Another store may be meant: this one holds no archives.
    NameAnotherStore,
    /// The store is not there: mount it, or name another one.
    MountOrNameStore,
    /// The disk of a known store is not mounted, or the folder is to become a new store.
    MountOrNewStore,
    /// A known remote store is another one or gone, or this is to become a new store.
    CheckUrlOrNewStore,
    /// The store's path is a file.
    NotAFolder {
        /// The file.
        file: PathBuf,
    },
    /// This user may not use the folder of the store.
    StoreRights {
        /// The folder.
        folder: String,
    },
    /// The store did not confirm an archive: see whether it has it.
    ListWhetherCommitted,
    /// An archive of this name exists: choose another one.
    ChooseAnotherName,

    /// The target of this database is unknown: name one.
    NameTarget(Box<Unplaced>),
    /// A database does not exist although an archive of it does: restore it.
    RestoreLost(Box<Unrestored>),
    /// One file was named for several databases: choose one, or name a folder.
    ChooseDatabaseOrFolder {
        /// The first of them.
        database: Name,
    },
    /// Several databases would be written to one file: restore them one at a time.
    RestoreOneByOne,
    /// The archive is itself the restore target.
    NameAnotherTarget,
    /// Something would be replaced: confirm it.
    ConfirmReplacing,
    /// The disk of a target has too little room.
    FreeTargetSpace {
        /// A folder on it.
        folder: String,
        /// How many bytes are missing.
        missing: u64,
    },
    /// A disk is full.
    FreeSpace,
    /// The safety backup cannot be kept: name another store, or go without.
    NameStoreOrNoSafety,
    /// The indexes cannot be rebuilt: restore without that.
    LeaveIndexes,
    /// It is no safety backup: restore it.
    RestoreIt {
        /// The archive, as it can be named again.
        archive: String,
    },
    /// The paths that a safety backup records are those of another host: confirm to use them here.
    UndoToOriginal {
        /// The archive, as it can be named again.
        archive: String,
    },
    /// The path of a database is not known: name the file.
    UndoToFile {
        /// The safety backup.
        archive: String,
        /// The database.
        database: Name,
    },
    /// No restore can be undone in this store.
    NothingToUndo,
    /// A setting uses a variable that is not set.
    SetVariableOrNameStore {
        /// The variable.
        variable: String,
    },
    /// There are more problems in the configuration.
    CheckConfiguration,
    /// The configuration file that was named is not there.
    WriteConfiguration {
        /// The file.
        file: PathBuf,
    },
    /// One job is about one set: name it.
    OneSetAtATime,
    /// No database was named, and none is configured.
    NameDatabase,
    /// Another run holds a lock.
    WaitAndTryAgain,
}

/// A database of an archive that has no known target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// The archive, as it can be named again.
    pub archive: String,
    /// The database.
    pub database: Name,
    /// A path that could be meant.
    pub example: String,
    /// Whether the archive records a path.
    pub recorded: bool,
}

/// A database that does not exist although an archive of it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrestored {
    /// The newest archive of it.
    pub archive: String,
    /// Its name in the archive.
    pub database: Name,
    /// Where it was.
    pub target: String,
}

impl From<String> for Remedy {
    fn from(advice: String) -> Self {
        Self::Advice(advice)
    }
}

impl From<&str> for Remedy {
    fn from(advice: &str) -> Self {
        Self::Advice(advice.to_owned())
    }
}

/// An error that carries its kind and remedy. Every other error is mapped to one.
///
/// As an error it is for cases that no caller branches on. As context it replaces the kind of the inner error, and
/// its remedy if it has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// What happened, to what, and why.
    pub message: String,
    /// What can be done about it, if known.
    pub remedy: Option<Remedy>,
}

impl Failure {
    /// Makes one without a remedy.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: None }
    }

    /// Makes a wrong command line, request or configuration.
    pub fn usage(message: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self::new(FailureKind::Usage, message).remedy(remedy)
    }

    /// Makes the failure that no archive matches the request.
    pub fn no_backup(message: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self::new(FailureKind::NoBackup, message).remedy(remedy)
    }

    /// Adds what can be done about it.
    pub fn remedy(self, remedy: impl Into<Remedy>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Returns an error with its causes as one line of text, safe for a terminal.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // A layer that only repeats the one below adds nothing for the reader.
        if !message.ends_with(&cause) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&cause);
        }
    }
    printable(&message).into_owned()
}

/// Returns whether an error only means that the operation was asked to stop.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Interrupted>())
}
