//! The last step before a supervised program: it shall end with its supervisor.
//!
//! A process can ask for that only itself, and no safe code runs between fork and exec. So this program starts itself
//! once more, asks, and becomes the other program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setpriority_process};

/// The first argument that asks for this step. The next ones are the PID of the supervisor, the nice value, and the
/// command.
pub const LAUNCH: &str = "__launch";

/// Becomes a command that gets SIGTERM when its parent ends. Returns the error and the name of the command only if that
/// failed; `None` if `words` are not of [`LAUNCH`].
pub fn launch(words: &[OsString]) -> Option<(io::Error, OsString)> {
    let [first, parent, nice, name, arguments @ ..] = words else { return None };
    if first != LAUNCH {
        return None;
    }
    let failed = |cause| Some((cause, name.clone()));
    if let Err(cause) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return failed(cause.into());
    }
    // It may have ended before it was asked for.
    if getppid() != number(parent).and_then(Pid::from_raw) {
        return failed(io::Error::other("its supervisor has ended"));
    }
    if let Some(nice) = number(nice).filter(|nice| *nice != 0) {
        // A job with the usual priority is better than none.
        let _ = setpriority_process(None, nice);
    }
    failed(Command::new(name).args(arguments).exec())
}

fn number(word: &OsStr) -> Option<i32> {
    word.to_str()?.parse().ok()
}
