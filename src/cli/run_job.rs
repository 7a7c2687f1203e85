//! The jobs of `run`: this program as a child, so that nothing a job does can end or delay the application.
//!
//! A job runs in a process group of its own, which the signals of a terminal do not reach, and reports in JSON.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Context;
use super::give_way::GAVE_WAY;
use super::stages::CAPTURED;
use crate::names::HostLabel;
use crate::platform::child::{Ended, Group};
use crate::platform::supervise::{Start, Supervised};

/// The nice value of jobs beside an application.
pub(super) const BESIDE: i32 = 10;
/// How long a job may take to end after it was asked to.
const KILL_AFTER: Duration = Duration::from_secs(2);
/// How long the output of a job that ended is waited for: a program that it left behind may hold the pipe.
const OUTPUT: Duration = Duration::from_secs(2);
/// The variables that belong to the supervisor alone.
const OURS: [&str; 5] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];

/// What a warning begins with.
const WARNING: &str = "warning: ";

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// How jobs are started.
#[derive(Debug)]
pub(super) struct Starter {
    /// This program.
    pub(super) own: PathBuf,
    /// The options that name the configuration and the store.
    pub(super) options: Vec<OsString>,
    /// The host label, if it must not be the configured one.
    pub(super) label: RefCell<Option<HostLabel>>,
}

/// A job that runs.
#[derive(Debug)]
pub(super) struct Job {
    process: Supervised,
    said: Receiver<Said>,
    /// What was received before the end.
    early: Vec<Said>,
    cancelled: Option<Instant>,
    killed: bool,
    started: Instant,
}

/// One of the two outputs of a job, or what it reports while it runs.
#[derive(Debug)]
enum Said {
    Document(Option<Value>),
    Line(String),
    Captured,
    GaveWay,
}

/// What a job did.
#[derive(Debug)]
pub(super) struct Done {
    /// Its exit code; 128+N if signal N ended it.
    pub(super) code: u8,
    /// Whether it ended because a restore began.
    pub(super) gave_way: bool,
    /// The document that it printed.
    pub(super) document: Option<Value>,
    /// Its warnings.
    pub(super) warnings: Vec<String>,
    /// Its error and hint.
    pub(super) error: Option<(String, Option<String>)>,
    /// The duration.
    pub(super) took: Duration,
}

impl Starter {
    /// Starts a job. Fails if no process can be started.
    pub(super) fn start<S: AsRef<str>>(&self, words: &[S], nice: i32) -> std::io::Result<Job> {
        let program = self.own.as_os_str().to_owned();
        let words = words.iter().map(|word| OsString::from(word.as_ref()));
        let fixed = ["--json", "--color", "never", "--progress", "never"].map(OsString::from);
        let words: Vec<OsString> =
            [program].into_iter().chain(words).chain(self.options.iter().cloned()).chain(fixed).collect();
        let label = self.label.borrow();
        let start = Start {
            own: &self.own,
            words: &words,
            without: &OURS.map(OsString::from),
            with: &label.iter().map(|label| ("HEIRLOOM_HOST".into(), label.as_str().into())).collect::<Vec<_>>(),
            nice,
            group: Group::Own,
            read: true,
        };
        let mut process = Supervised::start(&start)?;
        let (sender, said) = channel();
        if let Some((stdout, stderr)) = process.output() {
            let other = sender.clone();
            // Without a thread a full pipe would block the job for ever: then the pipe is closed instead.
            let spawn =
                |name: &str, body: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.into()).spawn(body);
            let _ = spawn("job output", Box::new(move || drop(sender.send(Said::Document(document(stdout))))));
            let _ = spawn("job messages", Box::new(move || lines(stderr, &other)));
        }
        Ok(Job { process, said, early: Vec::new(), cancelled: None, killed: false, started: Instant::now() })
    }
}

fn document(mut stdout: ChildStdout) -> Option<Value> {
    let mut text = Vec::new();
    stdout.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Reports the lines as they come.
fn lines(stderr: ChildStderr, said: &Sender<Said>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        let report = match line.as_str() {
            CAPTURED => Said::Captured,
            GAVE_WAY => Said::GaveWay,
            _ => Said::Line(line),
        };
        // The job may be collected already.
        let _ = said.send(report);
    }
}

impl Job {
    /// Asks it to end. It removes its scratch and commits nothing.
    pub(super) fn cancel(&mut self) {
        if self.cancelled.is_none() {
            self.cancelled = Some(Instant::now());
            self.process.send(SIGTERM);
        }
    }

