//! One `run` at a time with a store.

use std::time::{Duration, Instant};

use super::Context;
use super::run_start::Start;
use crate::failure::{Failure, FailureKind};
use crate::names::printable;
use crate::workspace::run_lock::{RunLock, RunLockError};

/// How often the lock of another run is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes the lock of the store, and waits for another run for at most `wait`. `None` if the store has no workspace yet:
/// its first backup makes it, and the lock is taken then. Fails with 11 and the holder if the other run does not end.
pub(super) fn take(start: &Start<'_>, context: &Context, wait: Duration) -> anyhow::Result<Option<RunLock>> {
    let started = Instant::now();
    let mut told = false;
    loop {
        let Some(workspace) = context.run_workspace() else { return Ok(None) };
        let holder = match workspace.run_lock(&me(context)) {
            Ok(lock) => return Ok(Some(lock)),
            Err(RunLockError::Held { holder }) => holder,
            Err(RunLockError::Io(cause)) => {
                context.ui.warning(format!("cannot take the lock of this store, two runs are not kept apart: {cause}"));
                return Ok(None);
            }
        };
        let holder = printable(&holder).into_owned();
        if started.elapsed() >= wait {
            return Err(Failure::new(
                FailureKind::Busy,
                format!(
                    "another run saves into the store \"{}\": {holder}; the application was not started",
                    printable(&context.settings.store.to_string())
                ),
            )
            .remedy("end the other instance first, or give each its own store")
            .into());
        }
        if !told {
            start.say(context, format!("waiting for another run of this store to end: {holder}"));
            told = true;
        }
        start.pause(PAUSE.min(wait.saturating_sub(started.elapsed())))?;
    }
}

/// Takes the lock of a store that was made in the meantime.
pub(super) fn take_late(context: &Context) -> Option<RunLock> {
    match context.run_workspace()?.run_lock(&me(context)) {
        Ok(lock) => Some(lock),
        Err(RunLockError::Held { holder }) => {
            context.ui.warning(format!(
                "another run saves into the same store: {}; end one of them, or give each its own store",
                printable(&holder)
            ));
            None
        }
        Err(RunLockError::Io(_)) => None,
    }
}

/// Describes this process for the other run.
pub(super) fn me(context: &Context) -> String {
    format!(
        "process {} on {} since {}",
        std::process::id(),
        context.host_name,
        context.now.format("%Y-%m-%dT%H:%M:%SZ")
    )
}
