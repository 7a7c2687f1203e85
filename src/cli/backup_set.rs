//! `heirloom backup` for one set, with the hooks around it.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Context as _;

use super::backup_args::BackupArgs;
use super::backup_request::request;
use super::backup_round::Round;
use super::backup_text::{print_left_out, print_plan, report as report_made, stage_text};
use super::hooks::Around;
use super::invocation::{COMPARE, REPORT_CAPTURED};
use super::record::Record;
use super::stages::{self, Stages};
use super::{Context, Outcome, remedy, text};
use crate::failure::is_interruption;
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::backup::{self, Compared, IfMissing, Made, Plan};
use crate::ops::jobs::backup::{self as job, Ended, Renewal};
use crate::ops::jobs::{Chosen, Surroundings};
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

/// What was decided about a set. Nothing is reported before its turn: while two sets are captured, others are decided.
pub(super) struct Begun {
    around: Around,
    decided: anyhow::Result<Box<Decided>>,
}

struct Decided {
    plan: Plan,
    /// The missing databases that have archives, each with its newest.
    lost: Vec<(Name, ArchiveName)>,
    to_do: ToDo,
    /// Whether [`Begun::announce`] was called.
    is_announced: bool,
}

enum ToDo {
    /// Copy and pack it.
    Capture,
    /// Print what would be done.
    Print,
    /// Nothing: none of its databases exists.
    Missing,
    /// Nothing: which archives hold the same was wanted.
    Compared(Vec<Compared>),
    /// Nothing: it has a recent archive.
    Recent(Box<Snapshot>),
    /// Nothing: a look shows that no database changed.
    Unchanged(Vec<Seen>),
}

impl Begun {
    pub(super) fn set(&self) -> &Name {
        &self.around.set
    }

    /// Returns the plan of a set that is to be captured.
    pub(super) fn to_capture(&self) -> Option<&Plan> {
        let decided = self.decided.as_ref().ok()?;
        matches!(decided.to_do, ToDo::Capture).then_some(&decided.plan)
    }

    /// Returns whether a signal ended it.
    pub(super) fn is_interrupted(&self) -> bool {
        self.decided.as_ref().is_err_and(is_interruption)
    }

    /// Reports what is known before the capture, once: missing databases, and interrupted restores.
    pub(super) fn announce(&mut self, context: &Context) {
        let Ok(decided) = &mut self.decided else { return };
        if std::mem::replace(&mut decided.is_announced, true) {
            return;
        }
        report_missing(&decided.plan, &decided.lost, context);
        // Those beside configured databases were reported at the start.
        if matches!(decided.to_do, ToDo::Capture) && !context.settings.sets.contains_key(&self.around.set) {
            let paths = decided.plan.sources.iter().map(|source| source.path.as_path());
            super::interrupted::report_beside(context, paths, None);
        }
    }
}

/// Decides about a set, and runs the hook before its backup. While hooks run, nothing is locked.
pub(super) fn begin(
    args: &BackupArgs,
    context: &Context,
    store: &mut Option<Repository>,
    round: &Round,
    chosen: Chosen,
) -> Begun {
    let around = Around { command: "backup", set: chosen.set.clone(), kind: args.kind.into() };
    if context.typed.has(COMPARE) {
        return Begun { around, decided: compare(args, context, store.as_ref(), round, chosen).map(Box::new) };
    }
    let decided = match needless(args, context, store, round, &chosen) {
        Ok(None) if args.dry_run => prepare(args, context, store, round, chosen),
        Ok(None) => around.before(context).and_then(|()| prepare(args, context, store, round, chosen)),
        Ok(Some(needless)) => Ok(needless),
        Err(error) => Err(error),
    };
    Begun { around, decided: decided.map(Box::new) }
}

