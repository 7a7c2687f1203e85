//! The calendar of the last year: on which days is there a backup that can be restored?
//!
//! One row per month, newest first, so that it fits on a telephone. Days are those of UTC. The picture has no links and
//! no colours of its own; a table of the same days follows for those who cannot see it, with links.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::read::{archives, flag, instant, is_listed, items, number, raw};
use crate::names::printable;
use crate::text;

/// The side of a day, with the gap to the next.
const CELL: u32 = 16;
/// The width of the names of the months.
const MARGIN: u32 = 62;
/// The height of the row of numbers.
const HEAD: u32 = 14;

/// The backups of one day.
#[derive(Debug, Default)]
pub(super) struct Day<'a> {
    /// Backups that stay.
    pub kept: Vec<&'a Value>,
    /// Backups that a rotation would remove now.
    pub removed: Vec<&'a Value>,
    /// Damaged backups.
    pub damaged: Vec<&'a Value>,
}

impl Day<'_> {
    fn class(&self) -> &'static str {
        match (self.kept.is_empty(), self.removed.is_empty(), self.damaged.is_empty()) {
            (false, true, _) => "kept",
            (false, false, _) => "kept some",
            (true, false, _) => "removed",
            (true, true, false) => "damaged",
            (true, true, true) => "none",
        }
    }

    fn words(&self) -> String {
        let part = |backups: &[&Value], words: &str| {
            let sets: BTreeSet<&str> = backups.iter().filter_map(|archive| raw(archive, "set")).collect();
            let sets = sets.into_iter().map(printable).collect::<Vec<_>>().join(", ");
            let count = text::count(u64::try_from(backups.len()).unwrap_or(u64::MAX), "backup");
            (!backups.is_empty()).then(|| format!("{count} of {sets}{words}"))
        };
        let parts = [
            part(&self.kept, ""),
            part(&self.removed, ", would be removed by rotate"),
            part(&self.damaged, ", damaged"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// Returns the days of the last year, today included, that have a backup.
pub(super) fn days<'a>(list: &'a Value, rotation: Option<&Value>, now: DateTime<Utc>) -> BTreeMap<NaiveDate, Day<'a>> {
    let leaving: BTreeSet<&str> =
        rotation.map_or(&[][..], |plan| items(plan, "remove")).iter().filter_map(|gone| raw(gone, "archive")).collect();
    let (first, today) = span(now);
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for archive in archives(list) {
        let Some(at) = instant(archive, "created_at") else { continue };
        let date = at.date_naive();
        if date < first || date > today {
            continue;
        }
        let day = days.entry(date).or_default();
        if flag(archive, "damaged") {
            day.damaged.push(archive);
        } else if raw(archive, "archive").is_some_and(|name| leaving.contains(name)) {
            day.removed.push(archive);
        } else {
            day.kept.push(archive);
        }
    }
    days
}

/// Returns the first and the last day of the calendar. A year after 29 February starts on 28 February.
fn span(now: DateTime<Utc>) -> (NaiveDate, NaiveDate) {
    let today = now.date_naive();
    (today.checked_sub_months(Months::new(12)).unwrap_or(NaiveDate::MIN), today)
}

/// Renders the last year with a mark for each day that has backups, and a table of these days; `link` renders the name
/// of a backup in the table.
pub(super) fn with_links(
    list: &Value,
    rotation: Option<&Value>,
    now: DateTime<Utc>,
    link: &dyn Fn(&str) -> Markup,
) -> Markup {
    let days = days(list, rotation, now);
    html! {
        figure.calendar {
            (picture(&days, is_listed(list), now))
            (legend(&days))
        }
        @if !days.is_empty() {
            details {
                summary { "Show the calendar as a table" }
                table.stack {
                    caption { "Days of the last year with backups, newest first, in UTC" }
                    thead { tr { th scope="col" { "Day" } th scope="col" { "Backups" } } }
                    tbody { @for (date, day) in days.iter().rev() { tr {
                        th scope="row" data-label="Day" { (date) }
                        td.long data-label="Backups" {
                            ul { @for (backups, words) in
                                [
                                    (&day.kept, ""),
                                    (&day.removed, ", would be removed by rotate"),
                                    (&day.damaged, ", damaged"),
                                ]
                            {
                                @for archive in backups {
                                    li {
                                        (raw(archive, "archive").map_or_else(|| html! {}, link))
                                        @if let Some(bytes) = number(archive, "bytes") { ", " (text::bytes(bytes)) }
                                        (words)
                                    }
                                }
                            } }
                        }
                    } } }
                }
            }
        }
    }
}

fn picture(days: &BTreeMap<NaiveDate, Day>, is_listed: bool, now: DateTime<Utc>) -> Markup {
    let (first, today) = span(now);
    let months: Vec<NaiveDate> =
        std::iter::successors(today.with_day(1), |month| month.checked_sub_months(Months::new(1)))
            .take_while(|month| (month.year(), month.month()) >= (first.year(), first.month()))
            .collect();
    let rows = u32::try_from(months.len()).unwrap_or(0);
    let (width, height) = (MARGIN + 31 * CELL, HEAD + rows * CELL);
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-labelledby="calendar-title calendar-text" {
            title #calendar-title { "Calendar of the last year" }
            desc #calendar-text { @if is_listed { (described(days)) } @else { "The backups are not known." } }
            @for day in [1_u32, 5, 10, 15, 20, 25, 30] {
                text.head x=(MARGIN + (day - 1) * CELL + CELL / 2) y="10" { (day) }
            }
            @for (row, month) in (0_u32..).zip(&months) {
                @let y = HEAD + row * CELL;
                text.month x="0" y=(y + 12) { (month.format("%b %Y")) }
                @for date in month.iter_days().take_while(|date| date.month() == month.month()) {
                    @if date >= first && date <= today {
                        (cell(date, days.get(&date), MARGIN + date.day0() * CELL, y, date == today))
                    }
                }
            }
        }
    }
}

