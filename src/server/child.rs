//! This program as a child process: documents, and jobs with progress.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::printed::Text;
use crate::platform::child::Group;
use crate::platform::supervise::{Start, Supervised};

/// How long a job may take to end after it was asked to.
const KILL_AFTER: Duration = Duration::from_secs(10);
/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// The same once its stderr is closed, as it is when a process ends.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// The nice value of what is only looked at: a backup and the application come first.
pub(super) const LOOKING: i32 = 10;
/// The nice value of what was ordered: that of this program.
pub(super) const WORKING: i32 = 0;
/// The form of `health` that is no JSON.
pub(super) const PROMETHEUS: &str = "--prometheus";
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// This program, and the options that every child gets.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) own: PathBuf,
    pub(super) options: Vec<OsString>,
}

/// What a child reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    /// Its exit code; 128+N if signal N ended it.
    pub(super) code: u8,
    /// What it printed.
    pub(super) printed: Text,
    /// Whether that is a document, and no signal ended the child after it was printed.
    pub(super) is_document: bool,
    /// Its error object.
    pub(super) error: Option<Value>,
    /// What else it printed.
    pub(super) warnings: Vec<String>,
}

impl Done {
    /// Reads the document that it printed.
    pub(super) fn document(&self) -> Option<Value> {
        self.printed.value()
    }
}

impl Program {
    /// Runs a child to its end. `is_cancelled` is asked often; `report` gets each line of progress.
    pub(super) fn run(
        &self,
        words: &[String],
        who: &str,
        nice: i32,
        is_cancelled: impl Fn() -> bool,
        report: impl Fn(Value) + Send + 'static,
    ) -> std::io::Result<Done> {
        let format: &[&str] = if words.iter().any(|word| word == PROMETHEUS) { &[] } else { &["--json"] };
        let fixed = format.iter().chain(&["--color", "never", "--progress", "json"]).map(OsString::from);
        let own = [self.own.clone().into_os_string()];
        let words = words.iter().map(OsString::from);
        let words: Vec<OsString> =
            own.into_iter().chain(words).chain(self.options.iter().cloned()).chain(fixed).collect();
        let start = Start {
            own: &self.own,
            words: &words,
            without: &[],
            // Who did it, in the activity log.
            with: &[("LOGNAME".into(), who.into())],
            nice,
            group: Group::Own,
            read: true,
        };
        let mut process = Supervised::start(&start)?;
        let Some((stdout, stderr)) = process.output() else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        let (sender, document) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            let _ = sender.send(Text::read(stdout));
        })?;
        let (sender, lines) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            let mut done = Done::default();
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let value: Option<Value> = serde_json::from_str(&line).ok();
                match value {
                    Some(mut value) if value.get("error").is_some() => done.error = Some(value["error"].take()),
                    Some(value) if value.get("stage").is_some() => report(value),
                    _ if !line.trim().is_empty() => {
                        done.warnings.push(line.strip_prefix("warning: ").unwrap_or(&line).to_owned());
                    }
                    _ => {}
                }
            }
            let _ = sender.send(done);
        })?;
        let (mut asked, mut done): (Option<Instant>, Option<Done>) = (None, None);
        let ended = loop {
            if let Some(ended) = process.ended() {
                break ended;
            }
            match asked {
                None if is_cancelled() => {
                    asked = Some(Instant::now());
                    process.send(SIGTERM);
                }
                Some(at) if at.elapsed() > KILL_AFTER => process.send(SIGKILL),
                _ => {}
            }
            if done.is_some() {
                thread::sleep(LOOK_AGAIN);
            } else {
                done = match lines.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) => None,
                    read => Some(read.unwrap_or_default()),
                };
            }
        };
        // A program that it left behind may hold the pipes.
        let mut done = done.unwrap_or_else(|| lines.recv_timeout(KILL_AFTER).unwrap_or_default());
        let printed = document.recv_timeout(KILL_AFTER).unwrap_or_default();
        // A child that was killed may have printed a part.
        done.is_document = ended.exit_code() < 128 && printed.is_object();
        done.printed = printed;
        done.code = ended.exit_code();
        Ok(done)
    }
}
