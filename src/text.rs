//! Formats sizes, ages and counts for people.

use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use chrono::{DateTime, TimeDelta, Utc};

use crate::metadata::Extent;
use crate::names::printable;
use crate::streams::Stream;

/// Returns a path as it is shown to people: in quotes, without anything that steers a terminal.
pub fn quoted(path: impl AsRef<Path>) -> String {
    format!("\"{}\"", printable(&path.as_ref().to_string_lossy()))
}

/// Quotes a word for a shell if necessary.
pub fn shell_word(word: &str) -> String {
    let word = printable(word);
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+:@%=".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Returns the hint about a path that starts with something a shell should have expanded, such as `~/backups` from
/// within quotes or from a file that no shell reads; `None` if it does not.
pub fn unexpanded(path: &Path) -> Option<String> {
    let first = path.components().next()?.as_os_str().to_str()?;
    if !first.starts_with(['~', '$']) {
        return None;
    }
    let rest = path.to_string_lossy();
    let written = if first == "~" { format!("$HOME{}", &rest[1..]) } else { rest.clone().into_owned() };
    let written = printable(&written).into_owned();
    Some(if first == "~" {
        format!(
            "the `~` was not expanded: shells do not expand it within quotes; write \"{written}\", or leave the quotes \
             out"
        )
    } else if first.starts_with('~') {
        format!(
            "the `{}` was not expanded: shells do not expand it within quotes; write the whole path",
            printable(first)
        )
    } else {
        format!(
            "the `{}` was not expanded: shells do not expand it within single quotes; write \"{written}\"",
            printable(first)
        )
    })
}

/// Formats a size as `12.3 MiB`.
pub fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// Formats how long ago a time was, in one unit: `3 hours ago`. A future time is `in 3 hours`.
pub fn age(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let passed = now - then;
    if passed < TimeDelta::zero() { format!("in {}", span(-passed)) } else { format!("{} ago", span(passed)) }
}

/// Formats how long ago a time was for a table: `12s`, `2m`, `3h`, `5d`, `2y`; `in 3h` for a future time.
pub fn short_age(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds();
    let (number, unit) = match seconds.unsigned_abs() {
        seconds @ ..60 => (seconds, 's'),
        seconds @ ..3600 => (seconds / 60, 'm'),
        seconds @ ..172_800 => (seconds / 3600, 'h'),
        seconds @ ..63_072_000 => (seconds / 86_400, 'd'),
        seconds => (seconds / 31_536_000, 'y'),
    };
    let prefix = if seconds < 0 { "in " } else { "" };
    format!("{prefix}{number}{unit}")
}

/// Formats the change of a number: `0 → 2,240 (+2,240)`.
pub fn change(before: u64, after: u64) -> String {
    let sign = if after >= before { '+' } else { '-' };
    format!("{} → {} ({sign}{})", thousands(before), thousands(after), thousands(after.abs_diff(before)))
}

/// Formats a span in its largest unit, rounded down.
pub fn span(span: TimeDelta) -> String {
    let units = [
        ("year", 365 * 86_400),
        ("month", 30 * 86_400),
        ("week", 7 * 86_400),
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
    ];
    let seconds = span.num_seconds();
    let largest = units.into_iter().find(|(_, length)| seconds >= *length);
    let (unit, length) = largest.unwrap_or(("second", 1));
    count(seconds.unsigned_abs() / length.unsigned_abs(), unit)
}

/// Formats a span for comparison with another: in days from three on, otherwise in hours from two on, otherwise in
/// minutes.
pub fn measured(span: TimeDelta) -> String {
    let seconds = span.num_seconds().unsigned_abs();
    match seconds {
        259_200.. => count(seconds / 86_400, "day"),
        7200.. => count(seconds / 3600, "hour"),
        120.. => count(seconds / 60, "minute"),
        _ => count(seconds, "second"),
    }
}

/// Formats a duration: `<0.1 s`, `2.4 s`, `3 min 20 s`.
pub fn took(time: Duration) -> String {
    match time.as_secs() {
        _ if time < Duration::from_millis(100) => "<0.1 s".into(),
        seconds @ 60.. => format!("{} min {} s", thousands(seconds / 60), seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Formats a number with its noun: `1 archive`, `2 archives`, `2 copies`.
pub fn count(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{} {stem}ies", thousands(number)),
        _ => format!("{} {noun}s", thousands(number)),
    }
}

/// Formats a number of rows; a table whose module only the application has cannot be counted.
pub fn rows(number: Option<u64>) -> String {
    number.map_or_else(|| "rows unknown".into(), |number| count(number, "row"))
}

/// Formats a number with thousands separators: `15,607`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == first {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Describes a shrink: `rows fell from 15,607 to 4,652 (-70%)`.
pub fn fell(before: &Extent, after: &Extent) -> String {
    let percent = |before: u64, after: u64| {
        let lost = before.saturating_sub(after);
        u128::from(lost) * 100 / u128::from(before.max(1))
    };
    match (before.rows, after.rows) {
        (Some(was), Some(is)) => {
            format!("rows fell from {} to {} (-{}%)", thousands(was), thousands(is), percent(was, is))
        }
        _ => {
            let share = percent(before.bytes, after.bytes);
            format!("its size fell from {} to {} (-{share}%)", bytes(before.bytes), bytes(after.bytes))
        }
    }
}

/// Formats a stream for people: `shop on web-1, /srv/shop/app.db`.
pub fn stream(stream: &Stream) -> String {
    format!("{} on {}, {}", stream.set, stream.host, stream.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_use_their_largest_unit() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(400);
        for (seconds, text) in [
            (0, "0 seconds ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (7199, "1 hour ago"),
            (86_400 * 13, "1 week ago"),
            (-90, "in 1 minute"),
        ] {
            assert_eq!(age(now - TimeDelta::seconds(seconds), now), text);
        }
    }

    #[test]
    fn what_took_no_time_is_not_said_to_take_none() {
        let text = |millis| took(Duration::from_millis(millis));
        assert_eq!(
            [text(0), text(99), text(100), text(2449), text(200_000)],
            ["<0.1 s", "<0.1 s", "0.1 s", "2.4 s", "3 min 20 s"]
        );
    }

    #[test]
    fn a_limit_and_what_is_beyond_it_look_different() {
        let text = |hours| measured(TimeDelta::hours(hours));
        assert_eq!(
            [text(1), text(26), text(30), text(72), text(98)],
            ["60 minutes", "26 hours", "30 hours", "3 days", "4 days"]
        );
        assert_eq!(measured(TimeDelta::seconds(1)), "1 second");
    }

    #[test]
    fn a_shrink_is_reported_in_rows_or_else_in_bytes() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        let extent = |rows, bytes| Extent { rows, bytes };
        let text = fell(&extent(Some(15_607), 1), &extent(Some(4652), 1));
        assert_eq!(text, "rows fell from 15,607 to 4,652 (-70%)");
        let text = fell(&extent(None, 1 << 20), &extent(Some(1), 1 << 10));
        assert_eq!(text, "its size fell from 1.0 MiB to 1.0 KiB (-99%)");
    }

    #[test]
    fn nouns_agree_with_their_number() {
        assert_eq!(
            [count(1, "archive"), count(2, "archive"), count(0, "copy"), count(3, "day")],
            ["1 archive", "2 archives", "0 copies", "3 days"]
        );
    }
}
