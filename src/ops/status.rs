//! Tells when each set was backed up, and whether it needs to be now: from files of this host alone.
//!
//! The records of the workspace say which archive is the newest; a store on this host is asked for that file, and its
//! beginning is read. Only if there is no record, or the file is gone or damaged, are the archives listed. A remote
//! store is asked by nobody but the caller. A database is looked at and not read, see [`look`](mod@crate::look).

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::backup::stream_of;
use super::inventory::{DAMAGED, Reading, inventory};
use super::recorded::is_recorded;
use crate::database::{self, Source, SourceError, Timeouts};
use crate::failure::is_interruption;
use crate::latest::Remembered;
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::ops::Repository;
use crate::platform;
use crate::progress::{Interrupted, Progress};
use crate::report::status::{CopyStatus, DatabaseStatus, LastBackup, SetStatus, State, Status};
use crate::schedule::{self, Looks, Schedule};
use crate::snapshot::Snapshot;
use crate::store::{Entry, ReadStore};
use crate::streams::Stream;
use crate::workspace::copies::CopyRecord;
use crate::workspace::{Seen, Workspace};

/// How long to wait for another operation of this process.
const BUSY: Duration = Duration::from_millis(20);

/// What is asked.
pub struct Request<'a> {
    /// The sets with their databases.
    pub sets: Vec<(Name, Vec<Source>)>,
    /// The workspace of the store, if there is one.
    pub workspace: Option<&'a Workspace>,
    /// The store, if it is on this host or may be asked.
    pub store: Option<&'a Repository>,
    /// Why it could not be opened.
    pub store_error: Option<String>,
    /// Where it is.
    pub location: String,
    /// The newest archives, as far as this host remembers outside the store.
    pub remembered: Vec<Remembered>,
    /// The further stores.
    pub copies: Vec<FurtherStore>,
    /// The label of this host.
    pub host: &'a HostLabel,
    /// How archives are read that record no zone or no host.
    pub reading: &'a Reading,
    /// The time.
    pub now: DateTime<Utc>,
    /// When backups are made by themselves, in words and to reckon with; `None` if nothing makes any.
    pub schedule: Option<(String, Schedule)>,
    /// The `run` that is around an application.
    pub supervisor: Option<String>,
    /// How many notices wait to be sent.
    pub undelivered_notices: Option<u64>,
}

/// A further store, and what is known of it.
pub struct FurtherStore {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub location: String,
    /// Its last listing by a run that copied.
    pub record: Option<CopyRecord>,
    /// Its files, if it was asked, or why it did not answer.
    pub asked: Option<Result<Vec<Entry>, String>>,
}

/// The newest backup of a database.
#[derive(Clone)]
struct Last {
    archive: ArchiveName,
    id: Option<ArchiveId>,
    bytes: Option<u64>,
    created_at: DateTime<Utc>,
    confirmed_at: DateTime<Utc>,
    in_store: Option<bool>,
}

impl Last {
    /// Returns when the database was last found to hold what the archive holds. A look that is dated in the future was
    /// recorded under a wrong clock, and does not count.
    fn confirmed(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        if self.confirmed_at > now { self.created_at } else { self.confirmed_at }
    }
}

/// Returns the state of every set. Only an interruption is an error.
pub fn status(request: &Request<'_>, progress: &dyn Progress) -> Result<Status, Interrupted> {
    let listed = OnceCell::new();
    let mut sets = Vec::with_capacity(request.sets.len());
    for (set, sources) in &request.sets {
        sets.push(of_set(request, set, sources, &listed, progress)?);
    }
    Ok(Status {
        at: request.now,
        store: request.location.clone(),
        store_error: request.store_error.clone(),
        supervisor: request.supervisor.clone(),
        undelivered_notices: request.undelivered_notices,
        sets,
    })
}

/// Returns when the next backup is due, as if a run looked at this moment.
fn next_due(of_run: &Schedule, last: Option<&Last>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let last = schedule::Last::of(last.map(|last| last.created_at), now);
    of_run.next(schedule::Job::Backup, &last, &Looks::none(now), now)
}

