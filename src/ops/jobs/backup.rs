//! The backup of one set as a job: what is missing or recent enough, the backup, and what it makes superfluous.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::retention::{after_backup, after_backups};
use super::{Chosen, Surroundings};
use crate::config::ShrinkWatch;
use crate::database::{Source, Timeouts};
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::backup::{self, Compared, Finding, IfChanged, Made, Note, Plan, Run};
use crate::ops::changed::{self, Listing, Watched};
use crate::ops::inventory::{Reading, inventory};
use crate::ops::retain;
use crate::platform::parent;
use crate::progress::Progress;
use crate::retention::Retention;
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::streams::Stream;
use crate::workspace::Seen;
use crate::workspace::scratch::remove_leftovers_beside_databases;

/// Returns whether there is anything to commit: a store is made by its first commit.
pub fn has_databases(chosen: &[Chosen]) -> bool {
    let is_missing = |cause: io::Error| cause.kind() == io::ErrorKind::NotFound;
    let is_there = |source: &Source| !std::fs::metadata(&source.path).is_err_and(is_missing);
    chosen.iter().flat_map(|set| &set.sources).any(is_there)
}

/// Returns the missing databases of a plan that have archives, each with its newest: they were lost, and this is not a
/// first deployment.
pub fn lost(
    plan: &Plan,
    known: Option<&[Snapshot]>,
    store: impl FnOnce() -> Result<Repository, StoreError>,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<(Name, ArchiveName)>> {
    if plan.missing.is_empty() {
        return Ok(Vec::new());
    }
    let archives: Cow<'_, [Snapshot]> = match known.map_or_else(|| store().map(Err), |known| Ok(Ok(known))) {
        Ok(Ok(known)) => known.into(),
        Ok(Err(store)) => inventory(&store, &around.reading(None), progress)?.snapshots.into(),
        // No archive was ever made here.
        Err(StoreError::Unreachable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Vec::new().into(),
        Err(error) => return Err(error.into()),
    };
    let lost = backup::lost(&plan.missing, &plan.request.set, around.host, &archives);
    Ok(lost.into_iter().map(|(source, archive)| (source.name.clone(), archive.clone())).collect())
}

/// Removes what interrupted runs left in the workspace and beside the databases of many sets, once before the first of
/// them: while several are captured, each would disturb the others.
pub fn remove_leftovers(chosen: &[Chosen], repository: &Repository, progress: &dyn Progress) {
    repository.workspace().try_remove_ended_scratch(progress);
    let mut folders = BTreeSet::new();
    let paths = chosen.iter().flat_map(|set| &set.sources).map(|source| source.path.as_path());
    remove_leftovers_beside_databases(paths.filter(|path| path.is_symlink() || folders.insert(parent(path))));
}

/// Returns the archive that makes a backup unnecessary, of the database whose newest good one is the oldest: every
/// database has one in its own stream that is younger than `age`. One that is dated in the future proves nothing.
pub fn young_enough(
    plan: &Plan,
    age: Duration,
    known: Option<&[Snapshot]>,
    repository: &Repository,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Option<Snapshot>> {
    // Earlier steps of this run may have taken hours.
    let now = around.clock.now();
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    let found: Cow<'_, [Snapshot]> = match known {
        Some(known) => known.into(),
        None => inventory(repository, &around.reading(None), progress)?.snapshots.into(),
    };
    let young =
        |snapshot: &&Snapshot| snapshot.is_good() && snapshot.created_at <= now && now - snapshot.created_at < age;
    let mut oldest: Option<&Snapshot> = None;
    for source in &plan.sources {
        let stream = backup::own_stream(source, &plan.request.set, &around.host.label, &found, now);
        let of_stream = |snapshot: &&Snapshot| snapshot.databases.iter().any(|brief| brief.stream == stream);
        let Some(newest) = found.iter().filter(of_stream).find(young) else { return Ok(None) };
        if oldest.is_none_or(|oldest| newest.created_at < oldest.created_at) {
            oldest = Some(newest);
        }
    }
    Ok(oldest.cloned())
}

/// What a backup did.
pub struct Done {
    /// The archive that was made.
    pub made: Made,
    /// The duration.
    pub took: Duration,
}

impl Done {
    /// Returns whether the user has to look at it.
    pub fn has_problems(&self) -> bool {
        self.made.packed.is_damaged()
            || self.made.notes.iter().any(Note::is_problem)
            || self.made.findings.iter().any(Finding::is_problem)
    }
}

/// Removes what `retention` does not keep after a backup, unless the new archive is damaged: a damaged database must
/// not displace its good archives. Further stores got their copies before.
pub fn retain(
    made: &Made,
    retention: Retention,
    repository: &Repository,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Option<retain::Report>> {
    if made.packed.is_damaged() {
        return Ok(None);
    }
    after_backup(retention, made, repository, around, progress).map(Some)
}

/// Does the same once after a run over many sets: for the streams of all that it made, of which `last` is the newest.
pub fn retain_all(
    streams: BTreeSet<Stream>,
    last: ArchiveName,
    retention: Retention,
    repository: &Repository,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<retain::Report> {
    after_backups(retention, streams, last, repository, around, progress)
}

/// Whether the records of unchanged databases are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// They are: the databases count as backed up at this time.
    Renew,
    /// Nothing is written.
    LookOnly,
}

/// Returns a record for each database of a plan if a look shows that none changed since its last backup, and the
/// archives are still in the store. Reads nothing of the databases.
pub fn unchanged(
    plan: &Plan,
    wait: Duration,
    renewal: Renewal,
    (repository, listing): (&Repository, &Listing),
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Option<Vec<Seen>>> {
    let (set, host) = (&plan.request.set, &around.host.label);
    let watched = |source: &Source| Watched { source: source.clone(), stream: backup::stream_of(source, set, host) };
    let databases: Vec<Watched> = plan.sources.iter().map(watched).collect();
    let limits = limits(wait);
    let mut confirmed =
        changed::confirmed((repository, listing), &databases, &plan.request.recipients(), &limits, progress)?;
    if let (Some(all), Renewal::Renew) = (&mut confirmed, renewal) {
        changed::renew(repository, all, around.clock.now());
    }
    Ok(confirmed)
}

fn limits(wait: Duration) -> Timeouts {
    Timeouts { busy: wait, ..Timeouts::default() }
}

/// Backs a set up, waiting for locks for at most `wait`.
pub fn run(
    plan: &Plan,
    wait: Duration,
    known: Option<&[Snapshot]>,
    repository: &Repository,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Done> {
    let started = Instant::now();
    let reading = around.reading(None);
    let made = backup::execute(repository, plan, &how(plan, wait, known, &reading, around), progress)?;
    Ok(Done { made, took: started.elapsed() })
}

/// Returns which archives hold what the databases of a set hold. Makes none.
pub fn compare(
    plan: &Plan,
    wait: Duration,
    known: Option<&[Snapshot]>,
    repository: &Repository,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Compared>> {
    let reading = around.reading(None);
    backup::compare(repository, plan, &how(plan, wait, known, &reading, around), progress)
}

/// What a backup came to that was wanted only if something changed.
pub enum Ended {
    /// An archive was made.
    Made(Box<Done>),
    /// Nothing changed. One record for each database.
    Unchanged(Vec<Seen>),
}

/// The same, but makes no archive if the copies hold what the newest archives hold. Callers look first: [`unchanged`].
pub fn run_if_changed(
    plan: &Plan,
    wait: Duration,
    known: Option<&[Snapshot]>,
    repository: &Repository,
    around: &Surroundings<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Ended> {
    let started = Instant::now();
    let reading = around.reading(None);
    let done = backup::execute_if_changed(repository, plan, &how(plan, wait, known, &reading, around), progress)?;
    Ok(match done {
        IfChanged::Made(made) => Ended::Made(Box::new(Done { made: *made, took: started.elapsed() })),
        IfChanged::Unchanged(seen) => Ended::Unchanged(seen),
    })
}

fn how<'a>(
    plan: &Plan,
    wait: Duration,
    known: Option<&'a [Snapshot]>,
    reading: &'a Reading,
    around: &Surroundings<'a>,
) -> Run<'a> {
    Run {
        clock: around.clock,
        reading,
        limits: limits(wait),
        temporary: around.temporary,
        known,
        hold: None,
        watch_shrinks: around.settings.sets.get(&plan.request.set).is_none_or(|set| set.shrink == ShrinkWatch::Warn),
    }
}
