//! Replaces all databases of a plan, or none.
//!
//! In order: lock all, note beside each target that nothing was changed yet, copy what they hold, commit that copy in
//! the workspace, write all but the commits, note that targets may be new, put files in place, commit, compare, release
//! the locks, remove the notes. Until the second note an error changes nothing; after it, what was done is rolled back
//! in reverse. A crash after it leaves the note, which the next command finds.

use std::path::PathBuf;

use anyhow::anyhow;

use super::keep::Keeper;
use super::options::{Options, Safety};
use super::plan::{Method, Removal, Step};
use crate::database::{
    self, Committed, Compared, Locked, Offline, Replacement, Source, TargetError, TargetState, Timeouts, Written,
};
use crate::names::{ArchiveName, printable};
use crate::ops::pack::{Provenance, Staged};
use crate::platform::FileRights;
use crate::progress::{Progress, Silent, Stage};

/// One database with its private files: on the file system of its target, unless it is replaced from inside.
pub(super) struct Work<'a> {
    /// Its place in the plan.
    pub(super) number: usize,
    pub(super) step: &'a Step,
    /// The new content.
    pub(super) copy: PathBuf,
    /// What was there, copied under the lock.
    pub(super) safety: PathBuf,
    /// A scratch file for one more copy, to compare.
    pub(super) space: PathBuf,
    /// The permissions of a new file, if the archive records them.
    pub(super) rights: Option<FileRights>,
}

/// One database that is moved aside.
pub(super) struct Leaving<'a> {
    pub(super) removal: &'a Removal,
    /// A copy of it, for the safety archive.
    pub(super) safety: PathBuf,
}

/// What replacing did.
#[derive(Default)]
pub(super) struct Done {
    /// In the order of the plan.
    pub(super) databases: Vec<DoneOne>,
    /// Where the removed ones are.
    pub(super) removed: Vec<PathBuf>,
    pub(super) safety: Option<ArchiveName>,
    pub(super) warnings: Vec<String>,
}

/// What replacing one database did.
#[derive(Default)]
pub(super) struct DoneOne {
    pub(super) journal_modes: Option<(&'static str, &'static str)>,
    pub(super) aside: Option<PathBuf>,
}

/// One target from the first connection to the end: what is restored there, and what has to be rolled back after a
/// failure.
struct Target<'a> {
    work: &'a Work<'a>,
    /// The connections, if a database is replaced from inside.
    replacement: Option<Replacement>,
    change: Change,
    /// Where what was committed differs from what was to be restored.
    difference: Option<String>,
    done: DoneOne,
}

/// What was changed at a target, and has to be rolled back after a failure.
#[derive(Default)]
enum Change {
    /// The old state is there, or what was written was not committed and goes with its lock.
    #[default]
    Nothing,
    /// A new file is in place; what was there is in this folder.
    Placed(Option<PathBuf>),
    /// The file was exchanged.
    Exchanged,
    /// The new state is visible to all.
    Committed,
    /// The commit failed: an error of the last sync can come after the new state is visible to all.
    Uncertain,
}

impl<'a> Target<'a> {
    /// Opens a database that is replaced from inside. Nothing is locked.
    fn open(
        work: &'a Work<'a>,
        options: &Options<'_>,
        warnings: &mut Vec<String>,
        progress: &dyn Progress,
    ) -> Result<Self, TargetError> {
        let mut target =
            Self { work, replacement: None, change: Change::Nothing, difference: None, done: DoneOne::default() };
        if work.step.method == Method::Inside {
            let replacement = Replacement::open(&work.step.target, &work.copy, &options.limits, progress)?;
            target.done.journal_modes = Some(replacement.journal_modes()?);
            if replacement.is_resized() {
                let name = &work.step.held.name;
                warnings.push(format!("{name}: was rewritten with the page size of the target, which is in WAL mode"));
            }
            target.replacement = Some(replacement);
        }
        Ok(target)
    }

