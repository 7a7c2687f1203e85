//! What `heirloom restore` prints: the plan, and the result.

use super::restore_select::LeftOut;
use super::ui::Tone;
use super::{Context, Outcome, restore_tables, text};
use crate::database::{self, Depth, Holders, TargetState};
use crate::metadata::{Integrity, Kind};
use crate::names::printable;
use crate::ops::reports::{self, schema_after};
use crate::ops::restore::{Method, Plan, ProvedBy, Report, Step, shell_word};
use crate::report::restore::{Outcome as Skip, Restored, Skipped};
use crate::schema_diff::Difference;
use crate::snapshot::Snapshot;
use crate::text::quoted;

/// Maximum number of processes to name.
const NAMED: usize = 5;

/// Prints the plan: as the result of a dry run, else before the prompt.
pub(super) fn plan(
    context: &mut Context,
    snapshot: &Snapshot,
    shown: &str,
    plan: &Plan,
    dry_run: bool,
    title: Option<&str>,
) {
    if context.ui.is_json() {
        if dry_run {
            context.ui.document(&reports::plan(snapshot, shown, plan, title));
        }
        return;
    }
    let mut lines: Vec<String> = title.into_iter().map(str::to_owned).collect();
    lines.push(from(context, snapshot, shown));
    if snapshot.damaged {
        lines.push(format!("  {}: the archive is marked as damaged", context.ui.paint_stderr(Tone::Bad, "damaged")));
    }
    for step in &plan.steps {
        lines.extend(step_lines(context, step));
    }
    for removal in &plan.removals {
        lines.push(format!(
            "  {}: {} did not exist before and is moved aside",
            removal.name,
            quoted(&removal.target.path)
        ));
        lines.extend(holders_line(&removal.holders, "stop it first"));
    }
    lines.extend(plan.skipped.iter().map(|(name, path)| format!("  {name}: {} exists and is kept", quoted(path))));
    if dry_run {
        lines.push("dry run, nothing was changed".into());
        lines.iter().for_each(|line| context.ui.result(line));
    } else if context.ui.can_ask() {
        lines.iter().for_each(|line| context.ui.note(line));
    } else {
        lines.iter().for_each(|line| context.ui.detail(line));
        // Also with `--force`, without a prompt.
        plan.steps
            .iter()
            .filter_map(|step| in_use(&step.target.given, &step.holders))
            .for_each(|line| context.ui.note(line));
    }
}

fn from(context: &Context, snapshot: &Snapshot, shown: &str) -> String {
    let kind = if snapshot.kind == Kind::Safety { ", made before an earlier restore" } else { "" };
    let (age, at) = (text::age(snapshot.created_at, context.now), snapshot.created_at.format("%Y-%m-%dT%H:%M:%SZ"));
    format!("from {}: snapshot taken {age} ({at}){kind}", printable(shown))
}

fn step_lines(context: &Context, step: &Step) -> Vec<String> {
    let target = quoted(&step.target.given);
    let name = &step.held.name;
    let size = step.held.bytes.map_or_else(|| "size unknown".into(), text::bytes);
    let mut lines = vec![format!("  {name} to {target}: {size}, {}", text::rows(step.rows_after()))];
    if let Some(damage) = &step.damage {
        lines.push(format!(
            "    {}: {} ({})",
            context.ui.paint_stderr(Tone::Bad, "damaged"),
            damage.lost(),
            damage.why
        ));
    }
    let modified =
        step.target.modified.map(|time| format!(", written {}", text::age(time, context.now))).unwrap_or_default();
    let bytes = text::bytes(step.target.bytes);
    match &step.target.state {
        TargetState::Missing { leftovers } if leftovers.is_empty() => lines.push("    a new file".into()),
        TargetState::Missing { .. } => {
            lines.push("    a new file; leftovers of an older database are moved aside".into())
        }
        TargetState::Empty => lines.push("    fills an empty file".into()),
        TargetState::Database(facts) => {
            let rows = text::rows(facts.rows);
            let how = if matches!(step.method, Method::Offline(_)) { " (the file itself, offline)" } else { "" };
            lines.push(format!(
                "    {}{how}: {bytes}, {rows}{modified}",
                context.ui.paint_stderr(Tone::Bad, "replaces")
            ));
        }
        TargetState::Unusable { why } => {
            lines.push(format!(
                "    moves aside a file that is not a usable database ({}): {bytes}{modified}",
                printable(why)
            ));
        }
    }
    lines.extend(table_lines(context, step));
    lines.extend(schema_line(step.schema.as_ref()));
    if step.target.given != step.target.path
        && std::path::absolute(&step.target.given).is_ok_and(|given| given != step.target.path)
    {
        lines.push(format!("    the file is {}", quoted(&step.target.path)));
    }
    lines.extend(holders(step));
    lines
}

