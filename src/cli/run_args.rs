//! The command line of `heirloom run`.

use std::ffi::OsString;
use std::time::Duration;

use crate::config::parse_age;
use crate::names::Name;

/// Run an application, and restore and back up its databases around it
///
/// Restores missing databases, captures the state before the application, starts it, backs up while it runs, and once
/// more when it ends. Input, output and environment of the application are those of this program; secrets of the store
/// are removed from its environment. A failed backup is a warning and never ends the application.
///
/// SIGTERM, SIGHUP, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2 and SIGWINCH are passed to the application. At a stop signal
/// (SIGTERM, SIGINT, SIGQUIT) a backup starts at once, beside the ending application. If the databases change after
/// that, another one follows when the application has ended, as long as `grace` lasts. SIGTERM or SIGINT again, at
/// least 2 seconds later, ends everything at once.
///
/// Without a command it backs up until it is stopped. As process 1 of a container it also reaps orphans.
///
/// Standard output belongs to the application. With --json, errors are JSON on standard error.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom run -- ./server --port 8080
  heirloom run --every 15m -- gunicorn app:app
  heirloom run --every 1h                    only the backups, as a service of its own
  heirloom run --beside 4711 --every 1h      until process 4711 ends, and once more then

Settings: the sections [run] and [schedule] of the configuration, see heirloom.toml(5).

Exit codes: that of the application, 128+N if signal N ended it; 127 no such command; 126 it cannot be executed; \
before the start: 2 usage or configuration; 3 not everything could be restored; 11 another run uses the store; 12 \
there are backups, but none that may be taken unasked; 13 a database or the archive is damaged; 16 the store does \
not answer, so that a missing database cannot be restored; without a command: 0 stopped")]
pub struct RunArgs {
    /// Only this configured set
    #[arg(long, value_name = "NAME")]
    pub(super) set: Option<Name>,
    /// Back up at this interval instead of the configured times, such as 15m
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    pub(super) every: Option<Duration>,
    /// The application is process PID, which something else started; its end is the stop signal
    #[arg(long, value_name = "PID", conflicts_with = "command")]
    pub(super) beside: Option<u32>,
    /// Also serve the page and the API for administrators at this address, as `heirloom serve` does
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<String>,
    /// With --listen: serve over TCP as root all the same
    #[arg(long, requires = "listen")]
    pub(super) as_root: bool,
    /// How each line on standard error is written: as text, or as JSON with time, level and message
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(super) log_format: LogFormat,
    /// The application and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// How events are written.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document in each line, for collectors.
    Json,
}
