//! What `run` does before the application starts: waits for another run, finishes what an earlier one left, restores.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::hooks::is_withheld;
use super::run_args::RunArgs;
use super::run_job::{Done, Starter};
use super::run_schedule::Planner;
use super::run_seen::Seen;
use super::settings::variable;
use super::ui::Tone;
use super::{Context, Outcome, run_unrestored};
use crate::failure::{Failure, FailureKind};
use crate::names::{Name, printable};
use crate::ops::jobs::Chosen;
use crate::ops::restore;
use crate::platform::child::Group;
use crate::platform::supervise::{self, Event, Supervised, is_stop, notify};
use crate::progress::Interrupted;
use crate::text::quoted;

/// How much time the service manager is asked for at once, in microseconds.
const EXTENSION: &str = "EXTEND_TIMEOUT_USEC=60000000";
/// How often it is asked.
const EXTEND_EVERY: Duration = Duration::from_secs(20);

/// Whose life it is about.
#[derive(Debug)]
pub(super) enum Application {
    /// A child.
    Child(Supervised),
    /// A process that something else started.
    Beside(u32),
    /// None: backups until a stop signal.
    None,
}

/// The preparations.
pub(super) struct Start<'a> {
    pub(super) args: &'a RunArgs,
    pub(super) chosen: Vec<Chosen>,
    /// The patterns whose databases are among `chosen`; others may come.
    pub(super) patterns: Vec<Name>,
    pub(super) starter: Starter,
    pub(super) events: Receiver<Event>,
    notify_socket: Option<OsString>,
    extended: RefCell<Option<Instant>>,
    /// The signal that asked to stop before the application was started.
    stopped: RefCell<Option<i32>>,
    /// Until when stores that do not answer are asked again, since the first restore.
    pub(super) patience: Cell<Option<Instant>>,
    /// Whether the application may not start without an answer of the store.
    pub(super) needs_store: Cell<bool>,
}

