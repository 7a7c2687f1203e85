//! Collects the facts. Live databases are only looked at; what is checked is a copy in scratch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{CopyFacts, DatabaseFacts, Examined, Facts, Space, StoreFacts};
use crate::clock::Clock;
use crate::database::{self, Depth, Effort, LiveStats, Source, SourceError, Timeouts};
use crate::failure::is_interruption;
use crate::metadata::{Integrity, Kind, counted_rows};
use crate::names::{HostLabel, Name};
use crate::ops::Repository;
use crate::ops::backup::own_stream;
use crate::ops::copies::Known;
use crate::ops::inventory::{Inventory, Reading, shared_inventory};
use crate::ops::restore;
use crate::ops::stale::{STALE_AFTER, Stale, Whereabouts, stale};
use crate::platform;
use crate::progress::{Interrupted, Progress, Stage};
use crate::retention::{self, Policy, Retention, Scene, Scope};
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::streams::{OwnHost, Stream};
use crate::workspace::Scratch;
use crate::workspace::verified::VerifiedStore;

/// How long to wait for a busy database: health runs often, and its callers wait for the answer.
const BUSY: Duration = Duration::from_secs(5);
/// How far back the log is read.
const LOG_REACH: TimeDelta = TimeDelta::days(366);

/// Which databases to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// These, by set: the configured ones.
    Sets(Vec<(Name, Vec<Source>)>),
    /// These files; where no archive is of the set, the set that has a database of that name is meant.
    Files(Name, Vec<Source>),
    /// Those that the archives of this host record: where the newest one of each says that it is.
    Recorded {
        /// Of this set alone.
        set: Option<Name>,
        /// These databases alone; all where it is empty.
        only: Vec<Name>,
    },
}

/// A further store, and what is remembered of it.
pub struct FurtherStore {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub location: String,
    /// Its last listing and its rules.
    pub known: Known,
    /// When it was last verified.
    pub verified: Option<VerifiedStore>,
}

/// What to look at, and how.
pub struct Request<'a> {
    /// The databases.
    pub watched: Watched,
    /// How the copies are checked; without a copy nothing is.
    pub depth: Depth,
    /// The store, or why it cannot be reached.
    pub store: Result<&'a Repository, &'a StoreError>,
    /// Where the store is.
    pub location: String,
    /// A folder for temporary files, for copies where the store has no room or cannot be written.
    pub temporary: &'a Path,
    /// The clock.
    pub clock: &'a Clock,
    /// The labels that are this host's own.
    pub host: &'a OwnHost,
    /// How archives are read that record no zone or no host.
    pub reading: &'a Reading,
    /// How old the newest good backup may be.
    pub max_backup_age: Option<Duration>,
    /// The policy of `rotate`, if there is one.
    pub rotation: Option<Policy>,
    /// The sets with `shrink = "off"`.
    pub shrinks_off: BTreeSet<Name>,
    /// The further stores.
    pub copies: Vec<FurtherStore>,
    /// When somebody last tried the key elsewhere.
    pub key_checked: Option<DateTime<Utc>>,
}

/// Collects everything. What cannot be read is a fact; only an interruption is an error.
pub fn gather(request: &Request<'_>, progress: &dyn Progress) -> Result<Facts, Interrupted> {
    let now = request.clock.now();
    let store = store_facts(request, now, progress)?;
    let inventory = store.as_ref().ok().map(|store| &*store.inventory);
    let stale = store.as_ref().map(|store| store.stale.as_slice()).unwrap_or_default();
    let databases = watched(request, inventory, stale);
    let mut sets: BTreeSet<Name> = databases.iter().map(|(set, _)| set.clone()).collect();
    if let (Watched::Recorded { set: only, .. }, Some(inventory)) = (&request.watched, inventory) {
        // Sets of this host whose databases are not known are watched, too: their backups are here.
        let own = |snapshot: &&Snapshot| {
            let own = !snapshot.is_plain() && !snapshot.is_closed() && request.host.owns(&snapshot.host);
            own && snapshot.databases.iter().any(|brief| !is_given_up(&brief.stream, stale))
        };
        let own = inventory.snapshots.iter().filter(own);
        sets.extend(
            own.map(|snapshot| &snapshot.set).filter(|set| only.as_ref().is_none_or(|only| only == *set)).cloned(),
        );
        sets.extend(only.clone());
    }
    let mut named: BTreeMap<(&Name, &Name), usize> = BTreeMap::new();
    for (set, source) in &databases {
        *named.entry((set, &source.name)).or_default() += 1;
    }
    // A set may be one of thousands.
    let mut archives: HashMap<&Name, Vec<&Snapshot>> = HashMap::new();
    for snapshot in inventory.into_iter().flat_map(|inventory| &inventory.snapshots) {
        archives.entry(&snapshot.set).or_default().push(snapshot);
    }
    let (mut found, mut deleted) = (Vec::new(), database::DeletedFiles::default());
    for (set, source) in &databases {
        let stream = own_stream(source, set, &request.host.label, archives.get(set).map_or(&[], Vec::as_slice), now);
        let facts = look(request, &mut deleted, (set.clone(), source.clone()), stream, progress)?;
        found.push(DatabaseFacts { has_twin: named[&(set, &source.name)] > 1, ..facts });
    }
    Ok(Facts {
        now,
        max_backup_age: request.max_backup_age.and_then(|age| TimeDelta::from_std(age).ok()),
        host: request.host.clone(),
        location: request.location.clone(),
        store,
        sets: sets.into_iter().collect(),
        databases: found,
    })
}

