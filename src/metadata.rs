//! The metadata of an archive: `backup_metadata.json`, format 1.
//!
//! `man/heirloom-archive.5` documents every field. Fields may be added, but never change their meaning. Reading ignores
//! unknown fields and refuses a newer `format` by name; every known field has exactly one type.

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
    /// The original name of the archive without its extension; the file may have been renamed since.
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
    /// The host label it was made under; archives of older releases have none and use `host` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_label: Option<HostLabel>,
    /// The user's note.
    pub note: Option<String>,
    /// Whether all databases show the same point in time. A single database always does.
    pub consistent_set: bool,
    /// Every database of the set, and whether it is in this archive.
    pub includes: BTreeMap<Name, bool>,
    /// The restore that a safety archive precedes; `None` in archives of every other kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaces>,
    /// The databases in the archive, in the order of their entries.
    pub databases: Vec<DatabaseMetadata>,
}

impl Metadata {
    /// Returns the host label; for archives of older releases, one derived from the host name.
    pub fn label(&self) -> HostLabel {
        self.host_label.clone().unwrap_or_else(|| HostLabel::from_host_name(&self.host))
    }
}

/// The restore or rollback that a safety archive was made for: what undoing it requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaces {
    /// The id of the restore: safety archives and records of one restore share it.
    pub restore: String,
    /// The archive that was restored.
    pub archive: String,
    /// Every target of the restore, including those without a database in the safety archive.
    pub targets: Vec<ReplacedTarget>,
}

/// One target of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedTarget {
    /// The database.
    pub name: Name,
    /// The file, without symbolic links.
    pub path: String,
    /// Whether there was no file, so that an undo moves the new one aside.
    pub missing: bool,
}

/// The size of a database's contents, used to detect shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The rows of its tables that could be counted; null if none could.
    pub rows: Option<u64>,
    /// Its size.
    pub bytes: u64,
}

/// The metadata of one database.
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
    /// The file it was copied from; absent if the file system has no birth time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<FileIdentity>,
    /// Whether its archives form a stream by file, because another application uses the same set, host and path.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream_by_file: bool,
    /// The maximum that the stream contained since its last shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Extent>,
    /// The account that owns the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Account>,
    /// The group of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Account>,
    /// The permission bits of the file, in octal: `0640`. With an ACL, the group bits are its mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The ACL of the file in the short text form with numbers:
    /// `user::rw-,user:10001:r--,group::r--,mask::r--,other::---`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    /// The size of the copy.
    pub bytes: u64,
    /// The digest of the copy: of exactly the bytes that were checked.
    pub sha256: Sha256,
    /// Where the tar header of its entry starts in the compressed archive, in bytes: a hint, so that a reader gets
    /// there without those before it. Absent in a tar without compression, and in archives of older releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
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
    /// The digest of the schema: every row of `sqlite_schema` except root pages, in order.
    pub schema_sha256: Sha256,
    /// The SQLite release that made and checked the copy.
    pub sqlite_version: String,
    /// The result of the integrity check.
    pub integrity: Integrity,
    /// How thorough that check was; `None` if there was none, and in archives of older releases, where it may have been
    /// a quick one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckDepth>,
    /// Findings, and parts that could not be checked, one line each; empty if all is well.
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
    /// Returns the rows of all tables that could be counted, used to detect shrinks; `None` if none could.
    ///
    /// In a damaged database, a table that cannot be counted is not known to have lost rows, so the result is `None`,
    /// too.
    pub fn rows(&self) -> Option<u64> {
        match self.integrity {
            Integrity::Damaged => total_rows(&self.tables),
            _ => counted_rows(&self.tables.iter().map(|table| table.rows).collect::<Vec<_>>()),
        }
    }

    /// Returns the access rights of the file; `None` in archives that record none.
    pub fn rights(&self) -> Option<RecordedRights> {
        let (owner, group, mode) = (self.owner.clone()?, self.group.clone()?, self.mode.clone()?);
        Some(RecordedRights { owner, group, mode, acl: self.acl.clone() })
    }
}

/// A user or a group: the number, and the name if the machine had one.
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

/// Returns the rows of these tables; `None` if one could not be counted, or if the numbers are impossible.
pub fn total_rows(tables: &[TableMetadata]) -> Option<u64> {
    tables.iter().try_fold(0_u64, |sum, table| sum.checked_add(table.rows?))
}

/// Returns the rows of those tables that could be counted; `None` if none could, or if the numbers are impossible.
///
/// One uncountable table, whose module or collation only the application has, must not hide that the others were
/// emptied.
pub fn counted_rows(tables: &[Option<u64>]) -> Option<u64> {
    if !tables.is_empty() && tables.iter().all(Option::is_none) {
        return None;
    }
    tables.iter().flatten().try_fold(0_u64, |sum, rows| sum.checked_add(*rows))
}

/// One table and its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMetadata {
    /// The name in the schema.
    pub name: String,
    /// Its rows; null if they could not be counted (a module that only the application has).
    pub rows: Option<u64>,
}

/// Why an archive exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Made by a user.
    Manual,
    /// Made by a scheduler.
    Scheduled,
    /// Made before a restore, of the databases that the restore replaces.
    Safety,
    /// Made before an update.
    PreUpdate,
    /// Made before a database or an application is retired.
    Final,
}

impl Kind {
    /// Returns its name in JSON and text.
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

/// The result of checking a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// Checked completely, without damage.
    Ok,
    /// No damage was found, but not everything could be checked, or rows break a constraint of their table (NOT NULL,
    /// CHECK, a type); the findings list it.
    Partial,
    /// Every row is readable, but indexes must be rebuilt; the findings give the statements.
    Indexes,
    /// Not checked, on request.
    Unchecked,
    /// Damaged.
    Damaged,
}

impl Integrity {
    /// Returns its name in JSON and text.
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

/// How thoroughly a copy was checked when it was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckDepth {
    /// `quick_check`: indexes were not compared with tables.
    Quick,
    /// Everything SQLite can check.
    Full,
    /// A depth of a newer release, of which nothing is known.
    #[serde(other)]
    Unknown,
}

/// The most findings to read per database. The metadata has room for 8 KiB of them; a list of millions of empty ones
/// would take many times more memory than space in the archive.
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
