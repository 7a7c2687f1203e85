//! Keeps the disk busy while the processors are.

use std::fs::File;
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often what was written so far is handed to the disk.
const INTERVAL: Duration = Duration::from_millis(200);

/// Works while another thread syncs what was written to these files so far, again and again.
///
/// The sync at the end is short then; without this, other processes that commit to the same disk wait for it (0.2 s per
/// half a GB). It replaces no sync: whoever needs the files to be durable syncs them once more. But its errors must be
/// taken from here, since the system tells each only once.
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
        // Where the system gives no thread, nothing was synced yet, and nothing is lost.
        if let Ok(thread) = syncing {
            thread
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
                .map_err(|cause| anyhow::Error::new(cause).context("cannot sync"))?;
        }
        Ok(result)
    })
}
