//! Judges what all sets share: the free space, the clock, and how the last run ended.

use std::collections::{BTreeSet, HashMap};

use super::backups::{OfSet, belongs_to};
use super::{CLOCK_TOLERANCE, Check, DatabaseFacts, Facts, Space, State, StoreFacts, Subject};
use crate::metadata::Kind;
use crate::names::{Name, printable};
use crate::ops::inventory::Foreign;
use crate::ops::stale::{Remedy, Stale, Whereabouts};
use crate::report::health::{Advice, Remover};
use crate::report::quantity::{FREE_BYTES, NEEDED_BYTES};
use crate::snapshot::Snapshot;
use crate::text;

/// The exit code of a wrong command line.
const USAGE: u8 = 2;

/// Judges the store.
pub(super) fn judge(store: &StoreFacts, by_set: &HashMap<&Name, OfSet<'_>>, facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(facts.sets.is_empty().then(|| {
        Check::new("store", &Subject::Store, State::Critical, "no archive of this host and no database to watch")
            .advise(Advice::FirstBackup)
    }));
    checks.extend(other_hosts(store, facts));
    checks.extend(plain(store));
    checks.extend(store.space.map(|space| space_left(space, by_set, facts)));
    checks.push(clock(store, facts));
    checks.extend(unreadable(store, by_set, facts));
    checks.extend(unread(store));
    checks.extend(newer_format(store));
    checks.extend(stale(store, facts));
    checks.extend(pending(store));
    checks.extend(interrupted(store, facts));
    checks.extend(last_run(store, facts));
    checks
}

/// What backups of all sets need: each archive stays, and the copies that it is made of are gone before the next set's
/// are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Need {
    archives: u64,
    copies: u64,
}

impl Need {
    fn of(by_set: &HashMap<&Name, OfSet<'_>>, facts: &Facts) -> Self {
        let mut need = Self::default();
        for set in &facts.sets {
            let OfSet { databases: watched, archives, .. } = &by_set[set];
            let live = |database: &&DatabaseFacts| database.glance.as_ref().map_or(0, |glance| glance.bytes);
            let backups = || archives.iter().copied().filter(|snapshot| snapshot.kind != Kind::Safety);
            // Several databases of a set are in one archive, or in one each.
            let mut newest: Vec<&Snapshot> = Vec::new();
            let mut never = 0;
            for database in watched {
                match backups().find(|snapshot| database.brief_in(snapshot, &facts.host).is_some()) {
                    Some(snapshot) if newest.iter().any(|other| other.name == snapshot.name) => {}
                    Some(snapshot) => newest.push(snapshot),
                    // How well a database compresses that was never backed up is not known: not at all, then.
                    None => never += live(database),
                }
            }
            if watched.is_empty() {
                newest.extend(backups().next());
            }
            let unpacked = newest.iter().filter_map(|snapshot| snapshot.unpacked_bytes()).sum();
            need.archives += newest.iter().map(|snapshot| snapshot.bytes).sum::<u64>() + never;
            need.copies = need.copies.max(watched.iter().map(live).sum::<u64>().max(unpacked));
        }
        need
    }

    fn rounds(self, number: u64) -> u64 {
        self.archives * number + self.copies
    }
}

fn space_left(space: Space, by_set: &HashMap<&Name, OfSet<'_>>, facts: &Facts) -> Check {
    let need = Need::of(by_set, facts);
    let [one, two] = [need.rounds(1), need.rounds(2)];
    let summary = format!(
        "{} of {} free, the next two backups need {}",
        text::bytes(space.free),
        text::bytes(space.total),
        text::bytes(two)
    );
    let check = if space.free < one {
        Check::new("free_space", &Subject::Store, State::Critical, format!("{summary}: the next one will fail"))
            .advise(Advice::MakeRoom)
    } else if space.free < two {
        Check::new("free_space", &Subject::Store, State::Warning, summary).advise(Advice::MakeRoom)
    } else {
        Check::ok("free_space", &Subject::Store, summary)
    };
    check.measure_within(FREE_BYTES, space.free as f64, two as f64, one as f64).measure(NEEDED_BYTES, two as f64)
}

