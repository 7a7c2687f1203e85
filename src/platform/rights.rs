//! Groups and access control lists of files, beyond owner and mode.

use std::io;
use std::path::Path;

use rustix::fs::{Gid, XattrFlags, chown, getxattr, removexattr, setxattr};
use rustix::io::Errno;

/// The attribute that holds the rights of new files in a folder (acl(5)).
const DEFAULT: &str = "system.posix_acl_default";
/// The attribute that holds the rights of a file.
const ACCESS: &str = "system.posix_acl_access";
/// The size of the version at the beginning of both, and of each entry: tag, permissions, id; little-endian.
const HEADER: usize = 4;
const ENTRY: usize = 8;
/// The largest list that is read; Linux allows no larger attribute.
const MAX_BYTES: usize = 64 << 10;
/// The permission to execute a file or to enter a folder.
const EXECUTE: u8 = 1;

/// An access control list, as the kernel stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl(Vec<u8>);

impl Acl {
    /// Returns the same list without the permission to execute: what a new file gets.
    #[must_use]
    pub fn for_file(mut self) -> Self {
        for entry in self.0.iter_mut().skip(HEADER).collect::<Vec<_>>().chunks_exact_mut(ENTRY) {
            *entry[2] &= !EXECUTE;
        }
        self
    }
}

/// Returns the default access control list of a folder; `None` if it has none, or the file system knows none.
pub fn default_acl(folder: &Path) -> io::Result<Option<Acl>> {
    let mut bytes = vec![0; MAX_BYTES];
    match getxattr(folder, DEFAULT, &mut bytes[..]) {
        Ok(length) if length > HEADER => {
            bytes.truncate(length);
            Ok(Some(Acl(bytes)))
        }
        Ok(_) => Ok(None),
        Err(cause) if is_none(cause) => Ok(None),
        Err(cause) => Err(cause.into()),
    }
}

/// Sets the access control list of a file or folder, mode included.
pub fn set_acl(path: &Path, acl: &Acl) -> io::Result<()> {
    Ok(setxattr(path, ACCESS, &acl.0, XattrFlags::empty())?)
}

/// Removes the access control list of a file, so that its mode says everything.
pub fn without_acl(path: &Path) -> io::Result<()> {
    match removexattr(path, ACCESS) {
        Ok(()) => Ok(()),
        Err(cause) if is_none(cause) => Ok(()),
        Err(cause) => Err(cause.into()),
    }
}

/// Gives a file to a group.
pub fn give_to_group(path: &Path, group: u32) -> io::Result<()> {
    Ok(chown(path, None, Some(Gid::from_raw(group)))?)
}

/// Returns whether this process may give its files to a group.
pub fn may_give_to(group: u32) -> bool {
    use rustix::process::{getegid, geteuid, getgroups};
    geteuid().is_root() || getegid().as_raw() == group || getgroups().is_ok_and(|groups| groups.iter().any(|own| own.as_raw() == group))
}

fn is_none(cause: Errno) -> bool {
    matches!(cause, Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS)
}
