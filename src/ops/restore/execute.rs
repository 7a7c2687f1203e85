//! Carries a plan out: prepare, lock, keep what is there, write, commit, compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::intent::Intent;
use super::plan::{Method, Plan, Step};
use super::replace::{Kept, Work, replace};
use super::{RestoreError, forget, interrupted};
use crate::archive::Archive;
use crate::clock::Clock;
use crate::database::{self, Depth, Effort, Limits, SourceError};
use crate::metadata::Integrity;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::pack::Host;
use crate::ops::sidecars;
use crate::ops::syncing::while_syncing;
use crate::ops::verify::differences;
use crate::progress::{Progress, Stage};
use crate::scratch::{Scratch, sweep_beside};
use crate::store::{LocalStore, parent};

/// How many findings are shown of a database that is known to be damaged: each page that is missing brings several.
const SHOWN_OF_DAMAGE: usize = 10;

/// How a restore is carried out.
pub struct Options<'a> {
    /// The archive as the user knows it, for the note about an interrupted run.
    pub archive: String,
    /// The set under which the safety backup is kept.
    pub set: Name,
    /// How thoroughly the unpacked databases are checked.
    pub check: Depth,
    /// Whether damage is restored, with warnings.
    pub allow_damaged: bool,
    /// Whether what is replaced is backed up first.
    pub safety: Safety<'a>,
    /// How long to wait for locks.
    pub limits: Limits,
    /// How many threads compute.
    pub threads: NonZeroUsize,
    /// This host.
    pub host: Host,
    /// The time.
    pub clock: Clock,
}

/// Whether what is replaced is backed up first.
#[derive(Clone, Copy)]
pub enum Safety<'a> {
    /// Into this store.
    Into(&'a LocalStore),
    /// No. For one database only.
    Without,
}

/// What a restore did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The databases that were restored, in the order of the plan.
    pub databases: Vec<Restored>,
    /// The safety backup of what was there before.
    pub safety: Option<ArchiveName>,
    /// What a person should know, one printable line each.
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
    /// How it got there.
    pub method: Method,
    /// The journal mode before and after, where a database was replaced from inside.
    pub journal_modes: Option<(&'static str, &'static str)>,
    /// The folder that holds what was moved aside.
    pub aside: Option<PathBuf>,
}

/// Carries the plan out. On an error every target is as it was, unless the error says otherwise.
pub fn execute(archive: &Archive, plan: &Plan, options: &Options<'_>, progress: &dyn Progress) -> anyhow::Result<Report> {
    if matches!(options.safety, Safety::Without) && plan.needs_safety_backup() && plan.steps.len() > 1 {
        return Err(RestoreError::SafetyNeeded.into());
    }
    let mut warnings = Vec::new();
    let scratches = scratches(plan)?;
    check_room(plan)?;
    let (work, files) = prepare(plan, &scratches)?;
    // What an existing database is rewritten from needs no sync: it is worthless after a power cut.
    let placed = work.iter().zip(&files).filter(|(work, _)| work.step.method != Method::Inside).map(|(_, (_, file))| file);
    let rows = while_syncing(&placed.collect::<Vec<_>>(), || {
        unpack(archive, plan, &files, options, progress)?;
        work.iter().map(|work| examine(archive, work, options, progress, &mut warnings)).collect::<anyhow::Result<Vec<_>>>()
    })?;
    progress.checkpoint()?;

    let kept = Kept::new(options, plan);
    let done = replace(&work, &kept, progress)?;
    warnings.extend(done.warnings);
    forget_what_was_repeated(options, plan, &mut warnings);
    let databases = work.iter().zip(rows).zip(done.databases).map(|((work, (bytes, rows)), done)| Restored {
        name: work.step.held.name.clone(),
        target: work.step.target.path.clone(),
        bytes,
        rows,
        method: work.step.method,
        journal_modes: done.journal_modes,
        aside: done.aside,
    });
    Ok(Report { databases: databases.collect(), safety: done.safety, warnings })
}

/// Makes one scratch folder beside each target, on its file system, and removes what dead runs left there.
fn scratches(plan: &Plan) -> anyhow::Result<BTreeMap<PathBuf, Scratch>> {
    let folders: BTreeSet<&Path> = plan.steps.iter().map(|step| parent(&step.target.path)).collect();
    let mut scratches = BTreeMap::new();
    for folder in folders {
        // That an old leftover stays is no reason to fail a restore.
        let _ = sweep_beside(folder);
        let scratch = Scratch::beside(folder)
            .with_context(|| format!("cannot write into the folder \"{}\"", printable(&folder.to_string_lossy())))?;
        scratches.insert(folder.to_owned(), scratch);
    }
    Ok(scratches)
}

