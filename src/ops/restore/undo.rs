//! Finds the restore to undo.
//!
//! What an undo needs is in the metadata of the safety archives, so a fresh workspace is enough. The records of the
//! workspace also hold what no archive does: restores without a safety backup, and guarded commands that were not
//! rolled back. Those cannot be undone, and an older restore is never undone instead.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use crate::metadata::{Kind, ReplacedTarget};
use crate::names::{ArchiveName, HostLabel, Name};
use crate::ops::Repository;
use crate::ops::inventory::{Reading, inventory};
use crate::ops::pending;
use crate::ops::resolve::ResolveError;
use crate::platform::parent;
use crate::progress::Progress;
use crate::snapshot::Snapshot;
use crate::streams::{OwnHost, Place};
use crate::workspace::intents::{InterruptedRestore, beside};
use crate::workspace::records::{Record, RecordState};

/// Which restores are meant.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The labels that are this host's own.
    pub host: OwnHost,
    /// The sets; `None` for all.
    pub sets: Option<BTreeSet<Name>>,
    /// Where their targets are.
    pub targets: Targets,
}

/// Where the targets of the restores are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Anywhere.
    Any,
    /// These files, without symbolic links.
    Files(Vec<PathBuf>),
    /// In this folder.
    Folder(PathBuf),
}

impl Targets {
    fn hold(&self, path: &str) -> bool {
        let path = Path::new(path);
        match self {
            Targets::Any => true,
            Targets::Files(files) => files.iter().any(|file| file == path),
            Targets::Folder(folder) => parent(path) == folder,
        }
    }

    /// Returns the folders that may contain notes about interrupted restores.
    fn folders(&self) -> Vec<&Path> {
        match self {
            Targets::Any => Vec::new(),
            Targets::Files(files) => files.iter().map(|file| parent(file)).collect(),
            Targets::Folder(folder) => vec![folder],
        }
    }
}

/// A restore, a rollback, or a guarded command that was not rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its id; safety archives of older releases have none.
    pub restore: Option<String>,
    /// The set.
    pub set: Name,
    /// The host label.
    pub host: HostLabel,
    /// What was restored; of a guarded command the archive that was made before it.
    pub archive: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// Its place among the records of the workspace, for two of one moment; 0 where there is no record.
    pub sequence: u64,
    /// The archive that holds the previous contents.
    pub safety: Option<ArchiveName>,
    /// The targets, and which of them were missing before.
    pub targets: Vec<ReplacedTarget>,
    /// The store in whose workspace an interrupted one committed its safety archive.
    pub store: Option<String>,
    /// How it ended.
    pub end: End,
}

/// How a restore ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Everything was restored.
    Finished,
    /// It was interrupted.
    Interrupted,
    /// It is a guarded command that failed, and its changes were kept.
    NotRolledBack,
}

/// What an undo would undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one, from this safety archive.
    TakeBack(Past, ArchiveName),
    /// There is none.
    Nothing,
    /// The newest one cannot be undone: it had no safety backup, or that is gone.
    NoWayBack(Past),
    /// A newer restore of something else has replaced one of the targets.
    Overtaken(Past, Past),
    /// A newer archive was made before an update: the database was changed on purpose since.
    Updated(Past, ArchiveName),
    /// Restores of several sets match.
    SeveralSets(Vec<Name>),
}

/// Everything that was restored, as far as archives and workspace know.
#[derive(Debug)]
pub struct History {
    /// Newest first.
    pasts: Vec<Past>,
    /// Archives made before an update: name, time, and the paths of their databases.
    updates: Vec<(ArchiveName, DateTime<Utc>, Vec<String>)>,
}