impl<'a> Start<'a> {
    /// Registers for signals first: none may be lost from here on.
    pub(super) fn new(
        args: &'a RunArgs,
        chosen: Vec<Chosen>,
        patterns: Vec<Name>,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let (sender, events) = channel();
        supervise::watch_signals(sender.clone())?;
        if let Some(pid) = args.beside {
            supervise::watch_process(pid, sender).map_err(|cause| no_process(pid, &cause))?;
        }
        let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("heirloom"));
        let starter = Starter { own, options: context.typed.options(), label: RefCell::default() };
        let start = Self {
            args,
            chosen,
            patterns,
            starter,
            events,
            notify_socket: variable("NOTIFY_SOCKET"),
            extended: RefCell::default(),
            stopped: RefCell::default(),
            patience: Cell::default(),
            needs_store: Cell::default(),
        };
        if let Some(signal) = context.ui.signal() {
            start.stopped.replace(Some(signal.into()));
        }
        Ok(start)
    }

    /// Prints one line about an event.
    pub(super) fn say(&self, context: &Context, text: impl AsRef<str>) {
        context.ui.note(format!("{} {}", context.ui.paint_stderr(Tone::Strong, "run:"), text.as_ref()));
    }

    /// Sends lines to the service manager, if there is one.
    pub(super) fn notify(&self, lines: &str) {
        if let Some(socket) = &self.notify_socket {
            // Without an answer it kills the service after its own timeout, which is all that can be lost.
            let _ = notify(socket, lines);
        }
    }

    /// Asks the service manager for more time, now and then.
    pub(super) fn extend(&self) {
        let mut last = self.extended.borrow_mut();
        if last.is_none_or(|last| last.elapsed() >= EXTEND_EVERY) {
            *last = Some(Instant::now());
            self.notify(EXTENSION);
        }
    }

    /// Waits. Fails as soon as a stop signal comes or the process beside ends.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Interrupted> {
        self.extend();
        let until = Instant::now() + time;
        loop {
            self.stop_before_start()?;
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) => self.hear(event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return self.stop_before_start(),
            }
        }
    }

    /// Waits for an event, at most this long.
    pub(super) fn listen(&self, time: Duration) {
        if let Ok(event) = self.events.recv_timeout(time) {
            self.hear(event);
        }
    }

    /// Returns whether a stop signal came before the application was started.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }

    fn hear(&self, event: Event) {
        match event {
            Event::Signal { number, .. } if is_stop(number) || number == SIGHUP => {
                self.stopped.replace(Some(number));
            }
            Event::Gone => {
                self.stopped.replace(Some(SIGTERM));
            }
            Event::Signal { .. } | Event::Child => {}
        }
    }

    fn stop_before_start(&self) -> Result<(), Interrupted> {
        if self.is_stopped() { Err(Interrupted) } else { Ok(()) }
    }

    /// Returns how `run` ends if a stop signal came before the application was started.
    pub(super) fn ended_by_signal(&self, context: &Context) -> Option<Outcome> {
        while let Ok(event) = self.events.try_recv() {
            self.hear(event);
        }
        let signal = u8::try_from((*self.stopped.borrow())?).ok()?;
        self.say(context, "stopped before the application was started");
        Some(Outcome::Ended(128 + signal))
    }

    /// Runs a job to its end; a stop signal ends it early.
    pub(super) fn job(&self, words: &[&str], context: &Context) -> anyhow::Result<Done> {
        let mut job = self.starter.start(words, 0)?;
        loop {
            if self.is_stopped() {
                job.cancel();
            }
            if let Some(done) = job.done() {
                done.warn(context);
                return Ok(done);
            }
            self.extend();
            self.listen(Duration::from_millis(500));
        }
    }

    /// Takes back the restores that an earlier run did not finish. Returns how this run ends if it must.
    pub(super) fn finish_earlier(&self, context: &Context) -> anyhow::Result<Option<Outcome>> {
        let workspace = context.run_workspace();
        let paths = self.chosen.iter().flat_map(|set| &set.sources).map(|source| source.path.as_path());
        let found = restore::interrupted(workspace.as_ref(), paths).unwrap_or_default();
        // Without a safety backup nothing was replaced: what is missing is restored below.
        for interrupted in found.iter().filter(|one| one.note.safety.is_some()) {
            let archive = printable(&interrupted.note.archive).into_owned();
            self.say(context, format!("an earlier restore of {archive} was interrupted: taking it back"));
            let set = interrupted.note.set.to_string();
            let done = self.job(&["restore", "--undo", "--set", &set, "--to-original", "--force"], context)?;
            if let Some(ended) = self.ended_by_signal(context) {
                return Ok(Some(ended));
            }
            if !matches!(done.code, 0 | 3) {
                let message = format!(
                    "an earlier restore of {archive} was interrupted and cannot be taken back: {}; the application was \
                     not started",
                    done.why()
                );
                let by_hand = context.command_line(&["restore", "--set", &set]);
                return Err(Failure::new(FailureKind::Damaged, message).remedy(format!("restore: {by_hand}")).into());
            }
        }
        Ok(None)
    }

    /// Looks at the databases that exist. Returns how this run ends if one is damaged.
    pub(super) fn sound(&self, context: &Context) -> anyhow::Result<Option<Outcome>> {
        for source in self.single_sets(context).flat_map(|set| &set.sources) {
            match header(&source.path) {
                // SQLite would delete it beside an empty database, with the changes in it.
                Header::Missing => match leftover(&source.path)? {
                    None => continue,
                    Some(sidecar) => return Err(holds_changes(&sidecar, &source.path).into()),
                },
                Header::Sqlite => {}
                Header::Other => {
                    context.ui.warning(format!("{} is not an SQLite database, or encrypted", quoted(&source.path)));
                    continue;
                }
            }
            let path = source.path.to_string_lossy().into_owned();
            let done = self.job(&["health", "--databases-only", "--check", "none", &path], context)?;
            if let Some(ended) = self.ended_by_signal(context) {
                return Ok(Some(ended));
            }
            if done.code == CRITICAL {
                let message = format!("{} is damaged; the application was not started", quoted(&source.path));
                let name = source.name.to_string();
                let restore = context.command_line(&["restore", "--only", &name, "--force"]);
                return Err(Failure::new(FailureKind::Damaged, message)
                    .remedy(format!(
                        "see what is wrong: {}; restore the newest backup: {restore}",
                        context.command_line(&["health"])
                    ))
                    .into());
            }
        }
        Ok(None)
    }

    /// Returns the sets that are not of a pattern: one of thousands does not decide about the start, and each has its
    /// own backup that reports it.
    pub(super) fn single_sets(&self, context: &Context) -> impl Iterator<Item = &Chosen> {
        self.chosen.iter().filter(|set| self.patterns.is_empty() || context.settings.each_of(&set.set).is_none())
    }

    /// Returns the names of sets and patterns that stand for all databases.
    pub(super) fn names(&self, context: &Context) -> Vec<Name> {
        self.single_sets(context).map(|set| &set.set).chain(&self.patterns).cloned().collect()
    }

    /// Chooses the host label of the next backups: those of a run without a restore stand apart.
    pub(super) fn use_label(&self, context: &Context) {
        self.starter.label.replace(run_unrestored::label(&self.names(context), context));
    }

    /// Looks at the databases.
    pub(super) fn seen(&self) -> Seen {
        Seen::now(&self.chosen, self.patterns.is_empty())
    }

    /// Returns the schedule from now on.
    pub(super) fn planner(&self, context: &Context) -> Planner {
        let mut planner = Planner::new(self.args, context, context.clock.now());
        if planner.asks_for_last() {
            let mut words = vec!["status"];
            words.extend(self.args.set.iter().map(Name::as_str));
            // Without an answer a backup is due.
            planner.know(self.job(&words, context).ok().and_then(|done| done.last_backup()));
        }
        planner
    }

    /// Starts the application.
    pub(super) fn application(&self, context: &Context) -> anyhow::Result<Application> {
        let application = match (self.args.beside, &self.args.command[..]) {
            (Some(pid), _) => Application::Beside(pid),
            (None, []) => Application::None,
            (None, words) => {
                let run = &context.settings.run;
                let without: Vec<OsString> =
                    std::env::vars_os().map(|(name, _)| name).filter(|name| is_withheld(name, &run.pass_env)).collect();
                let start = supervise::Start {
                    own: &self.starter.own,
                    words,
                    without: &without,
                    with: &[],
                    nice: 0,
                    // At a terminal it must be in our group, or it could not read from it.
                    group: if run.signal_group && !std::io::stdin().is_terminal() { Group::Own } else { Group::Ours },
                    read: false,
                };
                Application::Child(Supervised::start(&start)?)
            }
        };
        self.notify("READY=1\nSTATUS=running");
        Ok(application)
    }
}

