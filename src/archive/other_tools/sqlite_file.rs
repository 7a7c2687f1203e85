//! Plain databases of other tools: compares the size in the header with that of the file.

use crate::archive::error::{ArchiveError, damaged, shown};
use crate::archive::limits::MAX_SURPLUS_BYTES;

/// The first bytes of a database. <https://sqlite.org/fileformat2.html#the_database_header>
pub(crate) const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The size of a database header, in bytes.
pub(crate) const HEADER_BYTES: usize = 100;

/// Returns whether a file starts like a database.
pub(crate) fn is_database(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// The result of checking the size of a database: damage, or an oddity.
pub(crate) type SizeSaid = Result<Option<String>, ArchiveError>;

/// Compares the size in a database header with the actual size; `file` is its name for messages.
///
/// Fewer bytes mean damage: a part is missing. More bytes are odd, but SQLite ignores them, so we do too: the file may
/// have been copied after it grew and before the commit. Returns the oddity.
pub(crate) fn check_header(head: &[u8], bytes: u64, file: &str) -> SizeSaid {
    if !is_database(head) || head.len() < HEADER_BYTES {
        return Err(damaged(format!("\"{}\" is not a SQLite database", shown(file))));
    }
    let Some(expected) = size_in_header(head) else { return Ok(None) };
    if bytes < expected {
        return Err(damaged(format!("\"{}\" is cut short: it has {bytes} bytes of {expected}", shown(file))));
    }
    Ok((bytes > expected)
        .then(|| format!("\"{}\" has {bytes} bytes, but its header counts only {expected}", shown(file))))
}

/// Returns the size that a header gives; `None` if it gives none (SQLite before 3.7.0 did not keep it up to date).
pub(crate) fn size_in_header(head: &[u8]) -> Option<u64> {
    let number = |at: usize| head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let page_size = match u16::from_be_bytes([*head.get(16)?, *head.get(17)?]) {
        1 => 65536,
        size if size.is_power_of_two() && size >= 512 => u64::from(size),
        _ => return None,
    };
    let pages = number(28)?;
    let valid = pages != 0 && number(24)? == number(92)?;
    valid.then(|| u64::from(pages) * page_size)
}

/// Returns the most bytes that a compressed database may hold by its header; `None` if the header gives no size.
pub(crate) fn most_bytes(head: &[u8]) -> Option<u64> {
    size_in_header(head).map(|size| size.saturating_add(size.max(MAX_SURPLUS_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(page_size: u16, pages: u32, counter: u32, valid_for: u32) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.resize(HEADER_BYTES, 0);
        head[16..18].copy_from_slice(&page_size.to_be_bytes());
        head[24..28].copy_from_slice(&counter.to_be_bytes());
        head[28..32].copy_from_slice(&pages.to_be_bytes());
        head[92..96].copy_from_slice(&valid_for.to_be_bytes());
        head
    }

    #[test]
    fn a_missing_page_is_damage_and_an_extra_one_is_odd() {
        let head = head(4096, 3, 7, 7);
        assert!(check_header(&head, 2 * 4096, "a.db").is_err());
        assert_eq!(check_header(&head, 3 * 4096, "a.db").unwrap(), None);
        assert!(check_header(&head, 4 * 4096, "a.db").unwrap().is_some());
    }

    #[test]
    fn an_invalid_page_count_is_ignored() {
        for head in [head(4096, 0, 7, 7), head(4096, 3, 7, 6)] {
            assert_eq!(check_header(&head, 4096, "a.db").unwrap(), None);
        }
        assert_eq!(size_in_header(&head(1, 2, 1, 1)), Some(131_072));
    }

    #[test]
    fn a_file_that_is_not_a_database_is_refused() {
        for wrong in [&b""[..], b"I am not a database", &MAGIC[..]] {
            assert!(check_header(wrong, 4096, "a.db").is_err());
        }
    }
}
