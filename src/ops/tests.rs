//! Each operation on each store. What the commands do with a local store is tested through the program, in `tests/cli`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::pending::Upkeep;
use super::resolve::{Wanted, in_store, resolve};
use super::restore::{self, Options, Safety};
use super::retain::{self, Asked};
use super::test_world::{World, host, on_each_store, reading};
use super::verify::{ArchiveState, VerifyDepth, verify};
use super::{Repository, backup, delete, guard, pack, pending};
use crate::clock::Clock;
use crate::database::Depth;
use crate::metadata::Kind;
use crate::names::{ArchiveName, Name};
use crate::progress::{Interrupted, Progress, Silent, Stage};
use crate::retention::{Limits, Retention, Scope};
use crate::store::ReadStore as _;
use crate::workspace::LockError;

on_each_store! {
    what_was_backed_up_is_found_verified_and_restored_after_a_safety_backup
    the_second_archive_of_a_second_gets_a_number_and_a_chosen_name_none
    marks_are_set_listed_and_removed_with_their_archive
    the_last_good_archive_is_not_deleted_and_an_older_one_is
    an_archive_can_be_read_to_its_end_whatever_is_removed_meanwhile
    a_backup_waits_for_the_lock_only_where_a_commit_needs_it
    two_runs_that_send_one_pending_archive_make_one_of_it
    a_pending_archive_that_the_store_has_already_is_not_sent_again
    a_guarded_database_is_rolled_back
    a_backup_that_is_stopped_leaves_nothing_in_the_store
}

const FIRST: &str = "2026-03-01T03:00:00Z";
const LATER: &str = "2026-03-02T03:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn upkeep() -> Upkeep {
    Upkeep { last: 3, reading: reading(), ahead: false }
}

/// How a restore is carried out at a time.
pub fn options_at<'a>(repository: &'a Repository, now: &str) -> Options<'a> {
    Options { clock: Clock::fixed(at(now)), ..options(repository) }
}

fn options(repository: &Repository) -> Options<'_> {
    Options {
        archive: "app".into(),
        set: Name::new("app").unwrap(),
        check: restore::CheckPolicy::Unproved(Depth::Full),
        allow_damaged: false,
        rebuild_indexes: false,
        safety: Safety::Into(repository),
        workspace: Some(repository),
        takes_back: None,
        upkeep: upkeep(),
        limits: Default::default(),
        temporary: std::env::temp_dir(),
        threads: NonZeroUsize::MIN,
        host: host(),
        clock: Clock::fixed(at(LATER)),
    }
}

fn keep(count: u32) -> retain::Request {
    retain::Request {
        retention: Retention::Cleanup(Limits { keep: Some(count), ..Limits::default() }),
        scope: Scope::everything(),
        made: None,
        shrinks_off: BTreeSet::new(),
        clock: Clock::fixed(at("2026-03-05T04:00:00Z")),
        ahead: false,
        reading: reading(),
        asked: Asked::default(),
    }
}

fn what_was_backed_up_is_found_verified_and_restored_after_a_safety_backup(world: World) {
    world.execute("INSERT INTO t VALUES (1), (2)");
    let made = world.back_up(FIRST);
    world.execute("DELETE FROM t");
    let repository = world.repository();
    let wanted = Wanted { text: "app_2026".into(), set: None };
    let selected = resolve(|| Ok(world.repository()), &wanted, &reading(), &Silent).unwrap();
    assert_eq!(selected.snapshot.name, made);
    let scratch = repository.workspace().scratch().unwrap();
    let verified = verify(&selected.archive, VerifyDepth::Deep, scratch.path(), NonZeroUsize::MIN, &Silent).unwrap();
    assert_eq!(verified.state, ArchiveState::Good, "{:?}", verified.findings);

    let plan = restore::plan(selected.archive.contents(), vec![(0, world.database())], None, false).unwrap();
    let report = restore::execute(&selected.archive, &plan, &options(&repository), &Silent).unwrap();
    assert_eq!(world.rows(), 2);
    assert_eq!(report.pending, None);
    let safety = report.safety.unwrap();
    let kinds: Vec<(ArchiveName, Kind)> = world.snapshots().into_iter().map(|one| (one.name, one.kind)).collect();
    assert_eq!(kinds, [(safety, Kind::Safety), (made, Kind::Manual)]);
}

