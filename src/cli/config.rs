//! `heirloom config show`, `check` and `init`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::settings::FILE_NAME;
use super::stores::{access, is_below};
use super::table::{Column, Table};
use super::ui::Tone;
use super::{Context, Outcome, remedy};
use crate::config::{EXAMPLE, Key, Origin};
use crate::database::probe;
use crate::failure::{Failure, FailureKind, Remedy};
use crate::names::{HostLabel, printable};
use crate::ops::explain::explain;
use crate::platform::{self, is_mount_point, may_give_to, parent, sync_folder};
use crate::report::config::{self as report, Setting, SettingValue};
use crate::store::{StoreError, Strangeness};
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
        ConfigCommand::Check(CheckArgs {}) => Ok(check(context)),
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

/// What one test of `config check` found.
struct Tested {
    what: String,
    /// 0: all is well.
    code: u8,
    message: String,
    remedy: Option<Remedy>,
    warning: bool,
}

impl Tested {
    fn good(what: impl Into<String>, message: String) -> Self {
        Self { what: what.into(), code: 0, message, remedy: None, warning: false }
    }

    fn odd(what: impl Into<String>, message: String) -> Self {
        Self { warning: true, ..Self::good(what, message) }
    }

    fn bad(what: impl Into<String>, error: anyhow::Error) -> Self {
        let Failure { kind, message, remedy } = explain(&error);
        Self { what: what.into(), code: kind.code(), message, remedy, warning: false }
    }

    fn hint(&self, context: &Context) -> Option<String> {
        self.remedy.as_ref().map(|remedy| remedy::hint(remedy, &context.typed))
    }

    fn state(&self) -> (&'static str, Tone) {
        match self {
            Self { code: 0, warning: false, .. } => ("ok", Tone::Good),
            Self { code: 0, .. } => ("warning", Tone::Warning),
            _ => ("error", Tone::Bad),
        }
    }
}

fn check(context: &mut Context) -> Outcome {
    let tested = tests(context);
    let code = [2, 10, 13, 16].into_iter().find(|code| tested.iter().any(|tested| tested.code == *code));
    let code = code.or_else(|| tested.iter().map(|tested| tested.code).find(|code| *code != 0));
    if context.ui.is_json() {
        let checks = tested.iter().map(|tested| report::Check {
            check: tested.what.clone(),
            state: tested.state().0,
            code: tested.code,
            message: tested.message.clone(),
            hint: tested.hint(context),
        });
        let checks = checks.collect();
        let file = context.configuration.file.as_ref().map(|file| file.to_string_lossy().into_owned());
        context.ui.document(&report::Checked { file, checks });
    } else {
        let mut table = Table::new(&[Column::new("STATE"), Column::new("SETTING"), Column::new("RESULT").wrap()]);
        for tested in tested.iter().filter(|tested| tested.code != 0 || context.ui.prints_results()) {
            let (state, tone) = tested.state();
            let hint = tested.hint(context).map(|hint| format!("; {hint}")).unwrap_or_default();
            table.row([context.ui.paint(tone, state), tested.what.clone(), format!("{}{hint}", tested.message)]);
        }
        if !table.is_empty() {
            context.ui.table(&table);
        }
    }
    code.map_or(Outcome::Done, Outcome::Found)
}

fn tests(context: &Context) -> Vec<Tested> {
    let configuration = &context.configuration;
    let effective = &configuration.effective;
    let mut tested = Vec::new();
    for problem in &effective.problems {
        tested.push(Tested::bad("configuration", super::settings::usage(problem).into()));
    }
    if tested.is_empty() {
        let message = match &configuration.file {
            Some(file) => format!("{} can be used", quoted(file)),
            None => "no file; defaults and the environment are used".to_owned(),
        };
        tested.push(Tested::good("configuration", message));
    }
    tested
        .extend(effective.warnings.iter().map(|warning| Tested::odd("configuration", printable(warning).into_owned())));

    let sets = &context.settings.sets;
    let store = &context.settings.store;
    for (set, settings) in sets {
        for (database, path) in &settings.databases {
            tested.push(test_database(format!("sets.{set}.databases.{database}"), path));
            tested.extend(test_folder(format!("sets.{set}.databases.{database}"), path, store));
        }
    }
    // With sets, `backup` ignores the variables.
    if sets.is_empty() {
        match (&context.settings.default_database, configuration.refused_database()) {
            (Some(path), _) => {
                tested.push(test_database("default_database".into(), path));
                tested.extend(test_folder("default_database".into(), path, store));
            }
            (None, Some(refused)) => tested.push(Tested::bad("default_database", refused.into())),
            (None, None) if effective.problems.is_empty() => {
                tested.push(Tested::odd(
                    "sets",
                    "no database is configured: `backup` needs one on its command line".into(),
                ));
            }
            (None, None) => {}
        }
    }
    // The default store is not a finding while the file that may name another cannot be read.
    if effective.problems.is_empty() || *effective.origin(Key::StoreDir) != Origin::Default {
        tested.extend(test_mount(context));
        tested.push(test_store(context));
        tested.extend(test_rights(context));
    }
    tested
}

