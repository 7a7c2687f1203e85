//! `heirloom guard`.

use std::ffi::OsString;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::bar::{self, Overall};
use super::choice::ChoiceArgs;
use super::guard_programs::{HealthChecks, program};
use super::hooks::{self, Around};
use super::http::Url;
use super::record::Record;
use super::ui::Tone;
use super::{Context, Outcome, give_way, text};
use crate::failure::{Failure, FailureKind};
use crate::metadata::Kind;
use crate::names::printable;
use crate::ops::Repository;
use crate::ops::backup::IfMissing;
use crate::ops::guard::{self, Before, Seen, State};
use crate::ops::inventory::inventory;
use crate::ops::jobs::Chosen;
use crate::ops::jobs::backup::remove_leftovers;
use crate::ops::jobs::each::BySet;
use crate::ops::jobs::guard::{self as job, Answer, Health, How, Touched};
use crate::ops::restore::{Report, shell_word};
use crate::platform::child::{self, Ended};
use crate::platform::parent;
use crate::report::guard::{self as report, Guarded, Rollback};
use crate::snapshot::Snapshot;

/// Run a command, and roll the databases back if it fails
///
/// Backs up first (kind pre-update); without a good backup the command is not run. Afterwards the databases must be
/// there and sound, and the health checks must pass. If the command or a check fails and a database has changed, the
/// backup is restored; what the command left is saved in a safety backup. Databases that did not change are not
/// touched.
///
/// A rollback also removes what other processes wrote since the backup: stop them first, or keep that time short.
///
/// Input and output of the command pass through. SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are forwarded to
/// it. Without a terminal it runs in a process group of its own, and signals reach everything it started; at a terminal
/// --timeout ends the command alone. Once it has ended, signals do not stop a rollback.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom guard -- ./manage.py migrate
  heirloom guard app.db --timeout 10m -- sh -c './stop && ./upgrade && ./start'
  heirloom guard --health-url http://localhost:8080/health -- docker compose up -d --build

Exit codes: 0 the command succeeded and everything is healthy; the code of the command if it failed (126 and 127: it \
could not be started), 128+N if signal N ended it; 1 the command succeeded and a health check failed; 2 usage; 125 \
guard itself failed: the backup failed and nothing was run, or the rollback failed; the message names the state of \
each database")]
pub struct GuardArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Must succeed after the command; run by `sh -c`
    #[arg(long, value_name = "CMD", help_heading = "Health")]
    health_command: Option<OsString>,
    /// Must answer with a status from 200 to 399 after the command (http only)
    #[arg(long, value_name = "URL", help_heading = "Health")]
    health_url: Option<String>,
    /// How long to retry the health checks until they pass
    #[arg(
        long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration,
        help_heading = "Health"
    )]
    health_timeout: Duration,
    /// End the command after this time, such as 10m; that is a failure
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    kill_after: Duration,
    /// Do not roll back; print what would be restored, and how
    #[arg(long)]
    no_rollback: bool,
    /// Continue if a database does not exist yet, for a first deployment; what the command creates is not rolled back
    #[arg(long)]
    if_exists: bool,
    /// Store a note in the backup
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Accept a new or another store at the path of the store
    #[arg(long)]
    new_store: bool,
    /// How long to wait for a lock of another process
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    busy_timeout: Duration,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl GuardArgs {
    fn how<'a>(&self, context: &'a Context) -> How<'a> {
        How::new(context.surroundings(), self.busy_timeout)
    }

    fn words(&self) -> String {
        self.command.iter().map(|word| shell_word(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }
}

/// The state after the command.
struct Verdict {
    ended: Ended,
    /// Problems other than the command's own failure.
    trouble: Vec<String>,
    /// The databases of each set.
    seen: Vec<Vec<Seen>>,
    took: Duration,
}

impl Verdict {
    fn failed(&self) -> bool {
        !self.ended.succeeded() || !self.trouble.is_empty()
    }

    fn exit_code(&self) -> u8 {
        match (self.ended.succeeded(), self.trouble.is_empty()) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => self.ended.exit_code(),
        }
    }
}

