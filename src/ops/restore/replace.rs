//! Replaces all databases of a plan, or none.
//!
//! In order: lock all, copy what they hold, commit that copy to the store, write down the intent, write all but the commits,
//! put new files in place, commit, compare. Until the first new file or commit an error changes nothing; after it, what was
//! done is taken back in reverse. A process that dies after it leaves the intent, from which the next command tells it.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use super::RestoreError;
use super::execute::{Options, Safety};
use super::intent::Intent;
use super::plan::{Method, Plan, Step};
use crate::archive::Compression;
use crate::database::{self, Compared, Depth, Limits, Offline, Replacement, TargetError, TargetState};
use crate::metadata::Kind;
use crate::names::{ArchiveName, printable};
use crate::ops::pack::{Packed, Provenance, Request, Staged, pack};
use crate::progress::{Progress, Silent, Stage};
use crate::scratch::Scratch;
use crate::store::Store as _;

/// One database with its private files, all on the file system of its target.
pub(super) struct Work<'a> {
    pub(super) step: &'a Step,
    /// What is going to be there.
    pub(super) copy: PathBuf,
    /// What was there, copied under the lock.
    pub(super) safety: PathBuf,
    /// Room for one more copy, to compare.
    pub(super) space: PathBuf,
}

/// What is kept of a run besides its databases.
pub(super) struct Kept<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) plan: &'a Plan,
}

/// What replacing did.
pub(super) struct Done {
    pub(super) databases: Vec<DoneOne>,
    pub(super) safety: Option<ArchiveName>,
    pub(super) warnings: Vec<String>,
}

/// What replacing one database did.
#[derive(Default)]
pub(super) struct DoneOne {
    pub(super) journal_modes: Option<(&'static str, &'static str)>,
    pub(super) aside: Option<PathBuf>,
}

