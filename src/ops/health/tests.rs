//! The judging, over made-up facts.

use super::*;
use crate::metadata::{Integrity, Kind};
use crate::names::HostLabel;
use crate::ops::inventory::{Foreign, Unusable};
use crate::snapshot::{Brief, Snapshot};

const GIB: u64 = 1 << 30;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-03-01T03:00:00Z".parse().unwrap()
}

/// An archive of the set "app" with the database "app", so many hours old.
fn archive(hours: i64) -> Snapshot {
    let created_at = now() - TimeDelta::hours(hours);
    let full = Brief { bytes: Some(100_000), tables: Some(3), rows: Some(1000), ..brief("app") };
    Snapshot { bytes: 1000, databases: vec![full], ..Snapshot::simulated(&name("app"), created_at) }
}

fn brief(database: &str) -> Brief {
    Brief::simulated(&name("app"), &HostLabel::container(), &name(database))
}

fn database() -> DatabaseFacts {
    let glance = LiveStats {
        bytes: 100_000,
        page_bytes: 4096,
        free_pages: 0,
        journal_mode: "wal",
        wal_bytes: None,
        tables: Some(3),
    };
    let checked = Checked {
        integrity: Integrity::Ok,
        findings: Vec::new(),
        foreign_key_violations: Some(0),
        rebuild: Vec::new(),
    };
    DatabaseFacts {
        set: name("app"),
        name: name("app"),
        path: "/srv/app.db".into(),
        stream: brief("app").stream,
        has_twin: false,
        device: Some(1),
        glance: Ok(glance),
        examined: Examined::Copy { checked, rows: Some(1000) },
    }
}

fn backup(hours: i64, outcome: &str) -> Activity {
    Activity {
        at: now() - TimeDelta::hours(hours),
        seconds: 1.0,
        command: "backup".into(),
        kind: Some("scheduled".into()),
        outcome: outcome.into(),
        exit_code: u8::from(outcome == "failed"),
        set: (outcome == "done").then(|| "app".into()),
        archive: (outcome == "done").then(|| "app_gone.tar.gz".into()),
        bytes: None,
        error: (outcome == "failed").then(|| "no space".into()),
        user: "tester".into(),
        host: "here".into(),
    }
}

/// A store with these archives, newest first, on another disk than the database, without a log.
fn facts(snapshots: Vec<Snapshot>) -> Facts {
    let store = StoreFacts {
        inventory: Arc::new(Inventory { snapshots, ..Inventory::default() }),
        log: Ok(Vec::new()),
        interrupted: Ok(Vec::new()),
        seen: Vec::new(),
        open_shrinks: Vec::new(),
        stale: Vec::new(),
        pending: Ok(0),
        copies: Vec::new(),
        space: Some(Space { free: GIB, total: 2 * GIB }),
        device: Some(2),
        key_tried: None,
    };
    Facts {
        now: now(),
        max_backup_age: None,
        host: OwnHost { label: HostLabel::container(), former: vec![HostLabel::new("here").unwrap()] },
        location: "backups".into(),
        store: Ok(store),
        sets: vec![name("app")],
        databases: vec![database()],
    }
}

fn store(facts: &mut Facts) -> &mut StoreFacts {
    facts.store.as_mut().unwrap()
}

fn listed(facts: &mut Facts) -> &mut Inventory {
    Arc::make_mut(&mut store(facts).inventory)
}

fn glance(facts: &mut Facts) -> &mut LiveStats {
    facts.databases[0].glance.as_mut().unwrap()
}

#[track_caller]
fn check(facts: &Facts, wanted: &str) -> Check {
    let report = judge(facts);
    report
        .checks
        .iter()
        .find(|check| check.name == wanted)
        .unwrap_or_else(|| panic!("no {wanted} in {:#?}", report.checks))
        .clone()
}

#[track_caller]
fn state(facts: &Facts, wanted: &str) -> State {
    check(facts, wanted).state
}

#[test]
fn everything_in_order_needs_no_advice() {
    let report = judge(&facts((0..5).map(|day| archive(day * 24)).collect()));
    assert_eq!(report.state(), State::Ok);
    let advised: Vec<&Check> = report.checks.iter().filter(|check| check.remedy.is_some()).collect();
    assert_eq!(advised, Vec::<&Check>::new());
}

