//! Records of restores: `restores/ID.json` in the workspace.
//!
//! A cache. An undo needs only the metadata of the safety archives; the records also list restores that had none, and
//! guarded commands that were not rolled back. A lost or unreadable record does not affect any archive.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::metadata::ReplacedTarget;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::platform::private_file_anew;

/// The folder inside the workspace.
const FOLDER: &str = "restores";
/// How many records are kept.
const KEPT: usize = 200;

/// The record of one restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id, which its safety archives carry too.
    pub restore: String,
    /// The set.
    pub set: Name,
    /// The host label.
    pub host: HostLabel,
    /// The archive that was restored; for a guarded command, the one that was created before it.
    pub archive: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Its sequence number among the records, for two at the same time; set when it is first written.
    #[serde(default)]
    pub sequence: u64,
    /// How far it got.
    pub state: RecordState,
    /// The safety archive, if one was made.
    pub safety: Option<ArchiveName>,
    /// Its targets.
    pub targets: Vec<ReplacedTarget>,
}

/// How far a restore got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// It started. Its targets' notes show whether it died.
    Unfinished,
    /// Everything was restored.
    Finished,
    /// It changed nothing, or its changes were undone: it no longer counts.
    Void,
    /// Not a restore: a guarded command failed, and its changes stay.
    NotRolledBack,
}

/// Creates an id for a restore.
pub fn new_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

impl Workspace {
    /// Writes a record, replacing an older one of the same restore, and removes the oldest ones beyond the limit.
    ///
    /// Crash before the rename: a `put-` file, which the next cleanup of leftovers removes.
    pub fn write_record(&self, record: &Record) -> io::Result<()> {
        let (folder, _) = self.create_subfolder(FOLDER)?;
        let name = format!("{}.json", record.restore);
        let sequence = match read(&folder.join(&name)) {
            Some(earlier) => earlier.sequence,
            None => files(&folder)?
                .iter()
                .filter_map(|path| read(path))
                .map(|other| other.sequence)
                .max()
                .unwrap_or(0)
                .saturating_add(1),
        };
        let record = &Record { sequence, ..record.clone() };
        let staged = self.folder.join(format!("put-record-{name}"));
        let mut file = private_file_anew(&staged)?;
        let written = file.write_all(&serde_json::to_vec_pretty(record)?).and_then(|()| file.sync_all());
        let renamed = written.and_then(|()| fs::rename(&staged, folder.join(name)));
        renamed.inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        })?;
        prune(&folder);
        Ok(())
    }

    /// Removes a record: the restore changed nothing.
    pub fn remove_record(&self, restore: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(FOLDER).join(format!("{restore}.json"))) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        }
    }

    /// Returns all records that can be read, oldest first.
    pub fn records(&self) -> io::Result<Vec<Record>> {
        let mut records: Vec<Record> = files(&self.folder.join(FOLDER))?.iter().filter_map(|path| read(path)).collect();
        records.sort_by_key(|record| (record.at, record.sequence));
        Ok(records)
    }

    /// Changes the state of a record, if there is one.
    pub fn set_record_state(&self, restore: &str, state: RecordState) -> io::Result<()> {
        match read(&self.folder.join(FOLDER).join(format!("{restore}.json"))) {
            Some(record) => self.write_record(&Record { state, ..record }),
            None => Ok(()),
        }
    }
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect())
}

/// A record that cannot be removed is not an error.
fn prune(folder: &Path) {
    let Ok(paths) = files(folder) else { return };
    if paths.len() <= KEPT {
        return;
    }
    let mut dated: Vec<(Option<DateTime<Utc>>, PathBuf)> =
        paths.into_iter().map(|path| (read(&path).map(|record| record.at), path)).collect();
    dated.sort();
    let beyond = dated.len() - KEPT;
    for (_, path) in dated.into_iter().take(beyond) {
        let _ = fs::remove_file(path);
    }
}
