//! Removes what runs left that died: every run that makes scratch sweeps first.

use std::path::Path;
use std::time::Duration;

use crate::holds;
use crate::lock::StoreLock;
use crate::progress::Progress;
use crate::scratch::{sweep_beside, sweep_store};
use crate::store::parent;

/// Removes what dead runs left in a store's private folder, where nobody holds the lock.
///
/// That something stays is no reason to fail a run: the next one sweeps again.
pub fn sweep_leftovers(private: &Path, progress: &dyn Progress) {
    if let Ok(_lock) = StoreLock::acquire(private, Duration::ZERO, progress) {
        let _ = sweep_store(private);
        let _ = holds::remove_ended(private);
    }
}

/// Removes the scratch that a restore left beside a database when it was killed: private copies, which may be large.
///
/// Like every sweep it takes only what belongs to this user and is held by nobody, and what stays fails nothing.
pub fn sweep_leftovers_beside<'a>(databases: impl Iterator<Item = &'a Path>) {
    for database in databases {
        // A restore writes through a link, and has its scratch where the file lies.
        if let Ok(file) = std::fs::canonicalize(database) {
            let _ = sweep_beside(parent(&file));
        }
    }
}
