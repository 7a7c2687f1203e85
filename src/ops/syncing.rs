//! Syncs files in the background while they are written.

use std::fs::File;
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often written data is synced.
const INTERVAL: Duration = Duration::from_millis(200);

/// Runs `work` while another thread repeatedly syncs these files.
///
/// The sync at the end is short then; without this, other processes that commit to the same disk wait for it (0.2 s per
/// half a GB). It does not replace the final sync: a caller that needs the files to be durable syncs them again. Its
/// errors must be taken from here, since the system reports each only once.
pub(super) fn while_syncing<T>(files: &[&File], work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        let syncing = thread::Builder::new().spawn_scoped(scope, move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                files.iter().try_for_each(|file| file.sync_data())?;
            }
            Ok::<_, io::Error>(())
        });
        let result = work()?;
        drop(done);
        // If no thread can be spawned, nothing was synced early, and nothing is lost.
        if let Ok(thread) = syncing {
            thread
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
                .map_err(|cause| anyhow::Error::new(cause).context("cannot sync"))?;
        }
        Ok(result)
    })
}
