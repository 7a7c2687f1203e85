//! Waits for another process that keeps readers out of a database.

use std::time::Duration;

use crate::database::error::SourceError;
use crate::database::files::source_file::Located;
use crate::database::processes::holders::{Holder, exclusive_holder};
use crate::database::timeouts::Timeouts;

/// After this wait, a process that kept all others out the whole time is not just committing.
const LONG_WAIT: Duration = Duration::from_millis(500);

/// A wait for another process that keeps readers out.
pub(super) struct KeptOut(Option<Holder>);

impl KeptOut {
    /// Records the holder at the start of the wait.
    pub(super) fn new(located: &Located) -> Self {
        Self(exclusive_holder(&located.path))
    }

    /// Ends the wait: a process that was the holder at the start and at the end is not just committing.
    pub(super) fn give_up(&self, located: &Located, timeouts: &Timeouts, why: String) -> SourceError {
        let path = located.given.clone();
        match exclusive_holder(&located.path) {
            Some(holder) if self.0.as_ref() == Some(&holder) && timeouts.busy >= LONG_WAIT => {
                SourceError::Exclusive { path, holder, waited: timeouts.busy }
            }
            Some(holder) => SourceError::Busy { path, why: format!("{why} (process {})", holder.shown()) },
            None => SourceError::Busy { path, why },
        }
    }
}
