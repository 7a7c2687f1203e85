//! `heirloom backup --pin-first`, as `run` starts it before an application: the databases of all sets are pinned, that is
//! reported, and then everything goes on as usual.
//!
//! The report is a line of standard error, which `run` reads anyway. If nobody reads it any more, it is lost, and nothing
//! else happens.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context as _;

use super::Context;
use super::backup_args::BackupArgs;
use super::backup_round::Round;
use super::backup_set::{Pinned, around, needless, planned};
use crate::failure::is_interruption;
use crate::names::Name;
use crate::ops::Repository;
use crate::ops::backup::Held;
use crate::ops::jobs::{Chosen, backup as job};
use crate::platform::file_id;

/// The line that reports that the databases are pinned.
pub(super) const PINNED: &str = r#"{"pinned":true}"#;

/// The sets that were pinned, by name.
pub(super) type PinnedSets = BTreeMap<Name, Pinned>;

/// Pins the databases of all single sets, reports that, and copies them. A set that fails is reported with its backup; a
/// signal is an error.
///
/// First all hooks run, then all is pinned, then all is copied: while a hook runs, nothing is pinned. The databases of a
/// pattern are not pinned: there may be thousands, and the application would wait for all of them. Nor is a set that
/// shares a file with one before it, which only one operation of a process may have open.
pub(super) fn pin(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    round: &mut Round,
    chosen: &[Chosen],
) -> anyhow::Result<PinnedSets> {
    let mut all = PinnedSets::new();
    let pinned =
        begin(args, context, store, round, chosen, &mut all).and_then(|()| copy(args, context, store, round, &mut all));
    match pinned {
        Ok(()) => Ok(all),
        Err(error) => {
            give_up(all, args, &error, context);
            Err(error)
        }
    }
}

/// Runs `on_failure` for the sets whose `before_backup` ran and that are not backed up any more.
pub(super) fn give_up(all: PinnedSets, args: &BackupArgs, error: &anyhow::Error, context: &mut Context) {
    let begun = all.into_iter().filter(|(_, pinned)| matches!(pinned, Pinned::Begun(..)));
    // Copies are removed first.
    let begun: Vec<Name> = begun.map(|(set, _)| set).collect();
    begun.iter().for_each(|set| around(args, set).failed(error, context));
}

/// Looks what is to be done, runs the hooks, and plans.
fn begin(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    round: &mut Round,
    chosen: &[Chosen],
    all: &mut PinnedSets,
) -> anyhow::Result<()> {
    let mut files = HashSet::new();
    let singles: Vec<&Chosen> = chosen.iter().filter(|set| context.settings.each_of(&set.set).is_none()).collect();
    for set in singles {
        let own = set.sources.iter().filter_map(|source| std::fs::metadata(&source.path).ok());
        let own: Vec<_> = own.map(|found| file_id(&found)).collect();
        if own.iter().any(|file| files.contains(file)) {
            continue;
        }
        files.extend(own);
        let begun = match needless(args, context, store, round, set) {
            Ok(Some(done)) => Ok(Pinned::Needless(Box::new(done))),
            Ok(None) => around(args, &set.set)
                .before(context)
                .and_then(|()| Ok(Pinned::Begun(Box::new(planned(args, context, set.clone())?), None))),
            Err(error) => Err(error),
        };
        all.insert(set.set.clone(), or_failed(begun)?);
    }
    Ok(())
}

/// Pins everything, reports that, and copies it.
fn copy(
    args: &BackupArgs,
    context: &Context,
    store: &Option<Repository>,
    round: &Round,
    all: &mut PinnedSets,
) -> anyhow::Result<()> {
    let (wait, around, progress) = (args.busy_timeout, context.surroundings(), context.ui.progress());
    let mut held: Vec<(Name, Held)> = Vec::new();
    for (set, pinned) in all.iter_mut() {
        let (Pinned::Begun(plan, _), Some(store)) = (&*pinned, store) else { continue };
        if plan.sources.is_empty() {
            continue;
        }
        match job::hold(plan, wait, round.known(set), store, &around, &progress).with_context(|| failed(set)) {
            Ok(one) => held.push((set.clone(), one)),
            Err(error) => *pinned = or_failed(Err(error))?,
        }
    }
    // It is no result, so `--quiet` does not silence it. A supervisor that is gone does not read it, which is no error.
    context.ui.stderr_json(&serde_json::json!({"pinned": true}));
    for (set, one) in held {
        let Some(Pinned::Begun(plan, captured)) = all.get_mut(&set) else { continue };
        match job::copy(plan, one, wait, &around, &progress).with_context(|| failed(&set)) {
            Ok(copied) => *captured = Some(Box::new(copied)),
            Err(error) => {
                let failed = or_failed(Err(error))?;
                all.insert(set, failed);
            }
        }
    }
    Ok(())
}

fn failed(set: &Name) -> String {
    format!("cannot back up \"{set}\"")
}

/// Keeps the error of a set for its report. A signal ends everything.
fn or_failed(begun: anyhow::Result<Pinned>) -> anyhow::Result<Pinned> {
    match begun {
        Err(error) if !is_interruption(&error) => Ok(Pinned::Failed(error)),
        other => other,
    }
}
