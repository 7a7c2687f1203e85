//! The part of `heirloom config check` that concerns the schedule.

use std::time::Duration;

use super::Context;
use super::tested::Tested;
use crate::config::{Key, Origin, RetentionSettings, age_text};
use crate::schedule::Follow;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Warns if backups are made more often than the rotation keeps them.
pub(super) fn test(context: &Context) -> Option<Tested> {
    let (settings, effective) = (&context.settings, &context.configuration.effective);
    let key = [Key::Every, Key::Cron].into_iter().find(|key| *effective.origin(*key) != Origin::Default)?;
    if settings.schedule.rotate == Follow::Never {
        return None;
    }
    let schedule = settings.schedule.of_host(&context.host.label, settings.time_zone);
    let (rule, period) = finest(&settings.retention)?;
    let interval = schedule.finest(context.now).filter(|interval| *interval < period)?;
    let message = format!(
        "a backup every {}, but `rotate` keeps at most one for each period of its finest rule, {rule}: most of them \
         are removed again; set retention.last or a finer rule",
        age_text(interval)
    );
    Some(Tested::odd(key.to_string(), message))
}

/// Returns the finest rule of the rotation with its period; `None` if it keeps backups of any interval.
fn finest(retention: &RetentionSettings) -> Option<(Key, Duration)> {
    if retention.last.is_some() {
        return None;
    }
    let rules = [
        (Key::Hourly, retention.hourly, HOUR),
        (Key::Daily, retention.daily, DAY),
        (Key::Weekly, retention.weekly, 7 * DAY),
        (Key::Monthly, retention.monthly, 28 * DAY),
        (Key::Yearly, retention.yearly, 365 * DAY),
    ];
    rules.into_iter().find(|(_, count, _)| count.is_some()).map(|(key, _, period)| (key, period))
}
