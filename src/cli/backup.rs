//! `heirloom backup`.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::backup_args::BackupArgs;
use super::backup_captures::{self, capture_all};
use super::backup_round::Round;
use super::backup_set::{Begun, Captured, SetDone, begin, finish, open};
use super::copies::{self, Copying};
use super::{Context, Outcome, keyless, remedy};
use crate::failure::{Failure, FailureKind, is_interruption};
use crate::metadata::Kind;
use crate::names::ArchiveName;
use crate::ops::Repository;
use crate::ops::backup::{Made, Plan};
use crate::ops::explain::explain;
use crate::ops::jobs::retention::{configured_policy, limits_of};
use crate::ops::jobs::{Chosen, backup as job};
use crate::report;
use crate::report::backup::{Backup, Backups, Unchanged};
use crate::report::retain::Retained;
use crate::retention::{self, Retention};
use crate::streams::Stream;

/// How many sets may wait until those of them that are to be captured are.
const MOST_BEGUN: usize = 256;

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
        match open(context).and_then(|opened| round.list(&opened, &chosen, context).map(|()| opened)) {
            Ok(opened) => store = Some(opened),
            Err(error) => {
                // The notice says of each set what is still safe.
                if !is_interruption(&error) && !keyless::is_why(&error) {
                    chosen.iter().for_each(|set| note_failed(set.set.as_str(), &error, context));
                }
                return Err(error);
            }
        }
    }
    let mut results = Results { several, is_joint: round.is_joint(), ..Results::default() };
    let batch = backup_captures::batch(args, &round, context);
    let (mut begun, mut ready) = (Vec::new(), 0);
    for set in chosen {
        let one = begin(args, context, &mut store, &round, set);
        let is_large = one.to_capture().is_some_and(|plan| !backup_captures::is_small(plan));
        ready += usize::from(one.to_capture().is_some());
        let is_interrupted = one.is_interrupted();
        begun.push(one);
        // What waits for no capture is reported at once.
        if ready == 0 || ready >= batch || is_large || is_interrupted || begun.len() >= MOST_BEGUN {
            ready = 0;
            carry_out(args, std::mem::take(&mut begun), store.as_ref(), &mut round, &mut results, context)?;
        }
    }
    carry_out(args, begun, store.as_ref(), &mut round, &mut results, context)?;
    let Results { mut documents, made, failed, mut problems, .. } = results;
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
            Some(only) if !several => context.ui.document(&only),
            last => {
                documents.extend(last);
                let (gone, newly_gone) = round.take_gone();
                context.ui.document(&Backups { backups: documents, gone, newly_gone, retention: retained, copies });
            }
        }
    }
    Ok(match copied {
        Outcome::Done if failed > 0 || problems => Outcome::Problems,
        copied => copied,
    })
}

/// What became of the sets so far.
#[derive(Default)]
struct Results {
    several: bool,
    is_joint: bool,
    documents: Vec<Backup>,
    made: Vec<Option<Made>>,
    failed: u64,
    problems: bool,
}

impl Results {
    /// Reports the result of a set. Fails if that ends the run.
    fn add(&mut self, set: &str, ended: anyhow::Result<SetDone>, context: &mut Context) -> anyhow::Result<()> {
        match ended {
            Ok(done) => {
                let is_damaged = done.made.as_ref().is_some_and(|made| made.packed.is_damaged());
                context.round.backed_up(&done.document, is_damaged);
                self.problems |= done.outcome != Outcome::Done;
                // Of thousands, only what is needed stays in memory.
                if context.ui.is_json() || !self.is_joint {
                    self.documents.push(done.document);
                    self.made.push(done.made.filter(|_| !self.is_joint));
                }
                Ok(())
            }
            // One failed set does not stop the others; a signal does.
            Err(error) if self.several && !is_interruption(&error) => {
                self.failed += 1;
                note_failed(set, &error, context);
                super::exit::report(&error, &context.typed, &mut context.ui);
                Ok(())
            }
            Err(error) => {
                note_failed(set, &error, context);
                Err(error)
            }
        }
    }
}

/// Captures the sets of a batch and reports the results in their order. A signal ends the run once what was finished
/// before it is reported.
fn carry_out(
    args: &BackupArgs,
    mut begun: Vec<Begun>,
    store: Option<&Repository>,
    round: &mut Round,
    results: &mut Results,
    context: &mut Context,
) -> anyhow::Result<()> {
    // A single set may wait for a lock for long.
    if let Some(first) = begun.first_mut() {
        first.announce(context);
    }
    let plans: Vec<&Plan> = begun.iter().filter_map(Begun::to_capture).collect();
    let mut captured = match store {
        Some(store) if !plans.is_empty() => capture_all(args, &plans, round, store, context),
        _ => Vec::new(),
    }
    .into_iter();
    let mut end = None;
    for one in begun {
        let captured = one.to_capture().and_then(|_| captured.next());
        let is_interrupted = one.is_interrupted() || captured.as_ref().is_some_and(Captured::is_interrupted);
        if end.is_some() && is_interrupted {
            continue;
        }
        let set = one.set().to_string();
        let finished = finish(args, context, store, round, one, captured);
        if let Err(error) = results.add(&set, finished, context) {
            end.get_or_insert(error);
        }
    }
    end.map_or(Ok(()), Err)
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