fn of_set(
    request: &Request<'_>,
    set: &Name,
    sources: &[Source],
    listed: &OnceCell<Vec<Snapshot>>,
    progress: &dyn Progress,
) -> Result<SetStatus, Interrupted> {
    let mut databases = Vec::with_capacity(sources.len());
    let mut all: Vec<Last> = Vec::with_capacity(sources.len());
    for source in sources {
        let stream = stream_of(source, set, request.host);
        let seen = request.workspace.and_then(|workspace| workspace.seen(&stream));
        let last = last(request, &stream, seen.as_ref(), listed, progress)?;
        databases.push(of_database(source, seen.as_ref(), last.as_ref(), progress)?);
        all.extend(last);
    }
    let oldest = all.iter().min_by_key(|last| last.created_at);
    let worst = databases.iter().max_by_key(|database| database.state);
    let several = if databases.len() > 1 { worst.map(|worst| format!("{}: ", worst.name)) } else { None };
    let words = worst.map_or("no database is known", |worst| worst.state.words());
    Ok(SetStatus {
        set: set.clone(),
        last_backup: oldest.map(|last| LastBackup {
            archive: last.archive.clone(),
            created_at: last.created_at,
            bytes: last.bytes,
            path: request.store.map_or_else(
                || format!("{}/{}", request.location.trim_end_matches('/'), last.archive),
                |store| store.path_of(last.archive.as_str()),
            ),
            in_store: last.in_store,
        }),
        last_confirmed: all.iter().map(|last| last.confirmed(request.now)).min(),
        last_change: databases.iter().filter_map(|database| database.last_change).max(),
        backup_needed: worst.is_some_and(|worst| worst.state.needs_backup()),
        why: format!(
            "{}{words}",
            several.filter(|_| worst.is_some_and(|worst| worst.state != State::Unchanged)).unwrap_or_default()
        ),
        schedule: request.schedule.as_ref().map(|(rule, _)| rule.clone()),
        next_due: request.schedule.as_ref().and_then(|(_, schedule)| next_due(schedule, oldest, request.now)),
        copies: request.copies.iter().map(|copy| of_copy(copy, oldest)).collect(),
        databases,
    })
}

/// Finds the newest backup of a stream: the recorded one, if it is there.
fn last(
    request: &Request<'_>,
    stream: &Stream,
    seen: Option<&Seen>,
    listed: &OnceCell<Vec<Snapshot>>,
    progress: &dyn Progress,
) -> Result<Option<Last>, Interrupted> {
    let recorded = seen.map(|seen| Last {
        archive: seen.archive.clone(),
        id: seen.id,
        bytes: Some(seen.bytes),
        created_at: seen.created_at,
        confirmed_at: seen.confirmed_at,
        in_store: None,
    });
    let Some(store) = request.store else {
        let remembered = || request.remembered.iter().find(|made| made.stream.same_place(stream)).map(of_memory);
        return Ok(recorded.or_else(remembered));
    };
    if let (Some(seen), Some(recorded)) = (seen, &recorded) {
        match is_good(store.store(), seen) {
            Some(true) => return Ok(Some(Last { in_store: Some(true), ..recorded.clone() })),
            Some(false) => {}
            None => return Ok(Some(recorded.clone())),
        }
    }
    let snapshots = match listed.get() {
        Some(snapshots) => snapshots,
        None => {
            let found = match inventory(store, request.reading, progress) {
                Ok(found) => found.snapshots,
                Err(error) if is_interruption(&error) => return Err(Interrupted),
                Err(_) => return Ok(recorded),
            };
            listed.get_or_init(|| found)
        }
    };
    let is_of = |snapshot: &&Snapshot| {
        snapshot.is_good() && snapshot.databases.iter().any(|brief| brief.stream.same_place(stream))
    };
    let newest = snapshots.iter().find(is_of).map(|snapshot| Last {
        archive: snapshot.name.clone(),
        id: snapshot.id,
        bytes: Some(snapshot.bytes),
        created_at: snapshot.created_at,
        confirmed_at: snapshot.created_at,
        in_store: Some(true),
    });
    Ok(newest.or(recorded.map(|recorded| Last { in_store: Some(false), ..recorded })))
}