    /// Locks what can be locked.
    fn lock(&mut self, limits: &Timeouts, progress: &dyn Progress) -> Result<LockedTarget<'_>, TargetError> {
        let step = self.work.step;
        let state = match (step.method, &mut self.replacement) {
            (Method::Offline(proof), _) => TargetStep::OutOfUse(Offline::lock(&step.target, proof, limits, progress)?),
            (Method::Inside, Some(replacement)) => TargetStep::Locked(replacement.lock(limits, progress)?),
            _ => TargetStep::Vacant,
        };
        Ok(LockedTarget { work: self.work, state, difference: None })
    }

    /// Decides what the difference that comparing found means.
    fn judge(&mut self, warnings: &mut Vec<String>) -> Result<(), TargetError> {
        let Some(replacement) = &self.replacement else { return Ok(()) };
        if replacement.judge(self.difference.take())? == Compared::Overtaken {
            let name = &self.work.step.held.name;
            warnings
                .push(format!("{name}: another process wrote to it at once, so it could not be compared page by page"));
        }
        Ok(())
    }

    /// Rolls back what was changed.
    fn take_back(self, limits: &Timeouts) -> Result<(), TargetError> {
        let (work, target) = (self.work, &self.work.step.target);
        match (self.change, self.replacement) {
            (Change::Nothing, _) => Ok(()),
            // It was empty before; that there is a database now does no harm.
            (_, Some(_)) if target.state == TargetState::Empty => Ok(()),
            (Change::Committed, Some(mut replacement)) => replacement.put_back(&work.safety, limits, &Silent),
            (Change::Uncertain, replacement) => {
                // A connection that failed cannot be reused: a new one first rolls back the journal, if there is one.
                drop(replacement);
                put_back_anew(work, limits)
            }
            (Change::Placed(aside), _) => database::take_away(target, &work.space, aside.as_deref()),
            (Change::Exchanged, _) => database::exchange(target, &work.safety),
            (Change::Committed, None) => Ok(()),
        }
    }
}

/// Replaces a database with its safety copy, whatever its state.
fn put_back_anew(work: &Work<'_>, limits: &Timeouts) -> Result<(), TargetError> {
    let target = database::look_at(&work.step.target.path)?;
    let mut replacement = Replacement::open(&target, &work.safety, limits, &Silent)?;
    replacement.lock(limits, &Silent)?.write(&Silent)?.commit()?;
    replacement.close()
}

/// A target on its way through the steps, and how far it is. Dropped before its commit, it releases the lock and keeps
/// the old state.
struct LockedTarget<'a> {
    work: &'a Work<'a>,
    state: TargetStep<'a>,
    difference: Option<String>,
}

/// How far a target is.
#[allow(clippy::large_enum_variant, reason = "there are as many of them as databases in a set")]
enum TargetStep<'a> {
    /// There is nothing to lock: the file is missing, or is no database.
    Vacant,
    /// No process has it open, and none can open it.
    OutOfUse(Offline),
    /// No commit of others from here on.
    Locked(Locked<'a>),
    /// All but the commit.
    Written(Written<'a>),
    /// A new file is in place; what was there is in this folder.
    Placed(Option<PathBuf>),
    /// The file was exchanged; a copy of its old content is in this folder if it could not be renamed.
    Exchanged(Option<PathBuf>),
    /// The new state is visible to all.
    Committed(Committed<'a>),
    /// The commit failed.
    Uncertain,
}

impl LockedTarget<'_> {
    /// Copies what it holds, if it is a database that is locked.
    fn copy_old(&self, progress: &dyn Progress) -> Result<Option<Staged>, TargetError> {
        let (step, copy) = (self.work.step, self.work.safety.clone());
        progress.begin(Stage::Copy, step.held.name.as_str(), 0);
        let bytes = match &self.state {
            TargetStep::OutOfUse(offline) => offline.copy_to(&copy, progress)?,
            TargetStep::Locked(locked) => locked.copy_to(&copy, progress)?,
            _ => return Ok(None),
        };
        let source = step.target.path.clone();
        let provenance = Provenance::of(&source);
        Ok(Some(Staged { name: step.held.name.clone(), source, copy, bytes, provenance, damage: Vec::new() }))
    }

    /// Writes the new content, all but the commit.
    fn write(&mut self, progress: &dyn Progress) -> Result<(), TargetError> {
        self.state = match std::mem::replace(&mut self.state, TargetStep::Vacant) {
            TargetStep::Locked(locked) => TargetStep::Written(locked.write(progress)?),
            other => other,
        };
        Ok(())
    }

    /// Creates a file where no database was.
    fn place(&mut self, stamp: &str, warnings: &mut Vec<String>) -> Result<(), TargetError> {
        let (target, copy) = (&self.work.step.target, &self.work.copy);
        let database::Placed { aside, unset } = match self.work.step.method {
            Method::Create => database::place_new(target, copy, self.work.rights.as_ref(), stamp)?,
            Method::SetAside => database::place_over_unusable(target, copy, stamp)?,
            Method::Inside | Method::Offline(_) => return Ok(()),
        };
        self.state = TargetStep::Placed(aside);
        self.warn_of(&unset, warnings);
        Ok(())
    }

    /// Replaces the file of a database that no process has open.
    fn exchange(&mut self, stamp: &str, warnings: &mut Vec<String>) -> Result<(), TargetError> {
        match std::mem::replace(&mut self.state, TargetStep::Vacant) {
            TargetStep::OutOfUse(offline) => {
                let replaced = offline.replace(&self.work.copy, stamp)?;
                self.state = TargetStep::Exchanged(replaced.aside.clone());
                self.warn_of(&replaced.unset, warnings);
                warnings.extend(replaced.settle()?.into_iter().map(|holder| {
                    format!(
                        "process {} ({}) opened the old file at this very moment: restart it",
                        holder.pid, holder.name
                    )
                }));
            }
            other => self.state = other,
        }
        Ok(())
    }

    /// Commits what was written.
    fn commit(&mut self) -> Result<(), TargetError> {
        self.state = match std::mem::replace(&mut self.state, TargetStep::Uncertain) {
            TargetStep::Written(written) => TargetStep::Committed(written.commit()?),
            other => other,
        };
        Ok(())
    }

    /// Compares what was committed with what was to be restored.
    fn compare(&mut self) -> Result<(), TargetError> {
        if let TargetStep::Committed(committed) = &self.state {
            self.difference = committed.compare(&self.work.space, &Silent)?;
        }
        Ok(())
    }

    /// Names the rights that could not be set on a new file.
    fn warn_of(&self, unset: &[String], warnings: &mut Vec<String>) {
        warnings.extend(unset.iter().map(|what| format!("{}: {what}", self.work.step.held.name)));
    }

    /// Releases the lock, and returns what was changed, the folder of what was moved aside, and what comparing found.
    fn end(self) -> (Change, Option<PathBuf>, Option<String>) {
        let (change, aside) = match self.state {
            TargetStep::Vacant | TargetStep::OutOfUse(_) | TargetStep::Locked(_) | TargetStep::Written(_) => {
                (Change::Nothing, None)
            }
            TargetStep::Placed(aside) => (Change::Placed(aside.clone()), aside),
            TargetStep::Exchanged(aside) => (Change::Exchanged, aside),
            TargetStep::Committed(_) => (Change::Committed, None),
            TargetStep::Uncertain => (Change::Uncertain, None),
        };
        (change, aside, self.difference)
    }
}

/// A database that was not there before, and the folder into which it was moved.
struct Moved<'a> {
    leaving: &'a Leaving<'a>,
    aside: Option<PathBuf>,
}

