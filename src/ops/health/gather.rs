//! Collects the facts. Live databases are only looked at; what is checked is a copy in scratch.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{DatabaseFacts, Examined, Facts, Space, StoreFacts};
use crate::activity;
use crate::clock::Clock;
use crate::database::{self, Depth, Effort, Glance, Limits, Source, SourceError};
use crate::metadata::{Integrity, Kind};
use crate::names::Name;
use crate::ops::inventory::{Inventory, Reading, inventory};
use crate::ops::resolve::in_store;
use crate::ops::restore;
use crate::progress::{Interrupted, Progress, Stage};
use crate::scratch::Scratch;
use crate::store::{LocalStore, StoreError};
use crate::streams::OwnHost;

/// How long a database that is busy is waited for: health is asked often, by things that wait for the answer.
const BUSY: Duration = Duration::from_secs(5);
/// How far back the log is read.
const LOG_REACH: TimeDelta = TimeDelta::days(366);
/// In how many of the newest archives of a set the paths of its databases are looked for: other hosts may use the store, too.
const ARCHIVES_WITH_SOURCES: usize = 10;

/// Which databases to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// These, by set: the configured ones.
    Sets(Vec<(Name, Vec<Source>)>),
    /// These files; where no archive is of the set, the set that has a database of that name is meant.
    Files(Name, Vec<Source>),
    /// What the newest archive of each set says where its databases are, if it was made on this host.
    Recorded {
        /// Of this set alone.
        set: Option<Name>,
        /// These databases alone; all where it is empty.
        only: Vec<Name>,
    },
}

/// What to look at, and how.
pub struct Request<'a> {
    /// The databases.
    pub watched: Watched,
    /// How the copies are checked; without a copy nothing is.
    pub depth: Depth,
    /// The store, or why it cannot be reached.
    pub store: Result<&'a LocalStore, &'a StoreError>,
    /// Where the store is.
    pub location: String,
    /// A folder for temporary files, for copies where the store has no room or cannot be written.
    pub temporary: &'a Path,
    /// The time.
    pub now: DateTime<Utc>,
    /// The time, for copies.
    pub clock: &'a Clock,
    /// The labels that are this host's own.
    pub host: &'a OwnHost,
    /// How archives are read that record no zone or no host.
    pub reading: &'a Reading,
    /// How old the newest good backup may be.
    pub max_backup_age: Option<Duration>,
}

/// Collects everything. What cannot be had is a fact; only an interruption is an error.
pub fn gather(request: &Request<'_>, progress: &dyn Progress) -> Result<Facts, Interrupted> {
    let store = store_facts(request, progress)?;
    let inventory = store.as_ref().ok().map(|store| &store.inventory);
    let databases = watched(request, inventory);
    let mut sets: BTreeSet<Name> = databases.iter().map(|(set, _)| set.clone()).collect();
    if let (Watched::Recorded { set: only, .. }, Some(inventory)) = (&request.watched, inventory) {
        // Sets whose databases are on other hosts are watched, too: their backups are here.
        sets.extend(
            inventory.snapshots.iter().map(|snapshot| &snapshot.set).filter(|set| only.as_ref().is_none_or(|only| only == *set)).cloned(),
        );
        sets.extend(only.clone());
    }
    let mut found = Vec::new();
    for (set, source) in databases {
        found.push(look(request, set, source, progress)?);
    }
    Ok(Facts {
        now: request.now,
        max_backup_age: request.max_backup_age.and_then(|age| TimeDelta::from_std(age).ok()),
        location: request.location.clone(),
        store,
        sets: sets.into_iter().collect(),
        databases: found,
    })
}

fn store_facts(request: &Request<'_>, progress: &dyn Progress) -> Result<Result<StoreFacts, String>, Interrupted> {
    let told = |error: &dyn std::error::Error| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let store = match request.store {
        Ok(store) => store,
        Err(error) => return Ok(Err(told(error))),
    };
    let inventory = match inventory(store, request.reading, progress) {
        Ok(inventory) => inventory,
        Err(error) if error.chain().any(|cause| cause.is::<Interrupted>()) => return Err(Interrupted),
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let since = request.now.checked_sub_signed(LOG_REACH);
    Ok(Ok(StoreFacts {
        inventory,
        log: activity::read(&store.private(), since, false).map_err(|error| error.to_string()),
        interrupted: restore::interrupted(store).map_err(|error| error.to_string()),
        space: space(store.root()),
        device: device(store.root()),
    }))
}

/// Returns the room on a file system; `None` where the system does not tell.
fn space(folder: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(Space { free: found.f_bavail.saturating_mul(found.f_frsize), total: found.f_blocks.saturating_mul(found.f_frsize) })
}

fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.dev())
}

fn watched(request: &Request<'_>, inventory: Option<&Inventory>) -> Vec<(Name, Source)> {
    match &request.watched {
        Watched::Sets(sets) => {
            sets.iter().flat_map(|(set, sources)| sources.iter().map(move |source| (set.clone(), source.clone()))).collect()
        }
        Watched::Files(set, sources) => sources.iter().map(|source| (set_of(set, source, inventory), source.clone())).collect(),
        Watched::Recorded { set, only } => match (request.store, inventory) {
            (Ok(store), Some(inventory)) => {
                let mut found = recorded(request, store, inventory, set.as_ref());
                found.retain(|(_, source)| only.is_empty() || only.contains(&source.name));
                found
            }
            _ => Vec::new(),
        },
    }
}

