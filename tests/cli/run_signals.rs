//! Signals under `heirloom run`, at each phase of its life.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::run_world::{Run, acks, live, newest_saved, nobody_is_left, world};
use crate::terminal::type_at;
use crate::tools::installed;
use crate::world::World;

/// Counts every signal, and ends at the file `go`.
const COUNTER: &str = r#"
import os, signal, sys, time
seen = {}
def note(number, frame): seen[number] = seen.get(number, 0) + 1
names = "SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGWINCH SIGINT SIGTERM".split()
numbers = [getattr(signal, name) for name in names]
for number in numbers: signal.signal(number, note)
print("ready", file=sys.stderr, flush=True)
until = time.time() + float(sys.argv[1])
while not os.path.exists("go") and time.time() < until or "all" in sys.argv and len(seen) < len(numbers):
    time.sleep(0.01)
    if sys.argv[2:] == ["int"] and seen: time.sleep(1); break
print(" ".join("%s=%d" % (signal.Signals(n).name, seen.get(n, 0)) for n in numbers), file=sys.stderr, flush=True)
sys.exit(7)
"#;

fn counter(world: &World, options: &[&str], more: &[&str]) -> std::process::Command {
    fs::write(world.path("counter.py"), COUNTER).unwrap();
    let words = ["--", "python3", "counter.py", "60"];
    live(world, ["run"].iter().chain(options).chain(&words).chain(more))
}

#[test]
fn every_signal_reaches_the_application_once() {
    if !installed("signals are passed on", &["python3"]) {
        return;
    }
    let world = world();
    let mut run = Run::start(&world, &mut counter(&world, &[], &["all"]));
    run.says("ready");
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::QUIT, Signal::INT, Signal::TERM] {
        run.signal(signal);
    }
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(run.code(), 7, "{}", run.said());
    let counted = "SIGHUP=1 SIGQUIT=1 SIGUSR1=1 SIGUSR2=1 SIGWINCH=1 SIGINT=1 SIGTERM=1";
    assert!(run.said().contains(counted), "{}", run.said());
}

#[test]
fn ctrl_c_reaches_the_application_once() {
    if !installed("Ctrl-C at a terminal", &["python3", "setsid"]) {
        return;
    }
    let world = world();
    let screen = type_at("ready", &counter(&world, &[], &["int"]), "\u{3}");
    assert!(screen.text.contains("SIGINT=1 "), "{}", screen.text);
    assert_eq!(screen.code, 7, "{}", screen.text);
}

/// Leaves the group of the terminal, which then does not reach it, and counts until the signal has led to a backup.
const APART: &str = r#"
import glob, os, signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
os.setpgrp()
print("ready", file=sys.stderr, flush=True)
while not glob.glob("backups/*.tar*"): time.sleep(0.01)
print("interrupted %d times" % len(seen), file=sys.stderr, flush=True)
sys.exit(7)
"#;

/// Two signals in a moment arrive as one, so the other test cannot see whether there were two.
#[test]
fn a_signal_of_the_terminal_is_not_sent_again() {
    if !installed("Ctrl-C at a terminal", &["python3", "setsid"]) {
        return;
    }
    let world = world();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[run]\ngrace = '80s'\n[schedule]\non_start = false\n").unwrap();
    fs::write(world.path("apart.py"), APART).unwrap();
    let screen = type_at("ready", &live(&world, ["run", "--", "python3", "apart.py"]), "\u{3}");
    assert!(screen.text.contains("interrupted 0 times"), "{}", screen.text);
    assert_eq!(screen.code, 7, "{}", screen.text);
}

#[test]
fn a_stop_while_the_store_is_waited_for_starts_nothing() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let mut run = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
        run.says("trying again");
        run.signal(signal);
        assert_eq!(run.code(), code, "{}", run.said());
        assert!(!world.path("started").exists());
        nobody_is_left(&world);
    }
}