/// Compares the clock with the archives: one that is behind lets backups look fresh for ever.
fn clock(store: &StoreFacts, facts: &Facts) -> Check {
    let sets: BTreeSet<&Name> = facts.sets.iter().collect();
    let watched = |set: &Name| sets.contains(set);
    let newest = facts
        .own(store)
        .filter(|snapshot| watched(&snapshot.set))
        .map(|snapshot| (snapshot.created_at, &snapshot.name))
        .max();
    match newest {
        Some((created_at, name)) if created_at > facts.now + CLOCK_TOLERANCE => {
            let value = format!("{} behind the newest archive ({name})", text::measured(created_at - facts.now));
            Check::new("clock", &Subject::Store, State::Warning, value).advise(
                "set the clock of this host (`timedatectl`); if it was ahead when that archive was made, \
                 nothing is wrong with the archive but its date",
            )
        }
        _ => Check::ok("clock", &Subject::Store, "not behind the archives"),
    }
}

/// Counts the archives of other hosts: they decide nothing here.
fn other_hosts(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let others =
        store.inventory.snapshots.iter().filter(|snapshot| !snapshot.is_plain() && !facts.host.owns(&snapshot.host));
    let (mut count, mut hosts) = (0, BTreeSet::new());
    for snapshot in others {
        count += 1;
        hosts.insert(snapshot.host.as_str());
    }
    let hosts: Vec<&str> = hosts.into_iter().collect();
    let value = || format!("{} of {}, not judged here", text::count(count, "archive"), hosts.join(", "));
    (count > 0).then(|| Check::ok("other_hosts", &Subject::Store, value()).advise(Advice::RunThere))
}

/// Counts what other tools left: it proves nothing.
fn plain(store: &StoreFacts) -> Option<Check> {
    let count = store.inventory.snapshots.iter().filter(|snapshot| snapshot.is_plain()).count() as u64;
    let value = || format!("{} of other tools, not counted as backups", text::count(count, "file"));
    (count > 0).then(|| Check::ok("plain", &Subject::Store, value()))
}

/// Reports archives that a newer release wrote: retention leaves everything of their sets alone.
fn newer_format(store: &StoreFacts) -> Option<Check> {
    let newer: Vec<&Foreign> = store.inventory.foreign.iter().filter(|foreign| foreign.newer().is_some()).collect();
    let first = newer.first()?;
    let value = format!(
        "{} written by a newer heirloom, the first is {}",
        text::count(newer.len() as u64, "archive"),
        printable(&first.name)
    );
    let check = Check::new("newer_format", &Subject::Store, State::Warning, value);
    Some(check.advise("update heirloom on this host; until then nothing of the same sets is removed"))
}

/// Names streams that get no archives any more. A warning only where a command ends it.
fn stale(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    // The age of one that is watched and there is reported already.
    let is_watched = |stale: &Stale| facts.databases.iter().any(|database| database.stream == stale.stream);
    let is_news =
        |stale: &&Stale| if stale.database == Whereabouts::Gone { stale.superfluous > 0 } else { !is_watched(stale) };
    let old: Vec<&Stale> = store.stale.iter().filter(is_news).collect();
    // One whose database is gone first: something can be done about it.
    let first = old.iter().find(|stale| stale.database == Whereabouts::Gone).or(old.first())?;
    let number = text::count(old.len() as u64, "database");
    let value = format!(
        "{number} without a new archive for 90 days: {}, {}",
        text::stream(&first.stream),
        text::age(first.newest, facts.now)
    );
    let set = &first.stream.set;
    Some(match first.database {
        Whereabouts::Gone => {
            let by = if first.remedy == Remedy::Cleanup { Remover::Cleanup } else { Remover::Rotate };
            Check::new("stale", &Subject::Store, State::Warning, value)
                .advise(Advice::RemoveGone { set: set.clone(), by })
        }
        Whereabouts::There => {
            let path = first.stream.path().unwrap_or_default().into();
            Check::ok("stale", &Subject::Store, value).advise(Advice::BackUpStale { path, set: set.clone() })
        }
        Whereabouts::Unknown => Check::ok("stale", &Subject::Store, value),
    })
}

