//! Judges the backups of one set.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::shrinkage::Extent;
use super::{CLOCK_TOLERANCE, Check, DatabaseFacts, Facts, State, StoreFacts, Subject};
use crate::metadata::Kind;
use crate::names::{Name, printable, time_in_name};
use crate::ops::inventory::Foreign;
use crate::report::health::Advice;
use crate::report::quantity::{
    BACKUP_AGE, BACKUP_ARCHIVES, BACKUP_BYTES, BACKUP_TIME, CONFIRMED_TIME, DAMAGED_ARCHIVES, VERIFIED_TIME,
};
use crate::snapshot::{Brief, Snapshot};
use crate::streams::{BOTH_IN_USE, Stream};
use crate::text;
use crate::workspace::{Activity, Seen};

/// Backups closer together than this are one, when the usual interval is learned: tries, or a backup before every step
/// of an update.
const BURST: TimeDelta = TimeDelta::minutes(10);
/// How many of the newest gaps between backups are looked at: older ones are wide because `rotate` thinned them out.
const GAPS: usize = 10;
/// The fewest gaps that make an interval usual: three backups.
const FEWEST_GAPS: usize = 2;
/// How old a backup may be if no limit is set and there are too few to learn from: once a day, with two hours to spare;
/// twice that.
const DEFAULT_AGE: [TimeDelta; 2] = [TimeDelta::hours(26), TimeDelta::hours(50)];
/// How long ago an archive of a set should have been verified at the most.
const VERIFIED: TimeDelta = TimeDelta::days(30);

/// The good archives of one database, newest first, with what each says about it.
struct Line<'a> {
    /// Its display name.
    name: String,
    archives: Vec<(&'a Snapshot, &'a Brief)>,
    stream: Stream,
}

impl Line<'_> {
    /// Returns when this host last found that the database holds what one of these archives holds. A time in the future
    /// proves nothing.
    fn confirmed(&self, seen: &[&Seen], facts: &Facts) -> Option<DateTime<Utc>> {
        let horizon = facts.now + CLOCK_TOLERANCE;
        let holds = |seen: &&&Seen| {
            let of_archive =
                |(snapshot, brief): &(&Snapshot, &Brief)| snapshot.name == seen.archive && brief.stream == seen.stream;
            seen.confirmed_at <= horizon && self.archives.iter().any(of_archive)
        };
        seen.iter().filter(holds).map(|seen| seen.confirmed_at).max()
    }
}

/// The facts about one set, in the order of [`Facts`].
#[derive(Default)]
pub(super) struct OfSet<'a> {
    pub(super) databases: Vec<&'a DatabaseFacts>,
    /// Those of this host.
    pub(super) archives: Vec<&'a Snapshot>,
    /// How many archives are known by their label only.
    closed: u64,
    seen: Vec<&'a Seen>,
    log: Vec<&'a Activity>,
}

impl OfSet<'_> {
    /// Returns the record of an archive that a file was.
    pub(super) fn seen_as(&self, foreign: &Foreign) -> Option<&Seen> {
        self.seen.iter().copied().find(|seen| seen.archive.as_str() == foreign.name)
    }
}

/// Sorts the facts by set, once: there may be thousands of sets.
pub(super) fn by_set<'a>(store: &'a StoreFacts, facts: &'a Facts) -> HashMap<&'a Name, OfSet<'a>> {
    let mut sets: HashMap<&Name, OfSet<'_>> = facts.sets.iter().map(|set| (set, OfSet::default())).collect();
    let mut set_of: HashMap<&str, &Name> = HashMap::new();
    for database in &facts.databases {
        sets.entry(&database.set).or_default().databases.push(database);
    }
    for snapshot in facts.own(store) {
        sets.entry(&snapshot.set).or_default().archives.push(snapshot);
        set_of.insert(snapshot.name.as_str(), &snapshot.set);
    }
    for snapshot in facts.closed(store) {
        sets.entry(&snapshot.set).or_default().closed += 1;
    }
    for seen in &store.seen {
        sets.entry(&seen.stream.set).or_default().seen.push(seen);
    }
    for entry in store.log.iter().flatten() {
        let file = entry.archive.as_deref().map(|archive| archive.rsplit('/').next().unwrap_or(archive));
        let by_name = file.into_iter().flat_map(|file| file.match_indices('_').map(|(at, _)| &file[..at]));
        let named = by_name.chain(entry.set.as_deref()).filter_map(|set| Name::new(set).ok());
        let of_archive = file.and_then(|file| set_of.get(file).copied().cloned());
        // Each set once: an entry may name its set and its archive.
        for set in named.chain(of_archive).collect::<BTreeSet<_>>() {
            if let Some(of_set) = sets.get_mut(&set) {
                of_set.log.push(entry);
            }
        }
    }
    sets
}

