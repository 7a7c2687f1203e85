//! Retention carried out, on each store.

use super::*;
use crate::ops::test_world::{World, on_each_store, reading};
use crate::progress::Silent;
use crate::retention::Limits;
use crate::store::Store as _;
use crate::workspace::Held;

on_each_store! {
    a_listing_that_fails_removes_nothing
    one_failed_removal_is_reported_and_the_others_go_on
    a_pin_that_is_set_while_archives_are_removed_counts
    an_archive_that_somebody_else_removed_is_no_failure
    a_mark_goes_with_its_archive
    no_more_is_removed_than_was_agreed_to
    a_database_of_another_tool_is_never_removed_nor_the_newest_good
    what_a_running_command_holds_stays_and_the_rest_goes
}

fn run(world: &World, request: &Request, agreed: Option<&Plan>) -> anyhow::Result<Report> {
    execute(&world.repository(), request, agreed, Duration::ZERO, &Silent)
}

fn request(keep: u32) -> Request {
    let limits = Limits { keep: Some(keep), ..Limits::default() };
    Request {
        retention: Retention::Cleanup(limits),
        scope: Scope::everything(),
        made: None,
        shrinks_off: BTreeSet::new(),
        clock: Clock::fixed("2026-03-05T04:00:00Z".parse().unwrap()),
        ahead: false,
        reading: reading(),
        asked: Asked::default(),
    }
}

fn a_listing_that_fails_removes_nothing(mut world: World) {
    world.five_days();
    world.store.list_fails = true;
    run(&world, &request(1), None).unwrap_err();
    assert_eq!(world.files().len(), 5);
}

fn one_failed_removal_is_reported_and_the_others_go_on(mut world: World) {
    world.five_days();
    world.store.removal_fails = Some("app_20260302T030000Z.tar.gz");
    let report = run(&world, &request(2), None).unwrap();
    let fates: Vec<String> = report.fates.iter().map(|(name, fate)| format!("{} {fate}", name.stem())).collect();
    assert_eq!(fates[0], "app_20260301T030000Z removed", "the oldest first");
    assert!(fates[1].starts_with("app_20260302T030000Z cannot remove"), "{}", fates[1]);
    assert_eq!(fates[2], "app_20260303T030000Z removed");
    assert!(report.has_failures());
    let removed: Vec<&Verdict> = report.plan.removed().collect();
    assert_eq!(report.freed_bytes(), removed[0].bytes + removed[2].bytes);
    assert_eq!(
        world.files(),
        ["app_20260302T030000Z.tar.gz", "app_20260304T030000Z.tar.gz", "app_20260305T030000Z.tar.gz"]
    );
}

fn a_pin_that_is_set_while_archives_are_removed_counts(mut world: World) {
    world.five_days();
    world.store.before_stat = |store| {
        let _ = store.put("app_20260302T030000Z.tar.gz.keep", b"");
    };
    let report = run(&world, &request(3), None).unwrap();
    assert!(matches!(report.fates[1], (_, Fate::PinnedMeanwhile)) && !report.has_failures());
    assert_eq!(world.files()[..2], ["app_20260302T030000Z.tar.gz", "app_20260302T030000Z.tar.gz.keep"]);
}

fn an_archive_that_somebody_else_removed_is_no_failure(mut world: World) {
    world.five_days();
    world.store.before_stat = |store| {
        let _ = store.remove("app_20260301T030000Z.tar.gz");
    };
    let report = run(&world, &request(3), None).unwrap();
    assert!(matches!(report.fates[0], (_, Fate::GoneAlready)) && !report.has_failures());
    assert_eq!(world.files().len(), 3);
}

fn a_mark_goes_with_its_archive(world: World) {
    world.five_days();
    world.store.put("app_20260301T030000Z.tar.gz.damaged", b"").unwrap();
    let report = run(&world, &request(4), None).unwrap();
    assert_eq!(report.fates.len(), 1);
    assert_eq!(world.files().len(), 4);
}

fn no_more_is_removed_than_was_agreed_to(world: World) {
    world.five_days();
    let agreed = plan(&world.repository(), &request(4), &Silent).unwrap().plan;
    world.back_up("2026-03-05T03:30:00Z");
    let report = run(&world, &request(4), Some(&agreed)).unwrap();
    assert!(matches!(report.fates[..], [(_, Fate::Removed), (_, Fate::NotAgreed)]));
    assert_eq!(world.files().len(), 5);
}

fn a_database_of_another_tool_is_never_removed_nor_the_newest_good(world: World) {
    world.five_days();
    // An old copy, one that is newer than every archive, and a database that an application works on.
    for name in ["app_20260101T030000Z.db", "app_20260305T035000Z.db", "app.db"] {
        world.plain(name);
    }
    let report = run(&world, &request(0), None).unwrap();
    assert_eq!(report.fates.len(), 4);
    let kept = ["app.db", "app_20260101T030000Z.db", "app_20260305T030000Z.tar.gz", "app_20260305T035000Z.db"];
    assert_eq!(world.files(), kept);
    let verdicts: Vec<&str> = report.plan.kept().map(|verdict| verdict.archive.as_str()).collect();
    assert_eq!(verdicts, ["app_20260305T030000Z.tar.gz"], "it is no archive, so nothing is decided about it");
}

fn what_a_running_command_holds_stays_and_the_rest_goes(world: World) {
    world.five_days();
    let archive = ArchiveName::new("app_20260302T030000Z.tar.gz").unwrap();
    let held = Held { command: "guard".into(), archives: vec![archive], guarded: Vec::new() };
    let hold = world.repository().workspace().hold(&held).unwrap();
    run(&world, &request(1), None).unwrap();
    assert_eq!(world.files(), ["app_20260302T030000Z.tar.gz", "app_20260305T030000Z.tar.gz"]);
    drop(hold);
    run(&world, &request(1), None).unwrap();
    assert_eq!(world.files(), ["app_20260305T030000Z.tar.gz"]);
}
