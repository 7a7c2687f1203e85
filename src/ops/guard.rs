//! Implements `guard`: a backup before a command, a check of the databases after it, and the rollback.
//!
//! A rollback restores the archive made before the command, or the newest good one if its content is the same. That
//! archive is held and kept open, so neither retention nor `rm` removes it. It is restored like any archive: what the
//! command left goes into a safety backup first, live databases are replaced from inside, several of a set all or none.
//! A database that did not change is left alone.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::Context as _;

use super::backup::{self, Plan, Run};
use super::inventory::inventory;
use super::pack::Packed;
use super::pending;
use super::resolve::{Selected, in_store};
use super::restore::{self, Method, Options, Report};
use crate::archive::Archive;
use crate::database::{self, Depth, Effort, Source, SourceError, pin};
use crate::digest::Sha256;
use crate::metadata::{DatabaseMetadata, Integrity, ReplacedTarget};
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::platform::{FileRights, resolved};
use crate::progress::{Progress, Stage};
use crate::snapshot::{Origin, Snapshot};
use crate::workspace::records::{self, Record};
use crate::workspace::{Held, Hold};

/// A set as it was before the command.
pub struct Before {
    /// The archive of it.
    pub packed: Packed,
    /// Whether it existed already.
    pub reused: bool,
    /// The guarded databases that are in that archive.
    pub sources: Vec<Source>,
    /// The databases that did not exist. They have no earlier state, so they are never rolled back.
    pub missing: Vec<Source>,
    /// The permissions of each database, in case it has to be recreated.
    files: Vec<Option<FileRights>>,
    /// The archive, held open: it stays readable even if it is removed.
    archive: Archive,
    /// The index of each database in the archive.
    indexes: Vec<usize>,
    /// Until the guard ends: the archive stays, and backups of these databases are safety backups.
    _holds: [Hold; 2],
}

/// The state of one database after the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its content is unchanged.
    Same,
    /// It is sound and its content changed.
    Changed,
    /// It exists and is damaged.
    Damaged(String),
    /// It is missing, not a file, or empty.
    Gone(String),
}

/// One database after the command.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The database.
    pub source: Source,
    /// Its state.
    pub state: State,
}

impl Seen {
    /// Returns what is wrong with it, if anything.
    pub fn trouble(&self) -> Option<String> {
        let path = printable(&self.source.path.to_string_lossy()).into_owned();
        match &self.state {
            State::Same | State::Changed => None,
            State::Damaged(why) => Some(format!("\"{path}\" is damaged: {why}")),
            State::Gone(why) => Some(why.clone()),
        }
    }
}

/// Backs up before the command. The plan must not vacuum: the archive is compared with the database afterwards.
///
/// If the newest good archive of the databases has the same content, it is used for the rollback and no new one is
/// made.
pub fn back_up(repository: &Repository, plan: &Plan, run: &Run<'_>, progress: &dyn Progress) -> anyhow::Result<Before> {
    let files = plan.sources.iter().map(|source| FileRights::of(&source.path).ok()).collect();
    // Taken before the backup: backups that others make from here on must not be used for a rollback.
    let guarded = plan.sources.iter().map(|source| resolved(&source.path)).collect();
    let guarding = take_hold(repository, Vec::new(), guarded)?;
    let run = &Run { hold: Some(&guarding), ..*run };
    let mut unrecorded = Vec::new();
    let (selected, indexes, holding, reused) = match same_archive(repository, plan, run, progress)? {
        Some((selected, indexes, hold)) => (selected, indexes, hold, true),
        None => {
            let packed = backup::execute(repository, plan, run, progress)?.packed;
            unrecorded.clone_from(&packed.unrecorded);
            // It cannot be removed before the hold is taken: it is the newest good one, and all other backups are
            // safety backups from now on.
            let hold = take_hold(repository, vec![packed.archive.clone()], Vec::new())?;
            let name = packed.archive.as_str();
            let selected = if repository.takes(plan.request.kind) {
                in_store(repository, name, run.reading)?
            } else {
                pending::open(repository, name, run.reading)?.context("the archive is gone from the workspace")?
            };
            (selected, (0..plan.sources.len()).collect(), hold, false)
        }
    };
    let metadata = selected.archive.contents().metadata.clone().context("the archive has no metadata")?;
    Ok(Before {
        packed: Packed {
            archive: selected.snapshot.name.clone(),
            bytes: selected.snapshot.bytes,
            metadata,
            unrecorded,
        },
        reused,
        sources: plan.sources.clone(),
        missing: plan.missing.clone(),
        files,
        archive: selected.archive,
        indexes,
        _holds: [guarding, holding],
    })
}

fn take_hold(
    repository: &Repository,
    archives: Vec<ArchiveName>,
    guarded: Vec<std::path::PathBuf>,
) -> anyhow::Result<Hold> {
    let held = Held { command: "guard".into(), archives, guarded };
    repository.workspace().hold(&held).context("cannot hold the archive of the guarded databases")
}

