//! `heirloom backup`.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::backup_args::BackupArgs;
use super::backup_round::Round;
use super::backup_set::{back_up, open};
use super::copies::{self, Copying};
use super::{Context, Outcome, keyless, remedy};
use crate::failure::{Failure, FailureKind, is_interruption};
use crate::metadata::Kind;
use crate::names::ArchiveName;
use crate::ops::Repository;
use crate::ops::backup::Made;
use crate::ops::explain::explain;
use crate::ops::jobs::retention::{configured_policy, limits_of};
use crate::ops::jobs::{Chosen, backup as job};
use crate::report;
use crate::report::backup::{Backup, Backups, Unchanged};
use crate::report::retain::Retained;
use crate::retention::{self, Retention};
use crate::streams::Stream;

pub(super) fn run(args: &BackupArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let result = all_sets(args, context);
    keyless::backup(result, context)
}

fn all_sets(args: &BackupArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    context.round.is_silent = args.makes_nothing(&context.typed);
    context.round.is_final = matches!(args.kind.into(), Kind::Final);
    // A policy that keeps nothing is refused before any work is done.
    retention(args, context)?;
    let chosen = chosen(args, context)?;
    let mut round = Round::new(&chosen, args.choice.set.as_ref(), args.choice.names_one(), context);
    let several = round.is_many();
    if several && args.name.is_some() {
        return Err(Failure::usage(
            "--name names one archive, and several sets are backed up",
            "choose one with `--set NAME`",
        )
        .into());
    }
    if args.new_store {
        context.stores.accept_new();
    }
    let mut store = None;
    if !args.dry_run && job::has_databases(&chosen) {
        let opened = open(context)?;
        round.list(&opened, &chosen, context)?;
        store = Some(opened);
    }
    let (is_json, is_joint) = (context.ui.is_json(), round.is_joint());
    let (mut documents, mut made) = (Vec::new(), Vec::new());
    let mut failed = 0;
    let mut problems = false;
    for set in chosen {
        let name = set.set.to_string();
        match back_up(args, context, &mut store, &mut round, set) {
            Ok(done) => {
                let is_damaged = done.made.as_ref().is_some_and(|made| made.packed.is_damaged());
                context.round.backed_up(&done.document, is_damaged);
                problems |= done.outcome != Outcome::Done;
                // Of thousands, only what is needed stays in memory.
                if is_json || !is_joint {
                    documents.push(done.document);
                    made.push(done.made.filter(|_| !is_joint));
                }
            }
            // One failed set does not stop the others; a signal does.
            Err(error) if several && !is_interruption(&error) => {
                failed += 1;
                note_failed(&name, &error, context);
                super::exit::report(&error, &context.typed, &mut context.ui);
            }
            Err(error) => {
                note_failed(&name, &error, context);
                return Err(error);
            }
        }
    }
    problems |= round.report(args.choice.set.as_ref(), context)? != Outcome::Done;
    let (mut copies, copied) = copy(args, store.as_ref(), context)?;
    context.round.copied(&copies);
    // After the copies, so that no archive is removed that a further store still lacks.
    for (document, made) in documents.iter_mut().zip(made) {
        if let (Some(store), Backup::Made(document), Some(made)) = (&store, document, made) {
            problems |= retain(args, &made, document, store, context)? != Outcome::Done;
        }
    }
    let mut retained = None;
    if let (Some(store), Some(made)) = (&store, round.take_made()) {
        let (document, outcome) = retain_all(args, made, store, context)?;
        problems |= outcome != Outcome::Done;
        retained = document;
    }
    if !copies.is_empty() && (args.rotate || args.cleanup) {
        let stores = context.settings.copies.clone();
        problems |= copies::rotate(&stores, &mut copies, context) != Outcome::Done;
    }
    if context.ui.is_json() {
        match documents.pop() {
            Some(Backup::Made(mut only)) if !several => {
                only.copies = copies;
                context.ui.document(&Backup::Made(only));
            }
            Some(Backup::Unchanged(only)) if !several => {
                context.ui.document(&Backup::Unchanged(Unchanged { copies, ..only }));
            }
            Some(Backup::Unchanged(only)) if !several => {
                context.ui.document(&Backup::Unchanged(Unchanged { copies, ..only }));
            }
            Some(only) if !several => context.ui.document(&only),
            last => {
                documents.extend(last);
                context.ui.document(&Backups {
                    backups: documents,
                    gone: round.take_gone(),
                    retention: retained,
                    copies,
                });
            }
        }
    }
    Ok(match copied {
        Outcome::Done if failed > 0 || problems => Outcome::Problems,
        copied => copied,
    })
}

