//! The keys of a run.

use std::sync::Arc;

use age::x25519;

use super::identities::Identity;
use super::recipients::Recipient;

/// The key that a run makes for itself: a recipient of every archive that the run makes, so that it can read them back.
/// It lies in memory only and is gone with the process.
#[derive(Debug, Clone)]
pub struct RunKey(Identity);

impl RunKey {
    /// Makes a new one.
    pub fn generate() -> Self {
        Self(Identity::generate())
    }

    /// Returns its public key.
    pub fn recipient(&self) -> Recipient {
        self.0.recipient()
    }
}

/// The keys that open archives. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    identities: Arc<[Identity]>,
    run: Option<RunKey>,
}

impl Keys {
    /// Takes the identities of this host.
    pub fn new(identities: Vec<Identity>) -> Self {
        Self { identities: identities.into(), run: None }
    }

    /// Takes the key of the run, too.
    #[must_use]
    pub fn with_run(self, run: RunKey) -> Self {
        Self { run: Some(run), ..self }
    }

    /// Returns the key of the run, which every archive that it makes is encrypted to.
    pub fn run(&self) -> Option<&RunKey> {
        self.run.as_ref()
    }

    /// Returns the identities of this host, without the key of the run.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Returns whether this host has no identity. It can still read what this run makes.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// Returns all keys. That of the run comes last: most archives were made by others.
    pub(super) fn all(&self) -> impl Iterator<Item = &x25519::Identity> {
        self.identities.iter().chain(self.run.iter().map(|run| &run.0)).map(|identity| &identity.0)
    }
}
