//! This program as a child process: documents, and jobs with progress.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::answer::Refusal;
use crate::platform::child::Group;
use crate::platform::supervise::{Start, Supervised};

/// How long a document may take.
const LONGEST: Duration = Duration::from_secs(120);
/// How long a job may take to end after it was asked to.
const KILL_AFTER: Duration = Duration::from_secs(10);
/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(5);
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
    /// The document that it printed.
    pub(super) document: Option<Value>,
    /// What it printed instead of a document.
    pub(super) text: String,
    /// Its error object.
    pub(super) error: Option<Value>,
    /// What else it printed.
    pub(super) warnings: Vec<String>,
}

impl Done {
    /// Returns whether a signal ended it.
    pub(super) fn is_killed(&self) -> bool {
        self.code > 128
    }

    /// Adds the error of a child that was killed, or ended without a word, and so could report none itself.
    pub(super) fn with_cause(mut self) -> Self {
        if self.error.is_none() && (self.document.is_none() || self.is_killed()) {
            self.error = Some(Refusal::of(self.code, None).error);
        }
        self
    }
}

impl Program {
    /// Runs a child to its end. `is_cancelled` is asked often; `report` gets each line of progress.
    pub(super) fn run(
        &self,
        words: &[String],
        who: &str,
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
            nice: 0,
            group: Group::Own,
            read: true,
        };
        let mut process = Supervised::start(&start)?;
        let Some((mut stdout, stderr)) = process.output() else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        let (sender, document) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            let mut text = Vec::new();
            let _ = stdout.read_to_end(&mut text);
            let _ = sender.send(text);
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
        let mut asked: Option<Instant> = None;
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
            thread::sleep(LOOK);
        };
        // A program that it left behind may hold the pipes.
        let mut done = lines.recv_timeout(KILL_AFTER).unwrap_or_default();
        let printed = document.recv_timeout(KILL_AFTER).unwrap_or_default();
        done.document = serde_json::from_slice(&printed).ok();
        if done.document.is_none() {
            done.text = String::from_utf8_lossy(&printed).into_owned();
        }
        done.code = ended.exit_code();
        Ok(done)
    }
}

impl super::App {
    /// Returns the document that a command prints.
    pub(super) async fn document(self: &std::sync::Arc<Self>, words: &[&str], who: &str) -> Result<Value, Refusal> {
        let done = self.run(words.iter().map(|&word| word.to_owned()).collect(), who).await?;
        done.document.ok_or_else(|| Refusal::of(done.code, done.error))
    }

    /// Runs a command that ends soon.
    pub(super) async fn run(self: &std::sync::Arc<Self>, words: Vec<String>, who: &str) -> Result<Done, Refusal> {
        let _turn = self.readers.acquire().await.map_err(|_| Refusal::stopping())?;
        let (app, who, begun) = (std::sync::Arc::clone(self), who.to_owned(), Instant::now());
        let run = move || app.program.run(&words, &who, || begun.elapsed() > LONGEST, |_| {});
        let done = tokio::task::spawn_blocking(run).await.map_err(|_| Refusal::stopping())?;
        done.map_err(|cause| Refusal::internal(&format!("cannot start a process: {cause}")))
    }
}
