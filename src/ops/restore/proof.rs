//! Decides whether a digest proves an unpacked database, so that its check is not repeated.
//!
//! The metadata of format 1 records the result of a check, its depth, and the SHA-256 of exactly the bytes that were
//! checked. Unpacking compares that digest with what the written file holds. If they match, the check would find again
//! what it found then: nothing.
//!
//! This trusts the metadata: whoever makes an archive can record a check that never ran. That protects against disks
//! and networks, not against people; [`CheckPolicy::Always`] trusts nothing.

use crate::archive::ReadDatabase;
use crate::database::Depth;
use crate::metadata::{CheckDepth, DatabaseMetadata, Integrity};

/// Which unpacked databases are checked, and how thoroughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckPolicy {
    /// Those of which no digest proves that they passed a check of this depth when they were saved.
    Unproved(Depth),
    /// All.
    Always(Depth),
}

impl CheckPolicy {
    /// Returns the depth.
    pub fn depth(self) -> Depth {
        match self {
            Self::Unproved(depth) | Self::Always(depth) => depth,
        }
    }
}

/// What shows that a restored database is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvedBy {
    /// It holds the bytes that passed a check when they were saved.
    Digest,
    /// A check of this depth, with this result. Damage is restored only on request.
    Check(Depth, Integrity),
    /// Nothing: it was not checked, as asked for.
    Nothing,
}

/// Returns whether a digest proves that a database would pass a check of this depth.
///
/// `recorded` is what the metadata says of it, `read` what was found in the file that it was unpacked into.
pub(super) fn is_proved(recorded: &DatabaseMetadata, read: &ReadDatabase, depth: Depth) -> bool {
    let checked = match depth {
        // Releases that recorded no depth checked, too, but perhaps only so far.
        Depth::None | Depth::Quick => true,
        Depth::Full => recorded.check == Some(CheckDepth::Full),
        Depth::Deep => false,
    };
    recorded.integrity == Integrity::Ok && checked && (recorded.bytes, recorded.sha256) == (read.bytes, read.sha256)
}
