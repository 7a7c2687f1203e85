//! A line of cron: which minutes of the calendar it names, and at which instants a zone reaches them.
//!
//! croner reads the line and searches the calendar. What a change of summer time means is decided here:
//!
//! - A slot that the change skips comes at its end, whatever the line.
//! - A slot that comes twice counts the first time. The exception are lines with `*` as their hour: their slots in the
//!   repeated hour are an hour apart, and leaving them out would be a gap of two hours. They skip nothing that needs to
//!   be made up, either.

use std::fmt;
use std::sync::Arc;

use chrono::offset::LocalResult;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// The fields of a line, in their order.
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];
/// How far a clock is set forward at most: Pacific islands that changed sides of the date line skipped a day.
const LONGEST_GAP: TimeDelta = TimeDelta::hours(25);

/// A line of cron with five fields, or a name like `@daily`.
#[derive(Debug, Clone)]
pub struct Line {
    text: String,
    cron: Arc<Cron>,
    every_hour: bool,
}

impl Line {
    /// Reads a line. Fails with what is wrong with it, as the end of a sentence: a line that never comes is wrong, too.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let wrong = |why: &str| format!("\"{text}\" is not a line of cron like \"0 3 * * *\" or \"@daily\": {why}");
        let cron = parsed(&text).ok_or_else(|| {
            let fields: Vec<&str> = text.split(' ').collect();
            if text.starts_with('@') {
                return wrong("the names are @hourly, @daily, @weekly, @monthly and @yearly");
            }
            if fields.len() != FIELDS.len() {
                return wrong("it must have five fields: minute, hour, day of month, month, day of week");
            }
            let alone = |at: usize| {
                let fields: Vec<&str> =
                    (0..FIELDS.len()).map(|other| if other == at { fields[at] } else { "*" }).collect();
                parsed(&fields.join(" "))
            };
            match (0..FIELDS.len()).find(|at| alone(*at).is_none()) {
                Some(at) => wrong(&format!("\"{}\" cannot be its {}", fields[at], FIELDS[at])),
                None => wrong("it cannot be read"),
            }
        })?;
        let hour = if text.starts_with('@') {
            (text.eq_ignore_ascii_case("@hourly")).then_some("*")
        } else {
            text.split(' ').nth(1)
        };
        let line = Self { every_hour: hour == Some("*"), cron: Arc::new(cron), text };
        // croner searches up to the year 5000.
        let begin = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN);
        match line.civil_after(begin) {
            Some(_) => Ok(line),
            None => Err(format!("\"{}\" never comes: none of its months has such a day", line.text)),
        }
    }

    /// Returns the line as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the first instant after `at` at which the line comes in a zone. `None` beyond the reach of the calendar.
    pub fn after(&self, at: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let local = at.with_timezone(&zone).naive_local();
        let first = self.scan(local, at, zone);
        if !self.every_hour {
            return first;
        }
        // In the first of two equal hours: those of the second one lie before the current reading of the clock.
        let second = match zone.from_local_datetime(&local) {
            LocalResult::Ambiguous(earlier, later) if at < later => {
                let offset = later.offset().fix().local_minus_utc();
                debug_assert!(earlier < later);
                self.scan(at.naive_utc() + TimeDelta::seconds(offset.into()), at, zone)
            }
            _ => None,
        };
        [first, second].into_iter().flatten().min()
    }

    /// Returns the first instant after `at` of the slots after a reading of the clock.
    fn scan(&self, mut local: NaiveDateTime, at: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        loop {
            local = self.civil_after(local)?;
            let instants = match zone.from_local_datetime(&local) {
                LocalResult::Single(instant) => [Some(instant), None],
                LocalResult::Ambiguous(earlier, later) => [Some(earlier), self.every_hour.then_some(later)],
                LocalResult::None if self.every_hour => [None, None],
                LocalResult::None => [end_of_gap(local, zone), None],
            };
            if let Some(found) =
                instants.into_iter().flatten().map(|instant| instant.to_utc()).find(|found| *found > at)
            {
                return Some(found);
            }
        }
    }

    /// Returns the first slot of the calendar after a reading of the clock.
    fn civil_after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        // croner counts whole seconds, and an excluded start is one second on.
        let whole = local.with_nanosecond(0)?;
        self.cron.find_next_occurrence(&whole, false).ok()
    }

    /// Returns the values of each field; an empty list for `*`. `None` if the line has L, W, # or +, which only croner
    /// understands.
    pub(super) fn fields(&self) -> Option<[Vec<u16>; 5]> {
        let pattern = &self.cron.pattern;
        let fields = [&pattern.minutes, &pattern.hours, &pattern.days, &pattern.months, &pattern.days_of_week];
        if fields.iter().any(|field| field.has_modifiers()) || pattern.matches_dom_and_dow() {
            return None;
        }
        let full = [60, 24, 31, 12, 7];
        let mut values = fields.map(croner::CronComponent::values);
        // A field that is `*` leaves the choice of the day to the other one.
        values[4].retain(|day| *day < 7);
        for (values, full) in values.iter_mut().zip(full) {
            if values.len() == full {
                values.clear();
            }
        }
        Some(values)
    }

    /// Returns whether both days are restricted: then either is enough.
    pub(super) fn either_day(&self) -> bool {
        !self.cron.pattern.is_dom_wildcard() && !self.cron.pattern.is_dow_wildcard()
    }
}

fn parsed(text: &str) -> Option<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).ok()
}

/// Returns the first instant after the readings of the clock that a change skips.
fn end_of_gap(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Tz>> {
    // From `local` on, readings are skipped up to the end, and exist from there on.
    let exists = |seconds: i64| zone.from_local_datetime(&(local + TimeDelta::seconds(seconds))).earliest();
    let (mut skipped, mut there) = (0, LONGEST_GAP.num_seconds());
    while there - skipped > 1 {
        let middle = skipped + (there - skipped) / 2;
        if exists(middle).is_some() { there = middle } else { skipped = middle }
    }
    exists(there)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Line {}
