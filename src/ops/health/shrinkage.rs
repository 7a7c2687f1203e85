//! Detects data that seems to be missing between two states of a database.

use super::State;
use crate::snapshot::{Brief, Snapshot};
use crate::text;
use chrono::TimeDelta;

/// Fewer rows than this may halve without a warning: a queue, a few test rows.
const FEWEST_ROWS: u64 = 10;
/// Smaller databases may halve without a warning.
const FEWEST_BYTES: u64 = 64 << 10;
/// How long before an archive the others reach that it is compared with: what vanished at night is still said the next
/// morning, whatever the interval.
const REACH: TimeDelta = TimeDelta::hours(24);

/// How much there is in a database; `None` for what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extent {
    pub bytes: Option<u64>,
    pub tables: Option<u64>,
    pub rows: Option<u64>,
}

impl Extent {
    /// Returns what an archive says of a database in it.
    pub(super) fn archived(brief: &Brief) -> Self {
        Self { bytes: brief.bytes, tables: brief.tables, rows: brief.rows }
    }

    /// Returns the most that there was of each in an archive, those of the day before it, and the one before it. Newest
    /// first.
    pub(super) fn most<'a>(mut archives: impl Iterator<Item = (&'a Snapshot, &'a Brief)>) -> Option<Self> {
        let (newest, first) = archives.next()?;
        let near = archives.take_while(|(archive, _)| newest.created_at - archive.created_at <= REACH);
        Some(near.fold(Self::archived(first), |most, (_, brief)| Self {
            bytes: most.bytes.max(brief.bytes),
            tables: most.tables.max(brief.tables),
            rows: most.rows.max(brief.rows),
        }))
    }

    /// Says what is missing now that was there before. Where rows are known on both sides the size says nothing: VACUUM
    /// shrinks it too.
    pub(super) fn lost_since(self, before: Self) -> Option<(State, String)> {
        let pair = |before: Option<u64>, now: Option<u64>| before.zip(now);
        let (rows, tables) = (pair(before.rows, self.rows), pair(before.tables, self.tables));
        if let Some((before, 0)) = tables.filter(|(before, _)| *before > 0) {
            return Some((State::Critical, format!("no table is left of {before}")));
        }
        if let Some((before, 0)) = rows.filter(|(before, _)| *before > 0) {
            return Some((State::Critical, format!("no row is left of {before}")));
        }
        if let Some((before, now)) = rows.filter(|(before, now)| *before >= FEWEST_ROWS && *now < before.div_ceil(2)) {
            return Some((State::Warning, format!("{} left of {before}", text::count(now, "row"))));
        }
        if let Some((before, now)) = tables.filter(|(before, now)| now < before) {
            return Some((State::Warning, format!("{} left of {before}", text::count(now, "table"))));
        }
        let bytes = pair(before.bytes, self.bytes).filter(|_| rows.is_none());
        if let Some((before, now)) = bytes.filter(|(before, now)| *before >= FEWEST_BYTES && *now < before.div_ceil(2))
        {
            return Some((State::Warning, format!("{} left of {}", text::bytes(now), text::bytes(before))));
        }
        None
    }
}
