//! Backs up a set: plan, capture, pack.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};

use super::inventory::{Reading, inventory};
use super::leftovers::{sweep_leftovers, sweep_leftovers_beside};
use super::pack::{Packed, Provenance, Request, Staged, pack};
use super::resolve::in_store;
use crate::clock::Clock;
use crate::database::{Limits, Source, SourceError, pin};
use crate::holds;
use crate::latest::Remembered;
use crate::lock::StoreLock;
use crate::metadata::{DatabaseMetadata, Extent, Kind};
use crate::names::{ArchiveName, HostLabel, Name};
use crate::platform;
use crate::progress::{Progress, Stage};
use crate::remembered;
use crate::retention;
use crate::scratch::{Scratch, sweep_beside};
use crate::snapshot::Snapshot;
use crate::store::{LocalStore, Store as _, StoreError};
use crate::streams::{self, Place, Stream};

/// What a backup is going to do. `--dry-run` prints it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The databases that are backed up.
    pub sources: Vec<Source>,
    /// The databases that are not there, where that was allowed.
    pub missing: Vec<Source>,
    /// How the archive is made; `absent` names the missing ones and those that were not chosen.
    pub request: Request,
}

/// What to do about databases that do not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Refuse the backup.
    Fail,
    /// Back up the others.
    Skip,
}

/// Decides what is backed up. Looks at the paths, changes nothing.
pub fn plan(sources: Vec<Source>, if_missing: IfMissing, mut request: Request) -> Result<Plan, SourceError> {
    let mut present = Vec::new();
    let mut missing = Vec::new();
    for source in sources {
        match std::fs::metadata(&source.path) {
            Ok(_) => present.push(source),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => match if_missing {
                IfMissing::Fail => return Err(SourceError::Missing(source.path)),
                IfMissing::Skip => missing.push(source),
            },
            Err(cause) => return Err(SourceError::Io { path: source.path, action: "look at", cause }),
        }
    }
    request.absent.extend(missing.iter().map(|source| source.name.clone()));
    Ok(Plan { sources: present, missing, request })
}

/// What a backup made, and what the archives that were there say about it.
#[derive(Debug, Clone)]
pub struct Made {
    /// The archive.
    pub packed: Packed,
    /// The stream of each database, in the order of the plan.
    pub streams: Vec<Stream>,
    /// What a person should know.
    pub notes: Vec<Note>,
}

/// What the archives that were there say about a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Another application backs up another file under the same set, host and path.
    Rival {
        /// The database.
        database: Name,
        /// The newest archive of the other one.
        archive: String,
    },
    /// It is dated more than an hour before the newest archive of its stream.
    Behind {
        /// The database.
        database: Name,
        /// When the newest one was made.
        newest: DateTime<Utc>,
    },
    /// It starts a stream beside one of the same name.
    OtherPath {
        /// The database.
        database: Name,
        /// The path of the archives that were there.
        path: String,
    },
    /// It holds less than half of what its stream held.
    Shrink {
        /// The database.
        database: Name,
        /// What the stream held.
        before: Extent,
        /// What it holds now.
        after: Extent,
    },
    /// A guarded command works on the database, so that the archive is a safety backup.
    Guarded {
        /// The database.
        database: Name,
    },
}

impl Note {
    /// Returns whether it is a problem: something that a person has to look at.
    pub fn is_problem(&self) -> bool {
        !matches!(self, Note::OtherPath { .. } | Note::Guarded { .. })
    }
}

/// Returns the stream of a database that is at hand, without the file.
pub fn stream_of(source: &Source, set: &Name, host: &HostLabel) -> Stream {
    let path = platform::resolved(&source.path).to_string_lossy().into_owned();
    Stream { set: set.clone(), host: host.clone(), place: Place::Path(path), file: None }
}

/// Returns the stream that a backup of a database would belong to now. The archives are newest first.
pub fn own_stream(source: &Source, set: &Name, host: &HostLabel, archives: &[Snapshot], now: DateTime<Utc>) -> Stream {
    let stream = stream_of(source, set, host);
    let file = platform::file_identity(&source.path).ok().flatten();
    let before = streams::before(archives, &stream, &source.name, file.as_ref(), now);
    Stream { file: file.filter(|_| before.by_file), ..stream }
}

/// How far a backup may be dated before the newest archive of its stream without a word: clocks are corrected by seconds.
const BEHIND: TimeDelta = TimeDelta::hours(1);

