//! What a command records about itself in the activity log.

use super::exit::Outcome;

/// What a command records about one archive, or about itself.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The kind of the archive it made.
    pub kind: Option<String>,
    /// The set it was about.
    pub set: Option<String>,
    /// The archive it was about.
    pub archive: Option<String>,
    /// The size of that archive.
    pub bytes: Option<u64>,
    /// How it ended for this archive, where that is not how the whole command ended.
    pub outcome: Option<Outcome>,
}
