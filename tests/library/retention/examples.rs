//! Examples with their exact dates.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use heirloom::progress::Silent;
use heirloom::retention::{EmptyPolicy, Plan, Policy, Reach, Reason, Retention, Rule, Scene, Schedule, simulate};
use heirloom::snapshot::Snapshot;

use super::histories::{archive, utc};

const GFS: Reach = Reach { last: 0, hourly: 0, daily: 7, weekly: 4, monthly: 12, yearly: 0 };

fn policy(reach: Reach) -> Policy {
    Policy::new(reach).unwrap()
}

fn daily(last: &str, days: i64) -> Vec<Snapshot> {
    (0..days).rev().map(|ago| archive("app", &["app"], utc(last) - TimeDelta::days(ago))).collect()
}

fn table(plan: &Plan) -> Vec<String> {
    plan.kept()
        .map(|verdict| {
            let reasons: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
            format!("{}  {}", verdict.created_at.format("%Y-%m-%d %a"), reasons.join(", "))
        })
        .collect()
}

#[test]
fn the_worked_example_800_days_of_daily_backups_leave_these_23() {
    let archives = daily("2026-03-01T03:00:00Z", 800);
    assert_eq!(archives[0].created_at, utc("2023-12-23T03:00:00Z"));
    let retention = Retention::Rotate(policy(GFS));
    let now = utc("2026-03-01T04:00:00Z");
    let once = retention.plan(&archives, &Scene::new(now, Tz::UTC));
    println!("{}", table(&once).join("\n"));
    assert_eq!(
        table(&once),
        [
            "2026-03-01 Sun  newest good, day 2026-03-01, week 2026-W09, month 2026-03",
            "2026-02-28 Sat  day 2026-02-28, month 2026-02",
            "2026-02-27 Fri  day 2026-02-27",
            "2026-02-26 Thu  day 2026-02-26",
            "2026-02-25 Wed  day 2026-02-25",
            "2026-02-24 Tue  day 2026-02-24",
            "2026-02-23 Mon  day 2026-02-23",
            "2026-02-22 Sun  week 2026-W08",
            "2026-02-15 Sun  week 2026-W07",
            "2026-02-08 Sun  week 2026-W06",
            "2026-02-01 Sun  week 2026-W05",
            "2026-01-31 Sat  month 2026-01",
            "2025-12-31 Wed  month 2025-12",
            "2025-11-30 Sun  month 2025-11",
            "2025-10-31 Fri  month 2025-10",
            "2025-09-30 Tue  month 2025-09",
            "2025-08-31 Sun  month 2025-08",
            "2025-07-31 Thu  month 2025-07",
            "2025-06-30 Mon  month 2025-06",
            "2025-05-31 Sat  month 2025-05",
            "2025-04-30 Wed  month 2025-04",
            "2025-03-31 Mon  month 2025-03",
            "2025-02-28 Fri  month 2025-02",
        ]
    );
    assert_eq!(once.removed().count(), 777);
    assert_eq!(once.removed().next().unwrap().created_at, utc("2023-12-23T03:00:00Z"), "the oldest is removed first");

    let mut existing: Vec<Snapshot> = Vec::new();
    for made in &archives {
        existing.push(made.clone());
        let plan = retention.plan(&existing, &Scene::new(made.created_at, Tz::UTC));
        existing.retain(|archive| plan.kept().any(|verdict| verdict.archive == archive.name));
    }
    assert_eq!(
        table(&retention.plan(&existing, &Scene::new(now, Tz::UTC))),
        table(&once),
        "daily rotation has a different result"
    );
    assert_eq!(existing.len(), 23);
}

#[test]
fn the_simulation_has_the_same_result_as_the_real_rotation() {
    let now = utc("2026-03-01T03:00:00Z");
    let day = Duration::from_secs(86_400);
    let played = simulate(&policy(GFS), &Schedule::new(day, day * 799).unwrap(), now, Tz::UTC, &Silent).unwrap();
    let real = Retention::Rotate(policy(GFS)).plan(&daily("2026-03-01T03:00:00Z", 800), &Scene::new(now, Tz::UTC));
    assert_eq!(table(&played.plan), table(&real));
    assert_eq!((played.made, played.from, played.to), (800, utc("2023-12-23T03:00:00Z"), now));
    assert_eq!(played.counts.first().unwrap().1, 1);
    assert_eq!(played.counts.last().unwrap().1, 23);
    assert_eq!(played.plan.reach_of(Rule::Daily).unwrap().created_at, utc("2026-02-23T03:00:00Z"));
    assert_eq!(played.plan.reach_of(Rule::Weekly).unwrap().created_at, utc("2026-02-01T03:00:00Z"));
    assert_eq!(played.plan.oldest().unwrap().created_at, utc("2025-02-28T03:00:00Z"));
    assert!(Schedule::new(Duration::ZERO, day).is_err() && Schedule::new(day, Duration::MAX).is_err());
    assert_eq!(
        simulate(&policy(GFS), &Schedule::new(Duration::MAX, day).unwrap(), now, Tz::UTC, &Silent).unwrap().made,
        1
    );
}

