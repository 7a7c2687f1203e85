//! `heirloom store check`.

use super::copies;
use super::store_names::MAIN;
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, Outcome};
use crate::names::printable;
use crate::report::store as report;
use crate::store::{Examination, StoreError};
use crate::store_url::Location;

/// By how many seconds clocks may differ: more makes retention remove nothing.
const CLOCK: i64 = 3600;

/// Try what a store is needed for
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom store check
  heirloom store check offsite

Exit codes: 0 done; 2 no such store; 3 something is missing; 16 store unreachable")]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(clap::Subcommand, Debug)]
enum StoreCommand {
    Check(CheckArgs),
}

/// Write, read, list and remove a small hidden file, and say what is missing
///
/// Shows which right is missing, whether the service itself refuses to write onto a taken name, whether it confirms
/// checksums, whether removed files stay as hidden versions, whether new files are locked, and how far the clocks
/// differ.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom store check
  heirloom store check offsite --json

Exit codes: 0 done; 2 no such store; 3 something is missing; 16 store unreachable")]
struct CheckArgs {
    /// The name of a copy in the configuration; by default the store itself
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub(super) fn run(args: &StoreArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let StoreCommand::Check(args) = &args.command;
    let location = copies::location(args.name.as_deref().unwrap_or(MAIN), context)?;
    let found = context.examine(&location)?;
    let lines = lines(&found, &location);
    let problems = lines.iter().any(|line| line.state != report::State::Ok);
    if context.ui.is_json() {
        context.ui.document(&report::Checked { store: location.to_string(), checks: lines });
    } else {
        let mut table = Table::new(&[Column::new("STATE"), Column::new("CHECK"), Column::new("RESULT").wrap()]);
        for line in lines.iter().filter(|line| line.state != report::State::Ok || context.ui.prints_results()) {
            let (word, tone) = match line.state {
                report::State::Ok => ("ok", Tone::Good),
                report::State::Warning => ("warning", Tone::Warning),
                report::State::Error => ("error", Tone::Bad),
            };
            table.row([context.ui.paint(tone, word), line.check.to_owned(), line.result.clone()]);
        }
        if !table.is_empty() {
            context.ui.table(&table);
        }
        if let Some(rule) = &found.unfinished_uploads {
            context.ui.note("let the provider remove unfinished uploads, which no listing shows, with this rule:");
            context.ui.note(rule.clone());
        }
    }
    Ok(if problems { Outcome::Problems } else { Outcome::Done })
}

fn lines(found: &Examination, location: &Location) -> Vec<report::Check> {
    let mut lines = vec![of("write", &found.write, "a file can be written")];
    lines.push(match &found.list {
        Ok(files) => ok("list", format!("it can be listed: {}", super::text::count(*files as u64, "file"))),
        Err(error) => bad("list", error),
    });
    lines.extend(found.read.as_ref().map(|read| of("read", read, "a file can be read")));
    lines.extend(found.remove.as_ref().map(|removed| match removed {
        Ok(()) => ok("remove", "a file can be removed".into()),
        Err(error) => report::Check {
            result: format!("{}; rotate cannot remove anything there: let the provider do it", explained(error)),
            ..bad("remove", error)
        },
    }));
    let is_folder = location.folder().is_some();
    lines.extend(found.refuses_taken_names.filter(|_| !is_folder).map(|refuses| match refuses {
        true => ok("taken names", "the service refuses to write onto a taken name".into()),
        false => {
            warning("taken names", "the service does not refuse to write onto a taken name; names get four digits")
        }
    }));
    lines.extend(found.checksums.filter(|_| !is_folder).map(|confirms| match confirms {
        true => ok("checksums", "the service confirms what it received".into()),
        false => warning("checksums", "the service confirms no checksum: an upload counts after it was read back"),
    }));
    lines.extend(found.clock_ahead.map(|ahead| {
        let text = match ahead {
            0 => "the clocks agree".into(),
            1.. => format!("the clock of this host is {ahead} s ahead"),
            _ => format!("the clock of this host is {} s behind", ahead.unsigned_abs()),
        };
        if ahead.abs() < CLOCK { ok("clock", text) } else { warning("clock", &format!("{text}: set it")) }
    }));
    lines.extend(found.keeps_versions.map(|keeps| match keeps {
        true => ok("versions", "removed files stay as hidden versions, until the provider removes them".into()),
        false => ok("versions", "removed files are gone".into()),
    }));
    lines.extend(found.locks.map(|locks| match locks {
        true => ok("object lock", "new files cannot be removed for a time".into()),
        false => ok("object lock", "new files are not locked: who may write there may also remove".into()),
    }));
    lines
}

fn of(check: &'static str, result: &Result<(), StoreError>, good: &str) -> report::Check {
    match result {
        Ok(()) => ok(check, good.into()),
        Err(error) => bad(check, error),
    }
}

fn ok(check: &'static str, result: String) -> report::Check {
    report::Check { check, state: report::State::Ok, result }
}

fn warning(check: &'static str, result: &str) -> report::Check {
    report::Check { check, state: report::State::Warning, result: result.into() }
}

fn bad(check: &'static str, error: &StoreError) -> report::Check {
    report::Check { check, state: report::State::Error, result: explained(error) }
}

fn explained(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    printable(&format!("{error}{cause}")).into_owned()
}