/// Returns the row changes of each table, if a database is replaced and the archive records its tables.
fn table_lines(context: &Context, step: &Step) -> Vec<String> {
    let (TargetState::Database(facts), Some(after)) = (&step.target.state, &step.held.tables) else {
        return Vec::new();
    };
    let Some(changes) = restore_tables::changes(after, facts) else {
        return vec!["    tables not compared: their rows could not be counted, or not in time".into()];
    };
    let table = changes.table(context.ui.wants_details());
    let mut lines = context.ui.indented(&table, 6);
    lines.push(format!("    {}", changes.summary()));
    lines
}

fn holders(step: &Step) -> Option<String> {
    let then = if step.method == Method::Inside { "it sees the new content at its next read" } else { "stop it first" };
    holders_line(&step.holders, then)
}

fn holders_line(holders: &Holders, then: &str) -> Option<String> {
    processes(holders).map(|processes| format!("    in use by {processes}; {then}"))
}

/// Names the processes that have a file open; `None` if there are none.
fn in_use(path: &std::path::Path, holders: &Holders) -> Option<String> {
    processes(holders).map(|processes| format!("{} is in use by {processes}", quoted(path)))
}

/// Describes the schema changes; `None` if there are none.
fn schema_line(difference: Option<&Difference>) -> Option<String> {
    let difference = difference?;
    let unknown = if difference.columns_compared { "" } else { "columns not compared, since the database is large" };
    let known = difference.line();
    let line = [known.as_str(), unknown].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    (!line.is_empty()).then(|| format!("    schema: {line}"))
}

fn processes(holders: &Holders) -> Option<String> {
    let named: Vec<String> =
        holders.processes.iter().take(NAMED).map(|holder| format!("{} ({})", holder.name, holder.pid)).collect();
    let others = holders.processes.len().saturating_sub(NAMED);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("{}{others}", named.join(", ")))
}

/// Returns the state of the targets until they are replaced, as a clause: `app.db is unchanged`.
pub(super) fn untouched(plan: &Plan) -> String {
    let exists = |target: &&database::Target| !matches!(target.state, TargetState::Missing { .. });
    let there: Vec<String> =
        plan.targets().filter(exists).map(|target| printable(&target.given.to_string_lossy()).into_owned()).collect();
    match there.as_slice() {
        [] => "nothing was restored".into(),
        [one] => format!("{one} is unchanged"),
        several => format!("{} are unchanged", several.join(", ")),
    }
}

/// What is printed around the list of databases.
pub(super) struct Around<'a> {
    /// The command that undoes it.
    pub(super) undo: Option<&'a str>,
    /// What was undone.
    pub(super) title: Option<&'a str>,
    /// What was requested and is not restored.
    pub(super) left_out: &'a LeftOut,
}