fn store_facts(
    request: &Request<'_>,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<Result<StoreFacts, String>, Interrupted> {
    let reason = |error: &dyn std::error::Error| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let store = match request.store {
        Ok(store) => store,
        Err(error) => return Ok(Err(reason(error))),
    };
    let inventory = match shared_inventory(store, request.reading, progress) {
        Ok(inventory) => inventory,
        Err(error) if is_interruption(&error) => return Err(Interrupted),
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let since = now.checked_sub_signed(LOG_REACH);
    let log = store.workspace().activities(since, false).map(|mut log| {
        log.retain(|entry| request.host.owns(&HostLabel::from_host_name(&entry.host)));
        log
    });
    let scene = Scene { shrinks_off: request.shrinks_off.clone(), ..Scene::new(now, request.reading.opener.zone) };
    let stale = stale(&inventory.snapshots, request.host, request.rotation, &scene, STALE_AFTER);
    let databases = watched(request, Some(&inventory), &stale);
    let beside = databases.iter().map(|(_, source)| source.path.as_path());
    Ok(Ok(StoreFacts {
        interrupted: restore::interrupted(Some(store.workspace()), beside).map_err(|error| error.to_string()),
        seen: store.workspace().all_seen(),
        copies: copies(request, &inventory, &scene),
        open_shrinks: Retention::Cleanup(retention::Limits::default()).plan(&inventory.snapshots, &scene).open_shrinks,
        stale,
        inventory,
        log: log.map_err(|error| error.to_string()),
        pending: store.workspace().pending_names().map(|names| names.len()).map_err(|error| error.to_string()),
        space: store
            .store()
            .folder()
            .and_then(|folder| platform::room(folder).ok())
            .map(|room| Space { free: room.free, total: room.total }),
        device: store.store().folder().and_then(|folder| platform::device(folder).ok()),
        key_tried: store.workspace().key_used().max(request.key_checked),
    }))
}

fn copies(request: &Request<'_>, inventory: &Inventory, scene: &Scene<'_>) -> Vec<CopyFacts> {
    let own = request.host.former.iter().chain([&request.host.label]).cloned().collect();
    let scene = Scene { scope: Scope { hosts: Some(own), ..Scope::everything() }, ..scene.clone() };
    let facts = |copy: &FurtherStore| CopyFacts {
        name: copy.name.clone(),
        location: copy.location.clone(),
        record: copy.known.record.clone(),
        missing: copy.known.missing(&inventory.snapshots, &scene).len(),
        verified: copy.verified.clone(),
    };
    request.copies.iter().map(facts).collect()
}

fn watched(request: &Request<'_>, inventory: Option<&Inventory>, stale: &[Stale]) -> Vec<(Name, Source)> {
    match &request.watched {
        Watched::Sets(sets) => sets
            .iter()
            .flat_map(|(set, sources)| sources.iter().map(move |source| (set.clone(), source.clone())))
            .collect(),
        Watched::Files(set, sources) => {
            sources.iter().map(|source| (set_of(request, set, source, inventory), source.clone())).collect()
        }
        Watched::Recorded { set, only } => match inventory {
            Some(inventory) => {
                let mut found = recorded(request, inventory, stale, set.as_ref());
                found.retain(|(_, source)| only.is_empty() || only.contains(&source.name));
                found
            }
            None => Vec::new(),
        },
    }
}

/// Returns the set that a file belongs to: the given one, or, where this host has no archive of it in that, the one
/// that has.
fn set_of(request: &Request<'_>, given: &Name, source: &Source, inventory: Option<&Inventory>) -> Name {
    let snapshots = inventory.map(|inventory| inventory.snapshots.as_slice()).unwrap_or_default();
    let path = platform::resolved(&source.path).to_string_lossy().into_owned();
    let holds = |stream: &&Stream| request.host.owns(&stream.host) && stream.path() == Some(path.as_str());
    let sets: Vec<&Name> =
        snapshots.iter().flat_map(Snapshot::streams).filter(holds).map(|stream| &stream.set).collect();
    if sets.contains(&given) { given.clone() } else { sets.first().map_or_else(|| given.clone(), |set| (*set).clone()) }
}

/// Returns whether a database was abandoned: it is gone, got no archive for 90 days, and nothing is left but the newest
/// one and what other databases need.
fn is_given_up(stream: &Stream, stale: &[Stale]) -> bool {
    stale.iter().any(|stale| stale.stream == *stream && stale.database == Whereabouts::Gone && stale.superfluous == 0)
}

/// Finds the databases of this host where its archives say that they were.
///
/// A database that is not at its path any more counts only where no newer archive knows one of its name: it was moved.
fn recorded(request: &Request<'_>, inventory: &Inventory, stale: &[Stale], only: Option<&Name>) -> Vec<(Name, Source)> {
    let own = |snapshot: &&Snapshot| {
        !snapshot.is_plain()
            && !snapshot.is_closed()
            && snapshot.kind != Kind::Safety
            && request.host.owns(&snapshot.host)
            && only.is_none_or(|only| *only == snapshot.set)
    };
    let mut found: Vec<(Name, Source)> = Vec::new();
    // The newest archive of each set says which databases it has now.
    let mut current: BTreeMap<&Name, BTreeSet<&Name>> = BTreeMap::new();
    for snapshot in inventory.snapshots.iter().filter(own) {
        let names = current.entry(&snapshot.set).or_insert_with(|| snapshot.set_databases.iter().collect());
        for brief in snapshot.databases.iter().filter(|brief| !is_given_up(&brief.stream, stale)) {
            let Some(path) = brief.source.as_ref().filter(|path| Path::new(path).is_absolute()) else { continue };
            let resolved = |path: &Path| platform::resolved(path);
            let source = Source { name: brief.name.clone(), path: path.into() };
            let mut same_name =
                found.iter().filter(|(set, other)| *set == snapshot.set && other.name == source.name).peekable();
            let is_first = same_name.peek().is_none();
            if same_name.any(|(_, other)| resolved(&other.path) == resolved(&source.path)) {
                continue;
            }
            let is_there = fs::symlink_metadata(&source.path).is_ok();
            let is_young = request.clock.now() - snapshot.created_at <= STALE_AFTER;
            if is_first && names.contains(&brief.name) || is_there && is_young {
                found.push((snapshot.set.clone(), source));
            }
        }
    }
    found.sort_by(|(set, source), (other, another)| {
        (set, &source.name, &source.path).cmp(&(other, &another.name, &another.path))
    });
    found
}

fn look(
    request: &Request<'_>,
    deleted: &mut database::DeletedFiles,
    (set, source): (Name, Source),
    stream: Stream,
    progress: &dyn Progress,
) -> Result<DatabaseFacts, Interrupted> {
    progress.checkpoint()?;
    let seen = database::refuse_unlinked_among(deleted, &source.path)
        .and_then(|()| database::live_stats(&source.path, BUSY, progress));
    let glance = match seen {
        Err(SourceError::Interrupted(interrupted)) => return Err(interrupted),
        other => other,
    };
    let mut facts = DatabaseFacts {
        set,
        name: source.name.clone(),
        device: platform::device(&source.path).ok(),
        path: source.path.clone(),
        stream,
        has_twin: false,
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
                checked: database::Checked {
                    integrity: Integrity::Damaged,
                    findings: vec![why],
                    foreign_key_violations: None,
                    rebuild: Vec::new(),
                },
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
fn examine(
    request: &Request<'_>,
    source: &Source,
    seen: &LiveStats,
    progress: &dyn Progress,
) -> Result<Examined, SourceError> {
    let Some(scratch) = scratch(request, seen.bytes) else {
        return Ok(Examined::Failed(
            "there is no room for a copy, neither in the store nor in the folder for temporary files".into(),
        ));
    };
    let limits = Timeouts { busy: BUSY, ..Timeouts::default() };
    let pinned = database::pin(std::slice::from_ref(source), scratch.path(), request.clock, &limits, progress)?;
    let copy = scratch.path().join("copy.db");
    for database in pinned.databases {
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        database.copy_to(&copy, &limits, progress)?;
    }
    progress.begin(Stage::Check, source.name.as_str(), 0);
    let checked =
        database::check(&copy, request.depth, Effort::single(), progress).map_err(|error| error.of(&source.path))?;
    let rows = match database::facts(&copy) {
        Ok(facts) => {
            let rows = database::count_rows(&copy, &facts.tables, progress)?;
            // As in the metadata of an archive, which this is compared with.
            if checked.integrity == Integrity::Damaged { rows.into_iter().sum() } else { counted_rows(&rows) }
        }
        // Its schema is damaged, which the check has said.
        Err(_) => None,
    };
    Ok(Examined::Copy { checked, rows })
}

/// Makes scratch where twice the size of the copy is free: a check must not be what fills a disk. In the store, or else
/// among the temporary files.
fn scratch(request: &Request<'_>, bytes: u64) -> Option<Scratch> {
    let has_room = |folder: &Path| platform::free_bytes(folder).ok().is_none_or(|free| free / 2 >= bytes);
    let in_store = || {
        let workspace = request.store.ok()?.workspace();
        workspace.create_scratch_folder().ok().filter(|folder| has_room(folder))?;
        workspace.scratch().ok()
    };
    in_store().or_else(|| has_room(request.temporary).then(|| Scratch::beside(request.temporary).ok())?)
}
