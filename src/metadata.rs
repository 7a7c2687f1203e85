//! What an archive says about itself: `backup_metadata.json`, format 1.
//!
//! `man/heirloom-archive.5` documents every field. Fields may be added, none changes its meaning. Reading
//! ignores unknown fields and refuses a newer `format` by name; every known field has exactly one type.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::names::{HostLabel, Name};
use crate::streams::FileIdentity;

/// The archive format that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The contents of `backup_metadata.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The archive format.
    pub format: u32,
    /// The name of the archive without its ending, as it was chosen; the file may have been renamed since.
    pub backup_name: String,
    /// The moment the snapshot was pinned.
    #[serde(serialize_with = "micros")]
    pub created_at: DateTime<Utc>,
    /// The release of heirloom that wrote the archive.
    pub version: String,
    /// The set that was backed up.
    pub set: Name,
    /// Why the archive exists.
    pub kind: Kind,
    /// The name of the machine it was made on.
    pub host: String,
    /// The host label it was made under; archives of older releases have none, and `host` stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_label: Option<HostLabel>,
    /// What the user wanted to remember.
    pub note: Option<String>,
    /// Whether all databases show one point in time. A single database always does.
    pub consistent_set: bool,
    /// Every database of the set, and whether it is in this archive.
    pub includes: BTreeMap<Name, bool>,
    /// What a safety archive goes back before; `None` in archives of every other kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaces>,
    /// The databases in the archive, in the order of their entries.
    pub databases: Vec<DatabaseMetadata>,
}

impl Metadata {
    /// Returns the host label; for archives of older releases one made of the host name.
    pub fn label(&self) -> HostLabel {
        self.host_label.clone().unwrap_or_else(|| HostLabel::from_host_name(&self.host))
    }
}

/// The restore or rollback that a safety archive was made before: what an undo of it needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaces {
    /// The id of the restore: safety archives and records of one restore share it.
    pub restore: String,
    /// The archive that was restored.
    pub archive: String,
    /// Every target of the restore, also those of which the safety archive holds nothing.
    pub targets: Vec<ReplacedTarget>,
}

/// One target of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedTarget {
    /// The database.
    pub name: Name,
    /// The file, without symbolic links.
    pub path: String,
    /// Whether there was no file, so that going back moves the new one aside.
    pub missing: bool,
}

/// How much a database held: what a shrink is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The rows of its tables that could be counted; null if none could.
    pub rows: Option<u64>,
    /// Its size.
    pub bytes: u64,
}

/// What the metadata says about one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseMetadata {
    /// Its name in the set.
    pub name: Name,
    /// The archive entry that holds it.
    pub file: String,
    /// The path it was copied from; bytes that are not UTF-8 are replaced by U+FFFD.
    pub source: String,
    /// The same path with symbolic links followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_resolved: Option<String>,
    /// Which file it was copied from; absent where the file system gives no time of birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileIdentity>,
    /// Whether its archives form a stream by file, because another application uses the same set, host and path.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream_by_file: bool,
    /// The most that the stream held since its last shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Extent>,
    /// The account that owns the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Account>,
    /// The group of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Account>,
    /// The permission bits of the file, in octal: `0640`. With an ACL those of the group are its mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The ACL of the file in the short text form with numbers:
    /// `user::rw-,user:10001:r--,group::r--,mask::r--,other::---`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    /// The size of the copy.
    pub bytes: u64,
    /// The digest of the copy: of the very bytes that were checked.
    pub sha256: Sha256,
    /// `PRAGMA page_size`, in bytes.
    pub page_size: u32,
    /// `PRAGMA page_count`.
    pub page_count: u64,
    /// `PRAGMA freelist_count`.
    pub freelist_count: u64,
    /// `PRAGMA encoding`.
    pub encoding: String,
    /// The journal mode of the header: `wal`, or `delete` for every rollback mode.
    pub journal_mode: String,
    /// `none`, `full` or `incremental`.
    pub auto_vacuum: String,
    /// `PRAGMA application_id`.
    pub application_id: i32,
    /// `PRAGMA user_version`.
    pub user_version: i32,
    /// The digest of the schema: every row of `sqlite_schema` but root pages, in order.
    pub schema_sha256: Sha256,
    /// The release of SQLite that made the copy and checked it.
    pub sqlite_version: String,
    /// What the integrity check said.
    pub integrity: Integrity,
    /// What was found or could not be checked, one line each; empty if all is well.
    #[serde(default, deserialize_with = "findings")]
    pub findings: Vec<String>,
    /// Rows that break a foreign key; null if that was not checked.
    pub foreign_key_violations: Option<u64>,
    /// Whether the copy was vacuumed.
    pub vacuumed: bool,
    /// Tables, without those whose names start with `sqlite_`.
    pub table_count: u64,
    /// Indexes, counted from the schema.
    pub index_count: u64,
    /// Triggers, counted from the schema.
    pub trigger_count: u64,
    /// Views, counted from the schema.
    pub view_count: u64,
    /// Each table with its rows.
    pub tables: Vec<TableMetadata>,
}

