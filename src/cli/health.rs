//! `heirloom health`.

use std::path::PathBuf;

use super::backup::CheckArg;
use super::choice::ChoiceArgs;
use super::health_metrics::{nagios, prometheus, write_for_others};
use super::retain::shrinks_off;
use super::rotate::configured_policy;
use super::ui::Tone;
use super::{Context, Outcome, Ui, remedy};
use crate::config::Check as Configured;
use crate::failure::{Failure, is_interruption, message};
use crate::names::printable;
use crate::ops::health::{Check, Report, Request, State, Watched, gather, judge};

/// Check the health of databases and backups
///
/// Looks at the databases and at their archives, and prints a line for each check with its state, what was found, and what to do.
/// Nothing is changed or repaired. Without names or a configuration the archives of this host say which databases there are.
///
/// A backup counts for a database only if it was made under the same set, host label and path. Archives of other hosts are
/// counted in one line and judged where they come from. Plain databases and archives of other tools prove nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom health
  heirloom health -q --check none     every few minutes: no copy, prints only what is not in order
  heirloom health --nagios --set shop
  heirloom health --prometheus --output /var/lib/node_exporter/textfile/heirloom.prom

Limits: a backup may be as old as max_backup_age of the configuration says (critical at twice that). Without it twice the usual
interval and an hour is allowed (critical at twice that), learned from the last ten gaps between backups; with fewer than three
backups 26 hours (critical after 50). Free space is a warning where it is not enough for two more backups, and critical where it is
not enough for one.

Exit codes: 0 all in order; 20 a warning; 21 something is critical, or the store cannot be reached; with --nagios 0, 1, 2,
and 3 where nothing could be found out")]
pub struct HealthArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// How thoroughly a copy of each database is checked; `none` makes no copy
    #[arg(long, value_enum, value_name = "DEPTH", default_value = "quick")]
    check: CheckArg,
    /// Only the databases, not their backups and the store: what an application needs to know before it starts
    #[arg(long)]
    databases_only: bool,
    /// Print one line with performance data for Nagios and its kin, with their exit codes
    #[arg(long, conflicts_with = "prometheus")]
    nagios: bool,
    /// Print metrics in the text format of Prometheus
    #[arg(long)]
    prometheus: bool,
    /// With --prometheus: write the metrics to this file, all at once, for the textfile collector
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    output: Option<PathBuf>,
}

impl HealthArgs {
    /// Says whether the answer is for Nagios, which has exit codes of its own.
    pub(super) fn is_for_nagios(&self) -> bool {
        self.nagios
    }
}

pub(super) fn run(args: &HealthArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    match report(args, context).and_then(|report| tell(args, &report, context)) {
        Err(error) if args.nagios && !is_interruption(&error) => Ok(Outcome::Found(unknown(&error, &mut context.ui))),
        other => other,
    }
}

/// Tells Nagios that nothing could be found out, and returns its exit code for that.
pub(super) fn unknown(error: &anyhow::Error, ui: &mut Ui) -> u8 {
    ui.result(format!("HEIRLOOM UNKNOWN - {}", message(error).replace('|', "/")));
    3
}

fn report(args: &HealthArgs, context: &Context) -> anyhow::Result<Report> {
    if context.ui.is_json() && (args.nagios || args.prometheus) {
        return Err(Failure::usage("--json cannot be used with --nagios or --prometheus", "choose one of them").into());
    }
    let store = context.store();
    let request = Request {
        watched: watched(args, context)?,
        depth: CheckArg::depth(Some(args.check), Configured::default()),
        store: store.as_ref(),
        location: context.settings.store.to_string_lossy().into_owned(),
        temporary: &std::env::temp_dir(),
        clock: &context.clock,
        host: &context.host,
        reading: &context.reading(),
        max_backup_age: context.settings.health.max_backup_age,
        rotation: configured_policy(context).ok(),
        shrinks_off: shrinks_off(context),
    };
    let mut report = judge(&gather(&request, &context.ui.progress())?);
    report.word(&|advice| remedy::advice(advice, &context.typed));
    if args.databases_only {
        report.checks.retain(|check| check.subject.database().is_some());
        // "All is well" about nothing would let an application start on anything.
        if report.checks.is_empty() {
            return Err(Failure::usage("no database is known", "name a file, or configure the databases (`heirloom config init`)").into());
        }
    }
    Ok(report)
}

fn watched(args: &HealthArgs, context: &Context) -> anyhow::Result<Watched> {
    if args.choice.is_open(context) {
        return Ok(Watched::Recorded { set: args.choice.set.clone(), only: args.choice.only.clone() });
    }
    let mut chosen = args.choice.choose(context)?;
    let configured = chosen.iter().any(|chosen| context.settings.sets.contains_key(&chosen.set));
    Ok(match chosen.pop() {
        Some(only) if !configured && args.choice.set.is_none() => Watched::Files(only.set, only.sources),
        last => Watched::Sets(chosen.into_iter().chain(last).map(|chosen| (chosen.set, chosen.sources)).collect()),
    })
}

fn tell(args: &HealthArgs, report: &Report, context: &mut Context) -> anyhow::Result<Outcome> {
    let state = report.state();
    if args.nagios {
        context.ui.result(nagios(report));
        return Ok(if state == State::Ok { Outcome::Done } else { Outcome::Found(state as u8) });
    }
    if args.prometheus {
        let metrics = prometheus(report);
        match &args.output {
            Some(file) => write_for_others(file, &metrics)?,
            None => context.ui.result(metrics.trim_end()),
        }
    } else if context.ui.is_json() {
        context.ui.document(report);
    } else {
        lines(report, &mut context.ui);
    }
    Ok(match state {
        State::Ok => Outcome::Done,
        State::Warning => Outcome::Found(20),
        State::Critical => Outcome::Found(21),
    })
}

/// Prints a line for each check, and its advice below it; with `--quiet` only what is not in order.
fn lines(report: &Report, ui: &mut Ui) {
    let shown: Vec<&Check> = report.checks.iter().filter(|check| ui.tells() || check.state > State::Ok).collect();
    let widest = |text: &dyn Fn(&Check) -> usize| shown.iter().map(|check| text(check)).max().unwrap_or(0);
    let subjects = widest(&|check| check.subject.to_string().len());
    let names = widest(&|check| check.name.len());
    for check in shown {
        let (tone, state) = match check.state {
            State::Ok => (Tone::Good, "OK      "),
            State::Warning => (Tone::Warning, "WARNING "),
            State::Critical => (Tone::Bad, "CRITICAL"),
        };
        let state = ui.paint(tone, state);
        let name = check.name.replace('_', " ");
        ui.result(format!("{state}  {:subjects$}  {name:names$}  {}", check.subject, printable(&check.value)));
        if let Some(advice) = &check.advice {
            ui.result(format!("          {}", ui.paint(Tone::Dim, &printable(advice))));
        }
    }
}
