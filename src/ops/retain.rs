//! Executes retention: `rotate` and `cleanup`, which differ only in the rules.
//!
//! The plan is made from the archives of the store while its lock is held, so that no backup commits in between. A
//! failed listing ends the run before anything is removed: a store that lists few archives because of an error must not
//! be rotated.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;

use super::LockedStore;
use super::copies::{Known, awaited};
use super::inventory::{Foreign, KEEP, Reading, inventory};
use super::plain::{Sources, Spared, spared};
use super::stale::{STALE_AFTER, Stale, Whereabouts, stale};
use crate::clock::Clock;
use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name, printable};
use crate::ops::Repository;
use crate::platform;
use crate::progress::{Progress, Stage};
use crate::retention::{GoneReach, Plan, Policy, Reason, Retention, Scene, Scope, Verdict};
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::streams::{OwnHost, Stream};
use crate::workspace::Workspace;

/// How long archives are kept on a store shared with hosts that locks do not reach.
const YOUNGEST: TimeDelta = TimeDelta::hours(24);

/// What to keep, and of what.
#[derive(Debug, Clone)]
pub struct Request {
    /// The rules.
    pub retention: Retention,
    /// Whose archives may be removed.
    pub scope: Scope,
    /// The archive that this run made.
    pub made: Option<ArchiveName>,
    /// The sets with `shrink = "off"`.
    pub shrinks_off: BTreeSet<Name>,
    /// The clock: the plan may be made long after the run started.
    pub clock: Clock,
    /// Whether it is ahead of the clock of this machine.
    pub ahead: bool,
    /// Where days begin and end, and how archives are read that record no zone or no host.
    pub reading: Reading,
    /// Options of this run.
    pub asked: Asked,
}

/// Options of a run; all off by default.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The labels of this host: only its streams are checked for missing new archives.
    pub own: Option<OwnHost>,
    /// The policy of `rotate` in the configuration.
    pub rotation: Option<Policy>,
    /// Streams whose database is gone, and that got no archive for this long, are reduced to this.
    pub gone: Option<(TimeDelta, GoneReach)>,
    /// Plain databases are counted and removed.
    pub plain: Option<Plain>,
    /// Damaged archives that were just reread.
    pub condemned: BTreeSet<ArchiveName>,
    /// What is remembered of the further stores: archives that one still lacks are spared for a while.
    pub copies: Vec<Known>,
    /// Nothing younger is removed.
    pub youngest: Option<TimeDelta>,
}

/// What distinguishes a live database from a copy of another tool.
#[derive(Debug, Clone)]
pub struct Plain {
    /// The configured databases.
    pub configured: Vec<std::path::PathBuf>,
}

/// Returns the minimum age for removals, if hosts that locks do not reach may use the folder of a store.
pub fn youngest(repository: &Repository) -> anyhow::Result<Option<TimeDelta>> {
    let Some(root) = repository.store().folder() else { return Ok(Some(YOUNGEST)) };
    let network = platform::is_network_file_system(root);
    let network = network.with_context(|| {
        format!("cannot find out which file system \"{}\" is on", printable(&root.to_string_lossy()))
    })?;
    Ok(network.then_some(YOUNGEST))
}

/// What would be done. `--dry-run` prints it.
#[derive(Debug)]
pub struct Outlook {
    /// What happens to each archive.
    pub plan: Plan,
    /// What else was found.
    pub seen: Seen,
    /// How many leftovers of interrupted runs would be removed, or why that is unknown.
    pub leftovers: io::Result<usize>,
}

/// What a run found besides the archives that it decides about.
#[derive(Debug, Default)]
pub struct Seen {
    /// Files that look like archives but are not. They are left alone.
    pub foreign: Vec<Foreign>,
    /// Plain databases that are kept although their removal was requested.
    pub spared: Vec<(ArchiveName, Spared)>,
    /// Streams of the scope that no longer get archives.
    pub stale: Vec<Stale>,
    /// The sets of which nothing is removed, because a newer release wrote an archive of theirs.
    pub sealed: BTreeSet<Name>,
    sources: Sources,
    plain: BTreeSet<ArchiveName>,
}

/// What was done.
#[derive(Debug)]
pub struct Report {
    /// The plan that was carried out.
    pub plan: Plan,
    /// The result for each archive that the plan removes, oldest first; shorter than the plan if the run was stopped.
    pub fates: Vec<(ArchiveName, Fate)>,
    /// What else was found.
    pub seen: Seen,
    /// How many leftovers of interrupted runs were removed, or why they were not.
    pub leftovers: io::Result<usize>,
}