/// Plans the backup of a set.
fn prepare(
    args: &BackupArgs,
    context: &Context,
    store: &mut Option<Repository>,
    round: &Round,
    chosen: Chosen,
) -> anyhow::Result<Decided> {
    let mut plan = planned(args, context, chosen)?;
    plan.is_at_start = context.typed.has(REPORT_CAPTURED);
    let to_do = match () {
        () if plan.sources.is_empty() => ToDo::Missing,
        () if args.dry_run => ToDo::Print,
        () => ToDo::Capture,
    };
    let decided = decided(plan, to_do, round, context)?;
    if matches!(decided.to_do, ToDo::Capture) {
        open_once(store, context)?;
    }
    Ok(decided)
}

fn decided(plan: Plan, to_do: ToDo, round: &Round, context: &Context) -> anyhow::Result<Decided> {
    let known = round.known(&plan.request.set);
    let lost = job::lost(&plan, known, || context.store(), &context.surroundings(), &context.ui.progress())?;
    Ok(Decided { plan, lost, to_do, is_announced: false })
}

fn planned(args: &BackupArgs, context: &Context, chosen: Chosen) -> anyhow::Result<Plan> {
    let if_missing = if args.if_exists { IfMissing::Skip } else { IfMissing::Fail };
    Ok(backup::plan(chosen.sources, if_missing, request(args, context, chosen.set, chosen.absent)?)?)
}

fn open_once(store: &mut Option<Repository>, context: &Context) -> anyhow::Result<()> {
    if store.is_none() {
        *store = Some(open(context)?);
    }
    Ok(())
}

