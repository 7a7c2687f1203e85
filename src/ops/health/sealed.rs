//! Judges what concerns encrypted archives: whether the key is still there, and what is not counted.

use chrono::TimeDelta;

use super::{Check, Facts, State, StoreFacts, Subject};
use crate::names::printable;
use crate::report::health::Advice;
use crate::snapshot::{Seal, Snapshot};
use crate::text;

/// How long a key may be untried.
const TRIED: TimeDelta = TimeDelta::days(90);

/// Judges the encrypted archives of this host.
pub(super) fn judge(store: &StoreFacts, facts: &Facts) -> Vec<Check> {
    let checks =
        [key(store, facts), labels(store, facts), doubtful(store), digests(store, facts), exposed(store, facts)];
    checks.into_iter().flatten().collect()
}

fn is_encrypted(snapshot: &Snapshot) -> bool {
    matches!(snapshot.seal, Seal::Opened | Seal::Known)
}

/// Warns if nobody tried the key for a long time: archives without a key are no backup.
fn key(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let oldest =
        facts.own(store).filter(|snapshot| is_encrypted(snapshot)).map(|snapshot| snapshot.created_at).min()?;
    let since = store.key_tried.unwrap_or(oldest);
    let untried = facts.now - since;
    let name = "key";
    if untried <= TRIED {
        let value = match store.key_tried {
            Some(tried) => format!("tried {}", text::age(tried, facts.now)),
            None => "not tried yet".into(),
        };
        return Some(Check::ok(name, &Subject::Store, value));
    }
    let value = match store.key_tried {
        Some(tried) => format!("no key was tried on the archives since {}", text::age(tried, facts.now)),
        None => format!("no key was ever tried on the archives; the oldest was made {}", text::age(oldest, facts.now)),
    };
    Some(Check::new(name, &Subject::Store, State::Warning, value).advise(Advice::TryKey))
}

/// Counts archives that only their label assigns to this host.
fn labels(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let count = facts.closed(store).count() as u64;
    let value = || {
        format!(
            "{} that no key here opens and that this host does not remember making: kept, not counted",
            text::count(count, "encrypted archive")
        )
    };
    (count > 0).then(|| Check::new("labels", &Subject::Store, State::Warning, value()).advise(Advice::ProveLabels))
}

/// Names labels that cannot be right.
fn doubtful(store: &StoreFacts) -> Option<Check> {
    let (first, why) = store.inventory.doubts.first()?;
    let count = store.inventory.doubts.len() as u64;
    let value = format!("{}, the first is {first}: {}", text::count(count, "label"), printable(why));
    let advice = "look at who can write to the store, or at the clocks of the hosts that back up to it";
    Some(Check::new("label_dates", &Subject::Store, State::Warning, value).advise(advice))
}

/// Counts encrypted archives without a digest.
fn digests(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let lacks = |snapshot: &&Snapshot| is_encrypted(snapshot) && !snapshot.has_digest && !snapshot.pending;
    let count = facts.own(store).filter(lacks).count() as u64;
    let value = || format!("{} without a digest beside it", text::count(count, "encrypted archive"));
    (count > 0).then(|| Check::new("digests", &Subject::Store, State::Warning, value()).advise(Advice::VerifyWithKey))
}

/// Counts plain archives in a store whose archives are encrypted.
fn exposed(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let count = facts.own(store).filter(|snapshot| snapshot.seal == Seal::Missing).count() as u64;
    let value = || format!("{} not encrypted: never chosen, and removed by the rules", text::count(count, "archive"));
    (count > 0).then(|| Check::ok("plain_archives", &Subject::Store, value()))
}
