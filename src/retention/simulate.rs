//! Plays a policy forward: what would exist after months of backups, without any being there.
//!
//! It rotates after every backup, with the function that decides about real archives.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{Action, Plan, Policy, Retention, Scene};
use crate::names::Name;
use crate::progress::{Interrupted, Progress};
use crate::snapshot::Snapshot;

/// The longest stretch that is played: a millennium.
const MAX_SPAN: Duration = Duration::from_secs(1000 * 366 * 86_400);
/// The most backups that are played.
const MAX_BACKUPS: u128 = 1_000_000;

/// How often backups are made, and for how long. Both are exact spans: a day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    every: TimeDelta,
    steps: i32,
}

impl Schedule {
    /// Makes a schedule of one backup `every` so often, over `span`.
    pub fn new(every: Duration, span: Duration) -> Result<Self, ImpossibleSchedule> {
        let steps = span.as_nanos().checked_div(every.as_nanos()).filter(|steps| span <= MAX_SPAN && *steps < MAX_BACKUPS);
        // A step that is longer than the whole span is never taken.
        let every = TimeDelta::from_std(every.min(MAX_SPAN)).map_err(|_| ImpossibleSchedule)?;
        let steps = steps.and_then(|steps| i32::try_from(steps).ok()).ok_or(ImpossibleSchedule)?;
        Ok(Self { every, steps })
    }
}

/// A schedule that is too long, or has too many backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImpossibleSchedule;

impl fmt::Display for ImpossibleSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulation has at most 1000000 backups in at most 1000 years")
    }
}

impl std::error::Error for ImpossibleSchedule {}

/// What a simulation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// When the first backup was made.
    pub from: DateTime<Utc>,
    /// When the last one was made.
    pub to: DateTime<Utc>,
    /// How many were made.
    pub made: u32,
    /// What exists at the end; removes nothing.
    pub plan: Plan,
    /// How many archives existed after each backup that changed their number.
    pub counts: Vec<(DateTime<Utc>, usize)>,
}

/// Makes backups on a schedule that ends `now`, and rotates after each.
pub fn simulate(
    policy: &Policy,
    schedule: &Schedule,
    now: DateTime<Utc>,
    zone: Tz,
    progress: &dyn Progress,
) -> Result<Simulation, Interrupted> {
    let retention = Retention::Rotate(*policy);
    let set = Name::new("simulated").expect("a plain word is a name");
    let mut existing: Vec<Snapshot> = Vec::new();
    let mut counts: Vec<(DateTime<Utc>, usize)> = Vec::new();
    let mut plan = Plan::default();
    let from = now - schedule.every * schedule.steps;
    for step in 0..=schedule.steps {
        progress.checkpoint()?;
        let at = from + schedule.every * step;
        existing.push(Snapshot::simulated(&set, at));
        // The plan is newest first; what exists is oldest first.
        plan = retention.plan(&existing, &Scene::new(at, zone));
        let mut verdicts = plan.verdicts.iter().rev();
        existing.retain(|_| verdicts.next().is_some_and(|verdict| verdict.action == Action::Keep));
        if counts.last().is_none_or(|(_, count)| *count != existing.len()) {
            counts.push((at, existing.len()));
        }
    }
    plan.verdicts.retain(|verdict| verdict.action == Action::Keep);
    Ok(Simulation { from, to: now, made: schedule.steps.unsigned_abs() + 1, plan, counts })
}
