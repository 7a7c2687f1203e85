//! Properties of every history.

use std::collections::BTreeSet;
use std::time::Duration;

use heirloom::metadata::Kind;
use heirloom::retention::{Action, Limits, Plan, Reach, Scene, Scope};
use heirloom::snapshot::Snapshot;
use heirloom::streams::Stream;

use super::dice::Dice;
use super::histories::{Decider, History, each};
use super::slow::{self, Store, newer};

pub type Names = BTreeSet<String>;

pub fn removed(plan: &Plan) -> Names {
    plan.removed().map(|verdict| verdict.archive.as_str().to_owned()).collect()
}

fn left(archives: &[Snapshot], removed: &Names) -> Vec<Snapshot> {
    archives.iter().filter(|archive| !removed.contains(archive.name.as_str())).cloned().collect()
}

/// Returns the archives that would be removed, and panics if a verdict has no reason.
fn removed_by(decider: &Decider, history: &History, archives: &[Snapshot]) -> Names {
    let plan = decider.plan(archives, &history.scene());
    assert!(
        plan.verdicts.iter().all(|verdict| !verdict.reasons.is_empty()),
        "seed {}: a verdict without a reason",
        history.seed
    );
    removed(&plan)
}

#[test]
fn nothing_differs_from_the_slow_implementation() {
    let mut count = 0;
    each(|history| {
        for decider in history.both() {
            let plan = decider.plan(&history.archives, &history.scene());
            let expected = slow::removed(&history.archives, decider, &history.scene());
            assert_eq!(removed(&plan), expected, "seed {}: {decider:?}, {:?}", history.seed, history.scene);
            let judged = |archive: &&Snapshot| !archive.is_plain() || history.scene.plain.contains(&archive.name);
            assert_eq!(
                plan.verdicts.len() + plan.left_alone,
                history.archives.iter().filter(judged).count(),
                "seed {}: each archive has a verdict or is counted",
                history.seed
            );
            assert_reasons_fit(history.seed, &plan);
            count += expected.len();
        }
    });
    println!("{count} removals");
    assert!(count > 60_000, "the histories are too uniform: {count} removals");
}

/// Panics if a kept archive has a reason to remove, or a removed one a reason to keep.
fn assert_reasons_fit(seed: u64, plan: &Plan) {
    for verdict in &plan.verdicts {
        let texts: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
        let removes = ["damaged", "damaged, read again", "its database is gone"];
        let is_removal = |text: &String| {
            removes.contains(&text.as_str())
                || ["beyond ", "newer one", "older than"].iter().any(|start| text.starts_with(start))
        };
        let fits = texts.iter().all(|text| is_removal(text) == (verdict.action == Action::Remove));
        assert!(fits, "seed {seed}: {} {texts:?}", verdict.archive);
    }
}

/// Panics if a plan removes an archive that must never be removed, judged independently: only by its attributes, not by
/// the rules.
pub fn assert_nothing_protected(
    seed: u64,
    archives: &[Snapshot],
    scene: &Scene<'_>,
    decider: &Decider,
    removed: &Names,
) {
    let store = Store::new(archives);
    let stays = |archive: &Snapshot| !removed.contains(archive.name.as_str());
    for archive in archives.iter().filter(|archive| !stays(archive)) {
        let what = format!("seed {seed}: {decider:?} removes {}, which is", archive.name);
        assert!(!archive.is_plain() || scene.plain.contains(&archive.name), "{what} a database of another tool");
        assert!(!store.held(archive), "{what} held");
        assert!(!store.pinned(archive), "{what} pinned");
        assert!(archive.created_at <= scene.now, "{what} dated in the future");
        assert!(!scene.ahead && !scene.sealed.contains(&archive.set), "{what} in a store where nothing may be removed");
        let copies = || store.copies(archive);
        assert!(copies().all(|copy| scene.made != Some(&copy.name)), "{what} an archive that this run created");
        let is_repaired = scene.condemned.contains(&archive.name)
            && copies().any(|copy| !copy.damaged && !scene.condemned.contains(&copy.name));
        if is_repaired && copies().any(|copy| !copy.damaged && stays(copy)) {
            continue;
        }
        assert!(copies().all(|copy| !stays(copy)), "{what} without its copies");
        let condemned = copies().all(|copy| scene.condemned.contains(&copy.name));
        for stream in archive.databases.iter().map(|brief| &brief.stream) {
            assert!(slow::covers(&scene.scope, stream), "{what} of another stream");
            let gone = scene.gone.get(stream);
            let newest_good = !archives
                .iter()
                .filter(|other| other.is_plain() == archive.is_plain() && slow::brief(other, stream).is_some())
                .any(|other| newer(other, archive) && store.good(other, scene.now) && stays(other));
            let removes_all = gone == Some(&heirloom::retention::GoneReach::RemoveAll);
            assert!(
                !newest_good || !store.good(archive, scene.now) || removes_all,
                "{what} the newest good one of {stream:?}"
            );
            assert!(archive.kind != Kind::Safety || removes_all || condemned, "{what} a safety backup");
        }
    }
    let streams: BTreeSet<&Stream> = archives
        .iter()
        .filter(|archive| !stays(archive))
        .flat_map(|archive| &archive.databases)
        .map(|brief| &brief.stream)
        .collect();
    for stream in streams.into_iter().filter(|stream| !scene.gone.contains_key(stream)) {
        assert_nothing_from_before_a_shrink(seed, &store, stream, scene, decider, removed);
    }
}

