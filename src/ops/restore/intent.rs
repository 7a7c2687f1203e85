//! Remembers that several databases are being replaced, so that a crash between two of them is told and can be undone.
//!
//! The file is written and synced before the first is replaced and removed after the last. The run holds a `flock` on it:
//! one that nobody holds is of a run that died.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::names::{ArchiveName, Name};
use crate::store::{LocalStore, sync_folder};

/// The beginning of the names of these files.
const PREFIX: &str = "restore-";

/// A restore that died after it had begun to replace databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The archive that was being restored.
    pub archive: String,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// The safety backup of what was there before; `None` where nothing was.
    pub safety: Option<ArchiveName>,
    /// The databases and their targets.
    pub databases: Vec<(Name, PathBuf)>,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Written {
    archive: String,
    began_at: DateTime<Utc>,
    safety: Option<String>,
    databases: Vec<(Name, String)>,
}

/// The intent of this run, which holds its lock.
pub(super) struct Intent {
    path: PathBuf,
    _lock: File,
}

impl Intent {
    /// Writes the intent durably. Dies before the rename: a `put-` file that the next run sweeps, and no database was touched.
    pub(super) fn write(
        private: &Path,
        archive: &str,
        began_at: DateTime<Utc>,
        safety: Option<&ArchiveName>,
        databases: &[(Name, PathBuf)],
    ) -> io::Result<Self> {
        let written = Written {
            archive: archive.to_owned(),
            began_at,
            safety: safety.map(|name| name.as_str().to_owned()),
            databases: databases.iter().map(|(name, path)| (name.clone(), path.to_string_lossy().into_owned())).collect(),
        };
        let text = serde_json::to_vec_pretty(&written)?;
        let name = format!("{PREFIX}{}-{}.json", std::process::id(), began_at.timestamp_micros());
        let staged = private.join(format!("put-{name}"));
        let path = private.join(name);
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&staged)?;
        file.lock()?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&staged, &path)?;
        sync_folder(private)?;
        Ok(Self { path, _lock: file })
    }

    /// Removes the intent: everything is as it was, or everything is done.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        sync_folder(parent(&self.path))
    }
}

/// Lists the restores of a store that died in the middle, oldest first. Those that still run are left out.
pub fn interrupted(store: &LocalStore) -> io::Result<Vec<Interrupted>> {
    let entries = match fs::read_dir(store.private()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_intent = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(".json"));
        if is_intent && let Some(interrupted) = read(&entry.path())? {
            found.push(interrupted);
        }
    }
    found.sort_by_key(|interrupted| interrupted.began_at);
    Ok(found)
}

fn read(path: &Path) -> io::Result<Option<Interrupted>> {
    let file = match File::open(path) {
        Ok(file) => file,
        // Another run finished meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let written: Written = serde_json::from_reader(io::BufReader::new(&file))?;
    Ok(Some(Interrupted {
        archive: written.archive,
        began_at: written.began_at,
        safety: written.safety.and_then(|name| ArchiveName::new(name).ok()),
        databases: written.databases.into_iter().map(|(name, path)| (name, path.into())).collect(),
        path: path.to_owned(),
    }))
}

/// Removes the note of an interrupted restore, after it was undone or done again.
pub fn forget(interrupted: &Interrupted) -> io::Result<()> {
    match fs::remove_file(&interrupted.path) {
        Ok(()) => sync_folder(parent(&interrupted.path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent(path: &Path) -> &Path {
    crate::store::parent(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_told_only_after_its_run_died() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::create(&folder.path().join("store")).unwrap();
        let private = store.create_private().unwrap();
        let databases = [(Name::new("app").unwrap(), PathBuf::from("/x/app.db"))];
        let safety = ArchiveName::new("app_1.tar.gz").unwrap();
        let intent = Intent::write(&private, "a.tar.gz", DateTime::UNIX_EPOCH, Some(&safety), &databases).unwrap();
        assert_eq!(interrupted(&store).unwrap(), []);

        drop(intent);
        let found = interrupted(&store).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].safety.as_ref(), found[0].databases.as_slice()), (Some(&safety), databases.as_slice()));
        forget(&found[0]).unwrap();
        assert_eq!(interrupted(&store).unwrap(), []);

        Intent::write(&private, "a.tar.gz", DateTime::UNIX_EPOCH, None, &databases).unwrap().remove().unwrap();
        assert_eq!(interrupted(&store).unwrap(), []);
    }
}
