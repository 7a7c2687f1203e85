//! Whose archive it is. Pure: no files, no clock.
//!
//! Two databases of one name must never stand for each other: not in retention, not in `latest`, not in ages, not in an
//! undo. So everything that looks for "the newest" or "the ones before" asks for a [`Stream`]: the archives of one
//! database, known by set, host label and resolved path.
//!
//! Two applications can still meet in one stream: containers without a `host`, clones, replicas with a copied
//! configuration. They work on different files, so an archive records which file it was copied from
//! ([`FileIdentity`]). A backup that finds an archive of its own file and a newer one of another file (x, y, x) belongs
//! to another application, and from then on its archives form a stream by that file, too.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::metadata::{Extent, Kind};
use crate::names::{ArchiveName, HostLabel, Name};
use crate::snapshot::{Brief, Snapshot};

/// How long two applications of one stream count as both in use after the last backup of either.
pub const BOTH_IN_USE: TimeDelta = TimeDelta::days(7);

/// Which file a database was copied from: its inode and its time of birth. Made by `platform`, compared here, never parsed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileIdentity(pub String);

/// The archives of one database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The set.
    pub set: Name,
    /// The machine or application.
    pub host: HostLabel,
    /// Where the database lies there.
    pub place: Place,
    /// The file, where two applications share everything else.
    pub file: Option<FileIdentity>,
}

/// Where the database of a stream lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At this path, without symbolic links where they could be resolved.
    Path(String),
    /// Not recorded: the name of the database stands for it.
    Name(Name),
}

impl Stream {
    /// Returns whether two streams are of one database by everything but the file.
    pub fn same_place(&self, other: &Self) -> bool {
        self.set == other.set && self.host == other.host && self.place == other.place
    }

    /// Returns the recorded path.
    pub fn path(&self) -> Option<&str> {
        match &self.place {
            Place::Path(path) => Some(path),
            Place::Name(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => f.write_str(&crate::names::printable(path)),
            Place::Name(name) => name.fmt(f),
        }
    }
}

/// The labels that are this host's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    /// The label of today.
    pub label: HostLabel,
    /// Labels of before: a renamed machine, a `host` that was set later. Their streams are the host's own, but stay apart.
    pub former: Vec<HostLabel>,
}

impl OwnHost {
    /// Makes the labels of a host that was never renamed.
    pub fn new(label: HostLabel) -> Self {
        Self { label, former: Vec::new() }
    }

    /// Returns whether a label is this host's.
    pub fn owns(&self, label: &HostLabel) -> bool {
        *label == self.label || self.former.contains(label)
    }
}

/// Gives archives without a resolved path the one that later archives of the same host and path resolved it to.
///
/// Releases before streams recorded the path as it was typed. The archives are newest first.
pub fn unite_resolved(snapshots: &mut [Snapshot]) {
    use std::collections::HashMap;
    let mut resolved: HashMap<(Name, HostLabel, String), String> = HashMap::new();
    for snapshot in snapshots.iter() {
        for brief in snapshot.databases.iter().filter(|brief| brief.resolved) {
            if let (Some(source), Some(path)) = (&brief.source, brief.stream.path()) {
                let key = (brief.stream.set.clone(), brief.stream.host.clone(), source.clone());
                resolved.entry(key).or_insert_with(|| path.to_owned());
            }
        }
    }
    if resolved.is_empty() {
        return;
    }
    for snapshot in snapshots {
        for brief in snapshot.databases.iter_mut().filter(|brief| !brief.resolved) {
            if let Some(source) = &brief.source {
                let key = (brief.stream.set.clone(), brief.stream.host.clone(), source.clone());
                if let Some(path) = resolved.get(&key) {
                    brief.stream.place = Place::Path(path.clone());
                }
            }
        }
    }
}

/// What the archives that are there say about a new backup of one database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Before {
    /// Whether the new archive forms a stream by its file: another application uses the same set, host and path.
    pub by_file: bool,
    /// The newest archive of the last days that another application made under the same set, host and path.
    pub rival: Option<String>,
    /// The most that the stream held since its last shrink.
    pub previous: Option<Extent>,
    /// The newest archive of the stream that a backup can be dated behind.
    pub newest: Option<DateTime<Utc>>,
    /// Another path under which archives of this set, host and database name are kept, if this backup starts a stream.
    pub other_path: Option<String>,
}

