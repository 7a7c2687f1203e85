//! The command line: the only place that parses arguments, prints, asks, and knows the clock and the environment.
//!
//! One file per command: an `Args` struct whose doc comments are the help, and one `run`.

mod accept;
mod backup;
mod backup_args;
mod backup_captures;
mod backup_request;
mod backup_round;
mod backup_set;
mod backup_text;
mod bar;
mod check_arg;
mod choice;
mod cleanup;
mod complete;
mod completions;
mod config;
mod config_check;
mod config_check_encryption;
mod config_check_schedule;
mod context;
mod copies;
mod copy;
mod delete;
mod documents;
mod encryption;
mod exit;
mod give_way;
mod guard;
mod guard_programs;
mod health;
mod health_metrics;
mod hooks;
mod http;
mod interrupted;
mod invocation;
mod key;
mod keyless;
mod latest;
mod list;
mod log;
mod neighbours;
mod notices;
mod notify;
mod pending;
mod pin;
mod record;
mod remedy;
mod restore;
mod restore_apply;
mod restore_args;
mod restore_each;
mod restore_select;
mod restore_set;
mod restore_stores;
mod restore_tables;
mod restore_targets;
mod restore_text;
mod retain;
mod retain_text;
mod rotate;
mod round;
mod run;
mod run_args;
mod run_job;
mod run_lease;
mod run_life;
mod run_lock;
mod run_pin;
mod run_places;
mod run_restore;
mod run_schedule;
mod run_seen;
mod run_server;
mod run_start;
mod run_unrestored;
mod schedule;
mod schedule_units;
mod serve;
mod serve_code;
mod serve_notices;
mod settings;
mod show;
mod stages;
mod status;
mod store;
mod store_names;
mod stores;
mod table;
mod tested;
mod time;
mod ui;
mod undo;
mod verify;
mod wrap;

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use invocation::{COMPARE, GIVE_WAY, REPORT_CAPTURED};

use crate::text;

pub use completions::script as completion_script;
pub use context::Context;
pub use exit::{Outcome, exit_code};
pub use invocation::Invocation;
pub use serve::{Opened, Serve};
pub use ui::{ColorWhen, ProgressWhen, Ui};

/// Back up, verify, rotate and restore SQLite databases
#[derive(Parser, Debug)]
#[command(
    name = "heirloom", version = exit::VERSION.as_str(), after_help = exit::CODES,
    disable_help_subcommand = true, max_term_width = 100
)]
pub struct Cli {
    /// Options of every command
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(clap::Args, Debug, Clone)]
pub struct GlobalArgs {
    /// Use this configuration file and no other [env: HEIRLOOM_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub config: Option<std::path::PathBuf>,
    /// The folder with the archives, or the URL of a remote store, such as s3://BUCKET/PREFIX or connect: [env:
    /// HEIRLOOM_DIR, BACKUP_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    pub dir: Option<std::path::PathBuf>,
    /// Use this store of the configuration alone: the name of a copy, main, or, to list and verify, all
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "dir", help_heading = "Common options")]
    pub store: Option<String>,
    /// A file with secret keys that open encrypted archives; can be repeated [env: HEIRLOOM_IDENTITY_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub identity: Vec<std::path::PathBuf>,
    /// Print one JSON document on stdout, errors as JSON on stderr
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
    /// Print errors only
    #[arg(short, long, global = true, help_heading = "Common options")]
    pub quiet: bool,
    /// Print more detail
    #[arg(short, long, global = true, help_heading = "Common options")]
    pub verbose: bool,
    /// Colour the output
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, help_heading = "Common options")]
    pub color: ColorWhen,
    /// Show a progress bar on stderr
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, help_heading = "Common options")]
    pub progress: ProgressWhen,
}