/// Judges the backups of a set: those of this host, and where its databases are known only theirs.
pub(super) fn judge(set: &Name, of_set: &OfSet<'_>, store: &StoreFacts, facts: &Facts) -> Vec<Check> {
    let subject = Subject::Set(set.clone());
    let (watched, all) = (&of_set.databases, &of_set.archives);
    let concerns = |snapshot: &&Snapshot| {
        watched.is_empty() || watched.iter().any(|database| database.brief_in(snapshot, &facts.host).is_some())
    };
    let backups: Vec<&Snapshot> = all
        .iter()
        .copied()
        .filter(|snapshot| snapshot.kind != Kind::Safety)
        .filter(|snapshot| concerns(snapshot))
        .collect();
    let horizon = facts.now + CLOCK_TOLERANCE;
    let good: Vec<&Snapshot> =
        backups.iter().copied().filter(|snapshot| snapshot.is_good() && snapshot.created_at <= horizon).collect();
    let lines = lines(watched, &good, facts);
    let unreadable: Vec<&Foreign> = store
        .inventory
        .foreign
        .iter()
        .filter(|foreign| foreign.is_damaged() && (belongs_to(&foreign.name, set) || of_set.seen_as(foreign).is_some()))
        .collect();
    let beginning = store.log.iter().flatten().map(|entry| entry.at).min();

    let unproved = of_set.closed;
    let mut checks = vec![if backups.is_empty() && unproved > 0 {
        // Perhaps they are good, and perhaps somebody else put them there.
        let value = format!("not known: only the labels of {} say so", text::count(unproved, "encrypted archive"));
        Check::new("backup_age", &subject, State::Warning, value).advise(Advice::ProveLabels)
    } else {
        age(&subject, &backups, &good, &lines, of_set, facts)
    }];
    checks.extend(shrunken(&subject, &lines, store, facts));
    checks.extend(two_applications(&subject, watched, all, facts));
    checks.extend(damaged(&subject, of_set, &good, &lines, &unreadable));
    checks.extend(verified(&subject, all, (beginning, &of_set.log), facts));
    checks.push(archives(&subject, all));
    checks
}

/// Returns the archives of each database: of those that are watched, else of those in the newest good archive.
fn lines<'a>(watched: &[&DatabaseFacts], good: &[&'a Snapshot], facts: &Facts) -> Vec<Line<'a>> {
    let line = |name: String, stream: Stream, find: &dyn Fn(&'a Snapshot) -> Option<&'a Brief>| Line {
        name,
        archives: good.iter().filter_map(|snapshot| find(snapshot).map(|brief| (*snapshot, brief))).collect(),
        stream,
    };
    if watched.is_empty() {
        let briefs = good.first().map(|newest| newest.databases.as_slice()).unwrap_or_default();
        let of_brief = |brief: &Brief| {
            let stream = brief.stream.clone();
            line(brief.name.to_string(), stream.clone(), &|snapshot| {
                snapshot.databases.iter().find(|other| other.stream == stream)
            })
        };
        return briefs.iter().map(of_brief).collect();
    }
    let of_database = |database: &&DatabaseFacts| {
        let path = if database.has_twin {
            format!(" ({})", printable(&database.path.to_string_lossy()))
        } else {
            String::new()
        };
        let name = format!("{}{path}", database.name);
        line(name, database.stream.clone(), &|snapshot| database.brief_in(snapshot, &facts.host))
    };
    watched.iter().map(of_database).collect()
}

