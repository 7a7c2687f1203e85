//! Runs of several hosts, each of which runs `backup && rotate` or `backup && cleanup`, and sometimes only `rotate`, on
//! the archives that they share. Each removes what its plan says, and the next one starts with the remaining archives.

use std::collections::BTreeSet;

use heirloom::metadata::{Extent, Kind};
use heirloom::retention::{Limits, Scene, Scope};
use heirloom::snapshot::Snapshot;
use heirloom::streams::Stream;

use super::histories::{Decider, each_seed, history, limits, reach};
use super::properties::{assert_nothing_protected, removed};
use super::slow;
use super::world::World;

/// Counters over all runs.
#[derive(Debug, Default)]
struct Seen {
    runs: usize,
    removed: usize,
    beside_other_hosts: usize,
    beside_open_shrinks: usize,
    by_file: usize,
    most_in_a_stream: usize,
}

#[test]
fn backup_and_rotate_on_several_hosts_never_remove_protected_archives() {
    let mut seen = Seen::default();
    each_seed(|seed| run(seed, &mut seen));
    println!("{seen:#?}");
    assert!(seen.removed > 20_000 && seen.beside_other_hosts > 5000, "the runs are too uniform");
    assert!(seen.beside_open_shrinks > 3000 && seen.by_file > 3000, "the runs are too uniform");
}

fn run(seed: u64, seen: &mut Seen) {
    let mut world = World::new(seed ^ 0xa11);
    let deciders = [Decider::Rotate(reach(&mut world.dice)), Decider::Cleanup(limits(&mut world.dice, world.step))];
    let decider = world.dice.pick(&deciders);
    let longest = world.dice.pick(&[10, 20, 30]);
    for _ in 0..world.dice.between(1, longest) {
        world.wait();
        let made = world.backup();
        world.meddle();
        let streams: BTreeSet<Stream> = made.databases.iter().map(|brief| brief.stream.clone()).collect();
        seen.by_file += usize::from(streams.iter().any(|stream| stream.file.is_some()));
        // A damaged database must not push out good archives of itself.
        if !made.damaged {
            let scene = Scene {
                scope: Scope { streams: Some(streams.clone()), ..Scope::everything() },
                made: Some(&made.name),
                ..Scene::new(world.clock, world.zone)
            };
            carry_out(seed, &mut world.store, &decider, &scene, seen);
        }
        if world.dice.chance(10) {
            let scope = Scope { hosts: Some(vec![made.host.clone()]), ..Scope::everything() };
            let scene = Scene { scope, ..Scene::new(world.clock, world.zone) };
            carry_out(seed, &mut world.store, &decider, &scene, seen);
        }
    }
}

fn carry_out(seed: u64, store: &mut Vec<Snapshot>, decider: &Decider, scene: &Scene<'_>, seen: &mut Seen) {
    let plan = decider.plan(store, scene);
    let removed = removed(&plan);
    // Only for every second one, because it takes long.
    if seed.is_multiple_of(2) {
        assert_eq!(removed, slow::removed(store, decider, scene), "seed {seed}: {decider:?}");
    }
    assert_nothing_protected(seed, store, scene, decider, &removed);
    seen.runs += 1;
    seen.removed += removed.len();
    seen.beside_other_hosts += usize::from(plan.left_alone > 0 && !removed.is_empty());
    seen.beside_open_shrinks += usize::from(!plan.open_shrinks.is_empty());
    store.retain(|archive| !removed.contains(archive.name.as_str()));
    for stream in plan.streams() {
        seen.most_in_a_stream = seen.most_in_a_stream.max(plan.of_stream(stream).kept().count());
    }
}

/// The features of a history that make the result depend on when archives were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    shrinks: bool,
    files: bool,
    clock_back: bool,
    sized: bool,
}

/// Compares a run after every backup, each with the clock of its time, and one at the end, with a single run at the
/// end.
#[test]
fn rotating_after_every_backup_has_the_same_result_as_rotating_once() {
    let mut found: std::collections::BTreeMap<Class, usize> = std::collections::BTreeMap::new();
    each_seed(|seed| {
        let history = history(seed);
        // Only an existing archive can be copied, and a copy is not marked separately.
        let mut ids = BTreeSet::new();
        let archives: Vec<Snapshot> =
            history.archives.iter().filter(|archive| archive.id.is_none_or(|id| ids.insert(id))).cloned().collect();
        // A clock that is behind at the end would see archives in the future that an earlier run has removed.
        let newest = archives.iter().map(|archive| archive.created_at).max().unwrap();
        let end = Scene::new(history.scene.now.max(newest), history.scene.zone);
        let decider = history.both()[seed as usize % 2];
        let mut existing: Vec<Snapshot> = Vec::new();
        for made in &archives {
            existing.push(made.clone());
            let gone = removed(&decider.plan(&existing, &Scene::new(made.created_at, end.zone)));
            existing.retain(|archive| !gone.contains(archive.name.as_str()));
        }
        let gone = removed(&decider.plan(&existing, &end));
        let names = |archives: &[Snapshot], gone: &BTreeSet<String>| -> BTreeSet<String> {
            archives
                .iter()
                .map(|archive| archive.name.as_str().to_owned())
                .filter(|name| !gone.contains(name))
                .collect()
        };
        let often = names(&existing, &gone);
        let once = names(&archives, &removed(&decider.plan(&archives, &end)));
        let class = class(&archives, decider);
        *found.entry(class).or_default() += 1;
        let what = format!("seed {seed}: {decider:?}, {class:?}, end {}, {}", end.now, end.zone);
        match class {
            // An older shrink that is created later, by a clock that was set back, finds fewer archives.
            Class { shrinks: true, clock_back: true, .. } => {}
            // Removing a big archive makes room for an older one that was kept for another reason for a while.
            Class { files: false, sized: true, .. } => assert!(once.is_subset(&often), "{what}"),
            Class { files: false, sized: false, .. } => assert_eq!(often, once, "{what}"),
            // The file of the newest archive changes, and so do the archives that the week protects.
            Class { shrinks: false, files: true, sized: false, .. } => assert!(often.is_subset(&once), "{what}"),
            _ => {}
        }
    });
    println!("{found:#?}");
    let plain: usize = found.iter().filter(|(class, _)| !class.shrinks && !class.files).map(|(_, count)| count).sum();
    assert!(found.len() == 16 && plain > 3000, "the histories are too uniform");
}

fn class(archives: &[Snapshot], decider: &Decider) -> Class {
    let briefs =
        || archives.iter().filter(|archive| archive.kind != Kind::Safety).flat_map(|archive| &archive.databases);
    let is_shrink = |brief: &heirloom::snapshot::Brief| {
        let after = brief.bytes.map(|bytes| Extent { rows: brief.rows, bytes });
        brief
            .previous
            .zip(after)
            .is_some_and(|(before, after)| heirloom::retention::fell_from(&before, &after).is_some())
    };
    Class {
        shrinks: briefs().any(is_shrink),
        files: briefs().any(|a| {
            a.file.is_some() && briefs().any(|b| a.stream == b.stream && b.file.is_some() && a.file != b.file)
        }),
        clock_back: !archives.is_sorted_by_key(|archive| archive.created_at),
        sized: matches!(decider, Decider::Cleanup(Limits { max_size: Some(_), .. })),
    }
}
