//! What the supervisor waits for: signals, the end of a child, the end of another process.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::platform::is_ignored;

/// The signals that are passed on.
const PASSED: [i32; 7] = [SIGTERM, SIGHUP, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2, SIGWINCH];

/// What the supervisor is woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A signal for the application.
    Signal {
        /// Its number.
        number: i32,
        /// Whether the kernel sent it: a terminal sends its signals to the whole process group.
        from_terminal: bool,
    },
    /// A child ended or changed.
    Child,
    /// The watched process ended.
    Gone,
}

impl Event {
    pub(super) fn of(origin: &Origin) -> Self {
        match origin.signal {
            SIGCHLD => Self::Child,
            number => Self::Signal { number, from_terminal: matches!(origin.cause, Cause::Kernel) },
        }
    }
}

/// Returns whether a signal asks an application to end.
pub fn is_stop(signal: i32) -> bool {
    matches!(signal, SIGTERM | SIGINT | SIGQUIT)
}

/// Registers for the end of children and the signals that are passed on, except those that the process was started to
/// ignore: its children ignore them too.
pub(super) fn register() -> io::Result<SignalsInfo<WithOrigin>> {
    let passed = PASSED.into_iter().filter(|signal| !is_ignored(*signal));
    SignalsInfo::<WithOrigin>::new(passed.chain([SIGCHLD]))
}

/// Sends all signals to `events` from now on, from a thread.
pub fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = register()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for origin in &mut signals.forever() {
            if events.send(Event::of(&origin)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Sends [`Event::Gone`] when a process ends. Fails if there is none with this PID.
pub fn watch_process(pid: u32, events: Sender<Event>) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    thread::Builder::new().name("beside".into()).spawn(move || {
        while matches!(poll(&mut [PollFd::new(&process, PollFlags::IN)], None), Err(Errno::INTR) | Ok(0)) {}
        // The supervisor may have ended.
        let _ = events.send(Event::Gone);
    })?;
    Ok(())
}
