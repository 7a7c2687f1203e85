//! The reasons to keep or remove an archive, which print as short texts.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;

use super::period::{Period, Rule};

/// One reason for a verdict. An archive has all that apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Keeps: no newer archive of its stream is good.
    NewestGood,
    /// Keeps: the user pinned it.
    Pinned,
    /// Keeps: it is dated in the future, so a clock was wrong and its place is unknown.
    Future,
    /// Keeps: it is damaged, but the rules would keep it if it were not. It takes no slot.
    DamagedInReach,
    /// Keeps: this run made it.
    JustMade,
    /// Keeps: a running guard, restore or copy needs it.
    InUse,
    /// Keeps: it contains less than half of the previous contents, and that was not accepted.
    OpenShrink,
    /// Keeps: it is a shrink that was recovered from, less than 30 days old.
    RecentShrink,
    /// Keeps: it is the newest good one before a shrink that was recovered from and is less than 30 days old.
    BeforeShrink,
    /// Keeps: it was copied from another file than the newest one of its stream, less than 7 days ago.
    AnotherFile,
    /// Keeps: its set has an archive that a newer release of heirloom wrote.
    NewerFormat,
    /// Keeps: other hosts use this store without seeing our locks, so archives that may be in use are protected by
    /// their age.
    TooYoung,
    /// Keeps: a further store still lacks it.
    AwaitsCopy,
    /// Keeps: the time of this run is ahead of the machine's clock.
    ClockAhead,
    /// Keeps: it contains another database, which is outside this plan.
    OutOfScope,
    /// Keeps: it is encrypted, no key here opens it, and this host does not remember making it. Its label decides
    /// nothing.
    Unproved,
    /// Keeps: it is one of the newest, whenever they were made.
    Last {
        /// Its rank, from 1.
        rank: u32,
        /// How many are kept.
        of: u32,
    },
    /// Keeps: it is the newest of its period, which its rule reaches.
    NewestOf(Period),
    /// Keeps: rules and limits never act on safety backups.
    Safety,
    /// Keeps: it is one of the newest made before an update, whatever the rules say.
    PreUpdate {
        /// Its rank, from 1.
        rank: u32,
        /// How many are kept.
        of: u32,
    },
    /// Keeps: it is the first of its hour made before an update, in the last 14 days.
    FirstOfHour,
    /// Keeps: it is among the newest.
    WithinCount {
        /// Its rank, from 1.
        rank: u32,
        /// How many are kept.
        of: u32,
    },
    /// Keeps: it is not older than this.
    WithinAge(Duration),
    /// Keeps: it and all newer ones together take no more than this many bytes.
    WithinSize(u64),
    /// Keeps: no limit was given.
    NoLimit,

    /// Removes: it is damaged, and the rules would not keep it even if it were not.
    Damaged,
    /// Removes: it was just read again, and is still damaged.
    StillDamaged,
    /// Removes: its database no longer exists, and nothing was backed up for a long time.
    Gone,
    /// Removes: it is not among the last N.
    BeyondLast(u32),
    /// Removes: the period has a newer one.
    NewerIn(Period),
    /// Removes: it is the newest of its period, but this rule does not reach that far back.
    BeyondReach(Rule, u32),
    /// Removes: there are N newer ones.
    BeyondCount(u32),
    /// Removes: it is older than this.
    OlderThan(Duration),
    /// Removes: it and all newer ones together take more than this many bytes.
    BeyondSize(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NewestGood => f.write_str("newest good"),
            Reason::Pinned => f.write_str("pinned"),
            Reason::Future => f.write_str("dated in the future"),
            Reason::DamagedInReach => f.write_str("damaged, not counted"),
            Reason::JustMade => f.write_str("just made"),
            Reason::InUse => f.write_str("in use"),
            Reason::OpenShrink => f.write_str("shrink, not accepted"),
            Reason::RecentShrink => f.write_str("recent shrink"),
            Reason::BeforeShrink => f.write_str("before a recent shrink"),
            Reason::AnotherFile => f.write_str("copied from another file"),
            Reason::NewerFormat => f.write_str("set has an archive of a newer heirloom"),
            Reason::TooYoung => f.write_str("younger than 24h"),
            Reason::AwaitsCopy => f.write_str("not copied yet"),
            Reason::ClockAhead => f.write_str("HEIRLOOM_NOW is ahead of the clock"),
            Reason::OutOfScope => f.write_str("holds another database"),
            Reason::Unproved => f.write_str("encrypted, only its label is known"),
            Reason::Last { rank, of } => write!(f, "last {rank} of {of}"),
            Reason::NewestOf(period) => period.fmt(f),
            Reason::Safety => f.write_str("safety"),
            Reason::PreUpdate { rank, of } => write!(f, "pre-update {rank} of {of}"),
            Reason::FirstOfHour => f.write_str("first pre-update of its hour"),
            Reason::WithinCount { rank, of } => write!(f, "newest {rank} of {of}"),
            Reason::WithinAge(age) => write!(f, "not older than {}", span(*age)),
            Reason::WithinSize(bytes) => write!(f, "within {}", ByteSize::b(*bytes).display().si()),
            Reason::NoLimit => f.write_str("no limit given"),
            Reason::Damaged => f.write_str("damaged"),
            Reason::StillDamaged => f.write_str("damaged, read again"),
            Reason::Gone => f.write_str("its database is gone"),
            Reason::BeyondLast(count) => write!(f, "beyond the last {count}"),
            Reason::NewerIn(period) => write!(f, "newer one in {period}"),
            Reason::BeyondReach(rule, count) => write!(f, "beyond {count} {rule}"),
            Reason::BeyondCount(count) => write!(f, "beyond the newest {count}"),
            Reason::OlderThan(age) => write!(f, "older than {}", span(*age)),
            Reason::BeyondSize(bytes) => write!(f, "beyond {}", ByteSize::b(*bytes).display().si()),
        }
    }
}

/// Formats a span as one number, in the largest unit that divides it: `90d`, `26h`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fitting = units.into_iter().find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    let (length, unit) = fitting.unwrap_or((1, "s"));
    format!("{}{unit}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_print_as_they_are_typed() {
        let age = |seconds| Reason::OlderThan(Duration::from_secs(seconds)).to_string();
        assert_eq!(
            [age(90 * 86_400), age(26 * 3600), age(90), age(0)],
            ["older than 90d", "older than 26h", "older than 90s", "older than 0s"]
        );
        assert_eq!(Reason::BeyondSize(20_000_000_000).to_string(), "beyond 20.0 GB");
    }
}
