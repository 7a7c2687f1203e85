//! Decides when the same trouble is reported again, so that nobody stops reading. Pure: the ledger is an argument.
//!
//! The first time at once, then after 1 hour, after 6 more, and then daily. "The same" is the same subject (a command
//! and its set) with the same kind of error. Success ends it, and is reported if the trouble was.

use chrono::{DateTime, TimeDelta, Utc};

/// The pauses between two reports of the same trouble; the last one repeats.
const PAUSES: [TimeDelta; 3] = [TimeDelta::hours(1), TimeDelta::hours(6), TimeDelta::hours(24)];
/// How many troubles are reported within an hour. More are remembered and reported later, or counted.
pub const AT_ONCE: usize = 10;

/// A trouble that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is about: `backup/app`.
    pub subject: String,
    /// The kind of the error, as its exit code.
    pub code: u8,
    /// When it was first seen.
    pub since: DateTime<Utc>,
    /// When it was reported last; `None` if it never was.
    pub reported: Option<DateTime<Utc>>,
    /// How often it was reported.
    pub times: u32,
}

impl Trouble {
    /// Returns whether it is to be reported. A report that is dated in the future proves that the clock was wrong.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let pause = PAUSES[usize::try_from(self.times).unwrap_or(usize::MAX).saturating_sub(1).min(PAUSES.len() - 1)];
        self.reported.is_none_or(|at| now < at || now - at >= pause)
    }
}

/// How a round ended for one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The subject.
    pub subject: String,
    /// The kind of the error; `None` if all is well.
    pub code: Option<u8>,
}

/// What follows from a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The troubles that last from now on.
    pub troubles: Vec<Trouble>,
    /// Whether the troubles of the round are reported.
    pub report: bool,
    /// Since when the oldest trouble of the round lasts.
    pub since: Option<DateTime<Utc>>,
    /// Since when the oldest reported trouble lasted that the round ended; `None` if it ended none.
    pub recovered: Option<DateTime<Utc>>,
    /// How many troubles are known that were never reported, and are not of this round.
    pub held_back: u64,
}

/// Decides about a round. `recent` is how many reports of trouble went out within the last hour.
pub fn decide(known: &[Trouble], round: &[Ended], recent: usize, now: DateTime<Utc>) -> Decision {
    let mut troubles = known.to_vec();
    let mut recovered: Option<DateTime<Utc>> = None;
    for ended in round.iter().filter(|ended| ended.code.is_none()) {
        troubles.retain(|trouble| {
            let is_over = trouble.subject == ended.subject;
            if is_over && trouble.reported.is_some() {
                recovered = Some(recovered.map_or(trouble.since, |since| since.min(trouble.since)));
            }
            !is_over
        });
    }
    let mut since: Option<DateTime<Utc>> = None;
    let mut due = false;
    let mut of_round = Vec::new();
    for (subject, code) in round.iter().filter_map(|ended| Some((&ended.subject, ended.code?))) {
        let began = troubles.iter().filter(|trouble| trouble.subject == *subject).map(|trouble| trouble.since).min();
        let began = began.unwrap_or(now);
        since = Some(since.map_or(began, |since| since.min(began)));
        let at = troubles.iter().position(|trouble| trouble.subject == *subject && trouble.code == code);
        let at = at.unwrap_or_else(|| {
            let new = Trouble { subject: subject.clone(), code, since: began, reported: None, times: 0 };
            troubles.push(new);
            troubles.len() - 1
        });
        let trouble = &troubles[at];
        due |= trouble.is_due(now);
        of_round.push(at);
    }
    let report = due && recent < AT_ONCE;
    if report {
        for at in &of_round {
            let trouble = &mut troubles[*at];
            trouble.reported = Some(now);
            trouble.times = trouble.times.saturating_add(1);
        }
    }
    let held_back = troubles.iter().filter(|trouble| trouble.reported.is_none()).count() as u64;
    Decision { troubles, report, since, recovered, held_back }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn ended(subject: &str, code: Option<u8>) -> Ended {
        Ended { subject: subject.into(), code }
    }

    /// Returns the minutes at which a trouble that comes back every five minutes is reported.
    fn reported(until: i64, code: impl Fn(i64) -> u8) -> Vec<i64> {
        let mut known = Vec::new();
        let mut minutes = Vec::new();
        for minute in (0..until).step_by(5) {
            let decision = decide(&known, &[ended("backup/app", Some(code(minute)))], 0, at(minute));
            minutes.extend(decision.report.then_some(minute));
            known = decision.troubles;
        }
        minutes
    }

    #[test]
    fn the_same_failure_is_reported_after_an_hour_six_hours_and_then_daily() {
        assert_eq!(reported(60 * 80, |_| 16), [0, 60, 7 * 60, 31 * 60, 55 * 60, 79 * 60]);
        // Two errors that take turns are two troubles, and no more.
        assert_eq!(reported(60, |minute| if minute % 10 == 0 { 16 } else { 11 }), [0, 5]);
    }

    #[test]
    fn success_is_a_recovery_if_the_failure_was_reported() {
        let failed = decide(&[], &[ended("backup/app", Some(16)), ended("backup/b", None)], 0, at(0));
        assert_eq!((failed.report, failed.recovered, failed.since), (true, None, Some(at(0))));
        let again = decide(&failed.troubles, &[ended("backup/app", Some(13))], 0, at(30));
        assert_eq!((again.report, again.since), (true, Some(at(0))));
        let other = decide(&again.troubles, &[ended("backup/b", None)], 0, at(60));
        assert_eq!((other.recovered, other.troubles.len()), (None, 2));
        let works = decide(&other.troubles, &[ended("backup/app", None)], 0, at(90));
        assert_eq!((works.recovered, works.troubles), (Some(at(0)), Vec::new()));
    }

    #[test]
    fn a_storm_is_held_back_and_counted() {
        let mut known = Vec::new();
        let mut sent = 0;
        for set in 0..500 {
            let decision = decide(&known, &[ended(&format!("backup/{set}"), Some(16))], sent, at(0));
            sent += usize::from(decision.report);
            known = decision.troubles;
        }
        assert_eq!(sent, AT_ONCE);
        let decision = decide(&known, &[ended("backup/0", Some(16))], 0, at(60));
        assert_eq!((decision.report, decision.held_back), (true, 490), "what was reported is repeated in its time");
        let works = decide(&known, &[ended("backup/499", None)], sent, at(60));
        assert_eq!(works.recovered, None, "nobody heard of it");
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nothing() {
        let failed = decide(&[], &[ended("backup/app", Some(16))], 0, at(100_000));
        let set_back = decide(&failed.troubles, &[ended("backup/app", Some(16))], 0, at(0));
        assert!(set_back.report);
        assert!(!decide(&set_back.troubles, &[ended("backup/app", Some(16))], 0, at(5)).report);
    }
}
