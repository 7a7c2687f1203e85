//! Calls the `rclone` program: one process per call, without a shell, without input, without its own retries.
//!
//! What its exit codes mean is in its manual, section "List of exit codes". Code 1 stands for anything, so nothing is
//! concluded from it: what the caller needs to know is looked up.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use serde::Deserialize;

use super::super::surroundings::Remote;
use crate::names::printable;
use crate::platform::tool::{self, Done, Tool, Watch};
use crate::progress::{Interrupted, Progress};

/// A folder does not exist.
pub(super) const NO_FOLDER: i32 = 3;
/// Nothing was transferred.
pub(super) const NOTHING_TRANSFERRED: i32 = 9;

/// How to get the program.
const MISSING: &str = "the program `rclone` is not installed; install the package \"rclone\", or see \
                       https://rclone.org/install";
/// The longest message of rclone that is shown, in bytes.
const MAX_MESSAGE: usize = 2000;
/// How long a connection may take, in seconds.
const CONNECT: u64 = 10;
/// The variables that a `.env` file may set for it.
const PASSED_ON: [&str; 3] = ["PATH", "RCLONE_CONFIG", "RCLONE_CONFIG_PASS"];
/// rclone refuses to start if it cannot use the file that this names.
const REMOVED: &str = "AWS_CA_BUNDLE";

/// A call that ended by itself.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: Option<i32>,
    pub(super) output: Vec<u8>,
    /// How many files it renamed, as far as it reported that.
    pub(super) renamed: u64,
    messages: Vec<String>,
}

impl Answer {
    pub(super) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns what rclone printed, as an error.
    pub(super) fn failure(&self) -> io::Error {
        let mut message = self.messages.join("; ");
        if message.is_empty() {
            message = match self.code {
                Some(code) => format!("rclone ended with exit code {code}"),
                None => "rclone was killed".into(),
            };
        }
        io::Error::other(message)
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It was not started, or ended because it made no progress.
    Failed(io::Error),
    /// The operation was asked to stop.
    Interrupted(Interrupted),
}

/// The program, and what all calls have in common.
#[derive(Clone)]
pub(super) struct Program {
    remote: Arc<Remote>,
}

impl Program {
    pub(super) fn new(remote: Remote) -> Self {
        Self { remote: Arc::new(remote) }
    }

    /// Runs a command and returns its answer, whatever its exit code.
    pub(super) fn call(&self, command: &str, arguments: &[OsString]) -> io::Result<Answer> {
        let mut output = Vec::new();
        let answer = self.stream(command, arguments, &mut |bytes| output.extend_from_slice(bytes))?;
        Ok(Answer { output, ..answer })
    }

    /// Runs a command whose output goes to `output`.
    pub(super) fn stream(
        &self,
        command: &str,
        arguments: &[OsString],
        output: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Answer> {
        let mut watch = Reading { answer: Answer::empty(), output };
        match self.start(command, arguments, &mut watch)? {
            Done::Exited(code) => Ok(Answer { code, ..watch.answer }),
            Done::Stalled | Done::Cancelled => Err(self.stalled()),
        }
    }

    /// Runs a command that sends `bytes`, reports progress, and ends it if it is cancelled.
    pub(super) fn send(
        &self,
        command: &str,
        arguments: &[OsString],
        bytes: u64,
        progress: &dyn Progress,
    ) -> Result<Answer, NoAnswer> {
        let mut all =
            [flag("use-json-log"), flag("verbose"), flag("stats"), "500ms".into()].map(OsString::from).to_vec();
        if let Some(limit) = self.remote.upload_limit {
            all.extend([flag("bwlimit"), format!("{limit}B")].map(OsString::from));
        }
        all.extend_from_slice(arguments);
        let mut watch = Sending { answer: Answer::empty(), progress, sent: 0, bytes };
        match self.start(command, &all, &mut watch).map_err(NoAnswer::Failed)? {
            Done::Exited(code) => {
                if code == Some(0) {
                    progress.advance(bytes.saturating_sub(watch.sent));
                }
                Ok(Answer { code, ..watch.answer })
            }
            Done::Stalled => Err(NoAnswer::Failed(self.stalled())),
            Done::Cancelled => Err(NoAnswer::Interrupted(Interrupted)),
        }
    }

    fn start(&self, command: &str, arguments: &[OsString], watch: &mut dyn Watch) -> io::Result<Done> {
        let request = self.remote.request.as_secs().max(1);
        let mut all = vec![OsString::from(command)];
        let own = [
            ("retries", "1".to_owned()),
            ("low-level-retries", "3".to_owned()),
            ("contimeout", format!("{}s", CONNECT.min(request))),
            ("timeout", format!("{request}s")),
        ];
        for (name, value) in own {
            all.extend([flag(name), value].map(OsString::from));
        }
        all.push(format!("{}=false", flag("ask-password")).into());
        all.extend_from_slice(arguments);
        let known = PASSED_ON.into_iter().filter_map(|name| Some((name, Some((self.remote.variable)(name)?))));
        let variables: Vec<_> = known.chain([(REMOVED, None)]).collect();
        let tool = Tool { program: "rclone", arguments: &all, variables: &variables, stalled: self.remote.stalled };
        tool::run(&tool, watch).map_err(|cause| match cause.kind() {
            // Not `NotFound`: that would mean a store that was never made.
            io::ErrorKind::NotFound => io::Error::new(io::ErrorKind::Unsupported, MISSING),
            _ => cause,
        })
    }

    fn stalled(&self) -> io::Error {
        let limit = self.remote.stalled.as_secs();
        io::Error::new(io::ErrorKind::TimedOut, format!("rclone made no progress for {limit} s and was ended"))
    }

    /// Returns a variable of the environment or of the `.env` file.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.remote.variable)(name)
    }
}

/// Returns an option of rclone.
pub(super) fn flag(name: &str) -> String {
    format!("--{name}")
}

impl Answer {
    fn empty() -> Self {
        Self { code: None, output: Vec::new(), renamed: 0, messages: Vec::new() }
    }

