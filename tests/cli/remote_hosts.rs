//! Several hosts with one remote store, and stores and machines that were copied.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use chrono::{Datelike as _, NaiveDate, TimeDelta};

use crate::servers::{Kind, Place, place};
use crate::tools;
use crate::world::World;

/// A world of its own with this host label, which uses a place on a server.
fn host(place: &Place, label: &str) -> World {
    let mut world = World::new();
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    world.env("HEIRLOOM_DIR", &place.url).env("HEIRLOOM_HOST", label);
    world.sql("app.db", &format!("CREATE TABLE t(x); INSERT INTO t VALUES ('{label}')"));
    world
}

/// The names of the archives of each host.
fn archives(world: &World, label: &str) -> BTreeSet<String> {
    let listed = world.heirloom(["list", "--json"]).success().json();
    let archives = listed["archives"].as_array().unwrap().iter().filter(|one| one["host"] == label);
    archives.map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
}

/// Reckons which of these days are left: each rule keeps the newest of each of its periods, newest period first, beyond
/// what the rules before it keep.
fn left(days: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
    let day = |day: NaiveDate| day.num_days_from_ce();
    let week = |day: NaiveDate| (day.num_days_from_ce() - 1).div_euclid(7);
    let month = |day: NaiveDate| day.year() * 12 + day.month() as i32;
    let rules: [(usize, &dyn Fn(NaiveDate) -> i32); 3] = [(7, &day), (4, &week), (12, &month)];
    let mut kept = BTreeSet::new();
    for (count, period) in rules {
        let mut seen = BTreeSet::new();
        let newest = days.iter().rev().filter(|day| seen.insert(period(**day)));
        let more: Vec<NaiveDate> = newest.copied().filter(|day| !kept.contains(day)).take(count).collect();
        kept.extend(more);
    }
    kept
}

#[test]
fn two_replicas_with_one_store_each_keep_their_own_for_400_days() {
    let Some(place) = place(Kind::Seaweed, "two replicas rotate in one store") else { return };
    // A full run takes a backup each day: HEIRLOOM_TEST_DAYS=1.
    let step = std::env::var("HEIRLOOM_TEST_DAYS").map_or(8, |days| days.parse().unwrap());
    let mut hosts = [host(&place, "a"), host(&place, "b")];
    let first = NaiveDate::from_ymd_opt(2025, 1, 20).unwrap();
    // The last fortnight has one each day.
    let days: Vec<NaiveDate> =
        (0..400).filter(|day| day % step == 0 || *day > 386).map(|day| first + TimeDelta::days(day)).collect();
    let mut wanted = BTreeSet::new();
    for day in &days {
        wanted.insert(*day);
        wanted = left(&wanted);
        for (world, minute) in hosts.iter_mut().zip([0, 7]) {
            world.at(&format!("{day}T03:{minute:02}:00Z"));
            world.heirloom(["backup", "app.db"]).success();
            world.heirloom(["rotate", "--keep-daily=7", "--keep-weekly=4", "--keep-monthly=12"]).success();
        }
    }
    let wanted: BTreeSet<String> = wanted.iter().map(|day| day.format("%Y%m%d").to_string()).collect();
    for (world, label) in hosts.iter().zip(["a", "b"]) {
        let kept = archives(world, label);
        let dates: BTreeSet<String> = kept.iter().map(|name| name[4..12].to_owned()).collect();
        assert_eq!((&dates, kept.len()), (&wanted, wanted.len()), "{label}");
        fs::remove_file(world.path("app.db")).unwrap();
        world.heirloom(["restore", "app.db"]).success();
        assert_eq!(world.ask("app.db", "SELECT x FROM t"), label, "each gets its own back");
    }
    hosts[0].heirloom(["verify", "--all"]).success();
}

/// Copies all objects, as `aws s3 sync` does: the store's own times are those of the copying.
const SYNC: &str = "
import boto3, sys
s3 = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id='heirloom', aws_secret_access_key='of-the-tests',
                  region_name='us-east-1')
