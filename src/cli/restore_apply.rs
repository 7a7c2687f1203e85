//! What a restore and an undo share after planning: print the plan, ask, execute, report.

use super::bar::Overall;
use super::check_arg::CheckArg;
use super::record::Record;
use super::restore_args::RestoreArgs;
use super::restore_select::LeftOut;
use super::restore_text;
use super::{Context, Outcome, bar};
use super::{give_way, hooks};
use crate::config::Origin;
use crate::database::{TargetState, Timeouts};
use crate::failure::Failure;
use crate::names::{Name, printable};
use crate::ops::Repository;
use crate::ops::jobs::restore::{Naming, hold, makes_safety_backup, safety_store, set_of_targets};
use crate::ops::pending::Upkeep;
use crate::ops::resolve::{Place, Selected};
use crate::ops::restore::{self, Options, RestoreError, Safety, Where};
use crate::store_url::Location;

/// A restore that is ready to be shown and carried out.
pub(super) struct Job<'a> {
    pub(super) selected: &'a Selected,
    pub(super) plan: restore::Plan,
    /// The archive as the user knows it.
    pub(super) shown: String,
    /// The set under which the safety backup is kept; that of the targets or the archive where none is given.
    pub(super) set: Option<Name>,
    pub(super) allow_damaged: bool,
    /// The id of the interrupted restore that is undone.
    pub(super) takes_back: Option<String>,
    /// What is undone, as a sentence.
    pub(super) title: Option<String>,
    /// What was requested and is not restored.
    pub(super) left_out: LeftOut,
}