fn the_second_archive_of_a_second_gets_a_number_and_a_chosen_name_none(world: World) {
    world.back_up(FIRST);
    if world.repository().gives_a_name_once(0).unwrap() {
        world.back_up(FIRST);
        assert_eq!(world.files(), ["app_20260301T030000Z-2.tar.gz", "app_20260301T030000Z.tar.gz"]);
    } else {
        // Two writers could both take a name: automatic ones are distinguished by random digits.
        world.back_up_as_it_is(FIRST);
        let [first, second] = &world.files()[..] else { panic!("{:?}", world.files()) };
        assert!(first.starts_with("app_20260301T030000Z-") && first.len() == second.len() + 5, "{first} {second}");
    }
    let mut plan = world.plan(at(LATER));
    plan.request.name = Some(ArchiveName::new("app_20260301T030000Z.tar.gz").unwrap());
    let (clock, reading) = (Clock::fixed(at(LATER)), reading());
    let run = backup::Run {
        clock: &clock,
        reading: &reading,
        limits: Default::default(),
        temporary: &std::env::temp_dir(),
        watch_shrinks: true,
        known: None,
        hold: None,
    };
    backup::execute(&world.repository(), &plan, &run, &Silent).unwrap_err();
    assert_eq!(world.files().len(), 2);
}

fn marks_are_set_listed_and_removed_with_their_archive(world: World) {
    let name = world.back_up(FIRST);
    let repository = world.repository();
    {
        let locked = repository.lock(Duration::ZERO, &Silent).unwrap();
        assert!(locked.pin(&name).unwrap() && !locked.pin(&name).unwrap());
        assert!(locked.accept(&name).unwrap());
        assert!(locked.mark_damaged(&name, "deep", &["a finding".into()]).unwrap());
    }
    let marked = world.snapshots().remove(0);
    assert!(marked.pinned && marked.accepted && marked.damaged);
    let locked = repository.lock(Duration::ZERO, &Silent).unwrap();
    assert!(!locked.clear_damaged(&name, &["quick"]).unwrap(), "a quick check does not refute a deep one");
    assert!(locked.clear_damaged(&name, &["quick", "deep"]).unwrap());
    assert!(locked.unpin(&name).unwrap() && !locked.unpin(&name).unwrap());
    locked.remove_archive(&name).unwrap();
    assert_eq!(world.files(), [""; 0]);
    locked.pin(&name).unwrap_err();
}

fn the_last_good_archive_is_not_deleted_and_an_older_one_is(world: World) {
    let (old, new) = (world.back_up(FIRST), world.back_up(LATER));
    let repository = world.repository();
    let plan = |names: &[ArchiveName]| {
        let request = delete::Request {
            names,
            last: delete::LastGood::Keep,
            shrinks_off: &BTreeSet::new(),
            sources: &Default::default(),
            repository: &repository,
            clock: &Clock::fixed(at("2026-03-03T03:00:00Z")),
        };
        delete::plan(&world.snapshots(), &request)
    };
    plan(&[old.clone(), new.clone()]).unwrap_err();
    let removed = delete::execute(&repository, || plan(std::slice::from_ref(&old)), Duration::ZERO, &Silent).unwrap();
    assert_eq!(removed, std::slice::from_ref(&old));
    assert_eq!(world.files(), [new.as_str()]);
}

fn an_archive_can_be_read_to_its_end_whatever_is_removed_meanwhile(world: World) {
    world.five_days();
    let repository = world.repository();
    let rotate = || retain::execute(&repository, &keep(1), None, Duration::ZERO, &Silent).unwrap();
    let reader = in_store(&repository, "app_20260301T030000Z.tar.gz", &reading()).unwrap();
    rotate();
    reader.archive.read_through(NonZeroUsize::MIN, &Silent).unwrap();
    // It stays only where its reader would lose it.
    let stays = !world.store.capabilities().readable_after_removal;
    assert_eq!(world.files().len(), if stays { 2 } else { 1 });
    drop(reader);
    rotate();
    assert_eq!(world.files(), ["app_20260305T030000Z.tar.gz"]);
}

fn a_backup_waits_for_the_lock_only_where_a_commit_needs_it(world: World) {
    let repository = world.repository();
    {
        // The first commit gives the store its id, under the lock.
        let _locked = repository.lock(Duration::ZERO, &Silent).unwrap();
        let refused = world.try_back_up(FIRST).unwrap_err();
        assert!(matches!(refused.downcast_ref(), Some(LockError::Held { .. })), "{refused:#}");
    }
    world.back_up(FIRST);
    let _locked = repository.lock(Duration::ZERO, &Silent).unwrap();
    assert_eq!(world.try_back_up(LATER).is_ok(), world.store.capabilities().atomic_commit);
}

