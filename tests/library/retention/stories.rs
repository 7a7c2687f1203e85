//! The cases of the contract: shrinks, missing databases, two applications, a scope, each as a short story.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use heirloom::metadata::Extent;
use heirloom::names::{HostLabel, Name};
use heirloom::retention::{GoneReach, Limits, Plan, Reason, Retention, Scene, Scope, accepted_with, most_since_shrink};
use heirloom::snapshot::{Brief, Snapshot};
use heirloom::streams::{FileIdentity, Place, Stream};

use super::histories::{archive, utc};

const NOON: &str = "2026-03-01T12:00:00Z";

fn keep(count: u32) -> Retention {
    Retention::Cleanup(Limits { keep: Some(count), ..Limits::default() })
}

fn at(hours: i64) -> DateTime<Utc> {
    utc(NOON) + TimeDelta::hours(hours)
}

/// An archive every hour, with these row counts.
fn hourly(rows: &[u64]) -> Vec<Snapshot> {
    let mut archives: Vec<Snapshot> = Vec::new();
    for (hour, rows) in (0..).zip(rows) {
        let mut made = archive("app", &["app"], at(hour));
        let previous = archives.last().and_then(|last| most_since_shrink(&last.databases[0]));
        made.databases[0] = Brief { rows: Some(*rows), bytes: Some(rows * 100), previous, ..made.databases[0].clone() };
        archives.push(made);
    }
    archives
}

fn hours(plan: &Plan) -> Vec<i64> {
    plan.kept().map(|verdict| (verdict.created_at - utc(NOON)).num_hours()).collect()
}

fn reasons(plan: &Plan, hour: i64) -> Vec<Reason> {
    plan.verdicts.iter().find(|verdict| verdict.created_at == at(hour)).unwrap().reasons.clone()
}

#[test]
fn sixty_hours_after_a_loss_earlier_archives_are_kept_and_the_store_is_bounded() {
    let mut rows = vec![10_000; 20];
    rows.extend([100; 60]);
    let made = hourly(&rows);
    let mut store: Vec<Snapshot> = Vec::new();
    for archive in &made {
        store.push(archive.clone());
        let plan = keep(10).plan(&store, &Scene::new(archive.created_at, Tz::UTC));
        store.retain(|archive| plan.kept().any(|verdict| verdict.archive == archive.name));
    }
    let end = Scene::new(at(79), Tz::UTC);
    let plan = keep(10).plan(&store, &end);
    let expected: Vec<i64> = (70..80).rev().chain([20]).chain((10..20).rev()).collect();
    assert_eq!(hours(&plan), expected, "ten from after it, the shrink, ten from before");
    assert_eq!(plan.open_shrinks.len(), 1);
    assert_eq!((plan.open_shrinks[0].before.rows, plan.open_shrinks[0].after.rows), (Some(10_000), Some(100)));

    // Accepted with the newest one, which accepts the earlier ones of the database.
    let newest = store.last().unwrap().clone();
    let accepted: Vec<String> = accepted_with(&store, &newest).iter().map(ToString::to_string).collect();
    assert_eq!(accepted, [plan.open_shrinks[0].archive.to_string()]);
    store.last_mut().unwrap().accepted = true;
    let plan = keep(10).plan(&store, &end);
    assert_eq!((hours(&plan), plan.open_shrinks.len()), ((70..80).rev().collect(), 0));
}

#[test]
fn losing_a_third_every_hour_is_detected() {
    let made = hourly(&[10_000, 7000, 4900, 3430, 2401, 1680]);
    let plan = keep(1).plan(&made, &Scene::new(at(5), Tz::UTC));
    // 4,900 is less than half of 10,000, and 2,401 less than half of 4,900: each starts a new comparison.
    let shrinks: Vec<i64> =
        plan.open_shrinks.iter().map(|shrink| (shrink.created_at - utc(NOON)).num_hours()).collect();
    assert_eq!(shrinks, [4, 2]);
    assert_eq!(hours(&plan), [5, 4, 3, 2, 1]);
}

#[test]
fn recovered_rows_close_a_shrink_which_is_kept_for_30_days() {
    let made = hourly(&[10_000, 9000, 100, 9000, 9500]);
    let plan = |at| keep(1).plan(&made, &Scene::new(at, Tz::UTC));
    assert_eq!(hours(&plan(at(4))), [4, 2, 1]);
    assert_eq!(
        (reasons(&plan(at(4)), 2), reasons(&plan(at(4)), 1)),
        (vec![Reason::RecentShrink], vec![Reason::BeforeShrink])
    );
    assert_eq!(hours(&plan(at(2) + TimeDelta::days(30))), [4]);
    assert_eq!(plan(at(4)).open_shrinks, []);

    // The archive that proved the recovery may be removed later: the ones after it record its extent.
    let mut rows = vec![10_000, 100, 6000];
    rows.extend([4500, 4000, 3500]);
    let mut made = hourly(&rows);
    made.remove(2);
    assert_eq!(keep(1).plan(&made, &Scene::new(at(6), Tz::UTC)).open_shrinks, []);
}

