//! Reads the metadata of format 1 strictly, and converts it for the operations.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;

use crate::archive::codec::Codec;
use crate::archive::error::{ArchiveError, damaged, shown, unreadable_json};
use crate::archive::format::TAR_BLOCK;
use crate::archive::limits::{MAX_METADATA_BYTES, MAX_ODDITIES};
use crate::archive::tar_file::tar_header::{self, EntryKind};
use crate::metadata::{DatabaseMetadata, FORMAT, Metadata};
use crate::names::{ArchiveId, HostLabel, MAX_ENTRY_BYTES, METADATA_ENTRY, Name, RESTORE_ENTRY, is_file_name};
use crate::snapshot::{Contents, Held, Origin};
use crate::store::ReadAt;

/// Metadata of format 1, read from the first member of a file.
pub(crate) struct Described {
    pub(crate) contents: Contents,
    /// Where the second member starts.
    pub(crate) second: u64,
}

/// Reads the first member. `head` is the start of the file: all of a small first member, and enough to recognise any.
///
/// Returns `None` if the first member is not as we write it.
pub(crate) fn first_member(codec: Codec, source: &dyn ReadAt, head: &[u8]) -> Result<Option<Described>, ArchiveError> {
    let Some((packed, start)) = codec.stored_start(head) else { return Ok(None) };
    let Some(block) = start.first_chunk() else { return Ok(None) };
    let Ok(entry) = tar_header::parse(block) else { return Ok(None) };
    if entry.kind != EntryKind::File || entry.name != METADATA_ENTRY.as_bytes() || entry.bytes % TAR_BLOCK as u64 != 0 {
        return Ok(None);
    }
    if entry.bytes > MAX_METADATA_BYTES {
        return Err(ArchiveError::Hostile { why: "the metadata is larger than 16 MiB".into() });
    }
    let bytes = TAR_BLOCK + entry.bytes as usize;
    if u64::from(packed) > source.bytes() {
        return Err(damaged("it is truncated"));
    }
    if packed as usize != codec.stored_bytes(bytes) {
        return Ok(None);
    }
    let first = match head.get(..packed as usize) {
        Some(first) => Cow::Borrowed(first),
        None => {
            let mut first = head.to_vec();
            first.resize(packed as usize, 0);
            source.read_exact_at(&mut first[head.len()..], head.len() as u64)?;
            Cow::Owned(first)
        }
    };
    let Some(contents) = codec.stored_contents(&first, bytes)? else { return Ok(None) };
    let json = &contents[TAR_BLOCK..];
    let contents = match read(json) {
        Ok(contents) if contents.metadata.as_ref().is_some_and(|metadata| metadata.format == FORMAT) => contents,
        // Its format says why it cannot be read.
        read => {
            if format(json)?.is_none() {
                return Err(damaged("the metadata gives no format number"));
            }
            read?
        }
    };
    Ok(Some(Described { contents, second: packed.into() }))
}

/// Returns the JSON without most of the blanks that fill its room: the parser looks at each of them, and there are ten
/// times as many as other bytes.
fn without_room(json: &[u8]) -> &[u8] {
    let mut text = json.strip_suffix(b"\n").unwrap_or(json);
    while let Some(shorter) = text.strip_suffix(&[b' '; 64]) {
        text = shorter;
    }
    text
}

/// Returns how many bytes a database takes in the tar after its header.
pub(crate) fn padded(database: &DatabaseMetadata) -> u64 {
    tar_header::padded(database.bytes).expect("sizes were checked when the metadata was read")
}

/// Returns the format that the metadata claims; `None` if it claims none, as the old tool's does.
pub(crate) fn format(json: &[u8]) -> Result<Option<u64>, ArchiveError> {
    #[derive(Deserialize)]
    struct Claim {
        format: Option<u64>,
    }
    let claim: Claim = serde_json::from_slice(without_room(json)).map_err(unreadable_json)?;
    match claim.format {
        Some(found) if found > u64::from(FORMAT) => Err(too_new(found, json)),
        Some(0) => Err(damaged("the metadata gives format 0")),
        format => Ok(format),
    }
}

