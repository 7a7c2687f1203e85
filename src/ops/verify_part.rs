//! Chooses the part of the archives that a verification is about: those that were verified longest ago.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::snapshot::Snapshot;
use crate::workspace::Activity;

/// One part of several: after as many verifications, all archives that stayed were verified once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// How many parts there are.
    pub of: NonZeroU32,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = text.strip_prefix("1/").and_then(|of| of.parse().ok()).map(|of| Self { of });
        of.ok_or_else(|| "must be 1/N, such as 1/4".to_owned())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1/{}", self.of)
    }
}

impl Part {
    /// Returns the archives of this part, in their order. A backup reads its archive back, so that a new one counts as
    /// verified when it was made; times after `now` prove nothing. `log` is the activity log, newest first.
    pub fn choose<'a>(self, archives: &[&'a Snapshot], log: &[Activity], now: DateTime<Utc>) -> Vec<&'a Snapshot> {
        let mut verified: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for entry in log.iter().filter(|entry| entry.command == "verify" && entry.outcome == "done" && entry.at <= now)
        {
            if let Some(archive) = &entry.archive {
                let last = verified.entry(archive).or_insert(entry.at);
                *last = entry.at.max(*last);
            }
        }
        let last = |archive: &Snapshot| {
            let made = Some(archive.created_at).filter(|made| *made <= now);
            verified.get(archive.name.as_str()).copied().max(made)
        };
        let mut by_age: Vec<(Option<DateTime<Utc>>, usize)> =
            archives.iter().enumerate().map(|(index, archive)| (last(archive), index)).collect();
        by_age.sort_unstable();
        by_age.truncate(archives.len().div_ceil(self.of.get() as usize));
        by_age.sort_unstable_by_key(|(_, index)| *index);
        by_age.into_iter().map(|(_, index)| archives[index]).collect()
    }
}
