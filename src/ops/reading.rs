//! How the archives of a store are read, and what lies beside them.

use super::sealing::Encryption;
use crate::archive::Opener;
use crate::names::HostLabel;

/// How archives are read that record no zone, no host, or neither.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What opens them.
    pub opener: Opener,
    /// The host that archives without one come from: this one on a local store.
    pub host: HostLabel,
    /// How the archives of the store are encrypted, and whose labels count.
    pub encryption: Encryption,
}

/// The sidecars beside an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `.keep`
    pub pinned: bool,
    /// `.damaged`
    pub damaged: bool,
    /// `.accepted`
    pub accepted: bool,
    /// `.sha256`
    pub digest: bool,
}
