//! What `rotate` and `cleanup` share: scope, plan, confirmation and outcome.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use super::record::Record;
use super::retain_text::{show, show_end, stale_text, warn_of_future};
use super::{Context, Outcome, text};
use crate::config::CopySettings;
use crate::failure::{Failure, is_interruption};
use crate::names::{ArchiveName, Name};
use crate::ops::Repository;
use crate::ops::explain::explain;
use crate::ops::jobs::retention::{Hosts, LOCK_WAIT, PlainFiles, Wanted, Whose, limits_at, rules_of};
use crate::ops::reports::{self, Progressed as Shown};
use crate::ops::reread::{self, Reread, reread};
use crate::ops::retain::{self, Fate, Report};
use crate::ops::stale::Whereabouts;
use crate::progress::Interrupted;
use crate::report::retain::{Retained, RetainedCopy};
use crate::retention::{GoneReach, Reason, Retention};

/// Options of both commands.
#[derive(clap::Args, Debug)]
pub(super) struct RetainArgs {
    /// Only archives of these database files or configured databases
    #[arg(value_name = "DATABASE")]
    databases: Vec<PathBuf>,
    /// Only archives of this set; by default those of the configured sets, or all
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// Include archives of other hosts; by default they are only counted
    #[arg(long)]
    all_hosts: bool,
    /// Also count and remove plain databases and archives of other tools
    ///
    /// Never removes a plain file that is a configured or recorded database, that has a -wal, -journal or -shm
    /// beside it, that is open in a process, or that is a link. If not every process is visible, plain databases stay.
    #[arg(long)]
    include_plain: bool,
    /// Keep only the newest archive of databases that are gone and got no archive for this long, such as 90d
    ///
    /// A database counts as gone if nothing exists at its recorded path, and only on the host that
    /// it was backed up on. An archive that also holds other databases stays if the rules or limits of this run keep
    /// it for one of them: use `rotate --gone` for a set that lost one of its databases.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    gone: Option<Duration>,
    /// With --gone: also remove the newest archive; asks, or needs --force
    #[arg(long, requires = "gone")]
    all: bool,
    /// Time zone in which days, weeks, months and years start, such as Europe/Berlin
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
    /// Returns whether nothing is to be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.dry_run
    }

    /// Returns the scope of the run.
    fn whose(&self) -> Whose<'_> {
        Whose {
            databases: &self.databases,
            set: self.set.as_ref(),
            hosts: if self.all_hosts { Hosts::All } else { Hosts::Own },
        }
    }

    fn wanted(&self, retention: Retention) -> Wanted<'_> {
        let reach = if self.all { GoneReach::RemoveAll } else { GoneReach::KeepNewest };
        Wanted {
            retention,
            whose: self.whose(),
            gone: self.gone.map(|age| (age, reach)),
            plain: if self.include_plain { PlainFiles::Include } else { PlainFiles::Leave },
            zone: self.time_zone,
        }
    }

    /// Returns the requested scope for the message of an empty result.
    fn of(&self) -> String {
        self.set.as_ref().map(|set| format!(" of the set \"{set}\"")).unwrap_or_default()
    }

    pub(super) fn zone(&self, context: &Context) -> Tz {
        self.time_zone.unwrap_or(context.settings.time_zone)
    }
}

/// What to do about damaged archives besides applying the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damaged {
    /// Nothing.
    Leave,
    /// Verify them again, and remove those that are damaged.
    Reread,
}

/// Plans, shows, asks at a terminal, and removes.
pub(super) fn carry_out(
    args: &RetainArgs,
    retention: Retention,
    damaged: Damaged,
    context: &mut Context,
) -> anyhow::Result<Outcome> {
    let (document, mut outcome) = in_store(args, retention, damaged, context)?;
    // Each further store by its own rules. What was asked for databases that are gone or damaged is for this one.
    let copies = context.settings.copies.clone();
    let mut documents = Vec::new();
    let is_for_all = args.gone.is_none() && !args.include_plain && damaged == Damaged::Leave;
    for copy in copies.iter().filter(|_| is_for_all) {
        let rules = match retention {
            Retention::Rotate(_) => rules_of(copy, &context.settings),
            Retention::Cleanup(_) => Retention::Cleanup(limits_at(copy, &context.settings)),
        };
        let main = std::mem::replace(&mut context.settings.store, copy.location.clone());
        let retained = in_store(args, rules, damaged, context);
        context.settings.store = main;
        match retained {
            Ok((document, one)) => {
                documents.push(RetainedCopy { retention: Some(document), ..empty(copy) });
                outcome = if outcome == Outcome::Done { one } else { outcome };
            }
            Err(error) if is_interruption(&error) => return Err(error),
            // It does not concern the archives of this store.
            Err(error) => {
                let failure = explain(&error);
                context.ui.warning(format!("{}: nothing was removed there: {}", copy.name, failure.message));
                documents.push(RetainedCopy { errors: vec![failure.message], ..empty(copy) });
                outcome = Outcome::Problems;
            }
        }
    }
    if context.ui.is_json() {
        context.ui.document(&Retained { copies: documents, ..document });
    }
    Ok(outcome)
}