/// The result for an archive that was to be removed.
#[derive(Debug)]
pub enum Fate {
    /// Removed.
    Removed,
    /// Another run had removed it.
    GoneAlready,
    /// Kept: it was pinned after the listing.
    PinnedMeanwhile,
    /// Kept: it may be a live database.
    Spared(Spared),
    /// Kept: it was not in the plan that the user accepted. The next run decides again.
    NotAgreed,
    /// It could not be removed.
    Failed(StoreError),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Removed => f.write_str("removed"),
            Fate::GoneAlready => f.write_str("gone already"),
            Fate::PinnedMeanwhile => f.write_str("stays, pinned meanwhile"),
            Fate::Spared(why) => write!(f, "stays: {why}"),
            Fate::NotAgreed => f.write_str("stays, not in the plan that was agreed to"),
            Fate::Failed(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => error.fmt(f),
            },
        }
    }
}

impl Report {
    /// Returns the bytes of all archives that were removed.
    pub fn freed_bytes(&self) -> u64 {
        let removed = self.plan.removed().zip(&self.fates).filter(|(_, (_, fate))| matches!(fate, Fate::Removed));
        removed.map(|(verdict, _)| verdict.bytes).sum()
    }

    /// Returns whether a removal failed.
    pub fn has_failures(&self) -> bool {
        self.leftovers.is_err() || self.fates.iter().any(|(_, fate)| matches!(fate, Fate::Failed(_)))
    }
}

/// Decides what would be removed. Changes nothing and needs no lock.
pub fn plan(repository: &Repository, request: &Request, progress: &dyn Progress) -> anyhow::Result<Outlook> {
    let (plan, seen) = decide(repository, request, progress)?;
    Ok(Outlook { plan, seen, leftovers: repository.workspace().leftovers().map(|found| found.len()) })
}

/// Plans and removes under the lock, oldest archive first; waits for the lock for at most `wait`. A removal that fails
/// is reported, and the others continue.
///
/// If the user `agreed` to a plan, only archives in that plan are removed.
///
/// Crash anywhere: each archive is complete or completely removed, what is gone was older than what the plan still
/// removes, and everything that the plan keeps is there. The next run makes the same plan for the rest.
pub fn execute(
    repository: &Repository,
    request: &Request,
    agreed: Option<&Plan>,
    wait: Duration,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let locked = repository.lock(wait, progress)?;
    let (mut plan, mut seen) = decide(repository, request, progress)?;
    if !keeps_what_is_there(repository, &plan)? {
        // Another client removed it since the store was listed in this run.
        repository.store().refresh();
        (plan, seen) = decide(repository, request, progress)?;
    }
    let agreed: Option<Vec<&ArchiveName>> = agreed.map(|plan| {
        let mut names: Vec<&ArchiveName> = plan.removed().map(|verdict| &verdict.archive).collect();
        names.sort();
        names
    });
    let mut fates = Vec::new();
    progress.begin(Stage::Archives, &repository.location(), plan.removed().count() as u64);
    for verdict in plan.removed() {
        if progress.cancelled() {
            break;
        }
        let agreed = agreed.as_ref().is_none_or(|names| names.binary_search(&&verdict.archive).is_ok());
        let fate = if agreed {
            live(verdict, repository, &seen).unwrap_or_else(|| remove(&locked, verdict))
        } else {
            Fate::NotAgreed
        };
        fates.push((verdict.archive.clone(), fate));
        progress.advance(1);
    }
    let leftovers = locked.remove_ended_scratch();
    Ok(Report { plan, fates, seen, leftovers })
}

