//! The schedule against a slow second opinion, which looks at every minute of a year with its own reading of the lines.
//!
//! The years are those with the hardest changes of the clock: New York by an hour, Lord Howe by half an hour, and Apia
//! in 2011, which had both changes of summer time and skipped December 30.

use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;
use heirloom::names::Name;
use heirloom::retention::{Action, Limits, Policy, Reach, Retention, Scene};
use heirloom::schedule::{Due, Follow, Job, Last, Line, Looks, Schedule, Timing};
use heirloom::snapshot::Snapshot;

const YEARS: [(Tz, i32); 3] =
    [(Tz::America__New_York, 2026), (Tz::Australia__Lord_Howe, 2026), (Tz::Pacific__Apia, 2011)];

const LINES: [&str; 14] = [
    "0 3 * * *",
    "30 2 * * *",
    "15 1 * * *",
    "0 0 * * *",
    "45 1,2 * * 0",
    "*/10 1-3 * * *",
    "17 * * * *",
    "*/15 * * * *",
    "5 */2 * * *",
    "30 23 30 12 *",
    "0 12 * * 5",
    "0 0 13 * 5",
    "59 1 1-7 3,4,9-11 *",
    "0 0,12 31 * *",
];

/// A line as this file reads it: the values of each field, and whether the day fields are `*`.
struct Slow {
    fields: [Vec<u32>; 5],
    stars: [bool; 5],
}

impl Slow {
    fn new(text: &str) -> Self {
        let mut fields = [const { Vec::new() }; 5];
        let mut stars = [false; 5];
        for (at, (field, most)) in text.split(' ').zip([59, 23, 31, 12, 6]).enumerate() {
            stars[at] = field == "*";
            for part in field.split(',') {
                let (range, step) = part.split_once('/').unwrap_or((part, "1"));
                let (from, to) = match range.split_once('-') {
                    Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
                    None if range == "*" => (0, most),
                    None => (range.parse().unwrap(), range.parse().unwrap()),
                };
                fields[at].extend((from..=to).step_by(step.parse().unwrap()));
            }
        }
        Self { fields, stars }
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        let has = |at: usize, value: u32| self.fields[at].contains(&value);
        // Most minutes are none of its own.
        if !has(0, local.minute()) || !has(1, local.hour()) || !has(3, local.month()) {
            return false;
        }
        let day = has(2, local.day());
        let weekday = has(4, local.weekday().num_days_from_sunday());
        if self.stars[2] || self.stars[4] { day && weekday } else { day || weekday }
    }

    /// Watches the clock on the wall: what it passes or jumps over comes, what it shows again does not, unless the line
    /// is one for every hour.
    fn slots(&self, clock: &[(DateTime<Utc>, NaiveDateTime)]) -> Vec<DateTime<Utc>> {
        let mut slots = Vec::new();
        let mut highest = clock[0].1;
        for (at, local) in &clock[1..] {
            let comes = if self.stars[1] {
                self.matches(*local)
            } else {
                let mut any = false;
                while highest < *local {
                    highest += TimeDelta::minutes(1);
                    any |= self.matches(highest);
                }
                any
            };
            slots.extend(comes.then_some(*at));
        }
        slots
    }
}

/// Every minute of a year and a day, with the reading of the clock.
fn clock(zone: Tz, year: i32) -> Vec<(DateTime<Utc>, NaiveDateTime)> {
    let from = chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
    (0..366 * 1440)
        .map(|minute| from + TimeDelta::minutes(minute))
        .map(|at| (at, at.with_timezone(&zone).naive_local()))
        .collect()
}

