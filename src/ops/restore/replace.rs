//! Replaces all databases of a plan, or none.
//!
//! In order: lock all, note beside each target that nothing was changed yet, copy what they hold, commit that copy in the
//! workspace, write all but the commits, note that targets may be new, put files in place, commit, compare, let go of the
//! locks, remove the notes. Until the second note an error changes nothing; after it, what was done is taken back in
//! reverse. A process that dies after it leaves the note, which the next command finds.

use std::path::PathBuf;

use anyhow::anyhow;

use super::execute::{Options, Safety};
use super::keep::Keeper;
use super::plan::{Method, Removal, Step};
use crate::database::{self, Committed, Compared, Limits, Locked, Offline, Replacement, Source, TargetError, TargetState, Written};
use crate::names::{ArchiveName, printable};
use crate::ops::pack::{Provenance, Staged};
use crate::platform::FileRights;
use crate::progress::{Progress, Silent, Stage};

/// One database with its private files: on the file system of its target, unless it is replaced from inside.
pub(super) struct Work<'a> {
    /// Its place in the plan.
    pub(super) number: usize,
    pub(super) step: &'a Step,
    /// What is going to be there.
    pub(super) copy: PathBuf,
    /// What was there, copied under the lock.
    pub(super) safety: PathBuf,
    /// Room for one more copy, to compare.
    pub(super) space: PathBuf,
    /// The rights of a file that is made anew, where the archive records them.
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

impl Done {
    /// Names the rights that could not be set on a new file.
    fn warn_of(&mut self, work: &Work<'_>, unset: &[String]) {
        self.warnings.extend(unset.iter().map(|what| format!("{}: {what}", work.step.held.name)));
    }
}

/// What replacing one database did.
#[derive(Default)]
pub(super) struct DoneOne {
    pub(super) journal_modes: Option<(&'static str, &'static str)>,
    pub(super) aside: Option<PathBuf>,
}

/// One target, and how far it is.
struct One<'a> {
    work: &'a Work<'a>,
    state: State<'a>,
}