impl<'a> Job<'a> {
    /// Makes a plain restore of a sound archive.
    pub(super) fn new(selected: &'a Selected, plan: restore::Plan, shown: String) -> Self {
        let left_out = LeftOut::default();
        Self { selected, plan, shown, set: None, allow_damaged: false, takes_back: None, title: None, left_out }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// Shown, or done.
    Through(Outcome),
    /// Nothing had to be changed.
    AlreadyThere,
}

/// Shows the plan, asks, restores, and reports.
pub(super) fn carry_out(args: &RestoreArgs, context: &mut Context, job: Job<'_>) -> anyhow::Result<Carried> {
    let Job { selected, plan, shown, set, allow_damaged, takes_back, title, left_out } = job;
    // Only used to inspect a small database; nothing is moved from there to a target.
    let scratch = std::env::temp_dir();
    let plan = restore::compare_schemas(&selected.archive, plan, &scratch, context.threads(), &context.ui.progress());
    super::interrupted::report_beside(
        context,
        plan.targets().map(|target| target.path.as_path()),
        takes_back.as_deref(),
    );
    restore_text::plan(context, &selected.snapshot, &shown, &plan, args.dry_run, title.as_deref());
    if args.dry_run {
        return Ok(Carried::Through(left_out.outcome()));
    }
    context.ui.untouched(Some(restore_text::untouched(&plan)));
    if plan.replaces() && !args.force {
        confirm(args, context, &plan)?;
    }
    let interrupted = takes_back.is_some();
    let set = set.unwrap_or_else(|| set_of_targets(&plan, &selected.snapshot.set, &context.surroundings()));
    let _announced = plan.replaces().then(|| give_way::announce(&set, context));
    let workspace = workspace(args, context, &selected.place, &plan)?;
    let safety = workspace.as_ref().filter(|_| makes_safety_backup(&plan, args.wish()));
    let options = Options {
        archive: shown.clone(),
        set: set.clone(),
        check: CheckArg::policy(args.check),
        allow_damaged,
        rebuild_indexes: args.rebuild_indexes,
        safety: safety.map_or(Safety::Without, Safety::Into),
        workspace: workspace.as_ref(),
        takes_back,
        upkeep: upkeep(context, args),
        limits: Timeouts { busy: args.busy_timeout, ..Timeouts::default() },
        temporary: context.temporary.clone(),
        threads: context.threads(),
        host: context.host_names(),
        clock: context.clock.clone(),
    };
    let hold = hold(selected, workspace.as_ref());
    let stages = if safety.is_some() { bar::REPLACE } else { bar::RESTORE };
    let report =
        restore::execute(&selected.archive, &plan, &options, &context.ui.progress_in(Overall::Stages(stages)))?;
    // Signals cancel it only before anything is replaced.
    context.ui.untouched(None);
    context.records.push(Record {
        kind: Some(selected.snapshot.kind.to_string()),
        set: Some(set.to_string()),
        archive: Some(shown.clone()),
        ..Record::default()
    });
    if report.already_there && interrupted {
        // An undo of an interrupted restore continues.
        return Ok(Carried::AlreadyThere);
    }
    if report.already_there {
        restore_text::already_there(context, &selected.snapshot, &shown, &plan, &report);
        return Ok(Carried::AlreadyThere);
    }
    let undo = report.safety.as_ref().and(safety).map(|store| undo_command(args, context, store));
    let around = restore_text::Around { undo: undo.as_deref(), title: title.as_deref(), left_out: &left_out };
    restore_text::report(context, &selected.snapshot, &shown, &plan, &report, &around);
    let outcome = if let (Some(why), Some(safety)) = (&report.pending, &report.safety) {
        super::pending::warn(context, &[safety.as_str()], why);
        Outcome::Problems
    } else if plan.is_damaged() {
        Outcome::Problems
    } else {
        left_out.outcome()
    };
    // The hook may remove archives.
    drop(hold);
    hooks::after_restore("restore", &set, &shown, outcome, context);
    Ok(Carried::Through(outcome))
}

/// Returns how many older safety backups are kept.
pub(super) fn upkeep(context: &Context, args: &RestoreArgs) -> Upkeep {
    Upkeep {
        last: context.settings.retention.safety,
        reading: context.reading_in(args.time_zone),
        ahead: context.ahead,
    }
}

/// Asks at a terminal; elsewhere `--force` is required.
fn confirm(args: &RestoreArgs, context: &Context, plan: &restore::Plan) -> anyhow::Result<()> {
    let exists = |state: &TargetState| !matches!(state, TargetState::Missing { .. } | TargetState::Empty);
    let replaced: Vec<&crate::database::Target> = plan.targets().filter(|target| exists(&target.state)).collect();
    if !context.ui.can_ask() {
        let path = replaced.first().map(|target| target.given.clone()).unwrap_or_default();
        return Err(RestoreError::NotConfirmed { path }.into());
    }
    let names: Vec<String> =
        replaced.iter().map(|target| printable(&target.given.to_string_lossy()).into_owned()).collect();
    let safety = if makes_safety_backup(plan, args.wish()) {
        " A safety backup is taken first."
    } else {
        " This cannot be undone."
    };
    if context.ui.confirm(&format!("Replace {}?{safety}", names.join(", ")))? {
        return Ok(());
    }
    Err(Failure::usage("not confirmed, nothing was changed", "answer y to restore").into())
}

/// Opens the store whose workspace receives the safety backup and the record.
fn workspace(
    args: &RestoreArgs,
    context: &Context,
    place: &Place,
    plan: &restore::Plan,
) -> anyhow::Result<Option<Repository>> {
    let is_named = *context.configuration.effective.store_origin() != Origin::Default;
    let naming = if is_named { Naming::Named } else { Naming::Usual };
    let (open, create) = (|at: &Location| context.open_store(at), |at: &Location| context.create_store(at));
    safety_store(plan, args.wish(), place, naming, &context.surroundings(), open, create)
}

/// Returns the command that undoes this restore.
fn undo_command(args: &RestoreArgs, context: &Context, store: &Repository) -> String {
    let mut words: Vec<String> = ["restore", "--undo"].map(String::from).to_vec();
    words.extend(args.set.iter().flat_map(|set| ["--set".to_owned(), set.to_string()]));
    // Without these, an undo uses the configured targets.
    if !context.settings.sets.is_empty() || context.settings.default_database.is_some() {
        match args.place() {
            Where::File(path) => words.extend(["--to".to_owned(), path.to_string_lossy().into_owned()]),
            Where::Folder(path) => words.extend(["--to-dir".to_owned(), path.to_string_lossy().into_owned()]),
            Where::Original => words.push("--to-original".to_owned()),
            Where::Known => {}
        }
    }
    if !store.is_at(&context.settings.store) {
        let address = if store.store().folder().is_some() { store.location() } else { store.address() };
        words.extend(["--dir".to_owned(), address]);
    }
    context.command_line(&words)
}
