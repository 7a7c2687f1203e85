//! How a restore is carried out.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::proof::CheckPolicy;
use crate::clock::Clock;
use crate::database::Timeouts;
use crate::names::Name;
use crate::ops::Repository;
use crate::ops::pack::Host;
use crate::ops::pending::Upkeep;

/// How a restore is carried out.
pub struct Options<'a> {
    /// The archive as the user knows it, for the note about an interrupted run.
    pub archive: String,
    /// The set under which the safety backup is kept.
    pub set: Name,
    /// Which unpacked databases are checked, and how thoroughly.
    pub check: CheckPolicy,
    /// Whether damage is restored, with warnings.
    pub allow_damaged: bool,
    /// Whether indexes that must be rebuilt are rebuilt in the copy, before it is placed.
    pub rebuild_indexes: bool,
    /// Whether what is replaced is backed up first.
    pub safety: Safety<'a>,
    /// The store in whose workspace the restore is recorded; `None` if it cannot be written.
    pub workspace: Option<&'a Repository>,
    /// The id of the interrupted restore that this one takes back.
    pub takes_back: Option<String>,
    /// Which older safety backups stay.
    pub upkeep: Upkeep,
    /// How long to wait for locks.
    pub limits: Timeouts,
    /// The folder for temporary files: copies are made there if the disk of a target has no room for them.
    pub temporary: PathBuf,
    /// How many threads compute.
    pub threads: NonZeroUsize,
    /// This host.
    pub host: Host,
    /// The time.
    pub clock: Clock,
}

/// Whether what is replaced is backed up first.
#[derive(Clone, Copy)]
pub enum Safety<'a> {
    /// Into this store.
    Into(&'a Repository),
    /// No. All copies are still staged and checked first.
    Without,
}
