//! `heirloom backup`.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context as _;

use super::backup_text::{print_left_out, print_plan, report as report_made, stage_text};
use super::bar::Overall;
use super::check_arg::CheckArg;
use super::choice::ChoiceArgs;
use super::copies::{self, Copying};
use super::record::Record;
use super::stages::{self, Stages};
use super::{Context, Outcome, bar, keyless, remedy, text};
use crate::compression::Compression;
use crate::failure::{Failure, is_interruption};
use crate::metadata::Kind;
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::backup::{self, IfMissing, Made, Plan};
use crate::ops::changed::Listing;
use crate::ops::jobs::Chosen;
use crate::ops::jobs::backup::{self as job, Ended, Renewal};
use crate::ops::jobs::retention::{configured_policy, limits_of};
use crate::ops::pack::{self, Request};
use crate::ops::reports;
use crate::ops::scratch_room::memory_of_scratch;
use crate::report;
use crate::report::backup::{Backup, Backups, By, Outcome as Skip, SkippedMissing, SkippedRecent, Unchanged};
use crate::retention::{self, Retention};
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::workspace::Seen;

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
  heirloom backup --kind scheduled --if-changed  every few minutes, from cron

Exit codes: 0 done, or nothing to do; 3 one of several sets failed, a damaged database was kept, one is empty, unreadable or lost, \
indexes must be rebuilt, most rows are gone, the key of the store is not set, the clock is behind the newest archive, \
or another application uses the same set, host and path; 10 no such database; 11 locked or busy; 13 damaged, nothing \
kept; 14 name taken; 15 not enough space; 16 store unreachable")]
pub struct BackupArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Name of the archive; by default made of set and time
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Store a note in the archive
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Why the archive is made
    #[arg(long, value_enum, value_name = "KIND", default_value = "manual")]
    kind: KindArg,
    /// How thoroughly the copy is checked
    #[arg(long, value_enum, value_name = "DEPTH")]
    check: Option<CheckArg>,
    /// Leave free pages out of the copy (VACUUM)
    #[arg(long, overrides_with = "no_vacuum")]
    vacuum: bool,
    /// Copy the database page by page as it is
    #[arg(long)]
    no_vacuum: bool,
    /// Keep a damaged database, marked as damaged, instead of refusing it
    #[arg(long)]
    keep_damaged: bool,
    /// Succeed if a database does not exist yet, for a first deployment
    #[arg(long)]
    if_exists: bool,
    /// Do nothing if every database has a good archive younger than this, such as 20h
    ///
    /// Makes a second schedule harmless. Only archives of the same set, host and path count. Plain databases and
    /// archives of other tools do not count, nor do safety backups, damaged archives and those dated in the future.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    if_older_than: Option<Duration>,
    /// Do nothing if no database changed since its last backup
    ///
    /// Compares size, times and headers of the files with what the last backup recorded, which takes milliseconds. If
    /// that proves nothing, the database is copied, and the copy is thrown away if the newest archive was made from the
    /// same. An unchanged database counts as backed up at this time, for `heirloom health` too.
    #[arg(long)]
    if_changed: bool,
    /// Print what would be backed up, and stop
    #[arg(long)]
    dry_run: bool,
    /// How to compress: gzip, zstd or none, with a level if wanted: zstd:9
    ///
    /// gzip (1 to 12) can be read on every machine. zstd (1 to 19) is several times as fast, and smaller; the archive
    /// ends in .tar.zst, and `tar --zstd` reads it. A store may hold both.
    #[arg(long, value_name = "KIND[:LEVEL]", conflicts_with_all = ["compression_level", "no_compress"])]
    compression: Option<Compression>,
    /// Level of the configured compression, 1 (fast) to 12 (small)
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=12))]
    compression_level: Option<u8>,
    /// Write a plain tar, like `--compression none`
    #[arg(long, conflicts_with = "compression_level")]
    no_compress: bool,
    /// Threads that compress; by default one for each core
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
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
    busy_timeout: Duration,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum KindArg {
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
    let chosen = args.choice.choose(context)?;
    let several = chosen.len() > 1;
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
        store = Some(open(context)?);
    }
    let mut documents = Vec::new();
    let mut made = Vec::new();
    let mut failed = 0;
    let mut problems = false;
    for set in chosen {
        match one_set(args, context, &mut store, set) {
            Ok(done) => {
                problems |= done.outcome != Outcome::Done;
                documents.push(done.document);
                made.push(done.made);
            }
            // One failed set does not stop the others; a signal does.
            Err(error) if several && !is_interruption(&error) => {
                failed += 1;
                super::exit::report(&error, &context.typed, &mut context.ui);
            }
            Err(error) => return Err(error),
        }
    }
    let (mut copies, copied) = copy(args, store.as_ref(), context)?;
    // After the copies, so that no archive is removed that a further store still lacks.
    for (document, made) in documents.iter_mut().zip(made) {
        if let (Some(store), Backup::Made(document), Some(made)) = (&store, document, made) {
            problems |= retain(args, &made, document, store, context)? != Outcome::Done;
        }
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
                context.ui.document(&Backups { backups: documents, copies });
            }
        }
    }
    Ok(match copied {
        Outcome::Done if failed > 0 || problems => Outcome::Problems,
        copied => copied,
    })
}

