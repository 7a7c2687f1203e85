//! `heirloom status`, which a bare `heirloom` at a terminal prints in short.

use super::schedule::rule;
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, Outcome, notices, run_unrestored, text};
use crate::config::{Key, Origin};
use crate::database::Source;
use crate::failure::{Failure, Remedy};
use crate::names::{Name, printable};
use crate::ops::Repository;
use crate::ops::jobs::Selection;
use crate::ops::status::{FurtherStore, Request, recorded_sets, status};
use crate::report::status::{CopyStatus, LastBackup, SetStatus, State, Status};
use crate::schedule::{Job, Schedule};
use crate::store::StoreError;
use crate::workspace::Workspace;

/// Show when each set was backed up, and whether it needs to be
///
/// Reads files of this host only and no database, so it takes milliseconds and never fails because a store is away. Of
/// a remote store and of copies it shows what this host recorded; `--check-stores` asks them.
///
/// `unchanged` means that the files of the database are as they were when the last backup was made. `unknown` means
/// that only a backup can tell: it was written seconds before, or nothing was recorded.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom status
  heirloom status shop --json | jq '.sets[0].backup_needed'

`heirloom` alone, at a terminal, prints this in short.

Exit codes: 0 done, whatever the state is; see `heirloom health` for checks with exit codes")]
pub struct StatusArgs {
    /// Only this set
    #[arg(value_name = "SET")]
    set: Option<Name>,
    /// Ask the store and its copies, instead of showing what this host recorded
    #[arg(long)]
    check_stores: bool,
    /// Whether one line for each set and the next step are enough.
    #[arg(skip)]
    pub(super) brief: bool,
}

pub(super) fn run(args: &StatusArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let is_remote = context.settings.store.folder().is_none();
    let open = || {
        let store = context.store()?;
        // To open a remote store is no request.
        if args.check_stores {
            store.store().list()?;
        }
        Ok(store)
    };
    let (store, store_error) = match (!is_remote || args.check_stores).then(open) {
        None => (None, None),
        Some(Ok(store)) => (Some(store), None),
        // A store is made by its first backup.
        Some(Err(error)) if is_new(&error, context) => (None, None),
        Some(Err(error)) => (None, Some(format!("{:#}", anyhow::Error::from(error)))),
    };
    let location = context.settings.store.clone();
    let recorded = context.stores.recorded(&location);
    let workspace = store.as_ref().map(Repository::workspace).or(recorded.as_ref());
    let reading = context.reading();
    let supervisor = recorded.as_ref().or(workspace).and_then(Workspace::run_holder);
    let request = Request {
        sets: sets(args, workspace, context)?,
        workspace,
        store: store.as_ref(),
        store_error,
        location: location.to_string(),
        remembered: context.stores.remembered(&location),
        copies: copies(args, workspace, context),
        host: &context.host.label,
        reading: &reading,
        now: context.clock.now(),
        schedule: in_force(supervisor.is_some(), context),
        supervisor,
        undelivered_notices: undelivered(context),
    };
    let found = status(&request, &context.ui.progress())?;
    run_unrestored::warn(found.sets.iter().map(|set| &set.set), context);
    if context.ui.is_json() {
        context.ui.document(&found);
    } else if args.brief {
        brief(&found, context);
    } else {
        print(&found, context);
    }
    Ok(Outcome::Done)
}