#[test]
fn an_age_is_judged_by_the_setting_or_the_habit_or_a_day() {
    let ages =
        |first: i64, every: i64, count: i64| (0..count).map(|index| archive(first + index * every)).collect::<Vec<_>>();
    let cases: [(Vec<Snapshot>, Option<i64>, State); 14] = [
        // Too few to learn from: once a day is assumed.
        (ages(26, 24, 2), None, State::Ok),
        (ages(27, 24, 2), None, State::Warning),
        (ages(51, 24, 1), None, State::Critical),
        // Every 6 hours: 13 hours and 26 hours.
        (ages(13, 6, 4), None, State::Ok),
        (ages(14, 6, 4), None, State::Warning),
        (ages(27, 6, 4), None, State::Critical),
        // Once a week: 337 hours.
        (ages(300, 168, 3), None, State::Ok),
        (ages(338, 168, 3), None, State::Warning),
        // The setting beats the habit, either way.
        (ages(5, 1, 10), Some(5), State::Ok),
        (ages(6, 1, 10), Some(5), State::Warning),
        (ages(11, 1, 10), Some(5), State::Critical),
        (ages(30, 1, 10), Some(48), State::Ok),
        (ages(60, 168, 3), Some(24), State::Critical),
        (Vec::new(), None, State::Critical),
    ];
    for (index, (snapshots, limit, expected)) in cases.into_iter().enumerate() {
        let facts = Facts { max_backup_age: limit.map(TimeDelta::hours), ..facts(snapshots) };
        assert_eq!(state(&facts, "backup_age"), expected, "case {index}: {}", check(&facts, "backup_age").value);
    }
}

#[test]
fn a_rotation_that_thins_out_and_a_burst_do_not_change_the_habit() {
    // 7 daily, 4 weekly, 12 monthly, as `rotate` leaves them; the newest is 50 hours old.
    let days = (0..7).chain((1..5).map(|week| 6 + week * 7)).chain((1..13).map(|month| 34 + month * 30));
    let mut thinned = facts(days.map(|day| archive(50 + day * 24)).collect());
    assert_eq!(state(&thinned, "backup_age"), State::Warning);
    assert!(
        check(&thinned, "backup_age").value.contains("usually one every 24 hours"),
        "{}",
        check(&thinned, "backup_age").value
    );

    // Removed ones are remembered by the log: one an hour, of which one a day is kept.
    store(&mut thinned).log = Ok((50..100).map(|hours| backup(hours, "done")).collect());
    assert_eq!(state(&thinned, "backup_age"), State::Critical);

    let mut tries = facts(vec![archive(20); 5]);
    for (index, snapshot) in listed(&mut tries).snapshots.iter_mut().enumerate() {
        snapshot.created_at -= TimeDelta::minutes(2) * i32::try_from(index).unwrap();
    }
    assert_eq!(state(&tries, "backup_age"), State::Ok, "five tries within ten minutes are no schedule");
}

#[test]
fn a_safety_backup_and_a_damaged_one_are_no_backups() {
    let (mut safety, mut damaged) = (archive(1), archive(2));
    safety.kind = Kind::Safety;
    damaged.damaged = true;
    let facts = facts(vec![safety, damaged, archive(100)]);
    assert_eq!(state(&facts, "backup_age"), State::Critical);
    assert_eq!(state(&facts, "damaged"), State::Critical);
}

#[test]
fn a_damaged_archive_with_a_good_newer_one_is_a_warning() {
    let mut older = archive(24);
    older.damaged = true;
    assert_eq!(state(&facts(vec![archive(1), older]), "damaged"), State::Warning);

    let mut unreadable = facts(vec![archive(24)]);
    let foreign = |name: &str| Foreign { name: name.into(), bytes: 0, why: "empty".into(), state: Unusable::Damaged };
    listed(&mut unreadable).foreign = vec![foreign("app_20260301T000000Z.tar.gz")];
    assert_eq!(state(&unreadable, "damaged"), State::Critical, "it is newer than the good one");
    listed(&mut unreadable).foreign = vec![foreign("gone_20260301T000000Z.tar.gz")];
    assert_eq!((state(&unreadable, "damaged"), state(&unreadable, "unreadable")), (State::Ok, State::Warning));

    let unread = Foreign { state: Unusable::Unread, ..foreign("app_20260301T000000Z.tar.gz") };
    listed(&mut unreadable).foreign = vec![unread];
    assert_eq!(
        (state(&unreadable, "damaged"), state(&unreadable, "unread")),
        (State::Ok, State::Critical),
        "an I/O error is no damage"
    );
}

