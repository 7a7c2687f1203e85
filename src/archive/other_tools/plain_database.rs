//! Plain databases, described by their name and their sidecars.

use std::io;
use std::path::Path;

use super::file_label::{FileLabel, set_of, stem, time_of};
use super::sqlite_file;
use crate::archive::codec::Codec;
use crate::archive::error::ArchiveError;
use crate::metadata::Kind;
use crate::names::is_file_name;
use crate::snapshot::{Contents, Held, Origin, Part, Sidecar};

/// Describes a plain database by its name.
pub(crate) fn describe(
    head: &[u8],
    bytes: u64,
    codec: Option<Codec>,
    sidecars: Vec<Sidecar>,
    label: &FileLabel,
) -> Result<Contents, ArchiveError> {
    let packed = codec.is_some();
    let stem = stem(label.name);
    let set = set_of(stem);
    let unpacked = label.name.strip_suffix(".gz").or_else(|| label.name.strip_suffix(".zst"));
    let file = unpacked.filter(|_| packed).unwrap_or(label.name);
    let file = if is_file_name(file) { file.to_owned() } else { format!("{set}.db") };
    // With a sidecar, the file itself may be shorter or longer than the recovered database.
    let oddities = if packed || !sidecars.is_empty() { None } else { sqlite_file::check_header(head, bytes, &file)? };
    let held = Held {
        name: set.clone(),
        file,
        bytes: (!packed).then_some(bytes),
        sha256: None,
        source: None,
        tables: None,
        table_count: None,
        sidecars,
    };
    Ok(Contents {
        origin: Origin::Plain,
        backup_name: stem.to_owned(),
        created_at: time_of(stem, label.zone).unwrap_or(label.modified),
        set,
        kind: Kind::Manual,
        databases: vec![held],
        oddities: oddities.into_iter().collect(),
        metadata: None,
        id: None,
        is_encrypted: false,
    })
}

/// Looks for the sidecars of a database. An empty one is the same as none.
pub(crate) fn sidecars_beside(database: &Path) -> io::Result<Vec<Sidecar>> {
    let mut found = Vec::new();
    for part in Part::ALL {
        let mut path = database.as_os_str().to_owned();
        path.push(part.ending());
        match std::fs::symlink_metadata(path) {
            Ok(file) if file.is_file() && file.len() > 0 => found.push(Sidecar { part, bytes: file.len() }),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(found)
}