/// Returns that nothing is to be done, if that was asked for and is so.
fn needless(
    args: &BackupArgs,
    context: &Context,
    store: &mut Option<Repository>,
    round: &Round,
    chosen: &Chosen,
) -> anyhow::Result<Option<Decided>> {
    if args.if_older_than.is_none() && !args.if_changed {
        return Ok(None);
    }
    let plan = planned(args, context, chosen.clone())?;
    if plan.sources.is_empty() {
        return Ok(None);
    }
    if !args.dry_run {
        open_once(store, context)?;
    }
    let to_do = match young_enough(args, &plan, round, store.as_ref(), context)? {
        Some(young) => Some(ToDo::Recent(Box::new(young))),
        None => unchanged(args, &plan, round, store.as_ref(), context)?.map(ToDo::Unchanged),
    };
    to_do.map(|to_do| decided(plan, to_do, round, context)).transpose()
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

/// Finds out which archives hold what the databases of a set hold.
fn compare(
    args: &BackupArgs,
    context: &Context,
    store: Option<&Repository>,
    round: &Round,
    chosen: Chosen,
) -> anyhow::Result<Decided> {
    let plan = planned(args, context, chosen)?;
    let set = &plan.request.set;
    let compared = match (store, &plan.sources[..]) {
        (Some(store), [_, ..]) => {
            let (around, progress) = (context.surroundings(), context.ui.progress());
            job::compare(&plan, args.busy_timeout, round.known(set), store, &around, &progress)
                .with_context(|| format!("cannot compare \"{set}\" with its archives"))?
        }
        _ => Vec::new(),
    };
    // Missing databases are no news to whoever compares.
    Ok(Decided { plan, lost: Vec::new(), to_do: ToDo::Compared(compared), is_announced: true })
}

/// Returns a record for each database if a look was requested and shows that none changed.
fn unchanged(
    args: &BackupArgs,
    plan: &Plan,
    round: &Round,
    store: Option<&Repository>,
    context: &Context,
) -> anyhow::Result<Option<Vec<Seen>>> {
    if !args.if_changed {
        return Ok(None);
    }
    let look = |store: &Repository, renewal| {
        let (around, progress) = (context.surroundings(), context.ui.progress());
        job::unchanged(plan, args.busy_timeout, renewal, (store, round.names()), &around, &progress)
    };
    match store {
        Some(store) => look(store, Renewal::Renew).with_context(|| format!("cannot back up \"{}\"", plan.request.set)),
        // A dry run: without a store there are no archives.
        None => match context.store() {
            Ok(store) => look(&store, Renewal::LookOnly),
            Err(StoreError::Unreachable { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
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
    plan: &Plan,
    known: Option<&[Snapshot]>,
    store: &Repository,
    around: &Surroundings<'_>,
    progress: impl Progress,
) -> Captured {
    let progress = Stages::new(progress);
    let progress = if plan.is_at_start { progress.report_captured() } else { progress };
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
    args: &BackupArgs,
    context: &mut Context,
    store: Option<&Repository>,
    round: &mut Round,
    mut begun: Begun,
    captured: Option<Captured>,
) -> anyhow::Result<SetDone> {
    begun.announce(context);
    let Begun { around, decided } = begun;
    let decided = decided.map(|decided| *decided);
    let has_hooks = !args.makes_nothing(&context.typed)
        && !decided.as_ref().is_ok_and(|decided| matches!(decided.to_do, ToDo::Recent(_) | ToDo::Unchanged(_)));
    let finished = decided.and_then(|decided| report_result(context, store, round, decided, captured));
    if has_hooks { end(&around, finished, store, round, context) } else { finished }
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
        Err(error) if round.went_away(&around.set, &error, context) => {
            Ok(SetDone::without(missing(around.set.clone(), Vec::new()), Outcome::Done))
        }
        other => other,
    };
    match &backed_up {
        Ok(done) => around.after(done.archive(store), done.outcome, context),
        Err(error) => around.failed(error, context),
    }
    backed_up
}

fn report_result(
    context: &mut Context,
    store: Option<&Repository>,
    round: &mut Round,
    Decided { plan, lost, to_do, .. }: Decided,
    captured: Option<Captured>,
) -> anyhow::Result<SetDone> {
    let lost: Vec<Name> = lost.into_iter().map(|(name, _)| name).collect();
    let is_complete = lost.is_empty() && plan.empty.is_empty() && plan.unreadable.is_empty();
    let outcome = if is_complete { Outcome::Done } else { Outcome::Problems };
    let document = match to_do {
        ToDo::Capture => {
            let (store, captured) = store.zip(captured).expect("what is to be captured was captured, in a store");
            return report_captured(context, store, round, (plan, lost, outcome), captured);
        }
        ToDo::Print => {
            print_plan(&mut context.ui, &plan, &context.settings.store, &context.typed);
            Backup::Planned(reports::planned(&plan, &context.settings.store))
        }
        ToDo::Missing => missing(plan.request.set, lost),
        ToDo::Compared(compared) => {
            let document = Backup::Compared(reports::compared(plan.request.set, compared));
            return Ok(SetDone::without(document, Outcome::Done));
        }
        ToDo::Recent(young) => report_recent(&plan.request.set, &young, round, context),
        ToDo::Unchanged(seen) => return Ok(not_changed(&plan, &seen, By::Look, lost, round, context)),
    };
    Ok(SetDone::without(document, outcome))
}

fn missing(set: Name, lost: Vec<Name>) -> Backup {
    Backup::SkippedMissing(SkippedMissing { outcome: Skip::SkippedMissing, set, databases: Vec::new(), lost })
}

/// Reports that a set has a recent archive.
fn report_recent(set: &Name, young: &Snapshot, round: &mut Round, context: &mut Context) -> Backup {
    let line = format!("nothing to do: {} was made {}", young.name, text::age(young.created_at, context.now));
    if round.is_member(set, context) {
        context.ui.detail(line)
    } else {
        context.ui.summary(line)
    }
    round.recent(set, context);
    context.records.push(Record { set: Some(set.to_string()), ..Record::default() });
    let (recent, created_at) = (young.name.to_string(), young.created_at);
    Backup::SkippedRecent(SkippedRecent { outcome: Skip::SkippedRecent, set: set.clone(), recent, created_at })
}

fn report_captured(
    context: &mut Context,
    store: &Repository,
    round: &mut Round,
    (plan, lost, outcome): (Plan, Vec<Name>, Outcome),
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

/// Reports missing databases. Those that have archives were lost; this is not a first deployment.
fn report_missing(plan: &Plan, lost: &[(Name, ArchiveName)], context: &Context) {
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