#[test]
fn no_week_is_skipped_at_new_year() {
    let archives = daily("2025-01-05T03:00:00Z", 30);
    let weekly = Retention::Rotate(policy(Reach { weekly: 4, ..Reach::default() }));
    let plan = weekly.plan(&archives, &Scene::new(utc("2025-01-05T04:00:00Z"), Tz::UTC));
    let dates: Vec<String> = plan.kept().map(|verdict| verdict.created_at.format("%m-%d").to_string()).collect();
    assert_eq!(dates, ["01-05", "12-29", "12-22", "12-15"], "2024-12-30 to 2025-01-05 is one week");
}

#[test]
fn a_day_with_a_repeated_hour_has_25_hourly_backups() {
    let zone = Tz::Europe__Berlin;
    let end = utc("2025-10-26T22:30:00Z");
    let archives: Vec<Snapshot> =
        (0..40).map(|hours| archive("app", &["app"], end - TimeDelta::hours(hours))).collect();
    let hourly =
        Retention::Rotate(policy(Reach { hourly: 25, ..Reach::default() })).plan(&archives, &Scene::new(end, zone));
    assert_eq!(hourly.oldest().unwrap().created_at, utc("2025-10-25T22:30:00Z"), "the local midnight before");
    let daily =
        Retention::Rotate(policy(Reach { daily: 2, ..Reach::default() })).plan(&archives, &Scene::new(end, zone));
    let kept: Vec<_> = daily.kept().map(|verdict| verdict.created_at).collect();
    assert_eq!(kept, [end, utc("2025-10-25T21:30:00Z")]);
}

#[test]
fn a_damaged_archive_takes_no_slot_and_its_period_keeps_another() {
    let mut archives = daily("2026-03-01T03:00:00Z", 5);
    let mut afternoon = archive("app", &["app"], utc("2026-02-27T15:00:00Z"));
    afternoon.damaged = true;
    archives.push(afternoon);
    let plan = Retention::Rotate(policy(Reach { daily: 3, ..Reach::default() }))
        .plan(&archives, &Scene::new(utc("2026-03-01T04:00:00Z"), Tz::UTC));
    assert_eq!(
        table(&plan),
        [
            "2026-03-01 Sun  newest good, day 2026-03-01",
            "2026-02-28 Sat  day 2026-02-28",
            "2026-02-27 Fri  damaged, not counted",
            "2026-02-27 Fri  day 2026-02-27"
        ]
    );
    assert_eq!(plan.kept().last().unwrap().created_at, utc("2026-02-27T03:00:00Z"));

    // Beyond the reach it would be removed, damaged or not.
    let two = Retention::Rotate(policy(Reach { daily: 2, ..Reach::default() }));
    let plan = two.plan(&archives, &Scene::new(utc("2026-03-01T04:00:00Z"), Tz::UTC));
    let damaged = plan.removed().find(|verdict| verdict.damaged).unwrap();
    assert_eq!(damaged.reasons, [Reason::Damaged]);
}

#[test]
fn thirty_days_of_damaged_backups_never_remove_a_good_one() {
    let mut archives = daily("2026-03-01T03:00:00Z", 60);
    for archive in &mut archives[30..] {
        archive.damaged = true;
    }
    let last_good = archives[29].created_at;
    let plan = Retention::Rotate(policy(GFS)).plan(&archives, &Scene::new(utc("2026-03-01T04:00:00Z"), Tz::UTC));
    assert_eq!(plan.kept().filter(|verdict| verdict.damaged).count(), 7 + 4 + 1, "what the rules keep of 30 days");
    let newest_good = plan.kept().find(|verdict| !verdict.damaged).unwrap();
    assert_eq!((newest_good.created_at, newest_good.reasons[0].clone()), (last_good, Reason::NewestGood));
    assert_eq!(
        plan.kept().filter(|verdict| !verdict.damaged).count(),
        7 + 3,
        "seven days and what is older in 30 days"
    );
}

#[test]
fn a_clock_that_is_years_behind_removes_nothing() {
    let archives = daily("2026-03-01T03:00:00Z", 100);
    for retention in [
        Retention::Rotate(policy(GFS)),
        Retention::Cleanup(heirloom::retention::Limits {
            keep: Some(1),
            max_age: Some(Duration::ZERO),
            ..Default::default()
        }),
    ] {
        let plan = retention.plan(&archives, &Scene::new(utc("1970-01-01T00:00:09Z"), Tz::UTC));
        assert_eq!(plan.removed().count(), 0);
        assert!(plan.verdicts.iter().all(|verdict| verdict.reasons == [Reason::Future]));
    }
}

#[test]
fn a_policy_that_keeps_nothing_is_rejected() {
    assert_eq!(Policy::new(Reach::default()), Err(EmptyPolicy));
}

#[test]
fn ten_thousand_archives_in_many_groups_take_well_under_a_second() {
    let end = utc("2026-03-01T03:00:00Z");
    let sets: Vec<String> = (0..500).map(|number| format!("set{number}")).collect();
    let archives: Vec<Snapshot> = (0..10_000_i64)
        .map(|number| archive(&sets[number as usize % 500], &["a", "b"], end - TimeDelta::hours(number)))
        .collect();
    let started = std::time::Instant::now();
    let plan = Retention::Rotate(policy(GFS)).plan(&archives, &Scene::new(Utc::now(), Tz::Europe__Berlin));
    let took = started.elapsed();
    assert_eq!(plan.verdicts.len(), 10_000);
    println!("{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
