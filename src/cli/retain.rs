//! What `rotate` and `cleanup` share: show the plan, ask, carry it out, tell what was done.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::log::Record;
use super::ui::Tone;
use super::{Context, Outcome, text};
use crate::config::ShrinkWatch;
use crate::lock::StoreLock;
use crate::metadata::rfc3339;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::backup::Made;
use crate::ops::inventory::Foreign;
use crate::ops::retain::{self, Fate, Report, Request};
use crate::progress::Interrupted;
use crate::retention::{Action, Plan, Reason, Retention, Rule, Scope, Shrink, Verdict};
use crate::store::{LocalStore, Store as _};

/// How long another run may hold the lock; it is held for commits and removals only.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// Options of both commands.
#[derive(clap::Args, Debug)]
pub(super) struct RetainArgs {
    /// Only archives of these database files
    #[arg(value_name = "DATABASE")]
    databases: Vec<PathBuf>,
    /// Only archives of this set; without it those of the configured sets, or all
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// Include archives of other hosts
    #[arg(long)]
    all_hosts: bool,
    /// Where days, weeks, months and years begin, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Tz>,
    /// Print the plan, and stop
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

impl RetainArgs {
    /// Says whether nothing is to be changed.
    pub(super) fn only_looks(&self) -> bool {
        self.dry_run
    }

    /// Returns whose archives may be removed: this host's, of the sets or files that are named, else of those configured.
    fn scope(&self, context: &Context) -> Scope {
        let own = context.host.former.iter().chain([&context.host.label]).cloned().collect();
        let resolved = |path: &PathBuf| crate::platform::resolved(path).to_string_lossy().into_owned();
        let configured = || context.settings.sets.keys().cloned().collect();
        Scope {
            hosts: (!self.all_hosts).then_some(own),
            sets: match &self.set {
                Some(set) => Some(BTreeSet::from([set.clone()])),
                None if !self.databases.is_empty() || context.settings.sets.is_empty() => None,
                None => Some(configured()),
            },
            paths: (!self.databases.is_empty()).then(|| self.databases.iter().map(resolved).collect()),
            streams: None,
        }
    }

