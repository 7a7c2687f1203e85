//! Archives of the Python tool that heirloom replaces, and tars of other tools.
//!
//! Its metadata can be anywhere in the tar and has no `format`. It has no digests, its row counts may have been wrong
//! when they were written, and its times have no zone. The contents of the archive decide; metadata that disagrees is
//! an oddity, not an error.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::Value;

use super::file_label::{FileLabel, in_zone, set_of, stem, time_of};
use super::sqlite_file;
use crate::archive::error::{ArchiveError, damaged, shown, trailing, unreadable_json};
use crate::archive::format1::metadata_reader;
use crate::archive::limits::{MAX_LEGACY_METADATA_BYTES, MAX_METADATA_BYTES, MAX_ODDITIES, MAX_UNKNOWN_ENTRY_BYTES};
use crate::archive::tar_file::tar_stream::{Tar, TarEntry};
use crate::metadata::{Kind, TableMetadata};
use crate::names::{ArchiveId, METADATA_ENTRY, Name, RESTORE_ENTRY, is_file_name};
use crate::snapshot::{Contents, Held, Origin, Part, Sidecar};

/// The databases that the old tool knew: file, name, key in `includes`, key of the statistics.
const KNOWN: [Known; 2] = [
    Known { file: "arrow_database.db", name: "arrow", included: "arrow_database", stats: "arrow_db_stats" },
    Known { file: "user_data.db", name: "user", included: "user_database", stats: "user_db_stats" },
];
/// The newest release line of the old tool.
const NEWEST: u64 = 1;
struct Known {
    file: &'static str,
    name: &'static str,
    included: &'static str,
    stats: &'static str,
}

/// `backup_metadata.json` as the old tool wrote it.
#[derive(Deserialize)]
struct OldMetadata {
    #[serde(skip)]
    id: Option<ArchiveId>,
    backup_name: String,
    created_at: Option<Value>,
    version: Option<String>,
    includes: BTreeMap<String, bool>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// The result of scanning a tar.
pub(crate) enum Found {
    /// Metadata of format 1 as the first entry. The rest was not looked at.
    Format1(Box<Contents>),
    /// An archive of another tool, which was read to its end, with the path of each database in the tar.
    Legacy(Box<Contents>, Vec<String>),
}

/// A database in a tar.
struct FoundDatabase {
    entry: TarEntry,
    known: Option<&'static Known>,
    /// The result of comparing its size with its header. Damage counts only if no sidecar can explain it: an unfinished
    /// checkpoint leaves a short file.
    size: sqlite_file::SizeSaid,
}

/// An entry of a tar that is not a database.
struct Other {
    name: String,
    bytes: u64,
}

/// Scans a tar and determines what it is.
pub(crate) fn scan(tar: &mut Tar, label: &FileLabel) -> Result<Found, ArchiveError> {
    let mut seen = HashSet::new();
    let mut metadata = None;
    let (mut held, mut others, mut oddities) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(entry) = tar.next()? {
        let first = seen.is_empty();
        if !seen.insert(entry.name.clone()) {
            return Err(ArchiveError::Hostile { why: format!("the entry \"{}\" appears twice", shown(&entry.name)) });
        }
        if entry.name == METADATA_ENTRY {
            let json = read_metadata(tar, &entry)?;
            match metadata_reader::format(&json)? {
                Some(_) if first && entry.raw == METADATA_ENTRY => {
                    return Ok(Found::Format1(Box::new(metadata_reader::read(&json)?)));
                }
                Some(_) => return Err(damaged("the metadata is not the first entry")),
                None if entry.bytes > MAX_LEGACY_METADATA_BYTES => {
                    return Err(ArchiveError::Hostile { why: "the old tool's metadata is larger than 256 KiB".into() });
                }
                None => metadata = Some(parse(&json)?),
            }
            continue;
        }
        let known = KNOWN.iter().find(|known| known.file == entry.name);
        let mut head = [0; sqlite_file::HEADER_BYTES];
        let there = tar.read(&mut head)?;
        if known.is_some() || (sqlite_file::is_database(&head) && is_file_name(last_part(&entry.name))) {
            let size = sqlite_file::check_header(&head[..there], entry.bytes, &entry.name);
            held.push(FoundDatabase { entry, known, size });
        } else {
            let endings = Part::ALL.map(Part::ending).into_iter().chain(["-shm"]);
            let may_be_sidecar = endings.into_iter().any(|ending| entry.name.ends_with(ending));
            if entry.bytes > MAX_UNKNOWN_ENTRY_BYTES && !may_be_sidecar {
                // Before it is decompressed.
                return Err(too_large(&entry.name));
            }
            others.push(Other { name: entry.name, bytes: entry.bytes });
        }
    }
    // A sidecar can precede its database, and be as large as one.
    let is_sidecar = |other: &Other| held.iter().any(|found| sidecar_of(&found.entry.name, &other.name).is_some());
    if let Some(large) = others.iter().find(|other| other.bytes > MAX_UNKNOWN_ENTRY_BYTES && !is_sidecar(other)) {
        return Err(too_large(&large.name));
    }
    if metadata.is_some() {
        tar.refuse_folders()?;
    }
    if metadata.is_none() && seen.contains(RESTORE_ENTRY) {
        return Err(damaged("the metadata is missing"));
    }
    if tar.trailing() > 0 {
        oddities.push(trailing(tar.trailing()));
    }
    describe(metadata, held, others, oddities, label).map(|(contents, paths)| Found::Legacy(Box::new(contents), paths))
}

fn too_large(name: &str) -> ArchiveError {
    ArchiveError::Hostile { why: format!("the entry \"{}\" is too large, and not a database", shown(name)) }
}

/// Returns the file name of a path in a tar.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Returns whether an entry is a sidecar of a database in the same folder, by its name, and which; the inner value is
/// `None` for the `-shm`.
fn sidecar_of(database: &str, other: &str) -> Option<Option<Part>> {
    let ending = other.strip_prefix(database)?;
    if ending == "-shm" {
        return Some(None);
    }
    Part::ALL.into_iter().find(|part| part.ending() == ending).map(Some)
}

fn read_metadata(tar: &mut Tar, entry: &TarEntry) -> Result<Vec<u8>, ArchiveError> {
    if entry.bytes > MAX_METADATA_BYTES {
        return Err(ArchiveError::Hostile { why: "the metadata is larger than 16 MiB".into() });
    }
    let mut json = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match tar.read(&mut chunk)? {
            0 => return Ok(json),
            count => json.extend_from_slice(&chunk[..count]),
        }
    }
}

