//! Backs up a set: plan, capture, pack.

mod capture;
mod note;

use std::borrow::Borrow;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::changed::{self, ArchivedIn, CopyOf, Held};
use super::explain::remedy_for_source;
use super::inventory::Reading;
use super::pack::{Packed, Request, pack};
use super::resolve::in_store;
use crate::clock::Clock;
use crate::database::{Source, SourceError, Timeouts, is_blank, probe};
use crate::digest::Sha256;
use crate::failure::Remedy;
use crate::latest::Remembered;
use crate::lineage;
use crate::look::Look;
use crate::metadata::{DatabaseMetadata, Extent, Integrity, Kind};
use crate::names::{ArchiveName, HostLabel, Name};
use crate::ops::Repository;
use crate::platform;
use crate::progress::Progress;
use crate::retention;
use crate::snapshot::{Brief, Snapshot};
use crate::store::StoreError;
use crate::streams::{OwnHost, Place, Stream};
use crate::workspace::{Hold, Seen};
use capture::{Captured, capture};
pub use note::{Finding, Note};

/// What a backup is going to do. `--dry-run` prints it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The databases that are backed up.
    pub sources: Vec<Source>,
    /// The databases that do not exist, if that was allowed.
    pub missing: Vec<Source>,
    /// The databases of 0 bytes, if others can be backed up.
    pub empty: Vec<Source>,
    /// The files that are not databases or that this user may not read, and why, if others can be backed up.
    pub unreadable: Vec<LeftOut>,
    /// How the archive is made; `absent` names the missing, empty and unreadable ones and those that were not chosen.
    pub request: Request,
    /// Whether an application is about to start and waits until its databases are copied. Databases that hold what an
    /// older archive holds are noted.
    pub is_at_start: bool,
}

/// A database of which nothing can be read.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// The database.
    pub source: Source,
    /// Why, with the path.
    pub why: String,
    /// What can be done about it.
    pub remedy: Option<Remedy>,
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
///
/// A file of 0 bytes, or one that is encrypted or unreadable, does not stop the backup of the others. If missing
/// databases are skipped, one of 0 bytes counts as missing unless a file with data is beside it: an application that
/// was never used leaves such a file.
pub fn plan(sources: Vec<Source>, if_missing: IfMissing, mut request: Request) -> Result<Plan, SourceError> {
    let mut present = Vec::new();
    let (mut missing, mut empty, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        match std::fs::metadata(&source.path) {
            Ok(found) if found.is_file() && found.len() == 0 => {
                let blank = is_blank(&source.path).map_err(|cause| SourceError::Io {
                    path: source.path.clone(),
                    action: "look at",
                    cause,
                })?;
                if blank && if_missing == IfMissing::Skip { missing.push(source) } else { empty.push(source) }
            }
            Ok(_) => match probe(&source.path) {
                Err(error) if is_unreadable(&error) => unreadable.push(left_out(source, &error)),
                // Other errors are found again when it is opened.
                _ => present.push(source),
            },
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => match if_missing {
                IfMissing::Fail => return Err(SourceError::Missing(source.path)),
                IfMissing::Skip => missing.push(source),
            },
            Err(cause) => return Err(SourceError::Io { path: source.path, action: "look at", cause }),
        }
    }
    // If there is nothing else to back up, keep them: opening them reports the error.
    if present.is_empty() {
        present.append(&mut empty);
        present.extend(unreadable.drain(..).map(|unreadable: LeftOut| unreadable.source));
    }
    let left_out = missing.iter().chain(&empty).chain(unreadable.iter().map(|unreadable| &unreadable.source));
    request.absent.extend(left_out.map(|source| source.name.clone()));
    Ok(Plan { sources: present, missing, empty, unreadable, request, is_at_start: false })
}

/// Returns whether a database cannot be read at all: it is not a SQLite file, or this user may not open it.
fn is_unreadable(error: &SourceError) -> bool {
    match error {
        SourceError::NotADatabase { .. } => true,
        SourceError::Io { cause, .. } => cause.kind() == std::io::ErrorKind::PermissionDenied,
        _ => false,
    }
}

