//! What `rotate` and `cleanup` report: the plan and its result.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::archives::Shrink;
use super::{time, time_or_null};
use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::retention::Verdict;

/// A plan and its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retained {
    /// The store.
    pub store: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The zone in which days, weeks, months and years begin.
    pub time_zone: String,
    /// What stays.
    pub keep: Vec<Kept>,
    /// What goes, oldest first.
    pub remove: Vec<Removal>,
    /// The bytes that were freed, or that would be.
    pub freed_bytes: u64,
    /// The bytes that were removed and that the service keeps as hidden versions.
    pub hidden_bytes: u64,
    /// The oldest archive that stays.
    #[serde(serialize_with = "time_or_null")]
    pub oldest: Option<DateTime<Utc>>,
    /// Archives outside the scope of the run.
    pub left_alone: usize,
    /// The shrinks that were not accepted.
    pub open_shrinks: Vec<Shrink>,
    /// How many leftovers of interrupted runs were removed, or would be.
    pub leftovers: usize,
    /// Files that look like archives but are not.
    pub foreign: Vec<ForeignFile>,
    /// Plain databases that stay although their removal was asked for.
    pub plain_kept: Vec<PlainKept>,
    /// Streams that get no new archives.
    pub stale: Vec<StaleStream>,
    /// Sets of which nothing is removed, because a newer release wrote an archive of theirs.
    pub newer_format: Vec<Name>,
    /// What was removed in each further store, or would be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<RetainedCopy>,
}

/// What was removed in a further store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetainedCopy {
    /// Its name in the configuration.
    pub name: Name,
    /// Where it is.
    pub store: String,
    /// What was removed there; `None` if that failed.
    pub retention: Option<Retained>,
    /// What failed.
    pub errors: Vec<String>,
}

/// An archive with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    /// The archive.
    pub archive: ArchiveName,
    /// The set.
    pub set: Name,
    /// The label of its host.
    pub host: HostLabel,
    /// The paths of its databases.
    pub paths: Vec<Option<String>>,
    /// Why it exists.
    pub kind: Kind,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    /// Its size.
    pub bytes: u64,
    /// Why it stays or goes.
    pub reasons: Vec<String>,
}

impl From<&Verdict> for Kept {
    fn from(verdict: &Verdict) -> Self {
        Self {
            archive: verdict.archive.clone(),
            set: verdict.set.clone(),
            host: verdict.host.clone(),
            paths: verdict.streams.iter().map(|stream| stream.path().map(str::to_owned)).collect(),
            kind: verdict.kind,
            created_at: verdict.created_at,
            bytes: verdict.bytes,
            reasons: verdict.reasons.iter().map(ToString::to_string).collect(),
        }
    }
}

/// An archive that goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Removal {
    /// The archive with its verdict.
    #[serde(flatten)]
    pub verdict: Kept,
    /// Whether it is removed.
    pub removed: bool,
    /// Why it is still there, if removing it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// A file that looks like an archive but is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForeignFile {
    /// Its name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Why it is not an archive.
    pub why: String,
}

/// A plain database that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlainKept {
    /// Its name in the store.
    pub archive: ArchiveName,
    /// Why it stays.
    pub why: String,
}

/// A stream that gets no new archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaleStream {
    /// The set.
    pub set: Name,
    /// The label of the host.
    pub host: HostLabel,
    /// The path of the database.
    pub path: Option<String>,
    /// When its newest archive was made.
    #[serde(serialize_with = "time")]
    pub newest: DateTime<Utc>,
    /// How many of its archives could be removed.
    pub superfluous: usize,
    /// `there`, `gone` or `unknown`.
    pub database: &'static str,
}

/// What `rotate --simulate` reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Simulated {
    /// What was simulated.
    pub simulated: Schedule,
    /// What would exist at the end.
    pub keep: Vec<SimulatedBackup>,
    /// How many archives exist over time.
    pub counts: Vec<SimulatedCount>,
    /// The oldest that would exist.
    #[serde(serialize_with = "time_or_null")]
    pub oldest: Option<DateTime<Utc>>,
}

/// The schedule of a simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schedule {
    /// The first backup.
    #[serde(serialize_with = "time")]
    pub from: DateTime<Utc>,
    /// The last one.
    #[serde(serialize_with = "time")]
    pub to: DateTime<Utc>,
    /// The time between two.
    pub every_seconds: f64,
    /// How many are made.
    pub backups: u32,
    /// The zone in which days, weeks, months and years begin.
    pub time_zone: String,
}

/// A backup of a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimulatedBackup {
    /// When it would have been made.
    #[serde(serialize_with = "time")]
    pub date: DateTime<Utc>,
    /// Why it stays.
    pub reasons: Vec<String>,
}

/// The number of archives at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SimulatedCount {
    /// The time.
    #[serde(serialize_with = "time")]
    pub date: DateTime<Utc>,
    /// The number.
    pub archives: usize,
}