/// Finds the newest good archive of all databases of the plan, if it holds what they hold now, and holds it.
fn same_archive(
    repository: &Repository,
    plan: &Plan,
    run: &Run<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Option<(Selected, Vec<usize>, Hold)>> {
    let found: Cow<'_, [Snapshot]> = match run.known {
        Some(known) => known.into(),
        None => inventory(repository, run.reading, progress)?.snapshots.into(),
    };
    let (set, host, now) = (&plan.request.set, &plan.request.host.label, run.clock.now());
    let newest_of = |source: &Source| {
        let stream = backup::own_stream(source, set, host, &found, now);
        let of_stream = |snapshot: &&Snapshot| snapshot.databases.iter().any(|brief| brief.stream == stream);
        found
            .iter()
            .filter(of_stream)
            .find(|snapshot| snapshot.is_good() && snapshot.created_at <= now)
            // Without its key it cannot be compared, nor rolled back to; one that this run makes can.
            .filter(|snapshot| !snapshot.is_locked())
            .zip(Some(stream))
    };
    let Some(newest) = plan.sources.iter().map(newest_of).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let Some((candidate, _)) = newest.first() else { return Ok(None) };
    if candidate.origin != Origin::Format1 || newest.iter().any(|(snapshot, _)| snapshot.name != candidate.name) {
        return Ok(None);
    }
    let index = |(_, stream): &(&Snapshot, crate::streams::Stream)| {
        candidate.databases.iter().position(|brief| brief.stream == *stream)
    };
    let Some(indexes) = newest.iter().map(index).collect::<Option<Vec<usize>>>() else { return Ok(None) };

    let hold = {
        // It cannot be removed between this check and the hold.
        let _locked = repository.lock(run.limits.busy, progress)?;
        if repository.store().stat(candidate.name.as_str())?.is_none() {
            return Ok(None);
        }
        take_hold(repository, vec![candidate.name.clone()], Vec::new())?
    };
    let selected = in_store(repository, candidate.name.as_str(), run.reading)?;
    let scratch = repository.workspace().scratch().context("cannot make a scratch folder in the store")?;
    let Some(metadata) = &selected.archive.contents().metadata else { return Ok(None) };
    let pinned = pin(&plan.sources, scratch.path(), run.clock, &run.limits, progress)?;
    for (number, (database, index)) in pinned.databases.into_iter().zip(&indexes).enumerate() {
        let recorded = &metadata.databases[*index];
        if database.bytes() != recorded.bytes || !matches!(recorded.integrity, Integrity::Ok | Integrity::Partial) {
            return Ok(None);
        }
        let copy = scratch.path().join(format!("now-{number}.db"));
        progress.begin(Stage::Copy, recorded.name.as_str(), database.bytes());
        database.copy_to(&copy, &run.limits, progress)?;
        if !is_same(&selected.archive, *index, &copy, scratch.path(), progress)? {
            return Ok(None);
        }
    }
    Ok(Some((selected, indexes, hold)))
}

/// Looks at every database of a set: is it there, is it sound, does it hold what it held?
///
/// An error means that this could not be found out (a lock, an I/O error), not that something is wrong with a database.
pub fn look(
    repository: &Repository,
    before: &Before,
    check: Depth,
    run: &Run<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Seen>> {
    let scratch = repository.workspace().scratch().context("cannot make a scratch folder in the store")?;
    let mut seen = Vec::new();
    for (index, source) in before.sources.iter().enumerate() {
        let copy = scratch.path().join(format!("after-{index}.db"));
        let state = match copy_and_check(source, &copy, check, run, progress)? {
            Some(trouble) => trouble,
            None if is_same(&before.archive, before.indexes[index], &copy, scratch.path(), progress)? => State::Same,
            None => State::Changed,
        };
        // Frees space early; the folder is removed in any case.
        let _ = fs::remove_file(&copy);
        seen.push(Seen { source: source.clone(), state });
    }
    Ok(seen)
}

/// Copies a database as it is now, and returns what is wrong with it.
fn copy_and_check(
    source: &Source,
    copy: &Path,
    check: Depth,
    run: &Run<'_>,
    progress: &dyn Progress,
) -> Result<Option<State>, SourceError> {
    let folder = copy.parent().expect("the copy is in the scratch folder");
    let copied = pin(std::slice::from_ref(source), folder, run.clock, &run.limits, progress).and_then(|pinned| {
        let database = pinned.databases.into_iter().next().expect("one was pinned");
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        database.copy_to(copy, &run.limits, progress)
    });
    let checked = copied.and_then(|_| {
        progress.begin(Stage::Check, source.name.as_str(), 0);
        database::check(copy, check, Effort::single(), progress).map_err(|error| error.of(&source.path))
    });
    match checked {
        Ok(checked) if checked.integrity == Integrity::Damaged => Ok(Some(State::Damaged(checked.findings.join("; ")))),
        Ok(_) => Ok(None),
        Err(error @ (SourceError::Missing(_) | SourceError::NotAFile { .. } | SourceError::Empty { .. })) => {
            Ok(Some(State::Gone(error.to_string())))
        }
        Err(
            SourceError::NotADatabase { why, .. }
            | SourceError::Damaged { why, .. }
            | SourceError::Unsupported { why, .. },
        ) => Ok(Some(State::Damaged(why))),
        Err(error) => Err(error),
    }
}

/// Compares a copy taken now with the one in the archive. Copies are made alike, so that equal content mostly means
/// equal bytes.
fn is_same(
    archive: &Archive,
    index: usize,
    copy: &Path,
    scratch: &Path,
    progress: &dyn Progress,
) -> anyhow::Result<bool> {
    let metadata = archive.contents().metadata.as_ref().context("the archive has no metadata")?;
    let recorded: &DatabaseMetadata = &metadata.databases[index];
    let bytes = fs::metadata(copy).context("cannot look at the copy")?.len();
    let sha256 = || File::open(copy).and_then(|mut file| Sha256::of_reader(&mut file)).context("cannot read the copy");
    if bytes == recorded.bytes && sha256()? == recorded.sha256 {
        return Ok(true);
    }
    if bytes != recorded.bytes && database::page_size(copy).is_ok_and(|size| size == u64::from(recorded.page_size)) {
        return Ok(false);
    }
    // Perhaps only header fields without content differ, or the page size, which a WAL database keeps.
    let old = scratch.join(format!("before-{index}.db"));
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&old)
        .context("cannot create a scratch file")?;
    progress.begin(Stage::Unpack, recorded.name.as_str(), bytes);
    archive.unpack(&[(index, &file)], std::num::NonZeroUsize::MIN, progress).context("cannot unpack the archive")?;
    let resized = scratch.join(format!("resized-{index}.db"));
    let same = database::same_content(&old, copy, &resized).context("cannot compare with the archive")?;
    // Frees space early; the folder is removed in any case.
    let _ = fs::remove_file(&old);
    Ok(same)
}