#[test]
fn every_slot_of_a_year_comes_when_the_slow_opinion_sees_it() {
    for (zone, year) in YEARS {
        let clock = clock(zone, year);
        let changes = clock.windows(2).filter(|pair| pair[1].1 - pair[0].1 != TimeDelta::minutes(1)).count();
        assert!(changes >= 2, "{zone} has no summer time in {year}");
        for text in LINES {
            let expected = Slow::new(text).slots(&clock);
            let line = Line::parse(text).unwrap();
            let end = clock.last().unwrap().0;
            let found: Vec<_> = std::iter::successors(line.after(clock[0].0, zone), |at| line.after(*at, zone))
                .take_while(|at| *at <= end)
                .collect();
            let first = expected.iter().zip(&found).find(|(expected, found)| expected != found);
            assert_eq!(first, None, "{zone}: {text}");
            assert_eq!(expected.len(), found.len(), "{zone}: {text}");
            // From any minute, not only from a slot.
            for (at, _) in clock.iter().step_by(977) {
                let next = expected.get(expected.partition_point(|slot| slot <= at));
                assert!(next.is_none() || next == line.after(*at, zone).as_ref(), "{zone}: {text} after {at}");
            }
        }
    }
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % most).unwrap()
    }
}

fn schedule(timing: Timing, zone: Tz, delay: i64) -> Schedule {
    Schedule {
        backup: Some(timing),
        rotate: Follow::AfterBackup,
        cleanup: Follow::Never,
        verify: Follow::Never,
        check_every: std::time::Duration::from_secs(300),
        zone,
        delay: TimeDelta::seconds(delay),
    }
}

/// A host that sleeps, whose clock is set, and that starts again, over a year.
struct Host {
    now: DateTime<Utc>,
    /// The latest reading so far: a clock is set back by less than what counts as having been wrong.
    highest: DateTime<Utc>,
    looks: Looks,
    dice: Dice,
}

impl Host {
    fn new(now: DateTime<Utc>, seed: u64) -> Self {
        Self { now, highest: now, looks: Looks::none(now), dice: Dice(seed) }
    }

    fn lives_on(&mut self) {
        self.now += TimeDelta::seconds(590 + self.dice.below(20));
        match self.dice.below(100) {
            0 => self.now += TimeDelta::minutes(self.dice.below(40 * 60)),
            1 => self.now += TimeDelta::seconds(self.dice.below(7200)),
            2 => {
                let back = self.now - TimeDelta::seconds(self.dice.below(7200));
                self.now = back.max(self.highest - TimeDelta::minutes(170));
            }
            3 if self.now >= self.highest => self.looks = Looks::none(self.now),
            _ => {}
        }
        self.highest = self.highest.max(self.now);
    }
}

#[test]
fn sleep_and_a_set_clock_lose_no_slot_and_repeat_none() {
    for (zone, year) in YEARS {
        let clock = clock(zone, year);
        for (number, lines) in [&["30 2 * * *"][..], &["*/10 1-3 * * *"], &["17 * * * *"], &["0 3 * * *", "30 1 * * 0"]]
            .into_iter()
            .enumerate()
        {
            let mut slots: Vec<_> = lines.iter().flat_map(|text| Slow::new(text).slots(&clock)).collect();
            slots.sort();
            slots.dedup();
            let parsed = lines.iter().map(|text| Line::parse(text).unwrap()).collect();
            let delay = [0, 37, 59, 12][number];
            let schedule = schedule(Timing::At(parsed), zone, delay);
            let start = clock[0].0 + TimeDelta::days(2);
            let mut host = Host::new(start, 7 + number as u64);
            let mut store = vec![start];
            let (mut kept, mut made) = (slots.partition_point(|slot| *slot <= start), 0);
            while host.now < clock[clock.len() - 1].0 - TimeDelta::days(3) {
                host.lives_on();
                // Nobody reads old archives.
                store.drain(..store.len().saturating_sub(3));
                if host.looks.latest.is_none() {
                    // A run that starts knows only what is in the store.
                    kept = slots.partition_point(|slot| Some(slot) <= store.last());
                }
                let due = schedule.due(Job::Backup, &Last::of(store.clone(), host.now), &host.looks, host.now);
                host.looks.looked(host.now, &due);
                let of_lines = format!("{zone}: {lines:?} at {}: {due:?}", host.now);
                match due {
                    Due::Now(_) => {
                        // Every third time nothing had changed, and no archive shows that the slot was kept.
                        let is_changed = host.dice.below(3) > 0;
                        let until = if is_changed { host.now } else { host.now - TimeDelta::seconds(delay) };
                        let passed = slots.partition_point(|slot| *slot <= until);
                        assert!(passed > kept, "repeated: {of_lines}");
                        (kept, made) = (passed, made + 1);
                        store.extend(is_changed.then_some(host.now));
                    }
                    _ => {
                        let owed = slots.partition_point(|slot| *slot + TimeDelta::seconds(delay) <= host.now);
                        assert!(owed <= kept, "lost {}: {of_lines}", slots[kept]);
                    }
                }
            }
            assert!(made > 200, "{zone}: {lines:?}: only {made}");
        }
    }
}

