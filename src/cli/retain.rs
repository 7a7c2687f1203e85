//! What `rotate` and `cleanup` share: whose archives they are about, the plan, the question, and how it ends.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;

use super::log::Record;
use super::retain_text::{show, show_end, stale_text, warn_of_future};
use super::{Context, Outcome, text};
use crate::config::ShrinkWatch;
use crate::failure::Failure;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::ops::backup::Made;
use crate::ops::inventory::inventory;
use crate::ops::jobs::meant;
use crate::ops::reports::{self, Progressed as Shown};
use crate::ops::reread::{self, Reread, reread};
use crate::ops::retain::{self, Asked, Fate, Plain, Report, Request};
use crate::ops::stale::Whereabouts;
use crate::progress::Interrupted;
use crate::report::retain::Retained;
use crate::retention::{GoneReach, Reason, Retention, Scope};

/// How long another run may hold the lock; it is held for commits and removals only.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// Options of both commands.
#[derive(clap::Args, Debug)]
pub(super) struct RetainArgs {
    /// Only archives of these database files, or of these databases of the configuration
    #[arg(value_name = "DATABASE")]
    databases: Vec<PathBuf>,
    /// Only archives of this set; without it those of the configured sets, or all
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// Include archives of other hosts; without it they are counted and left alone
    #[arg(long)]
    all_hosts: bool,
    /// Count and remove plain databases and archives of other tools, too
    ///
    /// Never one that is a configured database or one that archives were copied from, that has a -wal, -journal or -shm
    /// beside it, that is open in a process, or that is a link. If not every process can be seen, plain databases stay.
    #[arg(long)]
    include_plain: bool,
    /// Of databases that are not there any more and got no archive for this long, such as 90d, keep only the newest archive
    ///
    /// A database counts as gone if the system says that nothing lies at its recorded path, and only on the host that it was
    /// backed up on. An archive that holds other databases, too, stays if the rules or limits of this run keep it for one of
    /// them: use `rotate --gone` for a set that lost one of its databases.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    gone: Option<Duration>,
    /// With --gone: remove the newest archive, too; asks, or needs --force
    #[arg(long, requires = "gone")]
    all: bool,
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
        let configured = || context.settings.sets.keys().cloned().collect();
        Scope {
            hosts: (!self.all_hosts).then_some(own),
            sets: match &self.set {
                Some(set) => Some(BTreeSet::from([set.clone()])),
                None if !self.databases.is_empty() || context.settings.sets.is_empty() => None,
                None => Some(configured()),
            },
            paths: (!self.databases.is_empty()).then(|| self.databases.iter().map(|given| self.path(given, context)).collect()),
            streams: None,
        }
    }

    /// Returns the resolved path of a database that was named by its path, or by its name in the configuration.
    fn path(&self, given: &Path, context: &Context) -> String {
        let sets = context.settings.sets.iter().filter(|(set, _)| self.set.as_ref().is_none_or(|wanted| wanted == *set));
        let mut databases = sets.flat_map(|(_, set)| &set.databases);
        let is_file = std::fs::symlink_metadata(given).is_ok();
        let named = databases.find(|(name, _)| !is_file && given.to_str() == Some(name.as_str())).map(|(_, path)| path.as_path());
        crate::platform::resolved(named.unwrap_or(given)).to_string_lossy().into_owned()
    }

    /// Refuses a set or a database that there is no archive of: a typing error must not look like an empty store.
    fn refuse_unknown(&self, store: &Repository, context: &Context) -> anyhow::Result<()> {
        if self.set.is_none() && self.databases.is_empty() {
            return Ok(());
        }
        let found = inventory(store, &context.reading_in(self.time_zone), &context.ui.progress())?;
        meant::refuse_unknown_set(self.set.as_ref(), &found, &context.surroundings())?;
        let streams = || found.snapshots.iter().flat_map(|snapshot| &snapshot.databases).map(|brief| &brief.stream);
        for given in &self.databases {
            let path = self.path(given, context);
            if !streams().any(|stream| stream.path() == Some(path.as_str())) {
                let known: BTreeSet<&str> = streams().filter_map(|stream| stream.path()).collect();
                let known: Vec<_> = known.into_iter().map(printable).collect();
                let message = format!("no archive of \"{}\" in the store \"{}\"", printable(&path), printable(&store.location()));
                let hint = if known.is_empty() {
                    "the store has no archives".into()
                } else {
                    format!("there are archives of: {}", known.join(", "))
                };
                return Err(Failure::usage(message, hint).into());
            }
        }
        Ok(())
    }

    /// Returns what was asked for, in the words of an empty result.
    fn of(&self) -> String {
        self.set.as_ref().map(|set| format!(" of the set \"{set}\"")).unwrap_or_default()
    }

    pub(super) fn zone(&self, context: &Context) -> Tz {
        self.time_zone.unwrap_or(context.settings.time_zone)
    }
}