    /// Keeps the last messages, without control characters and without repeating one.
    fn keep(&mut self, message: &str) {
        let message = printable(message.trim()).into_owned();
        if message.is_empty() || self.messages.contains(&message) {
            return;
        }
        self.messages.push(message.chars().take(MAX_MESSAGE).collect());
        while self.messages.len() > 1 && self.messages.iter().map(String::len).sum::<usize>() > MAX_MESSAGE {
            self.messages.remove(0);
        }
    }
}

/// Collects what a call prints.
struct Reading<'a> {
    answer: Answer,
    output: &'a mut dyn FnMut(&[u8]),
}

impl Watch for Reading<'_> {
    fn output(&mut self, bytes: &[u8]) {
        (self.output)(bytes);
    }

    fn message(&mut self, line: &str) -> bool {
        self.answer.keep(line);
        false
    }
}

/// A line of rclone's log in JSON.
#[derive(Deserialize)]
struct LogLine {
    level: String,
    msg: String,
    stats: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    renames: u64,
}

/// Follows a call that sends a file.
struct Sending<'a> {
    answer: Answer,
    progress: &'a dyn Progress,
    sent: u64,
    bytes: u64,
}

impl Watch for Sending<'_> {
    fn output(&mut self, _: &[u8]) {}

    fn message(&mut self, line: &str) -> bool {
        let Ok(LogLine { level, msg, stats }) = serde_json::from_str::<LogLine>(line) else {
            self.answer.keep(line);
            return false;
        };
        let Some(Statistics { bytes, renames }) = stats else {
            if !matches!(level.as_str(), "debug" | "info") {
                self.answer.keep(&msg);
            }
            return false;
        };
        self.answer.renamed = self.answer.renamed.max(renames);
        let sent = bytes.min(self.bytes);
        let more = sent.saturating_sub(self.sent);
        self.progress.advance(more);
        self.sent += more;
        more > 0
    }

    fn is_cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn messages_are_shown_as_they_are_without_control_characters_and_not_without_end() {
        let mut answer = Answer::empty();
        answer.keep("\u{1b}[31mFailed to copyto\u{1b}[0m: quota exceeded\r");
        answer.keep("Failed to copyto");
        answer.keep("Failed to copyto");
        assert_eq!(answer.failure().to_string(), "?[31mFailed to copyto?[0m: quota exceeded; Failed to copyto");
        for number in 0..100 {
            answer.keep(&format!("{number}: {}", "x".repeat(100)));
        }
        let shown = answer.failure().to_string();
        assert!(shown.len() < 3 * MAX_MESSAGE && shown.contains("99: "), "{shown}");
        answer.messages.clear();
        answer.code = Some(7);
        assert_eq!(answer.failure().to_string(), "rclone ended with exit code 7");
    }

    #[test]
    fn statistics_are_progress_and_errors_are_messages() {
        let mut sending = Sending { answer: Answer::empty(), progress: &Silent, sent: 0, bytes: 10 };
        let line =
            |bytes| format!(r#"{{"level":"info","msg":"x","stats":{{"bytes":{bytes},"renames":1,"eta":null}}}}"#);
        assert!(!sending.message(&line(0)) && sending.message(&line(4)) && !sending.message(&line(4)));
        assert!(sending.message(&line(12)) && sending.sent == 10);
        sending.message(r#"{"level":"info","msg":"Copied (new)"}"#);
        sending.message(r#"{"level":"error","msg":"Failed to copy: 507"}"#);
        sending.message("2026/11/26 Fatal error: no config");
        assert_eq!(sending.answer.renamed, 1);
        assert_eq!(sending.answer.failure().to_string(), "Failed to copy: 507; 2026/11/26 Fatal error: no config");
    }
}
