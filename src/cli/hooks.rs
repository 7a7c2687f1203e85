//! Runs the programs of `[hooks]`.
//!
//! Each runs while this process holds no lock and no read transaction, so that a `heirloom` that it calls does not wait
//! for this one. That one runs no hooks, or a backup in a hook would never end. After a `before_backup` that succeeded,
//! either `after_backup` or `on_failure` runs, so that a service that was stopped can be started again.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Stdio;
use std::time::Duration;

use super::exit::exit_code;
use super::invocation::GIVE_WAY;
use super::settings::variable;
use super::{Context, Outcome};
use crate::config::{Key, Value};
use crate::failure::{Failure, FailureKind, message};
use crate::metadata::Kind;
use crate::names::{Name, printable};
use crate::ops::explain::explain;
use crate::platform::child::{self, Ended, Group, Left, Program};
use crate::text::shell_word;

/// Names the hook that runs, and keeps a `heirloom` inside it from running hooks.
const RUNNING: &str = "HEIRLOOM_HOOK";
/// How long a program may take to exit after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// Variables that only this program needs: a program that it starts gets them if `pass_env` says so.
const SECRETS: [&str; 6] =
    ["AWS_*", "CONNECT_API_KEY", "HEIRLOOM_IDENTITY_FILE", "NOTIFY_SOCKET", "WATCHDOG_*", "LISTEN_*"];

/// What a hook learns from its environment, besides its own name and the store.
#[derive(Debug, Default)]
struct Event {
    command: &'static str,
    outcome: &'static str,
    set: Option<String>,
    kind: Option<String>,
    archive: Option<String>,
    error: Option<(String, u8)>,
}

impl Event {
    fn of_set(command: &'static str, outcome: &'static str, set: &Name) -> Self {
        Self { command, outcome, set: Some(set.to_string()), ..Self::default() }
    }
}

/// A backup that hooks run around.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// The command that makes it.
    pub(super) command: &'static str,
    /// The set.
    pub(super) set: Name,
    /// Why it is made.
    pub(super) kind: Kind,
}

impl Around {
    fn event(&self, outcome: &'static str) -> Event {
        Event { kind: Some(self.kind.to_string()), ..Event::of_set(self.command, outcome, &self.set) }
    }

    /// Runs `before_backup`. Fails if it fails: then nothing is backed up.
    pub(super) fn before(&self, context: &Context) -> anyhow::Result<()> {
        run(Key::BeforeBackup, &self.event("starting"), context).map_err(|why| {
            let failure = Failure::new(FailureKind::Failed, format!("{why}, so \"{}\" was not backed up", self.set));
            failure.remedy("run that program by hand to see why it fails").into()
        })
    }

    /// Runs `after_backup`, whose failure is only a warning. `archive` is its path or address; without one no archive
    /// was made.
    pub(super) fn after(&self, archive: Option<String>, outcome: Outcome, context: &Context) {
        let outcome = match (&archive, outcome) {
            (None, _) => "skipped",
            (Some(_), Outcome::Done) => "done",
            (Some(_), _) => "problems",
        };
        warn(Key::AfterBackup, &Event { archive, ..self.event(outcome) }, context);
    }

    /// Runs `on_failure`, whose failure is only a warning.
    pub(super) fn failed(&self, error: &anyhow::Error, context: &mut Context) {
        failed(self.event("failed"), error, context);
    }
}

/// Runs `after_restore`, whose failure is only a warning.
pub(super) fn after_restore(command: &'static str, set: &Name, archive: &str, outcome: Outcome, context: &Context) {
    let outcome = if outcome == Outcome::Done { "done" } else { "problems" };
    let archive = Some(archive.to_owned());
    warn(Key::AfterRestore, &Event { archive, ..Event::of_set(command, outcome, set) }, context);
}

/// Runs `on_failure` for a command that failed, unless it ran for the same failure already, or a person answered no or
/// mistyped and sees it.
pub(super) fn on_failure(command: &'static str, error: &anyhow::Error, context: &mut Context) {
    if !context.failure_hook_ran && !context.ui.was_declined() && explain(error).kind != FailureKind::Usage {
        let set = context.records.last().and_then(|record| record.set.clone());
        failed(Event { command, outcome: "failed", set, ..Event::default() }, error, context);
    }
}

