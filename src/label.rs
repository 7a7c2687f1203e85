//! The label of an encrypted archive: what a host without a key needs to list and to rotate. Pure.
//!
//! The label is a stanza in the header of the file, in clear text; every program that reads age files ignores it. It
//! names no path and no table. `man/heirloom-archive.5` documents every field.
//!
//! A label proves nothing: anybody who can write to the store can write one. Where the file can be opened, the metadata
//! inside decides. Where it cannot, a label counts only if this host remembers having written it
//! ([`Seal`](crate::snapshot::Seal)).

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::metadata::{DatabaseMetadata, Extent, Integrity, Kind, Metadata, rfc3339};
use crate::names::{ArchiveId, HostLabel, Name, printable};
use crate::streams::{FileIdentity, PathId};

/// The format of labels that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The longest label that is written, in bytes. Above it, the databases are summed up.
pub const MAX_BYTES: usize = 4096;
/// The most recipients of an archive: each takes a line of the label.
pub const MAX_RECIPIENTS: usize = 20;

/// The label of an encrypted archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The format of the label.
    pub format: u32,
    /// The identity of the archive.
    pub id: ArchiveId,
    /// The set.
    pub set: Name,
    /// The name of the machine.
    pub host: String,
    /// The host label.
    pub host_label: HostLabel,
    /// The moment the snapshot was pinned.
    #[serde(serialize_with = "micros")]
    pub created_at: DateTime<Utc>,
    /// Why the archive exists.
    pub kind: Kind,
    /// Whether a damaged database is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// The recipients as configured: whose keys open the archive.
    pub recipients: Vec<String>,
    /// The databases of the set that are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Name>,
    /// The databases in it.
    pub databases: LabelDatabases,
}

/// The databases of a label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LabelDatabases {
    /// Each of them.
    Each(Vec<LabelDatabase>),
    /// There are too many for a label.
    Sum(LabelSum),
}

/// One database of a label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelDatabase {
    /// Its name in the set.
    pub name: Name,
    /// Its size.
    pub bytes: u64,
    /// The rows of its tables that could be counted.
    pub rows: Option<u64>,
    /// The maximum that the stream contained since its last shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Extent>,
    /// The digest of its path.
    pub path_id: PathId,
    /// The file it was copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileIdentity>,
    /// Whether its archives form a stream by file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream_by_file: bool,
}

/// Many databases in few bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelSum {
    /// How many there are.
    pub count: u64,
    /// Their size.
    pub bytes: u64,
    /// Their rows, if some could be counted.
    pub rows: Option<u64>,
    /// The digest of their names and paths: archives of the same databases have the same.
    pub sha256: Sha256,
}

impl Label {
    /// Makes the label of an archive. If it would be longer than [`MAX_BYTES`], the databases are summed up.
    pub fn of(metadata: &Metadata, id: ArchiveId, recipients: &[String]) -> Self {
        let each = Self::complete(metadata, id, recipients);
        if each.to_json().len() <= MAX_BYTES { each } else { each.summed_up() }
    }

    /// Makes a label with every database, however long it becomes.
    pub fn complete(metadata: &Metadata, id: ArchiveId, recipients: &[String]) -> Self {
        let host = metadata.label();
        let database = |database: &DatabaseMetadata| LabelDatabase {
            name: database.name.clone(),
            bytes: database.bytes,
            rows: database.rows(),
            previous: database.previous,
            path_id: PathId::of(
                &metadata.set,
                &host,
                database.source_resolved.as_deref().unwrap_or(database.source.as_str()),
            ),
            file_id: database.file_id.clone(),
            stream_by_file: database.stream_by_file,
        };
        let absent = metadata.includes.iter().filter(|(_, included)| !**included).map(|(name, _)| name.clone());
        Self {
            format: FORMAT,
            id,
            set: metadata.set.clone(),
            host: printable(&metadata.host).chars().take(64).collect(),
            host_label: host.clone(),
            created_at: metadata.created_at.trunc_subsecs(6),
            kind: metadata.kind,
            damaged: metadata.databases.iter().any(|database| database.integrity == Integrity::Damaged),
            recipients: recipients.to_vec(),
            absent: absent.collect(),
            databases: LabelDatabases::Each(metadata.databases.iter().map(database).collect()),
        }
    }

    /// Returns the same label with the databases summed up, and without the names of absent ones.
    fn summed_up(mut self) -> Self {
        if let LabelDatabases::Each(databases) = &self.databases {
            let mut listed: Vec<String> =
                databases.iter().map(|database| format!("{}\0{}\n", database.name, database.path_id)).collect();
            listed.sort();
            let rows: Vec<u64> = databases.iter().filter_map(|database| database.rows).collect();
            let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0_u64, u64::saturating_add);
            self.databases = LabelDatabases::Sum(LabelSum {
                count: databases.len() as u64,
                bytes: sum(&mut databases.iter().map(|database| database.bytes)),
                rows: if rows.is_empty() { None } else { Some(sum(&mut rows.into_iter())) },
                sha256: Sha256::of(listed.concat().as_bytes()),
            });
        }
        self.absent.clear();
        self
    }

    /// Returns the bytes of the stanza.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a label has nothing that JSON cannot hold")
    }

    /// Reads the bytes of a stanza. `None` if they are not a label of a known format: the file then has no label.
    pub fn read(json: &[u8]) -> Option<Self> {
        let label: Self = serde_json::from_slice(json).ok()?;
        let is_recipient = |text: &String| {
            text.len() <= 100 && text.starts_with("age1") && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let has_databases = match &label.databases {
            LabelDatabases::Each(databases) => !databases.is_empty(),
            LabelDatabases::Sum(sum) => sum.count > 0,
        };
        let fits = (1..=FORMAT).contains(&label.format)
            && has_databases
            && label.recipients.len() <= 10 * MAX_RECIPIENTS
            && label.recipients.iter().all(is_recipient);
        fits.then_some(label)
    }

    /// Returns in which points the label differs from the archive inside, one printable line each.
    pub fn disagreements(&self, metadata: &Metadata, id: ArchiveId) -> Vec<String> {
        let mut inside = Self::complete(metadata, id, &self.recipients);
        if matches!(self.databases, LabelDatabases::Sum(_)) {
            inside = inside.summed_up();
        }
        let mut found = Vec::new();
        let mut compare = |what: &str, label: String, inside: String| {
            if label != inside {
                found.push(format!("its label says the {what} {}, but it is {}", shown(&label), shown(&inside)));
            }
        };
        compare("id", self.id.to_string(), inside.id.to_string());
        compare("set", self.set.to_string(), inside.set.to_string());
        compare("host", self.host_label.to_string(), inside.host_label.to_string());
        compare("time", rfc3339(self.created_at), rfc3339(inside.created_at));
        compare("kind", self.kind.to_string(), inside.kind.to_string());
        if self.host != inside.host || self.damaged != inside.damaged || self.absent != inside.absent {
            found.push("its label differs from its metadata".into());
        }
        if self.databases != inside.databases {
            found.push("its label describes other databases, or other sizes, than it holds".into());
        }
        found
    }
}

fn shown(text: &str) -> String {
    format!("\"{}\"", printable(text).chars().take(80).collect::<String>())
}

fn micros<S: serde::Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}