    /// Returns when it has to be looked at again, after it was asked to end.
    pub(super) fn due(&self) -> Option<Instant> {
        self.cancelled.filter(|_| !self.killed).map(|at| at + KILL_AFTER)
    }

    /// Returns whether it was asked to end.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.is_some()
    }

    /// Returns whether it has reported that its databases are captured.
    pub(super) fn has_captured(&mut self) -> bool {
        self.early.extend(self.said.try_iter());
        self.early.iter().any(|said| matches!(said, Said::Captured))
    }

    /// Takes the warnings that it has printed so far.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        self.early.extend(self.said.try_iter());
        let is_warning = |said: &mut Said| matches!(said, Said::Line(line) if line.starts_with(WARNING));
        let text = |said| match said {
            Said::Line(line) => line[WARNING.len()..].to_owned(),
            _ => String::new(),
        };
        self.early.extract_if(.., is_warning).map(text).collect()
    }

    /// Returns whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// Returns what it did, if it has ended; kills it if it does not end although asked to.
    pub(super) fn done(&mut self) -> Option<Done> {
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.killed = true;
            self.process.send(SIGKILL);
        }
        let ended = self.process.ended()?;
        Some(self.collect(ended))
    }

    fn collect(&mut self, ended: Ended) -> Done {
        let took = self.started.elapsed();
        let mut done =
            Done { code: ended.exit_code(), gave_way: false, document: None, warnings: Vec::new(), error: None, took };
        let until = Instant::now() + OUTPUT;
        let mut early = std::mem::take(&mut self.early).into_iter();
        // The channel closes after both outputs.
        while let Some(said) =
            early.next().or_else(|| self.said.recv_timeout(until.saturating_duration_since(Instant::now())).ok())
        {
            match said {
                Said::Document(document) => done.document = document,
                Said::Line(line) => done.read(&line),
                Said::Captured => {}
                Said::GaveWay => done.gave_way = true,
            }
        }
        done
    }
}

impl Done {
    /// Sorts a line of standard error.
    fn read(&mut self, line: &str) {
        if let Some(error) = serde_json::from_str::<Value>(line).ok().as_ref().and_then(|line| line.get("error")) {
            let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
            self.error = Some((text("message").unwrap_or_default(), text("hint")));
        } else if !line.trim().is_empty() {
            self.warnings.push(line.strip_prefix(WARNING).unwrap_or(line).to_owned());
        }
    }

    /// Prints the warnings.
    pub(super) fn warn(&self, context: &Context) {
        self.warnings.iter().for_each(|warning| context.ui.warning(warning));
    }

    /// Returns the error without its hint, or the exit code if there is none.
    pub(super) fn message(&self) -> String {
        self.error.as_ref().map_or_else(|| self.why(), |(message, _)| message.clone())
    }

    /// Returns the error on one line, or the exit code if there is none.
    pub(super) fn why(&self) -> String {
        match &self.error {
            Some((message, Some(hint))) => format!("{message}; {}", hint.replace('\n', " ")),
            Some((message, None)) => message.clone(),
            None => format!("it ended with exit code {}", self.code),
        }
    }

    /// Returns the names and the size of the archives that it made.
    pub(super) fn archives(&self) -> Vec<(String, u64)> {
        let made = |made: &Value| {
            let path = made.get("archive")?.as_str()?;
            let name = path.rsplit('/').next().unwrap_or(path);
            Some((name.to_owned(), made.get("bytes")?.as_u64()?))
        };
        self.of_sets("backups").filter_map(made).collect()
    }

    /// Returns when the newest archive of the set was made whose newest one is the oldest.
    pub(super) fn created(&self) -> Option<DateTime<Utc>> {
        let created = |set: &Value| set.get("created_at")?.as_str()?.parse().ok();
        self.of_sets("backups").filter_map(created).min()
    }

    /// Returns when the last backup of the set was made whose last one is the oldest, as `status` says.
    pub(super) fn last_backup(&self) -> Option<DateTime<Utc>> {
        let created = |set: &Value| set.get("last_backup")?.get("created_at")?.as_str()?.parse().ok();
        self.of_sets("sets").map(created).min().flatten()
    }

    /// Returns the parts of the document about single sets; the document if it is about one.
    fn of_sets(&self, list: &str) -> impl Iterator<Item = &Value> {
        let several = self.document.as_ref().and_then(|document| document.get(list)?.as_array());
        let one = self.document.iter().filter(move |_| several.is_none());
        several.into_iter().flatten().chain(one)
    }
}
