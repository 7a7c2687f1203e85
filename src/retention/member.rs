//! An archive as one of its streams sees it.

use super::Reason;
use super::unit::Unit;
use crate::snapshot::Brief;

/// An archive as one of its streams sees it.
pub(super) struct Member<'a> {
    /// Its place among all archives.
    pub(super) index: usize,
    pub(super) unit: &'a Unit<'a>,
    pub(super) brief: &'a Brief,
}

/// The reasons to keep an archive, and those to remove it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons {
    pub(super) keep: Vec<Reason>,
    pub(super) remove: Vec<Reason>,
}

impl Reasons {
    /// Adds a reason to keep, if it is not there yet.
    pub(super) fn keep(&mut self, reason: Reason) {
        if !self.keep.contains(&reason) {
            self.keep.push(reason);
        }
    }

    /// Adds what another stream of the same archive says.
    pub(super) fn merge(&mut self, other: Self) {
        for reason in other.keep {
            self.keep(reason);
        }
        for reason in other.remove {
            if !self.remove.contains(&reason) {
                self.remove.push(reason);
            }
        }
    }
}