/// Makes an archive that is committed in the workspace.
fn make_pending(world: &World, at: DateTime<Utc>) -> ArchiveName {
    let repository = world.repository();
    let scratch = repository.workspace().scratch().unwrap();
    let copy = scratch.path().join("0.db");
    std::fs::copy(world.database(), &copy).unwrap();
    let staged = pack::Staged {
        name: Name::new("app").unwrap(),
        source: world.database(),
        bytes: std::fs::metadata(&copy).unwrap().len(),
        copy,
        provenance: pack::Provenance::of(&world.database()),
        damage: Vec::new(),
    };
    let request = pack::Request { kind: Kind::Safety, ..world.plan(at).request };
    let built = pack::build(repository.workspace(), &scratch, vec![staged], &request, &Silent).unwrap();
    repository.workspace().commit_pending(&built.path, &built.name, &Default::default()).unwrap()
}

fn two_runs_that_send_one_pending_archive_make_one_of_it(world: World) {
    let pending = make_pending(&world, at(FIRST));
    let wait = Duration::from_secs(60);
    let send = || pending::send(&world.repository(), &upkeep(), &Clock::fixed(at(LATER)), wait, &Silent).unwrap().moved;
    let moved: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(moved, [(pending.clone(), pending.clone())]);
    assert_eq!(world.files(), [pending.as_str()]);
    assert_eq!(world.repository().workspace().pending_names().unwrap(), []);
}

fn a_pending_archive_that_the_store_has_already_is_not_sent_again(world: World) {
    let pending = make_pending(&world, at(FIRST));
    let repository = world.repository();
    // A run that died after the commit.
    let again = repository.workspace().folder().join("again");
    std::fs::copy(repository.workspace().pending_path(&pending), &again).unwrap();
    pending::send(&repository, &upkeep(), &Clock::fixed(at(LATER)), Duration::ZERO, &Silent).unwrap();
    repository.workspace().commit_pending(&again, &pending, &Default::default()).unwrap();
    let sent = pending::send(&repository, &upkeep(), &Clock::fixed(at(LATER)), Duration::ZERO, &Silent).unwrap();
    assert_eq!(sent.moved, [(pending.clone(), pending.clone())]);
    assert_eq!(world.files(), [pending.as_str()]);
    assert_eq!(repository.workspace().pending_names().unwrap(), []);
}

fn a_guarded_database_is_rolled_back(world: World) {
    world.execute("INSERT INTO t VALUES (1)");
    let repository = world.repository();
    let (clock, reading) = (Clock::fixed(at(FIRST)), reading());
    let run = backup::Run {
        clock: &clock,
        reading: &reading,
        limits: Default::default(),
        temporary: &std::env::temp_dir(),
        watch_shrinks: true,
        known: None,
        hold: None,
    };
    let before = guard::back_up(&repository, &world.plan(at(FIRST)), &run, &Silent).unwrap();
    world.execute("DELETE FROM t");
    // It is held until the guard ends, on every store.
    retain::execute(&repository, &keep(0), None, Duration::ZERO, &Silent).unwrap();
    let seen = guard::look(&repository, &before, Depth::Full, &run, &Silent).unwrap();
    assert_eq!(guard::changed(&seen), [Name::new("app").unwrap()]);
    guard::roll_back(&repository, &before, &seen, &options(&repository), &run).unwrap();
    assert_eq!(world.rows(), 1);
}

/// A signal that comes in one stage.
struct StopIn(Stage, std::sync::atomic::AtomicBool);

impl Progress for StopIn {
    fn begin(&self, stage: Stage, _: &str, _: u64) {
        self.1.fetch_or(stage == self.0, std::sync::atomic::Ordering::Relaxed);
    }

    fn advance(&self, _: u64) {}

    fn cancelled(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn a_backup_that_is_stopped_leaves_nothing_in_the_store(world: World) {
    let (clock, reading) = (Clock::fixed(at(FIRST)), reading());
    let run = backup::Run {
        clock: &clock,
        reading: &reading,
        limits: Default::default(),
        temporary: &std::env::temp_dir(),
        watch_shrinks: true,
        known: None,
        hold: None,
    };
    let stages: &[Stage] =
        if world.store.folder().is_some() { &[Stage::ReadBack] } else { &[Stage::ReadBack, Stage::Upload] };
    for stage in stages {
        let progress = StopIn(*stage, Default::default());
        let stopped = backup::execute(&world.repository(), &world.plan(at(FIRST)), &run, &progress).unwrap_err();
        assert!(stopped.chain().any(|cause| cause.is::<Interrupted>()), "{stopped:#}");
        assert_eq!(world.files(), [""; 0]);
    }
}
