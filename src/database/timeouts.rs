//! Timeouts, and waits that can be cancelled.

use std::thread;
use std::time::{Duration, Instant};

use crate::progress::{Interrupted, Progress};

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a lock that another process holds.
    pub busy: Duration,
    /// For one more page of a copy.
    pub stalled: Duration,
    /// For a whole copy.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { busy: Duration::from_secs(60), stalled: Duration::from_secs(300), total: Duration::from_secs(24 * 3600) }
    }
}

/// Waits, and returns early with [`Interrupted`] if that is requested.
pub(in crate::database) fn pause(wait: Duration, progress: &dyn Progress) -> Result<(), Interrupted> {
    let end = Instant::now() + wait;
    loop {
        progress.checkpoint()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}
