//! `heirloom guard`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::world::{Ran, World};

const MODES: [&str; 2] = ["DELETE", "WAL"];

/// Runs a test on a database of 100 notes in either journal mode.
fn in_both_modes(test: impl Fn(World)) {
    for mode in MODES {
        eprintln!("in mode {mode}");
        let world = World::new();
        world.database("app.db");
        world.sql("app.db", &format!("PRAGMA journal_mode={mode};"));
        test(world);
    }
}

fn guard(world: &World, options: &[&str], script: &str) -> Ran {
    world.heirloom(["guard", "app.db"].iter().chain(options).chain(&["--", "sh", "-c", script]))
}

/// What an application would read.
fn content(world: &World) -> String {
    assert_eq!(world.ask("app.db", "PRAGMA integrity_check"), "ok");
    world.ask("app.db", "SELECT count(*) || ' ' || sum(id) || ' ' || group_concat(text) FROM notes")
}

fn kinds(world: &World) -> Vec<String> {
    let document = world.heirloom(["list", "--json"]).success().json();
    let mut kinds: Vec<String> = document["archives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|archive| archive["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

#[test]
fn a_command_that_succeeds_keeps_what_it_did() {
    in_both_modes(|world| {
        let ran = guard(&world, &[], "sqlite3 app.db \"DELETE FROM notes WHERE id > 10\" && echo out && echo err >&2")
            .success();
        assert_eq!(ran.stdout, "out\n", "the output of the command passes through, and nothing else");
        assert!(ran.stderr.contains("err\n") && ran.stderr.contains("everything is healthy"), "{}", ran.stderr);
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10");
        assert_eq!(kinds(&world), ["pre-update"]);
        assert_eq!(world.leftovers(), [""; 0]);
    });
}

#[test]
fn a_command_that_fails_is_undone_and_what_it_left_is_kept() {
    in_both_modes(|world| {
        let (before, mode) = (content(&world), world.ask("app.db", "PRAGMA journal_mode"));
        let ran = guard(&world, &[], "sqlite3 app.db 'DELETE FROM notes WHERE id > 10; CREATE TABLE half(x)'; exit 9")
            .exits(9);
        let ran = ran.says("failed with exit code 9").says("app rolled back and verified");
        assert!(!ran.stderr.contains("error:"), "{}", ran.stderr);
        assert_eq!(content(&world), before);
        assert_eq!(world.ask("app.db", "PRAGMA journal_mode"), mode);
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), "0");
        assert_eq!(kinds(&world), ["pre-update", "safety"]);
        world.heirloom(["restore", "--undo", "--force"]).success();
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10", "the state that failed can be looked at");
        assert_eq!(world.files("tmp"), [""; 0]);
    });
}

#[test]
fn a_command_that_changed_nothing_is_not_undone() {
    in_both_modes(|world| {
        let inode = |world: &World| std::os::unix::fs::MetadataExt::ino(&fs::metadata(world.path("app.db")).unwrap());
        let before = inode(&world);
        // Rows written and deleted again, or only a changed header: neither changes the content.
        let script = "sqlite3 app.db \"UPDATE notes SET text = text; PRAGMA journal_mode=TRUNCATE\" >/dev/null; exit 3";
        guard(&world, &[], script).exits(3).says("nothing to roll back");
        assert_eq!(kinds(&world), ["pre-update"]);
        assert_eq!(inode(&world), before);
        guard(&world, &[], "exit 4").exits(4).says("nothing to roll back");
    });
}

#[test]
fn a_changed_journal_mode_alone_is_not_a_change() {
    let world = World::new();
    world.database("app.db");
    guard(&world, &[], "sqlite3 app.db 'PRAGMA journal_mode=WAL' >/dev/null; exit 3")
        .exits(3)
        .says("nothing to roll back");
    assert_eq!(kinds(&world), ["pre-update"]);
}

#[test]
fn a_command_that_is_killed_is_undone() {
    in_both_modes(|world| {
        let before = content(&world);
        let script = "sqlite3 app.db 'DELETE FROM notes WHERE id > 10'; kill -KILL $$";
        guard(&world, &[], script).exits(137).says("was ended by signal 9");
        assert_eq!(content(&world), before);
    });
}

