//! POSIX ACLs (acl(5)): the kernel's attributes, and the short text form of `getfacl` and `setfacl` with numeric ids.

use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};
use rustix::io::Errno;

/// The attribute with the rights of a file.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// The attribute with the rights of new files in a folder.
const DEFAULT: &str = "system.posix_acl_default";
/// The largest attribute that Linux allows.
const MAX_BYTES: usize = 64 << 10;

/// The version at the start of the attribute (`POSIX_ACL_XATTR_VERSION` in Linux's `posix_acl_xattr.h`).
const VERSION: u32 = 2;
/// The most entries to read.
const MOST_ENTRIES: usize = 4096;

/// An ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    rights: u16,
    /// The account; all ones if the tag needs none.
    id: u32,
}

const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The right to execute a file or enter a folder.
const EXECUTE: u16 = 1;

impl Acl {
    /// Parses the value of the attribute.
    pub fn from_attribute(value: &[u8]) -> Option<Self> {
        let (version, entries) = value.split_first_chunk::<4>()?;
        let (entries, rest) = entries.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !rest.is_empty() || entries.len() > MOST_ENTRIES {
            return None;
        }
        let entry = |[a, b, c, d, id @ ..]: &[u8; 8]| Entry {
            tag: u16::from_le_bytes([*a, *b]),
            rights: u16::from_le_bytes([*c, *d]) & 7,
            id: u32::from_le_bytes(*id),
        };
        Some(Self(entries.iter().map(entry).collect()))
    }

    /// Formats the value of the attribute.
    pub fn to_attribute(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for Entry { tag, rights, id } in &self.0 {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&rights.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    /// Formats it as text: `user::rw-,user:10001:rw-,group::r--,mask::rw-,other::---`.
    pub fn to_text(&self) -> String {
        let entry = |Entry { tag, rights, id }: &Entry| {
            let word = match *tag {
                OWNER | USER => "user",
                OWNING_GROUP | GROUP => "group",
                MASK => "mask",
                _ => "other",
            };
            let id = if matches!(*tag, USER | GROUP) { id.to_string() } else { String::new() };
            let bit = |bit: u16, letter: char| if rights & bit == 0 { '-' } else { letter };
            format!("{word}:{id}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x'))
        };
        self.0.iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// Parses the text form. The kernel checks the rest when it is set.
    pub fn from_text(text: &str) -> Option<Self> {
        let entry = |text: &str| {
            let [word, id, rights]: [&str; 3] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
            let tag = match (word, id.is_empty()) {
                ("user", true) => OWNER,
                ("user", false) => USER,
                ("group", true) => OWNING_GROUP,
                ("group", false) => GROUP,
                ("mask", true) => MASK,
                ("other", true) => OTHER,
                _ => return None,
            };
            let id = if id.is_empty() { u32::MAX } else { id.parse().ok()? };
            let bits = [('r', 4), ('w', 2), ('x', 1)].into_iter();
            let rights = bits.filter(|(letter, _)| rights.contains(*letter)).map(|(_, bit)| bit).sum();
            Some(Entry { tag, rights, id })
        };
        let entries = text.split(',').take(MOST_ENTRIES + 1).map(entry).collect::<Option<Vec<_>>>()?;
        (entries.len() <= MOST_ENTRIES).then_some(Self(entries))
    }

    fn rights(&self, tag: u16) -> Option<u32> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.rights.into())
    }

    /// Returns the rights of the owning group, limited by the mask.
    pub fn group_mode(&self) -> u32 {
        self.rights(OWNING_GROUP).unwrap_or(0) & self.rights(MASK).unwrap_or(7)
    }

    /// Returns a mode for a file that cannot have the ACL; it never grants more than the ACL.
    ///
    /// Without the ACL, an account that it names is one of the others: rights that the ACL denies to it are denied to
    /// all others, too.
    pub fn mode_without(&self) -> u32 {
        let named = |wanted: u16| {
            let mask = self.rights(MASK).unwrap_or(7);
            let of_tag = self.0.iter().filter(move |entry| entry.tag == wanted);
            of_tag.map(|entry| u32::from(entry.rights) & mask).fold(7, |all, one| all & one)
        };
        let group = self.group_mode() & named(USER);
        let other = self.rights(OTHER).unwrap_or(0) & named(USER) & named(GROUP);
        self.rights(OWNER).unwrap_or(6) << 6 | group << 3 | other
    }

    /// Returns the same ACL without the right to execute: what a new file gets from the default ACL of its folder.
    #[must_use]
    pub fn for_file(mut self) -> Self {
        for entry in &mut self.0 {
            entry.rights &= !EXECUTE;
        }
        self
    }

    /// Removes all rights of the owning group and of others.
    pub fn narrow(&mut self) {
        for entry in self.0.iter_mut().filter(|entry| matches!(entry.tag, OWNING_GROUP | OTHER)) {
            entry.rights = 0;
        }
    }
}

/// Returns the default ACL of a folder; `None` if it has none, or the file system does not support ACLs.
pub fn default_acl(folder: &Path) -> io::Result<Option<Acl>> {
    let mut bytes = vec![0; MAX_BYTES];
    match getxattr(folder, DEFAULT, &mut bytes[..]) {
        Ok(length) => match Acl::from_attribute(&bytes[..length]) {
            Some(acl) => Ok(Some(acl).filter(|acl| !acl.0.is_empty())),
            None if length == 0 => Ok(None),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "its default ACL has an unknown format")),
        },
        Err(cause) if is_none(cause) => Ok(None),
        Err(cause) => Err(cause.into()),
    }
}

