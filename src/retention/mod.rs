//! Decides which archives to keep. Never removes anything, and never reads the clock or a file.
//!
//! `rotate` and `cleanup` with `--dry-run` print the [`Plan`]; without it they print the same plan and carry it out.
//! Rules and limits apply to each [`Stream`] separately: the archives of one database. An archive is kept if one of its
//! databases needs it.
//!
//! The rules of a [`Policy`] are applied in order. Each walks through the newest archives of its periods, newest first.
//! Archives that an earlier rule keeps are not counted; the walk ends when it has counted as many as the rule keeps. So
//! 7 daily, 4 weekly and 12 monthly are 23 archives and reach back a year.
//!
//! What protects the data:
//!
//! - A policy that keeps nothing is rejected ([`EmptyPolicy`]).
//! - An archive is never removed if a part of it is outside the [`Scope`]: archives of other hosts or sets, databases
//!   of other tools.
//! - The newest good archive of a stream is kept, whatever the rules say. Good means not damaged, not a safety backup,
//!   and not dated in the future.
//! - Pinned archives are kept, and the rules ignore them: a pin neither takes a slot nor represents a period.
//! - The archives of this run are kept, and those held by a running guard, restore or copy.
//! - Archives dated after `now` are kept and take no slot. A clock was wrong, and it is unknown which.
//! - Damaged archives take no slot: the newest of a period is its newest sound one. They are kept as long as the rules
//!   would keep them if all damaged ones were good.
//! - No rule acts on safety backups; they are thinned out when one is created ([`superfluous_safety`]). Of the archives
//!   made before updates, the newest and the first of every hour are kept in addition to those of the rules
//!   (`kinds.rs`).
//! - Archives from before an open shrink are never removed because of the archives after it (`shrink.rs`).
//! - Archives copied from another file than the newest archive of their stream are kept for a week: two applications
//!   may share the stream without knowing.
//! - Archives with the same id are copies of one archive: they take one slot and have one verdict.
//! - An encrypted archive of which only the label is known is kept and takes no slot. Plain archives among encrypted
//!   ones take no slot from these.
//!
//! Properties, which `tests/library/retention/` tests on ten thousand histories that include all of this:
//!
//! - Archives that are kept stay kept when the plan is made again, unless the newest archive was removed because it was
//!   re-read and is damaged: then another file can be the one in use.
//! - A longer reach never removes more.
//! - A pin, a hold or an archive of another stream never causes the removal of an archive. An archive that is kept when
//!   none is marked as damaged is kept whichever are marked. Marking one more never removes *another* archive; it can
//!   remove the marked one, if that was only kept in place of other damaged ones.
//! - Rotating after every backup leaves the same archives as rotating once at the end, if the clock of the last run is
//!   not behind an archive, and marks, pins and acceptances do not change. A new archive never makes a rule keep one
//!   that it did not keep before: inserting an archive before the end of a walk never makes the walk longer.
//!   Exceptions:
//! - Archives of several files in one stream: the file of the newest archive changes, and so do the archives that the
//!   week protects. Rotating once can keep more.
//! - Shrinks combined with a clock that was set back: archives that were removed before are missing when an older
//!   shrink is created later.
//! - A total size: removing a big archive makes room for an older one that was kept for another reason for a while, or
//!   that was created later because a clock was set back. Rotating often can keep more, never less.

mod decide;
mod kinds;
mod member;
mod period;
mod reason;
mod scope;
mod shrink;
mod simulate;
mod unit;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use kinds::{superfluous_pre_update, superfluous_safety};
pub use period::{Period, Rule};
pub use reason::Reason;
pub use scope::{GoneReach, Scene, Scope};
pub use shrink::{Shrink, accepted_with, fell_from, most_since_shrink};
pub use simulate::{ImpossibleSchedule, Schedule, Simulation, simulate};

use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::streams::Stream;

/// How many archives of the kind `pre-update` are kept, whatever the rules say.
pub const LAST_PRE_UPDATE: u32 = 5;

/// How many archives each rule of a rotation keeps in addition to those of the rules before it; 0 disables a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// The newest archives.
    pub last: u32,
    /// One an hour.
    pub hourly: u32,
    /// One a day.
    pub daily: u32,
    /// One an ISO week.
    pub weekly: u32,
    /// One a month.
    pub monthly: u32,
    /// One a year.
    pub yearly: u32,
}

