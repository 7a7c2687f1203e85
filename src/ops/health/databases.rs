//! Judges one live database.

use super::backups::OfSet;
use super::shrinkage::Extent;
use super::{CLOCK_TOLERANCE, Check, DatabaseFacts, Examined, Facts, State, StoreFacts, Subject};
use crate::database::{LiveStats, SourceError};
use crate::metadata::Integrity;
use crate::names::printable;
use crate::ops::explain::remedy_for_source;
use crate::report::health::Advice;
use crate::report::quantity::{
    DATABASE_BYTES, DATABASE_FREE_BYTES, DATABASE_ROWS, DATABASE_TABLES, DATABASE_WAL_BYTES, FOREIGN_KEY_VIOLATIONS,
};
use crate::snapshot::{Brief, Snapshot};
use crate::text;

/// From this share of free pages on, and this many bytes in them, VACUUM is suggested.
const FREE_SHARE: f64 = 0.25;
const FREE_BYTES: u64 = 1 << 20;
/// A `-wal` above this size, and twice as large as its database, is not being checkpointed.
const WAL_BYTES: u64 = 16 << 20;
/// A database that doubled since its newest backup, and grew by this much, is reported.
const GROWTH_BYTES: u64 = 64 << 20;
/// How many findings of a check are shown.
const FINDINGS: usize = 3;

/// Judges one database.
pub(super) fn judge(database: &DatabaseFacts, of_set: Option<&OfSet<'_>>, facts: &Facts) -> Vec<Check> {
    let subject = database.subject();
    let glance = match &database.glance {
        Ok(glance) => glance,
        Err(error) => return vec![unusable(&subject, error)],
    };
    // Newest first; what is damaged or dated in the future proves nothing.
    let archived: Vec<Archived<'_>> = of_set.into_iter().flat_map(|of_set| archived(database, of_set, facts)).collect();
    let mut checks =
        vec![Check::ok("database", &subject, format!("opens, {}", printable(&database.path.to_string_lossy())))];
    checks.extend(integrity(&subject, &database.examined, &archived));
    checks.extend(foreign_keys(&subject, &database.examined));
    checks.push(contents(&subject, glance, &database.examined, &archived));
    checks.push(size(&subject, glance, &archived, facts));
    checks.push(free_pages(&subject, glance));
    checks.push(Check::ok("journal_mode", &subject, glance.journal_mode));
    checks.extend(wal(&subject, glance));
    if let (Ok(store), Some(device)) = (&facts.store, database.device) {
        checks.extend(place(&subject, device, store));
    }
    checks
}

/// An archive that holds the database, and what it says about it.
type Archived<'a> = (&'a Snapshot, &'a Brief);

fn archived<'a>(
    database: &'a DatabaseFacts,
    of_set: &'a OfSet<'a>,
    facts: &'a Facts,
) -> impl Iterator<Item = Archived<'a>> {
    let proves = |snapshot: &&Snapshot| snapshot.is_good() && snapshot.created_at <= facts.now + CLOCK_TOLERANCE;
    let own = of_set.archives.iter().copied().filter(proves);
    own.filter_map(|snapshot| database.brief_in(snapshot, &facts.host).map(|brief| (snapshot, brief)))
}

fn unusable(subject: &Subject, error: &SourceError) -> Check {
    let summary = match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let remedy = || remedy_for_source(error).map(Advice::Remedy);
    let (state, advice) = match error {
        // The application is using it: not a problem.
        SourceError::Busy { .. } | SourceError::Exclusive { .. } => (State::Warning, remedy()),
        SourceError::Missing(_) => (State::Critical, Some(Advice::RestoreMissing)),
        SourceError::Io { .. } => (
            State::Critical,
            Some("look at the disk, and at the permissions: run it as the owner of the database".into()),
        ),
        // A restore would replace what is there beside what only the process has.
        SourceError::Unlinked { .. } => (State::Critical, remedy()),
        other => (State::Critical, Some(Advice::RestoreUnusable(remedy_for_source(other)))),
    };
    let check = Check::new("database", subject, state, summary);
    match advice {
        Some(advice) => check.advise(advice),
        None => check,
    }
}