/// Sets the ACL of a file or folder, mode included.
pub fn set_acl(path: &Path, acl: &Acl) -> io::Result<()> {
    Ok(setxattr(path, ACCESS, &acl.to_attribute(), XattrFlags::empty())?)
}

/// Removes the ACL of a file, so that only its mode applies.
pub fn without_acl(path: &Path) -> io::Result<()> {
    match removexattr(path, ACCESS) {
        Ok(()) => Ok(()),
        Err(cause) if is_none(cause) => Ok(()),
        Err(cause) => Err(cause.into()),
    }
}

fn is_none(cause: Errno) -> bool {
    matches!(cause, Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attribute_are_equivalent() {
        let text = "user::rw-,user:10001:rw-,group::r--,group:7:r-x,mask::rw-,other::---";
        let acl = Acl::from_text(text).unwrap();
        assert_eq!(acl.to_text(), text);
        assert_eq!(Acl::from_attribute(&acl.to_attribute()), Some(acl));
        for broken in ["", "user:rw-", "user:x:rw-", "mask:1:rw-", "everybody::rw-"] {
            assert_eq!(Acl::from_text(broken), None, "{broken}");
        }
        assert_eq!(Acl::from_attribute(b"\x02\0\0\0\x01"), None);
    }

    #[test]
    fn a_file_gets_no_right_to_execute_from_its_folder() {
        let acl = Acl::from_text("user::rwx,user:10001:r-x,group::r-x,mask::rwx,other::--x").unwrap();
        assert_eq!(acl.for_file().to_text(), "user::rw-,user:10001:r--,group::r--,mask::rw-,other::---");
    }

    #[test]
    fn the_mode_without_the_acl_grants_no_more_than_the_acl() {
        let acl = |text| Acl::from_text(text).unwrap().mode_without();
        assert_eq!(acl("user::rw-,user:1:rw-,group::r--,mask::rw-,other::---"), 0o640);
        assert_eq!(acl("user::rw-,user:1:---,group::r--,mask::rw-,other::r--"), 0o600);
        assert_eq!(acl("user::rw-,group::rw-,group:1:r--,mask::r--,other::rw-"), 0o644);
    }
}