impl History {
    /// Reads the archives of the store, the pending ones, the records and the notes beside targets.
    ///
    /// An archive that the system failed to read and that may be the newest safety backup is an error.
    pub fn read(
        repository: &Repository,
        scope: &Scope,
        reading: &Reading,
        progress: &dyn Progress,
    ) -> anyhow::Result<Self> {
        let found = inventory(repository, reading, progress)?;
        let newest =
            found.snapshots.iter().find(|snapshot| snapshot.kind == Kind::Safety).map(|snapshot| snapshot.created_at);
        if let Some(unread) = found.unread_as_new_as(newest, None) {
            return Err(ResolveError::from(unread).into());
        }
        let mut snapshots = found.snapshots;
        pending::add(repository, reading, &mut snapshots)?;
        let records = repository.workspace().records().context("cannot read the records of restores")?;
        let mut folders: BTreeSet<&Path> = scope.targets.folders().into_iter().collect();
        let unfinished = records.iter().filter(|record| record.state == RecordState::Unfinished);
        folders.extend(unfinished.flat_map(|record| &record.targets).map(|target| parent(Path::new(&target.path))));
        let of_safety = snapshots
            .iter()
            .filter(|snapshot| snapshot.kind == Kind::Safety)
            .filter_map(|snapshot| snapshot.replaces.as_ref());
        folders.extend(of_safety.flat_map(|replaces| &replaces.targets).map(|target| parent(Path::new(&target.path))));
        let notes = beside(folders).context("cannot look for interrupted restores")?;
        Ok(Self::of(&snapshots, records, notes))
    }

    /// Puts together what archives, records and notes say. The archives are newest first.
    pub fn of(snapshots: &[Snapshot], records: Vec<Record>, notes: Vec<InterruptedRestore>) -> Self {
        let mut restores: BTreeMap<String, Past> = BTreeMap::new();
        let mut pasts = Vec::new();
        let mut safeties: Vec<&Snapshot> =
            snapshots.iter().filter(|one| one.kind == Kind::Safety && !one.is_plain() && one.is_trusted()).collect();
        safeties.sort_by(|a, b| older_first(a, b));
        for snapshot in safeties {
            let Some(replaces) = &snapshot.replaces else {
                pasts.extend(of_older_release(snapshot));
                continue;
            };
            let past = restores.entry(replaces.restore.clone()).or_insert_with(|| Past {
                restore: Some(replaces.restore.clone()),
                set: snapshot.set.clone(),
                host: snapshot.host.clone(),
                archive: None,
                at: snapshot.created_at,
                sequence: 0,
                // The oldest: an interrupted restore that was completed goes back to before both.
                safety: Some(snapshot.name.clone()),
                targets: replaces.targets.clone(),
                store: None,
                end: End::Finished,
            });
            (past.archive, past.at) = (Some(replaces.archive.clone()), snapshot.created_at);
        }
        for record in records {
            match record.state {
                RecordState::Void => drop(restores.remove(&record.restore)),
                // Whether it died is known from its notes; one that still runs does not count yet.
                RecordState::Unfinished => {}
                RecordState::Finished | RecordState::NotRolledBack => {
                    let end = if record.state == RecordState::Finished { End::Finished } else { End::NotRolledBack };
                    let past = restores.entry(record.restore.clone()).or_insert_with(|| Past {
                        restore: Some(record.restore),
                        set: record.set,
                        host: record.host,
                        archive: Some(record.archive),
                        at: record.at,
                        sequence: 0,
                        safety: None,
                        targets: record.targets,
                        store: None,
                        end,
                    });
                    past.sequence = record.sequence;
                }
            }
        }
        for InterruptedRestore { note, .. } in notes {
            let known = restores.remove(&note.restore);
            if note.phase == crate::workspace::intents::Phase::Preparing {
                // It changed nothing. Its note goes with the next restore or undo on its targets.
                continue;
            }
            pasts.push(Past {
                restore: Some(note.restore),
                set: note.set,
                host: note.host,
                archive: Some(note.archive),
                at: note.began_at,
                sequence: u64::MAX,
                safety: known.and_then(|past| past.safety),
                targets: note.targets,
                store: note.store,
                end: End::Interrupted,
            });
        }
        pasts.extend(restores.into_values());
        pasts.sort_by_key(|past| std::cmp::Reverse((past.at, past.sequence, number(past))));
        let before_update = |snapshot: &&Snapshot| snapshot.kind == Kind::PreUpdate && snapshot.is_good();
        let paths = |snapshot: &Snapshot| {
            snapshot.databases.iter().filter_map(|brief| brief.stream.path().map(str::to_owned)).collect()
        };
        let updates = snapshots
            .iter()
            .filter(before_update)
            .map(|update| (update.name.clone(), update.created_at, paths(update)));
        Self { updates: updates.collect(), pasts }
    }