/// Rolls back the databases that changed, and checks them again. An error names the state they are in.
///
/// A signal does not stop this: half a rollback is the worst outcome. `options.safety` must be a store.
pub fn roll_back(
    repository: &Repository,
    before: &Before,
    seen: &[Seen],
    options: &Options<'_>,
    run: &Run<'_>,
) -> anyhow::Result<Report> {
    let changed = |number: &usize| seen[*number].state != State::Same;
    let target = |number: usize| (before.indexes[number], before.sources[number].path.clone());
    let targets = (0..before.sources.len()).filter(changed).map(target).collect();
    let plan = restore::plan(before.archive.contents(), targets, None, false)?;
    let mut report = restore::execute(&before.archive, &plan, options, &crate::progress::Silent)?;
    for step in &plan.steps {
        let old = before
            .indexes
            .iter()
            .position(|index| *index == step.index)
            .and_then(|number| before.files[number].as_ref());
        // A file that was gone is recreated with the permissions and attributes of the old one, no wider than before.
        if let (Method::Create, Some(old)) = (step.method, old) {
            let unset = give_back(&step.target.path, old)
                .unwrap_or_else(|cause| vec![format!("its rights could not be set: {cause}")]);
            report.warnings.extend(unset.iter().map(|what| format!("{}: {what}", step.held.name)));
        }
    }
    for seen in look(repository, before, options.check.depth(), run, &crate::progress::Silent)? {
        match (seen.trouble(), &seen.state) {
            (Some(trouble), _) => return Err(anyhow::anyhow!(trouble).context("rolled back, but not sound afterwards")),
            (None, State::Changed) => {
                report
                    .warnings
                    .push(format!("{}: another process has written to it since it was rolled back", seen.source.name));
            }
            (None, _) => {}
        }
    }
    Ok(report)
}

/// Gives a recreated file the permissions of the old one, and returns what could not be set.
fn give_back(path: &Path, old: &FileRights) -> io::Result<Vec<String>> {
    // A restore sets what the archive records; the application may have it open by now.
    if FileRights::of(path)? == *old {
        return Ok(Vec::new());
    }
    old.apply(&File::open(path)?)
}

/// Returns the names of the databases that changed.
pub fn changed(seen: &[Seen]) -> Vec<Name> {
    seen.iter().filter(|seen| seen.state != State::Same).map(|seen| seen.source.name.clone()).collect()
}

/// Records that a guarded command failed and its changes were kept, so that an undo does not undo an older restore
/// instead.
pub fn record_not_rolled_back(
    repository: &Repository,
    before: &Before,
    seen: &[Seen],
    options: &Options<'_>,
) -> anyhow::Result<()> {
    let changed = seen.iter().filter(|seen| seen.state != State::Same).map(|seen| &seen.source);
    let target = |source: &Source| ReplacedTarget {
        name: source.name.clone(),
        path: resolved(&source.path).to_string_lossy().into_owned(),
        missing: false,
    };
    let record = Record {
        restore: records::new_id(),
        set: options.set.clone(),
        host: options.host.label.clone(),
        archive: before.packed.archive.as_str().to_owned(),
        at: options.clock.now(),
        sequence: 0,
        state: records::RecordState::NotRolledBack,
        safety: None,
        targets: changed.map(target).collect(),
    };
    repository.workspace().write_record(&record).context("cannot record that the command was not rolled back")
}
