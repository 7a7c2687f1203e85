//! The keys of a run: for whom its archives are encrypted, and which archives it can open.

use std::sync::Arc;

use crate::archive::cipher::{Keys, Recipients, RunKey};
use crate::names::{HostLabel, Name};

/// How a new archive is encrypted.
#[derive(Debug, Clone)]
pub struct Sealing {
    /// Who can open it.
    pub recipients: Recipients,
    /// The key of this run, which reads it back.
    pub run: RunKey,
}

/// The encryption of a run.
#[derive(Debug, Clone, Default)]
pub struct Encryption {
    /// The keys that open archives: the identities of this host, and the key of the run.
    pub keys: Keys,
    /// How archives of the store are encrypted; `None` if they are not.
    pub store: Option<Sealing>,
    /// How copies are encrypted that leave this host; `None` if they are not.
    pub copies: Option<Sealing>,
    /// Whether labels count that nothing here vouches for.
    pub trust_labels: bool,
    /// The configured databases, so that a label that hides their path is recognized.
    pub places: Arc<[KnownPlace]>,
}

impl Encryption {
    /// Returns the encryption of a further store: whatever is copied there is encrypted if copies are.
    pub fn of_copies(&self) -> Self {
        Self { store: self.copies.clone().or_else(|| self.store.clone()), ..self.clone() }
    }
}

/// A database of this host: its set, a host label, and its path without symbolic links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPlace {
    /// The set.
    pub set: Name,
    /// The host label.
    pub host: HostLabel,
    /// The path.
    pub path: String,
}
