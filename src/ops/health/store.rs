//! Judges what all sets share: the room, the clock, and how the last run ended.

use super::backups::belongs_to;
use super::quantity::{FREE_BYTES, NEEDED_BYTES};
use super::{CLOCK_TOLERANCE, Check, Facts, Space, State, StoreFacts, Subject};
use crate::metadata::Kind;
use crate::names::{Name, printable};
use crate::ops::inventory::Foreign;
use crate::text;

/// The exit code of a wrong command line.
const USAGE: u8 = 2;

/// Judges the store.
pub(super) fn judge(store: &StoreFacts, facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(facts.sets.is_empty().then(|| {
        Check::new("store", &Subject::Store, State::Critical, "no archive and no database to watch")
            .advise("make the first backup with `heirloom backup app.db`, or name the database to look at")
    }));
    checks.extend(store.space.map(|space| space_left(space, store, facts)));
    checks.push(clock(store, facts));
    checks.extend(unreadable(store, facts));
    checks.extend(unread(store));
    checks.extend(interrupted(store, facts));
    checks.extend(last_run(store, facts));
    checks
}

/// What backups of all sets need: each archive stays, and the copies that it is made of are gone before the next set's are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Need {
    archives: u64,
    copies: u64,
}

impl Need {
    fn of(store: &StoreFacts, facts: &Facts) -> Self {
        let mut need = Self::default();
        for set in &facts.sets {
            let of_set = |database: &&super::DatabaseFacts| database.set == *set;
            let live: u64 = facts.databases.iter().filter(of_set).filter_map(|database| Some(database.glance.as_ref().ok()?.bytes)).sum();
            let newest = store.inventory.snapshots.iter().find(|snapshot| snapshot.set == *set && snapshot.kind != Kind::Safety);
            let copies = live.max(newest.and_then(|snapshot| snapshot.unpacked_bytes()).unwrap_or(0));
            // How well a database compresses that was never backed up is not known: not at all, then.
            need.archives += newest.map_or(live, |snapshot| snapshot.bytes);
            need.copies = need.copies.max(copies);
        }
        need
    }

    fn rounds(self, number: u64) -> u64 {
        self.archives * number + self.copies
    }
}

fn space_left(space: Space, store: &StoreFacts, facts: &Facts) -> Check {
    let need = Need::of(store, facts);
    let [one, two] = [need.rounds(1), need.rounds(2)];
    let told = format!("{} of {} free, the next two backups need {}", text::bytes(space.free), text::bytes(space.total), text::bytes(two));
    let advice = "make room: `heirloom cleanup --max-size`, `heirloom rotate`, or another disk";
    let check = if space.free < one {
        Check::new("free_space", &Subject::Store, State::Critical, format!("{told}: the next one will fail")).advise(advice)
    } else if space.free < two {
        Check::new("free_space", &Subject::Store, State::Warning, told).advise(advice)
    } else {
        Check::ok("free_space", &Subject::Store, told)
    };
    check.measure_within(FREE_BYTES, space.free as f64, two as f64, one as f64).measure(NEEDED_BYTES, two as f64)
}

/// Compares the clock with the archives: one that is behind lets backups look fresh for ever.
fn clock(store: &StoreFacts, facts: &Facts) -> Check {
    let watched = |set: &Name| facts.sets.contains(set);
    let newest = store
        .inventory
        .snapshots
        .iter()
        .filter(|snapshot| watched(&snapshot.set))
        .map(|snapshot| (snapshot.created_at, &snapshot.name))
        .max();
    match newest {
        Some((created_at, name)) if created_at > facts.now + CLOCK_TOLERANCE => {
            let value = format!("{} behind the newest archive ({name})", text::measured(created_at - facts.now));
            Check::new("clock", &Subject::Store, State::Warning, value)
                .advise("set the clock of this host (`timedatectl`); if it was ahead when that archive was made, nothing is wrong with the archive but its date")
        }
        _ => Check::ok("clock", &Subject::Store, "not behind the archives"),
    }
}

/// Names files that look like damaged archives and belong to none of the sets that were judged.
fn unreadable(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let strange = |name: &str| !facts.sets.iter().any(|set| belongs_to(name, set));
    let names: Vec<&str> = store
        .inventory
        .foreign
        .iter()
        .filter(|foreign| foreign.damaged && strange(&foreign.name))
        .map(|foreign| foreign.name.as_str())
        .collect();
    let first = names.first()?;
    let value = format!("{}, the first is {}", text::count(names.len() as u64, "file"), printable(first));
    Some(
        Check::new("unreadable", &Subject::Store, State::Warning, value)
            .advise("`heirloom list` shows them, `heirloom verify NAME` says what is wrong"),
    )
}

/// Names archives that the system failed to read. That is no evidence against them, and none for the disk.
fn unread(store: &StoreFacts) -> Option<Check> {
    let unread: Vec<&Foreign> = store.inventory.foreign.iter().filter(|foreign| foreign.unread).collect();
    let first = unread.first()?;
    let value =
        format!("{} could not be read, the first is {}: {}", text::count(unread.len() as u64, "file"), printable(&first.name), first.why);
    Some(
        Check::new("unread", &Subject::Store, State::Critical, value)
            .advise("look at the disk (`dmesg`, `smartctl`), and copy the archives elsewhere while that works"),
    )
}

/// Tells of restores that died between two databases.
fn interrupted(store: &StoreFacts, facts: &Facts) -> Option<Check> {
    let newest = match &store.interrupted {
        Ok(interrupted) => interrupted.last()?,
        Err(why) => {
            return Some(Check::new("restore", &Subject::Store, State::Warning, format!("cannot tell whether one was interrupted: {why}")));
        }
    };
    let targets: Vec<String> = newest.note.targets.iter().map(|target| target.name.to_string()).collect();
    let value = format!(
        "a restore of {} was interrupted, {}: of {} some may be new and some old",
        printable(&newest.note.archive),
        text::age(newest.note.began_at, facts.now),
        targets.join(", ")
    );
    Some(Check::new("restore", &Subject::Store, State::Critical, value).advise("go back with `heirloom restore --undo`, or restore again"))
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
    let concerns = |set: &Option<String>| set.as_deref().is_none_or(|set| facts.sets.iter().any(|watched| watched.as_str() == set));
    // A command line that was mistyped is no backup that failed.
    let last = log.iter().find(|entry| entry.command == "backup" && entry.exit_code != USAGE && concerns(&entry.set))?;
    let age = text::age(last.at, facts.now);
    if last.outcome == "done" {
        return Some(Check::ok("last_run", &Subject::Store, format!("the last backup went well, {age}")));
    }
    let why = last.error.as_deref().unwrap_or("it ended with problems");
    let value = format!("the last backup did not go well, {age}: {}", printable(why));
    Some(Check::new("last_run", &Subject::Store, State::Warning, value).advise("`heirloom log --failed` shows what went wrong before"))
}