/// What to do about archives that are damaged, besides what the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damaged {
    /// Nothing.
    Leave,
    /// Read them once more, and remove those that are.
    Reread,
}

/// Plans, shows, asks at a terminal, and removes.
pub(super) fn carry_out(args: &RetainArgs, retention: Retention, damaged: Damaged, context: &mut Context) -> anyhow::Result<Outcome> {
    // A store that is not there is an error; only one that is there is looked at with the eyes of a writer.
    let mut store = context.store()?;
    if !args.dry_run {
        store = context.store_for_writing()?;
    }
    args.refuse_unknown(&store, context)?;
    let asks = context.ui.can_ask() && !args.force;
    if args.all && !args.dry_run && !asks && !args.force {
        return Err(
            Failure::usage("--all removes the last archives of databases that are gone", "answer at a terminal, or use `--force`").into()
        );
    }
    let mut request = Request {
        retention,
        scope: args.scope(context),
        made: None,
        shrinks_off: shrinks_off(context),
        clock: context.clock.clone(),
        ahead: context.ahead,
        reading: context.reading_in(args.time_zone),
        asked: asked(&store, context)?,
    };
    // An age beyond what the calendar can express is never reached.
    let span = |age: Duration| chrono::TimeDelta::from_std(age).unwrap_or(chrono::TimeDelta::MAX);
    let reach = if args.all { GoneReach::RemoveAll } else { GoneReach::KeepNewest };
    request.asked.gone = args.gone.map(|age| (span(age), reach));
    request.asked.plain = args.include_plain.then(|| Plain { configured: configured(context) });
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
                context.ui.note(format!("cannot look for leftovers of dead runs: {error}"));
                0
            }
        };
        let shown = Shown { store: store.location(), plan: &outlook.plan, fates: None, seen: &outlook.seen, leftovers, zone };
        show(&shown, &args.of(), context);
        if args.dry_run {
            name_kept(&outlook.seen, true, context);
            return Ok(Outcome::Done);
        }
        let count = outlook.plan.removed().count();
        if count > 0 && !context.ui.confirm(&format!("Remove {}?", text::count(count as u64, "archive"))) {
            context.ui.note("nothing was removed");
            return Ok(Outcome::Done);
        }
        agreed = Some(outlook.plan);
    }

    let report = retain::execute(&store, &request, agreed.as_ref(), LOCK_WAIT, &context.ui.progress())?;
    let leftovers = *report.leftovers.as_ref().unwrap_or(&0);
    let shown = Shown { store: store.location(), plan: &report.plan, fates: Some(&report.fates), seen: &report.seen, leftovers, zone };
    match agreed {
        None => show(&shown, &args.of(), context),
        // The plan was shown already; now only what was done is news.
        Some(_) if !report.fates.is_empty() => show_end(&shown, context),
        Some(_) => {}
    }
    name_kept(&report.seen, false, context);
    let outcome = finish(&report, None, context)?;
    Ok(if unread { Outcome::Problems } else { outcome })
}

/// Returns what every run asks for.
fn asked(store: &Repository, context: &Context) -> anyhow::Result<Asked> {
    let rotation = super::rotate::configured_policy(context).ok();
    Ok(Asked { own: Some(context.host.clone()), rotation, youngest: retain::youngest(store)?, ..Asked::default() })
}

/// Returns every configured database.
pub(super) fn configured(context: &Context) -> Vec<PathBuf> {
    let databases = context.settings.sets.values().flat_map(|set| set.databases.values());
    databases.chain(&context.settings.default_database).cloned().collect()
}