fn failed(event: Event, error: &anyhow::Error, context: &mut Context) {
    context.failure_hook_ran = true;
    let code = exit_code(error, context.ui.signal());
    if context.ui.signal().is_some() && context.typed.has(GIVE_WAY) {
        // `run` ended its own job, and repeats it.
        return;
    }
    let outcome = if code > 128 { "interrupted" } else { event.outcome };
    // With the causes, and without anything that a terminal would act on.
    let error = Some((message(error), code));
    warn(Key::OnFailure, &Event { outcome, error, ..event }, context);
}

fn warn(hook: Key, event: &Event, context: &Context) {
    if let Err(why) = run(hook, event, context) {
        context.ui.warning(why);
    }
}

/// Returns whether this program runs inside a hook.
pub(super) fn is_inside() -> bool {
    variable(RUNNING).is_some()
}

/// Runs a hook, if there is one. Returns why it failed.
fn run(hook: Key, event: &Event, context: &Context) -> Result<(), String> {
    let Some(Value::Texts(words)) = hook.get(&context.settings) else { return Ok(()) };
    if is_inside() {
        context.ui.detail(format!("{hook} does not run inside another hook"));
        return Ok(());
    }
    let shown: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
    let shown = format!("the hook {} ({})", hook.name(), printable(&shown.join(" ")));
    context.ui.detail(format!("running {shown}"));
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    let variables = variables(hook, event, context);
    let timeout = context.settings.hooks.timeout;
    let program = Program {
        words: &words,
        timeout: Some(timeout),
        grace: GRACE,
        // Standard output is reserved for results.
        output: io::stderr().into(),
        group: Group::Own,
        input: Stdio::null(),
        variables: &variables,
        left: Left::Killed,
    };
    match child::run(program) {
        Ok(ended) if ended.succeeded() => Ok(()),
        Ok(Ended { timed_out: true, .. }) => {
            Err(format!("{shown} did not end within {}", humantime::format_duration(timeout)))
        }
        Ok(Ended { signal: Some(signal), .. }) => Err(format!("{shown} was ended by signal {signal}")),
        Ok(ended) => Err(format!("{shown} failed with exit code {}", ended.exit_code())),
        Err(error) => Err(format!("{shown} could not be started: {error}")),
    }
}

/// Returns the variables of a hook that differ from ours.
fn variables(hook: Key, event: &Event, context: &Context) -> Vec<(OsString, Option<OsString>)> {
    let passed = &context.settings.hooks.pass_env;
    let names = std::env::vars_os().map(|(name, _)| name);
    let mut variables: Vec<(OsString, Option<OsString>)> =
        names.filter(|name| is_withheld(name, passed)).map(|name| (name, None)).collect();
    let (error, code) = event.error.clone().unzip();
    // Values of an earlier run must not be taken for ours: what is not known is removed.
    for (name, value) in [
        (RUNNING, Some(hook.name().to_owned())),
        ("HEIRLOOM_COMMAND", Some(event.command.to_owned())),
        ("HEIRLOOM_OUTCOME", Some(event.outcome.to_owned())),
        ("HEIRLOOM_SET", event.set.clone()),
        ("HEIRLOOM_KIND", event.kind.clone()),
        ("HEIRLOOM_ARCHIVE", event.archive.clone()),
        ("HEIRLOOM_STORE", Some(context.settings.store.to_string())),
        ("HEIRLOOM_ERROR", error),
        ("HEIRLOOM_EXIT_CODE", code.map(|code| code.to_string())),
    ] {
        variables.push((name.into(), value.map(|value| value.replace('\0', "").into())));
    }
    variables
}

/// Returns whether a hook or an application does not get a variable.
pub(super) fn is_withheld(name: &OsStr, passed: &[String]) -> bool {
    let name = name.to_string_lossy();
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    SECRETS.iter().any(|pattern| fits(pattern)) && !passed.iter().any(|pattern| fits(pattern))
}
