//! `heirloom run`: exit codes, environment, restore at the start, backups beside the application and at its end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rustix::process::Signal;

use crate::run_world::{Run, acks, live, newest_saved, nobody_is_left, world};
use crate::tools::{have, installed};
use crate::world::World;

fn run(world: &World, options: &[&str], script: &str) -> crate::world::Ran {
    world.run(&mut live(world, ["run"].iter().chain(options).chain(&["--", "sh", "-c", script])))
}

#[test]
fn the_exit_code_is_that_of_the_application() {
    let world = world();
    run(&world, &[], "exit 0").exits(0);
    let ran = run(&world, &[], "echo out; cat; exit 7").exits(7);
    assert_eq!(ran.stdout, "out\n", "nothing is added to its output");
    run(&world, &[], "kill -9 $$").exits(137).says("ended by signal 9");
    world.heirloom(["run", "--", "no-such-command"]).exits(127).says("no-such-command");
    world.heirloom(["run", "--", "./no-such-file"]).exits(127);
    fs::write(world.path("plain"), "").unwrap();
    fs::set_permissions(world.path("plain"), fs::Permissions::from_mode(0o644)).unwrap();
    if !crate::tools::is_root() {
        world.heirloom(["run", "--", "./plain"]).exits(126);
    }
    fs::create_dir(world.path("folder")).unwrap();
    world.heirloom(["run", "--", "./folder"]).exits(126).says("cannot be executed");
    assert_eq!(world.files("backups"), [""; 0], "no database, no store");
}

#[test]
fn a_command_that_is_missing_is_127_before_anything_else() {
    let world = World::new();
    // Without a database that is a usage error, but the command comes first.
    world.heirloom(["run", "--", "no-such-command"]).exits(127);
    world.heirloom(["run", "--", "true"]).exits(2);
    world.heirloom(["run", "--beside", "0"]).exits(2);
    world.heirloom(["run", "--beside", "1", "--", "true"]).exits(2);
}

#[test]
fn the_application_gets_the_environment_without_our_secrets() {
    let mut world = world();
    world.env("AWS_SECRET_ACCESS_KEY", "s1").env("CONNECT_API_KEY", "s2").env("NOTIFY_SOCKET", "/nowhere");
    world.env("LISTEN_FDS", "1").env("OTHER", "o");
    let script = "echo ${AWS_SECRET_ACCESS_KEY-no} ${CONNECT_API_KEY-no} ${NOTIFY_SOCKET-no} ${LISTEN_FDS-no} $OTHER";
    assert_eq!(run(&world, &[], script).success().stdout, "no no no no o\n");
    fs::write(world.path("heirloom.toml"), "[run]\npass_env = ['AWS_*']\n").unwrap();
    assert_eq!(run(&world, &[], script).success().stdout, "s1 no no no o\n");
}

#[test]
fn a_missing_database_is_restored_before_the_application_starts() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    let count = "python3 -c \"import sqlite3; \
                 print(sqlite3.connect('app.db').execute('select count(*) from notes').fetchone()[0])\"";
    for leave in [None, Some("")] {
        fs::remove_file(world.path("app.db")).unwrap();
        if let Some(empty) = leave {
            fs::write(world.path("app.db"), empty).unwrap();
        }
        let ran = run(&world, &[], count).success().says("restored");
        assert_eq!(ran.stdout, "100\n");
    }
    fs::remove_file(world.path("app.db")).unwrap();
    fs::write(world.path("heirloom.toml"), "[run]\nrestore = 'never'\n").unwrap();
    run(&world, &[], "test ! -e app.db").success();
}

#[test]
fn an_application_whose_store_is_away_is_not_started_on_an_empty_database() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    fs::write(world.path("heirloom.toml"), "[run]\nrestore_wait = '10ms'\n").unwrap();
    run(&world, &[], "touch started").exits(16).says("was not started");
    assert!(!world.path("started").exists());
    // It comes back in time.
    fs::write(world.path("heirloom.toml"), "[run]\nrestore_wait = '80s'\n").unwrap();
    let mut waiting = Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", "touch started; exit 7"]));
    waiting.says("trying again");
    fs::rename(world.path("away"), world.path("backups")).unwrap();
    assert_eq!(waiting.code(), 7, "{}", waiting.said());
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    // A database that is there needs no store.
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    run(&world, &[], "exit 5").exits(5).says("the backup failed");
}

