//! Parses times.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::failure::Failure;
use crate::names::printable;

/// Parses a time in one of the accepted forms.
pub(super) fn time(text: &str, zone: Tz) -> Result<DateTime<Utc>, Failure> {
    let wrong = || {
        let hint = "write 2026-03-01T03:00:00Z, '2026-03-01 03:00', or 2026-03-01 for the end of that day";
        Failure::usage(format!("cannot parse \"{}\" as a time", printable(text)), hint)
    };
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    // The form in archive names.
    if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ") {
        return Ok(time.and_utc());
    }
    let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let last_second = NaiveTime::from_hms_opt(23, 59, 59).expect("it is a time of every day");
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let local = local.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(last_second)));
    // A time that occurs twice means the later one; one skipped by a clock change is rejected.
    zone.from_local_datetime(&local.ok_or_else(wrong)?).latest().map(|time| time.to_utc()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_zone() {
        let utc = |text: &str| time(text, Tz::Europe__Berlin).unwrap().to_rfc3339();
        assert_eq!(utc("2026-03-01T03:00:00Z"), "2026-03-01T03:00:00+00:00");
        assert_eq!(utc("2026-03-01 03:00"), "2026-03-01T02:00:00+00:00");
        assert_eq!(utc("2026-07-01"), "2026-07-01T21:59:59+00:00");
        // The clock goes from 2 to 3 in that night, and back from 3 to 2 in the other.
        assert!(time("2026-03-29 02:30", Tz::Europe__Berlin).is_err());
        assert_eq!(utc("2026-10-25 02:30"), "2026-10-25T01:30:00+00:00");
        assert!(time("yesterday", Tz::UTC).is_err());
    }
}