/// Panics if a plan removes an open shrink, or an archive from before it that the rules would have kept on the day of
/// the shrink.
fn assert_nothing_from_before_a_shrink(
    seed: u64,
    store: &Store<'_>,
    stream: &Stream,
    scene: &Scene<'_>,
    decider: &Decider,
    removed: &Names,
) {
    for shrink in slow::Line::new(store, stream, false, scene).open {
        assert!(
            !removed.contains(shrink.name.as_str()),
            "seed {seed}: {decider:?} removes the open shrink {}",
            shrink.name
        );
        let is_before = |other: &&Snapshot| {
            newer(shrink, other) && !slow::same(shrink, other) && slow::brief(other, stream).is_some()
        };
        let may_go = |archive: &&Snapshot| {
            archive.is_plain() || archive.kind == Kind::Safety || scene.condemned.contains(&archive.name)
        };
        let suspects = store
            .all
            .iter()
            .filter(is_before)
            .filter(|archive| removed.contains(archive.name.as_str()) && !may_go(archive));
        let suspects: Vec<&str> = suspects.map(|archive| archive.name.as_str()).collect();
        if suspects.is_empty() {
            continue;
        }
        let mut before: Vec<Snapshot> = store.all.iter().filter(is_before).cloned().collect();
        for other in &mut before {
            other.databases.retain(|brief| brief.stream == *stream);
        }
        let then = slow::removed(&before, decider, &Scene::new(shrink.created_at, scene.zone));
        for name in suspects {
            assert!(
                then.contains(name),
                "seed {seed}: {decider:?} removes {name} from before the open shrink {}",
                shrink.name
            );
        }
    }
}

#[test]
fn nothing_protected_is_removed() {
    each(|history| {
        for decider in history.both() {
            let removed = removed_by(decider, history, &history.archives);
            assert_nothing_protected(history.seed, &history.archives, &history.scene(), decider, &removed);
        }
    });
}

#[test]
fn repeating_a_plan_removes_nothing_more() {
    each(|history| {
        // A condemned archive can be the newest one; after its removal, another file is in use.
        let mut history = history.clone();
        history.scene.condemned.clear();
        for decider in history.both() {
            let once = removed_by(decider, &history, &history.archives);
            let again = removed_by(decider, &history, &left(&history.archives, &once));
            assert_eq!(again, Names::new(), "seed {}: {decider:?}", history.seed);
        }
    });
}

#[test]
fn the_order_of_the_archives_does_not_matter() {
    each(|history| {
        let mut shuffled = history.archives.clone();
        Dice::new(history.seed ^ 0x0d1ce).shuffle(&mut shuffled);
        for decider in history.both() {
            let plans = [&history.archives, &shuffled].map(|archives| decider.plan(archives, &history.scene()));
            assert_eq!(plans[0], plans[1], "seed {}: {decider:?}", history.seed);
        }
    });
}