fn empty(copy: &CopySettings) -> RetainedCopy {
    RetainedCopy { name: copy.name.clone(), store: copy.location.to_string(), errors: Vec::new(), retention: None }
}

/// Plans, shows, asks at a terminal, and removes in the store of the settings.
fn in_store(
    args: &RetainArgs,
    retention: Retention,
    damaged: Damaged,
    context: &mut Context,
) -> anyhow::Result<(Retained, Outcome)> {
    // A missing store is an error here; opening it for writing would create it.
    let mut store = context.store()?;
    if !args.dry_run {
        store = context.store_for_writing()?;
    }
    args.whose().refuse_unknown(&store, args.time_zone, &context.surroundings(), &context.ui.progress())?;
    let asks = context.ui.can_ask() && !args.force;
    if args.all && !args.dry_run && !asks && !args.force {
        return Err(Failure::usage(
            "--all removes the last archives of databases that are gone",
            "answer at a terminal, or use `--force`",
        )
        .into());
    }
    let mut request = args.wanted(retention).request(&store, &context.surroundings())?;
    let mut unread = false;
    if damaged == Damaged::Reread {
        let found = reread(&store, &request.reading, &request.scope, context.threads(), &context.ui.progress())?;
        unread = report_reread(&found, &store, args.dry_run, context)?;
        request.asked.condemned = found.condemned;
    }
    let zone = request.reading.opener.zone;
    let mut agreed = None;
    if args.dry_run || asks {
        let outlook = retain::plan(&store, &request, &context.ui.progress())?;
        let leftovers = match &outlook.leftovers {
            Ok(count) => *count,
            Err(error) => {
                context.ui.note(format!("cannot look for leftovers of interrupted runs: {error}"));
                0
            }
        };
        let shown = Shown {
            store: store.location(),
            plan: &outlook.plan,
            fates: None,
            seen: &outlook.seen,
            leftovers,
            zone,
            removal: store.store().removal(),
        };
        show(&shown, &args.of(), context);
        let document = reports::retained(&shown);
        if args.dry_run {
            name_kept(&outlook.seen, true, context);
            return Ok((document, Outcome::Done));
        }
        let count = outlook.plan.removed().count();
        if count > 0 && !context.ui.confirm(&format!("Remove {}?", text::count(count as u64, "archive")))? {
            context.ui.note("nothing was removed");
            return Ok((document, Outcome::Done));
        }
        agreed = Some(outlook.plan);
    }

    let report = retain::execute(&store, &request, agreed.as_ref(), LOCK_WAIT, &context.ui.progress())?;
    let leftovers = *report.leftovers.as_ref().unwrap_or(&0);
    let shown = Shown {
        store: store.location(),
        plan: &report.plan,
        fates: Some(&report.fates),
        seen: &report.seen,
        leftovers,
        zone,
        removal: store.store().removal(),
    };
    match agreed {
        None => show(&shown, &args.of(), context),
        // The plan was already printed; only the result is new.
        Some(_) if !report.fates.is_empty() => show_end(&shown, context),
        Some(_) => {}
    }
    name_kept(&report.seen, false, context);
    let outcome = finish(&report, None, context)?;
    Ok((reports::retained(&shown), if unread { Outcome::Problems } else { outcome }))
}

/// Reports the result of verifying damaged archives again, and removes the marks of sound ones. Returns whether one
/// could not be read.
fn report_reread(found: &Reread, store: &Repository, dry_run: bool, context: &Context) -> anyhow::Result<bool> {
    for name in &found.irreplaceable {
        let delete = context.command_line(&["delete", name.as_str()]);
        context.ui.warning(format!(
            "\"{name}\" is damaged and stays: there is no good archive of its databases; to remove it: {delete}"
        ));
    }
    for (name, error) in &found.unread {
        context.ui.warning(format!("\"{name}\" stays: it could not be read: {error:#}"));
    }
    if dry_run || found.sound.is_empty() {
        found.sound.iter().for_each(|name| context.ui.note(format!("\"{name}\" is not damaged")));
        return Ok(!found.unread.is_empty());
    }
    let locked = store.lock(LOCK_WAIT, &context.ui.progress())?;
    for name in &found.sound {
        // If we die in between, a mark stays on a sound archive, and the next run removes it.
        if locked.clear_damaged(name, &reread::DEPTH.and_shallower())? {
            context.ui.note(format!("\"{name}\" is not damaged; its mark was removed"));
        } else {
            context.ui.note(format!("\"{name}\" is not damaged; its mark was not set by verify and stays"));
        }
    }
    Ok(!found.unread.is_empty())
}