fn integrity(subject: &Subject, examined: &Examined, archived: &[Archived<'_>]) -> Option<Check> {
    let checked = match examined {
        Examined::Not => return None,
        Examined::Failed(why) => {
            let check = Check::new("integrity", subject, State::Warning, format!("could not be checked: {why}"));
            return Some(check.advise(Advice::LeaveCheckOut));
        }
        Examined::Unread(why) => {
            let check = Check::new("integrity", subject, State::Critical, format!("could not be read: {why}"));
            return Some(check.advise(Advice::RestoreToOtherDisk));
        }
        Examined::Copy { checked, .. } => checked,
    };
    let findings = checked.findings.iter().take(FINDINGS).cloned().collect::<Vec<_>>().join("; ");
    let more = checked.findings.len().saturating_sub(FINDINGS);
    let summary = if more > 0 { format!("{findings}; and {more} more") } else { findings };
    Some(match checked.integrity {
        Integrity::Damaged => {
            let advice =
                Advice::CopyAwayAndRestore { newest: archived.first().map(|(archive, _)| archive.name.clone()) };
            Check::new("integrity", subject, State::Critical, format!("damaged: {summary}")).advise(advice)
        }
        Integrity::Indexes => {
            Check::new("integrity", subject, State::Warning, format!("every row can be read, but: {summary}"))
                .advise(Advice::RebuildIndexes)
        }
        Integrity::Partial if checked.has_violations() => {
            Check::new("integrity", subject, State::Warning, format!("not damaged, but: {summary}"))
                .advise("rows break a promise of their table; an application may stumble over them, a restore will not")
        }
        // Only the application has the missing collation or module: there is nothing that an administrator could do.
        Integrity::Partial => Check::ok("integrity", subject, format!("ok as far as it can be checked: {summary}")),
        Integrity::Ok | Integrity::Unchecked => Check::ok("integrity", subject, "ok"),
    })
}

fn foreign_keys(subject: &Subject, examined: &Examined) -> Option<Check> {
    let Examined::Copy { checked, .. } = examined else { return None };
    let violations = checked.foreign_key_violations?;
    let check = if violations == 0 {
        Check::ok("foreign_keys", subject, "ok")
    } else {
        let verb = if violations == 1 { "breaks" } else { "break" };
        let value = format!("{} {verb} a foreign key", text::count(violations, "row"));
        Check::new("foreign_keys", subject, State::Warning, value).advise("`PRAGMA foreign_key_check` lists them")
    };
    Some(check.measure(FOREIGN_KEY_VIOLATIONS, violations as f64))
}

/// Counts tables and rows, and compares them with the newest backups: what vanished now is still in there.
fn contents(subject: &Subject, glance: &LiveStats, examined: &Examined, archived: &[Archived<'_>]) -> Check {
    let rows = match examined {
        Examined::Copy { rows, .. } => *rows,
        Examined::Not | Examined::Failed(_) | Examined::Unread(_) => None,
    };
    let before = archived.first().map(|(_, brief)| Extent::archived(brief));
    let now = Extent { bytes: Some(glance.bytes), tables: glance.tables, rows };
    let mut summary = glance
        .tables
        .map_or_else(|| "tables unknown: not readable in place".to_owned(), |tables| text::count(tables, "table"));
    if let Some(rows) = rows {
        summary = format!("{summary}, {}", text::count(rows, "row"));
    }
    let lost = before.and_then(|before| now.lost_since(before)).zip(archived.first());
    let mut check = match lost {
        None => Check::ok("contents", subject, summary),
        Some(((state, lost), (newest, _))) => {
            let advice = Advice::PinLatest { archive: newest.name.clone() };
            Check::new("contents", subject, state, format!("{lost} since the newest backup")).advise(advice)
        }
    };
    if let Some(tables) = glance.tables {
        check = check.measure(DATABASE_TABLES, tables as f64);
    }
    if let Some(rows) = rows {
        check = check.measure(DATABASE_ROWS, rows as f64);
    }
    check
}

fn size(subject: &Subject, glance: &LiveStats, archived: &[Archived<'_>], facts: &Facts) -> Check {
    let newest = archived.first().and_then(|(archive, brief)| Some((archive, brief.bytes?)));
    let summary = text::bytes(glance.bytes);
    let check = match newest {
        None => Check::ok("size", subject, summary),
        Some((archive, before)) => {
            let age = text::age(archive.created_at, facts.now);
            let change = match glance.bytes.cmp(&before) {
                std::cmp::Ordering::Equal => format!("as in the backup of {age}"),
                std::cmp::Ordering::Greater => {
                    format!("{} more than in the backup of {age}", text::bytes(glance.bytes - before))
                }
                std::cmp::Ordering::Less => {
                    format!("{} less than in the backup of {age}", text::bytes(before - glance.bytes))
                }
            };
            let pace = pace(before, archived).map(|pace| format!(", {} a day", text::bytes(pace))).unwrap_or_default();
            let value = format!("{summary}, {change}{pace}");
            if glance.bytes / 2 > before && glance.bytes - before > GROWTH_BYTES {
                Check::new("size", subject, State::Warning, value).advise(
                    "it more than doubled; see what fills it before the disk is full, with `sqlite3_analyzer` or \
                     `PRAGMA page_count`",
                )
            } else {
                Check::ok("size", subject, value)
            }
        }
    };
    check.measure(DATABASE_BYTES, glance.bytes as f64)
}

/// Returns the growth in bytes a day, over the archives of the last 30 days, where they span at least one day.
fn pace(newest_bytes: u64, archived: &[Archived<'_>]) -> Option<u64> {
    let (newest, _) = archived.first()?;
    let recent = |(archive, _): &&Archived<'_>| newest.created_at - archive.created_at <= chrono::TimeDelta::days(30);
    let (oldest, brief) = archived.iter().take_while(recent).filter(|(_, brief)| brief.bytes.is_some()).last()?;
    let days = (newest.created_at - oldest.created_at).num_seconds() as f64 / 86_400.0;
    let grown = newest_bytes.checked_sub(brief.bytes?)?;
    (days >= 1.0 && grown > 0).then(|| (grown as f64 / days) as u64)
}

fn free_pages(subject: &Subject, glance: &LiveStats) -> Check {
    let free = glance.free_pages * glance.page_bytes;
    let share = if glance.bytes == 0 { 0.0 } else { free as f64 / glance.bytes as f64 };
    let check = Check::ok("free_pages", subject, format!("{:.0}%, {}", share * 100.0, text::bytes(free)));
    // An advice and no warning: nothing is at risk.
    let check = if share > FREE_SHARE && free > FREE_BYTES {
        check.advise(
            "VACUUM gives the space back, when the application can spare the database for as long as that takes",
        )
    } else {
        check
    };
    check.measure(DATABASE_FREE_BYTES, free as f64)
}

fn wal(subject: &Subject, glance: &LiveStats) -> Option<Check> {
    let bytes = glance.wal_bytes?;
    let summary = text::bytes(bytes);
    let check = if bytes > WAL_BYTES && bytes / 2 > glance.bytes {
        Check::new("wal", subject, State::Warning, format!("{summary}, far more than the database")).advise(
            "a reader that never ends keeps it from being checkpointed: end it, then `PRAGMA \
             wal_checkpoint(TRUNCATE)` in the application",
        )
    } else {
        Check::ok("wal", subject, summary)
    };
    Some(check.measure(DATABASE_WAL_BYTES, bytes as f64))
}

/// Reports if database and backups are on one disk. Only advice: most setups start this way.
fn place(subject: &Subject, device: u64, store: &StoreFacts) -> Option<Check> {
    Some(if store.device? == device {
        Check::ok("place", subject, "on the disk of the store: keep copies of the archives on another disk, too")
    } else {
        Check::ok("place", subject, "on another disk than the store")
    })
}
