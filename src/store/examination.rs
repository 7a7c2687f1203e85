//! Tries everything that a store is needed for, with a small hidden file.

use super::{Store, StoreError, Token};

/// What was found out about a store. Each part is tried, whatever became of those before it.
#[derive(Debug)]
pub struct Examination {
    /// Whether a file can be written.
    pub write: Result<(), StoreError>,
    /// Whether writing onto a taken name is refused, by the service itself; `None` if nothing could be written.
    pub refuses_taken_names: Option<bool>,
    /// Whether the service confirms a checksum of what it receives; `None` if nothing could be written.
    pub checksums: Option<bool>,
    /// Whether the store can be listed, and how many files it has.
    pub list: Result<usize, StoreError>,
    /// Whether a file can be read; `None` if there is none.
    pub read: Option<Result<(), StoreError>>,
    /// Whether a file can be removed; `None` if there is none that may be.
    pub remove: Option<Result<(), StoreError>>,
    /// By how many seconds the clock of this host is ahead of the service's; negative if it is behind.
    pub clock_ahead: Option<i64>,
    /// Whether removed files stay as hidden versions, as far as the service shows it.
    pub keeps_versions: Option<bool>,
    /// Whether new files are locked against removal for a time, as far as the service shows it.
    pub locks: Option<bool>,
    /// A rule for the provider, in its format, that removes unfinished uploads; `None` if it does so by itself.
    pub unfinished_uploads: Option<String>,
}

/// Tries a store with a hidden file.
///
/// Crash in between: the hidden file stays, and no listing shows it.
pub(super) fn try_out(store: &dyn Store) -> Examination {
    let name = format!(".heirloom-check-{}", Token::random());
    let content = name.as_bytes();
    let write = store.put(&name, content);
    let is_written = write.is_ok();
    let capabilities = store.capabilities();
    let read = is_written.then(|| {
        let mut found = vec![0; content.len()];
        let failed = |cause| StoreError::io("read", &name, store.location(), cause);
        store.open(&name, None)?.read_exact_at(&mut found, 0).map_err(failed)?;
        if found == content { Ok(()) } else { Err(failed(std::io::Error::other("it differs from what was written"))) }
    });
    Examination {
        refuses_taken_names: is_written.then_some(capabilities.atomic_commit),
        checksums: is_written.then_some(capabilities.checksums),
        list: store.list().map(|entries| entries.len()),
        read,
        remove: is_written.then(|| store.remove(&name)),
        write,
        clock_ahead: None,
        keeps_versions: None,
        locks: None,
        unfinished_uploads: None,
    }
}