fn parse(json: &[u8]) -> Result<OldMetadata, ArchiveError> {
    let mut metadata: OldMetadata = serde_json::from_slice(json).map_err(unreadable_json)?;
    metadata.id = Some(ArchiveId::of_metadata(json));
    let release = metadata.version.as_deref().and_then(|version| version.split('.').next()?.parse().ok());
    match release {
        Some(found) if found > NEWEST => Err(ArchiveError::FormatTooNew { found, set: None, host: None }),
        _ => Ok(metadata),
    }
}

fn describe(
    metadata: Option<OldMetadata>,
    entries: Vec<FoundDatabase>,
    mut others: Vec<Other>,
    mut oddities: Vec<String>,
    label: &FileLabel,
) -> Result<(Contents, Vec<String>), ArchiveError> {
    let mut databases: Vec<Held> = Vec::new();
    let mut paths = Vec::new();
    for FoundDatabase { entry, known, size } in entries {
        // With metadata, only the files that it could have named are databases of this archive.
        if known.is_none() && metadata.is_some() {
            size?;
            others.push(Other { name: entry.name, bytes: entry.bytes });
            continue;
        }
        let mut sidecars = Vec::new();
        others.retain(|other| match sidecar_of(&entry.name, &other.name) {
            Some(part) => {
                // An empty sidecar is the same as none.
                sidecars.extend(part.filter(|_| other.bytes > 0).map(|part| Sidecar { part, bytes: other.bytes }));
                false
            }
            None => true,
        });
        sidecars.sort_by_key(|sidecar| Part::ALL.iter().position(|part| *part == sidecar.part));
        if sidecars.is_empty() {
            oddities.extend(size?);
        }
        // If two files have the same name, the name of the deeper one includes its folders.
        let (mut file, mut name) = named(last_part(&entry.name), known);
        if databases.iter().any(|other| other.name == name || other.file == file) {
            (file, name) = named(&entry.name.replace('/', "_"), known);
        }
        if databases.iter().any(|other| other.name == name || other.file == file) {
            return Err(ArchiveError::Hostile { why: format!("it holds two databases \"{name}\"") });
        }
        let (tables, table_count) = match (&metadata, known) {
            (Some(metadata), Some(known)) => stats(metadata, known, &mut oddities),
            _ => (None, None),
        };
        databases.push(Held {
            name,
            file,
            bytes: Some(entry.bytes),
            sha256: None,
            source: None,
            tables,
            table_count,
            sidecars,
        });
        paths.push(entry.name);
    }
    if databases.is_empty() {
        return Err(ArchiveError::NotAnArchive { why: "there is no database in it".into() });
    }
    match &metadata {
        None => oddities.push("it holds no metadata".into()),
        Some(metadata) => compare_includes(metadata, &databases, &mut oddities),
    }
    let unnamed = others.len();
    for Other { name, .. } in others.iter().take(MAX_ODDITIES) {
        oddities.push(format!("the entry \"{}\" does not belong there; it is ignored", shown(name)));
    }
    if unnamed > MAX_ODDITIES {
        oddities.push(format!("{} more entries do not belong there; they are ignored", unnamed - MAX_ODDITIES));
    }
    let stem = stem(label.name);
    // Without metadata nothing shows that this is a backup: it can be a tar of a volume, or an archive of another tool.
    let origin = if metadata.is_some() { Origin::Legacy } else { Origin::Plain };
    let id = metadata.as_ref().and_then(|metadata| metadata.id);
    let recorded = metadata.as_ref().and_then(|metadata| recorded_time(metadata.created_at.as_ref()?, label.zone));
    let named = time_of(stem, label.zone);
    if let (Some(metadata), None) = (&metadata, recorded) {
        let found =
            metadata.created_at.as_ref().map(|found| format!(" ({})", shown(&found.to_string()))).unwrap_or_default();
        let instead = if named.is_some() { "the time in its name" } else { "the time of the file" };
        oddities.push(format!("the metadata gives no time{found}; {instead} is used"));
    }
    let backup_name = metadata.map_or_else(|| stem.to_owned(), |metadata| metadata.backup_name);
    let set = set_of(&backup_name);
    let created_at = recorded.or(named).unwrap_or(label.modified);
    Ok((
        Contents {
            origin,
            backup_name,
            created_at,
            set,
            kind: Kind::Manual,
            databases,
            oddities,
            metadata: None,
            id,
            is_encrypted: false,
        },
        paths,
    ))
}

