//! Keeps what an undo needs: the notes beside the targets, the safety archive, the record.
//!
//! In order: [`announce`](Keeper::announce) (notes: nothing was changed yet), [`keep`](Keeper::keep) (the safety
//! archive is committed in the workspace), [`replacing`](Keeper::replacing) (notes: from here on targets may be new),
//! and then [`finish`](Keeper::finish) or [`unchanged`](Keeper::unchanged). No step touches the store or waits for its
//! lock: the targets are locked meanwhile.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::RestoreError;
use super::options::{Options, Safety};
use super::plan::{Method, Plan};
use crate::compression::Compression;
use crate::database::{Depth, TargetState};
use crate::metadata::{Kind, ReplacedTarget, Replaces};
use crate::names::{ArchiveName, printable};
use crate::ops::Repository;
use crate::ops::pack::{Request, Staged, build};
use crate::ops::pending;
use crate::platform::parent;
use crate::progress::Progress;
use crate::workspace::Scratch;
use crate::workspace::intents::{Intent, InterruptedRestore, Note, Phase, beside, forget};
use crate::workspace::records::{self, Record, RecordState};

/// Keeps what an undo or the next run needs.
pub(super) struct Keeper<'a> {
    options: &'a Options<'a>,
    plan: &'a Plan,
    /// The folder of each target, and the scratch folder in it.
    places: Vec<(PathBuf, PathBuf)>,
    /// Names that archives of the store have.
    taken: HashSet<String>,
    id: String,
    began_at: DateTime<Utc>,
    targets: Vec<ReplacedTarget>,
    intent: Option<Intent>,
    safety: Option<ArchiveName>,
    /// Whether this run completes an interrupted one and goes on under its id.
    adopted: Option<InterruptedRestore>,
    /// Interrupted restores that this one makes obsolete.
    obsolete: Vec<InterruptedRestore>,
    warnings: Vec<String>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(
        options: &'a Options<'a>,
        plan: &'a Plan,
        scratches: &BTreeMap<PathBuf, Scratch>,
        taken: HashSet<String>,
    ) -> Self {
        Self {
            options,
            plan,
            places: scratches.iter().map(|(folder, scratch)| (folder.clone(), scratch.path().to_owned())).collect(),
            taken,
            id: records::new_id(),
            began_at: options.clock.now(),
            targets: Vec::new(),
            intent: None,
            safety: None,
            adopted: None,
            obsolete: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Returns the time of the run for names of folders.
    pub(super) fn stamp(&self) -> String {
        self.options.clock.now().format("%Y%m%dT%H%M%SZ").to_string()
    }

    /// Records which targets are going to be replaced. The caller has locked those that can be locked.
    ///
    /// An interrupted restore of this set to nothing but these targets is completed by this one: it goes on under the
    /// same id, so that an undo goes back to before both of them, and never to a mixture.
    pub(super) fn announce(&mut self) -> anyhow::Result<()> {
        self.began_at = self.options.clock.now();
        let found = beside(self.places.iter().map(|(folder, _)| folder.as_path()))
            .context("cannot look for interrupted restores")?;
        let mut before: BTreeMap<String, bool> = BTreeMap::new();
        for old in found {
            let covered = is_covered(self.plan, &old.note);
            if old.note.set != self.options.set || !covered && old.note.phase == Phase::Replacing {
                continue;
            }
            if old.note.phase == Phase::Preparing {
                self.clear_unchanged(&old);
                continue;
            }
            let meant = self.options.takes_back.as_ref().is_none_or(|id| *id == old.note.restore);
            if meant && self.adopted.is_none() {
                self.id.clone_from(&old.note.restore);
                before = old.note.targets.iter().map(|target| (target.path.clone(), target.missing)).collect();
                self.safety.clone_from(&old.note.safety);
                self.adopted = Some(old);
            } else {
                self.obsolete.push(old);
            }
        }
        let of_step = self.plan.steps.iter().map(|step| (&step.held.name, &step.target));
        let of_removal = self.plan.removals.iter().map(|removal| (&removal.name, &removal.target));
        let target = |(name, target): (&crate::names::Name, &crate::database::Target)| {
            let path = target.path.to_string_lossy().into_owned();
            // A file that is not a database needs no safety backup; an unusable file is moved aside and stays there.
            let missing = before.get(&path).copied().unwrap_or(!matches!(target.state, TargetState::Database(_)));
            ReplacedTarget { name: name.clone(), path, missing }
        };
        self.targets = of_step.chain(of_removal).map(target).collect();
        self.record(RecordState::Unfinished);
        // One new file appears whole or not at all.
        let is_one_new_file = self.plan.removals.is_empty()
            && matches!(self.plan.steps.as_slice(), [step] if step.method == Method::Create);
        if is_one_new_file && self.adopted.is_none() {
            return Ok(());
        }
        let note = Note {
            restore: self.id.clone(),
            set: self.options.set.clone(),
            host: self.options.host.label.clone(),
            archive: self.options.archive.clone(),
            began_at: self.began_at,
            phase: if self.adopted.is_some() { Phase::Replacing } else { Phase::Preparing },
            store: self.options.workspace.map(Repository::address),
            safety: self.safety.clone(),
            targets: self.targets.clone(),
        };
        let intent = Intent::write(self.places.clone(), note);
        self.intent =
            Some(intent.context("cannot write down what is going to be replaced; nothing was changed").inspect_err(
                |_| {
                    if self.adopted.is_none() {
                        self.forget_record();
                    }
                },
            )?);
        Ok(())
    }

    /// Commits the contents of the locked databases in the workspace, as the safety backup.
    pub(super) fn keep(&mut self, staged: Vec<Staged>, progress: &dyn Progress) -> anyhow::Result<Option<ArchiveName>> {
        let Safety::Into(store) = self.options.safety else { return Ok(None) };
        if staged.is_empty() {
            return Ok(None);
        }
        let restored = printable(&self.options.archive).into_owned();
        let request = Request {
            digits: None,
            set: self.options.set.clone(),
            kind: Kind::Safety,
            name: None,
            note: Some(format!("made before restoring {restored}")),
            host: self.options.host.clone(),
            // The locks are held: nothing was committed after it.
            created_at: self.options.clock.now(),
            replaces: Some(Replaces { restore: self.id.clone(), archive: restored, targets: self.targets.clone() }),
            consistent: true,
            absent: Vec::new(),
            // The lock is held meanwhile: what is there is kept, whatever it is, and fast.
            check: Depth::Quick,
            keep_damaged: true,
            vacuum: false,
            compression: Compression::Gzip(1),
            sealing: self.options.upkeep.reading.encryption.store.clone(),
            threads: self.options.threads,
            lock_wait: self.options.limits.busy,
        };
        let unkept = |cause| RestoreError::NoSafetyStore { location: store.location(), cause };
        let scratch = store.workspace().scratch().map_err(|cause| unkept(cause.into()))?;
        let built = build(store.workspace(), &scratch, staged, &request, progress)
            .context("the safety backup failed, nothing was changed")?;
        let name = store
            .workspace()
            .commit_pending(&built.path, &built.name, &self.taken)
            .map_err(|cause| unkept(cause.into()))?;
        // Crash here, or failure: the archive is pending and unknown to a host without a key, and nothing removes it.
        if let Some(Err(error)) = built.seal.as_ref().map(|seal| seal.remember(store.workspace(), &name)) {
            self.warnings.push(format!("the safety backup {name} could not be recorded: {error:#}"));
        }
        // For an adopted restore, the earlier safety archive stays the one to undo with.
        self.safety.get_or_insert_with(|| name.clone());
        Ok(Some(name))
    }

    /// Records that targets may be new from now on.
    pub(super) fn replacing(&mut self) -> anyhow::Result<()> {
        let safety = self.safety.clone();
        self.intent
            .as_mut()
            .map_or(Ok(()), |intent| intent.replacing(safety))
            .context("cannot write down that targets are being replaced")
    }

    /// Removes what was kept, because every target is as it was. `made` is the safety archive of this run.
    ///
    /// Crash in between: notes about a restore that changed nothing, or a pending archive of what its source holds.
    pub(super) fn unchanged(&mut self, made: Option<&ArchiveName>) {
        // The note of an interrupted restore that was to be completed stays: it is still interrupted.
        if self.adopted.is_none() {
            // A note that stays would only offer an undo of nothing.
            let _ = self.intent.take().map(|intent| intent.remove());
            self.forget_record();
        }
        if let (Some(name), Safety::Into(store)) = (made, self.options.safety) {
            let _ = store.workspace().discard_pending(name);
        }
    }

    /// Records that everything was restored and removes the notes. The targets are durable, and not locked any more.
    ///
    /// Crash before the notes are removed: the next command reports an interrupted restore that was in fact complete;
    /// an undo of it is right all the same.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.record(if self.options.takes_back.is_some() && self.adopted.is_some() {
            RecordState::Void
        } else {
            RecordState::Finished
        });
        if let Some(intent) = self.intent.take() {
            intent.remove().context("everything was restored, but the note about it could not be removed")?;
        }
        if let Some(old) = self.adopted.take() {
            forget(&old)
                .context("everything was restored, but the note about an interrupted restore could not be removed")?;
        }
        for old in std::mem::take(&mut self.obsolete) {
            self.clear(&old, RecordState::Void);
        }
        Ok(())
    }

    /// Ends the interrupted restores on these targets, which hold everything that is to be restored already.
    pub(super) fn already_there(&mut self) -> anyhow::Result<()> {
        let found = beside(self.places.iter().map(|(folder, _)| folder.as_path()))
            .context("cannot look for interrupted restores")?;
        for old in found.into_iter().filter(|old| old.note.set == self.options.set && is_covered(self.plan, &old.note))
        {
            match old.note.phase {
                Phase::Preparing => self.clear_unchanged(&old),
                // It is complete, or nothing of it has to be undone.
                Phase::Replacing if self.options.takes_back.is_some() => self.clear(&old, RecordState::Void),
                Phase::Replacing => self.clear(&old, RecordState::Finished),
            }
        }
        Ok(())
    }

    /// Returns the warnings for the user.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Ends an interrupted restore that had changed nothing: its safety archive holds what its targets held then, and
    /// is removed.
    fn clear_unchanged(&mut self, old: &InterruptedRestore) {
        if let Some(store) = self.options.workspace {
            discard_of(store, &old.note.restore, &self.options.upkeep.reading);
        }
        self.clear(old, RecordState::Void);
    }

    fn clear(&mut self, old: &InterruptedRestore, state: RecordState) {
        let marked =
            self.options.workspace.map_or(Ok(()), |store| store.workspace().set_record_state(&old.note.restore, state));
        if let Err(error) = marked.and_then(|()| forget(old)) {
            self.warnings.push(format!("the note about an interrupted restore could not be removed: {error}"));
        }
    }

    /// Writes the record. A workspace that cannot be written has none: the safety archive carries what an undo needs.
    fn record(&mut self, state: RecordState) {
        let Some(store) = self.options.workspace else { return };
        let record = Record {
            restore: self.id.clone(),
            set: self.options.set.clone(),
            host: self.options.host.label.clone(),
            archive: self.options.archive.clone(),
            at: self.options.clock.now(),
            sequence: 0,
            state,
            safety: self.safety.clone(),
            targets: self.targets.clone(),
        };
        if let Err(error) = store.workspace().write_record(&record).map_err(anyhow::Error::from)
            && state != RecordState::Unfinished
        {
            self.warnings.push(format!("the restore could not be recorded in the workspace: {error:#}"));
        }
    }

    fn forget_record(&self) {
        if let Some(store) = self.options.workspace {
            let _ = store.workspace().remove_record(&self.id);
        }
    }
}

/// Removes the pending safety archive of a restore that changed nothing. One that cannot be read stays.
fn discard_of(repository: &Repository, restore: &str, reading: &crate::ops::inventory::Reading) {
    for name in repository.workspace().pending_names().unwrap_or_default() {
        let of_restore = pending::open(repository, name.as_str(), reading).ok().flatten();
        if of_restore
            .and_then(|selected| selected.snapshot.replaces)
            .is_some_and(|replaces| replaces.restore == restore)
        {
            let _ = repository.workspace().discard_pending(&name);
        }
    }
}

/// Returns whether a plan writes every target of an earlier restore.
fn is_covered(plan: &Plan, note: &Note) -> bool {
    let writes = |path: &str| {
        let path = Path::new(path);
        plan.targets().any(|target| target.path == path) || plan.gone.iter().any(|gone| gone == path)
    };
    note.targets.iter().all(|target| writes(&target.path))
}

/// Returns the folders of all targets of a plan, which hold scratch and notes.
pub(super) fn folders(plan: &Plan) -> std::collections::BTreeSet<&Path> {
    plan.targets().map(|target| parent(&target.path)).collect()
}
