//! SIGKILL at any moment of a run: of the application, of the supervisor, of both.
//!
//! `HEIRLOOM_RUN_KILLS` sets the number of rounds, `HEIRLOOM_RUN_SEED` the first seed.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::run_world::{Run, acks, application_pid, kill, live, nobody_is_left, world};
use crate::tools::{have_modules, installed, python};
use crate::world::World;

/// A web server: two clients post to it, each request opens the database, commits, and closes it.
const SERVER: &str = r#"
import http.server, os, signal, sqlite3, sys, threading, time, urllib.request
mode, path, acks = sys.argv[1], sys.argv[2], sys.argv[3]
stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: stop.set())
open("pid", "w").write(str(os.getpid()))

def database():
    c = sqlite3.connect(path, isolation_level=None, timeout=60)
    c.execute("pragma journal_mode=" + mode)
    c.execute("create table if not exists t(n integer primary key)")
    return c

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_POST(self):
        c = database()
        number = c.execute("insert into t default values").lastrowid
        c.close()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%d" % number)

database().close()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever).start()
out, lock = open(acks, "a"), threading.Lock()

def client():
    while not stop.is_set():
        number = int(urllib.request.urlopen("http://127.0.0.1:%d/" % server.server_address[1], b"x").read())
        with lock:
            out.write("%d %.6f\n" % (number, time.time()))
            out.flush()

clients = [threading.Thread(target=client) for _ in range(2)]
for each in clients: each.start()
while not stop.wait(1): pass
for each in clients: each.join()
server.shutdown()
sys.exit(7)
"#;

/// The same with FastAPI under uvicorn, which handles the signals itself.
const UVICORN: &str = r#"
import os, sqlite3, sys, threading, time, urllib.request
python = os.environ["PYTHON_WITH_UVICORN"]
if "uvicorn" not in sys.argv:
    os.execvp(python, [python, *sys.argv, "uvicorn"])
import fastapi, uvicorn
mode, path, acks = sys.argv[1], sys.argv[2], sys.argv[3]
open("pid", "w").write(str(os.getpid()))

def database():
    c = sqlite3.connect(path, isolation_level=None, timeout=60)
    c.execute("pragma journal_mode=" + mode)
    c.execute("create table if not exists t(n integer primary key)")
    return c

app = fastapi.FastAPI()

@app.post("/")
def add():
    c = database()
    number = c.execute("insert into t default values").lastrowid
    c.close()
    return number

database().close()
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
out, lock = open(acks, "a"), threading.Lock()

def client():
    while not server.started: time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    while not server.should_exit:
        number = int(urllib.request.urlopen("http://127.0.0.1:%d/" % port, b"x").read())
        with lock:
            out.write("%d %.6f\n" % (number, time.time()))
            out.flush()

for _ in range(2): threading.Thread(target=client, daemon=True).start()
server.run()
"#;

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Application,
    Run,
    Both,
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn whoever_is_killed_nothing_saved_is_lost_and_nobody_is_left() {
    let promise = "kills under run";
    if !installed(promise, &["python3"]) || !have_modules(promise, "fastapi, uvicorn") {
        return;
    }
    let (rounds, first) = (number("HEIRLOOM_RUN_KILLS", 54), number("HEIRLOOM_RUN_SEED", 1));
    let server = |program: &str| {
        let mut world = world();
        std::fs::write(world.path("app.py"), program).unwrap();
        world.env("PYTHON_WITH_UVICORN", python().get_program().to_str().unwrap());
        world
    };
    let worlds = [
        ("wal", world()),
        ("delete", world()),
        ("wal", server(SERVER)),
        ("delete", server(SERVER)),
        ("wal", server(UVICORN)),
        ("delete", server(UVICORN)),
    ];
    for seed in first..first + rounds {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        let victim = [Victim::Application, Victim::Run, Victim::Both][(seed % 3) as usize];
        let (mode, world) = &worlds[(seed / 3 % 6) as usize];
        let delay = Duration::from_millis(roll(600));
        eprintln!("seed {seed}: {victim:?} after {delay:?} in mode {mode}");
        round(world, mode, victim, delay);
    }
}

fn round(world: &World, mode: &str, victim: Victim, delay: Duration) {
    let before = acks(&world.work()).len();
    let _ = std::fs::remove_file(world.path("pid"));
    let mut run = Run::application(world, &["--every", "100ms"], mode, "40");
    run.acknowledged(world, before + 1);
    let application = application_pid(world).unwrap();
    thread::sleep(delay);
    if matches!(victim, Victim::Run | Victim::Both) {
        run.signal(Signal::KILL);
    }
    if matches!(victim, Victim::Application | Victim::Both) {
        kill(application, Signal::KILL);
    }
    assert_eq!(run.code(), 137, "{}", run.said());
    nobody_is_left(world);
    // Both died by SIGKILL, which cannot damage what SQLite has committed.
    let acknowledged = acks(&world.work());
    let last = acknowledged.last().unwrap().0;
    let newest: i64 = world.ask("app.db", "SELECT max(n) FROM t").parse().unwrap();
    assert!(newest >= last, "{newest} {last}");
    saved_what_was_acknowledged(world, &acknowledged, &run.said());
    if matches!(victim, Victim::Application) {
        assert_eq!(saved(world), newest, "the run was alive: {}", run.said());
    }
}

/// Everything that was acknowledged before the newest archive was asked for is in it.
fn saved_what_was_acknowledged(world: &World, acknowledged: &[(i64, f64)], said: &str) {
    let list = world.run(&mut live(world, ["list", "--json"]));
    // The first kill may have come before the first backup.
    if list.code == 16 {
        return;
    }
    let list = list.success().json();
    let Some(created) = list["archives"][0]["created_at"].as_str() else { return };
    // The time may be taken a moment after the snapshot.
    let created = seconds(created) - 0.05;
    let must = acknowledged.iter().filter(|(_, at)| *at < created).map(|(n, _)| *n).max().unwrap_or(0);
    assert!(must == 0 || saved(world) >= must, "{must} was acknowledged before {created}\n{said}");
}

fn saved(world: &World) -> i64 {
    crate::run_world::newest_saved(world)
}

/// Returns the seconds since 1970 of a time such as 2026-03-01T03:00:00Z.
fn seconds(text: &str) -> f64 {
    humantime::parse_rfc3339_weak(text).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}
