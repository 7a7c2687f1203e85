//! `heirloom health`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, NaiveTime, Utc};

use super::check_arg::CheckArg;
use super::choice::ChoiceArgs;
use super::health_metrics::{nagios, prometheus, write_for_others};
use super::ui::Tone;
use super::{Context, Outcome, Ui, remedy, text};
use crate::config::{Check as Configured, EachSettings};
use crate::failure::{Failure, FailureKind, is_interruption, message};
use crate::names::{Name, printable};
use crate::ops::health::{Check, FurtherStore, Report, Request, State, Subject, Watched, gather, judge};
use crate::ops::inventory::Inventory;
use crate::ops::jobs::each::BySet;
use crate::ops::jobs::retention::{configured_policy, known, shrinks_off};
use crate::report::quantity::{BACKUP_TIME, Quantity, VERIFIED_TIME};

/// Check the health of databases and backups
///
/// Prints a line for each set and for the store, and below it what is wrong and what to do; with -v a line for each
/// check. Nothing is changed or repaired. Without names or a configuration the archives of this host say which
/// databases there are.
///
/// A backup counts for a database only if it was made under the same set, host label and path. Archives of other hosts
/// are only counted, in one line. Plain databases and archives of other tools do not count.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom health
  heirloom health -q --check none     fast; prints only problems
  heirloom health --nagios --set shop
  heirloom health --prometheus --output /var/lib/node_exporter/textfile/heirloom.prom

Limits: a backup may be as old as max_backup_age of the configuration says (critical at twice that). Without it \
the limit is twice the usual interval plus an hour (critical at twice that), learned from the last ten gaps between \
backups; with fewer than three backups it is 26 hours (critical after 50). Free space is a warning if it is \
not enough for two more backups, and critical if it is not enough for one.

Exit codes: 0 all in order; 20 a warning; 21 something is critical, or the store cannot be reached; with --nagios 0, \
1, 2, and 3 if nothing could be checked")]
pub struct HealthArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// How thoroughly a copy of each database is checked; `none` makes no copy
    #[arg(long, value_enum, value_name = "DEPTH", default_value = "quick")]
    check: CheckArg,
    /// Check only the databases, not backups and store, for example before an application starts
    #[arg(long)]
    databases_only: bool,
    /// Print one line with performance data for Nagios and compatible monitors, with their exit codes
    #[arg(long, conflicts_with = "prometheus")]
    nagios: bool,
    /// Print metrics in the text format of Prometheus
    #[arg(long)]
    prometheus: bool,
    /// With --prometheus: write the metrics to this file atomically, for the textfile collector
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    output: Option<PathBuf>,
}

impl HealthArgs {
    /// Returns whether the output is for Nagios, which has its own exit codes.
    pub(super) fn is_for_nagios(&self) -> bool {
        self.nagios
    }
}

pub(super) fn run(args: &HealthArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    match report(args, context).and_then(|report| {
        context.round.is_silent = args.databases_only;
        context.round.judged(&report);
        print(args, &report, context)
    }) {
        Err(error) if args.nagios && !is_interruption(&error) => Ok(Outcome::Found(unknown(&error, &mut context.ui))),
        other => other,
    }
}

/// Prints the Nagios state UNKNOWN and returns its exit code.
pub(super) fn unknown(error: &anyhow::Error, ui: &mut Ui) -> u8 {
    ui.result(format!("HEIRLOOM UNKNOWN - {}", message(error).replace('|', "/")));
    3
}

