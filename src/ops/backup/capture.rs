//! Copies the databases of a set as they are at one point in time, and compares the copies with the archives.

use std::borrow::Cow;
use std::path::Path;

use anyhow::Context as _;

use super::{BEHIND, LeftOut, Note, Plan, Run, refuse_taken, stream_of};
use crate::database::{PinnedDatabase, pin, refuse_unlinked};
use crate::digest::Sha256;
use crate::lineage;
use crate::look::Look;
use crate::metadata::{Kind, ReplacedTarget};
use crate::ops::Repository;
use crate::ops::changed::{self, CopyOf, Held};
use crate::ops::inventory::{Reading, inventory};
use crate::ops::pack::{Provenance, Request, Staged};
use crate::ops::scratch_room::{room_for_copies, room_for_copies_in_scratch};
use crate::platform;
use crate::progress::{Progress, Stage};
use crate::snapshot::Snapshot;
use crate::streams::Stream;
use crate::workspace::scratch::remove_leftovers_beside_databases;
use crate::workspace::{Record, Scratch};

/// Copies of all databases, in scratch.
pub(super) struct Captured<'a> {
    pub(super) scratch: Scratch,
    /// Where the copies are, if not in `scratch`.
    pub(super) _elsewhere: Option<Scratch>,
    pub(super) staged: Vec<Staged>,
    pub(super) streams: Vec<Stream>,
    pub(super) notes: Vec<Note>,
    pub(super) request: Request,
    /// The archives, newest first.
    pub(super) known: Cow<'a, [Snapshot]>,
    /// The look that holds for each copy, if there is one.
    pub(super) looks: Vec<Option<Look>>,
    /// The digest of each copy, if it is known before the archive is made.
    pub(super) copied: Vec<Option<Sha256>>,
}

impl Captured<'_> {
    pub(super) fn copies<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = CopyOf<'a>> {
        let parts = plan.sources.iter().zip(&self.streams).zip(self.staged.iter().zip(&self.looks));
        parts.map(|((source, stream), (staged, look))| CopyOf {
            source,
            stream,
            copy: &staged.copy,
            bytes: staged.bytes,
            look: look.as_ref(),
        })
    }

    /// Returns for each copy which archive holds the same, if one of its stream does.
    pub(super) fn held(
        &self,
        repository: &Repository,
        plan: &Plan,
        reading: &Reading,
        progress: &dyn Progress,
    ) -> anyhow::Result<Vec<Option<Held<'_>>>> {
        let now = self.request.created_at;
        self.copies(plan).map(|copy| changed::held(repository, &copy, &self.known, now, reading, progress)).collect()
    }

    /// Notes the databases that hold what an older archive holds: somebody may have brought them along. What was
    /// restored is meant to be as it is.
    pub(super) fn note_stale(
        &mut self,
        repository: &Repository,
        plan: &Plan,
        reading: &Reading,
        progress: &dyn Progress,
    ) -> anyhow::Result<()> {
        let records = repository.workspace().records().unwrap_or_default();
        let mut notes = Vec::new();
        for (source, held) in plan.sources.iter().zip(self.held(repository, plan, reading, progress)?) {
            let Some(Held { archive, newest }) = held.filter(|held| !held.is_newest()) else { continue };
            let path = platform::resolved(&source.path);
            let is_meant = |record: &Record| {
                let is_of = |target: &ReplacedTarget| Path::new(&target.path) == path;
                record.at >= newest.created_at && record.targets.iter().any(is_of)
            };
            if !records.iter().any(is_meant) {
                let (archive, newest) = (archive.name.clone(), newest.name.clone());
                notes.push(Note::Stale { database: source.name.clone(), archive, newest });
            }
        }
        self.notes.extend(notes);
        Ok(())
    }
}

