//! The lease of `run` in a bucket: instances on different machines, each with a disk of its own.
//!
//! `HEIRLOOM_ROLLING_UPDATES` sets the number of updates.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::run_world::{Run, acks, kill, live, world};
use crate::servers::{Kind, place};
use crate::tools::{have, installed};
use crate::world::World;

const UPDATES: usize = 8;

/// A world whose store is a bucket, with the same host label on all machines.
fn shared(kind: Kind, promise: &str) -> Option<World> {
    let place = place(kind, promise)?;
    let mut world = world();
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    world.env("HEIRLOOM_DIR", &place.url).env("HEIRLOOM_HOST", "web");
    Some(world)
}

/// Prepares a command on a machine with this number: its working folder has the same path on all machines, but is its
/// own, and so is its state.
fn on_machine(world: &World, number: usize, words: &[&str]) -> Command {
    let disk = world.path(format!("../disk-{number}"));
    fs::create_dir_all(disk.join("state")).unwrap();
    fs::copy(world.path("app.py"), disk.join("app.py")).unwrap();
    let mut inside = live(world, words);
    inside.env("HEIRLOOM_STATE_DIR", world.path("state"));
    let mut outside = Command::new("unshare");
    let script = "mount --bind \"$1\" \"$2\" && cd \"$2\" && shift 2 && exec \"$@\"";
    outside.args(["-m", "sh", "-c", script, "sh"]).arg(&disk).arg(world.work());
    outside.arg(inside.get_program()).args(inside.get_args()).current_dir(world.work()).env_clear();
    outside.envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outside
}

fn instance(world: &World, number: usize, mode: &str) -> Run {
    let words = ["run", "--every", "1s", "--", "python3", "app.py", mode, "app.db", "acks", "10"];
    Run::start(world, &mut on_machine(world, number, &words))
}

/// The first and the last number that the application on a machine acknowledged.
fn numbers(world: &World, machine: usize) -> (i64, i64) {
    let acks = acks(&world.path(format!("../disk-{machine}")));
    (acks[0].0, acks[acks.len() - 1].0)
}

fn has_written(world: &World, machine: usize) -> bool {
    acks(&world.path(format!("../disk-{machine}"))).len() > 20
}

#[test]
fn in_rolling_updates_each_instance_goes_on_where_the_last_one_ended() {
    let promise = "rolling updates";
    if !have(promise, &["unshare", "python3"]) {
        return;
    }
    let Some(world) = shared(Kind::Seaweed, promise) else { return };
    let updates = std::env::var("HEIRLOOM_ROLLING_UPDATES").map_or(UPDATES, |text| text.parse().unwrap());
    let mut old = instance(&world, 0, "wal");
    for number in 1..=updates {
        old.until(|_| has_written(&world, number - 1), "the application writes");
        let mut new = instance(&world, number, if number % 2 == 0 { "wal" } else { "delete" });
        new.says("waiting for another run of this store to end: process ");
        old.signal(Signal::TERM);
        assert_eq!(old.code(), 7, "{}", old.said());
        new.until(|_| has_written(&world, number), "the application writes");
        let (before, after) = (numbers(&world, number - 1), numbers(&world, number));
        assert_eq!(before.1 + 1, after.0, "update {number}\n{}\n{}", old.said(), new.said());
        old = new;
    }
    old.signal(Signal::TERM);
    assert_eq!(old.code(), 7, "{}", old.said());
}

#[test]
fn an_instance_that_waits_in_vain_names_the_other_one_and_restores_nothing() {
    let promise = "a lease that another run holds";
    if !have(promise, &["unshare", "python3"]) {
        return;
    }
    let Some(world) = shared(Kind::Seaweed, promise) else { return };
    let mut first = instance(&world, 0, "wal");
    first.until(|_| has_written(&world, 0), "the application writes");
    let disk = world.path("../disk-1");
    fs::create_dir_all(&disk).unwrap();
    fs::write(disk.join("heirloom.toml"), "[run]\nlease_wait = '1s'\n").unwrap();
    let mut second = instance(&world, 1, "wal");
    assert_eq!(second.code(), 11, "{}", second.said());
    assert!(second.said().contains("another run saves into the store \"s3:"), "{}", second.said());
    assert!(!disk.join("app.db").exists() && !disk.join("acks").exists());
    // Another host label has a lease of its own.
    let mut words = on_machine(&world, 2, &["run", "--", "sh", "-c", "exit 5"]);
    let mut other = Run::start(&world, words.env("HEIRLOOM_HOST", "staging"));
    // There are archives of another host only.
    assert_eq!(other.code(), 12, "{}", other.said());
    first.signal(Signal::TERM);
    assert_eq!(first.code(), 7, "{}", first.said());
}

#[test]
fn a_machine_that_is_lost_is_followed_when_its_lease_expires() {
    let promise = "a lease that expires";
    if !have(promise, &["unshare", "python3"]) {
        return;
    }
    let Some(world) = shared(Kind::Seaweed, promise) else { return };
    let mut lost = instance(&world, 0, "wal");
    lost.says("saved app_");
    lost.until(|_| has_written(&world, 0), "the application writes");
    lost.signal(Signal::KILL);
    let pid: u32 = fs::read_to_string(world.path("../disk-0/pid")).unwrap().parse().unwrap();
    kill(pid, Signal::KILL);
    assert_eq!(lost.code(), 137);
    // On the same machine nobody has to wait: its lock shows that the first one is dead.
    let mut again = instance(&world, 0, "wal");
    again.says("started python3");
    assert!(!again.said().contains("waiting"), "{}", again.said());
    again.says("saved app_");
    again.signal(Signal::KILL);
    kill(fs::read_to_string(world.path("../disk-0/pid")).unwrap().parse().unwrap(), Signal::KILL);
    assert_eq!(again.code(), 137);
    let mut next = instance(&world, 1, "wal");
    next.says("waiting for another run");
    next.says("restored app from");
    next.until(|_| has_written(&world, 1), "the application writes");
    assert!(numbers(&world, 1).0 > 1, "{}", next.said());
    next.signal(Signal::TERM);
    assert_eq!(next.code(), 7, "{}", next.said());
}

#[test]
fn a_store_without_leases_says_so_and_a_store_that_is_away_does_not_delay_the_application() {
    let promise = "a store without leases";
    if !installed(promise, &["python3"]) {
        return;
    }
    if let Some(world) = shared(Kind::FakeGcs, promise) {
        world.database("app.db");
        let ran = world.run(&mut live(&world, ["run", "--", "sh", "-c", "exit 5"])).exits(5);
        ran.says("does not keep two instances on different machines apart: run only one");
    }
    let Some(mut world) = shared(Kind::Seaweed, promise) else { return };
    world.env("HEIRLOOM_DIR", "s3://tests/away?endpoint=http://127.0.0.1:1");
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[schedule]\non_start = false\nfinal = false\n").unwrap();
    let away = "the lease of this run cannot be renewed";
    let mut run = Run::start(
        &world,
        &mut live(&world, ["run", "--", "sh", "-c", "while ! test -e go; do sleep 0.05; done; exit 5"]),
    );
    run.says("started sh");
    run.says(away);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(run.code(), 5, "{}", run.said());
}
