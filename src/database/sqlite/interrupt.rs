//! Interrupts long-running statements.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::progress::{Interrupted, Progress};

/// Runs long statements, and interrupts them when the operation is cancelled.
pub(in crate::database) fn watched<T>(
    connection: &Connection,
    progress: &dyn Progress,
    work: impl FnOnce() -> T,
) -> Result<T, Interrupted> {
    progress.checkpoint()?;
    let handle = connection.get_interrupt_handle();
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        // If no thread can be spawned, the statements cannot be interrupted; a cancellation then waits for their end.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            while ended.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                // Repeatedly: an interrupt between two statements is lost.
                if progress.cancelled() {
                    handle.interrupt();
                }
            }
        });
        let result = work();
        drop(done);
        Ok(result)
    })
}
