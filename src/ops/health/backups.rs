//! Judges the backups of one set.

use chrono::{DateTime, TimeDelta, Utc};

use super::quantity::{BACKUP_AGE, BACKUP_ARCHIVES, BACKUP_BYTES, BACKUP_TIME, DAMAGED_ARCHIVES, VERIFIED_TIME};
use super::shrinkage::Extent;
use super::{CLOCK_TOLERANCE, Check, Facts, State, StoreFacts, Subject};
use crate::activity::Activity;
use crate::metadata::Kind;
use crate::names::{Name, printable, time_in_name};
use crate::ops::inventory::Foreign;
use crate::snapshot::Snapshot;
use crate::text;

/// Backups closer together than this are one, when the usual interval is learned: tries, or a backup before every step of an update.
const BURST: TimeDelta = TimeDelta::minutes(10);
/// How many of the newest gaps between backups are looked at: older ones are wide because `rotate` thinned them out.
const GAPS: usize = 10;
/// The fewest gaps that make an interval usual: three backups.
const FEWEST_GAPS: usize = 2;
/// How old a backup may be where nobody said it and too few show it: once a day, with two hours to spare; twice that.
const DEFAULT_AGE: [TimeDelta; 2] = [TimeDelta::hours(26), TimeDelta::hours(50)];
/// How long ago an archive of a set should have been verified at the most.
const VERIFIED: TimeDelta = TimeDelta::days(30);

/// Judges the backups of a set.
pub(super) fn judge(set: &Name, store: &StoreFacts, facts: &Facts) -> Vec<Check> {
    let subject = Subject::Set(set.clone());
    let all: Vec<&Snapshot> = store.inventory.snapshots.iter().filter(|snapshot| snapshot.set == *set).collect();
    let backups: Vec<&Snapshot> = all.iter().copied().filter(|snapshot| snapshot.kind != Kind::Safety).collect();
    let horizon = facts.now + CLOCK_TOLERANCE;
    let good: Vec<&Snapshot> = backups.iter().copied().filter(|snapshot| !snapshot.damaged && snapshot.created_at <= horizon).collect();
    let unreadable: Vec<&Foreign> =
        store.inventory.foreign.iter().filter(|foreign| foreign.damaged && belongs_to(&foreign.name, set)).collect();
    let log = store.log.as_deref().unwrap_or_default();

    let mut checks = vec![age(&subject, &backups, &good, log, facts)];
    checks.extend(shrunken(&subject, &good));
    checks.extend(damaged(&subject, &all, &good, &unreadable));
    checks.extend(verified(&subject, &all, log, facts.now));
    checks.push(archives(&subject, &all));
    checks
}