/// Copies all databases as they are at one point in time.
pub(super) fn capture<'a>(
    repository: &Repository,
    plan: &Plan,
    run: &Run<'a>,
    progress: &dyn Progress,
) -> anyhow::Result<Captured<'a>> {
    let limits = &run.limits;
    if let Some(name) = &plan.request.name {
        refuse_taken(repository, name)?;
    }
    let workspace = repository.workspace();
    workspace.create()?;
    if run.known.is_none() {
        workspace.try_remove_ended_scratch(progress);
        remove_leftovers_beside_databases(plan.sources.iter().map(|source| source.path.as_path()));
    }
    let scratch = workspace
        .scratch()
        .with_context(|| format!("cannot make a scratch folder in the store \"{}\"", repository.location()))?;

    let list = || -> anyhow::Result<Cow<'a, [Snapshot]>> {
        Ok(match run.known {
            Some(known) => known.into(),
            None => inventory(repository, run.reading, progress)?.snapshots.into(),
        })
    };
    // Before the copies, which would be for nothing if the store does not answer. At the start of an application, which
    // waits for the copies, after them.
    let known = if plan.is_at_start { None } else { Some(list()?) };
    let guarded = workspace.held_besides(run.hold).context("cannot read which databases are guarded")?;
    let provenances: Vec<Provenance> = plan.sources.iter().map(|source| Provenance::of(&source.path)).collect();

    for source in &plan.sources {
        refuse_unlinked(&source.path)?;
    }
    // Copies that are vacuumed may go elsewhere, and nobody knows how small they become.
    let is_remote = repository.store().folder().is_none() && !plan.request.vacuum;
    if plan.request.sealing.is_some() || is_remote {
        room_for_copies_in_scratch(workspace, &plan.sources, &plan.request)?;
    }
    progress.begin(Stage::Lock, plan.request.set.as_str(), 0);
    let before_pin = changed::look_at(&plan.sources, limits, progress)?;
    let pinned = pin(&plan.sources, scratch.path(), run.clock, limits, progress)?;
    let (consistent, created_at) = (pinned.consistent, pinned.at);
    let total = pinned.databases.iter().map(|database| database.bytes()).sum();
    let freezes = pinned.databases.iter().any(PinnedDatabase::freezes);
    if !freezes {
        progress.captured();
    }
    // Plain data of an encrypted archive stays in its scratch folder.
    let movable = plan.request.vacuum && plan.request.sealing.is_none();
    let elsewhere = if movable { room_for_copies(workspace.folder(), total, run.temporary) } else { None };
    let folder = elsewhere.as_ref().unwrap_or(&scratch).path();
    let mut copies = Vec::new();
    for (index, (source, database)) in plan.sources.iter().zip(pinned.databases).enumerate() {
        let copy = folder.join(format!("{index}.db"));
        progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
        let copied = database.copy_and_look(&copy, limits, progress)?;
        copies.push((copy, copied));
    }
    if freezes {
        progress.captured();
    }
    // Every connection was closed with its copy.
    let looks = changed::agreed(before_pin, &changed::look_at(&plan.sources, limits, progress)?);
    let known = known.map_or_else(list, Ok)?;
    let (mut staged, mut streams, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    notes.extend(
        plan.empty.iter().map(|source| Note::Empty { database: source.name.clone(), path: source.path.clone() }),
    );
    notes.extend(plan.unreadable.iter().map(|LeftOut { source, why, remedy }| Note::Unreadable {
        database: source.name.clone(),
        path: source.path.clone(),
        why: why.clone(),
        remedy: remedy.clone(),
    }));
    let mut request = Request { consistent, created_at, ..plan.request.clone() };
    for ((source, mut provenance), (copy, copied)) in plan.sources.iter().zip(provenances).zip(copies) {
        let mut stream = stream_of(source, &request.set, &request.host.label);
        let before = lineage::before(&known, &stream, &source.name, provenance.file.as_ref(), created_at);
        (provenance.by_file, provenance.previous) = (before.by_file, before.previous);
        stream.file = provenance.file.clone().filter(|_| before.by_file);
        streams.push(stream);
        let database = &source.name;
        notes.extend(before.rival.map(|archive| Note::Rival { database: database.clone(), archive }));
        let behind = before.newest.filter(|newest| *newest - created_at > BEHIND);
        notes.extend(behind.map(|newest| Note::Behind { database: database.clone(), newest }));
        notes.extend(before.other_path.map(|path| Note::OtherPath { database: database.clone(), path }));
        let path = provenance.resolved.as_deref().map(Path::new);
        // A copy made during a guarded command must not be restored after that command was rolled back.
        let is_guarded = guarded.iter().flat_map(|held| &held.guarded).any(|guarded| Some(guarded.as_path()) == path);
        if is_guarded {
            request.kind = Kind::Safety;
            notes.push(Note::Guarded { database: database.clone() });
        }
        staged.push(Staged {
            name: source.name.clone(),
            source: source.path.clone(),
            copy,
            bytes: copied.bytes,
            provenance,
            damage: copied.damage,
        });
    }
    let copied = vec![None; looks.len()];
    Ok(Captured { scratch, _elsewhere: elsewhere, staged, streams, notes, request, known, looks, copied })
}
