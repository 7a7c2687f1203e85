//! `heirloom config show`, `check` and `init`.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;

use super::settings::FILE_NAME;
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, Outcome};
use crate::config::{EXAMPLE, Key, Origin, Way};
use crate::failure::{Failure, FailureKind};
use crate::names::{HostLabel, printable};
use crate::platform::{self, parent, sync_folder};
use crate::report::config::{self as report, Setting, SettingValue};
use crate::text::quoted;

/// Create, show or check the configuration
///
/// Settings come from flags, the environment, a `.env` file in the working directory and one configuration file, in
/// this order of precedence. The file is the one that `--config` or HEIRLOOM_CONFIG names, else the first of
/// ./heirloom.toml, $XDG_CONFIG_HOME/heirloom/heirloom.toml and /etc/heirloom/heirloom.toml. heirloom.toml(5) explains
/// all of it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom config init   create a commented ./heirloom.toml
  heirloom config check  check it, its databases and its store
  heirloom config show   print the settings in force

Exit codes: 0 done; 2 wrong configuration; 10 a database does not exist; 13 a file is not a SQLite database; 14 the \
file to write exists; 16 the store does not exist or cannot be written")]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(clap::Subcommand, Debug)]
enum ConfigCommand {
    Show(ShowArgs),
    Check(CheckArgs),
    Init(InitArgs),
}

/// Print the settings in force, and where each comes from
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom config show
  heirloom config show --json | jq '.settings[] | select(.origin != \"default\")'

Exit codes: 0 done; 2 the configuration cannot be used")]
struct ShowArgs {}

/// Check the settings: keys, values, databases and store
///
/// Lists everything that is wrong, not only the first. Nothing is written.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom config check
  heirloom config check --config /etc/heirloom/heirloom.toml

Exit codes: 0 all is well; 2 wrong configuration; 10 a database does not exist; 13 a file is not a SQLite database; \
16 the store is not there or cannot be written. Of several the first of these.")]
struct CheckArgs {}

/// Write a commented configuration file
///
/// Every line in it is a comment that shows the default, so that it changes nothing until you edit it. An existing file
/// is never replaced.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  heirloom config init
  heirloom config init /etc/heirloom/heirloom.toml

Exit codes: 0 done; 2 no such folder; 14 the file is already there")]
struct InitArgs {
    /// The file to write
    #[arg(value_name = "FILE", default_value = FILE_NAME)]
    file: PathBuf,
}

pub(super) fn run(args: &ConfigArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    match &args.command {
        ConfigCommand::Show(ShowArgs {}) => show(context),
        ConfigCommand::Check(CheckArgs {}) => Ok(super::config_check::check(context)),
        ConfigCommand::Init(args) => init(args, context),
    }
}

/// A line of `config show`.
struct Row {
    key: String,
    value: Option<SettingValue>,
    shown: String,
    origin: Origin,
    /// Source of a value that this machine provides.
    machine: Option<&'static str>,
}

fn rows(context: &Context) -> Vec<Row> {
    let effective = &context.configuration.effective;
    let mut rows = Vec::new();
    for each in &context.settings.each {
        rows.push(Row {
            key: format!("sets.{}.each", each.name),
            value: Some(SettingValue::Text(each.pattern.to_string())),
            shown: each.pattern.to_string(),
            origin: effective.each_origin(&each.name).clone(),
            machine: None,
        });
    }
    for (set, settings) in &context.settings.sets {
        for (database, path) in &settings.databases {
            rows.push(Row {
                key: format!("sets.{set}.databases.{database}"),
                value: Some(SettingValue::Text(path.to_string_lossy().into_owned())),
                shown: printable(&path.to_string_lossy()).into_owned(),
                origin: effective.database_origin(set, database).clone(),
                machine: None,
            });
        }
    }
    if let Some(path) = &context.settings.default_database {
        rows.push(Row {
            key: "default_database".into(),
            value: Some(SettingValue::Text(path.to_string_lossy().into_owned())),
            shown: printable(&path.to_string_lossy()).into_owned(),
            origin: effective.default_database.clone(),
            machine: None,
        });
    }
    for copy in &context.settings.copies {
        rows.push(Row {
            key: format!("copies.{}", copy.name),
            value: Some(SettingValue::Text(copy.location.to_string())),
            shown: printable(&copy.location.to_string()).into_owned(),
            origin: effective.copy_origin(&copy.name).clone(),
            machine: None,
        });
    }
    for receiver in &context.settings.receivers {
        let on: Vec<&str> = receiver.on.iter().map(|event| event.as_str()).collect();
        let is_switch = matches!(receiver.way, Way::Healthchecks { .. });
        let on = if is_switch { "every backup".to_owned() } else { on.join(", ") };
        let shown = format!("{}: {on}", receiver.way);
        rows.push(Row {
            key: format!("notify.{}", receiver.name),
            value: Some(SettingValue::Text(shown.clone())),
            shown,
            origin: effective.receiver_origin(&receiver.name).clone(),
            machine: None,
        });
    }
    for key in Key::ALL {
        let value = key.get(&context.settings);
        if key == Key::Host && value.is_none() {
            let label = context.host.label.as_str();
            let machine = if context.host.label == HostLabel::container() { "container" } else { "host name" };
            let origin = Origin::System;
            rows.push(Row {
                key: key.to_string(),
                value: Some(SettingValue::Text(label.into())),
                shown: label.into(),
                origin,
                machine: Some(machine),
            });
            continue;
        }
        rows.push(Row {
            key: key.to_string(),
            shown: value.as_ref().map_or_else(|| key.without_value().to_owned(), ToString::to_string),
            value: value.map(SettingValue::Value),
            origin: effective.origin(key).clone(),
            machine: None,
        });
    }
    rows
}

