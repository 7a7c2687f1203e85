//! Executes what [`crate::latest`] decides: opens the chosen archive, and verifies one that is marked as damaged before
//! it is skipped.

use std::num::NonZeroUsize;

use super::inventory::{Foreign, Inventory, Reading};
use super::resolve::{ResolveError, Selected, in_store};
use super::verify::{ArchiveState, Verified, VerifyDepth, verify};
use crate::failure::{Failure, Remedy, is_interruption};
use crate::latest::{Decision, Question, Remembered, Take, decide};
use crate::metadata::{Integrity, Kind};
use crate::names::{ArchiveName, time_in_name};
use crate::ops::Repository;
use crate::progress::Progress;
use crate::snapshot::{Seal, Snapshot};
use crate::workspace::Scratch;

/// What reading a whole archive needs.
pub struct Prove<'a> {
    /// Makes a private folder to unpack into; called only if a marked archive has to be read.
    pub scratch: &'a dyn Fn() -> anyhow::Result<Scratch>,
    /// How many threads decompress.
    pub threads: NonZeroUsize,
}

/// An archive that is newer than the chosen one, if one was chosen, and was not considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The archive.
    pub archive: String,
    /// Why.
    pub why: String,
}

/// What came out.
pub enum Answer {
    /// An archive, open.
    Chosen(Box<Chosen>),
    /// None; never [`Decision::Take`].
    Refused(Decision),
}

/// The archive that was chosen.
pub struct Chosen {
    /// The archive.
    pub selected: Selected,
    /// What was decided about it.
    pub take: Take,
    /// Whether it is marked as damaged, and was read and found sound.
    pub disproved: bool,
}

