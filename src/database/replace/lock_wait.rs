//! Waits for the locks of other processes, with a timeout and until cancelled.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::database::error::TargetError;
use crate::database::processes::holders::exclusive_holder;
use crate::database::sqlite::transaction::is_busy;
use crate::database::timeouts::{Timeouts, pause};
use crate::progress::Progress;

/// How long to sleep between two attempts at a lock.
const PAUSE: Duration = Duration::from_micros(300);

/// Waits for a lock.
pub(in crate::database) struct LockWait<'a> {
    path: &'a Path,
    started: Instant,
    timeouts: &'a Timeouts,
    progress: &'a dyn Progress,
}

impl<'a> LockWait<'a> {
    /// Starts the timeout.
    pub(in crate::database) fn new(path: &'a Path, timeouts: &'a Timeouts, progress: &'a dyn Progress) -> Self {
        Self { path, started: Instant::now(), timeouts, progress }
    }

    /// Retries until it succeeds. "Busy", as an error or as `false`, is retried until the timeout.
    pub(in crate::database) fn until(
        &self,
        mut attempt: impl FnMut() -> rusqlite::Result<bool>,
    ) -> Result<(), TargetError> {
        loop {
            match attempt() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_busy(&error) => {}
                Err(error) => return Err(self.failed(&error)),
            }
            if self.started.elapsed() > self.timeouts.busy {
                let who = exclusive_holder(self.path)
                    .map_or_else(|| "another process".to_owned(), |holder| format!("process {}", holder.shown()));
                let why = format!("{who} has held a lock on it for {:?}; it was not changed", self.timeouts.busy);
                return Err(TargetError::Busy { path: self.path.to_owned(), why });
            }
            pause(PAUSE, self.progress).map_err(TargetError::Interrupted)?;
        }
    }

    /// Retries until it returns a value.
    pub(in crate::database) fn get<T>(
        &self,
        mut attempt: impl FnMut() -> rusqlite::Result<T>,
    ) -> Result<T, TargetError> {
        let mut result = None;
        self.until(|| {
            result = Some(attempt()?);
            Ok(true)
        })?;
        Ok(result.expect("the loop ends with a result"))
    }

    /// Creates an error about this database.
    pub(in crate::database) fn failed(&self, error: &rusqlite::Error) -> TargetError {
        TargetError::from_sqlite(self.path, "lock", error)
    }
}
