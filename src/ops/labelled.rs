//! Describes encrypted archives that no key here opens: by what this host remembers, or by their label.
//!
//! # What a label can do
//!
//! Whoever can write to a store can put an archive there whose label claims any date, set, host and size; the age
//! header does not prove who made it. A host without a key must rotate all the same. So a label counts on this
//! condition only: this host remembers having written a file with exactly this header and this size ([`Seal::Known`]).
//! Then the description is the one in its memory; that of the file is not even used.
//!
//! Every other archive is [`Seal::Closed`]. It is listed by its label, and that is all: it takes no slot, is not the
//! newest of anything, calms no check of the age of backups, gives a new backup nothing to be compared with, and is
//! never removed by a rule. So no label, whatever it says, removes an archive: not another one, because it displaces
//! nothing, and not its own, because nothing is decided about it.
//!
//! What follows from that:
//!
//! - Copying the header of a genuine archive in front of other data gives a file that is known only if its size is the
//!   same too. It is then a copy of that archive: copies have one verdict and take one slot, so it displaces nothing
//!   either. When the genuine one is removed, the memory of the header goes with it.
//! - A host whose workspace was lost, and a new machine, remember nothing. They keep everything, and `rotate` reports
//!   it, until a key opens the archives there once (`key check`), or `trust_labels` is set.
//! - With `trust_labels`, labels count like metadata, except those dated more than a day after the store's own time of
//!   the file: an archive cannot be older in the store than in itself. Then whoever can write to the store can let old
//!   archives be removed; the manual says so.
//! - On a host with a key, the metadata inside decides. The recipient is public, so anybody can make an archive that
//!   the key opens. Encryption keeps readers out, not writers: only the rights of the store do.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use chrono::{DateTime, TimeDelta, Utc};

use super::reading::{Marks, Reading};
use super::sealing::KnownPlace;
use crate::archive::Locked;
use crate::digest::Sha256;
use crate::label::{Label, LabelDatabase, LabelDatabases};
use crate::names::ArchiveName;
use crate::snapshot::{Brief, Origin, Seal, Snapshot};
use crate::streams::{PathId, Place, Stream};
use crate::workspace::{Sealed, Workspace};

/// How much later than the file a label may be dated: clocks differ.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// The encrypted archives that this host made, read when they are first needed.
pub struct Memory<'a> {
    workspace: &'a Workspace,
    sealed: OnceLock<HashMap<Sha256, Sealed>>,
}

impl<'a> Memory<'a> {
    /// Remembers what a workspace remembers.
    pub fn of(workspace: &'a Workspace) -> Self {
        Self { workspace, sealed: OnceLock::new() }
    }

    fn find(&self, header: &Sha256, bytes: u64) -> Option<&Sealed> {
        let read = || self.workspace.sealed().into_iter().map(|sealed| (sealed.header, sealed)).collect();
        self.sealed.get_or_init(read).get(header).filter(|sealed| sealed.bytes == bytes)
    }

    /// Returns the digest of a file that this host made.
    pub fn sha256(&self, header: &Sha256, bytes: u64) -> Option<Sha256> {
        self.find(header, bytes).and_then(|sealed| sealed.sha256)
    }
}

