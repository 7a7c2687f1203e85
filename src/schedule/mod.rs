//! When jobs are due. Decides only: the time, the last backup and what an earlier look found are arguments.
//!
//! Nothing is counted down: each look compares the wall clock with what is in the store, so that a host that slept or a
//! clock that was set loses no slot and repeats none. Two rules protect the data. A backup dated in the future says
//! nothing about the present, so one is due. And a clock that goes back by more than [`STEP_BACK`] was wrong before:
//! its slots count again, because a host whose clock was a year ahead must not wait for a year.
//!
//! [`Schedule::due`] answers a look, [`Schedule::next`] says when the next one is worth it, and [`Looks`] is all that a
//! run remembers between two of them.

mod line;
mod timers;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::names::HostLabel;

pub use line::Line;
pub use timers::{Calendar, NoTimer, calendar, check_line};

/// A clock that goes back by no more than this repeats no slot; one that goes back further is believed.
pub const STEP_BACK: TimeDelta = TimeDelta::hours(3);
/// A backup that is dated this little ahead counts as made just before.
pub const SKEW: TimeDelta = TimeDelta::minutes(1);

/// When backups are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    /// When this long has passed since the last one.
    Every(Duration),
    /// At the slots of these lines; one that several name is one.
    At(Vec<Line>),
}

/// When a job that follows from the backups runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// After each backup.
    AfterBackup,
    /// At the slots of a line.
    At(Line),
    /// Not at all.
    Never,
}

/// The schedule of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When backups are made; `None` if the schedule is off.
    pub backup: Option<Timing>,
    /// When `rotate` runs.
    pub rotate: Follow,
    /// When `cleanup` runs.
    pub cleanup: Follow,
    /// When archives are verified.
    pub verify: Follow,
    /// How often a change is looked for.
    pub check_every: Duration,
    /// The zone of the lines.
    pub zone: Tz,
    /// How long after its slot a job starts.
    pub delay: TimeDelta,
}

/// A job of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Back up what has changed.
    Backup,
    /// Apply the rules of the rotation.
    Rotate,
    /// Apply the limits.
    Cleanup,
    /// Verify archives.
    Verify,
}

impl Job {
    /// All jobs, in the order in which they run if several are due.
    pub const ALL: [Self; 4] = [Self::Backup, Self::Rotate, Self::Cleanup, Self::Verify];

    /// Returns the name of the job.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Rotate => "rotate",
            Self::Cleanup => "cleanup",
            Self::Verify => "verify",
        }
    }
}

/// What a run remembers of its looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// When the run started.
    pub started: DateTime<Utc>,
    /// The latest reading of the clock at a look; `None` before the first.
    pub latest: Option<DateTime<Utc>>,
    /// The date of a backup in the future that was answered with a backup.
    pub answered: Option<DateTime<Utc>>,
}

impl Looks {
    /// The memory of a run that has not looked yet.
    pub fn none(started: DateTime<Utc>) -> Self {
        Self { started, latest: None, answered: None }
    }

    /// Remembers a look and what it found due. Call it once for each look, after its [`Schedule::due`] of all jobs.
    pub fn looked(&mut self, now: DateTime<Utc>, backup: &Due) {
        self.latest = match self.latest {
            Some(latest) if latest > now && latest - now <= STEP_BACK => Some(latest),
            _ => Some(now),
        };
        if let Due::Now(Why::Future(dated)) = backup {
            self.answered = Some(*dated);
        }
    }
}

/// What a job knows of its last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Last {
    /// For a backup: the date of the newest archive of the stream in the store that is not after the look, else the
    /// last success of the job.
    pub at: Option<DateTime<Utc>>,
    /// The date of an archive that is after the look.
    pub ahead: Option<DateTime<Utc>>,
    /// Whether the job still runs.
    pub running: bool,
}

impl Last {
    /// Sorts the dates of the archives of a stream into those before and after a look.
    pub fn of(dates: impl IntoIterator<Item = DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let mut last = Self::default();
        for date in dates {
            let place = if date > now + SKEW { &mut last.ahead } else { &mut last.at };
            *place = (*place).max(Some(date));
        }
        last
    }

    /// Settles what a date in the future means: nothing once it was answered, the last run if the clock went back a
    /// little during this run, else that the clock was wrong.
    fn explained(&self, looks: &Looks, now: DateTime<Utc>) -> Self {
        match self.ahead {
            Some(ahead) if looks.answered == Some(ahead) => Self { ahead: None, ..*self },
            Some(ahead) if looks.latest.is_some() && ahead <= now + STEP_BACK => {
                Self { at: Some(ahead), ahead: None, ..*self }
            }
            _ => *self,
        }
    }
}

/// Whether a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It is not.
    No,
    /// It is.
    Now(Why),
    /// Its slot came while it still ran: the slot is left out.
    Skipped(DateTime<Utc>),
}

/// Why a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It never ran.
    First,
    /// The interval since this run has passed.
    Elapsed(DateTime<Utc>),
    /// This slot came.
    Slot(DateTime<Utc>),
    /// This was the first slot that nobody kept before this run started.
    Overdue(DateTime<Utc>),
    /// The last backup is dated in the future, at this time: worth a warning.
    Future(DateTime<Utc>),
}

