//! The programs that guard runs: how, and those that check health.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::Context;
use super::http::Url;
use crate::names::printable;
use crate::platform::child::{self, Ended, Group, Left, Program};

/// Delay between two attempts.
const BETWEEN_CHECKS: Duration = Duration::from_secs(1);
/// Timeout of one request to a health URL.
const ANSWER: Duration = Duration::from_secs(10);

/// Returns how a command is run: at a terminal in the process group of this program.
pub(super) fn program<'a>(
    words: &'a [OsString],
    timeout: Option<Duration>,
    grace: Duration,
    context: &Context,
) -> Program<'a> {
    let at_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    Program {
        words,
        timeout,
        grace,
        // Standard output is reserved for the JSON document.
        output: if context.ui.is_json() { io::stderr().into() } else { Stdio::inherit() },
        group: if at_terminal { Group::Ours } else { Group::Own },
        input: Stdio::inherit(),
        variables: &[],
        left: Left::Running,
    }
}

/// The health checks after the command.
pub(super) struct HealthChecks<'a> {
    pub(super) url: Option<Url>,
    /// The URL as it was typed.
    pub(super) text: Option<&'a String>,
    /// A command of the shell.
    pub(super) command: Option<&'a OsString>,
    pub(super) timeout: Duration,
}

impl HealthChecks<'_> {
    pub(super) fn is_none(&self) -> bool {
        self.url.is_none() && self.command.is_none()
    }

    /// Retries the checks until they pass or time out. Returns the failure.
    pub(super) fn failure(&self, context: &Context) -> Option<String> {
        let started = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(started.elapsed());
            let trouble = self.ask(context, left)?;
            if let Some(signal) = context.ui.signal() {
                return Some(format!("the health checks were stopped by signal {signal}: {trouble}"));
            }
            if started.elapsed() + BETWEEN_CHECKS >= self.timeout {
                return Some(trouble);
            }
            context.ui.detail(format!("not healthy yet: {trouble}"));
            thread::sleep(BETWEEN_CHECKS);
        }
    }

    /// Runs every health check once. Returns the failure.
    fn ask(&self, context: &Context, left: Duration) -> Option<String> {
        let within = left.max(BETWEEN_CHECKS);
        if let (Some(url), Some(text)) = (&self.url, self.text)
            && let Err(why) = url.ask(within.min(ANSWER))
        {
            return Some(format!("{} is not healthy: {why}", printable(text)));
        }
        let command = self.command?;
        let words = [OsString::from("sh"), OsString::from("-c"), command.clone()];
        let why = match child::run(program(&words, Some(within), BETWEEN_CHECKS, context)) {
            Ok(ended) if ended.succeeded() => return None,
            Ok(Ended { timed_out: true, .. }) => "did not end in time".to_owned(),
            Ok(Ended { signal: Some(signal), .. }) => format!("was ended by signal {signal}"),
            Ok(ended) => format!("failed with exit code {}", ended.exit_code()),
            Err(error) => format!("could not be run: {error}"),
        };
        Some(format!("the health command {why}"))
    }
}