#[test]
fn archives_of_another_host_stop_the_start_unless_it_is_a_first_deployment() {
    let world = world();
    world.database("app.db");
    world.run(world.command(["backup"]).env("HEIRLOOM_HOST", "elsewhere")).success();
    fs::remove_file(world.path("app.db")).unwrap();
    run(&world, &[], "touch started").exits(12).says("elsewhere");
    assert!(!world.path("started").exists());
    fs::write(world.path("heirloom.toml"), "[run]\nfirst_deployment = true\n").unwrap();
    run(&world, &[], "test ! -e app.db && touch started").exits(0).says("elsewhere").says("first deployment");
    assert!(world.path("started").exists());
}

#[test]
fn a_damaged_database_is_13_and_the_application_is_not_started() {
    let world = world();
    let path = world.database("app.db");
    world.heirloom(["backup"]).success();
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4096].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    run(&world, &[], "touch started").exits(13).says("app.db");
    assert!(!world.path("started").exists());
    fs::write(&path, "this is no database at all").unwrap();
    run(&world, &[], "touch started").exits(0).says("not an SQLite database");
}

#[test]
fn what_was_acknowledged_before_the_end_is_saved() {
    if !installed("an application is saved when it ends", &["python3"]) {
        return;
    }
    for mode in ["wal", "delete"] {
        eprintln!("in mode {mode}");
        let world = world();
        let mut run = Run::application(&world, &["--every", "1s"], mode, "40");
        run.acknowledged(&world, 30);
        run.says("saved app_");
        run.signal(Signal::TERM);
        assert_eq!(run.code(), 7, "{}", run.said());
        let last = acks(&world.work()).last().unwrap().0;
        assert_eq!(newest_saved(&world), last, "{}", run.said());
        nobody_is_left(&world);
        assert_eq!(world.pending(), [""; 0]);
    }
}

#[test]
fn an_application_that_changed_nothing_after_the_last_backup_gets_no_other() {
    let world = world();
    world.database("app.db");
    let mut run =
        Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", "while ! test -e go; do sleep 0.05; done"]));
    run.says("saved app_");
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 1, "{}", run.said());
}

#[test]
fn a_backup_that_fails_changes_nothing_for_the_application() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::remove_dir_all(world.path("backups")).unwrap();
    fs::write(world.path("backups"), "a file").unwrap();
    run(&world, &["--every", "50ms"], "sleep 0.3; exit 4").exits(4).says("the backup failed");
}

#[test]
fn a_second_run_waits_and_then_names_the_holder() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    fs::write(world.path("heirloom.toml"), "[run]\nlease_wait = '10ms'\n").unwrap();
    let wait = "while ! test -e go; do sleep 0.05; done";
    let mut first = Run::start(&world, &mut live(&world, ["run", "--", "sh", "-c", wait]));
    first.says("started sh");
    let refused = run(&world, &[], "touch started").exits(11);
    let refused = refused.says(&format!("process {}", first.pid()));
    assert!(!world.path("started").exists(), "{}", refused.stderr);
    fs::write(world.path("heirloom.toml"), "[run]\nlease_wait = '80s'\n").unwrap();
    let mut second = Run::start(&world, &mut live(&world, ["run", "--", "touch", "started"]));
    second.says("waiting for another run");
    fs::write(world.path("go"), "").unwrap();
    assert_eq!((first.code(), second.code()), (0, 0), "{}", second.said());
    assert!(world.path("started").exists());
}

