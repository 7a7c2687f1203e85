//! `[copies.NAME]`: the further stores that get a copy of each archive.

use std::num::NonZeroU64;

use super::{RetentionSettings, Settings};
use crate::names::Name;
use crate::store_url::Location;

/// A further store that gets a copy of each archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySettings {
    /// Its name in the configuration.
    pub name: Name,
    /// Where it is.
    pub location: Location,
    /// Whether a backup fails without this copy.
    pub required: bool,
    /// What is kept there; `None` for what the main store keeps.
    pub retention: Option<RetentionSettings>,
    /// How many bytes per second are sent to it at most.
    pub limit_upload: Option<NonZeroU64>,
}

/// One table of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileCopy {
    pub(super) name: Name,
    /// The text of the location, and whether it is a URL.
    pub(super) location: (String, bool),
    pub(super) line: usize,
    pub(super) required: bool,
    pub(super) retention: Option<RetentionSettings>,
    pub(super) limit_upload: Option<NonZeroU64>,
}

impl RetentionSettings {
    /// Returns rules that keep nothing, to be filled.
    pub(super) fn nothing() -> Self {
        Self { daily: None, weekly: None, monthly: None, ..Settings::default().retention }
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::nothing()
    }
}