impl Schedule {
    /// Returns whether a job is due at a look.
    pub fn due(&self, job: Job, last: &Last, looks: &Looks, now: DateTime<Utc>) -> Due {
        let last = &last.explained(looks, now);
        match (self.timing(job), last.ahead) {
            (None, _) => Due::No,
            (Some(_), Some(dated)) if !last.running => Due::Now(Why::Future(dated)),
            (Some(Timing::Every(every)), _) => match last.at {
                _ if last.running => Due::No,
                None => Due::Now(Why::First),
                Some(at) if now >= later(at, every) => Due::Now(Why::Elapsed(at)),
                Some(_) => Due::No,
            },
            (Some(Timing::At(lines)), _) => self.slot(job, &lines, last, looks, now),
        }
    }

    fn slot(&self, job: Job, lines: &[Line], last: &Last, looks: &Looks, now: DateTime<Utc>) -> Due {
        let Some(after) = self.kept_until(job, last, looks, now) else {
            return if last.running { Due::No } else { Due::Now(Why::First) };
        };
        match earliest(lines, after, self.zone).filter(|slot| *slot + self.delay <= now) {
            None => Due::No,
            Some(slot) if last.running => Due::Skipped(slot),
            Some(slot) if looks.latest.is_none() && slot < looks.started => Due::Now(Why::Overdue(slot)),
            Some(slot) => Due::Now(Why::Slot(slot)),
        }
    }

    /// Returns until when the slots of a job are settled: up to its last run, and up to the look before. `None` if it
    /// is due whatever the lines say.
    fn kept_until(&self, job: Job, last: &Last, looks: &Looks, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let looked = looks.latest.map(|latest| {
            // A clock that was wrong before starts anew.
            let latest = if latest > now + STEP_BACK { now } else { latest };
            latest - self.delay
        });
        match (last.at, looked) {
            // Nobody waits for the first slot to have a first backup; any other job has nothing to make up.
            (None, None) if job == Job::Backup => None,
            (None, None) => Some(looks.started - self.delay),
            (last, looked) => last.max(looked),
        }
    }

    /// Returns when a job is due next if nothing else happens; `now` if it is due. `None` if it does not run by itself.
    pub fn next(&self, job: Job, last: &Last, looks: &Looks, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if matches!(self.due(job, last, looks, now), Due::Now(_) | Due::Skipped(_)) {
            return Some(now);
        }
        let last = &last.explained(looks, now);
        match self.timing(job)? {
            Timing::Every(every) => Some(last.at.map_or(now, |at| later(at, every)).max(now)),
            Timing::At(lines) => {
                let after = self.kept_until(job, last, looks, now).unwrap_or(now);
                earliest(&lines, after, self.zone).map(|slot| slot + self.delay)
            }
        }
    }

    /// Returns the times after `at` at which a job is due, if each of its runs takes no time.
    pub fn times(&self, job: Job, at: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let timing = self.timing(job);
        let (zone, delay) = (self.zone, self.delay);
        let following = move |slot: &DateTime<Utc>| match timing.as_ref()? {
            Timing::Every(every) => Some(later(*slot, *every)),
            Timing::At(lines) => earliest(lines, *slot - delay, zone).map(|slot| slot + delay),
        };
        std::iter::successors(following(&at), following.clone())
    }

    /// Returns the shortest time between two backups in the year after `from`; `None` if the schedule is off. Days have
    /// 24 hours here: the one that summer time shortens is not what somebody asks for.
    pub fn finest(&self, from: DateTime<Utc>) -> Option<Duration> {
        // As many as decide: lines repeat by day, week, month or year.
        const SLOTS: usize = 500;
        match self.backup.as_ref()? {
            Timing::Every(every) => Some(*every),
            Timing::At(lines) => {
                let following = |at: &DateTime<Utc>| earliest(lines, *at, Tz::UTC);
                let year = |at: &DateTime<Utc>| *at - from < TimeDelta::days(400);
                let times: Vec<_> =
                    std::iter::successors(following(&from), following).take_while(year).take(SLOTS).collect();
                let gaps = times.windows(2).filter_map(|pair| (pair[1] - pair[0]).to_std().ok());
                Some(gaps.min().unwrap_or(Duration::from_secs(366 * 86_400)))
            }
        }
    }

    /// Returns the rule by which a job runs by itself.
    fn timing(&self, job: Job) -> Option<Timing> {
        // With the schedule off, nothing runs.
        let backup = self.backup.as_ref()?;
        let follow = match job {
            Job::Backup => return Some(backup.clone()),
            Job::Rotate => &self.rotate,
            Job::Cleanup => &self.cleanup,
            Job::Verify => &self.verify,
        };
        match follow {
            Follow::At(line) => Some(Timing::At(vec![line.clone()])),
            Follow::AfterBackup | Follow::Never => None,
        }
    }
}

/// Returns how long after its slots a host starts its jobs: up to a minute, so that a fleet does not knock at once.
pub fn delay_of(label: &HostLabel) -> TimeDelta {
    // FNV-1a: the same in every release, or an update would move the slots.
    let hash = label
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // Similar names differ in few bits, which the finalizer of MurmurHash3 spreads.
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    TimeDelta::seconds(i64::try_from((mixed >> 33) % 60).unwrap_or_default())
}

fn earliest(lines: &[Line], after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    lines.iter().filter_map(|line| line.after(after, zone)).min()
}

/// Adds a span; the end of the calendar if that is too far.
fn later(at: DateTime<Utc>, span: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(span).ok().and_then(|span| at.checked_add_signed(span)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests;
