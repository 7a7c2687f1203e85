//! What `schedule` reports.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::{time, time_or_null};
use crate::metadata::rfc3339;

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upcoming {
    /// Whether anything runs by itself.
    pub enabled: bool,
    /// The time of the report.
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    /// The zone of the lines.
    pub time_zone: String,
    /// How often a change is looked for.
    pub check_every_seconds: u64,
    /// How long after its slot a job starts on this host.
    pub delay_seconds: i64,
    /// Whether a backup is made at the start of a run.
    pub on_start: bool,
    /// Whether a backup is made at the end of a run.
    #[serde(rename = "final")]
    pub at_end: bool,
    /// The jobs.
    pub jobs: Vec<Planned>,
}

/// A job and when it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// `backup`, `rotate`, `cleanup` or `verify`.
    pub job: &'static str,
    /// The set of a backup.
    pub set: Option<String>,
    /// When it runs: `every 1h`, `0 3 * * *`, `after backup` or `never`.
    pub rule: String,
    /// Whether it runs only if something changed.
    pub if_changed: bool,
    /// The last backup.
    #[serde(serialize_with = "time_or_null")]
    pub last: Option<DateTime<Utc>>,
    /// Whether it is due.
    pub due: bool,
    /// The next times; the first is the time of the report if it is due.
    #[serde(serialize_with = "times")]
    pub next: Vec<DateTime<Utc>>,
}

fn times<S: Serializer>(times: &[DateTime<Utc>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(|at| rfc3339(*at)))
}

/// The same schedule for another scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timers {
    /// The files.
    pub files: Vec<TimerFile>,
    /// Variables that are set here and that the other scheduler will not have.
    pub variables: Vec<String>,
}

/// A file for another scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimerFile {
    /// Where it belongs: the name of a unit, or `crontab`.
    pub name: String,
    /// Its text.
    pub text: String,
}