#[test]
fn a_longer_reach_never_removes_more() {
    each(|history| {
        let mut dice = Dice::new(history.seed ^ 0x5eed);
        let longer: [Decider; 2] = match (&history.rotate, &history.cleanup) {
            (Decider::Rotate(reach), Decider::Cleanup(limits)) => {
                let mut more = |count: u32| if dice.chance(40) { count + dice.between(1, 3) as u32 } else { count };
                let reach = Reach {
                    last: more(reach.last),
                    hourly: more(reach.hourly),
                    daily: more(reach.daily),
                    weekly: more(reach.weekly),
                    monthly: more(reach.monthly),
                    yearly: more(reach.yearly),
                };
                let limits = Limits {
                    keep: limits.keep.map(&mut more).filter(|keep| keep % 7 != 3),
                    max_age: limits.max_age.map(|age| age + Duration::from_secs(u64::from(more(0)) * 86_400)),
                    max_size: limits.max_size.map(|bytes| bytes + u64::from(more(0)) * 1000),
                };
                [Decider::Rotate(reach), Decider::Cleanup(limits)]
            }
            _ => unreachable!("a history has one of each"),
        };
        for (shorter, longer) in history.both().into_iter().zip(&longer) {
            let more = removed_by(shorter, history, &history.archives);
            let less = removed_by(longer, history, &history.archives);
            assert!(
                less.is_subset(&more),
                "seed {}: only {longer:?} removes {:?}",
                history.seed,
                less.difference(&more)
            );
        }
    });
}

/// Returns the removed archives after a change to one archive, which is chosen by the history.
fn removed_after(history: &History, decider: &Decider, change: impl Fn(&mut Snapshot)) -> Names {
    let mut archives = history.archives.clone();
    change(&mut archives[one_of(history)]);
    removed_by(decider, history, &archives)
}

fn one_of(history: &History) -> usize {
    Dice::new(history.seed ^ 0x0b1e).index(history.archives.len())
}

/// Removes an archive and its copies from the names.
fn without(mut names: Names, one: &Snapshot, history: &History) -> Names {
    names.retain(|name| !history.archives.iter().any(|other| other.name.as_str() == name && slow::same(other, one)));
    names
}

#[test]
fn a_pin_never_removes_another_archive_and_a_hold_does_not_affect_others() {
    each(|history| {
        let one = &history.archives[one_of(history)];
        for decider in history.both() {
            let before = removed_by(decider, history, &history.archives);
            let pinned = removed_after(history, decider, |archive| archive.pinned = true);
            assert!(pinned.is_subset(&before), "seed {}: {decider:?}, pinned {}", history.seed, one.name);
            let held = removed_after(history, decider, |archive| archive.held = true);
            assert_eq!(held, without(before, one, history), "seed {}: {decider:?}, held {}", history.seed, one.name);
        }
    });
}

#[test]
fn a_damage_mark_never_removes_another_archive() {
    each(|history| {
        // A condemned archive is removed because of its mark, on request.
        let mut history = history.clone();
        history.scene.condemned.clear();
        let one = &history.archives[one_of(&history)];
        for decider in history.both() {
            let before = removed_by(decider, &history, &history.archives);
            let after = without(removed_after(&history, decider, |archive| archive.damaged = true), one, &history);
            assert!(after.is_subset(&before), "seed {}: {decider:?}, marked {}", history.seed, one.name);

            let mut sound = history.archives.clone();
            sound.iter_mut().for_each(|archive| archive.damaged = false);
            let without_marks = removed_by(decider, &history, &sound);
            assert!(before.is_subset(&without_marks), "seed {}: {decider:?}", history.seed);
        }
    });
}

#[test]
fn another_host_in_the_store_has_no_effect() {
    each(|history| {
        let host = history.archives[0].host.clone();
        let own: Vec<Snapshot> = history.archives.iter().filter(|archive| archive.host == host).cloned().collect();
        let mut history = history.clone();
        history.scene.scope = Scope { hosts: Some(vec![host]), ..history.scene.scope };
        for decider in history.both() {
            let alone = decider.plan(&own, &history.scene());
            let together = decider.plan(&history.archives, &history.scene());
            assert_eq!(alone.verdicts, together.verdicts, "seed {}: {decider:?}", history.seed);
            assert_eq!(alone.open_shrinks, together.open_shrinks, "seed {}: {decider:?}", history.seed);
        }
    });
}

