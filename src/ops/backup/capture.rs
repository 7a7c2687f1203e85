//! Captures the databases of a set at one point in time, in two steps: they are pinned, and then copied.
//!
//! Between the steps writers may go on: what a pin keeps waiting is copied with it. So an application can start when its
//! databases are pinned, and whatever it writes first is not in the archive.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::{BEHIND, LeftOut, Note, Plan, Run, refuse_taken, stream_of};
use crate::database::{Copied, PinnedDatabase, Source, Timeouts, pin, refuse_unlinked};
use crate::digest::Sha256;
use crate::lineage;
use crate::look::Look;
use crate::metadata::{Kind, ReplacedTarget};
use crate::ops::Repository;
use crate::ops::changed::{self, CopyOf};
use crate::ops::inventory::inventory;
use crate::ops::pack::{Provenance, Request, Staged};
use crate::ops::scratch_room::{room_for_copies, room_for_copies_in_scratch};
use crate::progress::{Progress, Stage};
use crate::snapshot::Snapshot;
use crate::streams::Stream;
use crate::workspace::scratch::remove_leftovers_beside_databases;
use crate::workspace::{Record, Scratch};

/// Copies of all databases, in scratch.
pub struct Captured {
    pub(super) scratch: Scratch,
    /// Where the copies are, if not in `scratch`.
    pub(super) _elsewhere: Option<Scratch>,
    pub(super) staged: Vec<Staged>,
    pub(super) streams: Vec<Stream>,
    pub(super) notes: Vec<Note>,
    pub(super) request: Request,
    /// The archives, newest first.
    pub(super) known: Vec<Snapshot>,
    /// The look that holds for each copy, if there is one.
    pub(super) looks: Vec<Option<Look>>,
    /// The digest of each copy, if it is known before the archive is made.
    pub(super) copied: Vec<Option<Sha256>>,
}

impl Captured {
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

    /// Notes the databases that hold what an older archive holds: at the start of an application, somebody may have
    /// brought them along. What was restored is meant to be as it is.
    pub fn note_stale(
        &mut self,
        repository: &Repository,
        plan: &Plan,
        run: &Run<'_>,
        progress: &dyn Progress,
    ) -> anyhow::Result<()> {
        let records = repository.workspace().records().unwrap_or_default();
        let mut notes = Vec::new();
        for copy in self.copies(plan) {
            let found = changed::stale(repository, &copy, &self.known, self.request.created_at, run.reading, progress)?;
            let Some((held, newest)) = found else { continue };
            let path = crate::platform::resolved(&copy.source.path);
            let is_meant = |record: &Record| {
                let is_of = |target: &ReplacedTarget| Path::new(&target.path) == path;
                record.at >= newest.created_at && record.targets.iter().any(is_of)
            };
            if !records.iter().any(is_meant) {
                let (database, archive) = (copy.source.name.clone(), held.name.clone());
                notes.push(Note::Stale { database, archive, newest: newest.name.clone() });
            }
        }
        self.notes.extend(notes);
        Ok(())
    }
}

/// All databases, pinned at one point in time. Those that keep writers waiting are copied.
pub struct Held {
    // The order matters: connections are closed before the scratch folder goes away.
    databases: Vec<Pin>,
    scratch: Scratch,
    elsewhere: Option<Scratch>,
    known: Vec<Snapshot>,
    /// The paths that a guarded command works on.
    guarded: Vec<PathBuf>,
    provenances: Vec<Provenance>,
    /// The looks before the pin.
    before_pin: Vec<Option<Look>>,
    consistent: bool,
    created_at: DateTime<Utc>,
}

/// One of them.
#[allow(clippy::large_enum_variant, reason = "there are as many of them as databases in a set")]
enum Pin {
    /// A read transaction.
    Standing(PinnedDatabase),
    /// A copy.
    Copied(Copied),
}

impl Held {
    fn copy_of(&self, index: usize) -> PathBuf {
        self.elsewhere.as_ref().unwrap_or(&self.scratch).path().join(format!("{index}.db"))
    }
}

