//! Finds streams that no longer get archives: the database moved, was abandoned, or is not backed up.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use crate::retention::{GoneReach, Limits, Plan, Policy, Reason, Retention, Scene, Verdict};
use crate::snapshot::Snapshot;
use crate::streams::{OwnHost, Stream};

/// How long a stream is without a new archive before it is reported.
pub const STALE_AFTER: TimeDelta = TimeDelta::days(90);

/// A stream that got no archive for a long time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The stream.
    pub stream: Stream,
    /// When its newest archive was made.
    pub newest: DateTime<Utc>,
    /// How many archives would be removed if streams whose database is gone kept only their newest one.
    pub superfluous: usize,
    /// Which command removes them.
    pub remedy: Remedy,
    /// Where its database is.
    pub database: Whereabouts,
}

/// Which command removes what a stream keeps for a database that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// `cleanup --gone`: no other database is in its archives.
    Cleanup,
    /// `rotate --gone`: its archives hold other databases too, whose rules also decide.
    Rotate,
}

/// Whether a database is still where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Something exists at its path.
    There,
    /// The system reports that nothing exists at its path.
    Gone,
    /// Its path is not recorded, or could not be looked up.
    Unknown,
}

/// Finds the streams of this host whose newest archive is older than `after`. Looks their databases up, and opens
/// nothing.
///
/// `rotation` is the policy of `rotate`, if there is one.
pub fn stale(
    snapshots: &[Snapshot],
    own: &OwnHost,
    rotation: Option<Policy>,
    scene: &Scene<'_>,
    after: TimeDelta,
) -> Vec<Stale> {
    let mut newest: BTreeMap<&Stream, DateTime<Utc>> = BTreeMap::new();
    let counts = |snapshot: &&Snapshot| !snapshot.is_plain() && !snapshot.is_closed() && own.owns(&snapshot.host);
    for snapshot in snapshots.iter().filter(counts) {
        for brief in &snapshot.databases {
            let newest = newest.entry(&brief.stream).or_insert(snapshot.created_at);
            *newest = (*newest).max(snapshot.created_at);
        }
    }
    newest.retain(|_, newest| scene.now - *newest > after);
    let mut found: Vec<Stale> = newest
        .into_iter()
        .map(|(stream, newest)| {
            let (stream, database) = (stream.clone(), whereabouts(stream));
            Stale { stream, newest, superfluous: 0, remedy: Remedy::Cleanup, database }
        })
        .collect();
    let gone = found.iter().filter(|stale| stale.database == Whereabouts::Gone);
    let gone: BTreeMap<Stream, GoneReach> = gone.map(|stale| (stale.stream.clone(), GoneReach::KeepNewest)).collect();
    if gone.is_empty() {
        return found;
    }
    let scene = Scene { gone, ..scene.clone() };
    let cleanup = Retention::Cleanup(Limits::default()).plan(snapshots, &scene);
    let rotate = rotation.map(|policy| Retention::Rotate(policy).plan(snapshots, &scene));
    for stale in &mut found {
        let superfluous = |plan: &Plan| {
            let fits =
                |verdict: &&Verdict| verdict.reasons.contains(&Reason::Gone) && verdict.streams.contains(&stale.stream);
            plan.removed().filter(fits).count()
        };
        (stale.superfluous, stale.remedy) = match (superfluous(&cleanup), rotate.as_ref().map_or(0, superfluous)) {
            (0, by_rotation) if by_rotation > 0 => (by_rotation, Remedy::Rotate),
            (by_cleanup, _) => (by_cleanup, Remedy::Cleanup),
        };
    }
    found
}

fn whereabouts(stream: &Stream) -> Whereabouts {
    // A path with replaced bytes, or a relative one, does not identify a file.
    let known = stream.path().filter(|path| Path::new(path).is_absolute() && !path.contains('\u{FFFD}'));
    match known.map(fs::symlink_metadata) {
        Some(Ok(_)) => Whereabouts::There,
        Some(Err(cause)) if cause.kind() == io::ErrorKind::NotFound => Whereabouts::Gone,
        Some(Err(_)) | None => Whereabouts::Unknown,
    }
}