fn report(args: &HealthArgs, context: &Context) -> anyhow::Result<Report> {
    if context.ui.is_json() && (args.nagios || args.prometheus) {
        return Err(Failure::usage("--json cannot be used with --nagios or --prometheus", "choose one of them").into());
    }
    let store = context.store();
    let known = store.as_ref().map(|store| known(store, &context.surroundings())).unwrap_or_default();
    let copies = context.settings.copies.iter().zip(known);
    let copies = copies.map(|(copy, known)| FurtherStore {
        name: copy.name.clone(),
        location: copy.location.to_string(),
        known,
        verified: context.stores.last_verified(&copy.location),
    });
    let request = Request {
        watched: watched(args, context)?,
        depth: CheckArg::depth(Some(args.check), Configured::default()),
        store: store.as_ref(),
        location: context.settings.store.to_string(),
        temporary: &std::env::temp_dir(),
        clock: &context.clock,
        host: &context.host,
        reading: &context.reading(),
        max_backup_age: context.settings.health.max_backup_age,
        rotation: configured_policy(&context.settings).ok(),
        shrinks_off: shrinks_off(&context.settings),
        copies: copies.collect(),
        key_checked: context.settings.encryption.key_checked.map(|day| day.and_time(NaiveTime::MIN).and_utc()),
    };
    let facts = gather(&request, &context.ui.progress())?;
    let mut report = judge(&facts);
    let has_patterns = !context.settings.each.is_empty();
    let store = facts.store.as_ref().ok().filter(|_| has_patterns);
    let archives = store.map(|store| BySet::new(Inventory::clone(&store.inventory)));
    for each in &context.settings.each {
        if args.choice.set.as_ref().is_none_or(|set| *set == each.name) && !args.choice.names_database() {
            report.checks.extend(pattern(each, archives.as_ref(), context));
        }
    }
    report.word(&|advice| remedy::advice(advice, &context.typed));
    if args.databases_only {
        report.checks.retain(|check| check.subject.database().is_some());
        // An "ok" without any checks would let an application start unchecked.
        if report.checks.is_empty() {
            return Err(Failure::usage(
                "no database is known",
                "name a file, or configure the databases (`heirloom config init`)",
            )
            .into());
        }
    }
    Ok(report)
}

/// Judges a pattern: what keeps its databases from being backed up, and which are gone.
fn pattern(each: &EachSettings, archives: Option<&BySet>, context: &Context) -> Vec<Check> {
    let subject = Subject::Set(each.name.clone());
    let check = |state, value: String| Check::new("pattern", &subject, state, value);
    let mut checks: Vec<Check> = each.problems.iter().map(|why| check(State::Critical, why.clone())).collect();
    let around = context.surroundings();
    let gone = archives.map(|archives| archives.without_file(each, &around).len() as u64).unwrap_or_default();
    for (set, path) in archives.iter().flat_map(|archives| archives.emptied(each, &around)) {
        let value = format!("{} is no database, but archives of \"{set}\" exist", crate::text::quoted(path));
        checks.push(check(State::Critical, value));
    }
    if each.sets.is_empty() && gone > 0 {
        let value = format!("no file matches {}, and {} gone", each.pattern, text::count(gone, "database"));
        checks.push(check(State::Critical, value));
    } else if checks.is_empty() {
        let mut value = format!("{} match {}", text::count(each.sets.len() as u64, "database"), each.pattern);
        if gone > 0 {
            value += &format!("; {} gone, archives are kept", text::count(gone, "database"));
        }
        if !each.not_yet.is_empty() {
            value += &format!("; {} not yet a database", text::count(each.not_yet.len() as u64, "file"));
        }
        checks.push(Check::ok("pattern", &subject, value));
    }
    checks
}

fn watched(args: &HealthArgs, context: &Context) -> anyhow::Result<Watched> {
    if args.choice.is_open(context) {
        return Ok(Watched::Recorded { set: args.choice.set.clone(), only: args.choice.only.clone() });
    }
    let mut chosen = match args.choice.choose(context) {
        // Whether there should be databases is judged with the archives.
        Err(failure) if failure.kind == FailureKind::NoDatabase => return Ok(Watched::Sets(Vec::new())),
        chosen => chosen?,
    };
    let configured = chosen.iter().any(|chosen| context.settings.sets.contains_key(&chosen.set));
    Ok(match chosen.pop() {
        Some(only) if !configured && args.choice.set.is_none() => Watched::Files(only.set, only.sources),
        last => Watched::Sets(chosen.into_iter().chain(last).map(|chosen| (chosen.set, chosen.sources)).collect()),
    })
}