/// Pins all databases at one point in time, and copies those that keep writers waiting.
///
/// On an error nothing is visible in the store and no scratch is left. A crash leaves a scratch folder, which the next
/// run removes.
pub fn hold(repository: &Repository, plan: &Plan, run: &Run<'_>, progress: &dyn Progress) -> anyhow::Result<Held> {
    let limits = &run.limits;
    if let Some(name) = &plan.request.name {
        refuse_taken(repository, name)?;
    }
    let workspace = repository.workspace();
    workspace.create()?;
    workspace.try_remove_ended_scratch(progress);
    if run.known.is_none() {
        remove_leftovers_beside_databases(plan.sources.iter().map(|source| source.path.as_path()));
    }
    let scratch = workspace
        .scratch()
        .with_context(|| format!("cannot make a scratch folder in the store \"{}\"", repository.location()))?;

    // Before the pin, which keeps the writers of a rollback-mode database waiting.
    let known = match run.known {
        Some(known) => known.to_vec(),
        None => inventory(repository, run.reading, progress)?.snapshots,
    };
    let guarded = workspace.held_besides(run.hold).context("cannot read which databases are guarded")?;
    let guarded = guarded.into_iter().flat_map(|held| held.guarded).collect();
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
    let total = pinned.databases.iter().map(PinnedDatabase::bytes).sum();
    // Plain data of an encrypted archive stays in its scratch folder.
    let movable = plan.request.vacuum && plan.request.sealing.is_none();
    let elsewhere = if movable { room_for_copies(workspace.folder(), total, run.temporary) } else { None };
    let mut held = Held {
        databases: Vec::new(),
        scratch,
        elsewhere,
        known,
        guarded,
        provenances,
        before_pin,
        consistent,
        created_at,
    };
    for (index, (source, database)) in plan.sources.iter().zip(pinned.databases).enumerate() {
        held.databases.push(if database.keeps_writers_waiting() {
            Pin::Copied(copy(source, database, &held.copy_of(index), limits, progress)?)
        } else {
            Pin::Standing(database)
        });
    }
    Ok(held)
}

fn copy(
    source: &Source,
    database: PinnedDatabase,
    target: &Path,
    limits: &Timeouts,
    progress: &dyn Progress,
) -> anyhow::Result<Copied> {
    progress.begin(Stage::Copy, source.name.as_str(), database.bytes());
    Ok(database.copy_and_look(target, limits, progress)?)
}

impl Held {
    /// Copies what is not copied yet, and releases all databases. `plan` and `run` are those of [`hold`].
    pub fn copy(mut self, plan: &Plan, run: &Run<'_>, progress: &dyn Progress) -> anyhow::Result<Captured> {
        let limits = &run.limits;
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
        let (consistent, created_at) = (self.consistent, self.created_at);
        let mut request = Request { consistent, created_at, ..plan.request.clone() };
        for (index, (source, pin)) in plan.sources.iter().zip(std::mem::take(&mut self.databases)).enumerate() {
            let target = self.copy_of(index);
            let copied = match pin {
                Pin::Copied(copied) => copied,
                Pin::Standing(database) => copy(source, database, &target, limits, progress)?,
            };
            let mut provenance = self.provenances[index].clone();
            let mut stream = stream_of(source, &request.set, &request.host.label);
            let before = lineage::before(&self.known, &stream, &source.name, provenance.file.as_ref(), created_at);
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
            if self.guarded.iter().any(|guarded| Some(guarded.as_path()) == path) {
                request.kind = Kind::Safety;
                notes.push(Note::Guarded { database: database.clone() });
            }
            staged.push(Staged {
                name: source.name.clone(),
                source: source.path.clone(),
                copy: target,
                bytes: copied.bytes,
                provenance,
                damage: copied.damage,
            });
        }
        // Every connection was closed with its copy.
        let looks = changed::agreed(self.before_pin, &changed::look_at(&plan.sources, limits, progress)?);
        let copied = vec![None; looks.len()];
        let Self { scratch, elsewhere, known, .. } = self;
        Ok(Captured { scratch, _elsewhere: elsewhere, staged, streams, notes, request, known, looks, copied })
    }
}