#[test]
fn an_interrupted_restore_is_taken_back_before_the_application_starts() {
    let world = world();
    world.database("app.db");
    world.heirloom(["backup"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    // A process that dies while it replaces the database leaves its note. Where it dies is a matter of luck.
    for _ in 0..40 {
        let mut restore = live(&world, ["restore", "latest", "--force"]).spawn().unwrap();
        let is_replacing = || {
            let notes = world.files(".").into_iter().filter(|name| name.starts_with(".heirloom-restore-"));
            notes
                .into_iter()
                .any(|note| fs::read_to_string(world.path(note)).is_ok_and(|text| text.contains("replacing")))
        };
        while restore.try_wait().unwrap().is_none() && !is_replacing() {}
        restore.kill().unwrap();
        restore.wait().unwrap();
        if is_replacing() {
            let ran = run(&world, &[], "exit 6").exits(6).says("taking it back");
            assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10", "{}", ran.stderr);
            return;
        }
        world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    }
    panic!("no restore was caught while it replaced the database");
}

#[test]
fn without_a_command_it_saves_until_it_is_stopped() {
    let world = world();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[schedule]\nrotate = 'never'\n").unwrap();
    let mut run = Run::start(&world, &mut live(&world, ["run", "--every", "1h"]));
    run.says("saved app_");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 2, "{}", run.said());
}

#[test]
fn the_end_of_the_process_beside_is_the_stop_signal() {
    let world = world();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[schedule]\nrotate = 'never'\n").unwrap();
    let mut process = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = process.id().to_string();
    let mut run = Run::start(&world, &mut live(&world, ["run", "--beside", &pid]));
    run.says("saved app_");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(run.code(), 0, "{}", run.said());
    assert_eq!(world.archives().len(), 2, "{}", run.said());
}

#[test]
fn the_service_manager_is_told() {
    let mut world = world();
    world.database("app.db");
    let path = world.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    world.env("NOTIFY_SOCKET", path.to_str().unwrap());
    run(&world, &[], "exit 0").exits(0);
    socket.set_nonblocking(true).unwrap();
    let mut all = String::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = socket.recv(&mut buffer) {
        all += std::str::from_utf8(&buffer[..read]).unwrap();
        all += "\n";
    }
    let at = |text: &str| all.find(text).unwrap_or_else(|| panic!("{text}: {all}"));
    assert!(at("EXTEND_TIMEOUT_USEC=") < at("READY=1") && at("READY=1") < at("STOPPING=1"), "{all}");
}

/// Python leaves processes behind, which become children of process 1.
const ORPHANS: &str = r#"
import glob, os, subprocess, sys, time
assert os.getppid() != 1 and os.path.basename(os.readlink("/proc/1/exe")) == "heirloom"
for i in range(20): subprocess.Popen(["sh", "-c", "sleep 0.05 &"]).wait()
until = time.time() + 60
while time.time() < until:
    states = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try: text = open(path).read()
        except OSError: continue
        states.append((text.split("(")[1].split(")")[0], text.rsplit(")")[-1].split()[0]))
    if not any(name == "sleep" or state == "Z" for name, state in states): sys.exit(7)
    time.sleep(0.02)
sys.exit(9)
"#;

#[test]
fn process_1_reaps_orphans_and_passes_signals_on() {
    if !have("run as process 1", &["unshare", "python3"]) {
        return;
    }
    let orphans = world();
    orphans.database("app.db");
    fs::write(orphans.path("orphans.py"), ORPHANS).unwrap();
    let mut run = Run::start(&orphans, &mut as_process_1(&orphans, &["python3", "orphans.py"]));
    assert_eq!(run.code(), 7, "{}", run.said());

    let world = world();
    let mut run = Run::start(&world, &mut as_process_1(&world, &["python3", "app.py", "wal", "app.db", "acks", "40"]));
    run.acknowledged(&world, 30);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.pid())).unwrap();
    crate::run_world::kill(children.trim().parse().unwrap(), Signal::TERM);
    assert_eq!(run.code(), 7, "{}", run.said());
    assert_eq!(newest_saved(&world), acks(&world.work()).last().unwrap().0, "{}", run.said());
}

/// Prepares a run of an application in a PID namespace of its own.
fn as_process_1(world: &World, words: &[&str]) -> Command {
    let own = live(world, ["run", "--"]);
    let mut outside = Command::new("unshare");
    outside.args(["-p", "-f", "--mount-proc", "--kill-child"]).arg(own.get_program()).args(own.get_args()).args(words);
    outside.current_dir(world.work()).env_clear();
    outside.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outside
}

#[test]
fn changes_beside_an_empty_database_are_not_given_to_sqlite() {
    let world = world();
    world.database("app.db");
    let application = rusqlite::Connection::open(world.path("app.db")).unwrap();
    application.execute_batch("PRAGMA journal_mode=WAL; INSERT INTO notes(text) VALUES ('only here')").unwrap();
    fs::copy(world.path("app.db-wal"), world.path("kept")).unwrap();
    drop(application);
    for empty in [true, false] {
        fs::remove_file(world.path("app.db")).unwrap();
        if empty {
            fs::write(world.path("app.db"), "").unwrap();
        }
        fs::copy(world.path("kept"), world.path("app.db-wal")).unwrap();
        run(&world, &[], "touch started").exits(13).says("app.db-wal").says("was not started");
        assert!(!world.path("started").exists());
        assert_eq!(fs::read(world.path("app.db-wal")).unwrap(), fs::read(world.path("kept")).unwrap());
        fs::write(world.path("app.db"), "").unwrap();
    }
}

#[test]
fn a_sidecar_that_cannot_be_looked_at_is_not_taken_for_none() {
    let world = world();
    // A link that leads to itself: neither there nor missing.
    std::os::unix::fs::symlink("app.db-wal", world.path("app.db-wal")).unwrap();
    let ran = run(&world, &[], "touch started");
    assert_ne!(ran.code, 0, "{}", ran.stderr);
    assert!(!world.path("started").exists(), "{}", ran.stderr);
}
