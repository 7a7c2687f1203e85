//! Executes a plan: prepare, lock, back up the targets, write, commit, compare.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;

use super::examine::examine;
use super::keep::{Keeper, folders};
use super::options::{Options, Safety};
use super::plan::{Method, Plan, Step};
use super::proof::ProvedBy;
use super::replace::{Leaving, Work, replace};
use super::room::arrange;
use crate::archive::{Archive, ReadDatabase};
use crate::database::{self, Source, SourceError, TargetState};
use crate::metadata::DatabaseMetadata;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::pending;
use crate::ops::syncing::while_syncing;
use crate::platform::{FileRights, parent, private_file};
use crate::progress::{Progress, Stage};
use crate::workspace::scratch::{Scratch, remove_leftovers_beside};

/// What a restore did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Whether every target already held what was to be restored, so that nothing was changed.
    pub already_there: bool,
    /// The databases that were restored, in the order of the plan.
    pub databases: Vec<Restored>,
    /// The databases that were moved aside, and the folders that hold them.
    pub removed: Vec<(Name, PathBuf, PathBuf)>,
    /// The safety backup of the previous contents.
    pub safety: Option<ArchiveName>,
    /// Why the safety backup is still in the workspace, if it is.
    pub pending: Option<String>,
    /// Warnings for the user, one printable line each.
    pub warnings: Vec<String>,
}

/// One database that was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Its name.
    pub name: Name,
    /// The file that was written.
    pub target: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its rows; `None` where they cannot be counted.
    pub rows: Option<u64>,
    /// What shows that it is sound.
    pub proof: ProvedBy,
    /// How it got there.
    pub method: Method,
    /// The journal mode before and after, where a database was replaced from inside.
    pub journal_modes: Option<(&'static str, &'static str)>,
    /// The folder that holds what was moved aside.
    pub aside: Option<PathBuf>,
}

/// Executes the plan. On an error every target is as it was, unless the error says otherwise.
pub fn execute(
    archive: &Archive,
    plan: &Plan,
    options: &Options<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let mut warnings = Vec::new();
    let scratches = scratches(plan)?;
    let elsewhere = arrange(plan, options.workspace, &options.temporary)?;
    let (work, files, leaving) = prepare(archive, plan, options, &scratches, elsewhere.as_ref())?;
    // What an existing database is rewritten from needs no sync: it is worthless after a power cut.
    let placed =
        work.iter().zip(&files).filter(|(work, _)| work.step.method != Method::Inside).map(|(_, (_, file))| file);
    let examined = while_syncing(&placed.collect::<Vec<_>>(), || {
        let read = unpack(archive, plan, &files, options, progress)?;
        work.iter()
            .zip(&read)
            .map(|(work, read)| examine(archive, work, read.as_ref(), options, progress, &mut warnings))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    progress.checkpoint()?;

    // Read before anything is locked: a listing can take long.
    let mut keeper = Keeper::new(options, plan, &scratches, names_in_store(options));
    if plan.removals.is_empty() && is_there(&work, options, progress)? {
        keeper.already_there()?;
        warnings.extend(keeper.warnings());
        return Ok(Report { already_there: true, warnings, ..Report::default() });
    }
    let mut in_lock_order = work;
    in_lock_order.sort_by_key(|one| one.step.target.lock_order());
    let done = replace(&in_lock_order, &leaving, options, &mut keeper, progress)?;
    warnings.extend(done.warnings);
    warnings.extend(keeper.warnings());
    let databases = plan.steps.iter().zip(examined).zip(done.databases).map(|((step, examined), done)| Restored {
        name: step.held.name.clone(),
        target: step.target.path.clone(),
        bytes: examined.bytes,
        rows: examined.rows,
        proof: examined.proof,
        method: step.method,
        journal_modes: done.journal_modes,
        aside: done.aside,
    });
    let removed = plan.removals.iter().zip(done.removed);
    let mut report = Report {
        databases: databases.collect(),
        removed: removed.map(|(one, aside)| (one.name.clone(), one.target.path.clone(), aside)).collect(),
        safety: done.safety,
        warnings,
        ..Report::default()
    };
    send(&mut report, options, progress);
    Ok(report)
}

/// Moves the safety archive to the store. Only the store is still locked.
///
/// Crash anywhere: the restore is done, and the archive is in the workspace or in the store.
fn send(report: &mut Report, options: &Options<'_>, progress: &dyn Progress) {
    let (Some(made), Safety::Into(store)) = (&report.safety, options.safety) else { return };
    match pending::send(store, &options.upkeep, &options.clock, options.limits.busy, progress) {
        Ok(sent) => {
            let moved = sent.moved.into_iter().find(|(pending, _)| pending == made);
            report.safety = moved.map(|(_, name)| name).or(report.safety.take());
            report.warnings.extend(sent.warnings);
        }
        Err(error) => report.pending = Some(format!("{error:#}")),
    }
}

/// Returns the names that a safety archive must not get. A store that cannot be listed now refuses them when the
/// archive is sent.
fn names_in_store(options: &Options<'_>) -> HashSet<String> {
    let Safety::Into(store) = options.safety else { return HashSet::new() };
    store.store().list().unwrap_or_default().into_iter().map(|entry| entry.name).collect()
}

/// Returns whether every target already holds what is to be restored. Compares copies, and only targets of the right
/// size.
fn is_there(work: &[Work<'_>], options: &Options<'_>, progress: &dyn Progress) -> anyhow::Result<bool> {
    for one in work {
        if !matches!(one.step.target.state, TargetState::Database(_)) || !holds(one, options, progress)? {
            return Ok(false);
        }
    }
    Ok(!work.is_empty())
}

fn holds(one: &Work<'_>, options: &Options<'_>, progress: &dyn Progress) -> anyhow::Result<bool> {
    let source = Source { name: one.step.held.name.clone(), path: one.step.target.path.clone() };
    let scratch = parent(&one.copy);
    let bytes = std::fs::metadata(&one.copy).context("cannot look at the unpacked database")?.len();
    let page_size = database::page_size(&one.copy).unwrap_or(0);
    let pinned = database::pin(std::slice::from_ref(&source), scratch, &options.clock, &options.limits, progress);
    let copied = pinned.and_then(|pinned| {
        let database = pinned.databases.into_iter().next().expect("one was pinned");
        if database.bytes() != bytes && database.page_size() == page_size {
            return Ok(None);
        }
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        database.copy_to(&one.space, &options.limits, progress).map(Some)
    });
    match copied {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(false),
        Err(error @ (SourceError::Busy { .. } | SourceError::Interrupted(_))) => return Err(error.into()),
        // Other reasons that it cannot be read (damage, a lock file, a full disk) do not prevent replacing it.
        Err(_) => return Ok(false),
    }
    let resized = parent(&one.copy).join(format!("{}.resized", one.number));
    let same = database::same_content(&one.copy, &one.space, &resized).unwrap_or(false);
    // Frees space; the path is used again for the comparison after the replacement.
    std::fs::remove_file(&one.space).context("cannot remove a scratch file")?;
    Ok(same)
}

/// Makes one scratch folder beside each target, on its file system, and removes leftovers of interrupted runs.
fn scratches(plan: &Plan) -> anyhow::Result<BTreeMap<PathBuf, Scratch>> {
    let mut scratches = BTreeMap::new();
    for folder in folders(plan) {
        // A leftover that cannot be removed must not fail a restore.
        let _ = remove_leftovers_beside(folder);
        let scratch = Scratch::beside(folder)
            .with_context(|| format!("cannot write into the folder \"{}\"", printable(&folder.to_string_lossy())))?;
        scratches.insert(folder.to_owned(), scratch);
    }
    Ok(scratches)
}

/// An empty file for one database, with its index in the archive.
type Unpacked = (usize, File);

/// Everything that is worked on: the databases that are restored, their files, and the databases that are moved aside.
type Prepared<'a> = (Vec<Work<'a>>, Vec<Unpacked>, Vec<Leaving<'a>>);

/// Makes an empty file for each database: beside its target, or elsewhere if nothing is renamed.
fn prepare<'a>(
    archive: &Archive,
    plan: &'a Plan,
    options: &Options<'_>,
    scratches: &BTreeMap<PathBuf, Scratch>,
    elsewhere: Option<&Scratch>,
) -> anyhow::Result<Prepared<'a>> {
    let mut files = Vec::new();
    let mut work = Vec::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let beside = &scratches[parent(&step.target.path)];
        // What is renamed must be on the file system of its target.
        let scratch = elsewhere.filter(|_| step.method == Method::Inside).unwrap_or(beside).path();
        let copy = scratch.join(format!("{number}.db"));
        let file = private_file(&copy).context("cannot create a scratch file")?;
        files.push((step.index, file));
        let [safety, space] = ["old", "space"].map(|ending| scratch.join(format!("{number}.{ending}")));
        work.push(Work { number, step, safety, space, copy, rights: recorded_rights(archive, step, options)? });
    }
    let leaving = plan.removals.iter().enumerate().map(|(number, removal)| {
        let scratch = scratches[parent(&removal.target.path)].path();
        Leaving { removal, safety: scratch.join(format!("removed-{number}.old")) }
    });
    Ok((work, files, leaving.collect()))
}

