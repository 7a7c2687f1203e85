//! A host whose disk does not survive: each start restores, the application writes, and the disk is thrown away.
//!
//! `HEIRLOOM_RUN_CYCLES` sets the number of cycles.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::connect_server::{ALICE, Connect, Parts};
use crate::run_world::{Run, acks, application_pid, kill, nobody_is_left, world};
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::{Kind, place};
use crate::tools::installed;
use crate::world::World;

const CYCLES: u64 = 7;
/// Without a lease; the third one is killed.
const PIN_CYCLES: u64 = 4;

#[test]
fn an_ephemeral_host_with_a_bucket_loses_what_came_after_the_last_backup_and_nothing_else() {
    let promise = "cycles of an ephemeral host";
    let Some(place) = place(Kind::Seaweed, promise).filter(|_| installed(promise, &["python3"])) else { return };
    let proxy = Proxy::before(place.port);
    let mut world = world();
    for (name, value) in &place.variables {
        world.env(name, value);
    }
    world.env("HEIRLOOM_DIR", &place.behind(proxy.port).url);
    live(&world, &proxy, CYCLES);
}

#[test]
fn an_ephemeral_host_with_a_pin_loses_what_came_after_the_last_backup_and_nothing_else() {
    if !installed("cycles of an ephemeral host with a pin", &["python3"]) {
        return;
    }
    let server = Connect::start(Parts::Given);
    let proxy = Proxy::before(server.port);
    let mut world = world();
    world.env("HEIRLOOM_DIR", "connect:").env("CONNECT_SERVER", &format!("http://127.0.0.1:{}", proxy.port));
    world.env("CONNECT_USERNAME", "alice").env("CONNECT_API_KEY", ALICE);
    live(&world, &proxy, PIN_CYCLES);
}

/// Lives on a host that is thrown away again and again; the store is away in a tenth of its lives.
fn live(world: &World, proxy: &Proxy, cycles: u64) {
    fs::write(world.path("heirloom.toml"), "[run]\nrestore_wait = '1s'\nlease_wait = '80s'\n").unwrap();
    let cycles = std::env::var("HEIRLOOM_RUN_CYCLES").map_or(cycles, |text| text.parse().unwrap());
    // What is in the store for certain, and what may be.
    let (mut saved, mut written) = (0, 0);
    let mut lost = 0;
    for cycle in 0..cycles {
        let is_away = cycle % 10 == 4;
        proxy.set(move |_| Some(Fault::Cut).filter(|_| is_away));
        for name in ["app.db", "app.db-wal", "app.db-shm", "app.db-journal", "acks", "pid"] {
            let _ = fs::remove_file(world.path(name));
        }
        // A host that is stopped in time gives its lease back, one that is killed does not: the state survives there.
        if cycle % 3 != 0 {
            let _ = fs::remove_dir_all(world.path("../state"));
        }
        let mode = if cycle % 2 == 0 { "wal" } else { "delete" };
        let mut run = Run::application(world, &["--every", "1s"], mode, "5");
        if is_away {
            assert_eq!(run.code(), 16, "cycle {cycle}: {}", run.said());
            assert!(!world.path("app.db").exists() && !world.path("acks").exists(), "cycle {cycle}");
            continue;
        }
        run.acknowledged(world, 30);
        let first = acks(&world.work())[0].0;
        assert!(first > saved && first <= written + 1, "cycle {cycle}: {saved} {first} {written}\n{}", run.said());
        lost += written + 1 - first;
        run.says("saved app_");
        if cycle % 3 == 2 {
            let known = acks(&world.work()).last().unwrap().0;
            let count = |run: &Run| run.said().matches("saved app_").count();
            // The next one may have started already, the one after that has not.
            let enough = count(&run) + 2;
            run.until(|run| count(run) >= enough, "two more backups");
            saved = known;
            thread::sleep(Duration::from_millis(37 * (cycle % 7)));
            run.signal(Signal::KILL);
            kill(application_pid(world).unwrap(), Signal::KILL);
            assert_eq!(run.code(), 137);
            nobody_is_left(world);
            written = acks(&world.work()).last().unwrap().0 + 1;
        } else {
            run.signal(Signal::TERM);
            assert_eq!(run.code(), 7, "cycle {cycle}: {}", run.said());
            written = acks(&world.work()).last().unwrap().0;
            // It ended in time: everything is there.
            saved = written;
        }
    }
    eprintln!("{cycles} cycles, {written} rows, {lost} lost");
}
