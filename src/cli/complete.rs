//! Shell completion of values: archive names of the store, database names of the configuration.

use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::names::ARCHIVE_ENDINGS;
use crate::store::{LocalStore, ReadStore as _};

/// Completes archive names from the store that the environment names. Reads only the folder, not the archives: a
/// shell is waiting.
pub(super) fn archives() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let typed = typed.to_string_lossy();
        let folder =
            ["HEIRLOOM_DIR", "BACKUP_DIR"].iter().find_map(std::env::var_os).unwrap_or_else(|| "backups".into());
        let entries = LocalStore::open(folder.as_ref()).and_then(|store| store.list()).unwrap_or_default();
        let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
        names.retain(|name| {
            name.starts_with(typed.as_ref()) && ARCHIVE_ENDINGS.iter().any(|ending| name.ends_with(ending))
        });
        names.sort_unstable_by(|a, b| b.cmp(a));
        if "latest".starts_with(typed.as_ref()) {
            names.insert(0, "latest".into());
        }
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}
