//! The same schedule in the words of systemd's timers and of cron.

use std::fmt;
use std::time::Duration;

use super::Line;

/// The days of systemd, from Sunday as cron counts them.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Expressions for `OnCalendar=`; each is a trigger of its own.
pub type Calendar = Vec<String>;

/// A line that has no form as a timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoTimer {
    /// The line.
    pub line: String,
}

impl fmt::Display for NoTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" has L, W, # or +, which other schedulers do not know", self.line)
    }
}

impl std::error::Error for NoTimer {}

/// Returns a line as expressions for `OnCalendar=`, without a zone.
pub fn calendar(line: &Line) -> Result<Calendar, NoTimer> {
    let [minutes, hours, days, months, weekdays] =
        line.fields().ok_or_else(|| NoTimer { line: line.text().to_owned() })?;
    let list = |values: &[u16]| match values {
        [] => "*".to_owned(),
        values => values.iter().map(|value| format!("{value:02}")).collect::<Vec<_>>().join(","),
    };
    let names: Vec<&str> = weekdays.iter().filter_map(|day| DAYS.get(usize::from(*day)).copied()).collect();
    let names = if names.is_empty() { String::new() } else { format!("{} ", names.join(",")) };
    let of = |names: &str, days: &[u16]| {
        format!("{names}*-{}-{} {}:{}:00", list(&months), list(days), list(&hours), list(&minutes))
    };
    // Of two restricted days either is enough for cron; systemd wants both.
    Ok(if line.either_day() && !days.is_empty() && !names.is_empty() {
        vec![of(&names, &[]), of("", &days)]
    } else if line.either_day() {
        // One of them names every day.
        vec![of("", &[])]
    } else {
        vec![of(&names, &days)]
    })
}

/// Returns a line that comes as often as a look, or a little more often: only what divides an hour or a day evenly can
/// be written.
pub fn check_line(check_every: Duration) -> Result<Line, String> {
    let minutes = check_every.as_secs() / 60;
    let largest = |steps: &[u64], most: u64| steps.iter().copied().filter(|step| *step <= most).max().unwrap_or(1);
    let text = match minutes {
        0 | 1 => "* * * * *".to_owned(),
        2..60 => format!("*/{} * * * *", largest(&[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30], minutes)),
        60..120 => "0 * * * *".to_owned(),
        120..1440 => format!("0 */{} * * *", largest(&[1, 2, 3, 4, 6, 8, 12], minutes / 60)),
        _ => "0 0 * * *".to_owned(),
    };
    Line::parse(&text)
}