#[test]
fn damage_is_undone_also_where_the_command_succeeded() {
    in_both_modes(|world| {
        let before = content(&world);
        for (seek, count) in [(1, 2), (0, 1)] {
            let script = format!(
                "rm -f app.db-wal app.db-shm; dd if=/dev/urandom of=app.db bs=4096 seek={seek} count={count} \
                 conv=notrunc 2>&1"
            );
            guard(&world, &[], &script).exits(1).says("is damaged").says("rolled back and verified");
            assert_eq!(content(&world), before);
        }
        guard(&world, &[], "rm -f app.db-wal app.db-shm; : > app.db").exits(1).says("app.db");
        assert_eq!(content(&world), before);
    });
}

#[test]
fn a_deleted_database_comes_back_with_its_mode() {
    in_both_modes(|world| {
        let before = content(&world);
        fs::set_permissions(world.path("app.db"), fs::Permissions::from_mode(0o640)).unwrap();
        for (script, code) in [("rm -f app.db*", 1), ("rm -f app.db; exit 5", 5)] {
            guard(&world, &[], script).exits(code).says("no database");
            assert_eq!(content(&world), before);
            assert_eq!(fs::metadata(world.path("app.db")).unwrap().permissions().mode() & 0o7777, 0o640);
        }
    });
}

#[test]
fn a_command_that_hangs_is_ended_with_everything_it_started() {
    in_both_modes(|world| {
        let before = content(&world);
        let started = Instant::now();
        let script = "(sleep 3; touch late) & sqlite3 app.db 'DELETE FROM notes'; sleep 60";
        guard(&world, &["--timeout", "1s"], script).exits(143).says("did not end within 1s");
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(content(&world), before);
        thread::sleep(Duration::from_secs(4).saturating_sub(started.elapsed()));
        assert!(!world.path("late").exists(), "a process that the command started went on");
    });
}

#[test]
fn a_command_that_does_not_listen_is_killed() {
    let world = World::new();
    world.database("app.db");
    let script = "trap '' TERM; while :; do sleep 0.1; done";
    guard(&world, &["--timeout", "300ms", "--kill-after", "300ms"], script).exits(137);
    // A command that exits with 0 after SIGTERM has still timed out.
    let script = "trap 'exit 0' TERM; sqlite3 app.db 'DELETE FROM notes'; while :; do sleep 0.05; done";
    guard(&world, &["--timeout", "1s"], script).exits(143);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn a_health_command_decides() {
    in_both_modes(|world| {
        let before = content(&world);
        let change = "sqlite3 app.db 'DELETE FROM notes WHERE id > 10'";
        let health = "test $(sqlite3 app.db 'SELECT count(*) FROM notes') -gt 50";
        let options = ["--health-command", health, "--health-timeout", "0s"];
        guard(&world, &options, change).exits(1).says("the health command failed with exit code 1");
        assert_eq!(content(&world), before);
        guard(&world, &options, "sqlite3 app.db 'DELETE FROM notes WHERE id > 60'").success();
        guard(&world, &["--health-command", "sleep 60", "--health-timeout", "1s"], "true")
            .exits(1)
            .says("did not end in time");
        guard(&world, &["--health-command", "exit 3", "--health-timeout", "0s"], "exit 7").exits(7);
    });
}

#[test]
fn an_application_gets_time_to_become_healthy() {
    let world = World::new();
    world.database("app.db");
    let health = "echo x >> tries; test $(wc -l < tries) -ge 3";
    guard(&world, &["--health-command", health], "true").success();
    assert_eq!(fs::read_to_string(world.path("tries")).unwrap().lines().count(), 3);
}

/// Answers requests with these statuses in order; the last one repeats.
pub fn server(statuses: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    thread::spawn(move || {
        for number in 0.. {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"GET /health HTTP/1.0\r\nHost: 127.0.0.1:"));
            write!(stream, "HTTP/1.1 {}\r\nContent-Length: 0\r\n\r\n", statuses[number.min(statuses.len() - 1)])
                .unwrap();
        }
    });
    url
}

