//! Decides which archives stay. Never removes anything, and never looks at a clock or a file.
//!
//! `rotate` and `cleanup` with `--dry-run` print the [`Plan`]; without it they print the same plan and carry it out.
//! Rules and limits run over each [`Stream`] by itself: the archives of one database. An archive stays if one of the
//! databases in it needs it.
//!
//! The rules of a [`Policy`] are applied in their order. Each walks the newest archive of each of its periods, newest
//! first. One that an earlier rule keeps stays and is not counted; the walk ends when it counted as many as the rule
//! says. So 7 daily, 4 weekly and 12 monthly are 23 archives and reach a year back.
//!
//! What protects the data:
//!
//! - A policy that keeps nothing cannot be made ([`EmptyPolicy`]).
//! - Nothing is removed of which a part lies outside the [`Scope`]: other hosts' archives, other sets, databases of
//!   other tools.
//! - The newest good archive of a stream stays, whatever the rules say. Good is: not damaged, not a safety backup, not
//!   dated in the future.
//! - Pinned archives stay, and the rules do not see them: a pin neither takes a slot nor stands for a period.
//! - What this run made stays, and so does what a running guard, restore or copy holds.
//! - Archives dated after `now` stay and take no slot. A clock was wrong; nobody knows which.
//! - Damaged archives take no slot: the newest of a period is its newest sound one. They stay as long as the rules
//!   would keep them if all damaged ones were good.
//! - No rule acts on safety backups; they are thinned out when one is made ([`superfluous_safety`]). Of those made
//!   before updates the newest and the first of every hour stay besides what the rules keep (`kinds.rs`).
//! - Nothing from before an open shrink is lost to the archives after it (`shrink.rs`).
//! - What was copied from another file than the newest archive of its stream stays for a week: two applications may
//!   share the stream and not know of each other.
//! - Archives with one id are copies of one archive: they take one slot and have one verdict.
//!
//! What holds, as `tests/library/retention/` tries on ten thousand histories with all of this in them:
//!
//! - What is kept stays kept when the same plan is made again, unless the newest archive was removed because it was
//!   read again and is damaged: then another file can be the one that is in use.
//! - A longer reach never removes more.
//! - A pin, a hold or an archive of another stream never costs an archive its place. An archive that is kept while none
//!   is marked as damaged is kept whichever are marked. One more mark removes no *other* archive; it can remove the
//!   marked one, if that was only kept in the place of other damaged ones.
//! - Rotating after every backup leaves what rotating once at the end leaves, if the clock of the last run is not
//!   behind an archive, and marks, pins and acceptances are the same all the time. A new archive never makes a rule
//!   want one that it did not want before: a walk gets no longer when something is inserted before its end. It does not
//!   hold for
//!   - archives of several files in one stream: which file is the newest one's changes, and with it what the week
//!     protects. Rotating once can keep more.
//!   - shrinks together with a clock that was set back: what was removed before is not there when an older shrink is
//!     made later.
//!   - a total size: a big archive that is gone leaves room for an older one that something else kept for a while, or
//!     that was made later because a clock was set back. Rotating often can keep more, never less.

mod decide;
mod kinds;
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

pub use kinds::superfluous_safety;
pub use period::{Period, Rule};
pub use reason::Reason;
pub use scope::{GoneReach, Scene, Scope};
pub use shrink::{Shrink, accepted_with, fell_from, most_since_shrink};
pub use simulate::{ImpossibleSchedule, Schedule, Simulation, simulate};

use crate::metadata::Kind;
use crate::names::{ArchiveName, HostLabel, Name};
use crate::streams::Stream;

/// How many archives of the kind `pre-update` stay, whatever the rules say.
pub const LAST_PRE_UPDATE: u32 = 5;

/// How many archives each rule of a rotation keeps beyond those that the rules before it keep; 0 leaves a rule out.
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
    /// Makes a policy, if any rule keeps something.
    pub fn new(reach: Reach) -> Result<Self, EmptyPolicy> {
        if Rule::ALL.iter().all(|rule| reach.of(*rule) == 0) { Err(EmptyPolicy) } else { Ok(Self { reach }) }
    }

    /// Returns how far its rules reach.
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

/// What `cleanup` removes: whatever one of these says. Without any, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// This many of the newest good archives of a stream stay.
    pub keep: Option<u32>,
    /// Older ones are removed.
    pub max_age: Option<Duration>,
    /// The newest good archives of a stream that together take no more bytes than this stay; what the counts leave out
    /// (pinned ones, safety backups) takes nothing of it.
    pub max_size: Option<u64>,
}

/// What decides: the rules of `rotate`, or the limits of `cleanup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Grandfather, father, son.
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

/// What happens to one archive, and every reason for it.
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
    /// Whether it stays.
    pub action: Action,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

/// All verdicts together, newest archive first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// One verdict for each archive in the scope.
    pub verdicts: Vec<Verdict>,
    /// How many archives lie outside the scope: other hosts' and other sets'.
    pub left_alone: usize,
    /// The shrinks in the scope that nobody accepted, newest first.
    pub open_shrinks: Vec<Shrink>,
}

impl Plan {
    /// Returns what stays, newest first.
    pub fn kept(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.action == Action::Keep)
    }

    /// Returns what goes, oldest first: in the order of removal, so that a run that is cut short has taken the least
    /// valuable.
    pub fn removed(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().rev().filter(|verdict| verdict.action == Action::Remove)
    }

    /// Returns the oldest archive to which one can go back afterwards: not damaged, no safety backup, not dated in the
    /// future.
    pub fn oldest(&self) -> Option<&Verdict> {
        let usable = |verdict: &&Verdict| !verdict.damaged && verdict.kind != Kind::Safety && !verdict.reasons.contains(&Reason::Future);
        self.kept().filter(usable).last()
    }

    /// Returns the verdicts of one stream alone.
    pub fn of_stream(&self, stream: &Stream) -> Plan {
        let verdicts = self.verdicts.iter().filter(|verdict| verdict.streams.contains(stream)).cloned();
        Plan { verdicts: verdicts.collect(), ..Plan::default() }
    }

    /// Returns all streams of the plan, in order.
    pub fn streams(&self) -> BTreeSet<&Stream> {
        self.verdicts.iter().flat_map(|verdict| &verdict.streams).collect()
    }

    /// Returns the oldest archive that a rule keeps: how far back this rule alone goes.
    pub fn reach_of(&self, rule: Rule) -> Option<&Verdict> {
        let by_rule = |reason: &Reason| match reason {
            Reason::Last { .. } => rule == Rule::Last,
            Reason::NewestOf(period) => rule == period.rule(),
            _ => false,
        };
        self.kept().filter(|verdict| verdict.reasons.iter().any(by_rule)).last()
    }
}
