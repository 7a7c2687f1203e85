//! Access rights of a file: owner, group, mode, ACL and extended attributes, read from one file and set on another.
//!
//! No right is ever granted here that was not recorded: rights that cannot be set are omitted and reported, and the
//! mode loses the rights that were meant for an owner or group that cannot be set. Databases are only examined with
//! `stat`, never opened: closing a descriptor would drop SQLite's locks.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Gid, Uid, XattrFlags, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, listxattr};
use rustix::io::Errno;

use super::acl::{ACCESS as ACL, Acl};
use crate::metadata::{Account, RecordedRights};

/// Attributes that are not copied: they describe the bytes of a file, or belong to an underlying file system.
const NOT_COPIED: [&str; 4] = ["security.ima", "security.evm", "security.capability", "trusted."];

/// Owner, group, mode, ACL and extended attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRights {
    owner: u32,
    group: u32,
    /// The permission bits. With an ACL, the group bits are its mask.
    mode: u32,
    acl: Option<Acl>,
    attributes: Vec<(CString, Vec<u8>)>,
    /// Rights that could not be taken from a record, as findings.
    lost: Vec<String>,
}

impl FileRights {
    /// Reads the rights of a file. Follows links.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let mut rights = Self::plain(found.uid(), found.gid(), found.mode() & 0o777);
        for name in names(|buffer| listxattr(path, buffer))? {
            // An attribute that may not be read, or was removed in the meantime, cannot be kept.
            let Ok(value) = value(|buffer| getxattr(path, name.as_c_str(), buffer)) else { continue };
            if name.as_bytes() == ACL.as_bytes() {
                rights.acl = Acl::from_attribute(&value);
            } else {
                rights.attributes.push((name, value));
            }
        }
        Ok(rights)
    }

    /// Creates rights from an owner, a group and a mode.
    pub fn plain(owner: u32, group: u32, mode: u32) -> Self {
        Self { owner, group, mode: mode & 0o777, acl: None, attributes: Vec::new(), lost: Vec::new() }
    }

    /// Returns the record of these rights: names and numbers, no extended attributes.
    pub fn record(&self) -> RecordedRights {
        let account = |file: &str, id: u32| Account { name: name_of(file, id), id };
        RecordedRights {
            owner: account(PASSWD, self.owner),
            group: account(GROUP, self.group),
            mode: format!("{:04o}", self.mode),
            acl: self.acl.as_ref().map(Acl::to_text),
        }
    }

    /// Returns the recorded rights for a new file in `folder`, never more than recorded.
    ///
    /// An account is identified by its name, or by its number if no name was recorded or if neither the name nor the
    /// number is in use here. An ACL identifies accounts only by number, so it is only used on the host where it was
    /// recorded. The rights of an account that does not exist here are dropped.
    pub fn of_record(recorded: &RecordedRights, folder: &Path, is_same_host: bool) -> io::Result<Self> {
        let folder = fs::metadata(folder)?;
        // Without a readable record, only the owner gets access.
        let mode = u32::from_str_radix(&recorded.mode, 8).map_or(0o600, |mode| mode & 0o777);
        let acl = recorded.acl.as_deref().map(|text| is_same_host.then(|| Acl::from_text(text)).flatten());
        let mut rights = Self::plain(folder.uid(), folder.gid(), mode);
        match acl {
            None => {}
            Some(Some(acl)) => rights.acl = Some(acl),
            Some(None) => {
                let group = recorded.acl.as_deref().and_then(Acl::from_text).map_or(0, |acl| acl.group_mode());
                rights.mode = rights.mode & !0o070 | rights.mode & group << 3;
                rights.lost.push("its ACL was recorded on another host".into());
            }
        }
        match account(PASSWD, &recorded.owner) {
            Some(owner) => rights.owner = owner,
            None => rights.lost.push(format!("its owner {} does not exist here", recorded.owner)),
        }
        match account(GROUP, &recorded.group) {
            Some(group) => rights.group = group,
            None => {
                rights.lost.push(format!("its group {} does not exist here", recorded.group));
                rights.narrow();
            }
        }
        Ok(rights)
    }

    /// Removes all rights of the group and of others: they were meant for accounts outside another group.
    fn narrow(&mut self) {
        match &mut self.acl {
            Some(acl) => acl.narrow(),
            None => self.mode &= 0o700,
        }
    }

    /// Applies them to a private file (0600), and returns those that could not be set. Syncs nothing.
    ///
    /// Crash in between: the file has fewer rights than it should.
    pub fn apply(&self, file: &File) -> io::Result<Vec<String>> {
        let mut rights = self.clone();
        let mut lost = std::mem::take(&mut rights.lost);
        // Closed to others until everything is set, and without the entries of the folder's default ACL.
        file.set_permissions(Permissions::from_mode(0o600))?;
        match fremovexattr(file, ACL) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (self.owner, self.group) {
            let (owner, group) = (Some(Uid::from_raw(self.owner)), Some(Gid::from_raw(self.group)));
            if fchown(file, owner, group).is_err() {
                if now.uid() != self.owner {
                    lost.push(format!("its owner could not be set to {}", named(PASSWD, self.owner)));
                }
                if now.gid() != self.group && fchown(file, None, group).is_err() {
                    lost.push(format!("its group could not be set to {}", named(GROUP, self.group)));
                    rights.narrow();
                }
            }
        }
        lost.extend(rights.set_attributes(file));
        if let Some(acl) = &rights.acl {
            // This also sets the mode.
            match fsetxattr(file, ACL, &acl.to_attribute(), XattrFlags::empty()) {
                Ok(()) => return Ok(lost),
                Err(cause) => lost.push(format!("its ACL could not be set: {}", io::Error::from(cause))),
            }
            rights.mode = acl.mode_without();
        }
        file.set_permissions(Permissions::from_mode(rights.mode))?;
        Ok(lost)
    }

    fn set_attributes(&self, file: &File) -> Vec<String> {
        let mut lost = BTreeSet::new();
        for (name, wanted) in &self.attributes {
            let is_set = || value(|buffer| fgetxattr(file, name.as_c_str(), buffer)).is_ok_and(|now| now == *wanted);
            if !is_set() && fsetxattr(file, name.as_c_str(), wanted, XattrFlags::empty()).is_err() {
                lost.insert(format!("its attribute {} could not be set", String::from_utf8_lossy(name.as_bytes())));
            }
        }
        // Attributes that the new file got from its folder and the old one did not have: a security label affects
        // access, too.
        for name in names(|buffer| flistxattr(file, buffer)).unwrap_or_default() {
            let is_user = name.as_bytes().starts_with(b"user.");
            if is_user && self.attributes.iter().all(|(kept, _)| *kept != name) {
                let _ = fremovexattr(file, name.as_c_str());
            }
        }
        lost.into_iter().collect()
    }
}

