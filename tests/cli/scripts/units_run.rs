//! The units with `heirloom run`, started as systemd does: with a socket for messages, and SIGTERM to the first
//! process.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::run_world::{self, Run, acks, live, newest_saved, nobody_is_left};
use crate::world::World;

/// The words behind `heirloom` in `ExecStart=`, and the text of the unit.
fn unit(file: &str) -> (Vec<String>, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/systemd").join(file);
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=heirloom ")).unwrap();
    (line.split(' ').map(str::to_owned).collect(), text)
}

/// Starts the command of a unit and waits until it reports that it is ready.
fn start(world: &mut World, words: &[String]) -> Run {
    let path = world.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    world.env("NOTIFY_SOCKET", path.to_str().unwrap());
    let run = Run::start(world, &mut live(world, words));
    let mut buffer = [0; 4096];
    loop {
        let read = socket.recv(&mut buffer).expect("READY=1");
        if String::from_utf8_lossy(&buffer[..read]).contains("READY=1") {
            return run;
        }
    }
}

#[test]
fn the_application_under_run_is_ready_and_saved_at_the_end() {
    let (mut words, text) = unit("app.service.example");
    assert_eq!(words.pop().unwrap(), "/srv/app/server");
    words.extend(["python3", "app.py", "wal", "app.db", "acks", "20"].map(str::to_owned));
    let mut world = run_world::world();
    let mut run = start(&mut world, &words);
    run.acknowledged(&world, 50);
    run.signal(Signal::TERM);
    // The application ended by itself, although the signal did not go to it.
    assert_eq!(run.code(), 7, "{}", run.said());
    assert_eq!(newest_saved(&world), acks(&world.work()).last().unwrap().0);
    nobody_is_left(&world);
    for code in [2, 3, 12, 13, 126, 127] {
        let line = text.lines().find(|line| line.starts_with("RestartPreventExitStatus=")).unwrap();
        assert!(line.split(['=', ' ']).any(|word| word == code.to_string()), "{code}");
    }
}

#[test]
fn the_service_beside_an_application_saves_its_last_changes() {
    let (words, _) = unit("heirloom-run.service");
    let mut world = World::new();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\nmain = \"app.db\"\n").unwrap();
    let words: Vec<String> =
        words.into_iter().map(|word| word.replace("/etc/heirloom/heirloom.toml", "heirloom.toml")).collect();
    let mut run = start(&mut world, &words);
    run.says("saved app_");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    world.run(&mut live(&world, ["restore", "latest", "--to", "copy.db", "--config", "heirloom.toml"])).success();
    assert_eq!(world.ask("copy.db", "SELECT count(*) FROM notes"), "10");
    nobody_is_left(&world);
}

/// SIGTERM to every process would end the backups; SIGKILL after less than the grace would, too.
#[test]
fn the_units_give_the_last_backup_its_time() {
    for file in ["app.service.example", "heirloom-run.service"] {
        let (_, text) = unit(file);
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
        assert_eq!((value("Type"), value("KillMode")), ("notify", "mixed"), "{file}");
        assert!(value("TimeoutStopSec").parse::<u32>().unwrap() > 10, "{file}");
    }
}

#[test]
#[cfg(feature = "server")]
fn the_admin_server_answers_on_its_socket() {
    if !crate::tools::have("the unit of the admin server", &["curl"]) {
        return;
    }
    let (words, _) = unit("heirloom-serve.service");
    let world = crate::serve_world::world("");
    let places = [("/etc/heirloom/heirloom.toml", "h.toml"), ("/run/heirloom/", "")];
    let place = |word: String| places.iter().fold(word, |word, (there, here)| word.replace(there, here));
    let words: Vec<String> = words.into_iter().map(place).collect();
    let mut run = Run::start(&world, &mut live(&world, &words));
    run.says("listening on unix:admin.sock");
    let ask = format!(
        "curl -s --unix-socket admin.sock -H 'Authorization: Bearer {}' http://x/livez",
        crate::serve_world::ADMIN
    );
    assert_eq!(world.run(&mut world.shell(&ask)).success().stdout, "ok\n");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
}