impl Moved<'_> {
    fn move_aside(&mut self, stamp: &str) -> Result<(), TargetError> {
        self.aside = Some(database::set_aside(&self.leaving.removal.target, stamp)?);
        Ok(())
    }

    fn bring_back(self) -> Result<(), TargetError> {
        self.aside.map_or(Ok(()), |aside| database::bring_back(&self.leaving.removal.target, &aside))
    }

    /// Copies it for the safety archive, if it is a database.
    fn copy_old(&self, options: &Options<'_>, progress: &dyn Progress) -> anyhow::Result<Option<Staged>> {
        let Leaving { removal, safety } = self.leaving;
        if !matches!(removal.target.state, TargetState::Database(_)) {
            return Ok(None);
        }
        let source = Source { name: removal.name.clone(), path: removal.target.path.clone() };
        let folder = safety.parent().expect("the copy is in the scratch folder");
        // Not locked: whatever is committed after this copy is kept in the folder that the file is moved into.
        let pinned = database::pin(std::slice::from_ref(&source), folder, &options.clock, &options.limits, progress)?;
        let database = pinned.databases.into_iter().next().expect("one was pinned");
        let bytes = database.copy_to(safety, &options.limits, progress)?;
        let provenance = Provenance::of(&source.path);
        Ok(Some(Staged {
            name: source.name,
            source: source.path,
            copy: safety.clone(),
            bytes,
            provenance,
            damage: Vec::new(),
        }))
    }
}

