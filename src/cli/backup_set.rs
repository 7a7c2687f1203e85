//! `heirloom backup` for one set, with the hooks around it.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Context as _;

use super::backup_args::BackupArgs;
use super::backup_round::Round;
use super::backup_text::{print_left_out, print_plan, report as report_made, stage_text};
use super::check_arg::CheckArg;
use super::hooks::Around;
use super::record::Record;
use super::stages::{self, Stages};
use super::{Context, Outcome, remedy, text};
use crate::compression::Compression;
use crate::failure::{Failure, is_interruption};
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::backup::{self, IfMissing, Made, Plan};
use crate::ops::jobs::backup::{self as job, Ended, Renewal};
use crate::ops::jobs::{Chosen, Surroundings};
use crate::ops::pack::{self, Request};
use crate::ops::reports;
use crate::ops::scratch_room::memory_of_scratch;
use crate::progress::Progress;
use crate::report::backup::{Backup, By, Outcome as Skip, SkippedMissing, SkippedRecent};
use crate::snapshot::Snapshot;
use crate::store::StoreError;
use crate::workspace::Seen;

/// Opens the store, once in a run.
pub(super) fn open(context: &Context) -> anyhow::Result<Repository> {
    let store = context.store_for_writing()?;
    if let Some(line) = memory_of_scratch(store.workspace()) {
        context.ui.detail(line);
    }
    Ok(store)
}

/// What became of a set.
pub(super) struct SetDone {
    /// What it reports.
    pub(super) document: Backup,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// The archive, if one was made.
    pub(super) made: Option<Made>,
}

impl SetDone {
    /// No archive was made.
    fn without(document: Backup, outcome: Outcome) -> Self {
        Self { document, outcome, made: None }
    }

    /// Returns the archive that was made, as its path or address.
    fn archive(&self, store: Option<&Repository>) -> Option<String> {
        Some(store?.path_of(self.made.as_ref()?.packed.archive.as_str()))
    }
}

/// A set that is to be captured.
pub(super) struct Ready {
    around: Around,
    pub(super) plan: Plan,
    /// The missing databases that have archives.
    lost: Vec<Name>,
    /// How it ends if all goes well.
    outcome: Outcome,
}

/// What is left to do about a set.
pub(super) enum Begun {
    Done(SetDone),
    Ready(Box<Ready>),
}

/// Decides about a set, and runs the hook before its backup. While hooks run, nothing is locked.
pub(super) fn begin(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    round: &mut Round,
    chosen: Chosen,
) -> anyhow::Result<Begun> {
    let around = Around { command: "backup", set: chosen.set.clone(), kind: args.kind.into() };
    if args.dry_run {
        return prepare(args, context, store, round, chosen, around);
    }
    let begun = match needless(args, context, store, round, &chosen) {
        Ok(Some(done)) => return Ok(Begun::Done(done)),
        Ok(None) => around.before(context).and_then(|()| prepare(args, context, store, round, chosen, around.clone())),
        Err(error) => Err(error),
    };
    match begun {
        Ok(Begun::Ready(ready)) => Ok(Begun::Ready(ready)),
        Ok(Begun::Done(done)) => end(&around, Ok(done), store.as_ref(), round, context).map(Begun::Done),
        Err(error) => end(&around, Err(error), store.as_ref(), round, context).map(Begun::Done),
    }
}

/// Runs the hook after the backup of a set.
fn end(
    around: &Around,
    backed_up: anyhow::Result<SetDone>,
    store: Option<&Repository>,
    round: &mut Round,
    context: &mut Context,
) -> anyhow::Result<SetDone> {
    let backed_up = match backed_up {
        Err(error) if round.went_away(&around.set, &error, context) => Ok(SetDone::without(
            Backup::SkippedMissing(SkippedMissing {
                outcome: Skip::SkippedMissing,
                set: around.set.clone(),
                databases: Vec::new(),
                lost: Vec::new(),
            }),
            Outcome::Done,
        )),
        other => other,
    };
    match &backed_up {
        Ok(done) => around.after(done.archive(store), done.outcome, context),
        Err(error) => around.failed(error, context),
    }
    backed_up
}

/// Returns that nothing is to be done, if that was asked for and is so.
fn needless(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    round: &mut Round,
    chosen: &Chosen,
) -> anyhow::Result<Option<SetDone>> {
    match recent_enough(args, context, store, round, chosen)? {
        None => unchanged(args, context, store, round, chosen),
        recent => Ok(recent),
    }
}

