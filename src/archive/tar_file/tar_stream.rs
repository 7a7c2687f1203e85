//! Reads any tar, compressed or not, from front to back: old archives, and ours if somebody recompressed them.
//!
//! Everything that could escape the folder, or make two readers see different things, is refused here: links, devices,
//! folders, absolute paths, `..`, contradicting sizes, and data after the end.

use super::tar_header::{self, Block, EntryKind, padded};
use crate::archive::codec::byte_stream::ByteStream;
use crate::archive::error::{ArchiveError, damaged, shown};
use crate::archive::format::TAR_BLOCK;
use crate::archive::limits::{MAX_ENTRIES, MAX_ENTRY_NAME_BYTES, MAX_EXTENSION_BYTES, MAX_PADDING_BYTES};

/// Sizes below this fit the octal field of a header.
const OCTAL_LIMIT: u64 = 1 << 33;

/// One regular file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TarEntry {
    /// Its name as stored.
    pub(crate) raw: String,
    /// Its name without leading `./`.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// Walks the regular files of a tar.
pub(crate) struct Tar {
    source: ByteStream,
    /// The unread bytes of the current entry.
    left: u64,
    padding: u64,
    entries: usize,
    folder: Option<String>,
}

/// What extension headers say about the next entry.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    bytes: Option<u64>,
    kinds: Vec<EntryKind>,
}

impl Tar {
    pub(crate) fn new(source: ByteStream) -> Self {
        Self { source, left: 0, padding: 0, entries: 0, folder: None }
    }

    /// Returns the next regular file, or `None` once everything was read and the end is valid.
    pub(crate) fn next(&mut self) -> Result<Option<TarEntry>, ArchiveError> {
        self.skip_rest()?;
        let mut extension = Extension::default();
        loop {
            let mut block: Block = [0; TAR_BLOCK];
            match self.source.fill(&mut block)? {
                TAR_BLOCK => {}
                0 if self.entries == 0 => return Err(ArchiveError::NotAnArchive { why: "it is empty".into() }),
                _ => return Err(damaged("the end of the tar is missing")),
            }
            if block.iter().all(|&byte| byte == 0) {
                if !extension.kinds.is_empty() {
                    return Err(damaged("the tar ends after a header that belongs to an entry"));
                }
                self.check_end()?;
                return Ok(None);
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(ArchiveError::Hostile { why: format!("it holds more than {MAX_ENTRIES} entries") });
            }
            let raw = tar_header::parse(&block)?;
            match raw.kind {
                EntryKind::Pax | EntryKind::GlobalPax | EntryKind::LongName => {
                    self.extend(&mut extension, raw.kind, raw.bytes)?
                }
                EntryKind::File | EntryKind::Folder => {
                    if let Some(entry) = self.begin(raw, std::mem::take(&mut extension))? {
                        return Ok(Some(entry));
                    }
                }
            }
        }
    }