/// The commands.
#[derive(Subcommand, Debug)]
#[allow(missing_docs, reason = "the help of a command is the doc comment of its arguments")]
pub enum Command {
    Backup(backup_args::BackupArgs),
    Restore(Box<restore_args::RestoreArgs>),
    Copy(copy::CopyArgs),
    Store(store::StoreArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Verify(verify::VerifyArgs),
    Status(status::StatusArgs),
    Health(health::HealthArgs),
    Rotate(rotate::RotateArgs),
    Cleanup(cleanup::CleanupArgs),
    Delete(delete::DeleteArgs),
    Pin(pin::PinArgs),
    Unpin(pin::UnpinArgs),
    Accept(accept::AcceptArgs),
    Log(log::LogArgs),
    Guard(Box<guard::GuardArgs>),
    Run(run_args::RunArgs),
    Key(key::KeyArgs),
    Schedule(schedule::ScheduleArgs),
    Serve(serve::ServeArgs),
    Notify(notify::NotifyArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
}

/// Parses the command line, runs the command, and returns the exit code of the table.
pub fn main(serve: Option<Serve>) -> u8 {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = run::launch(&words) {
        return code;
    }
    crate::platform::keep_own_rights();
    if let Some(code) = documents::print(&words) {
        return code;
    }
    // Prints completions and exits if a shell set `COMPLETE`.
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    // In a script it is a mistake, and gets the help.
    let is_bare = words.len() == 1 && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let (cli, typed) = match parse(&if is_bare { bare(words.clone()) } else { with_help(words.clone()) }) {
        Ok((cli, typed)) => (if is_bare { in_short(cli) } else { cli }, typed),
        Err(error) => return exit::usage(&error),
    };
    if matches!(cli.command, Command::Run(_)) && std::process::id() == 1 {
        return run::first_process(&words);
    }
    // `config` must run with a broken configuration, to help repair it.
    let gathered = if matches!(cli.command, Command::Config(_)) {
        Context::gather(&cli.global, &typed)
    } else {
        Context::new(&cli.global, &typed)
    };
    let mut context = match gathered {
        Ok(context) => context,
        Err(error) => {
            let mut ui = Ui::new(&cli.global);
            return match &cli.command {
                Command::Health(args) if args.is_for_nagios() => health::unknown(&error, &mut ui),
                _ => exit::report(&error, &typed, &mut ui),
            };
        }
    };
    let result = dispatch(&cli.command, serve, &mut context);
    let code = exit::finish(result, &typed, &mut context.ui);
    notices::send(&mut context);
    code
}

/// Parses the command line, and keeps what was typed.
fn parse(args: &[OsString]) -> Result<(Cli, Invocation), clap::Error> {
    // Not among the options of `Cli`: most completion scripts offer hidden ones as well.
    let of_jobs = [COMPARE, GIVE_WAY, REPORT_CAPTURED].map(|flag| {
        let name = flag.trim_start_matches('-');
        Arg::new(name).long(name).action(ArgAction::SetTrue).global(true).hide(true)
    });
    let mut command = Cli::command().args(of_jobs);
    let matches = command.try_get_matches_from_mut(args)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let typed = Invocation::new(args, &matches, &cli.global);
    Ok((cli, typed))
}

/// Reads `heirloom` alone as `heirloom status`.
fn bare(mut args: Vec<OsString>) -> Vec<OsString> {
    args.push("status".into());
    args
}

/// Makes `status` print the short form.
fn in_short(mut cli: Cli) -> Cli {
    if let Command::Status(args) = &mut cli.command {
        args.brief = true;
    }
    cli
}

/// Reads `heirloom help COMMAND` as `heirloom COMMAND --help`; a real subcommand would double the completions.
fn with_help(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|word| word == "help") {
        args.remove(1);
        args.push("--help".into());
    }
    args
}

fn dispatch(command: &Command, serve: Option<Serve>, context: &mut Context) -> anyhow::Result<Outcome> {
    let started = std::time::Instant::now();
    match command {
        // Health reports it as a check.
        Command::Config(_)
        | Command::Completions(_)
        | Command::Health(_)
        | Command::Key(_)
        | Command::Notify(_)
        | Command::Status(_) => {}
        // It takes them back itself.
        Command::Run(_) | Command::Serve(_) => {}
        Command::Restore(args) if args.is_undo() => {}
        _ => interrupted::report_all(context),
    }
    match command {
        // Restore and guard do not wait here: they try again after their own safety backup.
        Command::Restore(args) if !args.is_read_only() => pending::send(context, std::time::Duration::ZERO),
        Command::Guard(_) => pending::send(context, std::time::Duration::ZERO),
        Command::Rotate(args) if args.is_read_only() => {}
        Command::Cleanup(args) if args.is_read_only() => {}
        Command::Copy(args) if args.is_read_only() => {}
        Command::Backup(_) | Command::Rotate(_) | Command::Cleanup(_) | Command::Copy(_) => {
            pending::send(context, pending::WAIT)
        }
        _ => {}
    }
    if context.typed.has(GIVE_WAY) {
        give_way::begin(context);
    }
    if matches!(command, Command::Backup(args) if !args.is_read_only()) {
        notices::begin(context);
    }
    let (name, result) = match command {
        Command::Backup(args) => ("backup", backup::run(args, context)),
        Command::Restore(args) if !args.is_read_only() => ("restore", restore::run(args, context)),
        Command::Copy(args) if !args.is_read_only() => ("copy", copy::run(args, context)),
        Command::Guard(args) => ("guard", guard::run(args, context)),
        Command::Verify(args) => ("verify", verify::run(args, context)),
        Command::Rotate(args) if !args.is_read_only() => ("rotate", rotate::run(args, context)),
        Command::Cleanup(args) if !args.is_read_only() => ("cleanup", cleanup::run(args, context)),
        // Its jobs are logged.
        Command::Run(args) => return run::run(args, context),
        Command::Serve(args) => {
            let result = serve::run(args, serve, context);
            // Beside an application, the warning alone goes unnoticed. A server that a signal ended has no error.
            if result.is_err() {
                notices::note("serve", &result, started, context);
            }
            return result;
        }
        Command::Delete(args) if !args.is_read_only() => ("delete", delete::run(args, context)),
        Command::Pin(args) => ("pin", pin::run(args, context)),
        Command::Unpin(args) => ("unpin", pin::run_unpin(args, context)),
        Command::Accept(args) => ("accept", accept::run(args, context)),
        // Read-only commands are not logged.
        Command::Rotate(args) => return rotate::run(args, context),
        Command::Cleanup(args) => return cleanup::run(args, context),
        Command::Copy(args) => return copy::run(args, context),
        Command::Delete(args) => return delete::run(args, context),
        Command::Restore(args) => return restore::run(args, context),
        Command::Status(args) => return status::run(args, context),
        Command::Health(args) => {
            let result = health::run(args, context);
            notices::note("health", &result, started, context);
            return result;
        }
        Command::List(args) => return list::run(args, context),
        Command::Show(args) => return show::run(args, context),
        Command::Key(args) => return key::run(args, context),
        Command::Store(args) => return store::run(args, context),
        Command::Schedule(args) => return schedule::run(args, context),
        Command::Notify(args) => return notify::run(args, context),
        Command::Config(args) => return config::run(args, context),
        Command::Log(args) => return log::run(args, context),
        Command::Completions(args) => return completions::run(args, context),
    };
    let result = match (command, result) {
        (Command::Backup(_) | Command::Rotate(_) | Command::Cleanup(_), Ok(Outcome::Done))
            if pending::warn_of_rest(context) =>
        {
            Ok(Outcome::Problems)
        }
        // A pending safety backup of an earlier run must not stop a deployment.
        (Command::Restore(_) | Command::Guard(_), Ok(Outcome::Done)) => {
            pending::warn_of_rest(context);
            Ok(Outcome::Done)
        }
        (_, result) => result,
    };
    context.stores.settle(&context.ui);
    if let Err(error) = &result {
        hooks::on_failure(name, error, context);
    }
    if notices::COMMANDS.contains(&name) {
        notices::note(name, &result, started, context);
    }
    log::write(name, &result, started, context);
    result
}
