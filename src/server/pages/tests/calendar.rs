//! Which day of the calendar has which mark.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::archive;
use super::html::tags;
use crate::server::pages::calendar::with_links;

fn calendar(list: &Value, rotation: Option<&Value>, now: DateTime<Utc>) -> Markup {
    with_links(list, rotation, now, &|name| html! { (name) })
}

/// The days with a mark, by class.
fn marked(list: &Value, rotation: Option<&Value>, now: DateTime<Utc>) -> Vec<(NaiveDate, String)> {
    let html = calendar(list, rotation, now).into_string();
    let (tags, _) = tags(&html);
    let days = tags.iter().filter_map(|tag| {
        let date = tag.get("data-day")?.parse().unwrap();
        let class = tag.get("class").unwrap().trim_start_matches("day ").trim_end_matches(" today").to_owned();
        Some((date, class))
    });
    days.collect()
}

#[test]
fn the_calendar_has_each_day_of_the_last_year_once() {
    for now in ["2026-11-27T03:20:00Z", "2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z", "2025-02-28T12:00:00Z"] {
        let now: DateTime<Utc> = now.parse().unwrap();
        let mut days: Vec<NaiveDate> = marked(&Value::Null, None, now).into_iter().map(|(date, _)| date).collect();
        days.sort();
        assert_eq!(days.last(), Some(&now.date_naive()));
        assert!(days.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::days(1)), "{now}");
        assert!((366..=367).contains(&days.len()), "{now}: {}", days.len());
    }
    let leap = marked(&Value::Null, None, "2024-03-01T00:00:00Z".parse().unwrap());
    assert!(leap.contains(&("2024-02-29".parse().unwrap(), "none".into())));
}

#[test]
fn the_calendar_marks_the_day_of_utc_and_what_rotate_would_remove() {
    let now: DateTime<Utc> = "2024-03-31T12:00:00Z".parse().unwrap();
    let mut damaged = archive("damaged", "shop", "2024-03-10T00:00:00Z", "manual");
    damaged["damaged"] = true.into();
    let list = json!({"archives": [
        // Both sides of midnight, in the night in which Europe changes to summer time, and on the leap day.
        archive("late", "shop", "2024-03-30T23:59:59.999999Z", "manual"),
        archive("early", "shop", "2024-03-31T00:00:00Z", "manual"),
        archive("offset", "shop", "2024-03-02T00:30:00+02:00", "manual"),
        archive("leap", "shop", "2024-02-29T12:00:00Z", "manual"),
        archive("gone", "shop", "2024-01-02T12:00:00Z", "manual"),
        archive("half", "shop", "2024-01-03T12:00:00Z", "manual"),
        archive("other", "notes", "2024-01-03T12:00:00Z", "manual"),
        damaged,
        archive("first", "shop", "2023-03-31T00:00:00Z", "manual"),
        archive("too-old", "shop", "2023-03-30T23:59:59Z", "manual"),
        archive("future", "shop", "2024-04-01T00:00:00Z", "manual"),
        archive("no time", "shop", "yesterday", "manual"),
    ]});
    let rotation = json!({"remove": [{"archive": "gone"}, {"archive": "half"}]});
    let mut days: Vec<_> =
        marked(&list, Some(&rotation), now).into_iter().filter(|(_, class)| class != "none").collect();
    days.sort();
    let days: Vec<_> = days.iter().map(|(date, class)| (date.to_string(), class.as_str())).collect();
    let expected = [
        ("2023-03-31", "kept"),
        ("2024-01-02", "removed"),
        ("2024-01-03", "kept some"),
        ("2024-02-29", "kept"),
        ("2024-03-01", "kept"),
        ("2024-03-10", "damaged"),
        ("2024-03-30", "kept"),
        ("2024-03-31", "kept"),
    ];
    assert_eq!(days.iter().map(|(date, class)| (date.as_str(), *class)).collect::<Vec<_>>(), expected);
    let text = tags(&calendar(&list, Some(&rotation), now).into_string()).1;
    assert!(text.contains("2024-01-03: 1 backup of notes; 1 backup of shop, would be removed by rotate"), "{text}");
}
