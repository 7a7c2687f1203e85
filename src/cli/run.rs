//! `heirloom run`: the life of an application whose database must survive restarts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::run_life::Life;
use super::run_start::Start;
use super::{Context, Outcome, run_lock};
use crate::config::RestoreAtStart;
use crate::config::parse_age;
use crate::failure::{Failure, is_interruption};
use crate::names::{Name, printable};
use crate::ops::jobs::Selection;
use crate::platform::supervise::{self, NoProgram, find_program};

/// Run an application, and restore and back up its databases around it
///
/// Restores missing databases, starts the application, backs up while it runs, and once more when it ends. Input,
/// output and environment of the application are those of this program; secrets of the store are removed from its
/// environment. A failed backup is a warning and never ends or delays the application.
///
/// SIGTERM, SIGHUP, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2 and SIGWINCH are passed to the application. At a stop signal
/// (SIGTERM, SIGINT, SIGQUIT) a backup starts at once, beside the ending application. If the databases change after
/// that, another one follows when the application has ended, as long as `grace` lasts. SIGTERM or SIGINT again, at least
/// 2 seconds later, ends everything at once.
///
/// Without a command it backs up until it is stopped. As process 1 of a container it also reaps orphans.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom run -- ./server --port 8080
  heirloom run --every 15m -- gunicorn app:app
  heirloom run --every 1h                    only the backups, as a service of its own
  heirloom run --beside 4711 --every 1h      until process 4711 ends, and once more then

The settings are those of the section [run] of the configuration, see heirloom.toml(5).

Exit codes: that of the application, 128+N if signal N ended it; 127 no such command; 126 it cannot be executed; \
before the start: 2 usage or configuration; 3 not everything could be restored; 11 another run uses the store; 12 there \
are backups, but none that may be taken unasked; 13 a database or the archive is damaged; 16 the store does not answer, \
so that a missing database cannot be restored; without a command: 0 stopped")]
pub struct RunArgs {
    /// Only this configured set
    #[arg(long, value_name = "NAME")]
    set: Option<Name>,
    /// Back up at this interval, such as 15m
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    every: Option<Duration>,
    /// The application is process PID, which something else started; its end is the stop signal
    #[arg(long, value_name = "PID", conflicts_with = "command")]
    pub(super) beside: Option<u32>,
    /// The application and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

impl RunArgs {
    /// Returns the interval of backups.
    pub(super) fn every(&self) -> Option<Duration> {
        self.every
    }

    /// Returns the set that was named.
    pub(super) fn set(&self) -> Option<&Name> {
        self.set.as_ref()
    }
}

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
    if let Some(refused) = no_program(args, context) {
        return Ok(Outcome::Ended(refused.exit_code()));
    }
    let selection = Selection { databases: &[], set: args.set(), only: &[] };
    let chosen = match context.configuration.refused_database() {
        Some(refused) if selection.is_open(&context.settings) => return Err(refused.into()),
        _ => selection.choose(&context.settings)?,
    };
    let start = Start::new(args, chosen, context)?;
    let lock = match run_lock::take(&start, context, context.settings.run.lease_wait) {
        Err(error) if is_interruption(&error) => {
            return start.ended_by_signal(context).map_or(Err(error), Ok);
        }
        taken => taken?,
    };
    start.say_of_store(context);
    let restores = match context.settings.run.restore {
        None => !args.command.is_empty(),
        Some(restore) => restore == RestoreAtStart::IfMissing,
    };
    if let Some(ended) = start.finish_earlier(context)? {
        return Ok(ended);
    }
    if restores && let Some(ended) = start.restore(context)? {
        return Ok(ended);
    }
    let application = start.application(context)?;
    Life::new(start, application, lock, context).run(context)
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

/// Returns the error about a process that is not there.
pub(super) fn no_process(pid: u32, cause: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot watch process {pid}: {cause}"), "name the PID of a running process with `--beside`")
}