/// Fails with "not enough space" before anything is written, where that can be foreseen.
fn check_room(plan: &Plan) -> anyhow::Result<()> {
    let mut needed: BTreeMap<u64, (PathBuf, u64)> = BTreeMap::new();
    for step in &plan.steps {
        let beside: u64 = step.held.sidecars.iter().map(|sidecar| sidecar.bytes).fold(0, u64::saturating_add);
        // The sidecars, and what the database grows by when they are applied.
        let (new, old) = (step.held.bytes.unwrap_or(0).saturating_add(beside.saturating_mul(2)), step.target.bytes);
        let bytes = match step.method {
            Method::Create | Method::SetAside => new,
            Method::Offline(_) => new + old,
            // The unpacked copy, the safety copy, the journal or -wal, and the copy that is compared.
            Method::Inside => new + old + new.max(old) + new,
        };
        let folder = parent(&step.target.path).to_owned();
        let device = std::fs::metadata(&folder).with_context(|| format!("cannot look at \"{}\"", folder.display()))?.dev();
        needed.entry(device).or_insert_with(|| (folder, 0)).1 += bytes;
    }
    for (folder, bytes) in needed.into_values() {
        let room = rustix::fs::statvfs(&folder).map_err(io::Error::from)?;
        let free = room.f_bavail * room.f_frsize;
        if free < bytes {
            let cause = io::Error::new(io::ErrorKind::StorageFull, format!("{bytes} bytes are needed there, {free} are free"));
            let shown = printable(&folder.to_string_lossy()).into_owned();
            return Err(anyhow::Error::new(cause).context(format!("not enough space in \"{shown}\", nothing was changed")));
        }
    }
    Ok(())
}

/// An empty file for one database, with its index in the archive.
type Unpacked = (usize, File);

/// Makes an empty file beside each target.
fn prepare<'a>(plan: &'a Plan, scratches: &BTreeMap<PathBuf, Scratch>) -> anyhow::Result<(Vec<Work<'a>>, Vec<Unpacked>)> {
    let mut files = Vec::new();
    let mut work = Vec::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let scratch = scratches[parent(&step.target.path)].path();
        let copy = scratch.join(format!("{number}.db"));
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&copy).context("cannot create a scratch file")?;
        files.push((step.index, file));
        work.push(Work { step, safety: scratch.join(format!("{number}.old")), space: scratch.join(format!("{number}.space")), copy });
    }
    Ok((work, files))
}

/// Unpacks all databases. Digests and sizes are compared on the way, but for those of which the plan says that they are damaged.
fn unpack(archive: &Archive, plan: &Plan, files: &[Unpacked], options: &Options<'_>, progress: &dyn Progress) -> anyhow::Result<()> {
    let damaged = |index: usize| plan.steps.iter().any(|step| step.index == index && step.damage.is_some());
    let (broken, whole): (Vec<_>, Vec<_>) = files.iter().map(|(index, file)| (*index, file)).partition(|(index, _)| damaged(*index));
    let total = plan.steps.iter().filter_map(|step| step.held.bytes).fold(0, u64::saturating_add);
    progress.begin(Stage::Unpack, &archive.contents().backup_name, total);
    let failed = || format!("cannot unpack \"{}\"", printable(&options.archive));
    if !whole.is_empty() {
        archive.unpack(&whole, options.threads, progress).with_context(failed)?;
    }
    for (index, file) in broken {
        archive.salvage(index, Some(file), progress).with_context(failed)?;
    }
    Ok(())
}