/// Describes an archive that no key opens; `None` if it has no label.
///
/// Also returns what is odd about the label, if anything.
pub fn snapshot(
    (name, bytes): (ArchiveName, u64),
    modified: DateTime<Utc>,
    locked: &Locked,
    marks: Marks,
    memory: &Memory<'_>,
    reading: &Reading,
) -> Option<(Snapshot, Option<String>)> {
    let label = locked.envelope.label.as_ref()?;
    // The store's own time proves that a label dated later is wrong. One dated earlier is normal: a copy that caught
    // up, or a bucket that was moved.
    let doubt = (label.created_at.signed_duration_since(modified) > AHEAD).then(|| {
        let (labelled, stored) = (label.created_at.format("%Y-%m-%d"), modified.format("%Y-%m-%d"));
        format!(
            "its label is dated {labelled}, but it was in the store on {stored} already; it is kept and not counted"
        )
    });
    let known = memory.find(&locked.envelope.header, bytes).filter(|_| doubt.is_none());
    let seal = match known {
        Some(_) => Seal::Known,
        None if reading.encryption.trust_labels && doubt.is_none() => Seal::Known,
        None => Seal::Closed,
    };
    let label = known.map_or(label, |known| &known.label);
    let databases = briefs(label, known.map(|known| known.paths.as_slice()).unwrap_or_default());
    let absent = label.absent.iter().cloned();
    let snapshot = Snapshot {
        bytes,
        id: Some(label.id).filter(|_| seal == Seal::Known),
        origin: Origin::Format1,
        created_at: label.created_at,
        set: label.set.clone(),
        host: label.host_label.clone(),
        kind: label.kind,
        set_databases: databases.iter().map(|brief| brief.name.clone()).chain(absent).collect(),
        databases,
        pinned: marks.pinned,
        damaged: marks.damaged || label.damaged,
        accepted: marks.accepted,
        has_digest: marks.digest,
        held: false,
        pending: false,
        replaces: known.and_then(|known| known.replaces.clone()),
        seal,
        name,
    };
    Some((snapshot, doubt))
}

fn briefs(label: &Label, paths: &[String]) -> Vec<Brief> {
    let brief = |(index, database): (usize, &LabelDatabase)| {
        let path = paths.get(index).cloned();
        let place = path.clone().map_or(Place::Hidden(database.path_id), Place::Path);
        let file = database.file_id.clone();
        Brief {
            name: database.name.clone(),
            bytes: Some(database.bytes),
            tables: None,
            rows: database.rows,
            stream: Stream {
                set: label.set.clone(),
                host: label.host_label.clone(),
                place,
                file: file.clone().filter(|_| database.stream_by_file),
            },
            resolved: true,
            source: path,
            file,
            previous: database.previous,
        }
    };
    match &label.databases {
        LabelDatabases::Each(databases) => databases.iter().enumerate().map(brief).collect(),
        // One stream for all archives of the same databases.
        LabelDatabases::Sum(sum) => vec![Brief {
            name: label.set.clone(),
            bytes: Some(sum.bytes),
            tables: None,
            rows: sum.rows,
            stream: Stream {
                set: label.set.clone(),
                host: label.host_label.clone(),
                place: Place::Hidden(PathId::of_digest(sum.sha256)),
                file: None,
            },
            resolved: true,
            source: None,
            file: None,
            previous: None,
        }],
    }
}

/// Gives databases of which only a digest of the path is known their path, if it is that of a configured database or of
/// an archive that shows it.
pub fn unite_hidden(snapshots: &mut [Snapshot], places: &[KnownPlace]) {
    let hidden = |brief: &Brief| matches!(brief.stream.place, Place::Hidden(_));
    if !snapshots.iter().flat_map(|snapshot| &snapshot.databases).any(hidden) {
        return;
    }
    let mut known: HashMap<PathId, String> = HashMap::new();
    for KnownPlace { set, host, path } in places {
        known.insert(PathId::of(set, host, path), path.clone());
    }
    let briefs = snapshots.iter().flat_map(|snapshot| &snapshot.databases);
    let shown: HashSet<&Stream> = briefs.map(|brief| &brief.stream).filter(|stream| stream.path().is_some()).collect();
    for stream in shown {
        if let Some(path) = stream.path() {
            known.insert(PathId::of(&stream.set, &stream.host, path), path.to_owned());
        }
    }
    for brief in snapshots.iter_mut().flat_map(|snapshot| &mut snapshot.databases) {
        if let Place::Hidden(id) = &brief.stream.place
            && let Some(path) = known.get(id)
        {
            brief.stream.place = Place::Path(path.clone());
        }
    }
}