    /// Chooses the restore to undo: an interrupted one first, else the newest.
    pub fn choose(&self, scope: &Scope) -> Choice {
        let own = |past: &&Past| scope.host.owns(&past.host);
        let meant = |past: &&Past| {
            scope.sets.as_ref().is_none_or(|sets| sets.contains(&past.set))
                && past.targets.iter().all(|target| scope.targets.hold(&target.path))
        };
        let fitting: Vec<&Past> = self.pasts.iter().filter(own).filter(meant).collect();
        let sets: BTreeSet<&Name> = fitting.iter().map(|past| &past.set).collect();
        if sets.len() > 1 {
            return Choice::SeveralSets(sets.into_iter().cloned().collect());
        }
        let Some(past) = fitting.iter().find(|past| past.end == End::Interrupted).or(fitting.first()) else {
            return Choice::Nothing;
        };
        let shares =
            |other: &Past| other.targets.iter().any(|target| past.targets.iter().any(|own| own.path == target.path));
        let is_newer =
            |other: &&Past| other.at > past.at && other.restore != past.restore && !meant(other) && shares(other);
        if let Some(newer) = self.pasts.iter().filter(own).find(is_newer) {
            return Choice::Overtaken((*past).clone(), newer.clone());
        }
        let (End::Finished | End::Interrupted, Some(safety)) = (&past.end, &past.safety) else {
            return Choice::NoWayBack((*past).clone());
        };
        let updated = self
            .updates
            .iter()
            .find(|(_, at, paths)| *at > past.at && past.targets.iter().any(|target| paths.contains(&target.path)));
        match updated {
            Some((update, ..)) if past.end == End::Finished => Choice::Updated((*past).clone(), update.clone()),
            _ => Choice::TakeBack((*past).clone(), safety.clone()),
        }
    }

    /// Returns the restore that a safety archive was made before.
    pub fn of_safety(&self, name: &ArchiveName) -> Option<&Past> {
        self.pasts.iter().find(|past| past.safety.as_ref() == Some(name))
    }
}

/// A safety archive of a release that recorded no restore: it goes back to where its databases came from.
///
/// A safety backup that a guarded command caused records none either; releases that make those record resolved paths.
fn of_older_release(snapshot: &Snapshot) -> Option<Past> {
    if snapshot.databases.iter().any(|brief| brief.resolved) {
        return None;
    }
    let target = |brief: &crate::snapshot::Brief| match &brief.stream.place {
        Place::Path(path) => Some(ReplacedTarget { name: brief.name.clone(), path: path.clone(), missing: false }),
        Place::Name(_) | Place::Hidden(_) => None,
    };
    Some(Past {
        restore: None,
        set: snapshot.set.clone(),
        host: snapshot.host.clone(),
        archive: None,
        at: snapshot.created_at,
        sequence: 0,
        safety: Some(snapshot.name.clone()),
        targets: snapshot.databases.iter().map(target).collect::<Option<_>>()?,
        store: None,
        end: End::Finished,
    })
}

/// Orders archives by time, and those of one moment by the number behind their names: `-2` is the second.
fn older_first(a: &Snapshot, b: &Snapshot) -> Ordering {
    a.created_at
        .cmp(&b.created_at)
        .then_with(|| a.name.number().cmp(&b.name.number()))
        .then_with(|| a.name.cmp(&b.name))
}

/// Of one moment, what cannot be undone counts as the newest: nothing older is taken in its place.
fn number(past: &Past) -> u32 {
    past.safety.as_ref().map_or(u32::MAX, ArchiveName::number)
}