/// Decides which archive is meant and opens it. `inventory` may have been changed by
/// [`crate::latest::adopt_old_archives`].
pub fn choose(
    repository: &Repository,
    inventory: &Inventory,
    question: &Question<'_>,
    reading: &Reading,
    prove: &Prove<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<(Answer, Vec<PassedOver>)> {
    // A mark counts only after the archive was read. Until then the archive counts as sound.
    let mut snapshots = inventory.snapshots.clone();
    let mut unread: Vec<ArchiveName> = Vec::new();
    for snapshot in snapshots.iter_mut().filter(|snapshot| snapshot.damaged && snapshot.set == *question.set) {
        unread.push(snapshot.name.clone());
        snapshot.damaged = false;
    }
    let (mut passed_over, mut sound) = (Vec::new(), Vec::new());
    loop {
        let decision = decide(&snapshots, question);
        let Some(marked) = mentioned(&decision).into_iter().find(|name| unread.contains(name)) else {
            let Decision::Take(take) = decision else {
                refuse_unread(inventory, None, question)?;
                let decision = refuse_out_of_reach(repository, &snapshots, question, reading)?.unwrap_or(decision);
                passed_over.extend(unreadable(inventory, None, question));
                return Ok((Answer::Refused(decision), passed_over));
            };
            refuse_unread(inventory, Some(&take), question)?;
            passed_over.extend(unreadable(inventory, Some(&take), question));
            passed_over.extend(out_of_reach(&snapshots, &take, question));
            let mut selected = in_store(repository, take.archive.as_str(), reading)?;
            if let Some(known) = snapshots.iter().find(|snapshot| snapshot.name == take.archive) {
                selected.snapshot = known.clone();
            }
            let disproved = sound.contains(&take.archive);
            return Ok((Answer::Chosen(Box::new(Chosen { selected, take: *take, disproved })), passed_over));
        };
        unread.retain(|name| *name != marked);
        match findings(repository, &marked, reading, prove, progress)? {
            None => sound.push(marked),
            Some(why) => {
                passed_over.push(PassedOver { archive: marked.as_str().to_owned(), why });
                snapshots
                    .iter_mut()
                    .filter(|snapshot| snapshot.name == marked)
                    .for_each(|snapshot| snapshot.damaged = true);
            }
        }
    }
}

/// Returns the archives that this host recorded and that the listing does not show in any form.
pub fn remembered(repository: &Repository, inventory: &Inventory) -> Vec<Remembered> {
    let mut known = repository.workspace().remembered();
    known.retain(|known| inventory.foreign.iter().all(|foreign| foreign.name != known.archive.as_str()));
    known
}

/// Returns the archives that a decision depends on.
fn mentioned(decision: &Decision) -> Vec<ArchiveName> {
    match decision {
        Decision::Take(take) => {
            let newer = take.newer.iter().map(|newer| newer.archive.clone());
            std::iter::once(take.archive.clone()).chain(newer).collect()
        }
        Decision::Elsewhere { candidates, .. } => candidates.iter().map(|candidate| candidate.newest.clone()).collect(),
        Decision::OutOfReach { databases } => databases
            .iter()
            .filter_map(|absent| match &absent.why {
                crate::latest::Why::Apart(name) => Some(name.clone()),
                crate::latest::Why::Elsewhere(candidate) => Some(candidate.newest.clone()),
                _ => None,
            })
            .collect(),
        Decision::NoneYet { .. } => Vec::new(),
    }
}

/// Reads a marked archive; returns what is wrong with it, or nothing.
fn findings(
    repository: &Repository,
    name: &ArchiveName,
    reading: &Reading,
    prove: &Prove<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<Option<String>> {
    let read = || -> anyhow::Result<Option<String>> {
        let selected = match in_store(repository, name.as_str(), reading) {
            Ok(selected) => selected,
            Err(error) => return Verified::refused(error).map(|verified| Some(verified.findings.join("; "))),
        };
        let recorded = selected.archive.contents().metadata.iter().flat_map(|metadata| &metadata.databases);
        if let Some(damaged) = recorded.clone().find(|database| database.integrity == Integrity::Damaged) {
            return Ok(Some(format!("\"{}\" was damaged when it was backed up", damaged.name)));
        }
        let scratch = (prove.scratch)()?;
        let verified = verify(&selected.archive, VerifyDepth::Standard, scratch.path(), prove.threads, progress)?;
        Ok((verified.state == ArchiveState::Damaged).then(|| verified.findings.join("; ")))
    };
    match read() {
        Err(error) if is_interruption(&error) => Err(error),
        // It was not read, so nothing is known about it: an older one in its place may be the wrong state.
        Err(error) => Err(ResolveError::Unread { name: name.as_str().to_owned(), why: format!("{error:#}") }.into()),
        found => found,
    }
}

/// Refuses where only archives that no key opens, or that are plain among encrypted ones, could be taken: nobody must
/// take that for a first deployment. Returns the decision if only archives of others that no key opens remain.
fn refuse_out_of_reach(
    repository: &Repository,
    snapshots: &[Snapshot],
    question: &Question<'_>,
    reading: &Reading,
) -> anyhow::Result<Option<Decision>> {
    let with = |seals: &[Seal]| {
        let mut all = snapshots.to_vec();
        all.iter_mut().filter(|one| seals.contains(&one.seal)).for_each(|one| one.seal = Seal::None);
        decide(&all, question)
    };
    let elsewhere = match with(&[Seal::Known, Seal::Closed]) {
        // This fails, and names the recipients.
        Decision::Take(take) => in_store(repository, take.archive.as_str(), reading).map(|_| None)?,
        decision @ Decision::Elsewhere { .. } => Some(decision),
        _ => None,
    };
    if let Decision::Take(take) = with(&[Seal::Missing]) {
        let exposed = take.archive;
        let message = format!(
            "the newest archive, {exposed}, is not encrypted, although the archives of this store are: anybody who can \
             write to the store may have put it there"
        );
        return Err(Failure::no_backup(message, Remedy::NamePlain { archive: exposed.to_string() }).into());
    }
    Ok(elsewhere)
}

/// Returns the archives of the set that are newer than the chosen one and cannot be taken: no key opens them, or they
/// are not encrypted among encrypted ones; and newer copies that other tools made of its databases.
fn out_of_reach(snapshots: &[Snapshot], take: &Take, question: &Question<'_>) -> Vec<PassedOver> {
    let has_archives = snapshots.iter().any(|snapshot| !snapshot.is_plain());
    let is_copy = |snapshot: &Snapshot| {
        let is_asked = question.asked.iter().any(|asked| snapshot.brief(asked.name.as_str()).is_some());
        has_archives && snapshot.is_plain() && is_asked
    };
    let newer = |snapshot: &&Snapshot| {
        (snapshot.set == *question.set && question.own.owns(&snapshot.host) || is_copy(snapshot))
            && snapshot.kind != Kind::Safety
            && snapshot.created_at > take.created_at
            && snapshot.created_at <= question.now
            && question.at.is_none_or(|at| snapshot.created_at.timestamp() <= at.timestamp())
    };
    let why = |snapshot: &Snapshot| match snapshot.seal {
        _ if is_copy(snapshot) => {
            Some("another tool made it, and such files count only as long as there is no archive")
        }
        Seal::Known | Seal::Closed => Some("it is encrypted, and no key here opens it"),
        Seal::Missing => Some("it is not encrypted, although the archives of this store are"),
        Seal::None | Seal::Opened => None,
    };
    let passed = |snapshot: &Snapshot| {
        why(snapshot).map(|why| PassedOver { archive: snapshot.name.as_str().to_owned(), why: why.into() })
    };
    snapshots.iter().filter(newer).filter_map(passed).collect()
}

fn refuse_unread(inventory: &Inventory, take: Option<&Take>, question: &Question<'_>) -> Result<(), ResolveError> {
    match inventory.unread_as_new_as(take.map(|take| take.created_at), question.at) {
        Some(unread) => Err(ResolveError::from(unread)),
        None => Ok(()),
    }
}

/// Returns the files that by their names are archives of the set, newer than the chosen one, and cannot be described.
fn unreadable(inventory: &Inventory, take: Option<&Take>, question: &Question<'_>) -> Vec<PassedOver> {
    let of_set = |foreign: &&Foreign| {
        (foreign.is_damaged() || foreign.lacks_key() || foreign.newer().is_some())
            && crate::archive::set_in_name(&foreign.name) == *question.set
    };
    let newer = |foreign: &&Foreign| {
        let made = time_in_name(&foreign.name).map(|time| time.and_utc());
        made.is_none_or(|made| {
            take.is_none_or(|take| made > take.created_at)
                && question.at.is_none_or(|at| made.timestamp() <= at.timestamp())
        })
    };
    let found = inventory.foreign.iter().filter(of_set).filter(newer);
    found.map(|foreign| PassedOver { archive: foreign.name.clone(), why: foreign.why.clone() }).collect()
}