/// Reports what reading the damaged archives again showed, and takes the marks of sound ones away. Returns whether one could not be read.
fn report_reread(found: &Reread, store: &Repository, dry_run: bool, context: &Context) -> anyhow::Result<bool> {
    for name in &found.irreplaceable {
        let delete = context.command_line(&["delete", name.as_str()]);
        context.ui.warning(format!("\"{name}\" is damaged and stays: there is no good archive of its databases; to remove it: {delete}"));
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
        // Dies in between: a mark stays on a sound archive, and the next run takes it away.
        if locked.clear_damaged(name, &reread::DEPTH.and_shallower())? {
            context.ui.note(format!("\"{name}\" is not damaged; its mark was removed"));
        } else {
            context.ui.note(format!("\"{name}\" is not damaged; its mark was not set by verify and stays"));
        }
    }
    Ok(!found.unread.is_empty())
}

/// Names what stays although one might expect otherwise, and the streams that get no archives any more.
fn name_kept(seen: &retain::Seen, dry_run: bool, context: &mut Context) {
    for (name, why) in &seen.spared {
        context.ui.note(format!("\"{name}\" stays: {why}"));
    }
    for stale in &seen.stale {
        let text = stale_text(stale, context);
        match stale.database {
            // Nothing is left that a command removes.
            Whereabouts::Gone if stale.superfluous == 0 => {}
            Whereabouts::Gone => context.ui.note(text),
            _ if dry_run => context.ui.note(text),
            // No reason for a mail every night.
            Whereabouts::There | Whereabouts::Unknown => context.ui.summary(text),
        }
    }
}

/// Carries a plan out after a good backup of a set, and returns the part of the backup's JSON that tells of it.
///
/// The new archive is committed by now, whatever happens here. The plan is made under the lock, so it sees that archive.
pub(super) fn after_backup(
    retention: Retention,
    made: &Made,
    store: &Repository,
    context: &mut Context,
) -> anyhow::Result<(Retained, Outcome)> {
    let request = Request {
        retention,
        scope: Scope { streams: Some(made.streams.iter().cloned().collect()), ..Scope::everything() },
        made: Some(made.packed.archive.clone()),
        shrinks_off: shrinks_off(context),
        clock: context.clock.clone(),
        ahead: context.ahead,
        reading: context.reading(),
        asked: Asked { own: None, ..asked(store, context)? },
    };
    let report = retain::execute(store, &request, None, LOCK_WAIT, &context.ui.progress())?;
    let shown = Shown {
        store: store.location(),
        plan: &report.plan,
        fates: Some(&report.fates),
        seen: &report.seen,
        leftovers: *report.leftovers.as_ref().unwrap_or(&0),
        zone: request.reading.opener.zone,
    };
    warn_of_future(&report.plan, context);
    show_end(&shown, context);
    let document = reports::retained(&shown);
    Ok((document, finish(&report, request.made.as_ref(), context)?))
}

/// Warns of everything that did not go as planned, and returns how the command ends. `made` is the archive of this very run.
fn finish(report: &Report, made: Option<&ArchiveName>, context: &mut Context) -> anyhow::Result<Outcome> {
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
    // Nothing is lost by leaving it alone, but it could have been an archive that the plan should have known.
    for foreign in report.seen.foreign.iter().filter(|foreign| foreign.is_unread()) {
        context.ui.warning(format!("\"{}\" could not be read and was left alone: {}", foreign.name, foreign.why));
    }
    // The backup itself has reported what it made.
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
        context
            .ui
            .warning(format!("archives of {sets} were written by a newer heirloom, so nothing of {sets} was removed; update heirloom"));
    }
    if kept_for(&Reason::ClockAhead) {
        context.ui.warning("HEIRLOOM_NOW is ahead of the clock of this machine, so nothing was removed");
    }
    let stopped = !report.plan.open_shrinks.is_empty() || !sealed.is_empty() || kept_for(&Reason::ClockAhead);
    if let Err(error) = &report.leftovers {
        context.ui.warning(format!("cannot sweep what dead runs left: {error}"));
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

/// Returns the sets whose shrinks are not watched.
pub(super) fn shrinks_off(context: &Context) -> BTreeSet<Name> {
    let off = context.settings.sets.iter().filter(|(_, set)| set.shrink == ShrinkWatch::Off);
    off.map(|(name, _)| name.clone()).collect()
}