fn left_out(source: Source, error: &SourceError) -> LeftOut {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    LeftOut { source, why: format!("{error}{cause}"), remedy: remedy_for_source(error) }
}

/// Returns the newest archive of each missing database: if there is one, this is not a first deployment.
pub fn lost<'a>(
    missing: &'a [Source],
    set: &Name,
    host: &OwnHost,
    archives: &'a [Snapshot],
) -> Vec<(&'a Source, &'a ArchiveName)> {
    let newest = |source: &'a Source| {
        let own = stream_of(source, set, &host.label);
        let is_of = |brief: &Brief| {
            let Stream { set, host: label, place, .. } = &brief.stream;
            *set == own.set && host.owns(label) && (*place == own.place || *place == Place::Name(source.name.clone()))
        };
        let is_copy = |snapshot: &&Snapshot| snapshot.kind != Kind::Safety && snapshot.databases.iter().any(is_of);
        archives.iter().find(is_copy).map(|snapshot| (source, &snapshot.name))
    };
    missing.iter().filter_map(newest).collect()
}

/// What a backup made, and how it compares with the existing archives.
#[derive(Debug, Clone)]
pub struct Made {
    /// The archive.
    pub packed: Packed,
    /// The stream of each database, in the order of the plan.
    pub streams: Vec<Stream>,
    /// Warnings for the user.
    pub notes: Vec<Note>,
    /// What the checks found, including what was known before.
    pub findings: Vec<Finding>,
}

/// Returns the stream of a database, without the file identity.
pub fn stream_of(source: &Source, set: &Name, host: &HostLabel) -> Stream {
    let path = platform::resolved(&source.path).to_string_lossy().into_owned();
    Stream { set: set.clone(), host: host.clone(), place: Place::Path(path), file: None }
}

/// Returns the stream that a backup of a database would belong to now. The archives are newest first.
pub fn own_stream(
    source: &Source,
    set: &Name,
    host: &HostLabel,
    archives: &[impl Borrow<Snapshot>],
    now: DateTime<Utc>,
) -> Stream {
    let stream = stream_of(source, set, host);
    let file = platform::file_identity(&source.path).ok().flatten();
    let before = lineage::before(archives, &stream, &source.name, file.as_ref(), now);
    Stream { file: file.filter(|_| before.by_file), ..stream }
}

/// How far a backup may be dated before the newest archive of its stream without a warning: clocks are corrected by
/// seconds.
const BEHIND: TimeDelta = TimeDelta::hours(1);

/// Carries the plan out. On an error nothing is visible in the store and no scratch is left.
pub fn execute(repository: &Repository, plan: &Plan, run: &Run<'_>, progress: &dyn Progress) -> anyhow::Result<Made> {
    let captured = capture(repository, plan, run, progress)?;
    archive(repository, plan, captured, run, progress)
}

/// A database, and the archive that holds the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The database.
    pub database: Name,
    /// The newest archive of its stream that holds what it holds, if one does.
    pub archive: Option<ArchiveName>,
    /// Whether that is the newest one of its stream.
    pub is_newest: bool,
}