impl Reach {
    /// Returns how many a rule keeps.
    pub fn of(&self, rule: Rule) -> u32 {
        match rule {
            Rule::Last => self.last,
            Rule::Hourly => self.hourly,
            Rule::Daily => self.daily,
            Rule::Weekly => self.weekly,
            Rule::Monthly => self.monthly,
            Rule::Yearly => self.yearly,
        }
    }
}

/// What `rotate` keeps. At least one rule keeps something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    reach: Reach,
}

impl Policy {
    /// Creates a policy, if any rule keeps something.
    pub fn new(reach: Reach) -> Result<Self, EmptyPolicy> {
        if Rule::ALL.iter().all(|rule| reach.of(*rule) == 0) { Err(EmptyPolicy) } else { Ok(Self { reach }) }
    }

    /// Returns the reach of its rules.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// A rotation without any rule: it would keep nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyPolicy;

impl fmt::Display for EmptyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the retention policy keeps nothing")
    }
}

impl std::error::Error for EmptyPolicy {}

/// What `cleanup` removes: the archives that exceed any of these limits. Without limits, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Keeps this many of the newest good archives of a stream.
    pub keep: Option<u32>,
    /// Older ones are removed.
    pub max_age: Option<Duration>,
    /// Keeps the newest good archives of a stream that together take no more bytes than this; archives that do not
    /// count (pinned ones, safety backups) do not use up any of it.
    pub max_size: Option<u64>,
}

/// What decides: the rules of `rotate`, or the limits of `cleanup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Grandfather-father-son.
    Rotate(Policy),
    /// Count, age and size.
    Cleanup(Limits),
}

/// What happens to an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
}

/// What happens to one archive, and all reasons for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The archive.
    pub archive: ArchiveName,
    /// Its set.
    pub set: Name,
    /// The host label it was made under.
    pub host: HostLabel,
    /// The streams of its databases.
    pub streams: Vec<Stream>,
    /// Why it was made.
    pub kind: Kind,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The size of the file.
    pub bytes: u64,
    /// Whether it is marked as damaged.
    pub damaged: bool,
    /// Whether to keep or remove it.
    pub action: Action,
    /// The reasons; never empty.
    pub reasons: Vec<Reason>,
}

/// All verdicts, newest archive first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// One verdict for each archive in the scope.
    pub verdicts: Vec<Verdict>,
    /// How many archives are outside the scope: those of other hosts and sets.
    pub left_alone: usize,
    /// The shrinks in the scope that were not accepted, newest first.
    pub open_shrinks: Vec<Shrink>,
}

impl Plan {
    /// Returns the archives to keep, newest first.
    pub fn kept(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.action == Action::Keep)
    }

    /// Returns the archives to remove, oldest first: in the order of removal, so that an interrupted run has removed
    /// the least valuable ones.
    pub fn removed(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().rev().filter(|verdict| verdict.action == Action::Remove)
    }

    /// Returns the oldest archive that can be restored afterwards: not damaged, not a safety backup, not dated in the
    /// future.
    pub fn oldest(&self) -> Option<&Verdict> {
        let is_counted = |verdict: &Verdict| {
            ![Reason::Future, Reason::Unproved].iter().any(|reason| verdict.reasons.contains(reason))
        };
        let usable = |verdict: &&Verdict| !verdict.damaged && verdict.kind != Kind::Safety && is_counted(verdict);
        self.kept().filter(usable).last()
    }

    /// Returns the verdicts of a single stream.
    pub fn of_stream(&self, stream: &Stream) -> Plan {
        let verdicts = self.verdicts.iter().filter(|verdict| verdict.streams.contains(stream)).cloned();
        Plan { verdicts: verdicts.collect(), ..Plan::default() }
    }

    /// Returns all streams of the plan, sorted.
    pub fn streams(&self) -> BTreeSet<&Stream> {
        self.verdicts.iter().flat_map(|verdict| &verdict.streams).collect()
    }

    /// Returns the oldest archive that a rule keeps: how far back this rule alone reaches.
    pub fn reach_of(&self, rule: Rule) -> Option<&Verdict> {
        let by_rule = |reason: &Reason| match reason {
            Reason::Last { .. } => rule == Rule::Last,
            Reason::NewestOf(period) => rule == period.rule(),
            _ => false,
        };
        self.kept().filter(|verdict| verdict.reasons.iter().any(by_rule)).last()
    }
}
