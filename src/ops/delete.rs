//! Removes archives that the user names, and refuses to remove the only good copy of something.
//!
//! It refuses archives that are pinned or in use, a shrink that was not accepted, the last good archive of a stream,
//! and a plain file that may be a live database. A copy under another name (the same id) replaces the archive.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono_tz::Tz;

use super::plain::{Sources, Spared, spared};
use crate::clock::Clock;
use crate::metadata::Kind;
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::progress::Progress;
use crate::retention::{Limits, Retention, Scene};
use crate::snapshot::Snapshot;
use crate::streams::Stream;
use crate::text;

/// What is going to be removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The archives, oldest first.
    pub remove: Vec<Snapshot>,
}

/// Why a removal is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The archive is pinned.
    Pinned,
    /// A running process needs it.
    InUse,
    /// It holds far less than the archives before it, and that was not accepted.
    OpenShrink,
    /// Afterwards the stream would have no good archive.
    LastGood(Stream),
    /// It may be a live database.
    Live(Spared),
}

/// A removal that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteError {
    /// The archive.
    pub archive: ArchiveName,
    /// Why it stays.
    pub why: Refusal,
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archive = &self.archive;
        match &self.why {
            Refusal::Pinned => write!(f, "\"{archive}\" is pinned"),
            Refusal::InUse => write!(f, "\"{archive}\" is in use by another command"),
            Refusal::OpenShrink => write!(f, "\"{archive}\" is a shrink that was not accepted"),
            Refusal::LastGood(stream) => {
                write!(f, "\"{archive}\" is the last good archive of {}", text::stream(stream))
            }
            Refusal::Live(why) => write!(f, "\"{archive}\" may be a live database: {why}"),
        }
    }
}

impl std::error::Error for DeleteError {}

/// What to do about the last good archive of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastGood {
    /// Refuse to remove it.
    Keep,
    /// Remove it.
    Remove,
}

/// What the decision about a removal needs besides the archives.
pub struct Request<'a> {
    /// The archives to remove.
    pub names: &'a [ArchiveName],
    /// What to do about the last good one of a stream.
    pub last: LastGood,
    /// The sets with `shrink = "off"`.
    pub shrinks_off: &'a BTreeSet<Name>,
    /// The databases that a plain file must not be.
    pub sources: &'a Sources,
    /// The repository.
    pub repository: &'a Repository,
    /// The clock.
    pub clock: &'a Clock,
}

/// Decides whether these archives may be removed. The archives are newest first; those in use are marked as held.
pub fn plan(snapshots: &[Snapshot], request: &Request<'_>) -> anyhow::Result<Plan> {
    let chosen = |snapshot: &&Snapshot| request.names.contains(&snapshot.name);
    let mut remove: Vec<Snapshot> = snapshots.iter().filter(chosen).cloned().collect();
    remove.reverse();
    let now = request.clock.now();
    let scene = Scene { shrinks_off: request.shrinks_off.clone(), ..Scene::new(now, Tz::UTC) };
    let open_shrinks = Retention::Cleanup(Limits::default()).plan(snapshots, &scene).open_shrinks;
    let same = |one: &Snapshot, other: &Snapshot| one.name == other.name || one.id.is_some() && one.id == other.id;
    for snapshot in &remove {
        let refused = |why: Refusal| Err(DeleteError { archive: snapshot.name.clone(), why }.into());
        if snapshot.pinned {
            return refused(Refusal::Pinned);
        }
        if snapshot.held {
            return refused(Refusal::InUse);
        }
        if snapshot.is_plain() {
            match spared(request.repository, &snapshot.name, request.sources)? {
                // The user named this file, so an incomplete look-up does not keep it.
                Some(why) if !why.is_doubt() => return refused(Refusal::Live(why)),
                None | Some(_) => continue,
            }
        }
        let stays = |other: &&Snapshot| !request.names.contains(&other.name);
        if snapshots.iter().filter(stays).any(|other| same(snapshot, other) && !other.damaged) {
            continue;
        }
        let is_shrink = |other: &Snapshot| open_shrinks.iter().any(|shrink| shrink.archive == other.name);
        if snapshots.iter().any(|other| same(snapshot, other) && is_shrink(other)) {
            return refused(Refusal::OpenShrink);
        }
        // One that nothing vouches for may be a good one all the same.
        let may_be_good = |other: &Snapshot| !other.is_plain() && !other.damaged && other.kind != Kind::Safety;
        if request.last == LastGood::Remove || !may_be_good(snapshot) {
            continue;
        }
        // An archive dated in the future counts only for others dated in the future.
        let is_future = |other: &Snapshot| other.created_at > now;
        let is_as_good = |other: &Snapshot| other.is_good() || may_be_good(other) && !snapshot.is_trusted();
        let counts = |other: &&Snapshot| is_as_good(other) && (is_future(snapshot) || !is_future(other));
        for brief in &snapshot.databases {
            let of_stream = |other: &&Snapshot| other.databases.iter().any(|other| other.stream == brief.stream);
            if !snapshots.iter().filter(stays).filter(counts).any(|other| of_stream(&other)) {
                return refused(Refusal::LastGood(brief.stream.clone()));
            }
        }
    }
    Ok(Plan { remove })
}

/// Plans again under the lock, because another run may have removed other good archives meanwhile, and executes that
/// plan, oldest first, up to the first failure. Returns what was removed.
///
/// Crash in between: each archive is complete or completely removed.
pub fn execute(
    repository: &Repository,
    plan: impl FnOnce() -> anyhow::Result<Plan>,
    wait: Duration,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<ArchiveName>> {
    let locked = repository.lock(wait, progress)?;
    let mut removed = Vec::new();
    for snapshot in plan()?.remove {
        locked.remove_archive(&snapshot.name)?;
        removed.push(snapshot.name);
    }
    Ok(removed)
}
