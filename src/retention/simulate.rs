//! Simulates a policy: which archives would exist after months of backups.
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

/// The longest simulated span: a millennium.
const MAX_SPAN: Duration = Duration::from_secs(1000 * 366 * 86_400);
/// The most simulated backups.
const MAX_BACKUPS: u128 = 1_000_000;

/// How often backups are made, and over what span. Both are exact: a day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    every: TimeDelta,
    steps: i32,
}

impl Schedule {
    /// Creates a schedule of one backup per interval `every`, over `span`.
    pub fn new(every: Duration, span: Duration) -> Result<Self, ImpossibleSchedule> {
        let steps =
            span.as_nanos().checked_div(every.as_nanos()).filter(|steps| span <= MAX_SPAN && *steps < MAX_BACKUPS);
        // An interval longer than the whole span is never reached.
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

/// The result of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// When the first backup was made.
    pub from: DateTime<Utc>,
    /// When the last one was made.
    pub to: DateTime<Utc>,
    /// How many were made.
    pub made: u32,
    /// The archives at the end, as a plan that removes nothing.
    pub plan: Plan,
    /// The number of archives after each backup that changed it.
    pub counts: Vec<(DateTime<Utc>, usize)>,
}

/// Simulates backups on a schedule that ends at `now`, and rotates after each.
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
        // The plan is newest first, `existing` oldest first.
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