impl DatabaseMetadata {
    /// Returns the rows of all tables that could be counted, the measure of a shrink; `None` if none could.
    ///
    /// In a damaged database a table that cannot be counted has lost nothing that is known: `None` there, too.
    pub fn rows(&self) -> Option<u64> {
        match self.integrity {
            Integrity::Damaged => total_rows(&self.tables),
            _ => counted_rows(&self.tables.iter().map(|table| table.rows).collect::<Vec<_>>()),
        }
    }

    /// Returns the rights of the file; `None` in archives that record none.
    pub fn rights(&self) -> Option<RecordedRights> {
        let (owner, group, mode) = (self.owner.clone()?, self.group.clone()?, self.mode.clone()?);
        Some(RecordedRights { owner, group, mode, acl: self.acl.clone() })
    }
}

/// A user or a group: the number, and the name where the machine knew one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number.
    pub id: u32,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({})", crate::names::printable(name), self.id),
            None => self.id.fmt(f),
        }
    }
}

/// The rights of a file as an archive records them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRights {
    /// The account that owns the file.
    pub owner: Account,
    /// Its group.
    pub group: Account,
    /// Its permission bits, in octal.
    pub mode: String,
    /// Its ACL as text.
    pub acl: Option<String>,
}

/// Returns the rows of these tables; `None` if one could not be counted, or if they claim more than is possible.
pub fn total_rows(tables: &[TableMetadata]) -> Option<u64> {
    tables.iter().try_fold(0_u64, |sum, table| sum.checked_add(table.rows?))
}

/// Returns the rows of those tables that could be counted; `None` if none could, or if they claim more than is
/// possible.
///
/// One table of a module or a collation that only the application has must not hide that the others were emptied.
pub fn counted_rows(tables: &[Option<u64>]) -> Option<u64> {
    if !tables.is_empty() && tables.iter().all(Option::is_none) {
        return None;
    }
    tables.iter().flatten().try_fold(0_u64, |sum, rows| sum.checked_add(*rows))
}

/// One table and its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMetadata {
    /// The name as the schema has it.
    pub name: String,
    /// Its rows; null if they could not be counted (a module that only the application has).
    pub rows: Option<u64>,
}

/// Why an archive exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Somebody asked for it.
    Manual,
    /// A scheduler asked for it.
    Scheduled,
    /// Made before a restore, of what the restore replaces.
    Safety,
    /// Made before an update.
    PreUpdate,
    /// Made before a database or an application is given up.
    Final,
}

impl Kind {
    /// Returns the word that JSON and text use.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Manual => "manual",
            Kind::Scheduled => "scheduled",
            Kind::Safety => "safety",
            Kind::PreUpdate => "pre-update",
            Kind::Final => "final",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the check of a copy said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// Complete, and nothing was damaged.
    Ok,
    /// Nothing damaged was found, but not everything could be checked, or rows break a promise of their table (NOT
    /// NULL, CHECK, a type); the findings name it.
    Partial,
    /// Every row can be read, and indexes must be rebuilt; the findings give the statements.
    Indexes,
    /// Not checked, as the user wished.
    Unchecked,
    /// Damaged.
    Damaged,
}

impl Integrity {
    /// Returns the word that JSON and text use.
    pub fn as_str(self) -> &'static str {
        match self {
            Integrity::Ok => "ok",
            Integrity::Partial => "partial",
            Integrity::Indexes => "indexes",
            Integrity::Unchecked => "unchecked",
            Integrity::Damaged => "damaged",
        }
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The most findings that are read of one database. There is room for 8 KiB of them; a list of millions of empty ones
/// would take many times the memory that it takes in the archive.
const MOST_FINDINGS: usize = 10_000;

fn findings<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Few;

    impl<'de> serde::de::Visitor<'de> for Few {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MOST_FINDINGS} findings")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut findings = Vec::new();
            while let Some(finding) = list.next_element()? {
                if findings.len() == MOST_FINDINGS {
                    return Err(serde::de::Error::invalid_length(MOST_FINDINGS + 1, &self));
                }
                findings.push(finding);
            }
            Ok(findings)
        }
    }

    deserializer.deserialize_seq(Few)
}

/// Writes a time as RFC 3339 in UTC with microseconds.
fn micros<S: serde::Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// Returns a time as RFC 3339 in UTC with microseconds: `2025-08-04T16:38:29.591353Z`.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
