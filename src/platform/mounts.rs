//! The file system type of a folder.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::room::room;

/// The `statfs` types of file systems on other machines, or of those that others can change without honoring our locks.
/// Linux: `include/uapi/linux/magic.h`, and the headers of the file systems that are not listed there.
const NETWORK: [u64; 15] = [
    0x6969,      // nfs
    0x517B,      // smbfs
    0xFF53_4D42, // cifs
    0xFE53_4D42, // smb2
    0x00C3_6400, // ceph
    0x0102_1997, // 9p
    0x5346_414F, // afs
    0x6B41_4653, // kafs
    0x7375_7245, // coda
    0x564C,      // ncpfs
    0x0BD0_0BD0, // lustre
    0x4750_4653, // gpfs
    0x0116_1970, // gfs2
    0x7461_636F, // ocfs2
    0x7C7C_6673, // prl_fs, a host folder shared with a virtual machine
];
/// `FUSE_SUPER_MAGIC`: sshfs, rclone, s3fs and virtiofs, but also ntfs-3g and mergerfs.
const FUSE: u64 = 0x6573_5546;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC`.
const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58F6];

/// Returns the size of the file system of a folder if it is in memory: what lies there takes memory from programs.
pub fn memory_room(folder: &Path) -> io::Result<Option<MemoryRoom>> {
    let found = rustix::fs::statfs(folder)?;
    if !MEMORY.contains(&(found.f_type as u64 & 0xFFFF_FFFF)) {
        return Ok(None);
    }
    let total = room(folder)?.total;
    Ok(Some(if total == 0 { MemoryRoom::Unlimited } else { MemoryRoom::Bytes(total) }))
}

/// The size of a file system in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryRoom {
    /// Its limit in bytes.
    Bytes(u64),
    /// All memory.
    Unlimited,
}

/// `OVERLAYFS_SUPER_MAGIC`: the layers of a container.
const OVERLAY: u64 = 0x794C_7630;

/// How long the file system of a folder keeps what is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lasting {
    /// As far as can be seen, always.
    Yes,
    /// As long as the machine runs.
    Memory,
    /// As long as the container exists.
    Container,
    /// It is on another machine, with this type of file system.
    Elsewhere(String),
}

/// Returns how long the file system of a folder, or of the next existing folder above it, keeps what is written there.
pub fn lasting(folder: &Path) -> Lasting {
    let Some(folder) = folder.ancestors().find(|folder| folder.exists()) else { return Lasting::Yes };
    let Ok(found) = rustix::fs::statfs(folder) else { return Lasting::Yes };
    match found.f_type as u64 & 0xFFFF_FFFF {
        kind if MEMORY.contains(&kind) => Lasting::Memory,
        OVERLAY => Lasting::Container,
        _ if is_network_file_system(folder).unwrap_or_default() => {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            let kind = fs::metadata(folder).ok().and_then(|found| type_of(&mounts, found.dev()));
            Lasting::Elsewhere(kind.unwrap_or("of unknown type").to_owned())
        }
        _ => Lasting::Yes,
    }
}

/// Returns whether a folder is on a network file system, where others may use it without seeing our locks.
///
/// Of FUSE file systems, only those on a block device (`fuseblk`) count as local. The others do not reveal what is
/// behind them, and protecting by age instead of locks is harmless on a local one.
pub fn is_network_file_system(path: &Path) -> io::Result<bool> {
    let kind = rustix::fs::statfs(path)?.f_type;
    // The type of the field depends on the architecture; all magic numbers have 32 bits.
    let kind = kind as u64 & 0xFFFF_FFFF;
    if kind != FUSE {
        return Ok(NETWORK.contains(&kind));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let device = fs::metadata(path)?.dev();
    Ok(type_of(&mounts, device).is_none_or(|kind| kind != "fuseblk"))
}

/// Returns the file system type of a device, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
fn type_of(mounts: &str, device: u64) -> Option<&str> {
    let wanted = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(&wanted))?;
    // The optional fields before it end with a dash.
    line.split_once(" - ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_local_and_fuse_is_classified_by_its_type() {
        assert!(!is_network_file_system(&std::env::temp_dir()).unwrap());
        assert!(is_network_file_system(Path::new("/no/such/folder")).is_err());
        let mounts = "36 35 0:52 / /mnt/a rw,noatime master:1 - fuse.sshfs me@host: rw\n37 35 8:17 / /mnt/b rw - \
                      fuseblk /dev/sdb1 rw\n";
        let device = rustix::fs::makedev;
        assert_eq!(
            [type_of(mounts, device(0, 52)), type_of(mounts, device(8, 17))],
            [Some("fuse.sshfs"), Some("fuseblk")]
        );
        assert_eq!(type_of(mounts, device(8, 1)), None);
    }
}
