//! Streams that get no new archives any more: a database that moved, was given up, or is not backed up.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use crate::metadata::Kind;
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
    /// How many archives a cleanup would remove that leaves the newest one: without safety backups and pinned ones.
    pub superfluous: usize,
    /// Where its database is.
    pub database: Whereabouts,
}

/// Whether a database is still where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Something lies at its path.
    There,
    /// The system says that nothing lies at its path.
    Gone,
    /// Its path is not recorded, or could not be looked up.
    Unknown,
}

/// Finds the streams of this host whose newest archive is older than `after`. Looks their databases up, and opens nothing.
pub fn stale(snapshots: &[Snapshot], own: &OwnHost, now: DateTime<Utc>, after: TimeDelta) -> Vec<Stale> {
    let mut streams: BTreeMap<&Stream, Vec<&Snapshot>> = BTreeMap::new();
    for snapshot in snapshots.iter().filter(|snapshot| !snapshot.is_plain() && own.owns(&snapshot.host)) {
        for brief in &snapshot.databases {
            streams.entry(&brief.stream).or_default().push(snapshot);
        }
    }
    let old = streams.into_iter().filter_map(|(stream, archives)| {
        let newest = archives.iter().map(|snapshot| snapshot.created_at).max()?;
        if now - newest <= after {
            return None;
        }
        let of_rules: Vec<&&Snapshot> = archives.iter().filter(|snapshot| snapshot.kind != Kind::Safety).collect();
        let stays = of_rules.iter().find(|snapshot| !snapshot.damaged).map(|snapshot| &snapshot.name);
        let superfluous = of_rules.iter().filter(|snapshot| !snapshot.pinned && Some(&snapshot.name) != stays).count();
        Some(Stale { stream: stream.clone(), newest, superfluous, database: whereabouts(stream) })
    });
    old.collect()
}

fn whereabouts(stream: &Stream) -> Whereabouts {
    // A path whose bytes were replaced, or that was typed as relative, says nothing about a file.
    let known = stream.path().filter(|path| Path::new(path).is_absolute() && !path.contains('\u{FFFD}'));
    match known.map(fs::symlink_metadata) {
        Some(Ok(_)) => Whereabouts::There,
        Some(Err(cause)) if cause.kind() == io::ErrorKind::NotFound => Whereabouts::Gone,
        Some(Err(_)) | None => Whereabouts::Unknown,
    }
}