#[test]
fn a_database_that_the_backups_of_its_set_leave_out_is_seen() {
    let mut facts = facts(vec![archive(1), archive(24)]);
    facts.databases.push(DatabaseFacts { name: name("user"), ..database() });
    assert_eq!(state(&facts, "backup_age"), State::Critical);
    let user = brief("user");
    listed(&mut facts).snapshots[1].databases.push(user.clone());
    listed(&mut facts).snapshots[1].created_at = now() - TimeDelta::hours(30);
    let found = check(&facts, "backup_age");
    assert_eq!(found.state, State::Warning);
    assert!(found.value.contains("of \"user\" is 30 hours old"), "{}", found.value);
    listed(&mut facts).snapshots[0].databases.push(user);
    assert_eq!(state(&facts, "backup_age"), State::Ok);
}

#[test]
fn what_vanished_is_seen_in_archives_and_in_the_database() {
    // Before, after: bytes, tables, rows.
    type Extent = (Option<u64>, Option<u64>, Option<u64>);
    let full: Extent = (Some(100_000), Some(3), Some(1000));
    let cases: [(Extent, Extent, State); 10] = [
        (full, (Some(100_000), Some(3), Some(500)), State::Ok),
        (full, (Some(100_000), Some(3), Some(499)), State::Warning),
        (full, (Some(100_000), Some(3), Some(0)), State::Critical),
        (full, (Some(100_000), Some(2), Some(1000)), State::Warning),
        (full, (Some(4096), Some(0), None), State::Critical),
        (full, (Some(4096), Some(3), Some(1000)), State::Ok),
        (full, (Some(4096), Some(3), None), State::Warning),
        (full, (None, None, None), State::Ok),
        ((Some(8192), Some(1), Some(9)), (Some(8192), Some(1), Some(1)), State::Ok),
        ((Some(8192), Some(1), Some(1)), (Some(8192), Some(1), Some(0)), State::Critical),
    ];
    let with = |mut snapshot: Snapshot, (bytes, tables, rows): Extent| {
        snapshot.databases = vec![Brief { bytes, tables, rows, ..brief("app") }];
        snapshot
    };
    for (index, (before, after, expected)) in cases.into_iter().enumerate() {
        let archives = facts(vec![with(archive(1), after), with(archive(24), before)]);
        assert_eq!(state(&archives, "shrunken"), expected, "case {index}");
        let mut live = facts(vec![with(archive(1), before)]);
        glance(&mut live).tables = after.1;
        glance(&mut live).bytes = after.0.unwrap_or(100_000);
        let Examined::Copy { rows, .. } = &mut live.databases[0].examined else { unreachable!() };
        *rows = after.2;
        assert_eq!(state(&live, "contents"), expected, "case {index}");
    }
}

#[test]
fn what_vanished_within_a_day_is_said_for_a_day() {
    let emptied = |hours: i64| {
        let mut snapshot = archive(hours);
        snapshot.databases[0].rows = Some(0);
        snapshot
    };
    let hourly = |first: i64| {
        facts((first..first + 40).map(|hours| if hours < 20 { emptied(hours) } else { archive(hours) }).collect())
    };
    assert_eq!(state(&hourly(0), "shrunken"), State::Critical);
    assert!(check(&hourly(0), "shrunken").value.contains("no row is left of 1000"));
    let later = facts((0..40).map(|hours| if hours < 30 { emptied(hours) } else { archive(hours) }).collect());
    assert_eq!(state(&later, "shrunken"), State::Ok);
}

