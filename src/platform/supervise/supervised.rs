//! A program that is started, signalled and reaped.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::launch::LAUNCH;
use crate::platform::child::{Ended, Group};

/// The running executable where its file was removed.
const RUNNING: &str = "/proc/self/exe";

/// What is started, and how.
#[derive(Debug)]
pub struct Start<'a> {
    /// This program.
    pub own: &'a Path,
    /// The command and its arguments; never empty.
    pub words: &'a [OsString],
    /// The variables of the environment that it does not get.
    pub without: &'a [OsString],
    /// The variables of the environment that it gets besides ours.
    pub with: &'a [(OsString, OsString)],
    /// Its nice value; 0 leaves it as it is.
    pub nice: i32,
    /// Its process group.
    pub group: Group,
    /// Whether its output is read by this program, and its input is empty.
    pub read: bool,
}

/// A program that runs under supervision and gets SIGTERM if the supervisor dies.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    own_group: bool,
    ended: Option<Ended>,
}

impl Supervised {
    /// Starts a program. The thread that calls this must live as long as the program.
    pub fn start(start: &Start<'_>) -> io::Result<Self> {
        let spawn = |own: &Path| {
            let mut command = Command::new(own);
            command.arg0("heirloom").arg(LAUNCH).arg(std::process::id().to_string()).arg(start.nice.to_string());
            command.args(start.words);
            for name in start.without {
                command.env_remove(name);
            }
            command.envs(start.with.iter().map(|(name, value)| (name, value)));
            if start.read {
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            }
            if start.group == Group::Own {
                command.process_group(0);
            }
            command.spawn()
        };
        let child = match spawn(start.own) {
            // An update may have replaced the file.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => spawn(Path::new(RUNNING))?,
            other => other?,
        };
        Ok(Self { child, own_group: start.group == Group::Own, ended: None })
    }

    /// Takes the pipes of a program whose output is read.
    pub fn output(&mut self) -> Option<(ChildStdout, ChildStderr)> {
        Some((self.child.stdout.take()?, self.child.stderr.take()?))
    }

    /// Returns its PID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the signals of the terminal reach it without our help.
    pub fn shares_our_group(&self) -> bool {
        !self.own_group
    }

    /// Sends a signal to it, or to its group if that is its own. One that has ended gets none.
    pub fn send(&self, signal: i32) {
        let (None, Some(signal)) = (self.ended, Signal::from_named_raw(signal)) else { return };
        let pid = Pid::from_child(&self.child);
        // It was not reaped yet, so the PID is still its own.
        let _ = if self.own_group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
    }

    /// Returns how it ended, if it did, and reaps it.
    pub fn ended(&mut self) -> Option<Ended> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            let number = |value: Option<i32>| value.and_then(|value| u8::try_from(value).ok());
            self.ended = Some(Ended { code: number(status.code()), signal: number(status.signal()), timed_out: false });
        }
        self.ended
    }
}
