//! Whether a service that is away is asked again and again.
//!
//! A request is repeated for a minute. An operation of several requests, or of a second try, must not wait for that
//! minute once for each of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an attempt may take while a service is silent.
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);

/// The silence of a service: from a request that was given up until the next answer. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Silence {
    since: Arc<Mutex<Option<Instant>>>,
}

impl Silence {
    /// A request was repeated as long as it may be, in vain.
    pub(super) fn begins(&self) {
        self.note(Some(Instant::now()));
    }

    /// The service answered.
    pub(super) fn ends(&self) {
        self.note(None);
    }

    /// Returns whether a request was given up within the last `recent`, and nothing was answered since. The next one
    /// is then tried once. Later it is repeated again: the service had time to come back.
    pub(super) fn lasts(&self, recent: Duration) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < recent)
    }

    fn note(&self, since: Option<Instant>) {
        // A panic elsewhere cannot have left the value half changed: each change is one assignment.
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}