fn named(file: &str, known: Option<&Known>) -> (String, Name) {
    (file.to_owned(), known.map_or_else(|| Name::from_path(Path::new(file)), name_of))
}

fn name_of(known: &Known) -> Name {
    Name::new(known.name).expect("the names of the old tool's databases are names")
}

fn compare_includes(metadata: &OldMetadata, databases: &[Held], oddities: &mut Vec<String>) {
    for known in &KNOWN {
        let promised = metadata.includes.get(known.included).copied().unwrap_or(false);
        let there = databases.iter().any(|database| database.file == known.file);
        if promised && !there {
            oddities.push(format!("the metadata lists \"{}\", which is not in the archive", known.file));
        } else if there && !promised {
            oddities.push(format!("\"{}\" is in the archive, but the metadata says that it is not", known.file));
        }
    }
    let unknown = metadata
        .includes
        .iter()
        .filter(|(key, included)| **included && KNOWN.iter().all(|known| known.included != key.as_str()));
    for (key, _) in unknown.take(MAX_ODDITIES) {
        oddities.push(format!("the metadata lists \"{}\", which is unknown", shown(key)));
    }
}

/// Reads the statistics of one database: its tables with their rows, or only their number. Where the old tool recorded
/// an error, nothing is known.
fn stats(
    metadata: &OldMetadata,
    known: &Known,
    oddities: &mut Vec<String>,
) -> (Option<Vec<TableMetadata>>, Option<u64>) {
    let Some(stats) = metadata.rest.get(known.stats) else { return (None, None) };
    let negative = |value: &Value| value.as_f64().is_some_and(|number| number < 0.0);
    let counts = stats.get("tables").and_then(Value::as_object);
    if stats.get("table_count").is_some_and(negative) || counts.is_some_and(|tables| tables.values().any(negative)) {
        oddities.push(format!("the metadata gives a negative count for \"{}\"", known.file));
    }
    let tables = counts.map(|tables| {
        tables.iter().map(|(name, rows)| TableMetadata { name: name.clone(), rows: rows.as_u64() }).collect()
    });
    (tables, stats.get("table_count").and_then(Value::as_u64))
}

/// Parses a time of the metadata, with a zone or in `zone`. A date alone or a number is not a time.
fn recorded_time(value: &Value, zone: Tz) -> Option<DateTime<Utc>> {
    let text = value.as_str()?;
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let naive = text.parse::<NaiveDateTime>().or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"));
    naive.ok().map(|time| in_zone(time, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_times_without_a_zone_are_in_the_given_one() {
        let zone = chrono_tz::Europe::Stockholm;
        let recorded = |text: &str| recorded_time(&text.into(), zone).unwrap().to_string();
        assert_eq!(recorded("2025-08-04T16:38:29.591353"), "2025-08-04 14:38:29.591353 UTC");
        assert_eq!(recorded("2025-08-04T16:38:29+00:00"), "2025-08-04 16:38:29 UTC");
        // Skipped when the clocks went forward: an hour after 01:30 winter time.
        assert_eq!(recorded("2025-03-30T02:30:00"), "2025-03-30 01:30:00 UTC");
        assert_eq!(recorded_time(&"yesterday".into(), zone), None);
    }
}
