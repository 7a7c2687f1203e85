use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn line(text: &str) -> Line {
    Line::parse(text).unwrap()
}

fn schedule(backup: Timing) -> Schedule {
    Schedule {
        backup: Some(backup),
        rotate: Follow::AfterBackup,
        cleanup: Follow::Never,
        verify: Follow::At(line("@weekly")),
        check_every: Duration::from_secs(300),
        zone: Tz::UTC,
        delay: TimeDelta::seconds(20),
    }
}

fn hourly() -> Schedule {
    schedule(Timing::Every(Duration::from_secs(3600)))
}

fn nightly() -> Schedule {
    schedule(Timing::At(vec![line("0 3 * * *")]))
}

fn last(text: &str) -> Last {
    Last { at: Some(at(text)), ..Last::default() }
}

/// The memory of a run that looked last at a time.
fn looked(text: &str) -> Looks {
    Looks { latest: Some(at(text)), ..Looks::none(at("2026-03-01T00:00:00Z")) }
}

#[test]
fn what_is_no_line_is_named_with_its_field() {
    for (text, why) in [
        ("", "it must have five fields"),
        ("0 3 * *", "it must have five fields"),
        ("0 0 3 * * *", "it must have five fields"),
        ("60 3 * * *", "\"60\" cannot be its minute"),
        ("0 24 * * *", "\"24\" cannot be its hour"),
        ("0 3 32 * *", "\"32\" cannot be its day of month"),
        ("0 3 * 13 *", "\"13\" cannot be its month"),
        ("0 3 * * 8", "\"8\" cannot be its day of week"),
        ("0 3 * * MONDAY", "cannot be its day of week"),
        ("a b c d e", "cannot be its minute"),
        ("@reboot", "the names are @hourly"),
        ("@", "the names are @hourly"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 30,31 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
    ] {
        let error = Line::parse(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    for text in [
        "0 3 * * *",
        "  */15  *  * * MON-FRI ",
        "@daily",
        "@Hourly",
        "0 0 29 2 *",
        "0 0 L * *",
        "0 3 * * 7",
        "5 4 1 1 0",
    ] {
        assert!(Line::parse(text).is_ok(), "{text}");
    }
    assert_eq!(line(" 0   3 * * * ").text(), "0 3 * * *");
}

#[test]
fn an_interval_counts_from_the_last_backup_in_the_store() {
    let (schedule, looks) = (hourly(), looked("2026-03-01T03:55:00Z"));
    let due = |last: &Last, now: &str| schedule.due(Job::Backup, last, &looks, at(now));
    let before = last("2026-03-01T03:00:00Z");
    assert_eq!(due(&before, "2026-03-01T03:59:59Z"), Due::No);
    assert_eq!(due(&before, "2026-03-01T04:00:00Z"), Due::Now(Why::Elapsed(at("2026-03-01T03:00:00Z"))));
    assert_eq!(due(&Last::default(), "2026-03-01T04:00:00Z"), Due::Now(Why::First));
    assert_eq!(due(&Last { running: true, ..before }, "2026-03-01T09:00:00Z"), Due::No);
    let next = schedule.next(Job::Backup, &before, &looks, at("2026-03-01T03:59:00Z"));
    assert_eq!(next, Some(at("2026-03-01T04:00:00Z")));
}

#[test]
fn a_slot_comes_after_the_delay_of_the_host_and_once() {
    let schedule = nightly();
    let before = last("2026-02-28T03:00:25Z");
    let due = |looks: &Looks, now: &str| schedule.due(Job::Backup, &before, looks, at(now));
    let mut looks = looked("2026-03-01T02:59:00Z");
    assert_eq!(due(&looks, "2026-03-01T03:00:19Z"), Due::No);
    assert_eq!(
        schedule.next(Job::Backup, &before, &looks, at("2026-03-01T03:00:19Z")),
        Some(at("2026-03-01T03:00:20Z"))
    );
    let slot = Due::Now(Why::Slot(at("2026-03-01T03:00:00Z")));
    assert_eq!(due(&looks, "2026-03-01T03:00:20Z"), slot);
    // Also if nothing had changed, so that no newer archive says so.
    looks.looked(at("2026-03-01T03:00:20Z"), &slot);
    assert_eq!(due(&looks, "2026-03-01T03:05:20Z"), Due::No);
    assert_eq!(
        schedule.next(Job::Backup, &before, &looks, at("2026-03-01T03:05:20Z")),
        Some(at("2026-03-02T03:00:20Z"))
    );
}

#[test]
fn what_was_missed_is_made_up_once_at_the_start_and_at_once() {
    let schedule = nightly();
    let now = at("2026-03-05T12:00:00Z");
    let mut looks = Looks::none(now);
    let before = last("2026-03-01T03:00:25Z");
    let due = schedule.due(Job::Backup, &before, &looks, now);
    assert_eq!(due, Due::Now(Why::Overdue(at("2026-03-02T03:00:00Z"))));
    looks.looked(now, &due);
    assert_eq!(schedule.due(Job::Backup, &before, &looks, now + TimeDelta::minutes(5)), Due::No);
    // A backup by hand after the slot is enough.
    let by_hand = last("2026-03-05T03:00:01Z");
    assert_eq!(schedule.due(Job::Backup, &by_hand, &Looks::none(now), now), Due::No);
    // What never ran has nothing to make up, but a first backup waits for nothing.
    assert_eq!(schedule.due(Job::Verify, &Last::default(), &Looks::none(now), now), Due::No);
    assert_eq!(schedule.due(Job::Backup, &Last::default(), &Looks::none(now), now), Due::Now(Why::First));
}

#[test]
fn a_slot_that_comes_while_the_job_runs_is_left_out_and_reported() {
    let schedule = nightly();
    let running = Last { running: true, ..last("2026-02-27T03:00:00Z") };
    let mut looks = looked("2026-03-01T02:58:00Z");
    let due = schedule.due(Job::Backup, &running, &looks, at("2026-03-01T03:03:00Z"));
    assert_eq!(due, Due::Skipped(at("2026-03-01T03:00:00Z")));
    looks.looked(at("2026-03-01T03:03:00Z"), &due);
    let idle = Last { running: false, ..running };
    assert_eq!(schedule.due(Job::Backup, &idle, &looks, at("2026-03-01T03:08:00Z")), Due::No);
}

#[test]
fn a_backup_dated_in_the_future_makes_one_due_and_no_more_than_one() {
    let now = at("2026-03-01T12:00:00Z");
    for schedule in [hourly(), nightly()] {
        let dates = [at("2027-03-01T03:00:00Z"), at("2026-03-01T11:59:00Z")];
        let mut looks = Looks::none(now);
        let due = schedule.due(Job::Backup, &Last::of(dates, now), &looks, now);
        assert_eq!(due, Due::Now(Why::Future(dates[0])));
        looks.looked(now, &due);
        let made = dates.into_iter().chain([now]);
        let soon = now + TimeDelta::minutes(5);
        assert_eq!(schedule.due(Job::Backup, &Last::of(made.clone(), soon), &looks, soon), Due::No);
        let later = now + TimeDelta::hours(24);
        assert!(matches!(schedule.due(Job::Backup, &Last::of(made, later), &looks, later), Due::Now(_)));
    }
    assert_eq!(Last::of([now + TimeDelta::seconds(59)], now).ahead, None, "two clocks may differ by that");
}

#[test]
fn a_clock_that_was_a_year_ahead_does_not_stop_the_schedule() {
    let schedule = nightly();
    let mut looks = looked("2027-03-01T12:00:00Z");
    let wrong = at("2027-03-01T03:00:20Z");
    let now = at("2026-03-01T12:00:00Z");
    let due = schedule.due(Job::Backup, &Last::of([wrong], now), &looks, now);
    assert_eq!(due, Due::Now(Why::Future(wrong)));
    looks.looked(now, &due);
    let night = at("2026-03-02T03:00:30Z");
    let due = schedule.due(Job::Backup, &Last::of([wrong, now], night), &looks, night);
    assert_eq!(due, Due::Now(Why::Slot(at("2026-03-02T03:00:00Z"))));
}

#[test]
fn a_small_step_back_repeats_nothing() {
    let made = at("2026-03-01T03:00:25Z");
    let looks = looked("2026-03-01T03:05:00Z");
    for schedule in [hourly(), nightly()] {
        for minutes in [-30, -1, 0, 5, 30] {
            let now = at("2026-03-01T03:00:00Z") + TimeDelta::minutes(minutes);
            let due = schedule.due(Job::Backup, &Last::of([made], now), &looks, now);
            assert_eq!(due, Due::No, "{now}");
        }
    }
}

#[test]
fn nothing_runs_while_the_schedule_is_off() {
    let schedule = Schedule { backup: None, ..nightly() };
    let now = at("2026-03-01T12:00:00Z");
    for job in Job::ALL {
        assert_eq!(schedule.due(job, &Last::default(), &Looks::none(now), now), Due::No);
        assert_eq!(schedule.next(job, &Last::default(), &Looks::none(now), now), None);
    }
}

#[test]
fn the_delay_is_less_than_a_minute_and_spreads() {
    let delays: std::collections::BTreeSet<i64> =
        (0..300).map(|number| delay_of(&HostLabel::new(format!("web-{number}")).unwrap()).num_seconds()).collect();
    assert!(delays.iter().all(|delay| (0..60).contains(delay)) && delays.len() > 50, "{delays:?}");
}

#[test]
fn lines_become_calendars_of_systemd() {
    for (text, expected) in [
        ("0 3 * * *", &["*-*-* 03:00:00"][..]),
        ("*/20 * * * *", &["*-*-* *:00,20,40:00"]),
        ("30 4 * * MON-WED,7", &["Sun,Mon,Tue,Wed *-*-* 04:30:00"]),
        ("0 0 1,15 2-3 *", &["*-02,03-01,15 00:00:00"]),
        // Either day is enough for cron.
        ("0 0 13 * FRI", &["Fri *-*-* 00:00:00", "*-*-13 00:00:00"]),
        ("@weekly", &["Sun *-*-* 00:00:00"]),
        ("0 0 1-31 * FRI", &["*-*-* 00:00:00"]),
    ] {
        assert_eq!(calendar(&line(text)).unwrap(), expected, "{text}");
    }
    for text in ["0 0 L * *", "0 0 * * 5#1", "0 0 15W * *"] {
        assert!(calendar(&line(text)).is_err(), "{text}");
    }
}

#[test]
fn looks_become_lines_that_divide_the_hour_or_the_day() {
    for (seconds, text) in [
        (1, "* * * * *"),
        (300, "*/5 * * * *"),
        (7 * 60, "*/6 * * * *"),
        (59 * 60, "*/30 * * * *"),
        (3600, "0 * * * *"),
        (5 * 3600, "0 */4 * * *"),
        (86_400, "0 0 * * *"),
        (u64::MAX, "0 0 * * *"),
    ] {
        assert_eq!(check_line(Duration::from_secs(seconds)).unwrap().text(), text);
    }
}

#[test]
fn the_finest_interval_is_that_of_the_two_closest_slots() {
    let from = at("2026-03-01T00:00:00Z");
    let finest = |lines: &[&str]| schedule(Timing::At(lines.iter().map(|text| line(text)).collect())).finest(from);
    assert_eq!(finest(&["0 3 * * *"]), Some(Duration::from_secs(86_400)));
    assert_eq!(finest(&["0 3 * * *", "30 3 * * *"]), Some(Duration::from_secs(1800)));
    assert_eq!(finest(&["0 3 1 1 *"]), Some(Duration::from_secs(366 * 86_400)));
    let berlin = Schedule { zone: Tz::Europe__Berlin, ..nightly() };
    assert_eq!(berlin.finest(from), Some(Duration::from_secs(86_400)), "also over a change of summer time");
}

/// Fields of lines, right and wrong ones.
const FIELD: &str =
    "([*]|[0-9]{1,2}|[*]/[0-9]{1,2}|[0-9]{1,2}-[0-9]{1,2}(/[0-9])?|L|[0-9]W|[1-7]#[1-5]|MON|dec|[0-9],[0-9]|[a-z?+-])";

proptest::proptest! {
    #[test]
    fn any_line_is_taken_or_refused_and_comes_again(fields in proptest::collection::vec(FIELD, 4..=6)) {
        let start = at("2026-03-01T00:00:00Z");
        if let Ok(line) = Line::parse(&fields.join(" ")) {
            let next = line.after(start, Tz::America__New_York);
            proptest::prop_assert!(next.is_none_or(|next| next > start), "{line}");
            let _ = calendar(&line);
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[\\PC@*/,0-9 -]{0,40}") {
        let _ = Line::parse(&text);
    }
}
