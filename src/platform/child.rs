//! Runs a user command and waits for it: passes input and output through, forwards signals, and can limit its time.
//!
//! At a terminal, the command must be in our process group, or it could not read from the terminal and Ctrl-C would not
//! reach it. The terminal then sends SIGINT and SIGQUIT to both, so they are not forwarded. Otherwise it gets a
//! separate group, so that signals reach all processes that it started.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::is_ignored;

/// How often the command and the signals are checked.
const PAUSE: Duration = Duration::from_millis(10);
/// The forwarded signals, except those that we were started to ignore, which the command ignores too.
const FORWARDED: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// The process group of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Ours: there is a terminal.
    Ours,
    /// A separate one: there is no terminal.
    Own,
}

/// A command and how to run it.
#[derive(Debug)]
pub struct Program<'a> {
    /// The program and its arguments; never empty.
    pub words: &'a [OsString],
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// How long it may take to exit after SIGTERM before it gets SIGKILL.
    pub grace: Duration,
    /// Where its standard output goes.
    pub output: Stdio,
    /// Its process group.
    pub group: Group,
    /// Where its standard input comes from.
    pub input: Stdio,
    /// Variables that differ from ours; `None` removes one.
    pub variables: &'a [(OsString, Option<OsString>)],
    /// What happens to processes that it leaves behind in a separate group.
    pub left: Left,
}

/// What happens to processes that a command leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// They go on, unless the command was ended because of its time limit.
    Running,
    /// They are killed.
    Killed,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, if it exited by itself.
    pub code: Option<u8>,
    /// The signal that killed it.
    pub signal: Option<u8>,
    /// Whether it was ended because of the time limit.
    pub timed_out: bool,
}

impl Ended {
    /// Returns whether the command succeeded.
    pub fn succeeded(self) -> bool {
        self.code == Some(0) && !self.timed_out
    }

    /// Returns its exit code, or 128+N if a signal killed it.
    pub fn exit_code(self) -> u8 {
        match (self.code, self.signal) {
            // It exited with success after SIGTERM, but it had exceeded its time limit.
            (Some(0), _) if self.timed_out => 128 + Signal::TERM.as_raw().unsigned_abs() as u8,
            (Some(code), _) => code,
            (None, signal) => 128 + signal.unwrap_or(0),
        }
    }
}

/// Runs a command until it ends. Fails if it could not be started.
pub fn run(program: Program<'_>) -> io::Result<Ended> {
    // Before the command is started, or a signal between the two would be lost.
    let mut signals = Signals::new(FORWARDED.into_iter().filter(|signal| !is_ignored(*signal)))?;
    let (name, arguments) = program.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(name);
    command.args(arguments).stdin(program.input).stdout(program.output);
    for (name, value) in program.variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if program.group == Group::Own {
        command.process_group(0);
    }
    let started = Instant::now();
    let child = Running { child: command.spawn()?, own_group: program.group == Group::Own };
    let mut asked_to_end: Option<Instant> = None;
    let mut killed = false;
    while !child.has_ended()? {
        for signal in signals.pending() {
            if child.own_group || !matches!(signal, SIGINT | SIGQUIT) {
                child.send(signal);
            }
        }
        match (program.timeout, asked_to_end) {
            (Some(timeout), None) if started.elapsed() >= timeout => {
                child.send(SIGTERM);
                asked_to_end = Some(Instant::now());
            }
            (_, Some(asked)) if !killed && asked.elapsed() >= program.grace => {
                child.send(Signal::KILL.as_raw());
                killed = true;
            }
            _ => {}
        }
        thread::sleep(PAUSE);
    }
    if asked_to_end.is_some() || program.left == Left::Killed && child.own_group {
        // Kills the processes that it left behind, while its PID is still the id of its group: it was not waited for
        // yet.
        child.send(Signal::KILL.as_raw());
    }
    let status = child.reap()?;
    Ok(Ended {
        code: exit_code(status),
        signal: status.signal().and_then(|signal| u8::try_from(signal).ok()),
        timed_out: asked_to_end.is_some(),
    })
}

fn exit_code(status: ExitStatus) -> Option<u8> {
    status.code().and_then(|code| u8::try_from(code).ok())
}

/// A command that is running, or has ended and was not waited for.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) own_group: bool,
}

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Returns whether it has ended without waiting for it, so that its PID cannot be reused.
    pub(super) fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.pid()), options)?.is_some())
    }

    /// Sends a signal to its group, or only to it if the group is ours.
    pub(super) fn send(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        // It may have ended at this moment; then the signal has no recipient.
        let _ = if self.own_group { kill_process_group(self.pid(), signal) } else { kill_process(self.pid(), signal) };
    }

    pub(super) fn reap(mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}
