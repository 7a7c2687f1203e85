//! Why a restore was refused. Nothing was changed.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::Remedy;
use crate::names::{Name, printable};

/// Why a restore was refused before anything was changed.
#[derive(Debug)]
pub enum RestoreError {
    /// The archive does not hold this database.
    NoSuchDatabase {
        /// The name that was asked for.
        name: Name,
        /// Those it holds.
        available: Vec<Name>,
    },
    /// No target was given for this database, and none is known.
    NoTarget {
        /// The database.
        name: Name,
        /// The recorded path, and its host.
        recorded: Option<(String, String)>,
        /// The archive, as it can be typed.
        archive: String,
    },
    /// One file was named for several databases.
    OneFileForSeveral {
        /// The databases.
        names: Vec<Name>,
    },
    /// Two databases would be written to one file, or one to the sidecar of another.
    Collision {
        /// The target.
        path: PathBuf,
    },
    /// A database would be restored from the very file that it is restored to.
    SourceIsTarget {
        /// The file.
        path: PathBuf,
    },
    /// The folder of a target does not exist.
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The archive is marked as damaged, or holds a database that was damaged when it was backed up.
    Damaged {
        /// The archive.
        archive: String,
    },
    /// What was unpacked is damaged, or is not what the metadata says.
    Unsound {
        /// The database.
        name: Name,
        /// What was found.
        findings: Vec<String>,
    },
    /// The readable part of a damaged database is not a usable database.
    NothingLeft {
        /// The database.
        name: Name,
        /// What cannot be read.
        why: String,
    },
    /// The indexes of an unpacked copy cannot be rebuilt.
    NotRebuilt {
        /// The database.
        name: Name,
        /// Why not.
        cause: anyhow::Error,
    },
    /// A disk has too little room. The store's may have enough: only the disk of a target can be foreseen.
    NoRoom {
        /// A folder on it.
        folder: String,
        /// How many bytes are needed there.
        needed: u64,
        /// How many are free.
        free: u64,
        /// The error that the system would have returned.
        cause: std::io::Error,
    },
    /// The safety backup cannot be kept.
    NoSafetyStore {
        /// Its store.
        location: String,
        /// Why not.
        cause: anyhow::Error,
    },
    /// A target exists, and replacing it was not confirmed.
    NotConfirmed {
        /// The first target that would be replaced.
        path: PathBuf,
    },
    /// There is no safety backup to restore.
    NothingToUndo {
        /// The store that was searched.
        location: String,
    },
    /// The newest restore cannot be undone, or only if it is named. An older one is never used instead.
    CannotUndo {
        /// Why.
        why: String,
        /// What can be done instead.
        remedy: Remedy,
    },
    /// Restores of several sets match.
    AmbiguousUndo {
        /// Which.
        why: String,
        /// How to choose one.
        remedy: Remedy,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchDatabase { name, .. } => write!(f, "the archive holds no database \"{name}\""),
            Self::NoTarget { name, recorded: Some((_, host)), .. } => {
                write!(
                    f,
                    "no restore target known for \"{name}\": it was backed up on the host \"{}\"",
                    printable(host)
                )
            }
            Self::NoTarget { name, .. } => {
                write!(f, "no restore target known for \"{name}\": the archive records none")
            }
            Self::OneFileForSeveral { names } => {
                write!(f, "one file was named as the target of several databases: {}", join(names))
            }
            Self::Collision { path } => write!(f, "two databases would be restored to {}", quoted(path)),
            Self::SourceIsTarget { path } => {
                write!(f, "{} is both the source and the target of this restore", quoted(path))
            }
            Self::NoFolder { path } => write!(f, "there is no folder {} to restore into", quoted(path)),
            Self::Damaged { archive } => write!(f, "the archive \"{}\" is marked as damaged", printable(archive)),
            Self::Unsound { name, findings } => {
                write!(f, "\"{name}\" in the archive is not sound: {}", findings.join("; "))
            }
            Self::NothingLeft { name, why } => {
                write!(f, "\"{name}\" in the archive cannot be salvaged: {why}")
            }
            Self::NotRebuilt { name, .. } => {
                write!(f, "the indexes of \"{name}\" cannot be rebuilt, nothing was changed")
            }
            Self::NotConfirmed { path } => write!(f, "{} exists, and would be replaced", quoted(path)),
            Self::NoRoom { folder, needed, free, .. } => {
                let (needed, free) = (bytesize::ByteSize(*needed), bytesize::ByteSize(*free));
                write!(
                    f,
                    "not enough space on the disk of \"{folder}\", nothing was changed: {needed} are needed \
                     there, {free} are free"
                )
            }
            Self::NoSafetyStore { location, .. } => {
                write!(
                    f,
                    "the safety backup of what is replaced cannot be kept in the store \"{}\"",
                    printable(location)
                )
            }
            Self::CannotUndo { why, .. } | Self::AmbiguousUndo { why, .. } => f.write_str(why),
            Self::NothingToUndo { location } => {
                write!(f, "no restore to undo in the store \"{}\"", printable(location))
            }
        }
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoSafetyStore { cause, .. } | Self::NotRebuilt { cause, .. } => Some(cause.as_ref()),
            Self::NoRoom { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

fn join(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", printable(&path.to_string_lossy()))
}
