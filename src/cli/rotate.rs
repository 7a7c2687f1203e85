//! `heirloom rotate`.

use std::time::Duration;

use super::retain::{Damaged, RetainArgs, carry_out};
use super::retain_text::{how_far_back, reasons_text};
use super::table::{Column, Table};
use super::{Context, Outcome, text};
use crate::failure::Failure;
use crate::ops::jobs::retention::configured_rules;
use crate::ops::reports;
use crate::retention::{Policy, Reach, Retention, Rule, Schedule, Simulation, simulate};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// Remove archives that the rotation does not keep (grandfather-father-son)
///
/// Every rule keeps the newest archive of each of its periods, newest period first, beyond what the rules before it
/// keep. So 7 daily, 4 weekly and 12 monthly are 23 archives and reach a year back. Weeks begin on Monday.
///
/// The rules apply to each stream separately: the archives of one database, known by set, host label and path. Only
/// streams of this host are touched, and with configured sets only theirs.
///
/// With one of the --keep flags only the rules on the command line apply, none of the configuration. The newest good
/// archive of a stream always stays, and so do pinned archives, those dated in the future, those from before a shrink
/// that was not accepted, plain databases and files that are not archives. On a network file system nothing younger
/// than 24 hours is removed.
///
/// At a terminal it prints the plan and asks before it removes anything, unless --force is given; elsewhere it does not
/// ask.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom rotate --dry-run
  heirloom rotate --keep-daily 7 --keep-weekly 4 --keep-monthly 12
  heirloom rotate --simulate 2y --every 1d

Exit codes: 0 done; 2 usage, or no such set; 3 done, but an archive could not be removed, a shrink is not accepted, \
a newer heirloom wrote an archive, or HEIRLOOM_NOW is ahead of the clock; 11 locked by another run; 16 store \
unreachable")]
pub struct RotateArgs {
    /// Keep the newest N archives
    #[arg(long, value_name = "N", help_heading = "Rules")]
    keep_last: Option<u32>,
    /// Keep one archive per hour for N hours
    #[arg(long, value_name = "N", help_heading = "Rules")]
    keep_hourly: Option<u32>,
    /// Keep one archive per day for N days
    #[arg(long, value_name = "N", help_heading = "Rules")]
    keep_daily: Option<u32>,
    /// Keep one archive per week for N weeks
    #[arg(long, value_name = "N", help_heading = "Rules")]
    keep_weekly: Option<u32>,
    /// Keep one archive per month for N months
    #[arg(long, value_name = "N", help_heading = "Rules")]
    keep_monthly: Option<u32>,
    /// Keep one archive per year for N years
    #[arg(long, value_name = "N", help_heading = "Rules")]
    keep_yearly: Option<u32>,
    #[command(flatten)]
    retain: RetainArgs,
    /// Print which archives would exist after this long; no store is read or changed
    #[arg(
        long, value_name = "SPAN", value_parser = humantime::parse_duration, conflicts_with_all = ["dry_run",
        "force", "set", "gone"]
    )]
    simulate: Option<Duration>,
    /// How often a backup is made in the simulation
    #[arg(
        long, value_name = "STEP", value_parser = humantime::parse_duration, default_value = "1d",
        requires = "simulate"
    )]
    every: Duration,
}

impl RotateArgs {
    /// Returns whether nothing is to be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.simulate.is_some() || self.retain.is_read_only()
    }
}

pub(super) fn run(args: &RotateArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let policy = policy(args, context)?;
    match args.simulate {
        Some(span) => play(args, &policy, span, context),
        None => carry_out(&args.retain, Retention::Rotate(policy), Damaged::Leave, context),
    }
}

fn policy(args: &RotateArgs, context: &Context) -> Result<Policy, Failure> {
    let flags =
        [args.keep_last, args.keep_hourly, args.keep_daily, args.keep_weekly, args.keep_monthly, args.keep_yearly];
    let reach = if flags.iter().any(Option::is_some) {
        let [last, hourly, daily, weekly, monthly, yearly] = flags.map(Option::unwrap_or_default);
        Reach { last, hourly, daily, weekly, monthly, yearly }
    } else {
        configured_rules(&context.settings)
    };
    let hint = "keep something, as with `--keep-daily 7 --keep-weekly 4 --keep-monthly 12`";
    Policy::new(reach).map_err(|error| Failure::usage(error.to_string(), hint))
}

fn play(args: &RotateArgs, policy: &Policy, span: Duration, context: &mut Context) -> anyhow::Result<Outcome> {
    let schedule = Schedule::new(args.every, span)
        .map_err(|error| Failure::usage(error.to_string(), "use a shorter span or a longer step"))?;
    let zone = args.retain.zone(context);
    let played = simulate(policy, &schedule, context.now, zone, &context.ui.progress())?;
    if context.ui.is_json() {
        context.ui.document(&reports::simulated(&played, args.every, zone));
    } else {
        show(&played, policy, args, zone, context);
    }
    Ok(Outcome::Done)
}

fn show(played: &Simulation, policy: &Policy, args: &RotateArgs, zone: Tz, context: &mut Context) {
    let ui = &mut context.ui;
    let date = |at: DateTime<Utc>| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    let mut table = Table::new(&[Column::new("BACKUP OF"), Column::new("KEPT FOR").wrap()]);
    for verdict in played.plan.kept() {
        table.row([date(verdict.created_at), reasons_text(verdict)]);
    }
    ui.table(&table);
    let rules: Vec<String> = Rule::ALL
        .into_iter()
        .filter(|rule| policy.reach().of(*rule) > 0)
        .map(|rule| format!("{} {rule}", policy.reach().of(rule)))
        .collect();
    ui.result(format!(
        "{}; a backup every {} from {} to {} ({})",
        rules.join(", "),
        humantime::format_duration(args.every),
        date(played.from),
        date(played.to),
        zone.name()
    ));
    ui.result(format!(
        "{} made, {} exist at the end",
        text::count(played.made.into(), "backup"),
        played.plan.kept().count()
    ));
    ui.result(format!("over time: {}", over_time(played, zone)));
    if let Some(line) = how_far_back(&played.plan, context.now, zone) {
        context.ui.result(line);
    }
}

/// Returns at most a dozen of the moments at which the number of archives changed, the first and the last among them.
fn over_time(played: &Simulation, zone: Tz) -> String {
    const SHOWN: usize = 12;
    let last = played.counts.len().saturating_sub(1);
    let mut indexes: Vec<usize> = (0..SHOWN).map(|step| last * step / (SHOWN - 1)).collect();
    indexes.dedup();
    let moments = indexes.iter().filter_map(|index| played.counts.get(*index));
    let parts: Vec<String> =
        moments.map(|(at, archives)| format!("{archives} on {}", at.with_timezone(&zone).format("%Y-%m-%d"))).collect();
    parts.join(", ")
}
