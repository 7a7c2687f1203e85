//! Removes what runs left that died: every run that makes scratch sweeps first.

use std::path::Path;
use std::time::Duration;

use crate::lock::StoreLock;
use crate::progress::Progress;
use crate::scratch::sweep_store;

/// Removes what dead runs left in a store's private folder, where nobody holds the lock.
///
/// That something stays is no reason to fail a run: the next one sweeps again.
pub fn sweep_leftovers(private: &Path, progress: &dyn Progress) {
    if let Ok(_lock) = StoreLock::acquire(private, Duration::ZERO, progress) {
        let _ = sweep_store(private);
    }
}