pub(super) fn run(args: &GuardArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let checks = HealthChecks {
        url: args.health_url.as_deref().map(Url::parse).transpose()?,
        text: args.health_url.as_ref(),
        command: args.health_command.as_ref(),
        timeout: args.health_timeout,
    };
    let chosen = args.choice.choose(context)?;
    let nothing_run = || {
        Failure::new(
            FailureKind::GuardFailed,
            "there is no good backup, so the command was not run; nothing was changed",
        )
    };
    if args.new_store {
        context.stores.accept_new();
    }
    let store = context.store_for_writing().with_context(nothing_run)?;
    let listing = list(&store, &chosen, context).with_context(nothing_run)?;
    let mut before = Vec::new();
    for set in chosen {
        before.push(with_hooks(args, context, &store, &listing, set).with_context(nothing_run)?);
    }
    drop(listing);

    step(context, format!("running {}", printable(&args.words())));
    let started = Instant::now();
    let ended = match child::run(program(&args.command, args.timeout, args.kill_after, context)) {
        Ok(ended) => ended,
        Err(error) => {
            context.ui.warning(format!("cannot run {}: {error}", args.words()));
            let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            Ended { code: Some(code), signal: None, timed_out: false }
        }
    };
    let took = started.elapsed();
    // It was forwarded; from here on only the command's exit counts.
    context.ui.signal_flag().store(0, Ordering::Relaxed);
    report_end(args, context, ended, took);

    let verdict = judge(args, context, &store, &before, ended, took, &checks)?;
    let (rollback, reports) = answer(args, context, &store, &before, &verdict)?;
    let code = verdict.exit_code();
    if context.ui.is_json() {
        context.ui.document(&document(args, context, &store, &before, &verdict, rollback, &reports));
    }
    Ok(if code == 0 { Outcome::Done } else { Outcome::Ended(code) })
}

/// Reports one step.
fn step(context: &Context, text: impl AsRef<str>) {
    context.ui.note(format!("{} {}", context.ui.paint_stderr(Tone::Strong, "guard:"), text.as_ref()));
}

/// Lists the store once for the backups of all sets, and looks for leftovers beside their databases.
fn list(store: &Repository, chosen: &[Chosen], context: &Context) -> anyhow::Result<BySet> {
    let found = inventory(store, &context.reading(), &context.ui.progress())?;
    remove_leftovers(chosen, store, &context.ui.progress());
    Ok(BySet::new(found))
}

/// Backs a set up before the command, with the hooks around it.
fn with_hooks(
    args: &GuardArgs,
    context: &mut Context,
    store: &Repository,
    listing: &BySet,
    chosen: Chosen,
) -> anyhow::Result<Before> {
    let around = Around { command: "guard", set: chosen.set.clone(), kind: Kind::PreUpdate };
    let known = listing.archives(&chosen.set);
    let backed_up = around.before(context).and_then(|()| back_up(args, context, store, known, chosen));
    match &backed_up {
        Ok(before) => {
            let archive = store.path_of(before.packed.archive.as_str());
            around.after(Some(archive).filter(|_| !before.reused), Outcome::Done, context);
        }
        Err(error) => around.failed(error, context),
    }
    backed_up
}

fn back_up(
    args: &GuardArgs,
    context: &mut Context,
    store: &Repository,
    known: &[Snapshot],
    chosen: Chosen,
) -> anyhow::Result<Before> {
    let set = chosen.set.clone();
    let note = args.note.clone().unwrap_or_else(|| format!("before: {}", printable(&args.words())));
    let if_missing = if args.if_exists { IfMissing::Skip } else { IfMissing::Fail };
    let plan = job::plan(chosen, note, if_missing, args.busy_timeout, known, &context.surroundings())?;
    for missing in &plan.missing {
        step(
            context,
            format!("no database at {} yet, so it cannot be rolled back", crate::text::quoted(&missing.path)),
        );
    }
    if plan.sources.is_empty() {
        let none = Failure::usage(
            "none of the databases exists yet",
            "run the command without guard, or name a database that exists",
        );
        return Err(none.into());
    }
    super::interrupted::report_beside(context, plan.sources.iter().map(|source| source.path.as_path()), None);
    let progress = context.ui.progress_in(Overall::Stages(bar::BACKUP));
    let before = guard::back_up(store, &plan, &args.how(context).run_with(known), &progress)?;
    context.records.push(Record {
        kind: Some(before.packed.metadata.kind.to_string()),
        set: Some(set.to_string()),
        archive: Some(before.packed.archive.as_str().to_owned()),
        bytes: Some(before.packed.bytes),
        outcome: None,
    });
    let databases = text::count(before.sources.len() as u64, "database");
    step(
        context,
        match before.reused {
            true => {
                format!("{} ({databases}) did not change since {}: no new backup is made", set, before.packed.archive)
            }
            false => format!("backed up {} ({databases}) as {}", set, before.packed.archive),
        },
    );
    Ok(before)
}

