//! Who else may read what lies in a local store.
//!
//! Rights are given to a finished file while it still lies in a private folder: nobody sees it with others. Never more than was asked for:
//! if the group cannot be given, the mode loses the group's rights.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
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

    /// Gives a file of the store its rights. `folder` is the store's, whose default access control list counts if nothing was asked for.
    pub(super) fn grant(self, file: &Path, folder: &Path) -> io::Result<()> {
        let changed = match self.file_mode() {
            Some(mode) => give(file, mode, self.group)?,
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
            Some(mode) => give(folder, mode, self.group).map(drop),
            None => match platform::default_acl(folder)? {
                Some(acl) => platform::set_acl(folder, &acl),
                None => Ok(()),
            },
        }
    }

    /// Opens an existing store's folder that is this user's and closed to everybody else, as one was made before somebody was to read it.
    pub(super) fn open_closed_folder(self, folder: &Path) -> io::Result<()> {
        let Some(mode) = self.folder_mode() else { return Ok(()) };
        let found = fs::metadata(folder)?;
        let is_own = found.uid() == rustix::process::geteuid().as_raw();
        if is_own && found.mode() & 0o077 == 0 && mode & 0o077 != 0 { self.open_folder(folder) } else { Ok(()) }
    }
}

/// Gives a file or folder its group, then its mode. Says whether anything was changed.
fn give(path: &Path, mode: u32, group: Option<u32>) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    // With a list, the mode's group bits would be its mask.
    platform::without_acl(path)?;
    let given = match group {
        Some(group) if group != found.gid() => platform::give_to_group(path, group),
        _ => Ok(()),
    };
    // Not to another group than the one that was asked for.
    let mode = if given.is_ok() { mode } else { mode & !0o070 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    given.map(|()| true)
}