fn show(context: &mut Context) -> anyhow::Result<Outcome> {
    context.configuration.require()?;
    let effective = &context.configuration.effective;
    let refused = effective.refused_database.as_ref().map(|problem| format!("{problem}; no database is taken from it"));
    for warning in effective.warnings.iter().chain(&refused) {
        context.ui.warning(warning);
    }
    let rows = rows(context);
    let file = context.configuration.file.clone();
    if context.ui.is_json() {
        let settings = rows.into_iter().map(setting).collect();
        context.ui.document(&report::Settings { file: file.map(|file| file.to_string_lossy().into_owned()), settings });
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[Column::new("SETTING"), Column::new("VALUE").wrap(), Column::new("ORIGIN").wrap()]);
    for row in &rows {
        let origin = row.machine.map_or_else(|| row.origin.to_string(), str::to_owned);
        let origin = if row.origin == Origin::Default { context.ui.paint(Tone::Dim, &origin) } else { origin };
        table.row([row.key.clone(), row.shown.clone(), origin]);
    }
    context.ui.table(&table);
    context.ui.note(match file {
        Some(file) => format!("configuration file: {}", quoted(file)),
        None => "no configuration file".to_owned(),
    });
    Ok(Outcome::Done)
}

fn setting(row: Row) -> Setting {
    let (origin, variables) = match &row.origin {
        Origin::Default => ("default", Vec::new()),
        Origin::File { variables, .. } => ("file", variables.clone()),
        Origin::DotEnv { variable, .. } => ("dotenv", vec![variable.clone()]),
        Origin::Environment { variable } => ("environment", vec![variable.clone()]),
        Origin::Flag(_) => ("flag", Vec::new()),
        Origin::System if row.machine == Some("container") => ("container", Vec::new()),
        Origin::System => ("host", Vec::new()),
    };
    let (file, line) = match &row.origin {
        Origin::File { path, line, .. } => (Some(path.to_string_lossy().into_owned()), Some(*line)),
        Origin::DotEnv { line, .. } => (Some(".env".into()), Some(*line)),
        _ => (None, None),
    };
    Setting { key: row.key, value: row.value, origin, file, line, variables }
}

fn init(args: &InitArgs, context: &mut Context) -> anyhow::Result<Outcome> {
    let file = args.file.as_path();
    // If we die in between, the file is empty or has part of its comments; both mean the defaults.
    let mut opened = match platform::public_file(file) {
        Ok(opened) => opened,
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} already exists and was not changed", quoted(file));
            let remedy = "name another file, or move this one away first";
            return Err(Failure::new(FailureKind::TargetExists, message).remedy(remedy).into());
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let folder = quoted(parent(file));
            return Err(Failure::usage(
                format!("cannot write {}: folder {folder} does not exist", quoted(file)),
                "create the folder first",
            )
            .into());
        }
        Err(cause) => return Err(cause).with_context(|| format!("cannot write {}", quoted(file))),
    };
    let written =
        opened.write_all(EXAMPLE.as_bytes()).and_then(|()| opened.sync_all()).and_then(|()| sync_folder(parent(file)));
    if let Err(cause) = written {
        // We have just created it, and it is incomplete.
        let _ = fs::remove_file(file);
        return Err(cause).with_context(|| format!("cannot write {}", quoted(file)));
    }
    if context.ui.is_json() {
        context.ui.document(&report::Written { file: file.to_string_lossy().into_owned() });
    } else {
        context.ui.line(format!("wrote {}; edit it, then run `heirloom config check`", quoted(file)));
    }
    Ok(Outcome::Done)
}
