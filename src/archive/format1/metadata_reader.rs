//! Metadata of format 1: read strictly, and turned into what the operations see.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;

use crate::archive::ArchiveError;
use crate::archive::format::TAR_BLOCK;
use crate::archive::tar_file::tar_header;
use crate::metadata::{FORMAT, Metadata};
use crate::names::{ArchiveId, HostLabel, MAX_ENTRY_BYTES, METADATA_ENTRY, Name, RESTORE_ENTRY, is_file_name, printable};
use crate::snapshot::{Contents, Held, Origin};

/// How many oddities of one kind are named one by one.
pub(crate) const MAX_ODDITIES: usize = 10;

/// Says which format the metadata claims; `None` where it claims none, as the old tool's.
pub(crate) fn format(json: &[u8]) -> Result<Option<u64>, ArchiveError> {
    #[derive(Deserialize)]
    struct Claim {
        format: Option<u64>,
    }
    let claim: Claim = serde_json::from_slice(json).map_err(unreadable)?;
    match claim.format {
        Some(found) if found > u64::from(FORMAT) => Err(too_new(found, json)),
        Some(0) => Err(damaged("the metadata claims format 0")),
        format => Ok(format),
    }
}

/// Refuses metadata of a newer format. Set and host label are read as format 1 has them, in case they are still there.
fn too_new(found: u64, json: &[u8]) -> ArchiveError {
    let newer: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let text = |field: &str| newer.get(field).and_then(|value| value.as_str());
    let set = text("set").and_then(|set| Name::new(set).ok());
    let host = text("host_label").and_then(|label| HostLabel::new(label).ok());
    ArchiveError::FormatTooNew { found, set, host }
}

/// Reads metadata of format 1 and checks what reading the archive relies on.
pub(crate) fn read(json: &[u8]) -> Result<Contents, ArchiveError> {
    // The blanks behind the JSON hide a cut; the end of the line does not.
    if !json.ends_with(b"\n") || !json.len().is_multiple_of(TAR_BLOCK) {
        return Err(damaged("the metadata is cut short"));
    }
    let metadata: Metadata = serde_json::from_slice(json).map_err(unreadable)?;
    if metadata.databases.is_empty() {
        return Err(damaged("the metadata names no database"));
    }
    let (mut entries, mut names) = (HashSet::from([METADATA_ENTRY, RESTORE_ENTRY]), HashSet::new());
    for database in &metadata.databases {
        let file = database.file.as_str();
        if !is_file_name(file) || file.len() > MAX_ENTRY_BYTES {
            return Err(ArchiveError::Hostile { why: format!("\"{}\" cannot be the name of an entry", shown(file)) });
        }
        if !entries.insert(file) || !names.insert(&database.name) {
            return Err(ArchiveError::Hostile { why: format!("the metadata names \"{}\" twice", shown(file)) });
        }
        if tar_header::padded(database.bytes).is_none() {
            return Err(ArchiveError::Hostile { why: format!("\"{}\" is of an impossible size", shown(file)) });
        }
    }
    Ok(contents(metadata, ArchiveId::of_metadata(json)))
}

/// Turns metadata into contents.
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
    }
}

/// Says that metadata is no metadata. The cause is shown, without what it quotes from the archive being able to steer a terminal.
pub(crate) fn unreadable(cause: serde_json::Error) -> ArchiveError {
    damaged(format!("the metadata cannot be read: {}", cut(&cause.to_string(), 300)))
}

/// Returns a name out of an archive as it can be shown: printable, and not a screen long.
pub(crate) fn shown(name: &str) -> String {
    cut(name, 80).into_owned()
}

fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}...", printable(&text[..end])).into(),
        None => printable(text),
    }
}

pub(crate) fn damaged(why: impl Into<String>) -> ArchiveError {
    ArchiveError::Damaged { why: why.into() }
}