fn report_end(args: &GuardArgs, context: &Context, ended: Ended, took: Duration) {
    let seconds = took.as_secs_f64();
    if ended.succeeded() {
        return step(context, format!("the command succeeded after {seconds:.1} s"));
    }
    let how = match ended {
        Ended { timed_out: true, .. } => {
            format!("did not end within {}", humantime::format_duration(args.timeout.unwrap_or(took)))
        }
        Ended { signal: Some(signal), .. } => format!("was ended by signal {signal} after {seconds:.1} s"),
        Ended { code, .. } => format!("failed with exit code {} after {seconds:.1} s", code.unwrap_or_default()),
    };
    context.ui.warning(format!("the command {how}"));
}

/// Checks the databases and, if the command succeeded, runs the health checks.
fn judge(
    args: &GuardArgs,
    context: &Context,
    store: &Repository,
    before: &[Before],
    ended: Ended,
    took: Duration,
    checks: &HealthChecks<'_>,
) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict { ended, trouble: Vec::new(), seen: Vec::new(), took };
    let how = if ended.succeeded() { "succeeded" } else { "failed" };
    for one in before {
        let seen = args.how(context).look(store, one).with_context(|| {
            let archives = commands(args, context, before.iter());
            Failure::new(
                FailureKind::GuardFailed,
                format!(
                    "the command {how}, and then the databases of \"{}\" could not be checked; they are as the \
                     command left them",
                    one.packed.metadata.set
                ),
            )
            .remedy(format!("roll back: {archives}"))
        })?;
        verdict.trouble.extend(seen.iter().filter_map(Seen::trouble));
        verdict.seen.push(seen);
    }
    if ended.succeeded() && verdict.trouble.is_empty() && !checks.is_none() {
        step(context, "checking health");
        verdict.trouble.extend(checks.failure(context));
    }
    for trouble in &verdict.trouble {
        context.ui.warning(trouble);
    }
    if !verdict.failed() {
        step(context, "everything is healthy");
    }
    Ok(verdict)
}

/// Rolls back changed databases if needed, and reports it.
fn answer(
    args: &GuardArgs,
    context: &mut Context,
    store: &Repository,
    before: &[Before],
    verdict: &Verdict,
) -> anyhow::Result<(Rollback, Vec<Report>)> {
    let health = if verdict.failed() { Health::Bad } else { Health::Good };
    let wish = if args.no_rollback { job::Rollback::Declined } else { job::Rollback::Wanted };
    let touched = match job::answer(health, wish, before, &verdict.seen) {
        Answer::NotNeeded => return Ok((Rollback::NotNeeded, Vec::new())),
        Answer::NothingChanged => {
            step(context, "the databases did not change: nothing to roll back");
            return Ok((Rollback::NothingChanged, Vec::new()));
        }
        Answer::Leave(touched) => {
            touched.iter().for_each(|one| not_rolled_back(args, context, store, one));
            let names: Vec<String> =
                touched.iter().flat_map(|one| guard::changed(one.seen)).map(|name| name.to_string()).collect();
            let command = commands(args, context, touched.iter().map(|one| one.before));
            context
                .ui
                .warning(format!("{} changed and was not rolled back; roll back with: {command}", names.join(", ")));
            return Ok((Rollback::NotWanted, Vec::new()));
        }
        Answer::RollBack(touched) => touched,
    };
    let mut reports = Vec::new();
    for (number, one) in touched.iter().enumerate() {
        let names: Vec<String> = guard::changed(one.seen).iter().map(ToString::to_string).collect();
        step(context, format!("rolling {} back to {}", names.join(", "), one.before.packed.archive));
        let announced = give_way::announce(&one.before.packed.metadata.set, context);
        let rolled_back = args.how(context).roll_back(store, one);
        drop(announced);
        if rolled_back.is_err() {
            not_rolled_back(args, context, store, one);
        }
        let report = rolled_back.with_context(|| {
            let left = commands(args, context, touched[number..].iter().map(|one| one.before));
            Failure::new(
                FailureKind::GuardFailed,
                format!(
                    "{}, and {} could not be rolled back; unless the cause says otherwise, the databases are as the \
                     command left them",
                    if verdict.ended.succeeded() { "a health check failed" } else { "the command failed" },
                    names.join(", "),
                ),
            )
            .remedy(format!("the backup taken before is good; roll back with: {left}"))
        })?;
        for warning in &report.warnings {
            context.ui.warning(warning);
        }
        if let (Some(why), Some(safety)) = (&report.pending, &report.safety) {
            super::pending::warn(context, &[safety.as_str()], why);
        }
        let kept = report
            .safety
            .as_ref()
            .map(|safety| format!("; what the command left is saved as {safety}"))
            .unwrap_or_default();
        step(context, format!("{} rolled back and verified{kept}", names.join(", ")));
        for restored in &report.databases {
            if let Some(aside) = &restored.aside {
                step(
                    context,
                    format!("what the command left of {} is in {}", restored.name, crate::text::quoted(aside)),
                );
            }
        }
        let set = &one.before.packed.metadata.set;
        hooks::after_restore("guard", set, one.before.packed.archive.as_str(), Outcome::Done, context);
        reports.push(report);
    }
    Ok((Rollback::Done, reports))
}

