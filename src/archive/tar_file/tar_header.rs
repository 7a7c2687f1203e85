//! Tar headers: writes ours, and reads those of any tool strictly.

use tar::Header;

use crate::archive::error::{ArchiveError, shown};
use crate::archive::format::TAR_BLOCK;

/// A block of a tar.
pub(crate) type Block = [u8; TAR_BLOCK];

/// The entry type in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// pax records for the next entry.
    Pax,
    /// pax records for all following entries.
    GlobalPax,
    /// GNU: the name of the next entry.
    LongName,
}

/// A header whose checksum and size field are valid. The name is still raw.
#[derive(Debug)]
pub(crate) struct RawEntry {
    pub(crate) kind: EntryKind,
    pub(crate) name: Vec<u8>,
    pub(crate) bytes: u64,
}

/// Builds the header of a regular file, mode 0600, owned by root. Sizes of 8 GiB and more are written in base 256.
pub(crate) fn header(name: &str, bytes: u64, modified: u64) -> Block {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes);
    header.set_mtime(modified);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    *header.as_bytes()
}

/// Returns how many bytes an entry of this size takes after its header, or `None` if no tar could be that large.
pub(crate) fn padded(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(TAR_BLOCK as u64).filter(|&padded| padded <= i64::MAX as u64)
}

/// Returns whether this can be a tar header: its checksum is right.
pub(crate) fn is_header(block: &Block) -> bool {
    octal(&block[148..156]).is_some_and(|recorded| recorded == checksum(block))
}

/// Parses a header. Refuses everything except regular files, folders and known extensions.
pub(crate) fn parse(block: &Block) -> Result<RawEntry, ArchiveError> {
    if !is_header(block) {
        return Err(ArchiveError::Damaged { why: "checksum mismatch in a tar header".into() });
    }
    let header = Header::from_byte_slice(block);
    let mut name = field(&header.as_old().name).to_vec();
    if let Some(ustar) = header.as_ustar() {
        let prefix = field(&ustar.prefix);
        if !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
    }
    let refused = |what: &str| ArchiveError::Hostile {
        why: format!("the entry \"{}\" is {what}", shown(&String::from_utf8_lossy(&name))),
    };
    let kind = match block[156] {
        // Tars from before POSIX mark a folder only by the trailing slash.
        b'0' | 0 if name.ends_with(b"/") => EntryKind::Folder,
        b'0' | 0 => EntryKind::File,
        b'5' => EntryKind::Folder,
        b'x' => EntryKind::Pax,
        b'g' => EntryKind::GlobalPax,
        b'L' => EntryKind::LongName,
        b'1' | b'K' => return Err(refused("a hard link")),
        b'2' => return Err(refused("a symbolic link")),
        b'3' | b'4' => return Err(refused("a device")),
        b'6' => return Err(refused("a named pipe")),
        b'S' => return Err(refused("a sparse file")),
        _ => return Err(refused("of an unsupported type")),
    };
    let bytes = size(&block[124..136]).ok_or_else(|| refused("of an impossible size"))?;
    Ok(RawEntry { kind, name, bytes })
}

/// Returns the bytes of a text field up to its NUL.
fn field(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Parses a size: octal digits, or base 256 below 2^63.
fn size(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 == 0 {
        return octal(field);
    }
    let (high, low) = field.split_at(field.len() - 8);
    let high_is_empty = high[0] == 0x80 && high[1..].iter().all(|&byte| byte == 0);
    let value = u64::from_be_bytes(low.try_into().ok()?);
    (high_is_empty && value <= i64::MAX as u64).then_some(value)
}

/// Parses octal digits with leading blanks and a trailing blank or NUL; no digits at all is not a number.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    let digits = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if digits { u64::from_str_radix(text, 8).ok() } else { None }
}

/// Adds up the bytes of a header, with its checksum field counted as blanks.
fn checksum(block: &Block) -> u64 {
    let outside = block[..148].iter().chain(&block[156..]);
    outside.map(|&byte| u64::from(byte)).sum::<u64>() + 8 * u64::from(b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_write_and_read_at_any_size() {
        for bytes in [0, 1, (1 << 33) - 1, 1 << 33, 1 << 40, i64::MAX as u64] {
            let entry = parse(&header("-rf.db", bytes, 1_754_325_509)).unwrap();
            assert_eq!((entry.kind, entry.name.as_slice(), entry.bytes), (EntryKind::File, &b"-rf.db"[..], bytes));
        }
    }

    #[test]
    fn impossible_sizes_are_rejected() {
        for wrong in [
            &[0xff; 12][..],
            b"zzzzzzzzzzz\0",
            b"           \0",
            b"-0000000001\0",
            b"\x80\0\0\x01\0\0\0\0\0\0\0\0",
            b"\x80\0\0\0\xff\0\0\0\0\0\0\0",
        ] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
        assert_eq!(padded(u64::MAX), None);
        assert_eq!(padded(i64::MAX as u64), None);
        assert_eq!(padded(513), Some(1024));
    }

    #[test]
    fn every_changed_byte_of_a_header_is_detected() {
        let good = header("user_data.db", 4096, 0);
        for at in 0..TAR_BLOCK {
            let mut bad = good;
            bad[at] ^= 1;
            // The blank and the NUL that end the checksum carry no information.
            assert!(!is_header(&bad) || (154..156).contains(&at), "byte {at}");
        }
    }
}
