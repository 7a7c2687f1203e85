//! The section `[schedule]`: when `heirloom run` works by itself.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono_tz::Tz;

use super::value::{Value, age_text, not, number, parse_age, switch};
use super::{Effective, Key, Origin, Settings};
use crate::names::HostLabel;
use crate::schedule::{Follow, Line, Schedule, Timing, delay_of};

/// The shortest interval between two backups.
const SHORTEST: Duration = Duration::from_secs(60);
/// The shortest interval between two looks.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// A day of backups, where they are more frequent than the rotation keeps them.
const HOURS_KEPT: u32 = 24;

/// When `heirloom run` works by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// Whether anything runs by itself; off, there are no backups at the start and the end either.
    pub enabled: bool,
    /// How long after the last backup the next one is made; not used with `cron`.
    pub every: Duration,
    /// The lines at which backups are made instead.
    pub cron: Vec<Line>,
    /// Whether a backup is made only if something changed.
    pub if_changed: bool,
    /// How often a change is looked for.
    pub check_every: Duration,
    /// Whether a backup is made at the start.
    pub on_start: bool,
    /// Whether a backup is made at the end.
    pub last_one: bool,
    /// When `rotate` runs.
    pub rotate: Follow,
    /// When `cleanup` runs.
    pub cleanup: Follow,
    /// When archives are verified: never after a backup.
    pub verify: Follow,
    /// Into how many parts the archives are divided, of which one is verified at a time.
    pub verify_parts: NonZeroU32,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            every: Duration::from_secs(3600),
            cron: Vec::new(),
            if_changed: true,
            check_every: Duration::from_secs(300),
            on_start: true,
            last_one: true,
            rotate: Follow::AfterBackup,
            cleanup: Follow::AfterBackup,
            verify: Line::parse("@weekly").map_or(Follow::Never, Follow::At),
            verify_parts: const { NonZeroU32::new(4).unwrap() },
        }
    }
}

impl ScheduleSettings {
    /// Returns whether a backup is made at the start of a run.
    pub fn backs_up_at_start(&self) -> bool {
        self.enabled && self.on_start
    }

    /// Returns whether a backup is made at the end of a run.
    pub fn backs_up_at_end(&self) -> bool {
        self.enabled && self.last_one
    }

    /// Returns the schedule of a host.
    pub fn of_host(&self, label: &HostLabel, zone: Tz) -> Schedule {
        let timing = if self.cron.is_empty() { Timing::Every(self.every) } else { Timing::At(self.cron.clone()) };
        Schedule {
            backup: self.enabled.then_some(timing),
            rotate: self.rotate.clone(),
            cleanup: self.cleanup.clone(),
            verify: self.verify.clone(),
            check_every: self.check_every,
            zone,
            delay: delay_of(label),
        }
    }