/// Shows what was done.
pub(super) fn report(
    context: &mut Context,
    snapshot: &Snapshot,
    shown: &str,
    plan: &Plan,
    report: &Report,
    around: &Around<'_>,
) {
    let Around { undo, title, left_out } = *around;
    for warning in &report.warnings {
        context.ui.warning(warning);
    }
    if context.ui.is_json() {
        context.ui.document(&Restored {
            no_backup_yet: left_out.none_yet.clone(),
            not_restored: left_out.out_of_reach.clone(),
            undo_of: title.map(str::to_owned),
            undo: undo.map(str::to_owned),
            ..reports::restored(snapshot, shown, plan, report)
        });
        return;
    }
    let done = context.ui.paint(Tone::Good, "restored");
    let line = from(context, snapshot, shown);
    // At a terminal the plan has shown it.
    if let Some(title) = title.filter(|_| !context.ui.can_ask()) {
        context.ui.line(title);
    }
    context.ui.line(format!("{done} {line}"));
    for (done, step) in report.databases.iter().zip(&plan.steps) {
        let mut words = vec![match (step.rows_before(), done.rows) {
            (Some(before), Some(after)) if before != after => format!("rows {}", text::change(before, after)),
            (_, None) => format!("{}, rows unknown", text::bytes(done.bytes)),
            (_, known) => text::rows(known),
        }];
        words.push(proof(done.proof).into());
        if let Some((before, after)) = done.journal_modes.filter(|(before, after)| before != after) {
            words.push(format!("the journal mode is now {after}, it was {before}"));
        }
        context.ui.line(format!("  {} to {}: {}", done.name, quoted(&done.target), words.join(", ")));
        schema_line(schema_after(step).as_ref()).into_iter().for_each(|line| context.ui.line(line));
        if let Some(aside) = &done.aside {
            context.ui.line(format!("    previous contents are in {}", quoted(aside)));
        }
    }
    for (name, path, aside) in &report.removed {
        context.ui.line(format!(
            "  {name}: {} did not exist before and was moved into {}",
            quoted(path),
            quoted(aside)
        ));
    }
    for (name, path) in &plan.skipped {
        context.ui.line(format!("  {name}: {} exists and was kept", quoted(path)));
    }
    for (done, _) in report.databases.iter().zip(&plan.steps).filter(|(_, step)| step.damage.is_some()) {
        let command = format!("sqlite3 {} .recover", shell_word(&done.target.to_string_lossy()));
        context
            .ui
            .note(format!("{} is damaged; to recover what is left, run: {command} > {}.sql", done.name, done.name));
    }
    for done in &report.databases {
        let holders = still_in_use(&done.target);
        let restart =
            in_use(&done.target, &holders).map(|line| format!("{line}: restart it: it may still use cached contents"));
        restart.into_iter().for_each(|line| context.ui.note(line));
    }
    if let (Some(safety), Some(undo)) = (&report.safety, undo) {
        context.ui.line(format!("previous contents saved as {safety}; undo with: {undo}"));
    }
}

/// Reports that every target already held the contents of the archive.
pub(super) fn already_there(context: &mut Context, snapshot: &Snapshot, shown: &str, plan: &Plan, report: &Report) {
    for warning in &report.warnings {
        context.ui.warning(warning);
    }
    if context.ui.is_json() {
        context.ui.document(&reports::unchanged(snapshot, shown, plan, report));
        return;
    }
    let targets: Vec<String> = plan.steps.iter().map(|step| quoted(&step.target.given)).collect();
    let verb = if targets.len() == 1 { "holds" } else { "hold" };
    context.ui.line(format!(
        "{} already {verb} the contents of {}; nothing was changed",
        targets.join(", "),
        printable(shown)
    ));
}

/// Returns what shows that a restored database is sound, as a clause.
fn proof(proof: ProvedBy) -> &'static str {
    match proof {
        ProvedBy::Digest => "proved by its SHA-256",
        ProvedBy::Check(_, Integrity::Damaged) => "damaged",
        ProvedBy::Check(Depth::Full | Depth::Deep, Integrity::Ok) => "integrity check passed",
        ProvedBy::Check(Depth::Full | Depth::Deep, _) => "integrity check found no damage",
        ProvedBy::Check(Depth::Quick, Integrity::Ok) => "quick check passed",
        ProvedBy::Check(Depth::Quick, _) => "quick check found no damage",
        ProvedBy::Check(Depth::None, _) | ProvedBy::Nothing => "not checked",
    }
}

/// Returns the processes that have a database open now, as far as we can see them.
fn still_in_use(path: &std::path::Path) -> Holders {
    database::holders(path).unwrap_or_default()
}

/// Reports that nothing had to be done.
pub(super) fn skipped(context: &mut Context, outcome: Skip, words: &str) -> Outcome {
    if context.ui.is_json() {
        context.ui.document(&Skipped::new(outcome));
    }
    context.ui.summary(words);
    Outcome::Done
}
