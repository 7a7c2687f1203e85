//! Chooses the restore to undo, and the targets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Surroundings;
use crate::database::Proof;
use crate::failure::{Failure, Remedy};
use crate::metadata::Kind;
use crate::names::{Name, printable};
use crate::ops::Repository;
use crate::ops::inventory::Reading;
use crate::ops::pending;
use crate::ops::resolve::{Selected, in_store};
use crate::ops::restore::undo::{Choice, End, History, Past, Scope, Targets};
use crate::ops::restore::{self, Plan, RestoreError, Where};
use crate::platform::{parent, resolved};
use crate::progress::Progress;

/// Returns which restores are meant: of the set that was named, else of the configured ones; to the place that was
/// named, else to the configured databases.
pub fn scope(set: Option<&Name>, place: &Where, around: &Surroundings<'_>) -> Scope {
    let configured = &around.settings.sets;
    let sets: Option<BTreeSet<Name>> = match set {
        Some(set) => Some(BTreeSet::from([set.clone()])),
        None => Some(configured.keys().cloned().collect()).filter(|sets: &BTreeSet<Name>| !sets.is_empty()),
    };
    let is_meant = |set: &Name| sets.as_ref().is_none_or(|sets| sets.contains(set));
    let of_sets =
        configured.iter().filter(|(set, _)| is_meant(set)).flat_map(|(_, settings)| settings.databases.values());
    let paths: Vec<PathBuf> =
        of_sets.chain(around.settings.default_database.iter()).map(|path| resolved(path)).collect();
    let targets = match place {
        Where::File(path) => Targets::Files(vec![resolved(path)]),
        Where::Folder(path) => Targets::Folder(resolved(path)),
        Where::Known if !paths.is_empty() => Targets::Files(paths),
        Where::Original | Where::Known => Targets::Any,
    };
    Scope { host: around.host.clone(), sets, targets }
}

/// A restore that can be undone, and its safety archive.
pub struct Undo {
    /// The restore.
    pub past: Past,
    /// The contents before it.
    pub selected: Selected,
}

/// What an undo does.
pub enum Decision {
    /// It undoes this restore.
    TakeBack(Box<Undo>),
    /// Nothing, for this reason.
    Refuse(Box<Choice>),
}

/// Chooses the newest restore of a scope that can be undone.
pub fn select_undo(
    repository: &Repository,
    scope: &Scope,
    reading: &Reading,
    progress: &dyn Progress,
) -> anyhow::Result<Decision> {
    let (past, safety) = match History::read(repository, scope, reading, progress)?.choose(scope) {
        Choice::TakeBack(past, safety) => (past, safety),
        other => return Ok(Decision::Refuse(Box::new(other))),
    };
    let selected = match pending::open(repository, safety.as_str(), reading)? {
        Some(selected) => selected,
        None => in_store(repository, safety.as_str(), reading)?,
    };
    Ok(Decision::TakeBack(Box::new(Undo { past, selected })))
}

/// Returns the restore that a safety archive was made for, if it says so; `text` is how the archive was named. Fails if
/// it is no safety archive, or one of another host: its paths are those of that host.
pub fn past_of(selected: &Selected, text: &str, around: &Surroundings<'_>) -> anyhow::Result<Option<Past>> {
    let Some(replaces) = &selected.snapshot.replaces else { return Ok(None) };
    let snapshot = &selected.snapshot;
    if !around.host.owns(&snapshot.host) {
        let why = format!("\"{}\" was made on the host \"{}\"", snapshot.name, snapshot.host);
        return Err(
            RestoreError::CannotUndo { why, remedy: Remedy::UndoToOriginal { archive: text.to_owned() } }.into()
        );
    }
    let folders: Vec<&Path> = replaces.targets.iter().map(|target| parent(Path::new(&target.path))).collect();
    let interrupted = restore::beside(folders)?.iter().any(|old| old.note.restore == replaces.restore);
    Ok(Some(Past {
        restore: Some(replaces.restore.clone()),
        set: snapshot.set.clone(),
        host: snapshot.host.clone(),
        archive: Some(replaces.archive.clone()),
        at: snapshot.created_at,
        sequence: 0,
        safety: Some(snapshot.name.clone()),
        targets: replaces.targets.clone(),
        store: None,
        end: if interrupted { End::Interrupted } else { End::Finished },
    }))
}

/// Refuses an archive that is no safety backup: it is restored, not undone. `text` is how it was named.
pub fn require_safety(selected: &Selected, text: &str) -> Result<(), Failure> {
    if selected.snapshot.kind == Kind::Safety {
        return Ok(());
    }
    let message = format!("\"{}\" is not a safety backup, so there is no restore to undo", printable(text));
    Err(Failure::usage(message, Remedy::RestoreIt { archive: text.to_owned() }))
}

/// Plans to undo a restore from its safety archive: previous databases are restored, new ones are moved aside.
pub fn plan(past: &Past, selected: &Selected, offline: Option<Proof>) -> anyhow::Result<Plan> {
    let contents = selected.archive.contents();
    let (mut targets, mut removals) = (Vec::new(), Vec::new());
    for target in &past.targets {
        if target.path.contains(char::REPLACEMENT_CHARACTER) {
            let why = format!(
                "the path of \"{}\" cannot be written in metadata: \"{}\"",
                target.name,
                printable(&target.path)
            );
            let remedy =
                Remedy::UndoToFile { archive: selected.snapshot.name.to_string(), database: target.name.clone() };
            return Err(RestoreError::CannotUndo { why, remedy }.into());
        }
        if target.missing {
            removals.push((target.name.clone(), PathBuf::from(&target.path)));
            continue;
        }
        let chosen = restore::choose(contents, std::slice::from_ref(&target.name))?;
        targets.extend(chosen.into_iter().map(|index| (index, PathBuf::from(&target.path))));
    }
    let mut plan = restore::plan(contents, targets, offline, false)?;
    restore::plan_removals(&mut plan, removals)?;
    Ok(plan)
}