/// Returns that nothing is to be done, if a recent backup was asked for and exists.
fn recent_enough(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    round: &mut Round,
    chosen: &Chosen,
) -> anyhow::Result<Option<SetDone>> {
    if args.if_older_than.is_none() {
        return Ok(None);
    }
    let plan = planned(args, context, chosen.clone())?;
    if plan.sources.is_empty() {
        return Ok(None);
    }
    if !args.dry_run && store.is_none() {
        *store = Some(open(context)?);
    }
    let Some(young) = young_enough(args, &plan, round, store.as_ref(), context)? else { return Ok(None) };
    let lost = report_missing(&plan, round, context)?;
    let (name, age) = (young.name, text::age(young.created_at, context.now));
    let set = chosen.set.clone();
    let line = format!("nothing to do: {name} was made {age}");
    if round.is_member(&set, context) {
        context.ui.detail(line)
    } else {
        context.ui.summary(line)
    }
    round.recent(&set, context);
    context.records.push(Record { set: Some(set.to_string()), ..Record::default() });
    let recent = name.to_string();
    let skipped = SkippedRecent { outcome: Skip::SkippedRecent, set, recent, created_at: young.created_at };
    Ok(Some(SetDone::without(Backup::SkippedRecent(skipped), outcome_of(&plan, &lost))))
}

fn planned(args: &BackupArgs, context: &Context, chosen: Chosen) -> anyhow::Result<Plan> {
    let if_missing = if args.if_exists { IfMissing::Skip } else { IfMissing::Fail };
    Ok(backup::plan(chosen.sources, if_missing, request(args, context, chosen.set, chosen.absent)?)?)
}

fn outcome_of(plan: &Plan, lost: &[Name]) -> Outcome {
    let is_complete = lost.is_empty() && plan.empty.is_empty() && plan.unreadable.is_empty();
    if is_complete { Outcome::Done } else { Outcome::Problems }
}

/// Plans the backup of a set, and reports what is missing.
fn prepare(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    round: &mut Round,
    chosen: Chosen,
    around: Around,
) -> anyhow::Result<Begun> {
    if args.dry_run
        && let Some(done) = needless(args, context, store, round, &chosen)?
    {
        return Ok(Begun::Done(done));
    }
    let set = chosen.set.clone();
    let plan = planned(args, context, chosen)?;
    let lost = report_missing(&plan, round, context)?;
    let outcome = outcome_of(&plan, &lost);
    if plan.sources.is_empty() {
        let skipped = SkippedMissing { outcome: Skip::SkippedMissing, set, databases: Vec::new(), lost };
        return Ok(Begun::Done(SetDone::without(Backup::SkippedMissing(skipped), outcome)));
    }
    if args.dry_run {
        print_plan(&mut context.ui, &plan, &context.settings.store, &context.typed);
        let planned = Backup::Planned(reports::planned(&plan, &context.settings.store));
        return Ok(Begun::Done(SetDone::without(planned, outcome)));
    }
    if store.is_none() {
        *store = Some(open(context)?);
    }
    // Those beside configured databases were reported at the start.
    if !context.settings.sets.contains_key(&set) {
        super::interrupted::report_beside(context, plan.sources.iter().map(|source| source.path.as_path()), None);
    }
    Ok(Begun::Ready(Box::new(Ready { around, plan, lost, outcome })))
}

/// What became of a set that was captured.
pub(super) struct Captured {
    ended: anyhow::Result<Ended>,
    /// How long each stage took, and what it did.
    stages: Vec<(Duration, String)>,
}

impl Captured {
    /// Returns whether a signal ended it.
    pub(super) fn is_interrupted(&self) -> bool {
        self.ended.as_ref().is_err_and(is_interruption)
    }
}

/// Copies and packs a set, on any thread.
pub(super) fn capture(
    args: &BackupArgs,
    Ready { plan, .. }: &Ready,
    known: Option<&[Snapshot]>,
    store: &Repository,
    around: &Surroundings<'_>,
    progress: impl Progress,
) -> Captured {
    let progress = Stages::new(progress);
    let progress = if args.report_captured { progress.report_captured() } else { progress };
    let wait = args.busy_timeout;
    let ended = if args.if_changed {
        job::run_if_changed(plan, wait, known, store, around, &progress)
    } else {
        job::run(plan, wait, known, store, around, &progress).map(|done| Ended::Made(Box::new(done)))
    };
    Captured { ended, stages: progress.end(|stage, subject, bytes| stage_text(&plan.request, stage, subject, bytes)) }
}

/// Reports what became of a set, and runs the hook after it.
pub(super) fn finish(
    context: &mut Context,
    store: &Repository,
    round: &mut Round,
    ready: Ready,
    captured: Captured,
) -> anyhow::Result<SetDone> {
    let around = ready.around.clone();
    let finished = report_result(context, store, round, ready, captured);
    end(&around, finished, Some(store), round, context)
}