#[test]
fn a_health_url_decides() {
    in_both_modes(|world| {
        let before = content(&world);
        let change = "sqlite3 app.db 'DELETE FROM notes WHERE id > 10'";
        let bad = server(&["500 Broken"]);
        guard(&world, &["--health-url", &bad, "--health-timeout", "0s"], change).exits(1).says("status 500");
        assert_eq!(content(&world), before);
        let nobody = "http://127.0.0.1:1/";
        guard(&world, &["--health-url", nobody, "--health-timeout", "0s"], change).exits(1).says("refused");
        assert_eq!(content(&world), before);
        let late = server(&["503 Starting", "200 OK"]);
        guard(&world, &["--health-url", &late], change).success();
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10");
    });
    let world = World::new();
    world.database("app.db");
    guard(&world, &["--health-url", "https://localhost/"], "touch ran").exits(2).says("curl");
    assert!(!world.path("ran").exists());
}

#[test]
fn without_rollback_it_is_said_how() {
    let world = World::new();
    world.database("app.db");
    let ran = guard(&world, &["--no-rollback"], "sqlite3 app.db 'DELETE FROM notes'; exit 6").exits(6);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "0");
    let (_, command) = ran.stderr.split_once("roll back with: heirloom ").unwrap();
    world.heirloom(command.split_whitespace()).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn without_a_good_backup_nothing_is_run() {
    let world = World::new();
    guard(&world, &[], "touch ran").exits(125).says("was not run").says("app.db");
    fs::write(world.path("app.db"), "no database ".repeat(100)).unwrap();
    guard(&world, &[], "touch ran").exits(125).says("was not run");
    world.database("good.db");
    world.heirloom(["guard", "good.db", "--dir", "not/there", "--", "touch", "ran"]).exits(125).says("not/there");
    assert!(!world.path("ran").exists());
    world.heirloom(["guard", "good.db"]).exits(2);
}

#[test]
fn what_cannot_be_put_back_is_125_and_told() {
    let world = World::new();
    world.database("app.db");
    // The safety backup cannot be kept: a file lies where the store was.
    let script = "mv backups elsewhere; touch backups; sqlite3 app.db 'DELETE FROM notes'; exit 3";
    guard(&world, &[], script).exits(125).says("could not be checked").says("as the command left them");

    let world = World::new();
    world.database("app.db");
    // The database is locked after the command, so its state is unknown.
    let mut holder = Command::new("sqlite3")
        .current_dir(world.work())
        .arg("app.db")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    fs::write(
        world.path("lock.sql"),
        "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM notes; SELECT 'locked';\n",
    )
    .unwrap();
    let mut command = world.command([
        "guard",
        "app.db",
        "--busy-timeout",
        "1s",
        "--",
        "sh",
        "-c",
        "touch go; until [ -e locked ]; do sleep 0.02; done",
    ]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !world.path("go").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    writeln!(input, ".read lock.sql\n.shell touch locked").unwrap();
    let ran = world.ran("guard".into(), running.wait_with_output().unwrap());
    ran.exits(125).says("the command succeeded").says("could not be checked").says("heirloom restore app_");
    drop(input);
    holder.wait().unwrap();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn a_command_that_cannot_be_started_changes_nothing() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["guard", "app.db", "--", "no-such-command", "x"]).exits(127).says("no-such-command");
    fs::write(world.path("text"), "text").unwrap();
    world.heirloom(["guard", "app.db", "--", "./text"]).exits(126).says("./text");
}

#[test]
fn only_what_changed_is_put_back() {
    let world = World::new();
    world.database("app.db");
    world.sql("b.db", "PRAGMA journal_mode=WAL; CREATE TABLE b(x); INSERT INTO b VALUES(1);");
    world.sql("c.db", "CREATE TABLE c(x); INSERT INTO c VALUES(1);");
    let script = "sqlite3 app.db 'DELETE FROM notes'; sqlite3 c.db 'UPDATE c SET x = 2'; exit 2";
    let document = world
        .heirloom(["guard", "app.db", "b.db", "c.db", "--set", "all", "--json", "--", "sh", "-c", script])
        .exits(2)
        .json();
    assert_eq!(
        (world.ask("app.db", "SELECT count(*) FROM notes"), world.ask("c.db", "SELECT x FROM c")),
        ("100".into(), "1".into())
    );
    let states: Vec<&str> =
        document["databases"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["changed", "same", "changed"]);
    let safety = document["safety_backups"][0].as_str().unwrap();
    let shown = world.heirloom(["show", safety, "--json"]).success().stdout;
    assert!(shown.contains("\"app\"") && shown.contains("\"c\"") && !shown.contains("\"b.db\""), "{shown}");
}