/// How far a target is. What holds a lock lets go of it when it is dropped, with the old state where nothing was committed.
#[allow(clippy::large_enum_variant, reason = "there are as many of them as databases in a set")]
enum State<'a> {
    /// There is nothing to lock: the file is missing, or is no database.
    Vacant,
    /// Nobody has it open, and nobody gets in.
    OutOfUse(Offline),
    /// No commit of others from here on.
    Locked(Locked<'a>),
    /// All but the commit.
    Written(Written<'a>),
    /// A new file is in place; what was there is in this folder.
    Placed(Option<PathBuf>),
    /// The file was exchanged.
    Exchanged,
    /// The new state is there for all to see.
    Committed(Committed<'a>),
    /// The commit failed: an error of the last sync can come after the new state is there for all to see.
    Uncertain,
}

/// What has to be taken back of one target.
enum Change {
    Nothing,
    Placed(Option<PathBuf>),
    Exchanged,
    Committed,
    Uncertain,
}

impl State<'_> {
    fn change(self) -> Change {
        match self {
            State::Vacant | State::OutOfUse(_) | State::Locked(_) | State::Written(_) => Change::Nothing,
            State::Placed(aside) => Change::Placed(aside),
            State::Exchanged => Change::Exchanged,
            State::Committed(_) => Change::Committed,
            State::Uncertain => Change::Uncertain,
        }
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
    let mut done = Done { databases: work.iter().map(|_| DoneOne::default()).collect(), ..Done::default() };
    let mut replacements = open(work, options, &mut done, progress)?;

    // Nothing is changed from here to the second note; an error or a signal lets everything go.
    let mut targets = lock(work, &mut replacements, &options.limits, progress)?;
    let prepared = prepare(&mut targets, leaving, options, keeper, &mut done, progress);
    if let Err(error) = prepared {
        // The locks go first: nobody waits for the removal of what was kept.
        drop(targets);
        keeper.unchanged(done.safety.as_ref());
        return Err(error);
    }

    // From here on something is changed. No signal is listened to until all of it is.
    let stamp = keeper.stamp();
    let mut asides: Vec<Option<PathBuf>> = leaving.iter().map(|_| None).collect();
    let changed = place(&mut targets, &mut done, &stamp)
        .and_then(|()| move_aside(leaving, &mut asides, &stamp))
        .and_then(|()| commit(&mut targets))
        .and_then(|()| compare(&targets));
    let changes: Vec<Change> = targets.into_iter().map(|one| one.state.change()).collect();
    let failure = match changed {
        Ok(differences) => judge(work, &replacements, differences, &mut done).err(),
        Err(error) => Some(error),
    };
    if let Some(error) = failure {
        let trouble = take_back(work, replacements, changes, leaving, asides, options);
        if trouble.is_empty() {
            keeper.unchanged(done.safety.as_ref());
            return Err(error.into());
        }
        // The notes stay: some may be new and some old.
        return Err(anyhow!(error).context(trouble.join("; ")));
    }
    for replacement in replacements.into_iter().flatten() {
        replacement.close()?;
    }
    done.removed = asides.into_iter().flatten().collect();
    keeper.finish()?;
    Ok(done)
}

/// Opens every database that is replaced from inside; `None` for the others. Nothing is locked.
fn open(
    work: &[Work<'_>],
    options: &Options<'_>,
    done: &mut Done,
    progress: &dyn Progress,
) -> Result<Vec<Option<Replacement>>, TargetError> {
    let mut replacements = Vec::new();
    for one in work {
        if one.step.method != Method::Inside {
            replacements.push(None);
            continue;
        }
        let replacement = Replacement::open(&one.step.target, &one.copy, &options.limits, progress)?;
        done.databases[one.number].journal_modes = Some(replacement.journal_modes()?);
        if replacement.is_resized() {
            let name = &one.step.held.name;
            done.warnings.push(format!("{name}: was rewritten with the page size of the target, which is in WAL mode"));
        }
        replacements.push(Some(replacement));
    }
    Ok(replacements)
}

/// Locks every target, in the order that every restore takes.
fn lock<'a>(
    work: &'a [Work<'a>],
    replacements: &'a mut [Option<Replacement>],
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Vec<One<'a>>, TargetError> {
    let mut targets = Vec::new();
    for (work, replacement) in work.iter().zip(replacements) {
        let state = match (work.step.method, replacement) {
            (Method::Offline(proof), _) => State::OutOfUse(Offline::lock(&work.step.target, proof, limits, progress)?),
            (Method::Inside, Some(replacement)) => State::Locked(replacement.lock(limits, progress)?),
            _ => State::Vacant,
        };
        targets.push(One { work, state });
    }
    Ok(targets)
}

/// Does everything that changes no target: the first note, the safety archive, the new content without its commit, the second note.
fn prepare(
    targets: &mut [One<'_>],
    leaving: &[Leaving<'_>],
    options: &Options<'_>,
    keeper: &mut Keeper<'_>,
    done: &mut Done,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    keeper.announce()?;
    done.safety = keeper.keep(copy_old(targets, leaving, options, progress)?, progress)?;

    let total = targets.iter().filter_map(|one| one.work.step.held.bytes).sum();
    progress.begin(Stage::Replace, &options.archive, total);
    for one in targets {
        one.state = match std::mem::replace(&mut one.state, State::Vacant) {
            State::Locked(locked) => State::Written(locked.write(progress)?),
            other => other,
        };
    }
    keeper.replacing()
}

/// Copies what the locked targets hold, in the order of the plan.
///
/// Without a safety archive the copies of several are made all the same: a failure at the second brings the first back from its copy.
fn copy_old(targets: &[One<'_>], leaving: &[Leaving<'_>], options: &Options<'_>, progress: &dyn Progress) -> anyhow::Result<Vec<Staged>> {
    let wanted = matches!(options.safety, Safety::Into(_)) || targets.len() + leaving.len() > 1;
    let mut staged = Vec::new();
    for one in targets.iter().filter(|one| wanted && one.work.step.needs_safety_backup()) {
        let (step, copy) = (one.work.step, one.work.safety.clone());
        progress.begin(Stage::Copy, step.held.name.as_str(), 0);
        let bytes = match &one.state {
            State::OutOfUse(offline) => offline.copy_to(&copy, progress)?,
            State::Locked(locked) => locked.copy_to(&copy, progress)?,
            _ => continue,
        };
        let source = step.target.path.clone();
        let provenance = Provenance::of(&source);
        staged.push((one.work.number, Staged { name: step.held.name.clone(), source, copy, bytes, provenance, damage: Vec::new() }));
    }
    staged.sort_by_key(|(number, _)| *number);
    let mut staged: Vec<Staged> = staged.into_iter().map(|(_, staged)| staged).collect();
    for one in leaving.iter().filter(|one| wanted && matches!(one.removal.target.state, TargetState::Database(_))) {
        let source = Source { name: one.removal.name.clone(), path: one.removal.target.path.clone() };
        let folder = one.safety.parent().expect("the copy lies in the scratch folder");
        // Not locked: whatever is committed after this copy is kept in the folder that the file is moved into.
        let pinned = database::pin(std::slice::from_ref(&source), folder, &options.clock, &options.limits, progress)?;
        let database = pinned.databases.into_iter().next().expect("one was pinned");
        let bytes = database.copy_to(&one.safety, &options.limits, progress)?;
        let provenance = Provenance::of(&source.path);
        staged.push(Staged { name: source.name, source: source.path, copy: one.safety.clone(), bytes, provenance, damage: Vec::new() });
    }
    Ok(staged)
}

/// Puts files in place where nothing is replaced from inside: first where no database was, then those that nobody has open.
fn place(targets: &mut [One<'_>], done: &mut Done, stamp: &str) -> Result<(), TargetError> {
    for one in targets.iter_mut() {
        let (target, copy) = (&one.work.step.target, &one.work.copy);
        let database::Placed { aside, unset } = match one.work.step.method {
            Method::Create => database::place_new(target, copy, one.work.rights.as_ref(), stamp)?,
            Method::SetAside => database::place_over_unusable(target, copy, stamp)?,
            Method::Inside | Method::Offline(_) => continue,
        };
        done.warn_of(one.work, &unset);
        done.databases[one.work.number].aside.clone_from(&aside);
        one.state = State::Placed(aside);
    }
    for one in targets {
        match std::mem::replace(&mut one.state, State::Vacant) {
            State::OutOfUse(offline) => {
                let replaced = offline.replace(&one.work.copy, stamp)?;
                done.databases[one.work.number].aside.clone_from(&replaced.aside);
                one.state = State::Exchanged;
                done.warn_of(one.work, &replaced.unset);
                done.warnings.extend(
                    replaced.settle()?.into_iter().map(|holder| {
                        format!("process {} ({}) opened the old file at this very moment: restart it", holder.pid, holder.name)
                    }),
                );
            }
            other => one.state = other,
        }
    }
    Ok(())
}

/// Moves the databases aside that were not there before.
fn move_aside(leaving: &[Leaving<'_>], asides: &mut [Option<PathBuf>], stamp: &str) -> Result<(), TargetError> {
    for (one, aside) in leaving.iter().zip(asides) {
        *aside = Some(database::set_aside(&one.removal.target, stamp)?);
    }
    Ok(())
}

/// Commits one after the other.
fn commit(targets: &mut [One<'_>]) -> Result<(), TargetError> {
    for one in targets {
        one.state = match std::mem::replace(&mut one.state, State::Uncertain) {
            State::Written(written) => State::Committed(written.commit()?),
            other => other,
        };
    }
    Ok(())
}

/// Compares what was committed, and returns where each target differs.
fn compare(targets: &[One<'_>]) -> Result<Vec<Option<String>>, TargetError> {
    let difference = |one: &One<'_>| match &one.state {
        State::Committed(committed) => committed.compare(&one.work.space, &Silent),
        _ => Ok(None),
    };
    targets.iter().map(difference).collect()
}

/// Decides what the differences mean.
fn judge(
    work: &[Work<'_>],
    replacements: &[Option<Replacement>],
    differences: Vec<Option<String>>,
    done: &mut Done,
) -> Result<(), TargetError> {
    for ((one, replacement), difference) in work.iter().zip(replacements).zip(differences) {
        let Some(replacement) = replacement else { continue };
        if replacement.judge(difference)? == Compared::Overtaken {
            let name = &one.step.held.name;
            done.warnings.push(format!("{name}: another process wrote to it at once, so it could not be compared page by page"));
        }
    }
    Ok(())
}

/// Takes everything back after a failure. Returns what could not be.
fn take_back(
    work: &[Work<'_>],
    replacements: Vec<Option<Replacement>>,
    changes: Vec<Change>,
    leaving: &[Leaving<'_>],
    asides: Vec<Option<PathBuf>>,
    options: &Options<'_>,
) -> Vec<String> {
    let mut trouble = Vec::new();
    let mut failed = |target: &database::Target, error: TargetError| {
        let path = printable(&target.path.to_string_lossy()).into_owned();
        let kept =
            if matches!(options.safety, Safety::Into(_)) { "its old content is in the safety backup" } else { "there is no safety backup" };
        trouble.push(format!("\"{path}\" may have been replaced and could not be rolled back ({error}); {kept}"));
    };
    let mut files = Vec::new();
    // Those that are committed first: their locks are still held, in rollback mode.
    for ((one, replacement), change) in work.iter().zip(replacements).zip(changes) {
        let Some(mut replacement) = replacement else {
            files.push((one, change));
            continue;
        };
        let result = match (&one.step.target.state, change) {
            // It was empty before; that there is a database now does no harm.
            (TargetState::Empty, _) => Ok(()),
            (_, Change::Committed) => replacement.put_back(&one.safety, &options.limits, &Silent),
            (_, Change::Uncertain) => {
                // A connection that met an error is of no use any more: a new one first rolls back what there is to roll back.
                drop(replacement);
                put_back_anew(one, &options.limits)
            }
            _ => Ok(()),
        };
        result.unwrap_or_else(|error| failed(&one.step.target, error));
    }
    for (one, aside) in leaving.iter().zip(asides) {
        let result = aside.map_or(Ok(()), |aside| database::bring_back(&one.removal.target, &aside));
        result.unwrap_or_else(|error| failed(&one.removal.target, error));
    }
    for (one, change) in files.into_iter().rev() {
        let target = &one.step.target;
        let result = match change {
            Change::Placed(aside) => database::take_away(target, &one.space, aside.as_deref()),
            Change::Exchanged => database::exchange(target, &one.safety),
            Change::Nothing | Change::Committed | Change::Uncertain => Ok(()),
        };
        result.unwrap_or_else(|error| failed(target, error));
    }
    trouble
}

/// Replaces a database by its safety copy, whatever it is by now.
fn put_back_anew(one: &Work<'_>, limits: &Limits) -> Result<(), TargetError> {
    let target = database::look_at(&one.step.target.path)?;
    let mut replacement = Replacement::open(&target, &one.safety, limits, &Silent)?;
    replacement.lock(limits, &Silent)?.write(&Silent)?.commit()?;
    replacement.close()
}