/// Replaces everything. The work is in the order in which targets are locked.
pub(super) fn replace(
    work: &[Work<'_>],
    leaving: &[Leaving<'_>],
    options: &Options<'_>,
    keeper: &mut Keeper<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Done> {
    let mut done = Done::default();
    let opened = work.iter().map(|work| Target::open(work, options, &mut done.warnings, progress));
    let mut targets = opened.collect::<Result<Vec<_>, _>>()?;
    let mut moved: Vec<Moved<'_>> = leaving.iter().map(|leaving| Moved { leaving, aside: None }).collect();

    // Nothing is changed from here to the second note; an error or a signal releases everything.
    let locking = targets.iter_mut().map(|target| target.lock(&options.limits, progress));
    let mut locked = locking.collect::<Result<Vec<_>, _>>()?;
    if let Err(error) = prepare(&mut locked, &moved, options, keeper, &mut done.safety, progress) {
        // The locks are released first, so that no process waits for the cleanup.
        drop(locked);
        keeper.unchanged(done.safety.as_ref());
        return Err(error);
    }

    // From here on something is changed. Signals are ignored until everything is changed.
    let changed = change(&mut locked, &mut moved, &keeper.stamp(), &mut done.warnings);
    let ends: Vec<_> = locked.into_iter().map(LockedTarget::end).collect();
    for (target, end) in targets.iter_mut().zip(ends) {
        (target.change, target.done.aside, target.difference) = end;
    }
    let judged = changed.and_then(|()| targets.iter_mut().try_for_each(|target| target.judge(&mut done.warnings)));
    if let Err(error) = judged {
        let trouble = take_back(targets, moved, options);
        if trouble.is_empty() {
            keeper.unchanged(done.safety.as_ref());
            return Err(error.into());
        }
        // The notes stay: some may be new and some old.
        return Err(anyhow!(error).context(trouble.join("; ")));
    }
    for target in &mut targets {
        target.replacement.take().map_or(Ok(()), Replacement::close)?;
    }
    targets.sort_by_key(|target| target.work.number);
    done.databases = targets.into_iter().map(|target| target.done).collect();
    done.removed = moved.into_iter().filter_map(|one| one.aside).collect();
    keeper.finish()?;
    Ok(done)
}

/// Does everything that changes no target: the first note, the safety archive, the new content without its commit, the
/// second note.
fn prepare(
    targets: &mut [LockedTarget<'_>],
    moved: &[Moved<'_>],
    options: &Options<'_>,
    keeper: &mut Keeper<'_>,
    safety: &mut Option<ArchiveName>,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    keeper.announce()?;
    *safety = keeper.keep(copy_old(targets, moved, options, progress)?, progress)?;

    let total = targets.iter().filter_map(|one| one.work.step.held.bytes).sum();
    progress.begin(Stage::Replace, &options.archive, total);
    for one in targets {
        one.write(progress)?;
    }
    keeper.replacing()
}

/// Copies what the targets hold, in the order of the plan.
///
/// Without a safety archive the copies of several are made all the same: a failure at the second brings the first back
/// from its copy.
fn copy_old(
    targets: &[LockedTarget<'_>],
    moved: &[Moved<'_>],
    options: &Options<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Staged>> {
    if matches!(options.safety, Safety::Without) && targets.len() + moved.len() < 2 {
        return Ok(Vec::new());
    }
    let mut staged = Vec::new();
    for one in targets.iter().filter(|one| one.work.step.needs_safety_backup()) {
        staged.extend(one.copy_old(progress)?.map(|copy| (one.work.number, copy)));
    }
    staged.sort_by_key(|(number, _)| *number);
    let mut staged: Vec<Staged> = staged.into_iter().map(|(_, staged)| staged).collect();
    for one in moved {
        staged.extend(one.copy_old(options, progress)?);
    }
    Ok(staged)
}

/// Changes the targets: first new files where no database was, then those that no process has open, then what is moved
/// aside, and then one commit after the other. What was committed is compared when all are.
fn change(
    targets: &mut [LockedTarget<'_>],
    moved: &mut [Moved<'_>],
    stamp: &str,
    warnings: &mut Vec<String>,
) -> Result<(), TargetError> {
    targets.iter_mut().try_for_each(|one| one.place(stamp, warnings))?;
    targets.iter_mut().try_for_each(|one| one.exchange(stamp, warnings))?;
    moved.iter_mut().try_for_each(|one| one.move_aside(stamp))?;
    targets.iter_mut().try_for_each(LockedTarget::commit)?;
    targets.iter_mut().try_for_each(LockedTarget::compare)
}

/// Rolls everything back after a failure. Returns what could not be rolled back.
fn take_back(targets: Vec<Target<'_>>, moved: Vec<Moved<'_>>, options: &Options<'_>) -> Vec<String> {
    let mut trouble = Vec::new();
    let mut note = |target: &database::Target, result: Result<(), TargetError>| {
        let Err(error) = result else { return };
        let path = printable(&target.path.to_string_lossy()).into_owned();
        let kept = if matches!(options.safety, Safety::Into(_)) {
            "its old content is in the safety backup"
        } else {
            "there is no safety backup"
        };
        trouble.push(format!("\"{path}\" may have been replaced and could not be rolled back ({error}); {kept}"));
    };
    // Those that are committed first: their locks are still held, in rollback mode.
    let (inside, files): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.replacement.is_some());
    for target in inside {
        let step = target.work.step;
        note(&step.target, target.take_back(&options.limits));
    }
    for one in moved {
        let removal = one.leaving.removal;
        note(&removal.target, one.bring_back());
    }
    for target in files.into_iter().rev() {
        let step = target.work.step;
        note(&step.target, target.take_back(&options.limits));
    }
    trouble
}