/// Returns whether a store is missing because nothing was ever put there.
fn is_new(error: &StoreError, context: &Context) -> bool {
    let is_missing =
        matches!(error, StoreError::Unreachable { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound);
    is_missing && context.stores.remembered(&context.settings.store).is_empty()
}

/// Returns the sets to show: the configured ones, else those that were backed up before.
fn sets(
    args: &StatusArgs,
    workspace: Option<&Workspace>,
    context: &Context,
) -> anyhow::Result<Vec<(Name, Vec<Source>)>> {
    let settings = &context.settings;
    let all = if Selection::default().is_open(settings) {
        if let Some(refused) = context.configuration.refused_database() {
            return Err(refused.into());
        }
        workspace.map(|workspace| recorded_sets(workspace, |label| context.host.owns(label))).unwrap_or_default()
    } else {
        Selection::default().choose(settings)?.into_iter().map(|chosen| (chosen.set, chosen.sources)).collect()
    };
    let Some(wanted) = &args.set else { return Ok(all) };
    let known = all.iter().map(|(set, _)| set.to_string()).collect();
    match all.into_iter().find(|(set, _)| set == wanted) {
        Some(found) => Ok(vec![found]),
        None => Err(Failure::usage(format!("no set \"{wanted}\" is known"), Remedy::ChooseFrom(known)).into()),
    }
}

/// Returns how many notices wait to be sent.
fn undelivered(context: &Context) -> Option<u64> {
    if context.settings.receivers.is_empty() {
        return None;
    }
    notices::open(context).and_then(|ledger| Ok(ledger.undelivered()?)).ok()
}

/// Returns the schedule if something follows it: a run, or whatever it was configured for.
fn in_force(is_running: bool, context: &Context) -> Option<(String, Schedule)> {
    let effective = &context.configuration.effective;
    let is_configured = [Key::Every, Key::Cron].iter().any(|key| *effective.origin(*key) != Origin::Default);
    let schedule = context.settings.schedule.of_host(&context.host.label, context.settings.time_zone);
    let follows = schedule.backup.is_some() && (is_running || is_configured);
    follows.then(|| (rule(Job::Backup, &schedule), schedule))
}

fn copies(args: &StatusArgs, workspace: Option<&Workspace>, context: &Context) -> Vec<FurtherStore> {
    let further = |copy: &crate::config::CopySettings| {
        let location = copy.location.to_string();
        let list = || context.open_store(&copy.location).and_then(|store| store.store().list());
        FurtherStore {
            name: copy.name.clone(),
            record: workspace.and_then(|workspace| workspace.copy_record(&copy.name, &location)),
            location,
            asked: args.check_stores.then(|| list().map_err(|error| format!("{:#}", anyhow::Error::from(error)))),
        }
    };
    context.settings.copies.iter().map(further).collect()
}

/// Prints a line for each set, and what to do next.
fn brief(found: &Status, context: &mut Context) {
    warn_of_store(found, context);
    let widest = found.sets.iter().map(|set| set.set.as_str().len()).max().unwrap_or(0);
    for set in &found.sets {
        let front = format!("{:widest$}  ", set.set.as_str());
        let line = [Some(summary(set, context)), lacking(set)].into_iter().flatten().collect::<Vec<_>>().join(" · ");
        context.ui.column(&front, &line);
    }
    let next = next_step(found, context);
    context.ui.result(next);
}

fn summary(set: &SetStatus, context: &Context) -> String {
    let tone = if set.backup_needed { Tone::Warning } else { Tone::Good };
    let state = context.ui.paint(tone, &set.why);
    match (&set.last_backup, set.last_confirmed) {
        (Some(last), _) => format!("backed up {} · {state}", text::age(last.created_at, context.now)),
        (None, _) => state,
    }
}

/// Names the further stores that lack the last backup.
fn lacking(set: &SetStatus) -> Option<String> {
    let names: Vec<&str> =
        set.copies.iter().filter(|copy| copy.has_last_backup == Some(false)).map(|copy| copy.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("not in {}", names.join(", ")))
}

fn next_step(found: &Status, context: &Context) -> String {
    let command = |words: &[&str]| format!("`{}`", context.command_line(words));
    let lost = found
        .sets
        .iter()
        .flat_map(|set| &set.databases)
        .any(|database| database.state == State::Missing && database.archive.is_some());
    let help = command(&["--help"]);
    if found.sets.is_empty() {
        let (backup, init) = (command(&["backup", "FILE"]), command(&["config", "init"]));
        format!(
            "No database is known. Back up a file with {backup}, or write a configuration with {init}. Help: {help}"
        )
    } else if lost {
        format!("Next: restore the missing database with {}. Help: {help}", command(&["restore", "latest"]))
    } else if found.sets.iter().any(|set| set.backup_needed) {
        let mut words = vec!["backup", "--if-changed"];
        // Without a configuration a backup needs the file.
        let path = found.sets.iter().find(|set| set.backup_needed).and_then(|set| set.databases.first());
        if Selection::default().is_open(&context.settings) {
            words.extend(path.map(|database| database.path.as_str()));
        }
        format!("Next: {}. Help: {help}", command(&words))
    } else if found.sets.iter().any(|set| lacking(set).is_some()) {
        format!("Next: {}. Help: {help}", command(&["copy"]))
    } else {
        format!("Nothing to do. Details: {}. Help: {help}", command(&["status"]))
    }
}

fn warn_of_store(found: &Status, context: &Context) {
    if let Some(why) = &found.store_error {
        context.ui.warning(format!("the store cannot be read, this is what was recorded: {}", printable(why)));
    }
}

fn print(found: &Status, context: &mut Context) {
    warn_of_store(found, context);
    if found.sets.is_empty() {
        let next = next_step(found, context);
        return context.ui.result(next);
    }
    for (index, set) in found.sets.iter().enumerate() {
        if index > 0 {
            context.ui.result("");
        }
        print_set(set, context);
    }
    if let Some(count) = found.undelivered_notices.filter(|count| *count > 0) {
        context.ui.result("");
        let next = context.command_line(&["log", "--notices"]);
        context.ui.fact("notices", &format!("{} not delivered: {next}", text::count(count, "notice")), false);
    }
    if let Some(supervisor) = &found.supervisor {
        context.ui.result("");
        context.ui.fact("running", &format!("heirloom run, {}", printable(supervisor)), false);
    }
}

fn print_set(set: &SetStatus, context: &mut Context) {
    let now = context.now;
    let heading = context.ui.paint(Tone::Strong, &format!("set {}", set.set));
    context.ui.result(heading);
    let last = set.last_backup.as_ref().map_or_else(|| "none".to_owned(), |last| backup_line(last, now));
    context.ui.fact("last backup", &last, false);
    let confirmed = set.last_confirmed.filter(|at| set.last_backup.as_ref().is_some_and(|last| *at > last.created_at));
    if let Some(at) = confirmed {
        context.ui.fact("confirmed", &format!("{}: nothing had changed", text::age(at, now)), false);
    }
    if let Some(at) = set.last_change {
        context.ui.fact("last change", &text::age(at, now), false);
    }
    let needed = format!("{}: {}", if set.backup_needed { "yes" } else { "no" }, set.why);
    context.ui.fact("backup needed", &needed, false);
    if let Some(schedule) = &set.schedule {
        let due = set.next_due.map(|at| format!(", next due {}", at.format("%Y-%m-%dT%H:%M:%SZ"))).unwrap_or_default();
        context.ui.fact("schedule", &format!("{schedule}{due}"), false);
    }
    for copy in &set.copies {
        context.ui.fact(&format!("copy {}", copy.name), &copy_line(copy, now), false);
    }
    let mut table = Table::new(&[
        Column::new("DATABASE"),
        Column::new("SIZE").right().drop(3),
        Column::new("WRITTEN").right().drop(2),
        Column::new("STATE"),
        Column::new("PATH").wrap(),
    ]);
    for database in &set.databases {
        table.row([
            database.name.to_string(),
            database.bytes.map_or_else(|| "-".into(), text::bytes),
            database.last_change.map_or_else(|| "-".into(), |at| text::short_age(at, now)),
            database.state.word().to_owned(),
            printable(&database.path).into_owned(),
        ]);
    }
    context.ui.table(&table);
}

fn backup_line(last: &LastBackup, now: chrono::DateTime<chrono::Utc>) -> String {
    let size = last.bytes.map(|bytes| format!(", {}", text::bytes(bytes))).unwrap_or_default();
    let gone = if last.in_store == Some(false) { ", gone or damaged" } else { "" };
    format!("{}{size}{gone}: {}", text::age(last.created_at, now), printable(&last.path))
}

fn copy_line(copy: &CopyStatus, now: chrono::DateTime<chrono::Utc>) -> String {
    let state = match copy.has_last_backup {
        Some(true) => "has the last backup",
        Some(false) => "lacks the last backup",
        None => "not known",
    };
    let listed = copy.listed_at.map(|at| format!(", listed {}", text::age(at, now))).unwrap_or_default();
    let error = copy.error.as_ref().map(|error| format!("; {}", printable(error))).unwrap_or_default();
    format!("{state}{listed}{error}")
}
