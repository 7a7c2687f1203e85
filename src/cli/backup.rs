//! `heirloom backup`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context as _;

use super::backup_round::Round;
use super::backup_set::back_up;
use super::check_arg::CheckArg;
use super::choice::ChoiceArgs;
use super::copies::{self, Copying};
use super::{Context, Outcome, keyless};
use crate::compression::Compression;
use crate::failure::{Failure, FailureKind, is_interruption};
use crate::metadata::Kind;
use crate::names::ArchiveName;
use crate::ops::Repository;
use crate::ops::backup::Made;
use crate::ops::jobs::retention::{configured_policy, limits_of};
use crate::ops::jobs::{Chosen, backup as job};
use crate::ops::scratch_room::memory_of_scratch;
use crate::report;
use crate::report::backup::{Backup, Backups};
use crate::report::retain::Retained;
use crate::retention::{self, Retention};
use crate::streams::Stream;

/// Back up databases into one verified archive
///
/// Copies each database as it is at one point in time while applications keep writing, checks the copy, compresses it,
/// reads the archive back, and only then gives it its name. The databases themselves are not changed.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom backup app.db                         back up one file into ./backups
  heirloom backup users.db orders.db --set shop  two databases, one archive, one point in time
  heirloom backup --only user --note 'before the migration'
  heirloom backup --kind scheduled --if-older-than 20h --rotate

Exit codes: 0 done; 3 one of several sets failed, a damaged database was kept, one is empty, unreadable or lost, \
indexes must be rebuilt, most rows are gone, the key of the store is not set, the clock is behind the newest archive, \
or another application uses the same set, host and path; 10 no such database; 11 locked or busy; 13 damaged, nothing \
kept; 14 name taken; 15 not enough space; 16 store unreachable")]
pub struct BackupArgs {
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    /// Name of the archive; by default made of set and time
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Store a note in the archive
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
    /// Why the archive is made
    #[arg(long, value_enum, value_name = "KIND", default_value = "manual")]
    pub(super) kind: KindArg,
    /// How thoroughly the copy is checked
    #[arg(long, value_enum, value_name = "DEPTH")]
    pub(super) check: Option<CheckArg>,
    /// Leave free pages out of the copy (VACUUM)
    #[arg(long, overrides_with = "no_vacuum")]
    pub(super) vacuum: bool,
    /// Copy the database page by page as it is
    #[arg(long)]
    pub(super) no_vacuum: bool,
    /// Keep a damaged database, marked as damaged, instead of refusing it
    #[arg(long)]
    pub(super) keep_damaged: bool,
    /// Succeed if a database does not exist yet, for a first deployment
    #[arg(long)]
    pub(super) if_exists: bool,
    /// Do nothing if every database has a good archive younger than this, such as 20h
    ///
    /// Makes a second schedule harmless. Only archives of the same set, host and path count. Plain databases and
    /// archives of other tools do not count, nor do safety backups, damaged archives and those dated in the future.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    pub(super) if_older_than: Option<Duration>,
    /// Print what would be backed up, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to compress: gzip, zstd or none, with a level if wanted: zstd:9
    ///
    /// gzip (1 to 12) can be read on every machine. zstd (1 to 19) is several times as fast, and smaller; the archive
    /// ends in .tar.zst, and `tar --zstd` reads it. A store may hold both.
    #[arg(long, value_name = "KIND[:LEVEL]", conflicts_with_all = ["compression_level", "no_compress"])]
    pub(super) compression: Option<Compression>,
    /// Level of the configured compression, 1 (fast) to 12 (small)
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=12))]
    pub(super) compression_level: Option<u8>,
    /// Write a plain tar, like `--compression none`
    #[arg(long, conflicts_with = "compression_level")]
    pub(super) no_compress: bool,
    /// Threads that compress; by default one for each core
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
    /// After a good backup, remove what the rotation policy of the configuration does not keep (see `heirloom rotate`)
    #[arg(long, conflicts_with = "cleanup")]
    rotate: bool,
    /// After a good backup, remove what is beyond the limits (see `heirloom cleanup`)
    #[arg(long)]
    cleanup: bool,
    /// With --cleanup: keep the newest N archives
    #[arg(long, value_name = "N", requires = "cleanup", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Leave the other stores of the configuration out: copy nothing to them
    #[arg(long)]
    no_copies: bool,
    /// Accept a new or another store at the path of the store
    #[arg(long)]
    new_store: bool,
    /// How long to wait for a lock of another process
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(super) busy_timeout: Duration,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
pub(super) enum KindArg {
    Manual,
    Scheduled,
    PreUpdate,
    Final,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Manual => Kind::Manual,
            KindArg::Scheduled => Kind::Scheduled,
            KindArg::PreUpdate => Kind::PreUpdate,
            KindArg::Final => Kind::Final,
        }
    }
}

pub(super) fn run(args: &BackupArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let result = all_sets(args, context);
    keyless::backup(result, context)
}

fn all_sets(args: &BackupArgs, context: &mut Context) -> anyhow::Result<Outcome> {
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
    let (is_json, is_joint) = (context.ui.is_json(), round.is_joint(context));
    let (mut documents, mut made) = (Vec::new(), Vec::new());
    let mut failed = 0;
    let mut problems = false;
    for set in chosen {
        match back_up(args, context, &mut store, &mut round, set) {
            Ok(done) => {
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
                super::exit::report(&error, &context.typed, &mut context.ui);
            }
            Err(error) => return Err(error),
        }
    }
    problems |= round.report(args.choice.set.as_ref(), context)? != Outcome::Done;
    let (mut copies, copied) = copy(args, store.as_ref(), context)?;
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
            Some(only) if !several => context.ui.document(&only),
            last => {
                documents.extend(last);
                context.ui.document(&Backups { backups: documents, retention: retained, copies });
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

/// Opens the store, once in a run.
pub(super) fn open(context: &Context) -> anyhow::Result<Repository> {
    let store = context.store_for_writing()?;
    if let Some(line) = memory_of_scratch(store.workspace()) {
        context.ui.detail(line);
    }
    Ok(store)
}

/// Brings the further stores up to date. The backups themselves are complete, whatever happens here.
fn copy(
    args: &BackupArgs,
    store: Option<&Repository>,
    context: &mut Context,
) -> anyhow::Result<(Vec<report::copies::Copy>, Outcome)> {
    let stores = context.settings.copies.clone();
    let Some(store) = store.filter(|_| !args.no_copies && !stores.is_empty()) else {
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
