//! Access rights of files and folders: the user of this process, owners, groups and modes.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, Gid, accessat, chown};
use rustix::process::{getegid, geteuid, getgroups, getuid};
use rustix::thread::{CapabilitySet, capabilities};

use super::acl::without_acl;

/// Returns whether this process has the rights of root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Returns the uid of the user who started this process.
pub fn user_id() -> u32 {
    getuid().as_raw()
}

/// Returns 256 bits that nobody can guess. Waits until the system has enough of them.
pub fn random_bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// Sets the mode of a file by its path: a socket cannot be opened.
pub fn set_mode_of(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Returns the uid of the owner of a file.
pub fn owner(found: &Metadata) -> u32 {
    found.uid()
}

/// Returns the gid of the group of a file.
pub fn group(found: &Metadata) -> u32 {
    found.gid()
}

/// Returns whether a file belongs to the effective user of this process.
pub fn is_own(found: &Metadata) -> bool {
    found.uid() == geteuid().as_raw()
}

/// Returns whether the owner of a file in a folder is trusted by this process: root, its own user, or the owner of the
/// folder.
pub fn is_trusted(file: &Metadata, folder: &Path) -> io::Result<bool> {
    Ok(file.uid() == 0 || is_own(file) || file.uid() == fs::metadata(folder)?.uid())
}

/// Returns whether only the owner has any rights.
pub fn is_private(found: &Metadata) -> bool {
    found.mode() & 0o077 == 0
}

/// Returns whether a file grants at least the rights of a mode.
pub fn allows(found: &Metadata, mode: u32) -> bool {
    found.mode() & mode == mode
}

/// Returns whether any user may replace the files of others in a folder: it is world-writable and has no sticky bit.
pub fn lets_anybody_replace(folder: &Metadata) -> bool {
    folder.mode() & 0o002 != 0 && folder.mode() & 0o1000 == 0
}

/// Who may change a file besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// No one else.
    Owner,
    /// Its group.
    Group,
    /// Everybody.
    Everybody,
}

/// Returns who may change a file besides its owner.
pub fn writers(found: &Metadata) -> Writers {
    match found.mode() & 0o022 {
        0 => Writers::Owner,
        0o020 => Writers::Group,
        _ => Writers::Everybody,
    }
}

/// Fails if files cannot be created in a folder, by the rights of this process or by the mount. A read-only mount
/// returns EROFS.
pub fn may_make_files_in(folder: &Path) -> io::Result<()> {
    Ok(accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Returns whether a file can be read and written: by the rights of this process, the mount, and the file's own flags.
pub fn may_read_and_write(path: &Path) -> bool {
    accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Returns whether this process may give files to other users: as root with CAP_CHOWN, which systemd units and
/// containers often drop.
pub fn can_give_away() -> bool {
    is_root() && capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::CHOWN))
}

/// Sets the mode of an open file.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// Sets the group of a file or folder, then its mode. If the group cannot be set, the mode loses the group's rights,
/// and the cause is returned: no other group gets them.
pub fn give(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    let found = fs::metadata(path)?;
    // With an ACL, the group bits of the mode would be its mask.
    without_acl(path)?;
    let given = match group {
        Some(group) if group != found.gid() => chown(path, None, Some(Gid::from_raw(group))).map_err(io::Error::from),
        _ => Ok(()),
    };
    let mode = if given.is_ok() { mode } else { mode & !0o070 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    given
}

/// Returns whether this process may set this group on its files.
pub fn may_give_to(group: u32) -> bool {
    is_root()
        || getegid().as_raw() == group
        || getgroups().is_ok_and(|groups| groups.iter().any(|own| own.as_raw() == group))
}