/// Counts the safety backups that wait to be sent to the store.
fn pending(store: &StoreFacts) -> Option<Check> {
    match &store.pending {
        Ok(0) => None,
        Ok(count) => {
            let value = format!("{} not in the store yet", text::count(*count as u64, "safety backup"));
            let check = Check::new("pending", &Subject::Store, State::Warning, value);
            Some(check.advise(Advice::SendPending))
        }
        Err(why) => {
            let value = format!("cannot look for safety backups that wait: {why}");
            Some(Check::new("pending", &Subject::Store, State::Warning, value))
        }
    }
}

/// Names files that look like damaged archives and belong to none of the sets that were judged.
fn unreadable(store: &StoreFacts, by_set: &HashMap<&Name, OfSet<'_>>, facts: &Facts) -> Option<Check> {
    let is_of =
        |foreign: &Foreign, set: &Name| belongs_to(&foreign.name, set) || by_set[set].seen_as(foreign).is_some();
    let strange = |foreign: &Foreign| !facts.sets.iter().any(|set| is_of(foreign, set));
    let names: Vec<&str> = store
        .inventory
        .foreign
        .iter()
        .filter(|foreign| foreign.is_damaged() && strange(foreign))
        .map(|foreign| foreign.name.as_str())
        .collect();
    let first = names.first()?;
    let value = format!("{}, the first is {}", text::count(names.len() as u64, "file"), printable(first));
    Some(Check::new("unreadable", &Subject::Store, State::Warning, value).advise(Advice::ListAndVerify))
}

/// Names archives that the system failed to read. That is no evidence against them, and none for the disk.
fn unread(store: &StoreFacts) -> Option<Check> {
    let unread: Vec<&Foreign> = store.inventory.foreign.iter().filter(|foreign| foreign.is_unread()).collect();
    let first = unread.first()?;
    let value = format!(
        "{} could not be read, the first is {}: {}",
        text::count(unread.len() as u64, "file"),
        printable(&first.name),
        first.why
    );
    Some(
        Check::new("unread", &Subject::Store, State::Critical, value)
            .advise("look at the disk (`dmesg`, `smartctl`), and copy the archives elsewhere while that works"),
    )
}

/// Reports restores that were interrupted between two databases.
fn interrupted(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let newest = match &store.interrupted {
        Ok(interrupted) => interrupted.last()?,
        Err(why) => {
            return Some(Check::new(
                "restore",
                &Subject::Store,
                State::Warning,
                format!("cannot tell whether one was interrupted: {why}"),
            ));
        }
    };
    let targets: Vec<String> = newest.note.targets.iter().map(|target| target.name.to_string()).collect();
    let value = format!(
        "a restore of {} was interrupted, {}: of {} some may be new and some old",
        printable(&newest.note.archive),
        text::age(newest.note.began_at, facts.now),
        targets.join(", ")
    );
    Some(Check::new("restore", &Subject::Store, State::Critical, value).advise(Advice::UndoOrRestore))
}

/// Says whether the last backup failed. An age that is still within its limit would hide it.
fn last_run(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let log = match &store.log {
        Ok(log) => log,
        Err(why) => {
            let check = Check::new("last_run", &Subject::Store, State::Warning, printable(why).into_owned());
            return Some(check.advise("it holds nothing but history: it may be removed"));
        }
    };
    let concerns = |set: &Option<String>| {
        set.as_deref().is_none_or(|set| facts.sets.iter().any(|watched| watched.as_str() == set))
    };
    // A command line that was mistyped is no backup that failed.
    let last =
        log.iter().find(|entry| entry.command == "backup" && entry.exit_code != USAGE && concerns(&entry.set))?;
    let age = text::age(last.at, facts.now);
    if last.outcome == "done" {
        return Some(Check::ok("last_run", &Subject::Store, format!("the last backup went well, {age}")));
    }
    let why = last.error.as_deref().unwrap_or("it ended with problems");
    let value = format!("the last backup did not go well, {age}: {}", printable(why));
    Some(Check::new("last_run", &Subject::Store, State::Warning, value).advise(Advice::SeeFailures))
}