    pub(super) fn zone(&self, context: &Context) -> Tz {
        self.time_zone.unwrap_or(context.settings.time_zone)
    }
}

/// Plans, shows, asks at a terminal, and removes.
pub(super) fn carry_out(args: &RetainArgs, retention: Retention, context: &mut Context) -> anyhow::Result<Outcome> {
    // A store that is not there is an error; only one that is there is looked at with the eyes of a writer.
    let mut store = context.store()?;
    if !args.dry_run {
        store = context.store_for_writing()?;
    }
    let request = Request {
        retention,
        scope: args.scope(context),
        made: None,
        shrinks_off: shrinks_off(context),
        now: context.now,
        ahead: context.ahead,
        reading: context.reading_in(args.time_zone),
    };
    let zone = request.reading.zone;
    let asks = context.ui.can_ask() && !args.force;
    let mut agreed = None;
    if args.dry_run || asks {
        let outlook = retain::plan(&store, &store.private(), &request, &context.ui.progress())?;
        let leftovers = match &outlook.leftovers {
            Ok(count) => *count,
            Err(error) => {
                context.ui.note(format!("cannot look for leftovers of dead runs: {error}"));
                0
            }
        };
        let told = Told { store: store.location(), plan: &outlook.plan, fates: None, foreign: &outlook.foreign, leftovers, zone };
        tell(&told, args, context);
        if args.dry_run {
            return Ok(Outcome::Done);
        }
        let count = outlook.plan.removed().count();
        if count > 0 && !context.ui.confirm(&format!("Remove {}?", text::count(count as u64, "archive"))) {
            context.ui.note("nothing was removed");
            return Ok(Outcome::Done);
        }
        agreed = Some(outlook.plan);
    }

    let private = store.create_private()?;
    let report = {
        let progress = context.ui.progress();
        let lock = StoreLock::acquire(&private, LOCK_WAIT, &progress)?;
        retain::execute(&store, &private, &lock, &request, agreed.as_ref(), &progress)?
    };
    let leftovers = *report.leftovers.as_ref().unwrap_or(&0);
    let told = Told { store: store.location(), plan: &report.plan, fates: Some(&report.fates), foreign: &report.foreign, leftovers, zone };
    match agreed {
        None => tell(&told, args, context),
        // The plan was shown already; now only what was done is news.
        Some(_) if !report.fates.is_empty() => tell_end(&told, context),
        Some(_) => {}
    }
    finish(&report, context)
}

/// Carries a plan out after a good backup of a set, and returns the part of the backup's JSON that tells of it.
///
/// The new archive is committed by now, whatever happens here. The plan is made under the lock, so it sees that archive.
pub(super) fn after_backup(
    retention: Retention,
    made: &Made,
    store: &LocalStore,
    context: &mut Context,
) -> anyhow::Result<(Value, Outcome)> {
    let request = Request {
        retention,
        scope: Scope { streams: Some(made.streams.iter().cloned().collect()), ..Scope::everything() },
        made: Some(made.packed.archive.clone()),
        shrinks_off: shrinks_off(context),
        // An archive of this very run is not dated in the future.
        now: context.now.max(made.packed.metadata.created_at),
        ahead: context.ahead,
        reading: context.reading(),
    };
    let private = store.create_private()?;
    let report = {
        let progress = context.ui.progress();
        let lock = StoreLock::acquire(&private, LOCK_WAIT, &progress)?;
        retain::execute(store, &private, &lock, &request, None, &progress)?
    };
    let told = Told {
        store: store.location(),
        plan: &report.plan,
        fates: Some(&report.fates),
        foreign: &report.foreign,
        leftovers: *report.leftovers.as_ref().unwrap_or(&0),
        zone: request.reading.zone,
    };
    tell_end(&told, context);
    let document = document(&told);
    Ok((document, finish(&report, context)?))
}

/// Warns of everything that did not go as planned, and returns how the command ends.
fn finish(report: &Report, context: &mut Context) -> anyhow::Result<Outcome> {
    for ((archive, fate), verdict) in report.fates.iter().zip(report.plan.removed()) {
        if matches!(fate, Fate::Removed | Fate::Failed(_)) {
            let outcome = matches!(fate, Fate::Failed(_)).then_some(Outcome::Problems);
            context.records.push(Record {
                kind: Some(verdict.kind.to_string()),
                set: Some(verdict.set.to_string()),
                archive: Some(archive.as_str().to_owned()),
                bytes: Some(verdict.bytes),
                outcome,
            });
        }
        match fate {
            Fate::Removed => {}
            Fate::Failed(_) => context.ui.warning(fate.to_string()),
            Fate::GoneAlready | Fate::PinnedMeanwhile | Fate::NotAgreed => context.ui.note(format!("\"{archive}\": {fate}")),
        }
    }
    // Nothing is lost by leaving it alone, but it could have been an archive that the plan should have known.
    for foreign in report.foreign.iter().filter(|foreign| foreign.unread) {
        context.ui.warning(format!("\"{}\" could not be read and was left alone: {}", foreign.name, foreign.why));
    }
    for shrink in &report.plan.open_shrinks {
        let accept = context.command_line(&["accept", shrink.archive.as_str()]);
        let fell = text::fell(&shrink.before, &shrink.after);
        let subject = format!("{}, {}: {fell}", shrink.archive, shrink.database);
        context.ui.warning(format!("{subject}; earlier archives are kept until this is accepted: {accept}"));
    }
    let kept_for = |reason: &Reason| report.plan.kept().any(|verdict| verdict.reasons.contains(reason));
    if kept_for(&Reason::NewerFormat) {
        context.ui.warning("some archives were written by a newer heirloom, so nothing of their sets was removed; update heirloom");
    }
    if kept_for(&Reason::ClockAhead) {
        context.ui.warning("HEIRLOOM_NOW is ahead of the clock of this machine, so nothing was removed");
    }
    let stopped = !report.plan.open_shrinks.is_empty() || kept_for(&Reason::NewerFormat) || kept_for(&Reason::ClockAhead);
    if let Err(error) = &report.leftovers {
        context.ui.warning(format!("cannot sweep what dead runs left: {error}"));
    }
    if report.fates.len() < report.plan.removed().count() {
        return Err(Interrupted.into());
    }
    Ok(if stopped || report.has_failures() || report.foreign.iter().any(|foreign| foreign.unread) {
        Outcome::Problems
    } else {
        Outcome::Done
    })
}

/// Returns the sets whose shrinks are not watched.
fn shrinks_off(context: &Context) -> BTreeSet<Name> {
    let off = context.settings.sets.iter().filter(|(_, set)| set.shrink == ShrinkWatch::Off);
    off.map(|(name, _)| name.clone()).collect()
}

fn shrink_json(shrink: &Shrink) -> Value {
    json!({
        "archive": shrink.archive.as_str(),
        "database": shrink.database,
        "created_at": rfc3339(shrink.created_at),
        "before": shrink.before,
        "after": shrink.after,
    })
}

/// A plan, and what became of it.
struct Told<'a> {
    store: String,
    plan: &'a Plan,
    /// What was done, oldest first; `None` as long as nothing was.
    fates: Option<&'a [(ArchiveName, Fate)]>,
    foreign: &'a [Foreign],
    leftovers: usize,
    zone: Tz,
}

