//! `heirloom log`, and the writing of the log that it prints.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::exit::{Outcome, exit_code};
use super::record::Record;
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, text};
use crate::config::Detail;
use crate::failure::Failure;
use crate::names::printable;
use crate::report::log::{Activity, Log};
use crate::report::notice::{NoticeLog, NoticeLogEntry};
use crate::workspace::notices::Delivered;

/// Show the activity log
///
/// One line for every operation that changed or checked something, newest first, from the activity log of the store
/// (`.heirloom/activity.db`). The log may be deleted at any time; the archives do not need it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom log
  heirloom log --since 7d --failed
  heirloom log --notices

Exit codes: 0 done; 16 store unreachable")]
pub struct LogArgs {
    /// Only entries since then: a span (7d) or a time (2026-03-01T03:00:00Z)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only entries that failed or found problems
    #[arg(long)]
    failed: bool,
    /// What was sent to the receivers of notices instead, and what waits to be sent
    #[arg(long)]
    notices: bool,
}

pub(super) fn run(args: &LogArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let since = args.since.as_deref().map(|text| since(text, context.now)).transpose()?;
    if args.notices {
        return notices(args, since, context);
    }
    let store = context.store()?;
    let entries = store.workspace().activities(since, args.failed)?;
    if context.ui.is_json() {
        context.ui.document(&Log { store: store.location(), activities: entries });
        return Ok(Outcome::Done);
    }
    if entries.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        Column::new("AGE").right(),
        Column::new("TIME").drop(4),
        Column::new("COMMAND"),
        Column::new("OUTCOME"),
        Column::new("TOOK").right().drop(3),
        Column::new("SIZE").right().drop(2),
        Column::new("USER").drop(1),
        Column::new("WHAT").wrap(),
    ]);
    for entry in &entries {
        let tone = match entry.outcome.as_str() {
            "done" => Tone::Good,
            "declined" => Tone::Dim,
            _ => Tone::Bad,
        };
        let what = entry.error.as_ref().or(entry.archive.as_ref()).or(entry.set.as_ref()).map_or("-", String::as_str);
        table.row([
            text::short_age(entry.at, context.now),
            entry.at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            printable(&entry.command).into_owned(),
            context.ui.paint(tone, &printable(&entry.outcome)),
            text::took(Duration::try_from_secs_f64(entry.seconds).unwrap_or_default()),
            entry.bytes.map_or_else(|| "-".into(), text::bytes),
            printable(&entry.user).into_owned(),
            printable(what).into_owned(),
        ]);
    }
    context.ui.table(&table);
    Ok(Outcome::Done)
}

/// Prints the history of notices; with `--failed` what was not delivered.
fn notices(args: &LogArgs, since: Option<DateTime<Utc>>, context: &mut Context) -> anyhow::Result<Outcome> {
    let history = super::notices::open(context)?.history(since)?;
    let history = history.into_iter().filter(|entry| !args.failed || entry.state != "sent");
    let entries: Vec<NoticeLogEntry> = history
        .map(|Delivered { notice, receiver, state, tries, answer }| NoticeLogEntry {
            receiver,
            state,
            tries,
            answer,
            notice,
        })
        .collect();
    if context.ui.is_json() {
        context.ui.document(&NoticeLog { notices: entries });
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        Column::new("AGE").right(),
        Column::new("TIME").drop(2),
        Column::new("RECEIVER"),
        Column::new("STATE"),
        Column::new("NOTICE").wrap(),
        Column::new("ANSWER").wrap().drop(1),
    ]);
    for entry in &entries {
        let tone = if entry.state == "sent" { Tone::Good } else { Tone::Bad };
        table.row([
            text::short_age(entry.notice.at, context.now),
            entry.notice.at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            entry.receiver.clone(),
            context.ui.paint(tone, &entry.state),
            entry.notice.title(Detail::Full),
            entry.answer.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    if !table.is_empty() {
        context.ui.table(&table);
    }
    Ok(Outcome::Done)
}

fn since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let span = humantime::parse_duration(text)
        .ok()
        .and_then(|span| now.checked_sub_signed(chrono::TimeDelta::from_std(span).ok()?));
    span.ok_or_else(|| {
        Failure::usage(
            format!("cannot parse \"{}\" as a time", printable(text)),
            "write a span (7d, 12h) or a time (2026-03-01T03:00:00Z)",
        )
    })
}

/// Logs a finished command in its store. Without a store nothing is logged; a log that cannot be written only causes a
/// warning.
pub(super) fn write(command: &str, result: &anyhow::Result<Outcome>, started: Instant, context: &mut Context) {
    let Ok(store) = context.store() else { return };
    let words = |outcome: Outcome| match outcome {
        Outcome::Done => ("done", 0),
        Outcome::Problems => ("problems", 3),
        Outcome::Found(code) => ("found", code),
        Outcome::Ended(code) => ("failed", code),
    };
    let whole = match result {
        // Answering no is not a failure.
        Err(error) if context.ui.was_declined() => ("declined", exit_code(error, context.ui.signal())),
        Ok(Outcome::Done) if context.ui.was_declined() => ("declined", 0),
        Ok(outcome) => words(*outcome),
        Err(error) => ("failed", exit_code(error, context.ui.signal())),
    };
    let records = std::mem::take(&mut context.records);
    let records = if records.is_empty() { vec![Record::default()] } else { records };
    let seconds = started.elapsed().as_secs_f64();
    let activity = |record: Record| {
        let (outcome, code) = record.outcome.map_or(whole, words);
        Activity {
            at: context.now,
            seconds,
            command: command.to_owned(),
            kind: record.kind,
            outcome: outcome.to_owned(),
            exit_code: code,
            set: record.set,
            archive: record.archive,
            bytes: record.bytes,
            error: result.as_ref().err().map(|error| printable(&format!("{error:#}")).into_owned()),
            user: context.user.clone(),
            host: context.host.label.to_string(),
        }
    };
    let activities: Vec<Activity> = records.into_iter().map(activity).collect();
    if let Err(error) = store.workspace().log(&activities).map_err(anyhow::Error::from) {
        // A read-only store works without a log; only `--verbose` mentions it.
        context.ui.detail(format!("not logged: {error:#}"));
    }
}