/// Carries the plan out. On an error nothing is visible in the store and no scratch is left.
pub fn execute(store: &LocalStore, plan: &Plan, run: &Run<'_>, progress: &dyn Progress) -> anyhow::Result<Made> {
    let limits = &run.limits;
    if let Some(name) = &plan.request.name {
        refuse_taken(store, name)?;
    }
    let private = store.create_private()?;
    sweep_leftovers(&private, progress);
    sweep_leftovers_beside(plan.sources.iter().map(|source| source.path.as_path()));
    let scratch =
        Scratch::in_store(&private).with_context(|| format!("cannot make a scratch folder in the store \"{}\"", store.location()))?;

    // Before the pin, which keeps the writers of a rollback-mode database waiting.
    let known = inventory(store, run.reading, progress)?.snapshots;
    let guarded = holds::live_besides(&private, run.hold).context("cannot read which databases are guarded")?;
    let provenances: Vec<Provenance> = plan.sources.iter().map(|source| Provenance::of(&source.path)).collect();

    let pinned = pin(&plan.sources, scratch.path(), run.clock, limits, progress)?;
    let (consistent, created_at) = (pinned.consistent, pinned.at);
    let total = pinned.databases.iter().map(|database| database.bytes()).sum();
    let elsewhere = if plan.request.vacuum { room_for_copies(&private, total) } else { None };
    let folder = elsewhere.as_ref().unwrap_or(&scratch).path();
    let (mut staged, mut streams, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut request = Request { consistent, created_at, ..plan.request.clone() };
    for (index, (source, database)) in plan.sources.iter().zip(pinned.databases).enumerate() {
        let copy = folder.join(format!("{index}.db"));
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        let bytes = database.copy_to(&copy, limits, progress)?;
        let mut provenance = provenances[index].clone();
        let mut stream = stream_of(source, &request.set, &request.host.label);
        let before = streams::before(&known, &stream, &source.name, provenance.file.as_ref(), created_at);
        (provenance.by_file, provenance.previous) = (before.by_file, before.previous);
        stream.file = provenance.file.clone().filter(|_| before.by_file);
        streams.push(stream);
        let database = &source.name;
        notes.extend(before.rival.map(|archive| Note::Rival { database: database.clone(), archive }));
        let behind = before.newest.filter(|newest| *newest - created_at > BEHIND);
        notes.extend(behind.map(|newest| Note::Behind { database: database.clone(), newest }));
        notes.extend(before.other_path.map(|path| Note::OtherPath { database: database.clone(), path }));
        let path = provenance.resolved.as_deref().map(Path::new);
        // What is copied in the middle of a guarded command is nothing to go back to once the command was rolled back.
        let is_guarded = guarded.iter().flat_map(|held| &held.guarded).any(|guarded| Some(guarded.as_path()) == path);
        if is_guarded {
            request.kind = Kind::Safety;
            notes.push(Note::Guarded { database: database.clone() });
        }
        staged.push(Staged { name: source.name.clone(), source: source.path.clone(), copy, bytes, provenance });
    }
    let packed = pack(store, &scratch, staged, &request, progress)?;
    remember(store, &private, &packed, &streams, run, progress);
    if run.watch_shrinks {
        notes.extend(packed.metadata.databases.iter().filter_map(shrink));
    }
    Ok(Made { packed, streams, notes })
}

/// Returns a folder for the copies before VACUUM, if the store may have no room for them beside the vacuumed ones and the folder for
/// temporary files has. The check that VACUUM would defeat needs a whole copy.
fn room_for_copies(private: &Path, bytes: u64) -> Option<Scratch> {
    let temporary = std::env::temp_dir();
    // That an old leftover stays is no reason to fail a backup.
    let _ = sweep_beside(&temporary);
    let is_short = platform::free_bytes(private).is_ok_and(|free| free < bytes.saturating_mul(2));
    if !is_short || platform::free_bytes(&temporary).ok()? < bytes {
        return None;
    }
    Scratch::beside(&temporary).ok()
}

/// Notes a new archive as the newest of its streams, so that `latest` can tell when it is missing. Without the note, which
/// nothing but that rests on, the backup is as good.
fn remember(store: &LocalStore, private: &Path, packed: &Packed, streams: &[Stream], run: &Run<'_>, progress: &dyn Progress) {
    if packed.metadata.kind == Kind::Safety || packed.is_damaged() {
        return;
    }
    let Ok(selected) = in_store(store, packed.archive.as_str(), run.reading) else { return };
    let Ok(_lock) = StoreLock::acquire(private, run.limits.busy, progress) else { return };
    for (stream, database) in streams.iter().zip(&packed.metadata.databases) {
        let made = Remembered {
            database: database.name.clone(),
            stream: stream.clone(),
            archive: packed.archive.clone(),
            id: selected.snapshot.id,
            created_at: packed.metadata.created_at,
        };
        // Dies before this, or fails: the archive is committed, and not remembered.
        let _ = remembered::remember(private, &made);
    }
}

/// What a backup needs to know besides its plan.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Tells when the snapshot is pinned.
    pub clock: &'a Clock,
    /// How archives are read that record no zone or no host.
    pub reading: &'a Reading,
    /// How long to wait.
    pub limits: Limits,
    /// Whether an archive with less than half of what its stream held is reported.
    pub watch_shrinks: bool,
    /// The hold of the guard that asks for the backup: its own databases are not guarded by another.
    pub hold: Option<&'a holds::Hold>,
}

/// Returns the note about a database that lost more than half of what its stream held.
fn shrink(database: &DatabaseMetadata) -> Option<Note> {
    let after = Extent { rows: database.rows(), bytes: database.bytes };
    let before = retention::fell_from(database.previous.as_ref()?, &after)?;
    Some(Note::Shrink { database: database.name.clone(), before, after })
}

/// Refuses a chosen name that is taken before any work is done. The commit refuses it again.
fn refuse_taken(store: &LocalStore, name: &ArchiveName) -> Result<(), StoreError> {
    match store.stat(name.as_str())? {
        Some(_) => Err(StoreError::Exists { name: name.as_str().to_owned(), location: store.location() }),
        None => Ok(()),
    }
}

/// Names databases that were given as paths: by their file names, a second one of a name by a number behind it.
pub fn name_sources(paths: &[PathBuf]) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for path in paths {
        let base = Name::from_path(path);
        let taken = |name: &Name| sources.iter().any(|source| source.name.as_str().eq_ignore_ascii_case(name.as_str()));
        let numbered = (2..).filter_map(|number| {
            let suffix = format!("-{number}");
            let stem = &base.as_str()[..base.as_str().len().min(crate::names::MAX_NAME_BYTES - suffix.len())];
            Name::new(format!("{stem}{suffix}")).ok()
        });
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).expect("the numbers do not end");
        sources.push(Source { name, path: path.clone() });
    }
    sources
}