/// Returns whether the name of an unreadable file is one that an archive of a set would have.
pub(super) fn belongs_to(file: &str, set: &Name) -> bool {
    file.strip_prefix(set.as_str())
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn age(
    subject: &Subject,
    backups: &[&Snapshot],
    good: &[&Snapshot],
    lines: &[Line<'_>],
    of_set: &OfSet<'_>,
    facts: &Facts,
) -> Check {
    let critical = |shown: String| Check::new("backup_age", subject, State::Critical, shown);
    if good.is_empty() {
        return match backups {
            [] => critical("no backup".into()).advise(Advice::FirstBackupOfSet),
            [..] if backups.iter().all(|backup| !backup.is_trusted()) => {
                critical("only plain archives, and archives of this store are to be encrypted".into())
                    .advise(Advice::BackUpNow)
            }
            [newest, ..] if newest.damaged => {
                critical(format!("no good backup, {} damaged", backups.len())).advise(Advice::BackUpNow)
            }
            [..] => Check::new("backup_age", subject, State::Warning, "not known: all backups are dated in the future")
                .advise("set the clock of this host"),
        };
    }
    // A set is as old as the oldest of the newest backups of its databases: one of them alone may have been backed up
    // since.
    let mut created_at = good[0].created_at;
    let mut newest: Option<(DateTime<Utc>, &String)> = None;
    for line in lines {
        let Some((snapshot, _)) = line.archives.first() else {
            let shown = format!("database \"{}\" is in none of the good backups", line.name);
            return critical(shown).advise(Advice::BackUpDatabase);
        };
        created_at = created_at.min(snapshot.created_at);
        // An archive that still holds what the database holds is as good as a new one.
        let as_of = line.confirmed(&of_set.seen, facts).map_or(snapshot.created_at, |at| at.max(snapshot.created_at));
        if newest.is_none_or(|(oldest, _)| as_of < oldest) {
            newest = Some((as_of, &line.name));
        }
    }
    let as_of = newest.map_or(created_at, |(as_of, _)| as_of);
    let database = newest.map(|(_, name)| name).filter(|_| as_of < good[0].created_at);
    let age = (facts.now - as_of).max(TimeDelta::zero());
    let ([warning, critical], why) = limits(facts.max_backup_age, times(subject, good, &of_set.log, facts.now));
    let of = database.map(|name| format!(" of \"{name}\"")).unwrap_or_default();
    let shown = text::measured(age);
    let check = if age > warning {
        let state = if age > critical { State::Critical } else { State::Warning };
        let value = format!("the newest good backup{of} is {shown} old, limit {} ({why})", text::measured(warning));
        Check::new("backup_age", subject, state, value).advise(Advice::BackUpLate)
    } else {
        let confirmed = if as_of > created_at {
            format!(", made {} and found unchanged since", text::age(created_at, facts.now))
        } else {
            String::new()
        };
        Check::ok("backup_age", subject, format!("{shown} old{confirmed}, limit {} ({why})", text::measured(warning)))
    };
    check
        .measure_within(
            BACKUP_AGE,
            age.num_seconds() as f64,
            warning.num_seconds() as f64,
            critical.num_seconds() as f64,
        )
        .measure(BACKUP_TIME, seconds(created_at))
        .measure(CONFIRMED_TIME, seconds(as_of))
}

/// Returns the ages at which a backup is too old and far too old, and where they come from.
fn limits(configured: Option<TimeDelta>, times: Vec<DateTime<Utc>>) -> ([TimeDelta; 2], String) {
    if let Some(limit) = configured {
        return ([limit, limit * 2], "max_backup_age".into());
    }
    match usual_interval(times) {
        // One that is late is no alarm yet; one that is missing is.
        Some(usual) => (
            [usual * 2 + TimeDelta::hours(1), usual * 4 + TimeDelta::hours(2)],
            format!("usually one every {}", text::measured(usual)),
        ),
        None => (DEFAULT_AGE, "assuming one a day".into()),
    }
}

/// Returns when backups of a set were made: those that are there, and those that the log remembers though they were
/// removed since.
fn times(subject: &Subject, good: &[&Snapshot], log: &[&Activity], now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
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

/// Reports missing data: shrinks that were not accepted, and losses since yesterday that are too small or too new to be
/// one.
fn shrunken(subject: &Subject, lines: &[Line<'_>], store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let mut found: Vec<(State, String)> = Vec::new();
    let mut advice: Vec<Advice> = Vec::new();
    let mut compared = false;
    for line in lines {
        let lost = lost(line, &mut compared);
        let open = store
            .open_shrinks
            .iter()
            .find(|shrink| shrink.stream.same_place(&line.stream) && shrink.stream.file == line.stream.file);
        if let Some(shrink) = open {
            let (age, fell) = (text::age(shrink.created_at, facts.now), text::fell(&shrink.before, &shrink.after));
            let state = lost.as_ref().map_or(State::Warning, |(state, ..)| State::Warning.max(*state));
            found.push((state, format!("{}: {fell} in {}, {age}", line.name, shrink.archive)));
            advice.push(Advice::AcceptShrink { archive: shrink.archive.clone() });
        } else if let Some((state, lost, last)) = lost {
            found.push((state, format!("{}: {lost}", line.name)));
            advice.push(Advice::PinBeforeLoss { archive: last.name.clone() });
        }
    }
    let Some(state) = found.iter().map(|(state, _)| *state).max() else {
        return compared.then(|| Check::ok("shrunken", subject, "no"));
    };
    let shown = found.into_iter().map(|(_, shown)| shown).collect::<Vec<_>>().join("; ");
    Some(Check::new("shrunken", subject, state, format!("in the newest backup, {shown}")).advise(Advice::All(advice)))
}

/// Compares the newest archive of a database with those of the day before it, back to one that was accepted. Returns
/// what is missing, and the newest archive that still has it.
fn lost<'a>(line: &Line<'a>, compared: &mut bool) -> Option<(State, String, &'a Snapshot)> {
    let (newest, brief) = line.archives.first()?;
    if newest.accepted {
        return None;
    }
    let accepted = line.archives.iter().position(|(archive, _)| archive.accepted);
    let earlier = &line.archives[1..accepted.map_or(line.archives.len(), |index| index + 1)];
    let now = Extent::archived(brief);
    let before = Extent::most(earlier.iter().copied())?;
    *compared = true;
    let (state, lost) = now.lost_since(before)?;
    // The newest one that still has what is gone: the one before the newest may be as empty.
    let has_more = |(_, brief): &&(&Snapshot, &Brief)| now.lost_since(Extent::archived(brief)).is_some();
    let (last, _) = earlier.iter().find(has_more).unwrap_or(&earlier[0]);
    Some((state, lost, last))
}

/// Reports that another application backs up another file under the same set, host and path.
fn two_applications(subject: &Subject, watched: &[&DatabaseFacts], all: &[&Snapshot], facts: &Facts) -> Option<Check> {
    let recent = |snapshot: &&&Snapshot| {
        snapshot.created_at <= facts.now + CLOCK_TOLERANCE && facts.now - snapshot.created_at < BOTH_IN_USE
    };
    let briefs: Vec<&Brief> = all.iter().filter(recent).flat_map(|snapshot| &snapshot.databases).collect();
    let shares = |database: &&&DatabaseFacts| {
        let of_place = || briefs.iter().filter(|brief| brief.stream.same_place(&database.stream));
        let by_file = of_place().filter_map(|brief| brief.stream.file.as_ref()).next();
        by_file.is_some_and(|file| of_place().any(|brief| brief.file.as_ref().is_some_and(|other| other != file)))
    };
    let shared = watched.iter().find(shares)?;
    let value = format!(
        "another application backs up another file as {}",
        text::stream(&Stream { file: None, ..shared.stream.clone() })
    );
    let advice =
        "give each application its own label: add the line host = \"NAME\" to its configuration, or set HEIRLOOM_HOST";
    Some(Check::new("two_applications", subject, State::Warning, value).advise(advice))
}

fn damaged(
    subject: &Subject,
    of_set: &OfSet<'_>,
    good: &[&Snapshot],
    lines: &[Line<'_>],
    unreadable: &[&Foreign],
) -> Option<Check> {
    let all = &of_set.archives;
    let marked: Vec<&Snapshot> = all.iter().copied().filter(|snapshot| snapshot.damaged).collect();
    let count = marked.len() + unreadable.len();
    if all.is_empty() && count == 0 {
        return None;
    }
    if count == 0 {
        return Some(Check::ok("damaged", subject, "none").measure(DAMAGED_ARCHIVES, 0.0));
    }
    // The newest of a database, or of the set where its description cannot be read.
    let newest_good = good.first().map(|snapshot| snapshot.created_at);
    let time_of = |foreign: &&Foreign| {
        let recorded = of_set.seen_as(foreign).map(|seen| seen.created_at);
        recorded.or_else(|| time_in_name(&foreign.name).map(|time| time.and_utc()))
    };
    let unreadable_is_newest = unreadable.iter().filter_map(time_of).max().is_some_and(|time| Some(time) > newest_good);
    let is_newest = |line: &Line<'_>| {
        let newest_good = line.archives.first().map(|(snapshot, _)| snapshot.created_at);
        let of_line =
            |snapshot: &&&Snapshot| snapshot.databases.iter().any(|brief| brief.stream.same_place(&line.stream));
        marked.iter().filter(of_line).any(|snapshot| Some(snapshot.created_at) > newest_good)
    };
    let marked_is_newest = lines.iter().any(is_newest) || good.is_empty() && !marked.is_empty();
    let names: Vec<String> = marked
        .iter()
        .map(|snapshot| snapshot.name.to_string())
        .chain(unreadable.iter().map(|foreign| printable(&foreign.name).into_owned()))
        .take(3)
        .collect();
    let more = if count > names.len() { " and others" } else { "" };
    let shown = format!("{} ({}{more})", text::count(count as u64, "archive"), names.join(", "));
    let check = if unreadable_is_newest || marked_is_newest {
        let value = format!("{shown}, the newest among them");
        Check::new("damaged", subject, State::Critical, value).advise(Advice::BackUpAndLookAtDisk)
    } else {
        let advice = if marked.is_empty() { Advice::RemoveUnreadable } else { Advice::RemoveDamaged };
        Check::new("damaged", subject, State::Warning, shown).advise(advice)
    };
    Some(check.measure(DAMAGED_ARCHIVES, count as f64))
}

/// Looks up the last clean verify of any archive of the set. `beginning` is that of the whole log; without a log,
/// nothing is known or reported.
fn verified(
    subject: &Subject,
    all: &[&Snapshot],
    (beginning, log): (Option<DateTime<Utc>>, &[&Activity]),
    facts: &Facts,
) -> Option<Check> {
    let now = facts.now;
    let set = subject.set()?;
    let beginning = beginning?;
    all.first()?;
    let of_set = |entry: &&&Activity| {
        let file = entry.archive.as_deref().map(|archive| archive.rsplit('/').next().unwrap_or(archive));
        entry.set.as_deref() == Some(set.as_str())
            || file
                .is_some_and(|file| belongs_to(file, set) || all.iter().any(|snapshot| snapshot.name.as_str() == file))
    };
    let clean = |entry: &&&Activity| entry.command == "verify" && entry.outcome == "done";
    let last = log.iter().filter(clean).filter(of_set).map(|entry| entry.at).max();
    // A set that is new to the store gets the same time until the first verify: each archive was read back when it was
    // made.
    let since = last.unwrap_or_else(|| all.last().map_or(beginning, |oldest| oldest.created_at.max(beginning)));
    let check = if now - since > VERIFIED {
        let shown =
            last.map_or_else(|| "no verify succeeded yet".to_owned(), |last| format!("last {}", text::age(last, now)));
        Check::new("verified", subject, State::Warning, shown).advise(Advice::Verify)
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
    let shown = match all {
        [] => "none".to_owned(),
        all => format!("{}, {}", text::count(all.len() as u64, "archive"), text::bytes(bytes)),
    };
    Check::ok("archives", subject, shown).measure(BACKUP_ARCHIVES, all.len() as f64).measure(BACKUP_BYTES, bytes as f64)
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_micros() as f64 / 1e6
}