/// Checks an unpacked database and compares it with what the archive says of it. Returns its size and rows.
fn examine(
    archive: &Archive,
    work: &Work<'_>,
    options: &Options<'_>,
    progress: &dyn Progress,
    warnings: &mut Vec<String>,
) -> anyhow::Result<(u64, Option<u64>)> {
    let step = work.step;
    let name = &step.held.name;
    if step.damage.is_some() && !step.held.sidecars.is_empty() {
        warnings.push(format!("{name}: what lies beside it was not applied, since it is damaged"));
    } else {
        let done = sidecars::recover(archive, step.index, &work.copy, &options.limits, progress)
            .with_context(|| format!("cannot recover \"{name}\" from what lies beside it"))?;
        warnings.extend(done.into_iter().map(|line| format!("{name}: {line}")));
    }
    if step.damage.is_none() && database::set_missing_checksum(&work.copy, progress)? {
        warnings.push(format!("{name}: the page checksum of page 1 was set, which an older release had left out"));
    }
    let bytes = std::fs::metadata(&work.copy).context("cannot look at the unpacked database")?.len();
    let mut refuse = |findings: Vec<String>| {
        if options.allow_damaged {
            warnings.extend(findings.into_iter().map(|finding| format!("{name}: {finding}")));
            return Ok(());
        }
        Err(RestoreError::Unsound { name: name.clone(), findings })
    };
    let promised = archive.contents().metadata.as_ref().and_then(|metadata| metadata.databases.get(step.index));
    progress.begin(Stage::Check, name.as_str(), 0);
    if let Some(damage) = &step.damage {
        if let Err(SourceError::NotADatabase { why, .. }) = database::probe(&work.copy) {
            return Err(RestoreError::NothingLeft { name: name.clone(), why: format!("{} ({why})", damage.lost()) }.into());
        }
        let zero = if damage.unreadable.is_empty() { "" } else { "; they are zero" };
        refuse(vec![format!("{}{zero} ({})", damage.lost(), damage.why)])?;
    }
    // The check of what is known to be damaged is a part of the result.
    let depth = if step.damage.is_some() && options.check == Depth::None { Depth::Full } else { options.check };
    let checked = match database::check(&work.copy, depth, Effort::threads(options.threads), progress) {
        // Named by the file in scratch, which says nothing to anybody.
        Err(SourceError::NotADatabase { why, .. } | SourceError::Damaged { why, .. }) => {
            return Err(RestoreError::Unsound { name: name.clone(), findings: vec![why] }.into());
        }
        Err(error) => return Err(anyhow!(error)),
        Ok(checked) => checked,
    };
    if checked.integrity == Integrity::Damaged {
        let mut findings = checked.findings;
        let more = findings.len().saturating_sub(SHOWN_OF_DAMAGE);
        if step.damage.is_some() && more > 0 {
            findings.truncate(SHOWN_OF_DAMAGE);
            findings.push(format!("the integrity check found more ({more} lines that are not shown)"));
        }
        refuse(findings)?;
        return Ok((bytes, None));
    }
    if step.damage.is_some() {
        refuse(vec!["the integrity check of what was restored found nothing".into()])?;
    }
    if options.check == Depth::None {
        return Ok((bytes, step.rows_after()));
    }
    let differences = differences(&work.copy, &step.held, promised, progress)?;
    let matches = differences.is_empty();
    if promised.is_some() && !differences.is_empty() {
        // Our metadata was taken from these very bytes.
        refuse(differences)?;
    } else {
        // The old tool counted in the live file, while it went on.
        warnings.extend(differences.into_iter().map(|difference| format!("{name}: {difference}")));
    }
    if let Some(rows) = step.rows_after().filter(|_| matches) {
        return Ok((bytes, Some(rows)));
    }
    let facts = database::facts(&work.copy)?;
    let rows = database::count_rows(&work.copy, &facts.tables, progress)?;
    Ok((bytes, rows.into_iter().sum()))
}

/// A restore that died earlier is history once all its targets were restored again.
fn forget_what_was_repeated(options: &Options<'_>, plan: &Plan, warnings: &mut Vec<String>) {
    let Safety::Into(store) = options.safety else { return };
    let restored = |path: &Path| plan.steps.iter().any(|step| step.target.path == path);
    let found = interrupted(store).unwrap_or_default();
    for old in found.iter().filter(|old| old.databases.iter().all(|(_, path)| restored(path))) {
        if let Err(error) = forget(old) {
            warnings.push(format!("the note about an interrupted restore could not be removed: {error}"));
        }
    }
}

impl<'a> Kept<'a> {
    fn new(options: &'a Options<'a>, plan: &'a Plan) -> Self {
        Self { options, plan }
    }

    /// Writes down what is going to be replaced, where several are and there is a store to write to.
    pub(super) fn intend(&self, safety: Option<&ArchiveName>) -> anyhow::Result<Option<Intent>> {
        let Safety::Into(store) = self.options.safety else { return Ok(None) };
        if self.plan.steps.len() < 2 {
            return Ok(None);
        }
        let databases: Vec<(Name, PathBuf)> =
            self.plan.steps.iter().map(|step: &Step| (step.held.name.clone(), step.target.path.clone())).collect();
        let private = store.create_private()?;
        let intent = Intent::write(&private, &self.options.archive, self.options.clock.now(), safety, &databases);
        Ok(Some(intent.context("cannot write down what is going to be replaced; nothing was changed")?))
    }
}
