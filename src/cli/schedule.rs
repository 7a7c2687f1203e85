//! `heirloom schedule`.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::choice::ChoiceArgs;
use super::schedule_units;
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, Outcome, text};
use crate::config::age_text;
use crate::failure::Failure;
use crate::names::Name;
use crate::ops::inventory::{Inventory, shared_inventory};
use crate::ops::jobs::schedule::last;
use crate::report::schedule::{Planned, Upcoming};
use crate::schedule::{Due, Follow, Job, Last, Looks, Schedule, Timing};
use crate::store::StoreError;

/// Print what the schedule runs next, or the same schedule for systemd or cron
///
/// The section [schedule] of the configuration says when `heirloom run` backs up, rotates, cleans up and verifies. This
/// prints the next times of each job, as if `heirloom run` had just been started. Where backups are made at an
/// interval, the next one follows from the last backup in the store, and later ones from that.
///
/// With --systemd or --cron it prints units or a crontab that do the same without `heirloom run`, for this
/// configuration and this working directory. Backups at the start and the end of an application need `heirloom run`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom schedule
  heirloom schedule --next 10 --json
  heirloom schedule --systemd
  heirloom schedule --systemd --name shop
  (crontab -l; heirloom schedule --cron) | crontab -    adds to the crontab that is there

Exit codes: 0 done; 2 wrong configuration, no database is configured, or the schedule is off or has no such form; 3 \
the store could not be read")]
pub struct ScheduleArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Print the next N times of each job
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    next: u16,
    /// Print the units of systemd that do the same
    #[arg(long, conflicts_with_all = ["cron", "next"])]
    systemd: bool,
    /// Name the units heirloom-NAME-backup and so on: each configuration of a host needs units of its own
    #[arg(long, value_name = "NAME", requires = "systemd", conflicts_with = "cron")]
    name: Option<Name>,
    /// Print the crontab that does the same
    #[arg(long, conflicts_with = "next")]
    cron: bool,
}

pub(super) fn run(args: &ScheduleArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let settings = context.settings.clone();
    let schedule = settings.schedule.of_host(&context.host.label, settings.time_zone);
    if args.systemd || args.cron {
        if schedule.backup.is_none() {
            let hint = "set enabled = true in the section [schedule], or unset AUTO_BACKUP_ENABLED";
            return Err(Failure::usage("the schedule is off", hint).into());
        }
        return if args.systemd {
            schedule_units::systemd(&schedule, args.name.as_ref(), context)
        } else {
            schedule_units::crontab(&schedule, context)
        };
    }
    let chosen = args.choice.choose(context)?;
    let now = context.now;
    let (archives, outcome) = archives(context);
    let mut jobs = Vec::new();
    for chosen in &chosen {
        let last = archives.as_ref().map(|archives| last(chosen, &archives.snapshots, &context.surroundings(), now));
        if let Some(ahead) = last.and_then(|last| last.ahead) {
            let dated = ahead.format("%Y-%m-%dT%H:%M:%SZ");
            context.ui.warning(format!(
                "{}: the newest archive is dated in the future, {dated}; a backup is due now",
                chosen.set
            ));
        }
        let set = Some(chosen.set.to_string());
        jobs.push(planned(Job::Backup, set, &schedule, last, args, context));
    }
    for job in [Job::Rotate, Job::Cleanup, Job::Verify] {
        jobs.push(planned(job, None, &schedule, Some(Last::default()), args, context));
    }
    let upcoming = Upcoming {
        enabled: schedule.backup.is_some(),
        at: now,
        time_zone: schedule.zone.name().to_owned(),
        check_every_seconds: schedule.check_every.as_secs(),
        delay_seconds: schedule.delay.num_seconds(),
        on_start: settings.schedule.backs_up_at_start(),
        at_end: settings.schedule.backs_up_at_end(),
        jobs,
    };
    if context.ui.is_json() {
        context.ui.document(&upcoming);
    } else {
        show(&upcoming, &schedule, context);
    }
    Ok(outcome)
}

