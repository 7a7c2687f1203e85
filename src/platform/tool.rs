//! Runs a program that does a piece of work for this one: no input, its output captured, ended if it stands still.
//!
//! It gets a process group of its own: Ctrl-C at the terminal must reach only us, because a program may treat SIGINT as
//! "finish what you have". If this process is killed, the program finishes by itself.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::SIGTERM;

use super::child::Running;

/// How often a request to stop is noticed.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it may take to exit after SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How long output may arrive after the program ended. Only a process that it left behind still holds the pipe then.
const LAST_OUTPUT: Duration = Duration::from_secs(1);
/// The longest line of standard error; the rest of a longer one is another line.
const MAX_LINE: u64 = 64 << 10;
/// How much output waits to be received.
const QUEUE: usize = 4;
/// How much of the output is read at once.
const BLOCK: usize = 64 << 10;

/// A program and what it gets.
#[derive(Debug)]
pub struct Tool<'a> {
    /// The name of the program.
    pub program: &'a str,
    /// Its arguments.
    pub arguments: &'a [OsString],
    /// Variables that differ from ours; `None` removes one.
    pub variables: &'a [(&'a str, Option<String>)],
    /// How long it may run without output or a message that shows progress.
    pub stalled: Duration,
}

/// Receives what a program prints.
pub trait Watch {
    /// Receives the next bytes of standard output.
    fn output(&mut self, bytes: &[u8]);
    /// Receives a line of standard error; returns whether it shows progress.
    fn message(&mut self, line: &str) -> bool;
    /// Returns whether the program is to be ended.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It exited by itself; `None` if a signal killed it.
    Exited(Option<i32>),
    /// It was ended because it made no progress.
    Stalled,
    /// It was ended because [`Watch::is_cancelled`].
    Cancelled,
}

enum Piece {
    Output(Vec<u8>),
    Message(String),
}

/// Runs a program until it ends. Fails if it could not be started; `NotFound` means that it is not installed.
pub fn run(tool: &Tool<'_>, watch: &mut dyn Watch) -> io::Result<Done> {
    let mut command = Command::new(tool.program);
    command.args(tool.arguments).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in tool.variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = Running { child: command.spawn()?, own_group: true };
    let (sender, pieces) = sync_channel(QUEUE);
    if let (Some(output), Some(messages)) = (child.child.stdout.take(), child.child.stderr.take()) {
        let other = sender.clone();
        // The threads end when the pipe is closed, or when nobody receives any more.
        thread::spawn(move || send_output(output, &sender));
        thread::spawn(move || send_messages(messages, &other));
    }
    let done = follow(&child, &pieces, tool.stalled, watch);
    // What it left behind in its group; its PID is still the id of the group, because it was not waited for yet.
    child.send(Signal::KILL.as_raw());
    let status = child.reap()?;
    Ok(match done? {
        Done::Exited(_) => Done::Exited(status.code()),
        ended => ended,
    })
}

/// Passes on what the program prints until it ends or has to be ended.
fn follow(child: &Running, pieces: &Receiver<Piece>, stalled: Duration, watch: &mut dyn Watch) -> io::Result<Done> {
    let mut progressed = Instant::now();
    let mut ended: Option<Instant> = None;
    loop {
        match pieces.recv_timeout(PAUSE) {
            Ok(Piece::Output(bytes)) => {
                watch.output(&bytes);
                progressed = Instant::now();
            }
            Ok(Piece::Message(line)) => {
                if watch.message(&line) {
                    progressed = Instant::now();
                }
            }
            Err(RecvTimeoutError::Timeout) => match ended {
                Some(since) if since.elapsed() >= LAST_OUTPUT => return Ok(Done::Exited(None)),
                Some(_) => {}
                None => ended = child.has_ended()?.then(Instant::now),
            },
            // Both pipes are closed; it exits now, or goes on without them.
            Err(RecvTimeoutError::Disconnected) => {
                if child.has_ended()? {
                    return Ok(Done::Exited(None));
                }
                thread::sleep(PAUSE);
            }
        }
        let stop = if watch.is_cancelled() {
            Done::Cancelled
        } else if progressed.elapsed() >= stalled {
            Done::Stalled
        } else {
            continue;
        };
        // It may have finished a moment ago: then its own exit code is the truth.
        if child.has_ended()? {
            return Ok(Done::Exited(None));
        }
        end(child)?;
        return Ok(stop);
    }
}