/// Reports archives that are unexpectedly kept, and streams that get no new archives.
fn name_kept(seen: &retain::Seen, dry_run: bool, context: &mut Context) {
    for (name, why) in &seen.spared {
        context.ui.note(format!("\"{name}\" stays: {why}"));
    }
    for stale in &seen.stale {
        let text = stale_text(stale, context);
        match stale.database {
            // There is nothing left to remove.
            Whereabouts::Gone if stale.superfluous == 0 => {}
            Whereabouts::Gone => context.ui.note(text),
            _ if dry_run => context.ui.note(text),
            // Not worth a mail from cron every night.
            Whereabouts::There | Whereabouts::Unknown => context.ui.summary(text),
        }
    }
}

/// Reports what retention removed after a backup, and returns that part of the backup's document.
pub(super) fn report_after_backup(
    report: &Report,
    made: &ArchiveName,
    store: &Repository,
    context: &mut Context,
) -> anyhow::Result<(Retained, Outcome)> {
    let shown = Shown {
        store: store.location(),
        plan: &report.plan,
        fates: Some(&report.fates),
        seen: &report.seen,
        leftovers: *report.leftovers.as_ref().unwrap_or(&0),
        zone: context.settings.time_zone,
        removal: store.store().removal(),
    };
    warn_of_future(&report.plan, context);
    show_end(&shown, context);
    let document = reports::retained(&shown);
    Ok((document, finish(report, Some(made), context)?))
}

/// Warns of everything that did not go as planned, and returns the outcome. `made` is the archive of this
/// run.
pub(super) fn finish(report: &Report, made: Option<&ArchiveName>, context: &mut Context) -> anyhow::Result<Outcome> {
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
            Fate::GoneAlready | Fate::PinnedMeanwhile | Fate::NotAgreed | Fate::Spared(_) => {
                context.ui.note(format!("\"{archive}\": {fate}"))
            }
        }
    }
    // Keeping it loses nothing, but it may be an archive that the plan should have considered.
    for foreign in report.seen.foreign.iter().filter(|foreign| foreign.is_unread()) {
        context.ui.warning(format!("\"{}\" could not be read and was not touched: {}", foreign.name, foreign.why));
    }
    // The backup itself has reported its own archive.
    for shrink in report.plan.open_shrinks.iter().filter(|shrink| Some(&shrink.archive) != made) {
        let accept = context.command_line(&["accept", shrink.archive.as_str()]);
        let fell = text::fell(&shrink.before, &shrink.after);
        let subject = format!("{}, {}: {fell}", shrink.archive, shrink.database);
        context.ui.warning(format!("{subject}; earlier archives are kept until this is accepted: {accept}"));
    }
    let kept_for = |reason: &Reason| report.plan.kept().any(|verdict| verdict.reasons.contains(reason));
    let sealed: Vec<String> = report.seen.sealed.iter().map(|set| format!("\"{set}\"")).collect();
    if !sealed.is_empty() {
        let sets = sealed.join(", ");
        context.ui.warning(format!(
            "archives of {sets} were written by a newer heirloom, so nothing of {sets} was removed; update heirloom"
        ));
    }
    let unproved = report.plan.kept().filter(|verdict| verdict.reasons.contains(&Reason::Unproved)).count() as u64;
    if unproved > 0 {
        let prove = context.command_line(&["key", "check", "--identity", "FILE"]);
        context.ui.warning(format!(
            "{} kept and not counted: no key here opens them, and this host does not remember making them; to count \
             them, run once: {prove}",
            text::count(unproved, "encrypted archive")
        ));
    }
    if kept_for(&Reason::ClockAhead) {
        context.ui.warning("HEIRLOOM_NOW is ahead of the clock of this machine, so nothing was removed");
    }
    let stopped =
        !report.plan.open_shrinks.is_empty() || !sealed.is_empty() || unproved > 0 || kept_for(&Reason::ClockAhead);
    if let Err(error) = &report.leftovers {
        context.ui.warning(format!("cannot remove leftovers of interrupted runs: {error}"));
    }
    if report.fates.len() < report.plan.removed().count() {
        return Err(Interrupted.into());
    }
    Ok(if stopped || report.has_failures() || report.seen.foreign.iter().any(|foreign| foreign.is_unread()) {
        Outcome::Problems
    } else {
        Outcome::Done
    })
}