#[test]
fn an_interval_is_never_cut_short_and_no_look_passes_it_over() {
    let start = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    let every = TimeDelta::hours(1);
    let schedule = schedule(Timing::Every(every.to_std().unwrap()), Tz::America__New_York, 30);
    let mut host = Host::new(start, 3);
    let mut last = start;
    let mut made = 0;
    while host.now < start + TimeDelta::days(365) {
        host.lives_on();
        let due = schedule.due(Job::Backup, &Last::of([last], host.now), &host.looks, host.now);
        host.looks.looked(host.now, &due);
        assert_eq!(matches!(due, Due::Now(_)), host.now - last >= every, "{due:?} at {}, last {last}", host.now);
        if matches!(due, Due::Now(_)) {
            (last, made) = (host.now, made + 1);
        }
    }
    assert!(made > 2000, "{made}");
}

/// What exists after 30 days of an hourly schedule over a database that changes all the time, newest first.
fn after_thirty_days(retention: Retention) -> Vec<DateTime<Utc>> {
    let end = DateTime::from_timestamp(1_772_334_000, 0).unwrap();
    let start = end - TimeDelta::days(30);
    let schedule = schedule(Timing::Every(std::time::Duration::from_secs(3600)), Tz::UTC, 0);
    let set = Name::new("app").unwrap();
    let (mut looks, mut existing) = (Looks::none(start), Vec::<Snapshot>::new());
    let mut now = start;
    while now <= end {
        let dates = existing.iter().map(|snapshot| snapshot.created_at);
        let due = schedule.due(Job::Backup, &Last::of(dates, now), &looks, now);
        looks.looked(now, &due);
        if matches!(due, Due::Now(_)) {
            existing.push(Snapshot::simulated(&set, now));
            let plan = retention.plan(&existing, &Scene::new(now, Tz::UTC));
            // The plan is newest first.
            let mut verdicts = plan.verdicts.iter().rev();
            existing.retain(|_| verdicts.next().unwrap().action == Action::Keep);
        }
        now += TimeDelta::minutes(5);
    }
    existing.iter().rev().map(|snapshot| snapshot.created_at).collect()
}

#[test]
fn thirty_days_of_hours_leave_what_the_settings_say() {
    let end = DateTime::from_timestamp(1_772_334_000, 0).unwrap();
    let hours = |count: i32| (0..count).map(|hour| end - TimeDelta::hours(1) * hour).collect::<Vec<_>>();
    let keep_10 = after_thirty_days(Retention::Cleanup(Limits { keep: Some(10), ..Limits::default() }));
    assert_eq!(keep_10, hours(10));

    let reach = Reach { hourly: 24, daily: 7, weekly: 4, monthly: 12, ..Reach::default() };
    let defaults = after_thirty_days(Retention::Rotate(Policy::new(reach).unwrap()));
    assert_eq!(defaults[..24], hours(24));
    let rest: Vec<String> = defaults[24..].iter().map(|date| date.format("%m-%d %H").to_string()).collect();
    // A week of days, the weeks of the month, and the end of the month before.
    let days = ["02-27 23", "02-26 23", "02-25 23", "02-24 23", "02-23 23", "02-22 23", "02-21 23"];
    let weeks = ["02-15 23", "02-08 23", "02-01 23", "01-31 23"];
    assert_eq!(rest, [&days[..], &weeks].concat());
}
