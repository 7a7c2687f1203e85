//! Access of other users to the files in a local store.
//!
//! Rights are set on a finished file while it is still in a private folder, so it is never visible with other rights.
//! It never gets more rights than requested: if the group cannot be set, the mode loses the group's rights.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::platform;

/// The configured rights of archives, the files beside them, and the store's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// The mode of a file.
    pub mode: Option<u32>,
    /// The gid.
    pub group: Option<u32>,
}

impl Access {
    /// Returns the mode of a file: the configured one, or group-readable if only a group is configured.
    fn file_mode(self) -> Option<u32> {
        self.mode.or(self.group.map(|_| 0o640))
    }

    /// Returns the mode of the store's folder: users who may read a file may enter it.
    pub fn folder_mode(self) -> Option<u32> {
        self.file_mode().map(|mode| mode | (mode & 0o444) >> 2)
    }

    /// Sets the rights of a file in the store. `folder` is the store's; its default ACL applies if no rights are
    /// configured.
    pub(super) fn grant(self, file: &Path, folder: &Path) -> io::Result<()> {
        let changed = match self.file_mode() {
            Some(mode) => platform::give(file, mode, self.group).map(|()| true)?,
            None => match platform::default_acl(folder)? {
                Some(acl) => platform::set_acl(file, &acl.for_file()).map(|()| true)?,
                None => false,
            },
        };
        if changed { File::open(file)?.sync_all() } else { Ok(()) }
    }

    /// Sets the rights of a folder of the store that was just created, or that was closed to others.
    pub(super) fn open_folder(self, folder: &Path) -> io::Result<()> {
        match self.folder_mode() {
            Some(mode) => platform::give(folder, mode, self.group),
            None => match platform::default_acl(folder)? {
                Some(acl) => platform::set_acl(folder, &acl),
                None => Ok(()),
            },
        }
    }

    /// Opens an existing store folder to others if it belongs to this user and is closed, as a folder is that was
    /// created before rights were configured.
    pub(super) fn open_closed_folder(self, folder: &Path) -> io::Result<()> {
        let Some(mode) = self.folder_mode() else { return Ok(()) };
        let found = fs::metadata(folder)?;
        if platform::is_own(&found) && platform::is_private(&found) && mode & 0o077 != 0 {
            self.open_folder(folder)
        } else {
            Ok(())
        }
    }
}