/// Copies all databases, compares the copies with the archives, and throws them away.
pub fn compare(
    repository: &Repository,
    plan: &Plan,
    run: &Run<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Compared>> {
    let captured = capture(repository, plan, run, progress)?;
    let held = captured.held(repository, plan, run.reading, progress)?;
    let compared = plan.sources.iter().zip(held).map(|(source, held)| Compared {
        database: source.name.clone(),
        archive: held.map(|held| held.archive.name.clone()),
        is_newest: held.is_some_and(Held::is_newest),
    });
    Ok(compared.collect())
}

/// What a backup came to that was wanted only if something changed.
#[derive(Debug)]
pub enum IfChanged {
    /// An archive was made.
    Made(Box<Made>),
    /// The newest archives hold what the databases hold. One for each database, renewed.
    Unchanged(Vec<Seen>),
}

/// Like [`execute`], but makes no archive if the copies are what the newest archives of their streams were made from.
pub fn execute_if_changed(
    repository: &Repository,
    plan: &Plan,
    run: &Run<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<IfChanged> {
    let mut captured = capture(repository, plan, run, progress)?;
    if captured.request.kind != Kind::Safety {
        let (known, at) = (&captured.known, captured.request.created_at);
        let copies: Vec<CopyOf<'_>> = captured.copies(plan).collect();
        let recipients = captured.request.recipients();
        if let Some(mut unchanged) =
            changed::archived(repository, &copies, (known, &recipients), at, run.reading, progress)?
        {
            changed::renew(repository, &mut unchanged, at);
            return Ok(IfChanged::Unchanged(unchanged));
        }
        if plan.request.vacuum {
            // What the next copy is compared with: the archive has the digest of what is vacuumed.
            let copied = copies.iter().map(|copy| changed::hash(copy.copy, progress).map(Some));
            captured.copied = copied.collect::<anyhow::Result<_>>()?;
        }
    }
    archive(repository, plan, captured, run, progress).map(|made| IfChanged::Made(Box::new(made)))
}

/// Makes the archive out of the copies.
fn archive(
    repository: &Repository,
    plan: &Plan,
    mut captured: Captured<'_>,
    run: &Run<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Made> {
    if plan.is_at_start {
        captured.note_stale(repository, plan, run.reading, progress)?;
    }
    let Captured { scratch, _elsewhere, staged, streams, mut notes, request, known, looks, copied } = captured;
    let packed = pack(repository, &scratch, staged, &request, progress)?;
    notes.extend(packed.unrecorded.iter().map(|why| Note::Unrecorded { why: why.clone() }));
    let recipients = request.recipients();
    let made =
        MadeOf { sources: &plan.sources, streams: &streams, looks: &looks, copied: &copied, recipients: &recipients };
    remember(repository, &packed, &made, request.vacuum, run.reading);
    if run.watch_shrinks {
        notes.extend(packed.metadata.databases.iter().filter_map(shrink));
    }
    let findings = findings(repository, &packed, &streams, &known, run.reading);
    Ok(Made { packed, streams, notes, findings })
}

/// Returns what the checks found, and whether the last archive of each stream has it too. The archives are newest
/// first.
fn findings(
    repository: &Repository,
    packed: &Packed,
    streams: &[Stream],
    known: &[Snapshot],
    reading: &Reading,
) -> Vec<Finding> {
    let made = packed.metadata.databases.iter().zip(streams).filter(|(database, _)| !database.findings.is_empty());
    let of_one = |(database, stream): (&DatabaseMetadata, &Stream)| {
        let damaged = database.integrity == Integrity::Damaged;
        // If the archive cannot be read, everything counts as new.
        let before =
            if damaged { None } else { last_of(repository, stream, known, packed.metadata.created_at, reading) };
        let is_known = |text: &String| before.as_ref().is_some_and(|before| before.findings.contains(text));
        let finding =
            |text: &String| Finding { database: database.name.clone(), text: text.clone(), is_new: !is_known(text) };
        database.findings.iter().map(finding).collect::<Vec<_>>()
    };
    made.flat_map(of_one).collect()
}

/// Reads what the last archive of a stream records about its database. A safety backup is checked less thoroughly and
/// does not count.
fn last_of(
    repository: &Repository,
    stream: &Stream,
    known: &[Snapshot],
    now: DateTime<Utc>,
    reading: &Reading,
) -> Option<DatabaseMetadata> {
    let counts = |snapshot: &&Snapshot| snapshot.kind != Kind::Safety && snapshot.created_at <= now;
    let (last, index) = known.iter().filter(counts).find_map(|snapshot| {
        let index = snapshot.databases.iter().position(|brief| brief.stream == *stream)?;
        Some((snapshot, index))
    })?;
    let selected = in_store(repository, last.name.as_str(), reading).ok()?;
    selected.archive.contents().metadata.as_ref()?.databases.get(index).cloned()
}

/// What an archive was made of, for each database.
struct MadeOf<'a> {
    sources: &'a [Source],
    streams: &'a [Stream],
    looks: &'a [Option<Look>],
    copied: &'a [Option<Sha256>],
    recipients: &'a [String],
}

/// Records a new archive as the newest of its streams, so that `latest` notices if it goes missing, and the state of
/// the databases that it holds. Nothing else uses these records, so the backup is good without them.
fn remember(repository: &Repository, packed: &Packed, of: &MadeOf<'_>, vacuumed: bool, reading: &Reading) {
    let kind = packed.metadata.kind;
    // What the store does not take is in the workspace, and `latest` is about the store.
    if kind == Kind::Safety || packed.is_damaged() || !repository.takes(kind) {
        return;
    }
    let id = in_store(repository, packed.archive.as_str(), reading).ok().and_then(|selected| selected.snapshot.id);
    let created_at = packed.metadata.created_at;
    let made = of.streams.iter().zip(&packed.metadata.databases).map(|(stream, database)| Remembered {
        database: database.name.clone(),
        stream: stream.clone(),
        archive: packed.archive.clone(),
        id,
        created_at,
    });
    // Crash before this, or failure: the archive is committed but not recorded.
    let _ = repository.workspace().remember(&made.collect::<Vec<_>>());
    let (archive, bytes, recipients) = (&packed.archive, packed.bytes, of.recipients);
    let archive = ArchivedIn { archive, id, bytes, created_at, recipients };
    for (index, database) in packed.metadata.databases.iter().enumerate() {
        let (source, stream, look) = (&of.sources[index], &of.streams[index], of.looks[index].as_ref());
        let copy = CopyOf { source, stream, copy: Path::new(""), bytes: database.bytes, look };
        let copied = of.copied[index].or((!vacuumed).then_some(database.sha256));
        // The same: the record before does not hold for what the database is now.
        let _ = repository.workspace().record_seen(&changed::record_of(&copy, &archive, copied, created_at));
    }
}

/// What a backup needs to know besides its plan.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Gives the time at which the snapshot is pinned.
    pub clock: &'a Clock,
    /// How archives are read that record no zone or no host.
    pub reading: &'a Reading,
    /// How long to wait.
    pub limits: Timeouts,
    /// The folder for temporary files: copies are made there if the store has no room for them.
    pub temporary: &'a Path,
    /// Whether an archive with less than half of what its stream held is reported.
    pub watch_shrinks: bool,
    /// The archives of the set, newest first, if a run over several sets listed the store, and removed the leftovers of
    /// interrupted runs.
    pub known: Option<&'a [Snapshot]>,
    /// The hold of the guard that runs this backup; its databases do not count as guarded by another.
    pub hold: Option<&'a Hold>,
}

/// Returns the note about a database that lost more than half of what its stream held.
fn shrink(database: &DatabaseMetadata) -> Option<Note> {
    let after = Extent { rows: database.rows(), bytes: database.bytes };
    let before = retention::fell_from(database.previous.as_ref()?, &after)?;
    Some(Note::Shrink { database: database.name.clone(), before, after })
}

/// Refuses a chosen name that is taken before any work is done. The commit refuses it again.
fn refuse_taken(repository: &Repository, name: &ArchiveName) -> Result<(), StoreError> {
    match repository.store().stat(name.as_str())? {
        Some(_) => Err(StoreError::Exists { name: name.as_str().to_owned(), location: repository.location() }),
        None => Ok(()),
    }
}

/// Names databases that were given as paths: by file name, with a number appended if the name is taken.
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
        let name =
            std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).expect("the numbers do not end");
        sources.push(Source { name, path: path.clone() });
    }
    sources
}