/// Opens the store, once in a run.
fn open(context: &Context) -> anyhow::Result<Repository> {
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
        let (retained, outcome) = super::retain::report_after_backup(&report, made, store, context)?;
        document.retention = Some(retained);
        Ok(outcome)
    };
    report(context).with_context(|| {
        format!("the backup is complete (\"{}\"), but older ones could not be removed", made.packed.archive)
    })
}

/// What became of a set.
struct SetDone {
    document: Backup,
    outcome: Outcome,
    made: Option<Made>,
}

impl SetDone {
    /// No archive was made.
    fn without(document: Backup, outcome: Outcome) -> Self {
        Self { document, outcome, made: None }
    }
}

fn one_set(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    chosen: Chosen,
) -> anyhow::Result<SetDone> {
    let set = chosen.set.clone();
    let if_missing = if args.if_exists { IfMissing::Skip } else { IfMissing::Fail };
    let plan = backup::plan(chosen.sources, if_missing, request(args, context, set.clone(), chosen.absent)?)?;
    let lost = report_missing(&plan, context)?;
    let outcome = if lost.is_empty() && plan.empty.is_empty() && plan.unreadable.is_empty() {
        Outcome::Done
    } else {
        Outcome::Problems
    };
    if plan.sources.is_empty() {
        let skipped = SkippedMissing { outcome: Skip::SkippedMissing, set, databases: Vec::new(), lost };
        return Ok(SetDone::without(Backup::SkippedMissing(skipped), outcome));
    }
    if !args.dry_run && store.is_none() {
        *store = Some(open(context)?);
    }
    let store = store.as_ref();
    if let Some(young) = young_enough(args, &plan, store, context)? {
        let (name, age) = (young.name, text::age(young.created_at, context.now));
        context.ui.summary(format!("nothing to do: {name} was made {age}"));
        context.records.push(Record { set: Some(set.to_string()), ..Record::default() });
        let recent = name.to_string();
        let skipped = SkippedRecent { outcome: Skip::SkippedRecent, set, recent, created_at: young.created_at };
        return Ok(SetDone::without(Backup::SkippedRecent(skipped), outcome));
    }
    if let Some(seen) = unchanged(args, &plan, store, context)? {
        return Ok(not_changed(&plan, &seen, By::Look, lost, context));
    }
    let Some(store) = store else {
        print_plan(&mut context.ui, &plan, &context.settings.store, &context.typed);
        return Ok(SetDone::without(Backup::Planned(reports::planned(&plan, &context.settings.store)), outcome));
    };

    super::interrupted::report_beside(context, plan.sources.iter().map(|source| source.path.as_path()), None);
    let record = Record { kind: Some(plan.request.kind.to_string()), set: Some(set.to_string()), ..Record::default() };
    let progress = Stages::new(context.ui.progress_in(Overall::Stages(bar::BACKUP)));
    let (wait, around) = (args.busy_timeout, context.surroundings());
    let ended = if args.if_changed {
        job::run_if_changed(&plan, wait, store, &around, &progress)
    } else {
        job::run(&plan, wait, store, &around, &progress).map(|done| Ended::Made(Box::new(done)))
    };
    let done = match ended {
        Ok(Ended::Made(done)) => *done,
        Ok(Ended::Unchanged(seen)) => return Ok(not_changed(&plan, &seen, By::Copy, lost, context)),
        Err(error) => {
            context.records.push(record);
            return Err(error.context(format!("cannot back up \"{set}\"")));
        }
    };
    let stages = progress.end(|stage, subject, bytes| stage_text(&plan.request, stage, subject, bytes));
    let packed = &done.made.packed;
    context.records.push(Record {
        archive: Some(packed.archive.as_str().to_owned()),
        bytes: Some(packed.bytes),
        outcome: Some(if packed.is_damaged() { Outcome::Problems } else { Outcome::Done }),
        ..record
    });
    report_made(context, store, &done.made, done.took);
    stages::lines(&stages).for_each(|line| context.ui.detail(line));
    let words = |remedy: &_| remedy::hint(remedy, &context.typed);
    let document = Box::new(reports::made(&done.made, store, done.took, lost, &words));
    let denied = report_denied(store, context);
    let outcome = if denied || done.has_problems() { Outcome::Problems } else { outcome };
    Ok(SetDone { document: Backup::Made(document), outcome, made: Some(done.made) })
}

