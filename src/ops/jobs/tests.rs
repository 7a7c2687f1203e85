//! The jobs on each store. What a command does with them is tested through the program, in `tests/cli`.

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::guard::{Answer, Health, How, Rollback, answer};
use super::undo::{self, Decision};
use super::verify::{self, Mark};
use super::{Surroundings, backup, first_deployment, restore};
use crate::clock::Clock;
use crate::config::Settings;
use crate::names::Name;
use crate::ops::resolve::{Place, Selected, in_store};
use crate::ops::restore::undo::Choice;
use crate::ops::restore::{RestoreError, Where, plan};
use crate::ops::test_world::{World, host, on_each_store, reading};
use crate::ops::verify::{ArchiveState, Verified, VerifyDepth};
use crate::progress::Silent;
use crate::retention::{Limits, Retention};
use crate::store::StoreError;
use crate::streams::OwnHost;

on_each_store! {
    a_backup_is_unnecessary_while_each_database_has_a_young_good_archive
    a_backup_removes_what_it_makes_superfluous_and_nothing_of_other_databases
    a_database_that_is_missing_is_lost_only_if_there_is_an_archive_of_it
    a_restore_without_anything_to_keep_needs_no_store
    only_a_set_that_a_failed_command_changed_is_rolled_back
    a_mark_says_what_was_found_last
    an_undo_takes_back_the_newest_restore_from_its_safety_backup
}

const FIRST: &str = "2026-03-01T03:00:00Z";
const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Runs something with the surroundings of a host at a time.
fn around<T>(now: &str, act: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    let own = OwnHost { label: host().label, former: Vec::new() };
    let (settings, clock) = (Settings::default(), Clock::fixed(at(now)));
    let (host_name, threads) = ("here", NonZeroUsize::MIN);
    act(&Surroundings {
        settings: &settings,
        host: &own,
        host_name,
        clock: &clock,
        ahead: false,
        temporary: &std::env::temp_dir(),
        threads,
        encryption: &Default::default(),
    })
}

fn a_backup_is_unnecessary_while_each_database_has_a_young_good_archive(world: World) {
    let made = world.back_up(FIRST);
    let young = |now: &str| {
        let found = around(now, |around| {
            backup::young_enough(&world.plan(at(now)), HOUR, None, &world.repository(), around, &Silent)
        });
        found.unwrap().map(|snapshot| snapshot.name)
    };
    assert_eq!(young("2026-03-01T03:59:59Z"), Some(made.clone()));
    assert_eq!(young("2026-03-01T04:00:00Z"), None);
    assert_eq!(young("2026-03-01T02:59:59Z"), None, "one that is dated in the future proves nothing");
    world.repository().lock(Duration::ZERO, &Silent).unwrap().mark_damaged(&made, "deep", &["bad".to_owned()]).unwrap();
    assert_eq!(young("2026-03-01T03:59:59Z"), None, "a damaged one proves nothing");
}

fn a_backup_removes_what_it_makes_superfluous_and_nothing_of_other_databases(world: World) {
    world.five_days();
    let mut plan = world.plan(at("2026-03-06T03:00:00Z"));
    plan.request.set = Name::new("other").unwrap();
    let keep_one = Retention::Cleanup(Limits { keep: Some(1), ..Limits::default() });
    let run = |plan| {
        around("2026-03-06T03:00:00Z", |around| {
            let done = backup::run(plan, HOUR, None, &world.repository(), around, &Silent).unwrap();
            let retained = backup::retain(&done.made, keep_one, &world.repository(), around, &Silent);
            (done, retained.unwrap().unwrap())
        })
    };
    assert!(run(&plan).1.fates.is_empty());
    let (done, retained) = run(&world.plan(at("2026-03-06T03:00:00Z")));
    assert!(!done.has_problems());
    // On a store that others may use whom locks do not reach, nothing younger than a day goes.
    assert!(retained.fates.len() >= 4);
    assert!(world.files().contains(&done.made.packed.archive.to_string()));
    assert!(world.files().iter().any(|name| name.starts_with("other")));
}

fn a_database_that_is_missing_is_lost_only_if_there_is_an_archive_of_it(world: World) {
    let plan = |world: &World| {
        let mut plan = world.plan(at(FIRST));
        plan.missing = std::mem::take(&mut plan.sources);
        plan
    };
    let lost = |plan: &_| {
        around(FIRST, |around| backup::lost(plan, None, || Ok(world.repository()), around, &Silent)).unwrap()
    };
    assert_eq!(lost(&plan(&world)), []);
    let made = world.back_up(FIRST);
    assert_eq!(lost(&plan(&world)), [(Name::new("app").unwrap(), made)]);
    // A store that was never made holds no archives; any other failure is one.
    let fails = |kind: std::io::ErrorKind| {
        let store = || Err(StoreError::Unreachable { location: "there".into(), cause: kind.into() });
        around(FIRST, |around| backup::lost(&plan(&world), None, store, around, &Silent))
    };
    assert_eq!(fails(std::io::ErrorKind::NotFound).unwrap(), []);
    fails(std::io::ErrorKind::PermissionDenied).unwrap_err();
}