#[test]
fn a_database_that_cannot_be_used_is_critical_and_a_busy_one_is_not() {
    let path = || PathBuf::from("/srv/app.db");
    for (error, expected) in [
        (SourceError::Missing(path()), State::Critical),
        (SourceError::Empty { path: path(), wal_beside: false }, State::Critical),
        (SourceError::Damaged { path: path(), why: "malformed".into() }, State::Critical),
        (SourceError::Busy { path: path(), why: "locked".into() }, State::Warning),
    ] {
        let mut facts = facts(vec![archive(1)]);
        facts.databases[0].glance = Err(error);
        assert_eq!(state(&facts, "database"), expected);
    }
}

#[test]
fn the_check_of_a_copy_is_told_by_what_can_be_done_about_it() {
    let with = |integrity, findings: &[&str], foreign_key_violations| {
        let checked = Checked {
            integrity,
            findings: findings.iter().map(|text| (*text).to_owned()).collect(),
            foreign_key_violations,
            rebuild: Vec::new(),
        };
        let mut facts = facts(vec![archive(1)]);
        facts.databases[0].examined = Examined::Copy { checked, rows: None };
        facts
    };
    assert_eq!(state(&with(Integrity::Damaged, &["page 3 is never used"], None), "integrity"), State::Critical);
    assert_eq!(state(&with(Integrity::Partial, &["NULL value in t.x"], None), "integrity"), State::Warning);
    assert_eq!(
        state(&with(Integrity::Partial, &["table \"t\" could not be checked: no such collation"], None), "integrity"),
        State::Ok
    );
    assert_eq!(
        state(&with(Integrity::Indexes, &["index \"i\" of table \"t\" lacks 1 entry"], None), "integrity"),
        State::Warning
    );
    assert_eq!(state(&with(Integrity::Ok, &[], Some(1)), "foreign_keys"), State::Warning);
    let mut failed = facts(vec![archive(1)]);
    failed.databases[0].examined = Examined::Failed("no room".into());
    assert_eq!(state(&failed, "integrity"), State::Warning);
    failed.databases[0].examined = Examined::Unread("disk I/O error".into());
    assert_eq!(state(&failed, "integrity"), State::Critical, "a page that nobody can read any more");
    failed.databases[0].examined = Examined::Not;
    assert!(judge(&failed).checks.iter().all(|check| check.name != "integrity"));
}

#[test]
fn free_pages_get_an_advice_and_a_swollen_wal_a_warning() {
    let mut facts = facts(vec![archive(1)]);
    assert_eq!(check(&facts, "free_pages").remedy, None);
    *glance(&mut facts) = LiveStats { bytes: 8 << 20, free_pages: 600, ..glance(&mut facts).clone() };
    let found = check(&facts, "free_pages");
    assert!(found.state == State::Ok && matches!(found.remedy, Some(Advice::Words(words)) if words.contains("VACUUM")));

    glance(&mut facts).wal_bytes = Some(16 << 20);
    assert_eq!(state(&facts, "wal"), State::Ok);
    glance(&mut facts).wal_bytes = Some(17 << 20);
    assert_eq!(state(&facts, "wal"), State::Warning);
    glance(&mut facts).bytes = 64 << 20;
    assert_eq!(state(&facts, "wal"), State::Ok);
}

#[test]
fn growth_is_told_and_a_database_that_exploded_is_a_warning() {
    let mut month = facts((0..31).map(|day| archive(day * 24)).collect());
    for (day, snapshot) in listed(&mut month).snapshots.iter_mut().enumerate() {
        snapshot.databases[0].bytes = Some((130 - day as u64) << 20);
    }
    glance(&mut month).bytes = 131 << 20;
    let found = check(&month, "size");
    assert!(
        found.state == State::Ok
            && found.value.ends_with("1.0 MiB more than in the backup of 0 seconds ago, 1.0 MiB a day"),
        "{}",
        found.value
    );
    glance(&mut month).bytes = 262 << 20;
    assert_eq!(state(&month, "size"), State::Warning);
}

