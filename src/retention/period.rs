//! Calendar periods of retention: stretches of local time, from each of which the newest archive counts.
//!
//! A week is an ISO week and its year the ISO year: 2024-12-31 is in week one of 2025. Every period includes its year,
//! or January would match any January.

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, Offset as _, Timelike as _};
use chrono_tz::Tz;

/// One rule of a rotation, in the order in which rules are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The newest archives, whenever they were made.
    Last,
    /// One an hour.
    Hourly,
    /// One a day.
    Daily,
    /// One an ISO week.
    Weekly,
    /// One a month.
    Monthly,
    /// One a year.
    Yearly,
}

impl Rule {
    /// All rules, in the order in which they are applied.
    pub const ALL: [Rule; 6] = [Rule::Last, Rule::Hourly, Rule::Daily, Rule::Weekly, Rule::Monthly, Rule::Yearly];

    /// Returns the period of this rule that contains a time; two times have equal periods exactly if they share one.
    /// `None` for [`Rule::Last`], for which each archive is its own period.
    pub fn period(self, at: &DateTime<Tz>) -> Option<Period> {
        let date = at.date_naive();
        match self {
            Rule::Last => None,
            Rule::Hourly => {
                Some(Period::Hour { date, hour: at.hour(), offset_seconds: at.offset().fix().local_minus_utc() })
            }
            Rule::Daily => Some(Period::Day(date)),
            Rule::Weekly => Some(Period::Week { year: at.iso_week().year(), week: at.iso_week().week() }),
            Rule::Monthly => Some(Period::Month { year: at.year(), month: at.month() }),
            Rule::Yearly => Some(Period::Year(at.year())),
        }
    }

    /// Returns its name in flags and in the configuration: `daily`.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Last => "last",
            Rule::Hourly => "hourly",
            Rule::Daily => "daily",
            Rule::Weekly => "weekly",
            Rule::Monthly => "monthly",
            Rule::Yearly => "yearly",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A stretch of local time. Prints as `week 2026-W08`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// An hour of local time. In the night when the clocks go back, the same hour occurs twice: these are two periods,
    /// distinguished by their offset, because they are two hours of work.
    Hour {
        /// The local date.
        date: NaiveDate,
        /// The hour, 0 to 23.
        hour: u32,
        /// The offset of local time from UTC.
        offset_seconds: i32,
    },
    /// A local day, of 23 to 25 hours.
    Day(NaiveDate),
    /// An ISO week.
    Week {
        /// The ISO year, which contains the Thursday of the week.
        year: i32,
        /// The week, 1 to 53.
        week: u32,
    },
    /// A month.
    Month {
        /// The year.
        year: i32,
        /// The month, 1 to 12.
        month: u32,
    },
    /// A year.
    Year(i32),
}

impl Period {
    /// Returns the rule whose periods are of this kind.
    pub fn rule(self) -> Rule {
        match self {
            Period::Hour { .. } => Rule::Hourly,
            Period::Day(_) => Rule::Daily,
            Period::Week { .. } => Rule::Weekly,
            Period::Month { .. } => Rule::Monthly,
            Period::Year(_) => Rule::Yearly,
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Hour { date, hour, offset_seconds } => {
                let minutes = offset_seconds / 60;
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(f, "hour {date}T{hour:02}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
            Period::Day(date) => write!(f, "day {date}"),
            Period::Week { year, week } => write!(f, "week {year}-W{week:02}"),
            Period::Month { year, month } => write!(f, "month {year}-{month:02}"),
            Period::Year(year) => write!(f, "year {year}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn printed(rule: Rule, at: &str, zone: Tz) -> String {
        let at: DateTime<Utc> = at.parse().unwrap();
        rule.period(&at.with_timezone(&zone)).unwrap().to_string()
    }

    #[test]
    fn a_week_belongs_to_its_iso_year() {
        assert_eq!(printed(Rule::Weekly, "2024-12-31T12:00:00Z", Tz::UTC), "week 2025-W01");
        assert_eq!(printed(Rule::Weekly, "2025-01-01T12:00:00Z", Tz::UTC), "week 2025-W01");
        assert_eq!(printed(Rule::Weekly, "2027-01-03T12:00:00Z", Tz::UTC), "week 2026-W53");
        assert_eq!(printed(Rule::Monthly, "2024-12-31T12:00:00Z", Tz::UTC), "month 2024-12");
    }

    #[test]
    fn a_repeated_hour_is_two_periods_on_one_day() {
        let zone = Tz::Europe__Berlin;
        assert_eq!(printed(Rule::Hourly, "2025-10-26T00:30:00Z", zone), "hour 2025-10-26T02+02:00");
        assert_eq!(printed(Rule::Hourly, "2025-10-26T01:30:00Z", zone), "hour 2025-10-26T02+01:00");
        assert_eq!(printed(Rule::Daily, "2025-10-25T22:00:00Z", zone), "day 2025-10-26");
        assert_eq!(printed(Rule::Daily, "2025-10-26T22:59:59Z", zone), "day 2025-10-26");
        assert_eq!(printed(Rule::Daily, "2025-10-26T23:00:00Z", zone), "day 2025-10-27");
        assert_eq!(printed(Rule::Hourly, "2025-01-01T00:10:00Z", Tz::America__St_Johns), "hour 2024-12-31T20-03:30");
    }
}