/// Asks the program to end, so that it can clean up; the caller kills what is left.
fn end(child: &Running) -> io::Result<()> {
    child.send(SIGTERM);
    let asked = Instant::now();
    while !child.has_ended()? && asked.elapsed() < GRACE {
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn send_output(mut pipe: impl Read, sender: &SyncSender<Piece>) {
    let mut block = vec![0; BLOCK];
    loop {
        match pipe.read(&mut block) {
            Ok(0) => return,
            Ok(count) => {
                if sender.send(Piece::Output(block[..count].to_vec())).is_err() {
                    return;
                }
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn send_messages(pipe: impl Read, sender: &SyncSender<Piece>) {
    let mut pipe = BufReader::new(pipe);
    loop {
        let mut line = Vec::new();
        match pipe.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                if sender.send(Piece::Message(line)).is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen {
        output: Vec<u8>,
        messages: Vec<String>,
        stop_at: Option<usize>,
    }

    impl Watch for Seen {
        fn output(&mut self, bytes: &[u8]) {
            self.output.extend_from_slice(bytes);
        }
        fn message(&mut self, line: &str) -> bool {
            self.messages.push(line.to_owned());
            false
        }
        fn is_cancelled(&self) -> bool {
            self.stop_at.is_some_and(|bytes| self.output.len() >= bytes)
        }
    }

    fn sh(script: &str, stalled: Duration, seen: &mut Seen) -> Done {
        let arguments = ["-c", script].map(OsString::from);
        let variables = [("SHOWN", Some("shown".into())), ("HOME", None)];
        run(&Tool { program: "sh", arguments: &arguments, variables: &variables, stalled }, seen).unwrap()
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn output_messages_and_the_exit_code_arrive() {
        let mut seen = Seen::default();
        let script = "cat; echo $SHOWN; echo \"${HOME-none}\" >&2; echo two >&2; head -c 300000 /dev/zero; exit 7";
        assert_eq!(sh(script, LONG, &mut seen), Done::Exited(Some(7)));
        assert_eq!((&seen.output[..6], seen.output.len()), (&b"shown\n"[..], 300_006));
        assert_eq!(seen.messages, ["none", "two"]);
        assert_eq!(sh("kill -9 $$", LONG, &mut seen), Done::Exited(None));
    }

    #[test]
    fn a_program_that_prints_nothing_is_ended_with_what_it_started() {
        let mut seen = Seen::default();
        let stalled = sh("sleep 1000 & echo $!; trap '' TERM; wait; sleep 1000", Duration::from_millis(500), &mut seen);
        assert_eq!(stalled, Done::Stalled);
        let started: u32 = String::from_utf8(seen.output).unwrap().trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{started}/stat"));
        // Ended, even if nobody waited for it.
        assert!(state().is_err() || state().unwrap().contains(") Z "), "{:?}", state());
    }

    #[test]
    fn a_cancelled_program_is_ended() {
        let mut seen = Seen { stop_at: Some(10), ..Seen::default() };
        assert_eq!(sh("while echo line; do sleep 0.01; done", LONG, &mut seen), Done::Cancelled);
    }

    #[test]
    fn a_process_that_keeps_the_pipes_open_is_not_waited_for() {
        let mut seen = Seen::default();
        assert_eq!(sh("setsid sleep 30 & exit 3", LONG, &mut seen), Done::Exited(Some(3)));
    }

    #[test]
    fn a_program_that_is_not_installed_is_told_apart() {
        let tool = Tool { program: "no-such-program", arguments: &[], variables: &[], stalled: LONG };
        assert_eq!(run(&tool, &mut Seen::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