/// The exit code of `health` for a problem that needs somebody.
const CRITICAL: u8 = 21;
const SIGHUP: i32 = 1;
const SIGTERM: i32 = 15;

pub(super) enum Header {
    Missing,
    Sqlite,
    Other,
}

/// Looks at the first bytes of a file. This process never has a connection to the database, whose locks the closing of
/// the file would release.
pub(super) fn header(path: &Path) -> Header {
    use std::io::Read as _;
    let mut start = [0; 16];
    match std::fs::File::open(path).and_then(|mut file| file.read(&mut start)) {
        Ok(0) => Header::Missing,
        Ok(_) if start == *b"SQLite format 3\0" => Header::Sqlite,
        Ok(_) => Header::Other,
        // The look at it reports why.
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Header::Missing,
        Err(_) => Header::Sqlite,
    }
}

/// Returns a `-wal` or `-journal` that is not empty. Fails if one cannot be looked at: it may be there.
fn leftover(database: &Path) -> anyhow::Result<Option<PathBuf>> {
    for ending in ["-wal", "-journal"] {
        let mut name = database.as_os_str().to_owned();
        name.push(ending);
        let path = PathBuf::from(name);
        match std::fs::metadata(&path) {
            Ok(found) if found.len() > 0 => return Ok(Some(path)),
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("cannot look at {}; the application was not started", quoted(&path));
                return Err(anyhow::Error::new(cause).context(what));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn holds_changes(sidecar: &Path, database: &Path) -> Failure {
    let message = format!(
        "{} holds changes, and its database {} is empty or missing; the application was not started",
        quoted(sidecar),
        quoted(database)
    );
    Failure::new(FailureKind::Damaged, message)
        .remedy("put the database back beside it, or move it away and start again: the newest backup is restored then")
}

/// Returns the error about a process that is not there.
fn no_process(pid: u32, cause: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot watch process {pid}: {cause}"), "name the PID of a running process with `--beside`")
}