/// Returns the permissions that the archive records for a new file.
fn recorded_rights(archive: &Archive, step: &Step, options: &Options<'_>) -> anyhow::Result<Option<FileRights>> {
    let Some(metadata) = &archive.contents().metadata else { return Ok(None) };
    let Some(recorded) = metadata.databases.get(step.index).and_then(DatabaseMetadata::rights) else { return Ok(None) };
    let is_same_host = metadata.label() == options.host.label;
    let rights = FileRights::of_record(&recorded, parent(&step.target.path), is_same_host);
    rights.map(Some).context("cannot look at the folder of a target")
}

/// Unpacks all databases. Digests and sizes of what the files hold are compared on the way, but for those of which the
/// plan says that they are damaged: nothing is returned for these.
fn unpack(
    archive: &Archive,
    plan: &Plan,
    files: &[Unpacked],
    options: &Options<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Option<ReadDatabase>>> {
    let damaged = |index: usize| plan.steps.iter().any(|step| step.index == index && step.damage.is_some());
    let (broken, whole): (Vec<_>, Vec<_>) =
        files.iter().map(|(index, file)| (*index, file)).partition(|(index, _)| damaged(*index));
    let total = plan.steps.iter().filter_map(|step| step.held.bytes).fold(0, u64::saturating_add);
    progress.begin(Stage::Unpack, &archive.contents().backup_name, total);
    let failed = || format!("cannot unpack \"{}\"", printable(&options.archive));
    let mut read = BTreeMap::new();
    if !whole.is_empty() {
        let unpacked = archive.unpack(&whole, options.threads, progress).with_context(failed)?;
        read.extend(whole.iter().map(|(index, _)| *index).zip(unpacked));
    }
    for (index, file) in broken {
        archive.salvage(index, Some(file), progress).with_context(failed)?;
    }
    Ok(files.iter().map(|(index, _)| read.remove(index)).collect())
}