#[test]
fn the_document_is_alone_on_stdout() {
    let world = World::new();
    world.database("app.db");
    let ran =
        guard(&world, &["--json", "--health-command", "echo healthy?; false", "--health-timeout", "0s"], "echo noise")
            .exits(1);
    let document = ran.json();
    assert!(ran.stderr.contains("noise\n") && ran.stderr.contains("healthy?\n"), "{}", ran.stderr);
    assert_eq!(
        (&document["outcome"], &document["exit_code"], &document["rollback"]),
        (&"failed".into(), &0.into(), &"nothing_changed".into())
    );
    assert_eq!(document["backups"][0]["archive"], "app_20260301T030000Z.tar.gz");
    let document = guard(&world, &["--json"], "exit 0").success().json();
    assert_eq!((&document["outcome"], &document["rollback"]), (&"succeeded".into(), &"not_needed".into()));
    let log = world.heirloom(["log", "--json"]).success().json();
    let entry = &log["activities"][1];
    assert_eq!(
        (&entry["command"], &entry["outcome"], &entry["exit_code"], &entry["kind"]),
        (&"guard".into(), &"failed".into(), &1.into(), &"pre-update".into())
    );
}

#[test]
fn a_first_deployment_has_nothing_to_go_back_to() {
    let world = World::new();
    world.database("app.db");
    let run = |world: &World| {
        world.heirloom([
            "guard",
            "app.db",
            "new.db",
            "--if-exists",
            "--",
            "sh",
            "-c",
            "sqlite3 new.db 'CREATE TABLE t(x)'; exit 1",
        ])
    };
    run(&world).exits(1).says("new.db").says("nothing to roll back");
    assert_eq!(world.ask("new.db", "SELECT count(*) FROM t"), "0", "nobody asked for it to be deleted");
    world.heirloom(["guard", "other.db", "--if-exists", "--", "true"]).exits(125);
}

#[test]
fn signals_are_forwarded() {
    let world = World::new();
    world.database("app.db");
    let script =
        "for s in INT HUP QUIT USR1 USR2; do trap \"echo $s >> got\" $s; done; trap 'echo TERM >> got; exit 7' TERM
        sqlite3 app.db 'DELETE FROM notes'; touch ready; while :; do sleep 0.02; done";
    let mut command = world.command(["guard", "app.db", "--", "sh", "-c", script]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !world.path("ready").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    let got = || fs::read_to_string(world.path("got")).unwrap_or_default();
    for signal in ["INT", "HUP", "QUIT", "USR1", "USR2", "TERM"] {
        assert!(
            Command::new("kill").args([format!("-{signal}"), running.id().to_string()]).status().unwrap().success()
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while !got().contains(signal) {
            assert!(Instant::now() < deadline, "SIG{signal} did not arrive: {}", got());
            thread::sleep(Duration::from_millis(10));
        }
    }
    let ran = world.ran("guard".into(), running.wait_with_output().unwrap()).exits(7);
    // The signals were meant for the command: they do not stop guard's rollback.
    ran.says("rolled back and verified");
    assert_eq!(got(), "INT\nHUP\nQUIT\nUSR1\nUSR2\nTERM\n");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn a_live_reader_sees_the_rollback() {
    in_both_modes(|world| {
        // An application that stays connected through update and rollback sees the old content again, without a
        // restart.
        let connection = rusqlite::Connection::open(world.path("app.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        let count = || connection.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(), 100);
        guard(&world, &[], "sqlite3 app.db 'DELETE FROM notes WHERE id > 10'; exit 1").exits(1);
        assert_eq!(count(), 100);
    });
}

#[test]
fn nohup_holds_for_guard_and_its_command() {
    let world = World::new();
    world.database("app.db");
    let mut command = Command::new("nohup");
    let template = world.command([
        "guard",
        "app.db",
        "--",
        "sh",
        "-c",
        "touch ready; until [ -e go ]; do sleep 0.02; done; touch done",
    ]);
    command.arg(template.get_program()).args(template.get_args()).current_dir(world.work()).env_clear();
    template.get_envs().for_each(|(name, value)| {
        command.env(name, value.unwrap());
    });
    let running = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !world.path("ready").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-HUP", &running.id().to_string()]).status().unwrap().success());
    thread::sleep(Duration::from_millis(200));
    fs::write(world.path("go"), "").unwrap();
    world.ran("guard".into(), running.wait_with_output().unwrap()).success();
    assert!(world.path("done").exists());
}
