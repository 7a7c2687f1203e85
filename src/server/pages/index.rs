//! Looks up by set what the documents hold in long lists: with a set for each tenant there are thousands of checks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::read::{archives, flag, instant, is_listed, items, number, part, raw};
use super::words::Mark;

/// What is known about each set.
pub(super) struct Index<'a> {
    checks: BTreeMap<&'a str, Vec<&'a Value>>,
    backups: Option<BTreeMap<&'a str, Backups<'a>>>,
}

/// The backups of a set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backups<'a> {
    /// How many.
    pub count: u64,
    /// Their size.
    pub bytes: u64,
    /// The newest one without known damage.
    pub newest_good: Option<&'a Value>,
}

impl<'a> Index<'a> {
    pub(super) fn new(health: &'a Value, list: &'a Value) -> Self {
        let mut checks: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for check in items(health, "checks") {
            if let Some(set) = raw(check, "set") {
                checks.entry(set).or_default().push(check);
            }
        }
        Self { checks, backups: is_listed(list).then(|| by_set(list)) }
    }

    /// Returns the checks of a set and of its databases.
    pub(super) fn checks(&self, set: Option<&str>) -> &[&'a Value] {
        set.and_then(|set| self.checks.get(set)).map_or(&[], Vec::as_slice)
    }

    /// Returns the backups of a set; `None` if there is no list.
    pub(super) fn backups(&self, set: &str) -> Option<Backups<'a>> {
        self.backups.as_ref().map(|backups| backups.get(set).copied().unwrap_or_default())
    }

    /// Returns the worst state of the checks of a set. Without a backup it is not good, whatever the checks report.
    pub(super) fn state(&self, set: &Value) -> Mark {
        let floor = if part(set, "last_backup").is_null() { Mark::Warning } else { Mark::Good };
        let checks = self.checks(raw(set, "set")).iter().map(|check| Mark::of_state(raw(check, "state")));
        checks.max().unwrap_or(Mark::Unknown).max(floor)
    }
}

fn by_set(list: &Value) -> BTreeMap<&str, Backups<'_>> {
    let mut sets: BTreeMap<&str, Backups> = BTreeMap::new();
    for archive in archives(list) {
        let Some(set) = raw(archive, "set") else { continue };
        let backups = sets.entry(set).or_default();
        backups.count += 1;
        backups.bytes = backups.bytes.saturating_add(number(archive, "bytes").unwrap_or(0));
        let at = |archive| instant(archive, "created_at");
        if !flag(archive, "damaged") && backups.newest_good.is_none_or(|newest| at(archive) > at(newest)) {
            backups.newest_good = Some(archive);
        }
    }
    sets
}

/// Returns a number of the first check that has it.
pub(super) fn measure<'a>(checks: impl IntoIterator<Item = &'a Value>, name: &str) -> Option<u64> {
    checks.into_iter().find_map(|check| number(part(part(check, "measures"), name), "value"))
}