#[test]
fn a_stop_while_another_run_is_waited_for_starts_nothing() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    let wait = "while ! test -e go; do sleep 0.05; done";
    let mut first = Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", wait]));
    first.says("started sh");
    for (signal, code) in [(Signal::TERM, 143), (Signal::QUIT, 131)] {
        let mut second = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
        second.says("waiting for another run");
        second.signal(signal);
        assert_eq!(second.code(), code, "{}", second.said());
    }
    assert!(!world.path("started").exists());
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(first.code(), 0, "{}", first.said());
}

/// A large database, whose restore and backup take long enough for a signal in the middle.
fn large(world: &World) {
    world.sql(
        "app.db",
        "CREATE TABLE big(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
         INSERT INTO big SELECT randomblob(8000) FROM n;",
    );
}

#[test]
fn a_stop_during_the_restore_leaves_no_database_or_a_whole_one() {
    let world = world();
    large(&world);
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
    run.until(|_| world.files(".").iter().any(|name| name.starts_with(".heirloom-")), "the restore began");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 143, "{}", run.said());
    assert!(!world.path("started").exists());
    nobody_is_left(&world);
    if world.path("app.db").exists() {
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM big"), "4000");
    }
    world.run(&mut live(&world, ["run", "--", "touch", "started"])).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM big"), "4000");
}

#[test]
fn a_stop_during_a_backup_waits_for_it_and_saves_the_rest() {
    if !installed("a stop during a backup", &["python3"]) {
        return;
    }
    let world = world();
    large(&world);
    fs::write(world.path("heirloom.toml"), "[run]\ngrace = '80s'\n").unwrap();
    let mut run = Run::application(&world, &[], "wal", "5");
    run.until(|_| world.files("backups").iter().any(|name| name == ".heirloom"), "the backup began");
    run.acknowledged(&world, 1);
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 7, "{}", run.said());
    assert_eq!(newest_saved(&world), acks(&world.work()).last().unwrap().0, "{}", run.said());
    assert_eq!(world.leftovers().into_iter().filter(|name| name != "run.lock").collect::<Vec<_>>(), [""; 0]);
    nobody_is_left(&world);
}

#[test]
fn a_second_stop_ends_at_once_and_a_hasty_one_does_not() {
    let world = world();
    world.database("app.db");
    let script = "trap 'echo asked >&2' TERM; echo ready >&2; while true; do sleep 0.05; done";
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", script]));
    run.says("ready");
    run.signal(Signal::TERM);
    run.says("asked");
    run.signal(Signal::TERM);
    run.until(|run| run.said().matches("asked").count() == 2, "the hasty one is passed on");
    assert!(!run.said().contains("at once"), "{}", run.said());
    thread::sleep(Duration::from_millis(2100));
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 137, "{}", run.said());
    assert!(run.said().contains("at once"), "{}", run.said());
    nobody_is_left(&world);
}

#[test]
fn a_last_backup_that_hangs_is_given_up_when_the_grace_is_over() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::write(world.path("heirloom.toml"), "[run]\ngrace = '1s'\n[schedule]\non_start = false\n").unwrap();
    let script = "trap 'exit 7' TERM; echo ready >&2; while true; do sleep 0.05; done";
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", script]));
    run.says("ready");
    world.sql("app.db", "DELETE FROM notes WHERE id > 90");
    // Nobody else can commit.
    let lock = fs::File::open(world.path("backups/.heirloom/lock")).unwrap();
    lock.lock().unwrap();
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 7, "{}", run.said());
    assert!(run.said().contains("raise `grace`"), "{}", run.said());
    assert_eq!(world.archives().len(), 1);
    nobody_is_left(&world);
}

#[test]
fn a_group_gets_the_signal_if_that_is_configured() {
    let world = world();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[run]\nsignal_group = true\n").unwrap();
    // The first process ignores the signal, its child does not.
    let script = "trap '' USR1; python3 -c 'import signal, time
signal.signal(signal.SIGUSR1, lambda *a: (_ for _ in ()).throw(SystemExit(5)))
print(\"ready\", flush=True)
time.sleep(80)' >&2; exit $?";
    let mut run = Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", script]));
    run.says("ready");
    run.signal(Signal::USR1);
    assert_eq!(run.code(), 5, "{}", run.said());
}