fn print(args: &HealthArgs, report: &Report, context: &mut Context) -> anyhow::Result<Outcome> {
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

/// Prints a line for each set and for the store with its problems below; with `--verbose` a line for each
/// check, with `--quiet` only the problems.
fn lines(report: &Report, ui: &mut Ui) {
    if ui.is_verbose() {
        return every_check(report, ui);
    }
    // The store comes last.
    let mut sets: BTreeMap<(bool, Option<&Name>), Vec<&Check>> = BTreeMap::new();
    for check in &report.checks {
        let set = check.subject.set();
        sets.entry((set.is_none(), set)).or_default().push(check);
    }
    let name = |set: Option<&Name>| set.map_or_else(|| "store".to_owned(), Name::to_string);
    let widest = sets.keys().map(|(_, set)| name(*set).len()).max().unwrap_or(0);
    for ((_, set), of_set) in sets {
        let worst = of_set.iter().map(|check| check.state).max().unwrap_or(State::Ok);
        if ui.prints_results() || worst > State::Ok {
            let summary =
                if set.is_some() { set_summary(&of_set, report.at) } else { store_summary(&of_set, &report.store) };
            let front = format!("{:widest$}  {}  ", name(set), state_word(worst, ui));
            ui.column(&front, &summary.join(" · "));
        }
        for check in of_set.into_iter().filter(|check| check.state > State::Ok) {
            let subject = check.subject.database().map(|database| format!("{database}: ")).unwrap_or_default();
            let line = format!("  {subject}{}: {}", check.name.replace('_', " "), printable(&check.value));
            ui.result(line);
            if let Some(advice) = &check.advice {
                ui.result(format!("    {}", ui.paint(Tone::Dim, &printable(advice))));
            }
        }
    }
}

/// Summarizes a set: `2 databases`, `backed up 3 hours ago`, `verified 2 days ago`.
fn set_summary(checks: &[&Check], at: DateTime<Utc>) -> Vec<String> {
    let databases: BTreeSet<_> =
        checks.iter().filter_map(|check| Some((check.subject.database()?, check.subject.path()))).collect();
    let measured = |quantity: &Quantity| {
        let measures = checks.iter().flat_map(|check| &check.measures);
        let seconds =
            measures.filter(|measure| measure.quantity.name == quantity.name).map(|measure| measure.value).next()?;
        DateTime::from_timestamp(seconds as i64, 0).map(|time| text::age(time, at))
    };
    // Problems have their own lines.
    let verified = checks.iter().find(|check| check.name == "verified" && check.state == State::Ok);
    let verified = verified
        .map(|_| measured(&VERIFIED_TIME).map_or_else(|| "verified when made".into(), |age| format!("verified {age}")));
    let count = (!databases.is_empty()).then(|| text::count(databases.len() as u64, "database"));
    let damaged = checks.iter().find(|check| check.name == "damaged" && check.state > State::Ok);
    [
        count,
        measured(&BACKUP_TIME).map(|age| format!("backed up {age}")),
        // With damaged archives "verified" would contradict the line below.
        verified.filter(|_| damaged.is_none()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn store_summary(checks: &[&Check], store: &str) -> Vec<String> {
    let free = checks
        .iter()
        .find(|check| check.name == "free_space")
        .map(|check| check.value.split(',').next().unwrap_or_default().to_owned());
    [Some(printable(store).into_owned()), free].into_iter().flatten().collect()
}

fn state_word(state: State, ui: &Ui) -> String {
    match state {
        State::Ok => ui.paint(Tone::Good, "ok      "),
        State::Warning => ui.paint(Tone::Warning, "WARNING "),
        State::Critical => ui.paint(Tone::Bad, "CRITICAL"),
    }
}

fn every_check(report: &Report, ui: &mut Ui) {
    let widest = |text: &dyn Fn(&Check) -> usize| report.checks.iter().map(text).max().unwrap_or(0);
    let subjects = widest(&|check| check.subject.to_string().len());
    let names = widest(&|check| check.name.len());
    for check in &report.checks {
        let name = check.name.replace('_', " ");
        let state = state_word(check.state, ui);
        let front = format!("{state}  {:subjects$}  {name:names$}  ", check.subject);
        ui.column(&front, &printable(&check.value));
        if let Some(advice) = &check.advice {
            ui.column(&" ".repeat(10), &ui.paint(Tone::Dim, &printable(advice)));
        }
    }
}