#[test]
fn room_is_needed_for_two_archives_and_the_copies() {
    let mut facts = facts(vec![archive(1)]);
    for (free, expected) in
        [(102_000, State::Ok), (101_999, State::Warning), (101_000, State::Warning), (100_999, State::Critical)]
    {
        store(&mut facts).space = Some(Space { free, total: GIB });
        assert_eq!(state(&facts, "free_space"), expected, "{free}");
    }
    // Never backed up: nothing says that it will compress.
    listed(&mut facts).snapshots.clear();
    for (free, expected) in [(300_000, State::Ok), (299_999, State::Warning), (199_999, State::Critical)] {
        store(&mut facts).space = Some(Space { free, total: GIB });
        assert_eq!(state(&facts, "free_space"), expected, "{free}");
    }
}

#[test]
fn a_clock_that_is_behind_is_seen_and_hides_no_stale_backup() {
    let mut behind = facts(vec![archive(-48), archive(-24)]);
    assert_eq!((state(&behind, "clock"), state(&behind, "backup_age")), (State::Warning, State::Warning));
    listed(&mut behind).snapshots.push(archive(100));
    assert_eq!(state(&behind, "backup_age"), State::Critical, "those of the future prove nothing");
    let mut hosts_differ = facts(vec![archive(0)]);
    listed(&mut hosts_differ).snapshots[0].created_at += TimeDelta::minutes(4);
    assert_eq!((state(&hosts_differ, "clock"), state(&hosts_differ, "backup_age")), (State::Ok, State::Ok));
}

#[test]
fn verifying_is_missed_after_a_month() {
    let verify = |hours: i64, archive: &str, outcome: &str| Activity {
        command: "verify".into(),
        set: None,
        archive: Some(archive.into()),
        ..backup(hours, outcome)
    };
    let mut facts = facts((0..60).map(|day| archive(day * 24)).collect());
    assert!(judge(&facts).checks.iter().all(|check| check.name != "verified"), "without a log nothing is known");
    let cases = [
        (vec![backup(1, "done")], State::Ok),
        (vec![backup(1, "done"), backup(24 * 31, "done")], State::Warning),
        (vec![verify(24 * 29, "app_20260101T000000Z.tar.gz", "done"), backup(24 * 50, "done")], State::Ok),
        (vec![verify(24 * 29, "/mnt/app_20260101T000000Z.tar.gz", "done"), backup(24 * 50, "done")], State::Ok),
        (vec![verify(24 * 31, "app_20260101T000000Z.tar.gz", "done")], State::Warning),
        (vec![verify(1, "app_20260101T000000Z.tar.gz", "found"), backup(24 * 50, "done")], State::Warning),
        (vec![verify(1, "other_20260101T000000Z.tar.gz", "done"), backup(24 * 50, "done")], State::Warning),
    ];
    for (index, (log, expected)) in cases.into_iter().enumerate() {
        store(&mut facts).log = Ok(log);
        assert_eq!(state(&facts, "verified"), expected, "case {index}");
    }
}

#[test]
fn a_failure_is_said_until_a_backup_goes_well_again() {
    let mut facts = facts(vec![archive(3)]);
    store(&mut facts).log = Ok(vec![backup(1, "failed"), backup(3, "done")]);
    let found = check(&facts, "last_run");
    assert!(found.state == State::Warning && found.value.contains("no space"), "{found:?}");
    store(&mut facts).log = Ok(vec![backup(0, "done"), backup(1, "failed")]);
    assert_eq!(state(&facts, "last_run"), State::Ok);
    let typo = Activity { exit_code: 2, ..backup(0, "failed") };
    store(&mut facts).log = Ok(vec![typo, backup(1, "done")]);
    assert_eq!(state(&facts, "last_run"), State::Ok);
    store(&mut facts).log = Err("cannot use the activity log".into());
    assert_eq!(state(&facts, "last_run"), State::Warning);
}

#[test]
fn a_store_that_cannot_be_reached_is_critical_and_the_databases_are_still_judged() {
    let facts = Facts { store: Err("cannot reach the store \"backups\"".into()), ..facts(Vec::new()) };
    assert_eq!((state(&facts, "store"), state(&facts, "integrity")), (State::Critical, State::Ok));
}

#[test]
fn database_and_store_on_one_disk_is_no_warning() {
    let mut facts = facts(vec![archive(1)]);
    facts.databases[0].device = Some(2);
    let found = check(&facts, "place");
    assert!(found.state == State::Ok && found.value.contains("another disk"));
}