/// Looks at the archives before a backup of the database of `stream`, copied from `file`. The archives are newest first.
pub fn before(snapshots: &[Snapshot], stream: &Stream, database: &Name, file: Option<&FileIdentity>, now: DateTime<Utc>) -> Before {
    let of_place = |snapshot: &'_ Snapshot| snapshot.databases.iter().position(|brief| brief.stream.same_place(stream));
    let family: Vec<(&Snapshot, &Brief)> = snapshots
        .iter()
        .filter(|snapshot| snapshot.kind != Kind::Safety && !snapshot.is_plain())
        .filter_map(|snapshot| of_place(snapshot).map(|index| (snapshot, &snapshot.databases[index])))
        .collect();
    let by_file = file.is_some_and(|file| belongs_to_another(&family, file));
    let marker = if by_file { file.cloned() } else { None };
    let own = |brief: &Brief| brief.stream.file == marker;
    let recent = |snapshot: &Snapshot| snapshot.created_at <= now && now - snapshot.created_at < BOTH_IN_USE;
    let rival = family.iter().find(|(snapshot, brief)| !own(brief) && recent(snapshot)).or_else(|| {
        // The other one came first, and its archives lie in the stream that both had.
        let foreign = |brief: &Brief| brief.file.is_some() && brief.file.as_ref() != file;
        family.iter().find(|(snapshot, brief)| by_file && foreign(brief) && recent(snapshot))
    });
    let mut stream_archives = family.iter().filter(|(_, brief)| own(brief));
    let newest = stream_archives.clone().next().map(|(snapshot, _)| snapshot.created_at);
    let last = stream_archives.find(|(snapshot, _)| snapshot.created_at <= now && !snapshot.damaged);
    let other_path = if family.is_empty() {
        let others = snapshots.iter().filter(|snapshot| snapshot.set == stream.set && snapshot.host == stream.host);
        others
            .flat_map(|snapshot| &snapshot.databases)
            .find(|brief| brief.name == *database && brief.stream.path().is_some())
            .and_then(|brief| brief.stream.path().map(str::to_owned))
    } else {
        None
    };
    Before {
        by_file,
        rival: rival.map(|(snapshot, _)| snapshot.name.as_str().to_owned()),
        previous: last.and_then(|(_, brief)| crate::retention::most_since_shrink(brief)),
        newest,
        other_path,
    }
}

/// Returns the newest archive of each application that shares a stream with others, if several of them made one in the
/// last days before `now`; nothing if there is one application only. The archives are newest first.
pub fn in_use<'a>(snapshots: impl Iterator<Item = &'a Snapshot>, stream: &Stream, now: DateTime<Utc>) -> Vec<ArchiveName> {
    let of_place =
        |snapshot: &'a Snapshot| snapshot.databases.iter().find(|brief| brief.stream.same_place(stream)).map(|brief| (snapshot, brief));
    let family: Vec<(&Snapshot, &Brief)> = snapshots
        .filter(|snapshot| snapshot.kind != Kind::Safety && !snapshot.is_plain() && snapshot.created_at <= now)
        .filter_map(of_place)
        .collect();
    if family.iter().all(|(_, brief)| brief.stream.file.is_none()) {
        return Vec::new();
    }
    let mut newest: Vec<(&FileIdentity, &ArchiveName)> = Vec::new();
    for (snapshot, brief) in family.iter().filter(|(snapshot, _)| now - snapshot.created_at < BOTH_IN_USE) {
        if let Some(file) = &brief.file
            && newest.iter().all(|(known, _)| *known != file)
        {
            newest.push((file, &snapshot.name));
        }
    }
    if newest.len() > 1 { newest.into_iter().map(|(_, name)| name.clone()).collect() } else { Vec::new() }
}

/// Returns whether a backup of `file` is of another application than the stream's: an archive of its own file, and a
/// newer one of another (x, y, x), or its own archives form a stream by file already.
fn belongs_to_another(family: &[(&Snapshot, &Brief)], file: &FileIdentity) -> bool {
    let of_own_file = |brief: &Brief| brief.file.as_ref() == Some(file);
    match family.iter().find(|(_, brief)| of_own_file(brief)) {
        None => false,
        Some((_, brief)) if brief.stream.file.is_some() => true,
        Some((own, _)) => family.iter().any(|(other, brief)| {
            brief.stream.file.is_none() && brief.file.is_some() && !of_own_file(brief) && other.created_at > own.created_at
        }),
    }
}