/// Refuses metadata of a newer format. Set and host label are read as in format 1, in case they are still there.
fn too_new(found: u64, json: &[u8]) -> ArchiveError {
    let newer: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let text = |field: &str| newer.get(field).and_then(|value| value.as_str());
    let set = text("set").and_then(|set| Name::new(set).ok());
    let host = text("host_label").and_then(|label| HostLabel::new(label).ok());
    ArchiveError::FormatTooNew { found, set, host }
}

/// Reads metadata of format 1 and checks everything that reading the archive relies on.
pub(crate) fn read(json: &[u8]) -> Result<Contents, ArchiveError> {
    // The blanks after the JSON would hide a truncation; the missing newline does not.
    if !json.ends_with(b"\n") || !json.len().is_multiple_of(TAR_BLOCK) {
        return Err(damaged("the metadata is cut short"));
    }
    let metadata: Metadata = serde_json::from_slice(without_room(json)).map_err(unreadable_json)?;
    if metadata.databases.is_empty() {
        return Err(damaged("the metadata lists no database"));
    }
    let (mut entries, mut names) = (HashSet::from([METADATA_ENTRY, RESTORE_ENTRY]), HashSet::new());
    for database in &metadata.databases {
        let file = database.file.as_str();
        if !is_file_name(file) || file.len() > MAX_ENTRY_BYTES {
            return Err(ArchiveError::Hostile { why: format!("\"{}\" is not a valid entry name", shown(file)) });
        }
        if !entries.insert(file) || !names.insert(&database.name) {
            return Err(ArchiveError::Hostile { why: format!("the metadata names \"{}\" twice", shown(file)) });
        }
        if tar_header::padded(database.bytes).is_none() {
            return Err(ArchiveError::Hostile { why: format!("\"{}\" has an impossible size", shown(file)) });
        }
    }
    Ok(contents(metadata, ArchiveId::of_metadata(json)))
}

/// Converts metadata into contents.
fn contents(metadata: Metadata, id: ArchiveId) -> Contents {
    let there: HashSet<&Name> = metadata.databases.iter().map(|database| &database.name).collect();
    let wrong = metadata.includes.iter().filter(|(name, included)| **included != there.contains(name));
    let oddities = wrong.take(MAX_ODDITIES).map(|(name, &included)| {
        let (says, is) = if included { ("is", "is not") } else { ("is not", "is") };
        format!("the metadata says that the database \"{name}\" {says} included, but it {is} in the archive")
    });
    let oddities = oddities.collect();
    let databases = metadata.databases.iter().map(|database| Held {
        name: database.name.clone(),
        file: database.file.clone(),
        bytes: Some(database.bytes),
        sha256: Some(database.sha256),
        source: Some(database.source.clone()),
        tables: Some(database.tables.clone()),
        table_count: Some(database.table_count),
        sidecars: Vec::new(),
    });
    Contents {
        origin: Origin::Format1,
        backup_name: metadata.backup_name.clone(),
        created_at: metadata.created_at,
        set: metadata.set.clone(),
        kind: metadata.kind,
        databases: databases.collect(),
        oddities,
        metadata: Some(metadata),
        id: Some(id),
        is_encrypted: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_of_the_room_are_not_parsed() {
        let room = |text: &str, blanks: usize| format!("{text}{}\n", " ".repeat(blanks)).into_bytes();
        for blanks in [0, 1, 63, 64, 65, 127, 128, 10_000] {
            let json = room(r#"{"format":1}"#, blanks);
            let rest = without_room(&json).strip_prefix(br#"{"format":1}"#).unwrap();
            assert!(rest.len() < 64 && rest.iter().all(|byte| *byte == b' '), "{blanks}");
            assert_eq!(format(&json).unwrap(), Some(1));
            // What is not blank is read, wherever it is.
            for wrong in ["{\"format\":1", "{\"format\":1}\u{c}", "{\"format\":1}x", "{\"format\":\"1", "\0"] {
                assert!(format(&room(wrong, blanks)).is_err(), "{wrong}, {blanks}");
            }
            let late = [room(r#"{"format":1}"#, blanks), room("{}", blanks)].concat();
            assert!(format(&late).is_err(), "{blanks}");
            assert!(matches!(
                format(&room(r#"{"format":2}"#, blanks)),
                Err(ArchiveError::FormatTooNew { found: 2, .. })
            ));
        }
        assert_eq!(without_room(b""), b"");
        assert_eq!(without_room(&room("", 64)), b"");
    }
}
