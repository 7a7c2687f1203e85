//! Resolves paths, and compares the files that they refer to.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::streams::FileIdentity;

/// The most dangling symbolic links to follow.
const MAX_LINKS: usize = 40;

/// Returns a path without symbolic links. A missing path is resolved as far as it exists, and a dangling link is
/// replaced by its target: the result is the same before and after a disk is unmounted.
pub fn resolved(path: &Path) -> PathBuf {
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing: Vec<OsString> = Vec::new();
    for _ in 0..MAX_LINKS {
        // The deepest existing part.
        let found = loop {
            match (fs::canonicalize(&path), path.parent(), path.file_name()) {
                (Ok(found), ..) => break found,
                (Err(_), Some(parent), Some(name)) if !path.is_symlink() => {
                    missing.push(name.to_owned());
                    path = parent.to_owned();
                }
                (Err(_), Some(parent), Some(_)) => match fs::read_link(&path) {
                    Ok(target) => break parent.join(target),
                    Err(_) => break path.clone(),
                },
                _ => break path.clone(),
            }
        };
        let is_done = found == path || fs::symlink_metadata(&found).is_ok_and(|found| !found.is_symlink());
        path = found;
        if is_done {
            break;
        }
    }
    path.extend(missing.iter().rev());
    path
}

/// Returns the identity of a file: equal for two names of one file, on this machine and as long as it exists.
pub fn file_id(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Returns the bytes of a path.
pub fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Returns the path with these bytes.
pub fn path_of_bytes(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Attributes that show whether a file changed: its identity, size and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Its identity: see [`file_id`].
    pub id: (u64, u64),
    /// Its size.
    pub bytes: u64,
    /// When its contents were last written, in nanoseconds of Unix time.
    pub modified: i128,
    /// When its contents, rights or names last changed, in nanoseconds of Unix time.
    pub changed: i128,
}

impl FileStamp {
    /// Takes the stamp from file metadata.
    pub fn of(found: &fs::Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            id: file_id(found),
            bytes: found.len(),
            modified: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed: nanoseconds(found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Returns the type of a file that is not a regular one; `None` for a regular file.
pub fn special_file(found: &fs::Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_fifo() => Some("a named pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

/// Returns whether a file has more than one name.
pub fn has_other_names(found: &fs::Metadata) -> bool {
    found.nlink() > 1
}

/// Returns whether a path refers to an open file.
pub fn is_named(file: &fs::File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(named) => Ok(file_id(&named) == file_id(&file.metadata()?)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Returns whether two paths refer to the same existing file.
pub fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let id = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some(file_id(&found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    Ok(id(one)?.is_some_and(|one| id(other).is_ok_and(|other| other == Some(one))))
}

/// Returns whether two paths are hard links to the same file. A symbolic link does not count as its target, and a
/// missing file has no names.
pub fn are_names_of_one_file(one: &Path, other: &Path) -> io::Result<bool> {
    let id = |path: &Path| match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(file_id(&found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let one = id(one)?;
    Ok(one.is_some() && one == id(other)?)
}

/// Returns whether there is no database at a path: no file, or an empty one that an application created and wrote
/// nothing to, without a `-wal` or `-journal` that contains data. "Missing" needs ENOENT; every other error is
/// returned.
pub fn is_missing(path: &Path) -> io::Result<bool> {
    let length = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let beside = |ending: &str| {
        let mut sidecar = path.as_os_str().to_owned();
        sidecar.push(ending);
        length(Path::new(&sidecar))
    };
    match length(path)? {
        None => Ok(true),
        Some(0) => Ok(beside("-wal")?.unwrap_or(0) == 0 && beside("-journal")?.unwrap_or(0) == 0),
        Some(_) => Ok(false),
    }
}

/// Returns the identity of the file at a path: its inode and birth time, so that a file that was deleted and recreated
/// differs. `None` if the file system has no birth time. Does not open the file.
pub fn file_identity(path: &Path) -> io::Result<Option<FileIdentity>> {
    let found = fs::metadata(path)?;
    let born = found.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    Ok(born.filter(|born| !born.is_zero()).map(|born| FileIdentity(format!("{}-{}", found.ino(), born.as_nanos()))))
}

/// Returns whether a path is a mount point itself, not just below one.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    // Access the inside, so that an automounter mounts now.
    match fs::metadata(path.join(".")) {
        Ok(_) => {}
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(cause),
    }
    let path = fs::canonicalize(path)?;
    if let Ok(mounts) = fs::read("/proc/self/mountinfo") {
        return Ok(mounts
            .split(|byte| *byte == b'\n')
            .any(|line| mounted_at(line).is_some_and(|mounted| mounted == path)));
    }
    let Some(parent) = path.parent() else { return Ok(true) };
    Ok(fs::metadata(&path)?.dev() != fs::metadata(parent)?.dev())
}

/// Returns the mount point from a line of mountinfo (proc(5)): the fifth field, with spaces and the like as `\040`.
/// `None` for a waiting automounter: nothing is mounted there yet.
fn mounted_at(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1);
    (kind != Some(b"autofs")).then(|| OsString::from_vec(without_escapes(point)).into())
}

fn without_escapes(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// Returns the gid of a group: a number unchanged, a name from `/etc/group`. `None` if the group does not exist.
pub fn group_id(group: &str) -> io::Result<Option<u32>> {
    if let Ok(number) = group.parse() {
        return Ok(Some(number));
    }
    let groups = fs::read_to_string("/etc/group")?;
    let fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    Ok(fields.filter(|fields| fields.first() == Some(&group)).find_map(|fields| fields.get(2)?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_resolves_the_same_whether_or_not_its_target_exists() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("disk/store")).unwrap();
        std::os::unix::fs::symlink("disk/store", root.join("link")).unwrap();
        std::os::unix::fs::symlink(root.join("link"), root.join("again")).unwrap();
        let paths = ["link", "again", "again/a/b.db", "disk/store/x"].map(|path| root.join(path));
        let with = paths.each_ref().map(|path| resolved(path));
        assert_eq!(with[0], root.join("disk/store"));
        assert_eq!(with[2], root.join("disk/store/a/b.db"));
        fs::remove_dir(root.join("disk/store")).unwrap();
        assert_eq!(paths.each_ref().map(|path| resolved(path)), with);
        fs::remove_dir(root.join("disk")).unwrap();
        assert_eq!(paths.each_ref().map(|path| resolved(path)), with);

        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        assert!(resolved(&root.join("loop")).ends_with("loop"));
    }

    #[test]
    fn the_mount_point_is_parsed_from_a_line_of_mountinfo() {
        let line = br"36 35 98:0 /mnt1 /mnt/a\040disk rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mounted_at(line), Some("/mnt/a disk".into()));
        assert_eq!(mounted_at(b"36 35 0:9 / /mnt/usb rw - autofs systemd-1 rw"), None);
        assert_eq!(mounted_at(b""), None);
        assert!(is_mount_point(Path::new("/")).unwrap() && !is_mount_point(Path::new("/no/such/folder")).unwrap());
    }

    #[test]
    fn a_group_resolves_to_its_number() {
        assert_eq!((group_id("root").unwrap(), group_id("10002").unwrap()), (Some(0), Some(10002)));
        assert_eq!(group_id("no such group").unwrap(), None);
    }
}