fn report_result(
    context: &mut Context,
    store: &Repository,
    round: &mut Round,
    Ready { plan, lost, outcome, .. }: Ready,
    Captured { ended, stages }: Captured,
) -> anyhow::Result<SetDone> {
    let set = plan.request.set.clone();
    let record = Record { kind: Some(plan.request.kind.to_string()), set: Some(set.to_string()), ..Record::default() };
    let done = match ended {
        Ok(Ended::Made(done)) => *done,
        Ok(Ended::Unchanged(seen)) => return Ok(not_changed(&plan, &seen, By::Copy, lost, round, context)),
        Err(error) => {
            context.records.push(record);
            return Err(error.context(format!("cannot back up \"{set}\"")));
        }
    };
    let packed = &done.made.packed;
    context.records.push(Record {
        archive: Some(packed.archive.as_str().to_owned()),
        bytes: Some(packed.bytes),
        outcome: Some(if packed.is_damaged() { Outcome::Problems } else { Outcome::Done }),
        ..record
    });
    report_made(context, store, &done.made, done.took, round.is_member(&set, context));
    round.made(&done.made, context);
    stages::lines(&stages).for_each(|line| context.ui.detail(line));
    let words = |remedy: &_| remedy::hint(remedy, &context.typed);
    let document = Box::new(reports::made(&done.made, store, done.took, lost, &words));
    round.denied = round.denied || report_denied(store, context);
    let outcome = if round.denied || done.has_problems() { Outcome::Problems } else { outcome };
    Ok(SetDone { document: Backup::Made(document), outcome, made: Some(done.made) })
}

/// Returns that nothing is to be done, if a look was requested and shows that no database changed.
fn unchanged(
    args: &BackupArgs,
    context: &mut Context,
    store: &mut Option<Repository>,
    round: &Round,
    chosen: &Chosen,
) -> anyhow::Result<Option<SetDone>> {
    if !args.if_changed {
        return Ok(None);
    }
    let plan = planned(args, context, chosen.clone())?;
    if plan.sources.is_empty() {
        return Ok(None);
    }
    if !args.dry_run && store.is_none() {
        *store = Some(open(context)?);
    }
    let look = |store: &Repository, renewal| {
        let (around, progress) = (context.surroundings(), context.ui.progress());
        job::unchanged(&plan, args.busy_timeout, renewal, (store, round.names()), &around, &progress)
    };
    let seen = match &*store {
        Some(store) => {
            look(store, Renewal::Renew).with_context(|| format!("cannot back up \"{}\"", plan.request.set))?
        }
        // A dry run: without a store there are no archives.
        None => match context.store() {
            Ok(store) => look(&store, Renewal::LookOnly)?,
            Err(StoreError::Unreachable { .. }) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let Some(seen) = seen else { return Ok(None) };
    let lost = report_missing(&plan, round, context)?;
    Ok(Some(not_changed(&plan, &seen, By::Look, lost, round, context)))
}

/// Reports that no database of a set changed, and what was left out.
fn not_changed(plan: &Plan, seen: &[Seen], by: By, lost: Vec<Name>, round: &Round, context: &mut Context) -> SetDone {
    let set = &plan.request.set;
    let has_problems = print_left_out(&context.ui, plan, &context.typed) || !lost.is_empty();
    let outcome = if has_problems { Outcome::Problems } else { Outcome::Done };
    let report = reports::not_changed(set, seen, by, lost).expect("a backup has at least one database");
    let age = text::age(report.created_at, context.now);
    let line = format!("nothing to do: {set} is unchanged since {}, made {age}", report.archive);
    if round.is_member(set, context) {
        context.ui.detail(line)
    } else {
        context.ui.summary(line)
    }
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
    round: &Round,
    store: Option<&Repository>,
    context: &Context,
) -> anyhow::Result<Option<Snapshot>> {
    let Some(age) = args.if_older_than else { return Ok(None) };
    let known = round.known(&plan.request.set);
    let young = |store: &Repository| {
        job::young_enough(plan, age, known, store, &context.surroundings(), &context.ui.progress())
    };
    match store.map_or_else(|| context.store().map(Cow::Owned), |store| Ok(Cow::Borrowed(store))) {
        Ok(store) => young(&store),
        // A dry run: without a store there are no archives.
        Err(StoreError::Unreachable { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reports missing databases and returns those that have archives: these were lost; this is not a first
/// deployment.
fn report_missing(plan: &Plan, round: &Round, context: &Context) -> anyhow::Result<Vec<Name>> {
    let lost = job::lost(
        plan,
        round.known(&plan.request.set),
        || context.store(),
        &context.surroundings(),
        &context.ui.progress(),
    )?;
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
fn report_denied(store: &Repository, context: &Context) -> bool {
    let denied = store.store().denied();
    if let Some(why) = &denied {
        let check = context.command_line(&["config", "check"]);
        context
            .ui
            .warning(format!("the mode or group of [store] could not be set on {why}; `{check}` shows what is needed"));
    }
    denied.is_some()
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