fn test_database(what: String, path: &Path) -> Tested {
    match probe(path) {
        Ok(()) => Tested::good(what, format!("{} looks like a database", quoted(path))),
        Err(error) => Tested::bad(what, error.into()),
    }
}

/// Warns of a database among the archives. Nothing removes it, but there it looks like a copy made by another
/// tool.
fn test_folder(what: String, path: &Path, store: &Path) -> Option<Tested> {
    let folder = platform::resolved(path).parent().map(Path::to_owned)?;
    (folder == platform::resolved(store)).then(|| {
        let message = format!("{} is in the folder of the store", quoted(path));
        let hint = "name another folder in store.dir, so that the database is not mistaken for a backup";
        Tested { remedy: Some(hint.into()), ..Tested::odd(what, message) }
    })
}

/// Tests what must be mounted, if anything must.
fn test_mount(context: &Context) -> Option<Tested> {
    let mount = context.settings.store_mount.as_ref()?;
    let what = Key::StoreMount.to_string();
    let root = &context.settings.store;
    if !is_below(root, mount) {
        let message = format!("the store {} is not below {}", quoted(root), quoted(mount));
        return Some(Tested::bad(what, Failure::usage(message, "name the mount point that the store is on").into()));
    }
    Some(match is_mount_point(mount) {
        Ok(true) => Tested::good(what, format!("{} is mounted", quoted(mount))),
        Ok(false) => {
            let why = Strangeness::NotMounted(mount.clone());
            Tested::bad(what, StoreError::Strange { location: root.to_string_lossy().into_owned(), why }.into())
        }
        Err(cause) => {
            let cause = StoreError::Unreachable { location: mount.to_string_lossy().into_owned(), cause };
            Tested::bad(what, cause.into())
        }
    })
}

/// Tests whether others can read the archives as configured.
fn test_rights(context: &Context) -> Option<Tested> {
    let settings = &context.settings;
    let what = if settings.store_group.is_some() { Key::StoreGroup } else { Key::StoreMode }.to_string();
    let access = match access(&context.scene()) {
        Ok(access) => access,
        Err(error) => return Some(Tested::bad(what, error.into())),
    };
    let mode = access.folder_mode()?;
    if let (Some(group), Some(name)) = (access.group, &settings.store_group)
        && !may_give_to(group)
    {
        let message = format!("this user is not in the group {}, so the group cannot read archives", quoted(name));
        return Some(Tested::odd(
            what,
            format!("{message}; run `usermod --append --groups` as root, and log in again"),
        ));
    }
    let root = &settings.store;
    let Ok(found) = fs::metadata(root) else {
        return Some(Tested::good(what, format!("new archives are {:04o}", mode & 0o666)));
    };
    // A backup changes this itself, see `Access`.
    let closed = platform::is_private(&found) && platform::is_own(&found);
    let group = access.group.filter(|group| *group != platform::group(&found));
    Some(if closed || platform::allows(&found, mode) && group.is_none() {
        Tested::good(what, format!("new archives are {:04o}", mode & 0o666))
    } else {
        let word = crate::ops::restore::shell_word(&root.to_string_lossy());
        let chgrp = group.map(|group| format!("chgrp {group} {word} && ")).unwrap_or_default();
        Tested::odd(
            what,
            format!(
                "{} cannot be entered by all who may read archives; run `{chgrp}chmod {mode:04o} {word}`",
                quoted(root)
            ),
        )
    })
}

/// Tests the store without writing to it.
fn test_store(context: &Context) -> Tested {
    let root = context.settings.store.as_path();
    let what = Key::StoreDir.to_string();
    let unreachable =
        |cause: io::Error| StoreError::Unreachable { location: root.to_string_lossy().into_owned(), cause };
    let writable = |folder: &Path| platform::may_make_files_in(folder).map_err(unreachable);
    let outcome = match context.store() {
        Ok(store) => store
            .store()
            .refuse_strangers()
            .and_then(|()| writable(root))
            .map(|()| format!("{} can be written", quoted(root))),
        Err(StoreError::Unreachable { cause, .. })
            if cause.kind() == io::ErrorKind::NotFound
                && fs::metadata(parent(root)).is_ok_and(|found| found.is_dir()) =>
        {
            writable(parent(root)).map(|()| format!("{} does not exist yet; the first backup creates it", quoted(root)))
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(message) => Tested::good(what, message),
        Err(error) => {
            let mut tested = Tested::bad(what, error.into());
            tested.code = 16;
            tested
        }
    }
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