    /// Reads the next bytes of the current entry; returns 0 at its end. Fails if the tar ends before that.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let part = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.source.fill_all(&mut buffer[..part])?;
        self.left -= part as u64;
        Ok(part)
    }

    /// Returns how many bytes follow the compressed data; known once [`next`](Self::next) returned `None`.
    pub(crate) fn trailing(&self) -> u64 {
        self.source.trailing()
    }

    /// Refuses a tar that contained a folder, except the root folder of a tar of `.`. Our archives and those of the old
    /// tool contain none.
    pub(crate) fn refuse_folders(&self) -> Result<(), ArchiveError> {
        match &self.folder {
            None => Ok(()),
            Some(name) => Err(ArchiveError::Hostile { why: format!("the entry \"{}\" is a folder", shown(name)) }),
        }
    }

    fn skip_rest(&mut self) -> Result<(), ArchiveError> {
        let bytes = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        self.source.skip(bytes)
    }

    fn begin(&mut self, raw: tar_header::RawEntry, extension: Extension) -> Result<Option<TarEntry>, ArchiveError> {
        let name = extension.name.unwrap_or(raw.name);
        let name = String::from_utf8(name)
            .map_err(|_| ArchiveError::Hostile { why: "the name of an entry is not UTF-8".into() })?;
        let entry = safe(name, raw.kind)?;
        let bytes = extension.bytes.unwrap_or(raw.bytes);
        if bytes != raw.bytes && bytes < OCTAL_LIMIT {
            return Err(ArchiveError::Hostile { why: format!("\"{}\" has two sizes", shown(&entry.raw)) });
        }
        let space = padded(bytes).ok_or_else(|| ArchiveError::Hostile {
            why: format!("\"{}\" has an impossible size", shown(&entry.raw)),
        })?;
        if raw.kind == EntryKind::Folder {
            if !matches!(entry.name.as_str(), "" | ".") {
                self.folder.get_or_insert(entry.raw);
            }
            return if bytes == 0 {
                Ok(None)
            } else {
                Err(ArchiveError::Hostile { why: "a folder with contents".into() })
            };
        }
        (self.left, self.padding) = (bytes, space - bytes);
        Ok(Some(TarEntry { bytes, ..entry }))
    }

    fn extend(&mut self, extension: &mut Extension, kind: EntryKind, bytes: u64) -> Result<(), ArchiveError> {
        let refused = |why: &str| ArchiveError::Hostile { why: why.into() };
        if bytes > MAX_EXTENSION_BYTES {
            return Err(refused("an extension header is too large"));
        }
        if extension.kinds.contains(&kind) {
            return Err(refused("an entry has two extension headers of one kind"));
        }
        extension.kinds.push(kind);
        let mut body = vec![0; bytes as usize];
        self.source.fill_all(&mut body)?;
        self.source.skip(bytes.next_multiple_of(TAR_BLOCK as u64) - bytes)?;
        // Readers differ in which of two they use.
        let one_name = |extension: &Extension| {
            if extension.name.is_some() { Err(refused("an entry has two names")) } else { Ok(()) }
        };
        if kind == EntryKind::LongName {
            one_name(extension)?;
            // It ends with one NUL. If there are more, some readers end the name there, and some make them part of it.
            let name = body.strip_suffix(&[0]).unwrap_or(&body);
            if name.contains(&0) {
                return Err(refused("a long name holds a NUL"));
            }
            extension.name = Some(name.to_vec());
            return Ok(());
        }
        for (key, value) in pax_records(&body).ok_or_else(|| refused("a pax header is malformed"))? {
            match key {
                b"path" | b"size" if kind == EntryKind::GlobalPax => {
                    return Err(refused("a global pax header names an entry"));
                }
                b"path" => {
                    one_name(extension)?;
                    extension.name = Some(value.to_vec());
                }
                b"size" if extension.bytes.is_some() => return Err(refused("an entry has two sizes")),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    extension.bytes = Some(size.ok_or_else(|| refused("a pax header gives an impossible size"))?);
                }
                _ if key.starts_with(b"GNU.sparse") => return Err(refused("it holds a sparse file")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that only zeros follow the first block of zeros, at least one more block of them.
    fn check_end(&mut self) -> Result<(), ArchiveError> {
        let mut block = [0; TAR_BLOCK];
        self.source.fill_all(&mut block)?;
        let mut seen = 0;
        loop {
            if block.iter().any(|&byte| byte != 0) {
                return Err(ArchiveError::Hostile { why: "there is data after the end of the tar".into() });
            }
            block.fill(0);
            let count = self.source.fill(&mut block)? as u64;
            seen += count;
            if count == 0 {
                return Ok(());
            }
            if seen > MAX_PADDING_BYTES {
                return Err(ArchiveError::Hostile { why: "there is too much padding after the end of the tar".into() });
            }
        }
    }
}

/// Refuses names that escape the archive. Other names may still contain folders; such entries are never unpacked.
fn safe(raw: String, kind: EntryKind) -> Result<TarEntry, ArchiveError> {
    let refused = |what: &str| ArchiveError::Hostile { why: format!("the entry \"{}\" {what}", shown(&raw)) };
    if raw.len() > MAX_ENTRY_NAME_BYTES || raw.chars().any(|char| char.is_control() || char == '\\') {
        return Err(refused("has an invalid name"));
    }
    if raw.starts_with('/') {
        return Err(refused("has an absolute path"));
    }
    if raw.split('/').any(|part| part == "..") {
        return Err(refused("points outside the archive"));
    }
    let mut name = raw.as_str();
    while let Some(rest) = name.strip_prefix("./") {
        name = rest;
    }
    if kind != EntryKind::Folder && matches!(name, "" | ".") {
        return Err(refused("is a folder"));
    }
    let name = name.to_owned();
    Ok(TarEntry { raw, name, bytes: 0 })
}

/// Splits pax records: `LENGTH KEY=VALUE\n`, where the length counts the whole record (POSIX.1-2001, pax).
fn pax_records(mut body: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let blank = body.iter().position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(&body[..blank]).ok()?.parse().ok()?;
        let record = body.get(blank + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        body = &body[length..];
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_escape_the_archive_are_refused() {
        for wrong in ["/a", "..", "../a", "a/../b", "./../a", "a\nb", "a\u{1b}[2J", "a\\b", "", "./", "."] {
            assert!(safe(wrong.into(), EntryKind::File).is_err(), "{wrong:?}");
        }
        for wrong in ["/", "/a/", "../", "a/../", "./../a/"] {
            assert!(safe(wrong.into(), EntryKind::Folder).is_err(), "{wrong:?}");
        }
        assert_eq!(safe("././a".into(), EntryKind::File).unwrap().name, "a");
        assert_eq!(safe("./".into(), EntryKind::Folder).unwrap().name, "");
    }

    #[test]
    fn pax_records_are_split_by_their_lengths() {
        assert_eq!(pax_records(b"10 a=b\nc=\n5 x=\n"), Some(vec![(&b"a"[..], &b"b\nc="[..]), (b"x", b"")]));
        for wrong in [&b"999 a=b\n"[..], b"0 a=b\n", b"2 a=b\n", b"a=b\n", b"7 a=b\n", b"6 ab\n\n"] {
            assert_eq!(pax_records(wrong), None, "{wrong:?}");
        }
    }
}