/// Says whether a file name that cannot be read as an archive is one that an archive of a set would have.
pub(super) fn belongs_to(file: &str, set: &Name) -> bool {
    file.strip_prefix(set.as_str())
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn age(subject: &Subject, backups: &[&Snapshot], good: &[&Snapshot], log: &[Activity], facts: &Facts) -> Check {
    let critical = |told: String| Check::new("backup_age", subject, State::Critical, told);
    if good.is_empty() {
        return match backups {
            [] => critical("no backup".into())
                .advise("make one with `heirloom backup`; if this set is no longer used, name others with `--set`"),
            [newest, ..] if newest.damaged => {
                critical(format!("no good backup, {} damaged", backups.len())).advise("make a new one now with `heirloom backup`")
            }
            [..] => Check::new("backup_age", subject, State::Warning, "cannot be told: all backups are dated in the future")
                .advise("set the clock of this host"),
        };
    }
    // A set is as old as the oldest of the newest backups of its databases: one of them alone may have been backed up since.
    let databases = facts.databases.iter().filter(|database| Some(&database.set) == subject.set());
    let covering = |name: &Name| good.iter().find(|snapshot| snapshot.brief(name.as_str()).is_some());
    let mut newest = (good[0].created_at, None);
    for database in databases {
        match covering(&database.name) {
            None => {
                let told = format!("database \"{}\" is in none of the good backups", database.name);
                return critical(told).advise("back it up with `heirloom backup`");
            }
            Some(snapshot) if snapshot.created_at < newest.0 => newest = (snapshot.created_at, Some(&database.name)),
            Some(_) => {}
        }
    }
    let (created_at, database) = newest;
    let age = (facts.now - created_at).max(TimeDelta::zero());
    let ([warning, critical], why) = limits(facts.max_backup_age, times(subject, good, log, facts.now));
    let of = database.map(|name| format!(" of \"{name}\"")).unwrap_or_default();
    let told = text::measured(age);
    let check = if age > warning {
        let state = if age > critical { State::Critical } else { State::Warning };
        let value = format!("the newest good backup{of} is {told} old, limit {} ({why})", text::measured(warning));
        Check::new("backup_age", subject, state, value)
            .advise("see why it was not made (`heirloom log --failed`, the scheduler), and make one with `heirloom backup`")
    } else {
        Check::ok("backup_age", subject, format!("{told} old, limit {} ({why})", text::measured(warning)))
    };
    check
        .measure_within(BACKUP_AGE, age.num_seconds() as f64, warning.num_seconds() as f64, critical.num_seconds() as f64)
        .measure(BACKUP_TIME, seconds(created_at))
}

/// Returns the ages from which on a backup is too old and far too old, and how that is known.
fn limits(configured: Option<TimeDelta>, times: Vec<DateTime<Utc>>) -> ([TimeDelta; 2], String) {
    if let Some(limit) = configured {
        return ([limit, limit * 2], "max_backup_age".into());
    }
    match usual_interval(times) {
        // One that is late is no alarm yet; one that is missing is.
        Some(usual) => {
            ([usual * 2 + TimeDelta::hours(1), usual * 4 + TimeDelta::hours(2)], format!("usually one every {}", text::measured(usual)))
        }
        None => (DEFAULT_AGE, "assuming one a day".into()),
    }
}

/// Returns when backups of a set were made: those that are there, and those that the log remembers though they were removed since.
fn times(subject: &Subject, good: &[&Snapshot], log: &[Activity], now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let set = subject.set().map(Name::as_str);
    let logged = log.iter().filter(|entry| {
        entry.command == "backup"
            && entry.outcome == "done"
            && entry.set.as_deref() == set
            && entry.archive.is_some()
            && entry.kind.as_deref() != Some(Kind::Safety.as_str())
            && entry.at <= now
    });
    good.iter().map(|snapshot| snapshot.created_at).chain(logged.map(|entry| entry.at)).collect()
}

/// Learns the usual interval: the median of the newest gaps, bursts taken as one backup.
fn usual_interval(mut times: Vec<DateTime<Utc>>) -> Option<TimeDelta> {
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.dedup_by(|older, newer| *newer - *older < BURST);
    let mut gaps: Vec<TimeDelta> = times.windows(2).map(|pair| pair[0] - pair[1]).take(GAPS).collect();
    gaps.sort_unstable();
    (gaps.len() >= FEWEST_GAPS).then(|| gaps[(gaps.len() - 1) / 2])
}

fn shrunken(subject: &Subject, good: &[&Snapshot]) -> Option<Check> {
    let newest = good.first()?;
    let earlier = &good[1..];
    let mut found: Vec<(State, String)> = Vec::new();
    let mut compared = false;
    for brief in &newest.databases {
        let Some(before) = Extent::most(brief.name.as_str(), earlier.iter().copied()) else { continue };
        compared = true;
        found.extend(Extent::archived(brief).lost_since(before).map(|(state, lost)| (state, format!("{}: {lost}", brief.name))));
    }
    let Some(state) = found.iter().map(|(state, _)| *state).max() else {
        return compared.then(|| Check::ok("shrunken", subject, "no"));
    };
    let told = found.into_iter().map(|(_, told)| told).collect::<Vec<_>>().join("; ");
    // The newest one that still has what is gone: the one before the newest may be as empty.
    let has_more = |snapshot: &&&Snapshot| {
        newest.databases.iter().any(|brief| {
            let before = snapshot.brief(brief.name.as_str()).map(Extent::archived);
            before.is_some_and(|before| Extent::archived(brief).lost_since(before).is_some())
        })
    };
    let last = earlier.iter().find(has_more).unwrap_or(&earlier[0]);
    let advice = format!(
        "if that is not meant: `heirloom pin {}`, so that the rotation keeps what was there before, then look into the database",
        last.name
    );
    Some(Check::new("shrunken", subject, state, format!("in the newest backup, {told}")).advise(advice))
}

fn damaged(subject: &Subject, all: &[&Snapshot], good: &[&Snapshot], unreadable: &[&Foreign]) -> Option<Check> {
    let marked: Vec<&&Snapshot> = all.iter().filter(|snapshot| snapshot.damaged).collect();
    let count = marked.len() + unreadable.len();
    if all.is_empty() && count == 0 {
        return None;
    }
    if count == 0 {
        return Some(Check::ok("damaged", subject, "none").measure(DAMAGED_ARCHIVES, 0.0));
    }
    let newest_good = good.first().map(|snapshot| snapshot.created_at);
    let time_of = |foreign: &&&Foreign| time_in_name(&foreign.name).map(|time| time.and_utc());
    let newest_bad =
        marked.iter().map(|snapshot| snapshot.created_at).chain(unreadable.iter().filter_map(|foreign| time_of(&foreign))).max();
    let names: Vec<String> = marked
        .iter()
        .map(|snapshot| snapshot.name.to_string())
        .chain(unreadable.iter().map(|foreign| printable(&foreign.name).into_owned()))
        .take(3)
        .collect();
    let more = if count > names.len() { " and others" } else { "" };
    let told = format!("{} ({}{more})", text::count(count as u64, "archive"), names.join(", "));
    let check = if newest_bad > newest_good {
        Check::new("damaged", subject, State::Critical, format!("{told}, the newest among them"))
            .advise("make a new backup now with `heirloom backup`, then look at the disk (`dmesg`, `smartctl`)")
    } else {
        Check::new("damaged", subject, State::Warning, told)
            .advise("a newer good backup is there; look at the disk, and remove them with `heirloom delete` when they are of no more use")
    };
    Some(check.measure(DAMAGED_ARCHIVES, count as f64))
}

/// Looks up the last clean verify of any archive of the set. Without a log nothing is known, and nothing said.
fn verified(subject: &Subject, all: &[&Snapshot], log: &[Activity], now: DateTime<Utc>) -> Option<Check> {
    let set = subject.set()?;
    let beginning = log.iter().map(|entry| entry.at).min()?;
    all.first()?;
    let of_set = |entry: &&Activity| {
        let file = entry.archive.as_deref().map(|archive| archive.rsplit('/').next().unwrap_or(archive));
        entry.set.as_deref() == Some(set.as_str())
            || file.is_some_and(|file| belongs_to(file, set) || all.iter().any(|snapshot| snapshot.name.as_str() == file))
    };
    let clean = |entry: &&Activity| entry.command == "verify" && entry.outcome == "done";
    let last = log.iter().filter(clean).filter(of_set).map(|entry| entry.at).max();
    // A set that is new to the store gets the same time until the first verify: each archive was read back when it was made.
    let since = last.unwrap_or_else(|| all.last().map_or(beginning, |oldest| oldest.created_at.max(beginning)));
    let check = if now - since > VERIFIED {
        let told = last.map_or_else(|| "never".to_owned(), |last| format!("last {}", text::age(last, now)));
        Check::new("verified", subject, State::Warning, told).advise("run `heirloom verify`; once a week is a good habit")
    } else {
        Check::ok("verified", subject, last.map_or_else(|| "when it was made".to_owned(), |last| text::age(last, now)))
    };
    Some(match last {
        Some(last) => check.measure(VERIFIED_TIME, seconds(last)),
        None => check,
    })
}

fn archives(subject: &Subject, all: &[&Snapshot]) -> Check {
    let bytes: u64 = all.iter().map(|snapshot| snapshot.bytes).sum();
    let told = match all {
        [] => "none".to_owned(),
        all => format!("{}, {}", text::count(all.len() as u64, "archive"), text::bytes(bytes)),
    };
    Check::ok("archives", subject, told).measure(BACKUP_ARCHIVES, all.len() as f64).measure(BACKUP_BYTES, bytes as f64)
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_micros() as f64 / 1e6
}