/// Reads the archives of the store; `None` with a warning if they are not to be had.
fn archives(context: &Context) -> (Option<Arc<Inventory>>, Outcome) {
    let read = context
        .store()
        .map_err(anyhow::Error::from)
        .and_then(|store| shared_inventory(&store, &context.reading(), &context.ui.progress()));
    match read {
        Ok(archives) => (Some(archives), Outcome::Done),
        // No backup was made yet.
        Err(error) if is_new(&error) => (Some(Arc::default()), Outcome::Done),
        Err(error) => {
            context.ui.warning(format!("the last backups are not known: {error:#}"));
            (None, Outcome::Problems)
        }
    }
}

fn is_new(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<StoreError>(),
        Some(StoreError::Unreachable { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound)
}

fn planned(
    job: Job,
    set: Option<String>,
    schedule: &Schedule,
    last: Option<Last>,
    args: &ScheduleArgs,
    context: &Context,
) -> Planned {
    let now = context.now;
    let looks = Looks::none(now);
    let due = last.is_some_and(|last| matches!(schedule.due(job, &last, &looks, now), Due::Now(_)));
    // Where the store does not answer, only lines of cron say what comes.
    let first = match (&last, &schedule.backup) {
        (Some(last), _) => schedule.next(job, last, &looks, now),
        (None, Some(Timing::At(_))) => schedule.times(job, now).next(),
        (None, _) => None,
    };
    let next = first.into_iter().flat_map(|first| std::iter::once(first).chain(schedule.times(job, first)));
    Planned {
        job: job.name(),
        set,
        rule: rule(job, schedule),
        if_changed: job == Job::Backup && context.settings.schedule.if_changed,
        last: last.and_then(|last| last.at),
        due,
        next: next.take(args.next.into()).collect(),
    }
}

/// Words when a job runs.
pub(super) fn rule(job: Job, schedule: &Schedule) -> String {
    let follow = |follow: &Follow| match follow {
        Follow::AfterBackup => "after backup".to_owned(),
        Follow::At(line) => line.to_string(),
        Follow::Never => "never".to_owned(),
    };
    match (job, &schedule.backup) {
        (_, None) => "never".to_owned(),
        (Job::Backup, Some(Timing::Every(every))) => format!("every {}", age_text(*every)),
        (Job::Backup, Some(Timing::At(lines))) => lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        (Job::Rotate, _) => follow(&schedule.rotate),
        (Job::Cleanup, _) => follow(&schedule.cleanup),
        (Job::Verify, _) => follow(&schedule.verify),
    }
}

fn show(upcoming: &Upcoming, schedule: &Schedule, context: &mut Context) {
    let ui = &mut context.ui;
    if !upcoming.enabled {
        ui.note("the schedule is off: no backup is made by itself, nor at the start or the end of a run");
    }
    let mut table = Table::new(&[
        Column::new("JOB"),
        Column::new("SET").shorten(),
        Column::new("NEXT"),
        Column::new("IN").right(),
        Column::new("RULE").wrap(),
    ]);
    for job in &upcoming.jobs {
        let set = job.set.clone().unwrap_or_else(|| "-".into());
        let condition = if job.if_changed && upcoming.enabled { ", if changed" } else { "" };
        let rule = format!("{}{condition}", job.rule);
        if job.next.is_empty() {
            table.row([job.job.to_owned(), set, "-".into(), "-".into(), rule]);
            continue;
        }
        for (number, at) in job.next.iter().enumerate() {
            let wait = if number == 0 && job.due { ui.paint(Tone::Strong, "due") } else { wait(*at, upcoming.at) };
            let at = at.with_timezone(&schedule.zone).format("%Y-%m-%d %H:%M:%S").to_string();
            let [name, set, rule] =
                [job.job, &set, &rule].map(|text| if number == 0 { text.to_owned() } else { String::new() });
            table.row([name, set, at, wait, rule]);
        }
    }
    ui.table(&table);
    ui.note(format!("times are in {}", upcoming.time_zone));
}

fn wait(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    text::span((at - now).max(TimeDelta::zero()))
}
