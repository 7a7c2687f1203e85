//! What must hold for every history.

use std::collections::BTreeSet;
use std::time::Duration;

use heirloom::metadata::Kind;
use heirloom::retention::{Action, Limits, Plan, Reach, Reason};
use heirloom::snapshot::Snapshot;

use crate::histories::{Decider, Dice, History, each};
use crate::slow;

fn kept(plan: &Plan) -> BTreeSet<String> {
    plan.kept().map(|verdict| verdict.archive.as_str().to_owned()).collect()
}

fn left(archives: &[Snapshot], plan: &Plan) -> Vec<Snapshot> {
    let kept = kept(plan);
    archives.iter().filter(|archive| kept.contains(archive.name.as_str())).cloned().collect()
}

fn both(history: &History) -> [&Decider; 2] {
    [&history.rotate, &history.cleanup]
}

#[test]
fn nothing_differs_from_the_slow_implementation() {
    let mut removed = 0;
    each(|history| {
        for decider in both(history) {
            let plan = decider.plan(&history.archives, history.now, history.zone);
            let expected = slow::kept(&history.archives, decider, history.now, history.zone);
            assert_eq!(kept(&plan), expected, "seed {}: {decider:?}, now {}, {}", history.seed, history.now, history.zone);
            assert_eq!(plan.verdicts.len(), history.archives.len(), "seed {}", history.seed);
            removed += plan.removed().count();
        }
    });
    assert!(removed > 100_000, "the histories are too tame: {removed} removals");
}

#[test]
fn the_newest_good_archive_of_every_group_stays_and_every_verdict_has_a_reason() {
    each(|history| {
        for decider in both(history) {
            let plan = decider.plan(&history.archives, history.now, history.zone);
            let kept = kept(&plan);
            for archive in &history.archives {
                let group = || history.archives.iter().filter(|other| other.same_group(archive));
                let newest = group().filter(|other| slow::good(other, history.now)).reduce(|a, b| if slow::newer(a, b) { a } else { b });
                assert!(newest.is_none_or(|newest| kept.contains(newest.name.as_str())), "seed {}: {decider:?}", history.seed);
                let stays = kept.contains(archive.name.as_str());
                assert!(stays || !archive.pinned && archive.created_at <= history.now, "seed {}: {}", history.seed, archive.name);
                assert!(stays || !archive.damaged || newest.is_some_and(|newest| slow::newer(newest, archive)), "seed {}", history.seed);
            }
            for verdict in &plan.verdicts {
                assert!(!verdict.reasons.is_empty(), "seed {}: {}", history.seed, verdict.archive);
                let protected = verdict
                    .reasons
                    .iter()
                    .any(|reason| matches!(reason, Reason::NewestGood | Reason::Pinned | Reason::Future | Reason::DamagedButNewest));
                assert!(!protected || verdict.action == Action::Keep, "seed {}: {}", history.seed, verdict.archive);
            }
        }
    });
}

#[test]
fn twice_is_once() {
    each(|history| {
        for decider in both(history) {
            let once = decider.plan(&history.archives, history.now, history.zone);
            let again = decider.plan(&left(&history.archives, &once), history.now, history.zone);
            assert_eq!(again.removed().count(), 0, "seed {}: {decider:?}", history.seed);
            let first: Vec<_> = once.kept().map(|verdict| (&verdict.archive, &verdict.reasons)).collect();
            let second: Vec<_> = again.kept().map(|verdict| (&verdict.archive, &verdict.reasons)).collect();
            assert_eq!(first, second, "seed {}: the reasons changed", history.seed);
        }
    });
}

#[test]
fn a_longer_reach_never_removes_more() {
    each(|history| {
        let mut dice = Dice::new(history.seed ^ 0x5eed);
        let longer: [Decider; 2] = match (&history.rotate, &history.cleanup) {
            (Decider::Rotate(reach, safety), Decider::Cleanup(limits)) => {
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
                    safety: limits.safety.map(&mut more),
                };
                [Decider::Rotate(reach, more(*safety)), Decider::Cleanup(limits)]
            }
            _ => unreachable!("a history has one of each"),
        };
        for (shorter, longer) in both(history).into_iter().zip(&longer) {
            let less = kept(&shorter.plan(&history.archives, history.now, history.zone));
            let more = kept(&longer.plan(&history.archives, history.now, history.zone));
            assert!(less.is_subset(&more), "seed {}: {shorter:?} keeps {:?} and {longer:?} does not", history.seed, less.difference(&more));
        }
    });
}

/// A run after every backup, each by the clock of its time, then one at the end; against the one at the end alone.
#[test]
fn rotating_after_every_backup_leaves_what_rotating_once_leaves() {
    each(|history| {
        // A clock that is behind at the end would call archives future that an earlier run has removed.
        let newest = history.archives.iter().map(|archive| archive.created_at).max().unwrap();
        let end = history.now.max(newest);
        for decider in both(history) {
            let mut existing: Vec<Snapshot> = Vec::new();
            for made in &history.archives {
                existing.push(made.clone());
                let plan = decider.plan(&existing, made.created_at, history.zone);
                for gone in plan.removed() {
                    existing.retain(|archive| archive.name != gone.archive);
                }
            }
            let often = kept(&decider.plan(&existing, end, history.zone));
            let once = kept(&decider.plan(&history.archives, end, history.zone));
            let sized = matches!(decider, Decider::Cleanup(Limits { max_size: Some(_), .. }));
            if sized && !history.archives.is_sorted_by_key(|archive| archive.created_at) {
                // A big archive that is gone leaves room for an older one, if a clock that was set back makes that one later.
                assert!(once.is_subset(&often), "seed {}: {decider:?}, end {end}, {}", history.seed, history.zone);
            } else {
                assert_eq!(often, once, "seed {}: {decider:?}, end {end}, {}", history.seed, history.zone);
            }
        }
    });
}

#[test]
fn a_pin_never_costs_another_archive_its_place() {
    each(|history| {
        for decider in both(history) {
            let mut dice = Dice::new(history.seed ^ 0x0b1e);
            let before = kept(&decider.plan(&history.archives, history.now, history.zone));
            let mut pinned = history.archives.clone();
            let index = dice.between(0, pinned.len() as u64 - 1) as usize;
            pinned[index].pinned = true;
            let after = kept(&decider.plan(&pinned, history.now, history.zone));
            assert!(before.is_subset(&after), "seed {}: {decider:?}, pinned {}", history.seed, pinned[index].name);
        }
    });
}

#[test]
fn the_histories_hold_what_they_promise() {
    let (mut equal, mut future, mut back, mut doubled, mut safety_only) = (0, 0, 0, 0, 0);
    each(|history| {
        let archives = &history.archives;
        equal += usize::from(archives.windows(2).any(|two| two[0].created_at == two[1].created_at));
        back += usize::from(archives.windows(2).any(|two| two[0].created_at > two[1].created_at));
        future += usize::from(archives.iter().any(|archive| archive.created_at > history.now));
        let wall = |archive: &Snapshot| archive.created_at.with_timezone(&history.zone).naive_local();
        doubled += usize::from(archives.windows(2).any(|two| two[0].created_at < two[1].created_at && wall(&two[0]) >= wall(&two[1])));
        safety_only += usize::from(archives.iter().all(|archive| archive.kind == Kind::Safety));
    });
    println!(
        "of all: {equal} with equal times, {back} with a clock set back, {future} with future dates, {doubled} through a doubled hour, {safety_only} of safety backups alone"
    );
    assert!(equal > 300 && back > 2000 && future > 1000 && doubled > 300 && safety_only > 5);
}