/// Returns whether the archive of a record is there, as it was made and not marked as damaged; `None` if the store does
/// not say so.
fn is_good(store: &dyn ReadStore, seen: &Seen) -> Option<bool> {
    let Some(entry) = store.stat(seen.archive.as_str()).ok()? else { return Some(false) };
    let is_marked = store.has(&format!("{}{DAMAGED}", seen.archive)).ok()?;
    if is_marked { Some(false) } else { is_recorded(store, &entry, seen) }
}

fn of_memory(made: &Remembered) -> Last {
    Last {
        archive: made.archive.clone(),
        id: made.id,
        bytes: None,
        created_at: made.created_at,
        confirmed_at: made.created_at,
        in_store: None,
    }
}

fn of_database(
    source: &Source,
    seen: Option<&Seen>,
    last: Option<&Last>,
    progress: &dyn Progress,
) -> Result<DatabaseStatus, Interrupted> {
    let found = fs::metadata(&source.path).ok();
    let limits = Timeouts { busy: BUSY, ..Timeouts::default() };
    let look = match database::look(source, &limits, progress) {
        Err(SourceError::Interrupted(interrupted)) => return Err(interrupted),
        other => other,
    };
    let recorded = seen.filter(|seen| last.is_some_and(|last| last.archive == seen.archive));
    let recorded = recorded.map(|seen| seen.look.as_ref());
    let state = match (&look, last) {
        (Err(SourceError::Missing(_)), _) => State::Missing,
        (Err(SourceError::Busy { .. }), Some(_)) => State::Unknown,
        (Err(_), _) => State::Unreadable,
        (Ok(_), None) => State::NeverBackedUp,
        (Ok(_), Some(last)) if last.in_store == Some(false) => State::ArchiveGone,
        (Ok(look), Some(_)) => match recorded {
            Some(Some(recorded)) if look.is_unchanged_since(recorded) => State::Unchanged,
            Some(Some(recorded)) if look.state == recorded.state => State::Unknown,
            // It changed while it was copied, or since.
            Some(_) => State::Changed,
            None => State::Unknown,
        },
    };
    let written = look.as_ref().ok().map(|look| DateTime::from_timestamp_nanos(look.state.last_write()));
    Ok(DatabaseStatus {
        name: source.name.clone(),
        path: std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone()).to_string_lossy().into_owned(),
        exists: found.is_some(),
        bytes: found.as_ref().map(fs::Metadata::len),
        last_change: written.or_else(|| found.as_ref().map(platform::modified)),
        state,
        archive: last.map(|last| last.archive.clone()),
    })
}

fn of_copy(copy: &FurtherStore, last: Option<&Last>) -> CopyStatus {
    let recorded = copy.record.as_ref().map(|record| {
        let same = |last: &Last| {
            record.archives.iter().any(|entry| match (last.id, entry.id) {
                (Some(id), Some(other)) => id == other,
                _ => entry.name == last.archive,
            })
        };
        last.map(same)
    });
    let (has_last_backup, asked) = match &copy.asked {
        Some(Ok(entries)) => {
            let listed = |last: &Last| entries.iter().any(|entry| entry.name == last.archive.as_str());
            // It may have another name there, which only the record knows.
            (last.map(|last| listed(last) || recorded.flatten() == Some(true)), None)
        }
        Some(Err(why)) => (recorded.flatten(), Some(why.clone())),
        None => (recorded.flatten(), None),
    };
    CopyStatus {
        name: copy.name.clone(),
        location: copy.location.clone(),
        has_last_backup,
        listed_at: copy.record.as_ref().map(|record| record.listed_at),
        error: asked.or_else(|| copy.record.as_ref().and_then(|record| record.error.clone())),
    }
}

/// Returns the sets of this host that the records of a workspace name: without a configuration they say which databases
/// there are.
pub fn recorded_sets(workspace: &Workspace, host: impl Fn(&HostLabel) -> bool) -> Vec<(Name, Vec<Source>)> {
    let mut sets: Vec<(Name, Vec<Source>)> = Vec::new();
    for seen in workspace.all_seen().into_iter().filter(|seen| host(&seen.stream.host)) {
        let source = Source { name: seen.database, path: Path::new(&seen.source).to_owned() };
        match sets.iter_mut().find(|(set, _)| *set == seen.stream.set) {
            Some((_, sources)) => sources.push(source),
            None => sets.push((seen.stream.set, vec![source])),
        }
    }
    sets
}