#[test]
fn marking_a_shrink_as_damaged_does_not_end_its_protection_of_others() {
    let mut made = hourly(&[10_000, 10_000, 100, 110, 120, 130]);
    let before = hours(&keep(2).plan(&made, &Scene::new(at(5), Tz::UTC)));
    assert_eq!(before, [5, 4, 2, 1, 0]);
    made[2].damaged = true;
    let mut scene = Scene::new(at(5), Tz::UTC);
    assert_eq!(hours(&keep(2).plan(&made, &scene)), before);
    // Neither does `cleanup --damaged`, as long as it is not accepted.
    scene.condemned.insert(made[2].name.clone());
    assert_eq!(hours(&keep(2).plan(&made, &scene)), before);
    made[2].accepted = true;
    let plan = keep(2).plan(&made, &scene);
    assert_eq!((hours(&plan), reasons(&plan, 2)), (vec![5, 4], vec![Reason::StillDamaged]));
}

#[test]
fn a_removed_database_keeps_its_newest_archive_and_those_of_an_open_shrink() {
    let stream = |archives: &[Snapshot]| archives[0].databases[0].stream.clone();
    let gone = |archives: &[Snapshot], reach| {
        let scene = Scene { gone: BTreeMap::from([(stream(archives), reach)]), ..Scene::new(at(2400), Tz::UTC) };
        hours(&keep(100).plan(archives, &scene))
    };
    let whole = hourly(&[10_000; 5]);
    assert_eq!(gone(&whole, GoneReach::KeepNewest), [4]);
    assert_eq!(gone(&whole, GoneReach::RemoveAll), [0_i64; 0]);
    // The application started with an empty database, which was removed later.
    let lost = hourly(&[10_000, 10_000, 0, 0]);
    assert_eq!(gone(&lost, GoneReach::KeepNewest), [3, 2, 1]);
    assert_eq!(gone(&lost, GoneReach::RemoveAll), [3, 2, 1]);
}

#[test]
fn the_newest_copy_of_another_tool_takes_no_slot_even_if_included() {
    let mut made = hourly(&[10, 10, 10]);
    let mut plain = archive("app", &["app"], at(3));
    plain.origin = heirloom::snapshot::Origin::Plain;
    let mut scene = Scene::new(at(4), Tz::UTC);
    scene.plain.insert(plain.name.clone());
    made.push(plain);
    assert_eq!(hours(&keep(1).plan(&made, &scene)), [3, 2]);
    scene.plain.clear();
    assert_eq!(hours(&keep(1).plan(&made, &scene)), [2]);
}

#[test]
fn a_policy_for_one_database_never_removes_an_archive_with_another_one() {
    let path = |path: &str| Place::Path(path.to_owned());
    let mut made: Vec<Snapshot> = (0..4).map(|hour| archive("shop", &["orders", "users"], at(hour))).collect();
    for archive in &mut made {
        archive.databases[0].stream.place = path("/srv/orders.db");
        archive.databases[1].stream.place = path("/srv/users.db");
    }
    made[3].databases.remove(1);
    let mut scene = Scene::new(at(4), Tz::UTC);
    scene.scope = Scope { paths: Some(["/srv/orders.db".to_owned()].into()), ..Scope::everything() };
    let plan = keep(0).plan(&made, &scene);
    assert_eq!(hours(&plan), [3, 2, 1, 0]);
    assert_eq!((reasons(&plan, 1), reasons(&plan, 3)), (vec![Reason::OutOfScope], vec![Reason::NewestGood]));
    scene.scope = Scope::everything();
    assert_eq!(hours(&keep(0).plan(&made, &scene)), [3, 2]);
}

#[test]
fn archives_of_another_file_in_a_stream_are_kept_for_a_week_even_before_a_shrink() {
    // The application starts with an empty file, and then nothing is backed up for a while.
    let mut made = hourly(&[10_000, 10_000, 0, 0]);
    for (hour, archive) in made.iter_mut().enumerate() {
        archive.databases[0].file = Some(FileIdentity(if hour < 2 { "x" } else { "y" }.into()));
    }
    let off = |now| {
        let mut scene = Scene::new(now, Tz::UTC);
        scene.shrinks_off.insert(Name::new("app").unwrap());
        hours(&keep(1).plan(&made, &scene))
    };
    assert_eq!(off(at(3)), [3, 1, 0]);
    assert_eq!(off(at(3) + TimeDelta::days(8)), [3]);
    assert_eq!(hours(&keep(1).plan(&made, &Scene::new(at(3) + TimeDelta::days(8), Tz::UTC))), [3, 2, 1]);
}

#[test]
fn an_age_limit_removes_nothing_from_before_an_open_shrink() {
    let made = hourly(&[10_000, 10_000, 0, 0]);
    let hour = Retention::Cleanup(Limits { max_age: Some(Duration::from_secs(3600)), ..Limits::default() });
    let plan = hour.plan(&made, &Scene::new(at(1000), Tz::UTC));
    assert_eq!(hours(&plan), [3, 2, 1], "as of the time of the shrink, only the one of an hour before it is young");
    let extent = Extent { rows: Some(10_000), bytes: 1_000_000 };
    assert_eq!(plan.open_shrinks[0].before, extent);
}

#[test]
fn the_stream_of_another_host_with_the_same_name_is_not_affected() {
    let mut made = hourly(&[10; 6]);
    let there = HostLabel::new("there").unwrap();
    for archive in &mut made[..3] {
        archive.host = there.clone();
        let stream = &mut archive.databases[0].stream;
        *stream = Stream { host: there.clone(), ..stream.clone() };
    }
    let scope = Scope { hosts: Some(vec![HostLabel::container()]), ..Scope::everything() };
    let plan = keep(1).plan(&made, &Scene { scope, ..Scene::new(at(6), Tz::UTC) });
    assert_eq!((hours(&plan), plan.removed().count(), plan.left_alone), (vec![5], 2, 3));
}