    pub(super) fn set(&mut self, key: Key, value: &Value) -> Result<(), String> {
        match key {
            Key::Scheduled => self.enabled = switch(value)?,
            Key::Every => self.every = interval(value, SHORTEST)?,
            Key::Cron => {
                self.cron = match value {
                    Value::Texts(texts) if !texts.is_empty() => {
                        texts.iter().map(|text| Line::parse(text)).collect::<Result<_, _>>()?
                    }
                    Value::Text(text) => vec![Line::parse(text)?],
                    _ => return Err(not("a line of cron or a list of them", value)),
                }
            }
            Key::IfChanged => self.if_changed = switch(value)?,
            Key::CheckEvery => self.check_every = interval(value, SHORTEST_LOOK)?,
            Key::OnStart => self.on_start = switch(value)?,
            Key::Final => self.last_one = switch(value)?,
            Key::RotateAt => self.rotate = follow(value)?,
            Key::CleanupAt => self.cleanup = follow(value)?,
            Key::VerifyAt => {
                self.verify = match follow(value)? {
                    Follow::AfterBackup => return Err(not("a line of cron like \"@weekly\", or \"never\"", value)),
                    follow => follow,
                }
            }
            Key::VerifyParts => {
                let parts = number(value, 1, 1000)?;
                self.verify_parts = NonZeroU32::new(parts).unwrap_or(NonZeroU32::MIN);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn get(&self, key: Key) -> Option<Value> {
        let follow = |follow: &Follow| {
            Some(Value::Text(match follow {
                Follow::AfterBackup => "after backup".to_owned(),
                Follow::At(line) => line.to_string(),
                Follow::Never => "never".to_owned(),
            }))
        };
        match key {
            Key::Scheduled => Some(Value::Switch(self.enabled)),
            Key::Every => self.cron.is_empty().then(|| Value::Text(age_text(self.every))),
            Key::Cron => {
                let lines: Vec<String> = self.cron.iter().map(ToString::to_string).collect();
                Some(lines).filter(|lines| !lines.is_empty()).map(Value::Texts)
            }
            Key::IfChanged => Some(Value::Switch(self.if_changed)),
            Key::CheckEvery => Some(Value::Text(age_text(self.check_every))),
            Key::OnStart => Some(Value::Switch(self.on_start)),
            Key::Final => Some(Value::Switch(self.last_one)),
            Key::RotateAt => follow(&self.rotate),
            Key::CleanupAt => follow(&self.cleanup),
            Key::VerifyAt => follow(&self.verify),
            Key::VerifyParts => Some(Value::Number(self.verify_parts.get().into())),
            _ => None,
        }
    }
}

fn interval(value: &Value, shortest: Duration) -> Result<Duration, String> {
    let wanted = format!("an interval like \"1h\" or \"30m\", at least {}", age_text(shortest));
    match value {
        Value::Text(text) => parse_age(text).ok().filter(|interval| *interval >= shortest),
        _ => None,
    }
    .ok_or_else(|| not(&wanted, value))
}

fn follow(value: &Value) -> Result<Follow, String> {
    match value {
        Value::Text(text) if text == "after backup" => Ok(Follow::AfterBackup),
        Value::Text(text) if text == "never" => Ok(Follow::Never),
        Value::Text(text) if text.contains(' ') || text.starts_with('@') => Line::parse(text).map(Follow::At),
        _ => Err(not("\"after backup\", \"never\" or a line of cron", value)),
    }
}

impl Effective {
    /// Applies what the schedule means for the retention, where nothing else was set.
    pub(super) fn settle_schedule(&mut self) {
        if self.counts_only() && self.is_default(Key::RotateAt) {
            self.settings.schedule.rotate = Follow::Never;
            let origin = self.origin(Key::Keep).clone();
            self.set_origin(Key::RotateAt, origin);
        }
        // Without a schedule of its own nobody's rotation changes.
        if !self.is_default(Key::Every) && self.wants_hours() {
            self.settings.retention.hourly = Some(HOURS_KEPT);
            let origin = self.origin(Key::Every).clone();
            self.set_origin(Key::Hourly, origin);
        }
    }

    /// Returns the settings for a run that follows the schedule: its rotation keeps the hours of a day even if the
    /// interval is the default one.
    pub fn settings_of_run(&self) -> Settings {
        let mut settings = self.settings.clone();
        if self.wants_hours() {
            settings.retention.hourly = Some(HOURS_KEPT);
        }
        settings
    }

    fn is_default(&self, key: Key) -> bool {
        *self.origin(key) == Origin::Default
    }

    /// Returns whether a number of archives is asked for and no rule: the last 10 are the last 10.
    pub fn counts_only(&self) -> bool {
        let mut rules = [Key::Last, Key::Hourly, Key::Daily, Key::Weekly, Key::Monthly, Key::Yearly].into_iter();
        !self.is_default(Key::Keep) && rules.all(|rule| self.is_default(rule))
    }

    /// Returns whether backups are made more often than daily and no rule says what becomes of them.
    fn wants_hours(&self) -> bool {
        let schedule = &self.settings.schedule;
        let below_a_day = schedule.enabled && schedule.cron.is_empty() && schedule.every < DAY;
        below_a_day && self.is_default(Key::Hourly) && self.is_default(Key::Last) && !self.counts_only()
    }
}
