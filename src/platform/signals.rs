//! Signals that end a run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag::{register, register_usize};

use super::is_ignored;

/// Sends SIGTERM to this process, as somebody would who wants it to stop.
pub fn stop_myself() -> io::Result<()> {
    signal_hook::low_level::raise(SIGTERM)
}

/// Stores the number of a termination signal in `flag`, instead of terminating at once. Signals that the process was
/// started to ignore stay ignored.
///
/// A write beyond RLIMIT_FSIZE then fails with EFBIG instead of killing the process. SIGPIPE is ignored by Rust.
pub fn note_signals(flag: &Arc<AtomicUsize>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
        register_usize(signal, flag.clone(), signal.unsigned_abs() as usize)?;
    }
    // The flag is never read: installing a handler is enough.
    register(SIGXFSZ, Arc::default()).map(drop)
}