/// Returns what is backed up; nothing if no database matches a pattern yet and that is allowed.
fn chosen(args: &BackupArgs, context: &Context) -> Result<Vec<Chosen>, Failure> {
    let is_broken = context.settings.each.iter().any(|each| !each.problems.is_empty());
    match args.choice.choose(context) {
        Err(failure) if failure.kind == FailureKind::NoDatabase && args.if_exists && !is_broken => Ok(Vec::new()),
        chosen => chosen,
    }
}

fn note_failed(set: &str, error: &anyhow::Error, context: &mut Context) {
    let failure = explain(error);
    let hint = failure.remedy.as_ref().map(|remedy| remedy::hint(remedy, &context.typed));
    context.round.failed(set, &failure, hint);
}

/// Brings the further stores up to date. The backups themselves are complete, whatever happens here.
fn copy(
    args: &BackupArgs,
    store: Option<&Repository>,
    context: &mut Context,
) -> anyhow::Result<(Vec<report::copies::Copy>, Outcome)> {
    let stores = context.settings.copies.clone();
    let Some(store) = store.filter(|_| !args.no_copies && !args.makes_nothing(&context.typed) && !stores.is_empty())
    else {
        return Ok((Vec::new(), Outcome::Done));
    };
    let copying = copies::copy(store, &stores, None, context);
    let Copying { documents, outcome, .. } = copying.context("the backup is complete, but its copies are not")?;
    Ok((documents, outcome))
}

/// Removes what the requested rules do not keep after a backup.
fn retain(
    args: &BackupArgs,
    made: &Made,
    document: &mut report::backup::Made,
    store: &Repository,
    context: &mut Context,
) -> anyhow::Result<Outcome> {
    let Some(retention) = retention(args, context)? else { return Ok(Outcome::Done) };
    let retained = job::retain(made, retention, store, &context.surroundings(), &context.ui.progress());
    let report = |context: &mut Context| -> anyhow::Result<Outcome> {
        let Some(report) = retained? else { return Ok(Outcome::Done) };
        let (retained, outcome) = super::retain::report_after_backup(&report, &made.packed.archive, store, context)?;
        document.retention = Some(retained);
        Ok(outcome)
    };
    report(context).with_context(|| {
        format!("the backup is complete (\"{}\"), but older ones could not be removed", made.packed.archive)
    })
}

/// Removes once what the requested rules do not keep after many backups.
fn retain_all(
    args: &BackupArgs,
    (streams, last): (BTreeSet<Stream>, ArchiveName),
    store: &Repository,
    context: &mut Context,
) -> anyhow::Result<(Option<Retained>, Outcome)> {
    let Some(retention) = retention(args, context)? else { return Ok((None, Outcome::Done)) };
    let report =
        job::retain_all(streams, last.clone(), retention, store, &context.surroundings(), &context.ui.progress());
    let report = report.context("the backups are complete, but older ones could not be removed")?;
    let (retained, outcome) = super::retain::report_after_backup(&report, &last, store, context)?;
    Ok((Some(retained), outcome))
}

/// Returns the retention that is applied after the backup.
fn retention(args: &BackupArgs, context: &Context) -> Result<Option<Retention>, Failure> {
    Ok(if args.rotate {
        Some(Retention::Rotate(configured_policy(&context.settings)?))
    } else if args.cleanup {
        Some(Retention::Cleanup(limits_of(
            retention::Limits { keep: args.keep, ..retention::Limits::default() },
            &context.settings,
        )))
    } else {
        None
    })
}
