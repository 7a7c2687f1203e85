//! `heirloom run`: the life of an application whose database must survive restarts.

use std::ffi::OsString;
use std::path::PathBuf;

use super::run_args::{LogFormat, RunArgs};
use super::run_life::Life;
use super::run_start::{Header, Start, header};
use super::{Context, Outcome, run_lease, run_lock, run_places};
use crate::config::{EachSettings, RestoreAtStart};
use crate::failure::{FailureKind, is_interruption};
use crate::names::{Name, printable};
use crate::ops::jobs::Selection;
use crate::platform::supervise::{self, NoProgram, find_program};

/// Becomes a supervised program, if that is what this process was started for.
pub(super) fn launch(words: &[OsString]) -> Option<u8> {
    let (cause, name) = supervise::launch(words.get(1..)?)?;
    super::exit::plain(&format!("cannot run \"{}\": {cause}", printable(&name.to_string_lossy())));
    Some(if cause.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

/// As process 1: runs this program with the same arguments as a child, and reaps what nobody waits for.
pub(super) fn first_process(words: &[OsString]) -> u8 {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("heirloom"));
    supervise::be_first_process(&own, words.get(1..).unwrap_or_default()).unwrap_or_else(|cause| {
        super::exit::plain(&format!("cannot start the supervisor: {cause}"));
        1
    })
}

pub(super) fn run(args: &RunArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    if args.log_format == LogFormat::Json {
        context.ui.log_as_json();
    }
    if let Some(refused) = no_program(args, context) {
        return Ok(Outcome::Ended(refused.exit_code()));
    }
    let selection = Selection { databases: &[], set: args.set.as_ref(), only: &[] };
    let is_meant = |name: &Name| args.set.as_ref().is_none_or(|set| set == name);
    let patterns: Vec<Name> =
        context.settings.each.iter().map(|each| each.name.clone()).filter(|name| is_meant(name)).collect();
    let chosen = match context.configuration.refused_database() {
        Some(refused) if selection.is_open(&context.settings) => return Err(refused.into()),
        _ => selection.choose(&context.settings),
    };
    let chosen = match chosen {
        // A fresh disk, or the first tenant is still to come.
        Err(failure) if failure.kind == FailureKind::NoDatabase && !patterns.is_empty() => Vec::new(),
        chosen => chosen?,
    };
    let start = Start::new(args, chosen, patterns, context)?;
    run_places::warn(&start.chosen, context);
    let lock = match run_lock::take(&start, context, context.settings.run.lease_wait) {
        Err(error) if is_interruption(&error) => {
            return start.ended_by_signal(context).ok_or(error);
        }
        taken => taken?,
    };
    let usual = if args.command.is_empty() { RestoreAtStart::Never } else { RestoreAtStart::IfMissing };
    let policy = context.settings.run.restore.unwrap_or(usual);
    let mut sources = start.chosen.iter().flat_map(|set| &set.sources);
    start.needs_store.set(match policy {
        RestoreAtStart::Never => false,
        RestoreAtStart::IfMissing => {
            let is_empty = |each: &EachSettings| each.sets.is_empty() && start.patterns.contains(&each.name);
            sources.any(|source| matches!(header(&source.path), Header::Missing))
                || context.settings.each.iter().any(is_empty)
        }
        RestoreAtStart::Newest => true,
    });
    let mut leases = run_lease::start(&start, lock.as_ref(), context);
    match leases.as_mut().map_or(Ok(()), |leases| leases.settle(&start, context)) {
        Err(error) if is_interruption(&error) => return start.ended_by_signal(context).ok_or(error),
        settled => settled?,
    }
    if let Some(ended) = start.finish_earlier(context)? {
        return Ok(ended);
    }
    if policy != RestoreAtStart::Never
        && let Some(ended) = start.restore(policy, leases.as_mut(), context)?
    {
        return Ok(ended);
    }
    let mut planner = start.planner(context);
    let first = start.backup_at_start(&mut planner, leases.as_ref(), context);
    if let Some(ended) = start.ended_by_signal(context) {
        if let Some(first) = first {
            start.abandon(first);
        }
        return Ok(ended);
    }
    let application = start.application(context)?;
    Life::new(start, application, planner, first, (lock, leases), context).run(context)
}

/// Reports a command that cannot be run, before anything else is done.
fn no_program(args: &RunArgs, context: &Context) -> Option<NoProgram> {
    let name = args.command.first()?;
    let refused = find_program(name, std::env::var_os("PATH")).err()?;
    let shown = printable(&name.to_string_lossy()).into_owned();
    let message = match refused {
        NoProgram::NotFound => format!("there is no command \"{shown}\"; nothing was done"),
        NoProgram::NotExecutable => format!("\"{shown}\" cannot be executed; nothing was done"),
    };
    context.ui.error(&message, Some("name the application after `--`, as its path or as a name in PATH"));
    Some(refused)
}
