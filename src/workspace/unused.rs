//! Removes an unused workspace.

use std::fs;
use std::io;
use std::time::Duration;

use super::{Workspace, holds, lock, pending};
use crate::progress::Silent;

impl Workspace {
    /// Removes the folder if it contains only empty folders and the lock; returns whether it is gone. A missing folder
    /// counts as gone.
    ///
    /// Crash in between: a workspace that is empty or contains an empty lock file. A run that started in the meantime
    /// keeps its scratch: only empty folders are removed, and the lock file only under the lock.
    pub fn remove_if_unused(&self) -> io::Result<bool> {
        match fs::symlink_metadata(&self.folder) {
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(cause) => return Err(cause),
        }
        let Ok(_lock) = self.lock(Duration::ZERO, &Silent) else { return Ok(false) };
        for folder in [holds::FOLDER, pending::FOLDER] {
            match fs::remove_dir(self.folder.join(folder)) {
                Err(cause) if !matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                    return Err(cause);
                }
                _ => {}
            }
        }
        let names = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        if names.iter().any(|name| name != lock::FILE) {
            return Ok(false);
        }
        fs::remove_file(self.folder.join(lock::FILE))?;
        fs::remove_dir(&self.folder).map(|()| true)
    }
}