here, there = sys.argv[2:]
for one in s3.list_objects_v2(Bucket='tests', Prefix=here + '/')['Contents']:
    body = s3.get_object(Bucket='tests', Key=one['Key'])['Body'].read()
    s3.put_object(Bucket='tests', Key=there + one['Key'][len(here):], Body=body)
";

/// The prefix in the URL of a place.
fn prefix(place: &Place) -> &str {
    place.url.trim_start_matches("s3://tests/").split('?').next().unwrap()
}

fn sync(from: &Place, to: &Place) {
    let endpoint = format!("http://127.0.0.1:{}", from.port);
    let ran = tools::python().args(["-c", SYNC, &endpoint, prefix(from), prefix(to)]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_bucket_that_was_moved_is_rotated_without_a_key() {
    let promise = "a moved bucket is rotated without a key";
    if !tools::have_modules(promise, "boto3") {
        return;
    }
    let (Some(old), Some(new)) = (place(Kind::Seaweed, promise), place(Kind::Seaweed, promise)) else { return };
    let mut world = host(&old, "here");
    // The key is made elsewhere; this host has the recipient alone.
    let made = world.heirloom(["key", "new", "elsewhere.key", "--json"]).success().json();
    let recipient = made["recipient"].as_str().unwrap().to_owned();
    fs::write(world.path("heirloom.toml"), format!("[encryption]\nrecipients = ['{recipient}']")).unwrap();
    for day in 1..=6 {
        world.at(&format!("2026-01-{day:02}T03:00:00Z")).heirloom(["backup", "app.db"]).success();
    }
    let before = archives(&world, "here");
    assert_eq!(before.len(), 6);

    sync(&old, &new);
    world.env("HEIRLOOM_DIR", &new.url);
    world.at("2026-01-07T04:00:00Z");
    let rotate = ["rotate", "--keep-last=2"];
    // What this host remembers is what it made in the old store.
    world.heirloom(rotate).exits(3).says("6 encrypted archives kept and not counted");
    assert_eq!(archives(&world, "here"), before, "nothing is removed on the word of a label");
    world.heirloom(["backup", "app.db"]).success();
    world.heirloom(rotate).exits(3);
    assert!(archives(&world, "here").is_superset(&before));
    // With the key, once, everything is known, and the rules decide.
    let key = world.path("elsewhere.key");
    world.heirloom(["key", "check", "--identity", key.to_str().unwrap()]).success();
    world.heirloom(rotate).success();
    let kept = archives(&world, "here");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.contains(before.last().unwrap()), "{kept:?}");
}

#[test]
fn a_machine_whose_state_was_copied_to_a_second_one() {
    let Some(place) = place(Kind::Seaweed, "a cloned machine loses nothing") else { return };
    let mut one = host(&place, "web");
    for day in 1..=3 {
        one.at(&format!("2026-01-{day:02}T03:00:00Z")).heirloom(["backup", "app.db"]).success();
    }
    // The same label, the same state, other data from here on.
    let mut two = host(&place, "web");
    let copied = Command::new("cp").arg("-a").args([one.path("../state"), two.path("../state")]).status().unwrap();
    assert!(copied.success());
    two.sql("app.db", "UPDATE t SET x = 'of the second'");
    for day in 4..=6 {
        let time = format!("2026-01-{day:02}T03:00:00Z");
        let mut backups =
            [one.at(&time), two.at(&time)].map(|world| world.command(["backup", "app.db"]).spawn().unwrap());
        assert!(backups.iter_mut().all(|backup| backup.wait().unwrap().success()));
    }
    let all = archives(&one, "web");
    assert_eq!((all.len(), &all), (9, &archives(&two, "web")), "both are there, under names of their own");
    // The streams differ by the path; the newest of each is kept, whichever host rotates.
    for world in [&mut one, &mut two] {
        world.at("2026-01-08").heirloom(["rotate", "--keep-last=1"]).success();
    }
    one.heirloom(["verify", "--all"]).success();
    for (world, text) in [(&one, "web"), (&two, "of the second")] {
        fs::remove_file(world.path("app.db")).unwrap();
        world.heirloom(["restore", "app.db"]).success();
        assert_eq!(world.ask("app.db", "SELECT x FROM t"), text);
    }
}