/// Lists the attributes that are copied.
fn names(list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<CString>> {
    let bytes = match value(list) {
        Ok(bytes) => bytes,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let copied = |name: &&[u8]| !NOT_COPIED.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
    Ok(names.filter(copied).filter_map(|name| CString::new(name).ok()).collect())
}

/// Reads into a buffer that is large enough: the kernel's limit is 64 KiB.
fn value(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1 << 16];
    let bytes = read(&mut buffer)?;
    buffer.truncate(bytes);
    Ok(buffer)
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Returns the number of an account here; `None` if it does not exist, or if its number belongs to another account.
fn account(file: &str, account: &Account) -> Option<u32> {
    let Some(name) = &account.name else { return Some(account.id) };
    let all = accounts(file);
    let by_name = all.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
    by_name.or_else(|| all.iter().all(|(_, id)| *id != account.id).then_some(account.id))
}

fn name_of(file: &str, id: u32) -> Option<String> {
    accounts(file).into_iter().find(|(_, known)| *known == id).map(|(name, _)| name)
}

/// Returns the name of the user with this number; `None` if /etc/passwd has none.
pub fn user_name(id: u32) -> Option<String> {
    name_of(PASSWD, id)
}

fn named(file: &str, id: u32) -> String {
    name_of(file, id).unwrap_or_else(|| id.to_string())
}

/// Reads the local accounts (passwd(5), group(5)); accounts of a directory service have no names here.
fn accounts(file: &str) -> Vec<(String, u32)> {
    let bytes = fs::read(OsStr::from_bytes(file.as_bytes())).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let account = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(account).collect()
}