impl Told<'_> {
    fn fate(&self, removal: usize) -> Option<&Fate> {
        self.fates.and_then(|fates| fates.get(removal)).map(|(_, fate)| fate)
    }

    /// Returns the bytes that were freed, or that would be.
    fn freed_bytes(&self) -> u64 {
        let gone = |removal: usize| self.fates.is_none() || matches!(self.fate(removal), Some(Fate::Removed));
        self.plan.removed().enumerate().filter(|(removal, _)| gone(*removal)).map(|(_, verdict)| verdict.bytes).sum()
    }
}

fn tell(told: &Told<'_>, args: &RetainArgs, context: &mut Context) {
    for verdict in told.plan.kept().filter(|verdict| verdict.reasons.contains(&Reason::Future)) {
        context.ui.warning(format!("\"{}\" is dated in the future: it stays, and takes no place", verdict.archive));
    }
    if context.ui.is_json() {
        context.ui.document(&document(told));
        return;
    }
    if told.plan.verdicts.is_empty() {
        let of_set = args.set.as_ref().map(|set| format!(" of the set \"{set}\"")).unwrap_or_default();
        context.ui.note(format!("no archives{of_set} in the store \"{}\"", printable(&told.store)));
    } else {
        let table = table(told, context);
        print(told, table, context);
    }
    tell_end(told, context);
}

fn table(told: &Told<'_>, context: &Context) -> String {
    let ui = &context.ui;
    let mut table = ui.table(&["ARCHIVE", "MADE", "SIZE", "VERDICT", "WHY"]);
    let mut removal = told.plan.removed().count();
    for verdict in &told.plan.verdicts {
        let shown = match verdict.action {
            Action::Keep => ui.paint(Tone::Good, "keep"),
            Action::Remove => {
                // Verdicts come newest first, fates oldest first.
                removal -= 1;
                let word = match told.fate(removal) {
                    None => "remove",
                    Some(Fate::Removed) => "removed",
                    Some(Fate::GoneAlready) => "gone",
                    Some(Fate::PinnedMeanwhile | Fate::NotAgreed) => "stays",
                    Some(Fate::Failed(_)) => "failed",
                };
                ui.paint(Tone::Bad, word)
            }
        };
        table.add_row([
            verdict.archive.to_string(),
            verdict.created_at.with_timezone(&told.zone).format("%Y-%m-%d %H:%M").to_string(),
            text::bytes(verdict.bytes),
            shown,
            reasons_text(verdict),
        ]);
    }
    table.trim_fmt()
}

/// Prints a line about a plan always, because it was asked for or a question follows, and about what was done for people only: cron
/// has nothing to mail.
fn print(told: &Told<'_>, line: String, context: &mut Context) {
    if told.fates.is_none() { context.ui.result(line) } else { context.ui.summary(line) }
}