#[test]
fn the_histories_cover_all_cases() {
    let mut found: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    each(|history| {
        let (archives, scene) = (&history.archives, &history.scene);
        let wall = |archive: &Snapshot| archive.created_at.with_timezone(&scene.zone).naive_local();
        let two = |test: &dyn Fn(&Snapshot, &Snapshot) -> bool| archives.windows(2).any(|two| test(&two[0], &two[1]));
        let any = |test: &dyn Fn(&Snapshot) -> bool| archives.iter().any(test);
        let brief =
            |test: &dyn Fn(&heirloom::snapshot::Brief) -> bool| any(&|archive| archive.databases.iter().any(test));
        let streams: BTreeSet<&Stream> =
            archives.iter().flat_map(|archive| &archive.databases).map(|brief| &brief.stream).collect();
        let open = || history.rotate.plan(archives, &Scene::new(scene.now, scene.zone)).open_shrinks;
        let mut note = |what, holds| *found.entry(what).or_default() += usize::from(holds);
        note("equal times", two(&|a, b| a.created_at == b.created_at));
        note("a clock set back", two(&|a, b| a.created_at > b.created_at));
        note("a doubled hour", two(&|a, b| a.created_at < b.created_at && wall(a) >= wall(b)));
        note("future dates", any(&|archive| archive.created_at > scene.now));
        note("safety backups alone", archives.iter().all(|archive| archive.kind == Kind::Safety));
        note("pre-update", any(&|archive| archive.kind == Kind::PreUpdate));
        note("several hosts", two(&|a, b| a.host != b.host));
        let under =
            |folder: &str| streams.iter().any(|stream| stream.path().is_some_and(|path| path.starts_with(folder)));
        note("several paths", under("/srv/one") && under("/srv/two"));
        note("streams by file", brief(&|brief| brief.stream.file.is_some()));
        note("several files in a stream", {
            let files = |stream: &Stream| -> BTreeSet<_> {
                archives.iter().filter_map(|archive| slow::brief(archive, stream)?.file.clone()).collect()
            };
            streams.iter().any(|stream| files(stream).len() > 1)
        });
        note(
            "a set that changed",
            two(&|a, b| a.set == b.set && a.host == b.host && a.set_databases != b.set_databases),
        );
        note("partial archives", any(&|archive| archive.databases.len() < archive.set_databases.len()));
        note("plain files", any(&Snapshot::is_plain));
        note("plain files included", !scene.plain.is_empty());
        note("the old tool", any(&|archive| archive.origin == heirloom::snapshot::Origin::Legacy));
        note("copies", archives.iter().any(|a| archives.iter().any(|b| a.name != b.name && slow::same(a, b))));
        note("an open shrink", !open().is_empty());
        note("several open shrinks", open().len() > 2);
        note("an accepted archive", any(&|archive| archive.accepted));
        note("shrinks off", !scene.shrinks_off.is_empty());
        note("pinned", any(&|archive| archive.pinned));
        note("held", any(&|archive| archive.held));
        note("damaged", any(&|archive| archive.damaged));
        note("damaged alone", archives.len() > 1 && archives.iter().all(|archive| archive.damaged));
        note("a scope", scene.scope != Scope::everything());
        note(
            "a scope with a part of an archive",
            any(&|archive| {
                let covered =
                    archive.databases.iter().filter(|brief| slow::covers(&scene.scope, &brief.stream)).count();
                covered > 0 && covered < archive.databases.len()
            }),
        );
        note("made by this run", history.made.is_some());
        note("a newer format", !scene.sealed.is_empty());
        note("young ones stay", scene.youngest.is_some());
        note("gone databases", !scene.gone.is_empty());
        note("condemned", !scene.condemned.is_empty());
        note("a clock ahead", scene.ahead);
    });
    println!("{found:#?}");
    for (what, count) in found {
        let least = if ["safety backups alone", "damaged alone"].contains(&what) { 10 } else { 150 };
        assert!(count > least, "only {count} histories with {what}");
    }
}
