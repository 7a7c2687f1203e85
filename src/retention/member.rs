//! An archive as seen by one of its streams.

use super::Reason;
use super::unit::Unit;
use crate::snapshot::Brief;

/// An archive as seen by one of its streams.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    /// Its index among all archives.
    pub(super) index: usize,
    pub(super) unit: &'a Unit<'a>,
    pub(super) brief: &'a Brief,
}

/// The reasons to keep and to remove an archive.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons {
    pub(super) keep: Vec<Reason>,
    pub(super) remove: Vec<Reason>,
}

impl Reasons {
    /// Adds a reason to keep, unless it is already there.
    pub(super) fn keep(&mut self, reason: Reason) {
        if !self.keep.contains(&reason) {
            self.keep.push(reason);
        }
    }

    /// Adds the reasons of another stream of the same archive.
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