/// Prints what stays, what goes, and how far one can go back.
fn tell_end(told: &Told<'_>, context: &mut Context) {
    if context.ui.is_json() {
        return;
    }
    let kept = text::count(told.plan.kept().count() as u64, "archive");
    let kept_bytes = text::bytes(told.plan.kept().map(|verdict| verdict.bytes).sum());
    let freed = text::bytes(told.freed_bytes());
    let mut lines = match told.fates {
        None => vec![format!("keep {kept} ({kept_bytes}), remove {} ({freed})", told.plan.removed().count())],
        Some(fates) => {
            let removed = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Removed)).count();
            vec![format!("kept {kept} ({kept_bytes}), removed {removed} ({freed} freed)")]
        }
    };
    let streams = told.plan.streams();
    for stream in &streams {
        let line = how_far_back(&told.plan.of_stream(stream), context.now, told.zone);
        let of_stream = if streams.len() > 1 { format!("{}: ", super::text::stream(stream)) } else { String::new() };
        lines.extend(line.map(|line| format!("{of_stream}{line}")));
    }
    if told.plan.left_alone > 0 {
        let others = text::count(told.plan.left_alone as u64, "archive");
        lines.push(format!("{others} of other hosts or sets left alone"));
    }
    if told.leftovers > 0 {
        let done = if told.fates.is_some() { "removed" } else { "to remove" };
        lines.push(format!("{} of dead runs {done}", text::count(told.leftovers as u64, "leftover")));
    }
    if !told.foreign.is_empty() {
        lines.push(format!("{} left alone: no archive of this tool (see `heirloom list`)", text::count(told.foreign.len() as u64, "file")));
    }
    for line in lines {
        print(told, line, context);
    }
}

/// Returns how far back one can go, by each rule that keeps something: `you can go back to every day until 2026-02-23, …`.
pub(super) fn how_far_back(plan: &Plan, now: DateTime<Utc>, zone: Tz) -> Option<String> {
    let date = |verdict: &Verdict| verdict.created_at.with_timezone(&zone).format("%Y-%m-%d").to_string();
    let by_rule = Rule::ALL.into_iter().filter_map(|rule| {
        let oldest = plan.reach_of(rule)?;
        Some(match rule {
            Rule::Last => format!("every backup until {}", oldest.created_at.with_timezone(&zone).format("%Y-%m-%d %H:%M")),
            Rule::Hourly => format!("every hour until {}", oldest.created_at.with_timezone(&zone).format("%Y-%m-%d %H:%M")),
            Rule::Daily => format!("every day until {}", date(oldest)),
            Rule::Weekly => format!("every week until {}", date(oldest)),
            Rule::Monthly => format!("every month until {}", date(oldest)),
            Rule::Yearly => format!("every year until {}", date(oldest)),
        })
    });
    let by_rule: Vec<String> = by_rule.collect();
    let oldest = plan.oldest()?;
    let age = text::age(oldest.created_at, now);
    Some(if by_rule.is_empty() {
        format!("you can go back to {} ({age})", date(oldest))
    } else {
        format!("you can go back to {} ({age}): {}", date(oldest), by_rule.join(", "))
    })
}

/// Returns the reasons of a verdict as one text.
pub(super) fn reasons_text(verdict: &Verdict) -> String {
    verdict.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn document(told: &Told<'_>) -> Value {
    let describe = |verdict: &Verdict| {
        let reasons: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
        json!({
            "archive": verdict.archive.as_str(),
            "set": verdict.set,
            "host": verdict.host,
            "kind": verdict.kind,
            "created_at": rfc3339(verdict.created_at),
            "bytes": verdict.bytes,
            "reasons": reasons,
        })
    };
    let keep: Vec<Value> = told.plan.kept().map(describe).collect();
    let removals = told.plan.removed().enumerate().map(|(removal, verdict)| {
        let fate = told.fate(removal);
        let mut described = describe(verdict);
        described["removed"] = matches!(fate, Some(Fate::Removed)).into();
        if let Some(other) = fate.filter(|fate| !matches!(fate, Fate::Removed)) {
            described["outcome"] = other.to_string().into();
        }
        described
    });
    let foreign: Vec<Value> =
        told.foreign.iter().map(|foreign| json!({"file": foreign.name, "bytes": foreign.bytes, "why": foreign.why})).collect();
    json!({
        "store": told.store,
        "dry_run": told.fates.is_none(),
        "time_zone": told.zone.name(),
        "keep": keep,
        "remove": removals.collect::<Vec<_>>(),
        "freed_bytes": told.freed_bytes(),
        "oldest": told.plan.oldest().map(|verdict| rfc3339(verdict.created_at)),
        "left_alone": told.plan.left_alone,
        "open_shrinks": told.plan.open_shrinks.iter().map(shrink_json).collect::<Vec<_>>(),
        "leftovers": told.leftovers,
        "foreign": foreign,
    })
}
