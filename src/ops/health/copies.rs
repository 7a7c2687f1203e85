//! Judges the copies in a further store by what this host remembers of it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, CopyFacts, State, Subject};
use crate::report::health::Advice;
use crate::report::quantity::{COPIES_MISSING, COPY_TIME, COPY_VERIFIED_TIME};
use crate::text;

/// How long copies may be missing before that is critical: then the rules of the store no longer wait for them.
const PATIENCE: TimeDelta = TimeDelta::days(7);

/// Judges one further store.
pub(super) fn judge(copy: &CopyFacts, now: DateTime<Utc>) -> Check {
    let subject = Subject::Copy(copy.name.clone());
    let missing = match copy.missing as u64 {
        0 => "nothing missing".to_owned(),
        count => format!("{} missing", text::count(count, "archive")),
    };
    let Some(record) = &copy.record else {
        let value = format!("nothing was ever copied to \"{}\", {missing}", copy.location);
        return Check::new("copy", &subject, State::Critical, value).advise(Advice::CopyMissing);
    };
    let newest = record.archives.iter().map(|entry| entry.created_at).filter(|made| *made <= now).max();
    let age = newest.map_or_else(|| "no archive".into(), |made| format!("newest made {}", text::age(made, now)));
    let listed = text::age(record.listed_at, now);
    let verified = match &copy.verified {
        None => "never verified there".to_owned(),
        Some(verified) => format!("last verified there {}", text::age(verified.at, now)),
    };
    let damaged = copy.verified.as_ref().map_or(0, |verified| verified.counts.damaged) as u64;
    let found = if damaged > 0 { format!(": {} damaged", text::count(damaged, "archive")) } else { String::new() };
    let value = format!("{age}, {missing}, last reached {listed}, {verified}{found}");
    let is_behind = newest.is_none_or(|made| now - made > PATIENCE);
    let check = match &record.error {
        Some(error) => {
            let state = if copy.missing > 0 && is_behind { State::Critical } else { State::Warning };
            Check::new("copy", &subject, state, format!("{value}; the last try failed: {error}"))
                .advise(Advice::CopyMissing)
        }
        None if copy.missing > 0 => Check::new("copy", &subject, State::Warning, value).advise(Advice::CopyMissing),
        None if damaged > 0 => {
            Check::new("copy", &subject, State::Warning, value).advise(Advice::CopyDamaged(copy.name.clone()))
        }
        None => Check::ok("copy", &subject, value),
    };
    let check = match &copy.verified {
        Some(verified) => check.measure(COPY_VERIFIED_TIME, verified.at.timestamp() as f64),
        None => check,
    };
    let check = check.measure(COPIES_MISSING, copy.missing as f64);
    match newest {
        Some(made) => check.measure(COPY_TIME, made.timestamp() as f64),
        None => check,
    }
}