/// Records that the command's changes were not rolled back.
fn not_rolled_back(args: &GuardArgs, context: &Context, store: &Repository, touched: &Touched<'_>) {
    if let Err(error) = args.how(context).record_not_rolled_back(store, touched) {
        context.ui.warning(format!("{error:#}"));
    }
}

/// Returns the commands that roll back, with `mkdir -p` for folders that are gone.
fn commands<'a>(args: &GuardArgs, context: &Context, before: impl Iterator<Item = &'a Before>) -> String {
    let mut commands = Vec::new();
    for before in before {
        for source in &before.sources {
            let folder = std::path::absolute(&source.path).map(|path| parent(&path).to_owned()).unwrap_or_default();
            let make = format!("mkdir -p {}", shell_word(&folder.to_string_lossy()));
            let is_gone = std::fs::metadata(&folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            if is_gone && !commands.contains(&make) {
                commands.push(make);
            }
        }
        let mut words = vec!["restore", before.packed.archive.as_str(), "--to-original", "--force"];
        words.extend(args.choice.set.iter().flat_map(|set| ["--set", set.as_str()]));
        commands.push(context.command_line(&words));
    }
    commands.join(" && ")
}

fn document(
    args: &GuardArgs,
    context: &Context,
    store: &Repository,
    before: &[Before],
    verdict: &Verdict,
    rollback: Rollback,
    reports: &[Report],
) -> Guarded {
    let databases = before.iter().zip(&verdict.seen).flat_map(|(before, seen)| {
        seen.iter().map(|seen| report::Database {
            set: before.packed.metadata.set.clone(),
            name: seen.source.name.clone(),
            path: seen.source.path.to_string_lossy().into_owned(),
            state: match seen.state {
                State::Same => report::State::Same,
                State::Changed => report::State::Changed,
                State::Damaged(_) => report::State::Damaged,
                State::Gone(_) => report::State::Gone,
            },
        })
    });
    let backups = before.iter().map(|before| report::Before {
        set: before.packed.metadata.set.clone(),
        archive: before.packed.archive.clone(),
        made: !before.reused,
    });
    Guarded {
        outcome: if verdict.failed() { report::Outcome::Failed } else { report::Outcome::Succeeded },
        command: args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        exit_code: verdict.ended.code,
        signal: verdict.ended.signal,
        timed_out: verdict.ended.timed_out,
        seconds: verdict.took.as_secs_f64(),
        findings: verdict.trouble.clone(),
        store: store.location(),
        backups: backups.collect(),
        databases: databases.collect(),
        rollback,
        safety_backups: reports.iter().filter_map(|report| report.safety.clone()).collect(),
        warnings: reports.iter().flat_map(|report| report.warnings.clone()).collect(),
        restore_command: commands(args, context, before.iter()),
    }
}