fn a_restore_without_anything_to_keep_needs_no_store(world: World) {
    let made = world.back_up(FIRST);
    let selected = in_store(&world.repository(), made.as_str(), &reading()).unwrap();
    let contents = selected.archive.contents();
    let there = plan(contents, vec![(0, world.database())], None, false).unwrap();
    let missing = plan(contents, vec![(0, world.database().with_file_name("new.db"))], None, false).unwrap();
    let cannot = |_: &crate::store_url::Location| anyhow::bail!("it cannot be written");
    let never = |_: &crate::store_url::Location| {
        Err(StoreError::Unreachable { location: String::new(), cause: std::io::ErrorKind::NotFound.into() })
    };
    let open = |plan, wish| {
        around(FIRST, |around| {
            restore::safety_store(plan, wish, &Place::Store, restore::Naming::Usual, around, never, cannot)
        })
    };
    assert!(open(&missing, restore::Wish::Safe).unwrap().is_none());
    assert!(open(&there, restore::Wish::NoWayBack).unwrap().is_none());
    let refused = open(&there, restore::Wish::Safe).err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(RestoreError::NoSafetyStore { .. })), "{refused}");
}

fn only_a_set_that_a_failed_command_changed_is_rolled_back(world: World) {
    around(FIRST, |around| {
        let (repository, how) = (world.repository(), How::new(*around, HOUR));
        let before =
            [crate::ops::guard::back_up(&repository, &world.plan(at(FIRST)), &how.run_with(&[]), &Silent).unwrap()];
        let seen = [how.look(&repository, &before[0]).unwrap()];
        assert!(matches!(answer(Health::Good, Rollback::Wanted, &before, &seen), Answer::NotNeeded));
        assert!(matches!(answer(Health::Bad, Rollback::Wanted, &before, &seen), Answer::NothingChanged));
        world.execute("INSERT INTO t VALUES (1)");
        let seen = [how.look(&repository, &before[0]).unwrap()];
        assert!(matches!(answer(Health::Good, Rollback::Wanted, &before, &seen), Answer::NotNeeded));
        let declined = answer(Health::Bad, Rollback::Declined, &before, &seen);
        assert!(matches!(declined, Answer::Leave(touched) if touched.len() == 1));
        let Answer::RollBack(touched) = answer(Health::Bad, Rollback::Wanted, &before, &seen) else {
            panic!("it stays")
        };
        how.roll_back(&repository, &touched[0]).unwrap();
        assert_eq!(world.rows(), 0);
    });
}

fn a_mark_says_what_was_found_last(world: World) {
    let made = world.back_up(FIRST);
    let remember = |state| {
        let verified = Verified { state, findings: vec!["bad".to_owned()], examined: Vec::new(), by_digest_only: None };
        verify::remember(&world.repository(), &made, &verified, VerifyDepth::Deep, &Silent).unwrap()
    };
    let (good, damaged) = (ArchiveState::Good, ArchiveState::Damaged);
    assert_eq!([good, damaged, damaged].map(remember), [Mark::Unchanged, Mark::Set, Mark::Unchanged]);
    assert!(world.snapshots()[0].damaged);
    assert_eq!([good, good].map(remember), [Mark::Removed, Mark::Unchanged]);
    assert!(!world.snapshots()[0].damaged);
}

fn an_undo_takes_back_the_newest_restore_from_its_safety_backup(world: World) {
    let made = world.back_up(FIRST);
    world.execute("INSERT INTO t VALUES (1)");
    let repository = world.repository();
    let decide = |now| {
        around(now, |around| {
            let scope = undo::scope(None, &Where::Known, around);
            undo::select_undo(&repository, &scope, &around.reading(None), &Silent).unwrap()
        })
    };
    assert!(matches!(decide(FIRST), Decision::Refuse(why) if matches!(*why, Choice::Nothing)));
    let selected = in_store(&repository, made.as_str(), &reading()).unwrap();
    let targets = vec![(0, world.database())];
    let carried = |plan: &_, selected: &Selected, at| {
        let options = crate::ops::tests::options_at(&repository, at);
        crate::ops::restore::execute(&selected.archive, plan, &options, &Silent).unwrap()
    };
    carried(&plan(selected.archive.contents(), targets, None, false).unwrap(), &selected, "2026-03-02T03:00:00Z");
    assert_eq!(world.rows(), 0);
    let Decision::TakeBack(taken) = decide("2026-03-03T03:00:00Z") else { panic!("it stays") };
    assert!(undo::require_safety(&selected, "app").is_err() && undo::require_safety(&taken.selected, "app").is_ok());
    carried(&undo::plan(&taken.past, &taken.selected, None).unwrap(), &taken.selected, "2026-03-03T03:00:00Z");
    assert_eq!(world.rows(), 1);
}

#[test]
fn a_store_that_cannot_be_read_is_no_first_deployment() {
    let folder = tempfile::tempdir().unwrap();
    let own = OwnHost { label: host().label, former: Vec::new() };
    let (clock, threads) = (Clock::fixed(at(FIRST)), NonZeroUsize::MIN);
    let never_made = |store: &str, kind: std::io::ErrorKind| {
        let settings =
            Settings { store: crate::store_url::Location::Folder(folder.path().join(store)), ..Settings::default() };
        let around = Surroundings {
            settings: &settings,
            host: &own,
            host_name: "here",
            clock: &clock,
            ahead: false,
            temporary: &std::env::temp_dir(),
            threads,
            encryption: &Default::default(),
        };
        first_deployment::was_never_made(
            &StoreError::Unreachable { location: store.into(), cause: kind.into() },
            &around,
        )
    };
    assert!(never_made("store", std::io::ErrorKind::NotFound));
    assert!(!never_made("store", std::io::ErrorKind::PermissionDenied));
    assert!(!never_made("unmounted/store", std::io::ErrorKind::NotFound));
}