/// Returns the set that a file belongs to: the given one, or, where nothing was ever archived as that, the one that has a database of its name.
fn set_of(given: &Name, source: &Source, inventory: Option<&Inventory>) -> Name {
    let snapshots = inventory.map(|inventory| inventory.snapshots.as_slice()).unwrap_or_default();
    if snapshots.iter().any(|snapshot| snapshot.set == *given) {
        return given.clone();
    }
    snapshots
        .iter()
        .find(|snapshot| snapshot.brief(source.name.as_str()).is_some())
        .map_or_else(|| given.clone(), |snapshot| snapshot.set.clone())
}

/// Finds the databases where the newest archives say that they were, if those were made on this host.
fn recorded(request: &Request<'_>, store: &LocalStore, inventory: &Inventory, only: Option<&Name>) -> Vec<(Name, Source)> {
    let sets: BTreeSet<&Name> =
        inventory.snapshots.iter().map(|snapshot| &snapshot.set).filter(|set| only.is_none_or(|only| only == *set)).collect();
    let mut found = Vec::new();
    for set in sets {
        let of_set = inventory.snapshots.iter().filter(|snapshot| snapshot.set == *set && snapshot.kind != Kind::Safety);
        let sources = of_set.take(ARCHIVES_WITH_SOURCES).find_map(|snapshot| {
            // One that went away or cannot be read any more has nothing to say here; the checks of the set tell it.
            let selected = in_store(store, snapshot.name.as_str(), request.reading).ok()?;
            let contents = selected.archive.contents();
            contents.metadata.as_ref().filter(|metadata| request.host.owns(&metadata.label()))?;
            let sources = contents.databases.iter().filter_map(|held| {
                let path = held.source.as_ref().map(PathBuf::from).filter(|path| path.is_absolute())?;
                Some((set.clone(), Source { name: held.name.clone(), path }))
            });
            Some(sources.collect::<Vec<_>>())
        });
        found.extend(sources.unwrap_or_default());
    }
    found
}

fn look(request: &Request<'_>, set: Name, source: Source, progress: &dyn Progress) -> Result<DatabaseFacts, Interrupted> {
    progress.checkpoint()?;
    let seen = database::refuse_unlinked(&source.path).and_then(|()| database::glance(&source.path, BUSY, progress));
    let glance = match seen {
        Err(SourceError::Interrupted(interrupted)) => return Err(interrupted),
        other => other,
    };
    let mut facts = DatabaseFacts {
        set,
        name: source.name.clone(),
        device: device(&source.path),
        path: source.path.clone(),
        glance,
        examined: Examined::Not,
    };
    if request.depth != Depth::None
        && let Ok(seen) = &facts.glance
    {
        facts.examined = match examine(request, &source, seen, progress) {
            Ok(examined) => examined,
            Err(SourceError::Interrupted(interrupted)) => return Err(interrupted),
            Err(SourceError::Damaged { why, .. } | SourceError::NotADatabase { why, .. }) => Examined::Copy {
                checked: database::Checked { integrity: Integrity::Damaged, findings: vec![why], foreign_key_violations: None },
                rows: None,
            },
            Err(error @ SourceError::Io { .. }) if error.is_about(&source.path) => {
                Examined::Unread(format!("{:#}", anyhow::Error::from(error)))
            }
            Err(error) => Examined::Failed(format!("{:#}", anyhow::Error::from(error))),
        };
    }
    Ok(facts)
}

/// Copies a database into scratch and checks the copy.
fn examine(request: &Request<'_>, source: &Source, seen: &Glance, progress: &dyn Progress) -> Result<Examined, SourceError> {
    let Some(scratch) = scratch(request, seen.bytes) else {
        return Ok(Examined::Failed("there is no room for a copy, neither in the store nor in the folder for temporary files".into()));
    };
    let limits = Limits { busy: BUSY, ..Limits::default() };
    let pinned = database::pin(std::slice::from_ref(source), scratch.path(), request.clock, &limits, progress)?;
    let copy = scratch.path().join("copy.db");
    for database in pinned.databases {
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        database.copy_to(&copy, &limits, progress)?;
    }
    progress.begin(Stage::Check, source.name.as_str(), 0);
    let checked = database::check(&copy, request.depth, Effort::single(), progress).map_err(|error| error.of(&source.path))?;
    let rows = match database::facts(&copy) {
        Ok(facts) => database::count_rows(&copy, &facts.tables, progress)?.into_iter().sum(),
        // Its schema is damaged, which the check has said.
        Err(_) => None,
    };
    Ok(Examined::Copy { checked, rows })
}

/// Makes scratch where twice the size of the copy is free: a check must not be what fills a disk. In the store, or else among the temporary files.
fn scratch(request: &Request<'_>, bytes: u64) -> Option<Scratch> {
    let has_room = |folder: &Path| space(folder).is_none_or(|space| space.free / 2 >= bytes);
    let in_store = || {
        let store = request.store.ok().filter(|store| has_room(store.root()))?;
        Scratch::in_store(&store.create_private().ok()?).ok()
    };
    in_store().or_else(|| has_room(request.temporary).then(|| Scratch::beside(request.temporary).ok())?)
}