pub(super) fn replace(work: &[Work<'_>], kept: &Kept<'_>, progress: &dyn Progress) -> anyhow::Result<Done> {
    let limits = &kept.options.limits;
    let mut done = Done { databases: work.iter().map(|_| DoneOne::default()).collect(), safety: None, warnings: Vec::new() };
    let mut order: Vec<usize> = (0..work.len()).collect();
    order.sort_by_key(|number| work[*number].step.target.lock_order());
    let of = |wanted: fn(Method) -> bool| order.iter().copied().filter(move |number| wanted(work[*number].step.method));

    // Nothing is changed from here to the intent; an error or a signal lets everything go.
    let mut offline = Vec::new();
    for number in of(|method| matches!(method, Method::Offline(_))) {
        let step = work[number].step;
        let Method::Offline(proof) = step.method else { continue };
        offline.push((number, Offline::lock(&step.target, proof, limits, progress)?));
    }
    let mut inside = Vec::new();
    for number in of(|method| method == Method::Inside) {
        let replacement = Replacement::open(&work[number].step.target, &work[number].copy, limits, progress)?;
        let modes = replacement.journal_modes()?;
        done.databases[number].journal_modes = Some(modes);
        if replacement.is_resized() {
            done.warnings
                .push(format!("{}: was rewritten with the page size of the target, which is in WAL mode", work[number].step.held.name));
        }
        inside.push((number, replacement));
    }
    let mut locked = Vec::new();
    for (number, replacement) in &mut inside {
        locked.push((*number, replacement.lock(limits, progress)?));
    }

    let mut staged = Vec::new();
    let copies = offline.iter().map(|(number, _)| *number).chain(locked.iter().map(|(number, _)| *number));
    let wants_copy = |number: usize| work[number].step.needs_safety_backup() && matches!(kept.options.safety, Safety::Into(_));
    for number in copies.filter(|number| wants_copy(*number)) {
        let (step, copy) = (work[number].step, work[number].safety.clone());
        progress.begin(Stage::Copy, step.held.name.as_str(), 0);
        let bytes = match offline.iter().find(|(other, _)| *other == number) {
            Some((_, offline)) => offline.copy_to(&copy, progress)?,
            None => {
                let (_, locked) = locked.iter().find(|(other, _)| *other == number).expect("it is one or the other");
                locked.copy_to(&copy, progress)?
            }
        };
        staged.push((
            number,
            Staged {
                name: step.held.name.clone(),
                source: step.target.path.clone(),
                copy,
                bytes,
                provenance: Provenance::of(&step.target.path),
                damage: Vec::new(),
            },
        ));
    }
    staged.sort_by_key(|(number, _)| *number);
    let staged: Vec<Staged> = staged.into_iter().map(|(_, staged)| staged).collect();
    done.safety = kept.keep(staged, progress)?.map(|packed| packed.archive);

    let intent = kept.intend(done.safety.as_ref())?;
    let total = work.iter().filter_map(|work| work.step.held.bytes).sum();
    progress.begin(Stage::Replace, &kept.options.archive, total);
    let mut written = Vec::new();
    for (number, locked) in locked {
        match locked.write(progress) {
            Ok(one) => written.push((number, one)),
            // Dropped: all are as they were.
            Err(error) => return Err(unchanged(intent, error)),
        }
    }

    // From here on something is changed. No signal is listened to until all of it is.
    let mut placed = Vec::new();
    let mut failure = place(work, offline, &mut placed, &mut done, &kept.stamp()).err();
    let mut committed = Vec::new();
    let mut uncertain = None;
    if failure.is_none() {
        for (number, one) in written {
            match one.commit() {
                Ok(one) => committed.push((number, one)),
                Err(error) => {
                    (failure, uncertain) = (Some(error), Some(number));
                    break;
                }
            }
        }
    } else {
        drop(written);
    }
    let mut compared = Vec::new();
    for (number, one) in &committed {
        if failure.is_none() {
            match one.compare(&work[*number].space, &Silent) {
                Ok(difference) => compared.push((*number, difference)),
                Err(error) => failure = Some(error),
            }
        }
    }
    let committed: Vec<usize> = committed.into_iter().map(|(number, _)| number).collect();
    for (number, difference) in compared {
        let (_, replacement) = inside.iter().find(|(other, _)| *other == number).expect("it was committed");
        match replacement.judge(difference) {
            Ok(Compared::Same) => {}
            Ok(Compared::Overtaken) => done.warnings.push(format!(
                "{}: another process wrote to it at once, so it could not be compared page by page",
                work[number].step.held.name
            )),
            Err(error) => failure = Some(failure.unwrap_or(error)),
        }
    }
    if let Some(error) = failure {
        let trouble = take_back(work, inside, &committed, uncertain, &placed, kept);
        return Err(if trouble.is_empty() { unchanged(intent, error) } else { anyhow!(error).context(trouble.join("; ")) });
    }
    for (_, replacement) in inside {
        replacement.close()?;
    }
    // Dies before: the next command tells of an interrupted restore that was in fact complete, and its undo is right all the same.
    if let Some(intent) = intent {
        intent.remove().context("everything was restored, but the note about it could not be removed")?;
    }
    Ok(done)
}

/// Says that nothing was changed, or that it was taken back, and removes the intent.
fn unchanged(intent: Option<Intent>, error: TargetError) -> anyhow::Error {
    // The note that stays would only offer an undo of nothing.
    let _ = intent.map(Intent::remove);
    error.into()
}

/// A file that was put in place, and what it takes to get the old one back.
enum Placed {
    New { number: usize, aside: Option<PathBuf> },
    Exchanged { number: usize },
}

/// Puts files in place where nothing is replaced from inside.
fn place(
    work: &[Work<'_>],
    offline: Vec<(usize, Offline)>,
    placed: &mut Vec<Placed>,
    done: &mut Done,
    stamp: &str,
) -> Result<(), TargetError> {
    for (number, one) in work.iter().enumerate() {
        let aside = match one.step.method {
            Method::Create => database::place_new(&one.step.target, &one.copy, stamp)?,
            Method::SetAside => Some(database::place_over_unusable(&one.step.target, &one.copy, stamp)?),
            Method::Inside | Method::Offline(_) => continue,
        };
        done.databases[number].aside.clone_from(&aside);
        placed.push(Placed::New { number, aside });
    }
    for (number, offline) in offline {
        let replaced = offline.replace(&work[number].copy)?;
        placed.push(Placed::Exchanged { number });
        let late = replaced.settle()?;
        done.warnings.extend(
            late.into_iter()
                .map(|holder| format!("process {} ({}) opened the old file at this very moment: restart it", holder.pid, holder.name)),
        );
    }
    Ok(())
}

/// Takes everything back after a failure. Returns what could not be.
///
/// `uncertain` is the one whose commit failed: an error of the last sync can come after the new state is there for all to see.
fn take_back(
    work: &[Work<'_>],
    inside: Vec<(usize, Replacement)>,
    committed: &[usize],
    uncertain: Option<usize>,
    placed: &[Placed],
    kept: &Kept<'_>,
) -> Vec<String> {
    let mut trouble = Vec::new();
    let mut failed = |number: usize, why: String| {
        let target = printable(&work[number].step.target.path.to_string_lossy()).into_owned();
        let kept = if matches!(kept.options.safety, Safety::Into(_)) {
            "its old content is in the safety backup"
        } else {
            "there is no safety backup"
        };
        trouble.push(format!("\"{target}\" may have been replaced and could not be put back ({why}); {kept}"));
    };
    for (number, mut replacement) in inside {
        let limits = &kept.options.limits;
        let one = &work[number];
        let result = match one.step.target.state {
            // It was empty before; that there is a database now does no harm.
            TargetState::Empty => Ok(()),
            _ if committed.contains(&number) => replacement.put_back(&one.safety, limits, &Silent),
            _ if uncertain == Some(number) => {
                // A connection that met an error is of no use any more: a new one first rolls back what there is to roll back.
                drop(replacement);
                put_back_anew(one, limits)
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            failed(number, error.to_string());
        }
    }
    for placed in placed.iter().rev() {
        let (number, result) = match placed {
            Placed::New { number, aside } => {
                (*number, database::take_away(&work[*number].step.target, &work[*number].space, aside.as_deref()))
            }
            Placed::Exchanged { number } => (*number, database::exchange(&work[*number].step.target, &work[*number].safety)),
        };
        if let Err(error) = result {
            failed(number, error.to_string());
        }
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

impl Kept<'_> {
    /// Returns the time of the run for names of folders.
    fn stamp(&self) -> String {
        self.options.clock.now().format("%Y%m%dT%H%M%SZ").to_string()
    }

    /// Commits what the locked databases hold to the store: the way back.
    fn keep(&self, staged: Vec<Staged>, progress: &dyn Progress) -> anyhow::Result<Option<Packed>> {
        let Safety::Into(store) = self.options.safety else { return Ok(None) };
        if staged.is_empty() {
            return Ok(None);
        }
        let request = Request {
            set: self.options.set.clone(),
            kind: Kind::Safety,
            name: None,
            note: Some(format!("made before restoring {}", printable(&self.options.archive))),
            host: self.options.host.clone(),
            created_at: self.options.clock.now(),
            replaces: None,
            consistent: true,
            absent: Vec::new(),
            // The lock is held meanwhile: what is there is kept, whatever it is, and fast.
            check: Depth::Quick,
            keep_damaged: true,
            vacuum: false,
            compression: Compression::Gzip(1),
            threads: self.options.threads,
            lock_wait: self.options.limits.busy,
        };
        let unkept = |cause| RestoreError::NoSafetyStore { location: store.location(), cause };
        let private = store.create_private().map_err(|cause| unkept(cause.into()))?;
        let scratch = Scratch::in_store(&private).map_err(|cause| unkept(cause.into()))?;
        pack(store, &scratch, staged, &request, progress).context("the safety backup failed, nothing was changed").map(Some)
    }
}