/// Returns whether what makes other archives superfluous is still there: of each stream from which something is
/// removed, the newest archive that stays. The listing of a remote store may be hours old.
fn keeps_what_is_there(repository: &Repository, plan: &Plan) -> Result<bool, StoreError> {
    if repository.store().folder().is_some() {
        return Ok(true);
    }
    let streams: BTreeSet<&Stream> = plan.removed().flat_map(|verdict| &verdict.streams).collect();
    let mut relied_on = BTreeSet::new();
    for stream in streams {
        let usable = |verdict: &&Verdict| {
            let sound = !verdict.damaged && verdict.kind != Kind::Safety && !verdict.reasons.contains(&Reason::Future);
            sound && verdict.streams.contains(stream)
        };
        relied_on.extend(plan.kept().find(usable).map(|verdict| &verdict.archive));
    }
    for archive in relied_on {
        if repository.store().stat(archive.as_str())?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks a plain database again before its removal: an application may have opened it since the listing.
fn live(verdict: &Verdict, repository: &Repository, seen: &Seen) -> Option<Fate> {
    if !seen.plain.contains(&verdict.archive) {
        return None;
    }
    match spared(repository, &verdict.archive, &seen.sources) {
        Ok(why) => why.map(Fate::Spared),
        Err(error) => {
            let cause = io::Error::other(format!("{error:#}"));
            Some(Fate::Failed(StoreError::io("look at", verdict.archive.as_str(), repository.location(), cause)))
        }
    }
}

fn decide(repository: &Repository, request: &Request, progress: &dyn Progress) -> anyhow::Result<(Plan, Seen)> {
    let mut found = inventory(repository, &request.reading, progress)?;
    mark_held(&mut found.snapshots, repository.workspace())?;
    let asked = &request.asked;
    let mut sealed = found.sets_of_newer_formats(|host| concerns(&request.scope, host));
    sealed.retain(|set| request.scope.sets.as_ref().is_none_or(|sets| sets.contains(set)));
    let mut seen = Seen { sealed, ..Seen::default() };
    seen.foreign = found.foreign;
    if let Some(plain) = &asked.plain {
        seen.sources = Sources::new(plain.configured.iter().map(|path| path.as_path()), &found.snapshots);
        for snapshot in found.snapshots.iter().filter(|snapshot| snapshot.is_plain()) {
            match spared(repository, &snapshot.name, &seen.sources)? {
                Some(why) => seen.spared.push((snapshot.name.clone(), why)),
                None => drop(seen.plain.insert(snapshot.name.clone())),
            }
        }
    }
    // An archive of this run is not dated in the future, even if the clock was set back since.
    let made = found.snapshots.iter().find(|snapshot| Some(&snapshot.name) == request.made.as_ref());
    let now = request.clock.now();
    let now = made.map_or(now, |made| now.max(made.created_at));
    let mut scene = Scene {
        scope: request.scope.clone(),
        made: request.made.as_ref(),
        sealed: seen.sealed.clone(),
        youngest: asked.youngest,
        shrinks_off: request.shrinks_off.clone(),
        plain: seen.plain.clone(),
        condemned: asked.condemned.clone(),
        ahead: request.ahead,
        ..Scene::new(now, request.reading.opener.zone)
    };
    if has_room_for_two(repository, &found.snapshots) {
        scene.awaited = awaited(&found.snapshots, &asked.copies, &scene);
    }
    // A time that is ahead makes every stream look abandoned.
    if let (Some(own), false) = (&asked.own, request.ahead) {
        let rotation = match request.retention {
            Retention::Rotate(policy) => Some(policy),
            Retention::Cleanup(_) => asked.rotation,
        };
        let find = |after| {
            let found = stale(&found.snapshots, own, rotation, &scene, after);
            found.into_iter().filter(|stale| request.scope.covers(&stale.stream)).collect::<Vec<_>>()
        };
        seen.stale = find(STALE_AFTER);
        if let Some((after, reach)) = asked.gone {
            let gone = find(after).into_iter().filter(|stale| stale.database == Whereabouts::Gone);
            scene.gone = gone.map(|stale| (stale.stream, reach)).collect();
        }
    }
    Ok((request.retention.plan(&found.snapshots, &scene), seen))
}

/// Returns whether a local store has room for two more backups: only then archives wait for their copies.
fn has_room_for_two(repository: &Repository, snapshots: &[Snapshot]) -> bool {
    let Some(folder) = repository.store().folder() else { return true };
    let newest = snapshots.iter().find(|snapshot| snapshot.is_good()).map_or(0, |snapshot| snapshot.bytes);
    platform::free_bytes(folder).is_ok_and(|free| free / 2 >= newest)
}

/// Returns whether archives of a host may be removed in this scope.
fn concerns(scope: &Scope, host: &HostLabel) -> bool {
    scope.hosts.as_ref().is_none_or(|hosts| hosts.contains(host))
        && scope.streams.as_ref().is_none_or(|streams| streams.iter().any(|stream| stream.host == *host))
}

/// Marks the archives that running processes need. Fails if that cannot be found out: then nothing is removed.
pub fn mark_held(snapshots: &mut [Snapshot], workspace: &Workspace) -> anyhow::Result<()> {
    let held = workspace.held().context("cannot read which archives are in use")?;
    for snapshot in snapshots {
        snapshot.held = held.iter().any(|held| held.archives.contains(&snapshot.name));
    }
    Ok(())
}

/// Removes one archive and its marks, in the order that [`LockedStore::remove_archive`] explains.
fn remove(locked: &LockedStore<'_>, verdict: &Verdict) -> Fate {
    // `touch x.keep` needs no lock: a pin that came after the listing still counts.
    match locked.repository().store().has(&format!("{}{KEEP}", verdict.archive)) {
        Ok(false) => {}
        Ok(true) => return Fate::PinnedMeanwhile,
        Err(error) => return Fate::Failed(error),
    }
    match locked.remove_archive(&verdict.archive) {
        Ok(()) => Fate::Removed,
        Err(StoreError::NotFound { .. }) => Fate::GoneAlready,
        Err(error) => Fate::Failed(error),
    }
}

#[cfg(test)]
mod tests;
