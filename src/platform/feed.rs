//! Runs a program that gets a text on its standard input, with a time limit. It gets a process group of its own, and
//! what it leaves behind in it is ended.

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::SIGTERM;

use super::child::Running;

/// How often it is checked.
const PAUSE: Duration = Duration::from_millis(10);
/// How long it may take to exit after SIGTERM.
const GRACE: Duration = Duration::from_millis(500);
/// How long output may arrive after it ended.
const LAST_OUTPUT: Duration = Duration::from_millis(500);
/// How much of its output is kept.
const KEPT: u64 = 16 << 10;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// Its exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    /// Whether it was ended because of the time limit.
    pub timed_out: bool,
    /// The beginning of its standard output.
    pub output: String,
    /// The beginning of its standard error.
    pub messages: String,
}

/// Runs a program without a shell. `words` are the program and its arguments. Fails if it could not be started.
pub fn feed(words: &[String], input: Vec<u8>, limit: Duration) -> io::Result<Fed> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut running = Running { child: command.spawn()?, own_group: true };
    if let Some(mut pipe) = running.child.stdin.take() {
        // A program that does not read its input is not an error.
        thread::spawn(move || drop(pipe.write_all(&input)));
    }
    let output = running.child.stdout.take().map(beginning);
    let messages = running.child.stderr.take().map(beginning);
    let mut timed_out = false;
    while !running.has_ended()? {
        if started.elapsed() >= limit {
            timed_out = true;
            running.send(SIGTERM);
            let asked = Instant::now();
            while !running.has_ended()? && asked.elapsed() < GRACE {
                thread::sleep(PAUSE);
            }
            break;
        }
        thread::sleep(PAUSE);
    }
    // Its PID is still the id of its group, because it was not waited for yet.
    running.send(Signal::KILL.as_raw());
    let status = running.reap()?;
    let text = |pipe: Option<Receiver<Vec<u8>>>| {
        let bytes = pipe.and_then(|pipe| pipe.recv_timeout(LAST_OUTPUT).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Fed { code: status.code(), timed_out, output: text(output), messages: text(messages) })
}

/// Reads a pipe to its end in a thread, and keeps the beginning.
fn beginning(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let _ = pipe.by_ref().take(KEPT).read_to_end(&mut kept);
        // Read on, or the program would wait for room in the pipe.
        let _ = io::copy(&mut pipe, &mut io::sink());
        let _ = sender.send(kept);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &str, limit: Duration) -> Fed {
        feed(&["sh".into(), "-c".into(), script.into()], input.into(), limit).unwrap()
    }

    #[test]
    fn input_output_and_exit_code_pass() {
        let fed = sh("cat; echo two >&2; exit 7", "one", Duration::from_secs(60));
        assert_eq!(fed, Fed { code: Some(7), timed_out: false, output: "one".into(), messages: "two\n".into() });
        assert_eq!(sh("exit 0", &"x".repeat(1 << 20), Duration::from_secs(60)).code, Some(0), "input unread");
        assert_eq!(sh("head -c 1000000 /dev/zero", "", Duration::from_secs(60)).output.len(), 16 << 10);
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        let fed = sh("trap '' TERM; sleep 1000 & echo $!; wait", "", Duration::from_secs(2));
        assert!(fed.timed_out);
        let started = fed.output.trim().to_owned();
        // The signal was sent; on a busy machine the process needs a moment to die of it.
        let begun = Instant::now();
        loop {
            let state = std::fs::read_to_string(format!("/proc/{started}/stat"));
            if state.as_ref().map_or(true, |state| state.contains(") Z ")) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{state:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
