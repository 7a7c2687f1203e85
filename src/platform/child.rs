//! Runs a command of the user and waits for it: its input and output pass through, signals are forwarded, and its time can be limited.
//!
//! At a terminal the command belongs in our process group, else it could not read from the terminal and Ctrl-C would not reach
//! it; the terminal sends SIGINT and SIGQUIT to both then, and they are not forwarded. Elsewhere it gets a group of its own, so that
//! signals reach everything it started.

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

/// How often the command and the signals are looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// What is forwarded, unless we were started to ignore it: the command ignores it then too.
const FORWARDED: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// The process group that a command runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Ours: there is a terminal.
    Ours,
    /// Its own: there is none.
    Own,
}

/// A command and how it is run.
#[derive(Debug)]
pub struct Program<'a> {
    /// The program and its arguments, at least the program.
    pub words: &'a [OsString],
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// How long it may take to end after SIGTERM before it gets SIGKILL.
    pub grace: Duration,
    /// Where its standard output goes.
    pub output: Stdio,
    /// The process group that it runs in.
    pub group: Group,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, if it ended by itself.
    pub code: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<u8>,
    /// Whether it was ended because its time was up.
    pub timed_out: bool,
}

impl Ended {
    /// Says whether the command did what it was to do.
    pub fn succeeded(self) -> bool {
        self.code == Some(0) && !self.timed_out
    }

    /// Returns the exit code that stands for it: its own, or 128+N where a signal ended it.
    pub fn exit_code(self) -> u8 {
        match (self.code, self.signal) {
            // It took SIGTERM for a wish to end well. Its time was up all the same.
            (Some(0), _) if self.timed_out => 128 + Signal::TERM.as_raw().unsigned_abs() as u8,
            (Some(code), _) => code,
            (None, signal) => 128 + signal.unwrap_or(0),
        }
    }
}

/// Runs a command to its end. Fails where it could not be started.
pub fn run(program: Program<'_>) -> io::Result<Ended> {
    // Before the command is there, or a signal between the two would be lost.
    let mut signals = Signals::new(FORWARDED.into_iter().filter(|signal| !is_ignored(*signal)))?;
    let (name, arguments) = program.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(name);
    command.args(arguments).stdout(program.output);
    if program.group == Group::Own {
        command.process_group(0);
    }
    let started = Instant::now();
    let child = Running { child: command.spawn()?, own_group: program.group == Group::Own };
    let mut told_to_end: Option<Instant> = None;
    let mut killed = false;
    while !child.has_ended()? {
        for signal in signals.pending() {
            if child.own_group || !matches!(signal, SIGINT | SIGQUIT) {
                child.send(signal);
            }
        }
        match (program.timeout, told_to_end) {
            (Some(timeout), None) if started.elapsed() >= timeout => {
                child.send(SIGTERM);
                told_to_end = Some(Instant::now());
            }
            (_, Some(told)) if !killed && told.elapsed() >= program.grace => {
                child.send(Signal::KILL.as_raw());
                killed = true;
            }
            _ => {}
        }
        thread::sleep(PAUSE);
    }
    if told_to_end.is_some() {
        // What it started and left behind, while its number still is the number of its group: it was not waited for yet.
        child.send(Signal::KILL.as_raw());
    }
    let status = child.reap()?;
    Ok(Ended {
        code: exit_code(status),
        signal: status.signal().and_then(|signal| u8::try_from(signal).ok()),
        timed_out: told_to_end.is_some(),
    })
}

fn exit_code(status: ExitStatus) -> Option<u8> {
    status.code().and_then(|code| u8::try_from(code).ok())
}

/// A command that runs, or has ended and was not waited for.
struct Running {
    child: Child,
    own_group: bool,
}

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Says whether it has ended, and leaves it to be waited for: until then nobody else can get its number.
    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.pid()), options)?.is_some())
    }

    /// Sends a signal to its group, or to it alone where the group is ours.
    fn send(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        // It may have ended at this moment; then there is nobody to be told.
        let _ = if self.own_group { kill_process_group(self.pid(), signal) } else { kill_process(self.pid(), signal) };
    }

    fn reap(mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}
