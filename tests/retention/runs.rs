//! Runs: several hosts, each of which runs `backup && rotate` or `backup && cleanup` on the archives that all of them share, and
//! sometimes `rotate` alone. Each removes what its plan says, and the next one finds what is left.

use std::collections::BTreeSet;

use heirloom::retention::{Scene, Scope};
use heirloom::snapshot::Snapshot;
use heirloom::streams::Stream;

use crate::histories::{Decider, each_seed, limits, reach};
use crate::properties::{assert_nothing_precious, removed};
use crate::slow;
use crate::world::World;

/// What is counted over all runs.
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
fn backup_and_rotate_on_several_hosts_remove_nothing_precious() {
    let mut seen = Seen::default();
    each_seed(|seed| run(seed, &mut seen));
    println!("{seen:#?}");
    assert!(seen.removed > 20_000 && seen.beside_other_hosts > 5000, "the runs are too tame");
    assert!(seen.beside_open_shrinks > 3000 && seen.by_file > 3000, "the runs are too tame");
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
        // A damaged database must not push good archives of it out.
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
    assert_eq!(removed, slow::removed(store, decider, scene), "seed {seed}: {decider:?}");
    assert_nothing_precious(seed, store, scene, decider, &removed);
    seen.runs += 1;
    seen.removed += removed.len();
    seen.beside_other_hosts += usize::from(plan.left_alone > 0 && !removed.is_empty());
    seen.beside_open_shrinks += usize::from(!plan.open_shrinks.is_empty());
    store.retain(|archive| !removed.contains(archive.name.as_str()));
    for stream in plan.streams() {
        seen.most_in_a_stream = seen.most_in_a_stream.max(plan.of_stream(stream).kept().count());
    }
}