/// Returns the records of the databases if a look was requested, and shows that none changed.
fn unchanged(
    args: &BackupArgs,
    plan: &Plan,
    store: Option<&Repository>,
    context: &Context,
) -> anyhow::Result<Option<Vec<Seen>>> {
    if !args.if_changed {
        return Ok(None);
    }
    let (around, progress) = (context.surroundings(), context.ui.progress());
    let look = |store: &Repository, renewal| {
        job::unchanged(plan, args.busy_timeout, renewal, &Listing::new(store), &around, &progress)
    };
    let failed = || format!("cannot back up \"{}\"", plan.request.set);
    match store {
        Some(store) => look(store, Renewal::Renew).with_context(failed),
        // A dry run: without a store there are no archives.
        None => match context.store() {
            Ok(store) => look(&store, Renewal::LookOnly),
            Err(StoreError::Unreachable { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
}

/// Reports that no database of a set changed, and what was left out.
fn not_changed(plan: &Plan, seen: &[Seen], by: By, lost: Vec<Name>, context: &mut Context) -> SetDone {
    let set = &plan.request.set;
    let has_problems = print_left_out(&context.ui, plan, &context.typed) || !lost.is_empty();
    let outcome = if has_problems { Outcome::Problems } else { Outcome::Done };
    let report = reports::not_changed(set, seen, by, lost).expect("a backup has at least one database");
    let age = text::age(report.created_at, context.now);
    context.ui.summary(format!("nothing to do: {set} is unchanged since {}, made {age}", report.archive));
    context.records.push(Record {
        set: Some(set.to_string()),
        archive: Some(report.archive.to_string()),
        outcome: Some(outcome),
        ..Record::default()
    });
    SetDone::without(Backup::Unchanged(report), outcome)
}

/// Returns the archive that makes this backup unnecessary, if requested and present.
fn young_enough(
    args: &BackupArgs,
    plan: &Plan,
    store: Option<&Repository>,
    context: &Context,
) -> anyhow::Result<Option<Snapshot>> {
    let Some(age) = args.if_older_than else { return Ok(None) };
    let young =
        |store: &Repository| job::young_enough(plan, age, store, &context.surroundings(), &context.ui.progress());
    match store.map_or_else(|| context.store().map(Cow::Owned), |store| Ok(Cow::Borrowed(store))) {
        Ok(store) => young(&store),
        // A dry run: without a store there are no archives.
        Err(StoreError::Unreachable { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reports missing databases and returns those that have archives: these were lost; this is not a first
/// deployment.
fn report_missing(plan: &Plan, context: &Context) -> anyhow::Result<Vec<Name>> {
    let lost = job::lost(plan, || context.store(), &context.surroundings(), &context.ui.progress())?;
    for missing in &plan.missing {
        let path = crate::text::quoted(&missing.path);
        match lost.iter().find(|(name, _)| *name == missing.name) {
            None => context.ui.note(format!("no database at {path} yet: skipped")),
            Some((_, archive)) => {
                let words = [
                    "restore",
                    archive.as_str(),
                    "--only",
                    missing.name.as_str(),
                    "--to",
                    &missing.path.to_string_lossy(),
                ];
                let command = context.command_line(&words);
                context
                    .ui
                    .warning(format!("no database at {path}, but archives of it exist; restore it with: {command}"));
            }
        }
    }
    Ok(lost.into_iter().map(|(name, _)| name).collect())
}

/// Warns if an archive did not get the mode or group that the configuration asks for.
pub(super) fn report_denied(store: &Repository, context: &Context) -> bool {
    let denied = store.store().denied();
    if let Some(why) = &denied {
        let check = context.command_line(&["config", "check"]);
        context
            .ui
            .warning(format!("the mode or group of [store] could not be set on {why}; `{check}` shows what is needed"));
    }
    denied.is_some()
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

fn request(args: &BackupArgs, context: &Context, set: Name, absent: Vec<Name>) -> anyhow::Result<Request> {
    let settings = &context.settings.backup;
    let compression = compression(args, settings.compression);
    let sealing = context.encryption.store.clone();
    Ok(Request {
        digits: None,
        set,
        kind: args.kind.into(),
        name: args.name.as_deref().map(|name| chosen_name(name, compression, sealing.is_some())).transpose()?,
        note: args.note.clone(),
        host: context.host_names(),
        created_at: context.clock.now(),
        replaces: None,
        consistent: true,
        absent,
        check: CheckArg::depth(args.check, settings.check),
        keep_damaged: args.keep_damaged,
        vacuum: args.vacuum || settings.vacuum && !args.no_vacuum,
        compression,
        sealing,
        threads: args.threads.unwrap_or_else(|| context.threads()),
        lock_wait: args.busy_timeout,
    })
}

/// Returns what the flags say about the compression, or else the configuration.
fn compression(args: &BackupArgs, configured: Compression) -> Compression {
    if args.no_compress {
        return Compression::None;
    }
    // A level asks for compression, even if none is configured; each codec has the levels that the flag accepts.
    let at = |level| configured.at_level(level).unwrap_or(Compression::Gzip(level));
    args.compression.or(args.compression_level.map(at)).unwrap_or(configured)
}

/// Builds the archive's file name from what the user typed, with or without the extension.
fn chosen_name(name: &str, compression: Compression, is_encrypted: bool) -> Result<ArchiveName, Failure> {
    let ending = pack::ending(compression, is_encrypted);
    let stem = name.strip_suffix(&ending).or(name.strip_suffix(compression.ending())).unwrap_or(name);
    let file = format!("{stem}{ending}");
    ArchiveName::new(file).map_err(|error| {
        Failure::usage(error.to_string(), "use letters, digits, dots, dashes and underscores, and no slash")
    })
}
