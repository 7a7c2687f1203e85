//! How long a plan takes: ten thousand hourly archives, in one group and in five hundred.

#![allow(missing_docs, reason = "criterion's macros generate undocumented functions")]

use std::hint::black_box;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use criterion::{Criterion, criterion_group, criterion_main};
use heirloom::names::Name;
use heirloom::retention::{Policy, Reach, Retention, Scene};
use heirloom::snapshot::Snapshot;

fn archives(end: DateTime<Utc>, groups: i32) -> Vec<Snapshot> {
    let made = |number: i32| {
        let set = Name::new(format!("set{}", number % groups)).expect("letters and digits are a name");
        let created_at = end - TimeDelta::hours(number.into());
        Snapshot { bytes: 1000, ..Snapshot::simulated(&set, created_at) }
    };
    (0..10_000).map(made).collect()
}

fn plan(criterion: &mut Criterion) {
    let end = DateTime::UNIX_EPOCH + TimeDelta::days(20_513);
    let reach = Reach { hourly: 24, daily: 7, weekly: 4, monthly: 12, ..Reach::default() };
    let retention = Retention::Rotate(Policy::new(reach).expect("it keeps something"));
    for groups in [1, 500] {
        let archives = archives(end, groups);
        let name = format!("plan of 10000 archives in {groups} groups");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| retention.plan(black_box(&archives), &Scene::new(end, Tz::Europe__Berlin)))
        });
    }
}

criterion_group!(benches, plan);
criterion_main!(benches);
