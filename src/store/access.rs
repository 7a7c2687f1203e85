//! Who else may read what lies in a local store.
//!
//! Rights are given to a finished file while it still lies in a private folder: nobody sees it with others. Never more
//! than was asked for: if the group cannot be given, the mode loses the group's rights.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::platform;

/// What the configuration says about the rights of archives, the files beside them, and the store's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// The mode of a file.
    pub mode: Option<u32>,
    /// The number of the group.
    pub group: Option<u32>,
}

impl Access {
    /// Returns the mode of a file: what was asked for; with a group alone its members may read.
    fn file_mode(self) -> Option<u32> {
        self.mode.or(self.group.map(|_| 0o640))
    }

    /// Returns the mode of the store's folder: who may read a file may enter it.
    pub fn folder_mode(self) -> Option<u32> {
        self.file_mode().map(|mode| mode | (mode & 0o444) >> 2)
    }

    /// Gives a file of the store its rights. `folder` is the store's, whose default access control list counts if
    /// nothing was asked for.
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

    /// Gives a folder of the store its rights: one that was made just now, or one that was closed to everybody else.
    pub(super) fn open_folder(self, folder: &Path) -> io::Result<()> {
        match self.folder_mode() {
            Some(mode) => platform::give(folder, mode, self.group),
            None => match platform::default_acl(folder)? {
                Some(acl) => platform::set_acl(folder, &acl),
                None => Ok(()),
            },
        }
    }

    /// Opens an existing store's folder that is this user's and closed to everybody else, as one was made before
    /// somebody was to read it.
    pub(super) fn open_closed_folder(self, folder: &Path) -> io::Result<()> {
        let Some(mode) = self.folder_mode() else { return Ok(()) };
        let found = fs::metadata(folder)?;
        if platform::is_own(&found) && platform::is_private(&found) && mode & 0o077 != 0 { self.open_folder(folder) } else { Ok(()) }
    }
}
