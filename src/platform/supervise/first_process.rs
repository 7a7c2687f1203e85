//! Process 1 of a container: reaps orphans and passes signals on.
//!
//! The supervisor is its child, so that no orphan is mistaken for one of its own children. There is one thread, and
//! nothing that can fail after the child was started.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use std::ffi::OsString;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

use super::events::{Event, register};

/// Runs this program with the same arguments as a child until it ends. Returns its exit code, or 128+N if signal N
/// ended it.
pub fn be_first_process(own: &Path, words: &[OsString]) -> io::Result<u8> {
    let mut signals = register()?;
    let child = Command::new(own).arg0("heirloom").args(words).spawn()?;
    let pid = Pid::from_child(&child);
    for origin in &mut signals.forever() {
        match Event::of(&origin) {
            // The terminal sent it to the whole group, which the child belongs to.
            Event::Signal { from_terminal: true, .. } | Event::Gone => {}
            Event::Signal { number, .. } => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    // It may have ended at this moment.
                    let _ = kill_process(pid, signal);
                }
            }
            Event::Child => {
                if let Some(code) = reap(pid) {
                    return Ok(code);
                }
            }
        }
    }
    Err(io::ErrorKind::BrokenPipe.into())
}

/// Reaps everything that ended. Returns the exit code of the child if it is among them.
fn reap(child: Pid) -> Option<u8> {
    // Without children it is an error, which ends the loop, too.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child
            && let Some(code) = exit_code(status)
        {
            return Some(code);
        }
    }
    None
}

fn exit_code(status: WaitStatus) -> Option<u8> {
    let signalled = || status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or_else(signalled).and_then(|code| u8::try_from(code).ok())
}