fn cell(date: NaiveDate, day: Option<&Day>, x: u32, y: u32, is_today: bool) -> Markup {
    let class = day.map_or("none", Day::class);
    html! {
        g class={ "day " (class) @if is_today { " today" } } data-day=(date) {
            title {
                (date) ": " @match day { Some(day) => (day.words()), None => "no backup" }
            }
            (shape(day, x, y))
        }
    }
}

/// Renders a square. Shapes, so that nobody depends on colours: a line for what goes, a cross for what is damaged.
fn shape(day: Option<&Day>, x: u32, y: u32) -> Markup {
    let is_damaged = day.is_some_and(|day| day.class() == "damaged");
    let kept = day.map_or(0, |day| day.kept.len());
    let has_line = kept < 2 && day.is_some_and(|day| !day.removed.is_empty());
    html! {
        rect x=(x + 1) y=(y + 1) width=(CELL - 2) height=(CELL - 2) rx="2" {}
        @if has_line || is_damaged { path d={ "M" (x + 3) " " (y + CELL - 3) "L" (x + CELL - 3) " " (y + 3) } {} }
        @if is_damaged { path d={ "M" (x + 3) " " (y + 3) "L" (x + CELL - 3) " " (y + CELL - 3) } {} }
        @if kept > 1 { text x=(x + CELL / 2) y=(y + 12) { (kept) } }
    }
}

fn described(days: &BTreeMap<NaiveDate, Day>) -> String {
    let restorable = days.iter().filter(|(_, day)| !day.kept.is_empty() || !day.removed.is_empty());
    let dates: Vec<NaiveDate> = restorable.map(|(date, _)| *date).collect();
    match (dates.first(), dates.last()) {
        (Some(first), Some(last)) => {
            let count = text::count(u64::try_from(dates.len()).unwrap_or(u64::MAX), "day");
            format!("{count} of the last year with a backup, from {first} to {last}. The table below lists them.")
        }
        _ => "No backup of the last year can be restored.".into(),
    }
}

fn legend(days: &BTreeMap<NaiveDate, Day>) -> Markup {
    let sample = |day: &Day| {
        html! {
            svg.sample viewBox={ "0 0 " (CELL) " " (CELL) } aria-hidden="true" focusable="false" {
                g class={ "day " (day.class()) } { (shape(Some(day), 0, 0)) }
            }
        }
    };
    let null = &Value::Null;
    let has = |wanted: fn(&Day) -> bool| days.values().any(wanted);
    html! {
        figcaption {
            span { (sample(&Day { kept: vec![null], ..Day::default() })) "Backup" }
            @if has(|day| day.kept.len() > 1) {
                span { (sample(&Day { kept: vec![null, null], ..Day::default() })) "Several" }
            }
            @if has(|day| !day.removed.is_empty()) {
                span { (sample(&Day { removed: vec![null], ..Day::default() })) "Would be removed by rotate" }
            }
            @if has(|day| !day.kept.is_empty() && !day.removed.is_empty()) {
                span {
                    (sample(&Day { kept: vec![null], removed: vec![null], ..Day::default() }))
                    "Some would be removed"
                }
            }
            @if has(|day| day.class() == "damaged") {
                span { (sample(&Day { damaged: vec![null], ..Day::default() })) "Damaged only" }
            }
            span.quiet { "Days in UTC." }
        }
    }
}
