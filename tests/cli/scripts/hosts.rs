//! The examples for what starts applications itself: a FastAPI lifespan, and pm2.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::run_world::{self, acks, kill, newest_saved, nobody_is_left};
use crate::tools::{have_modules, not_tested, python};
use crate::world::World;

/// Longer than anything takes.
const LIMIT: Duration = Duration::from_secs(90);

fn scripts(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(file)
}

const NOTES: &str = r#"
import sqlite3
from fastapi import FastAPI
from backups import lifespan, router

def connect():
    c = sqlite3.connect("app.db", isolation_level=None, timeout=30)
    c.execute("pragma journal_mode=wal")
    c.execute("create table if not exists notes(text)")
    return c

app = FastAPI(lifespan=lifespan)
app.include_router(router, prefix="/database")

@app.post("/notes/{text}")
def add(text: str):
    connect().execute("insert into notes values(?)", (text,))

@app.get("/notes")
def notes():
    return [text for (text,) in connect().execute("select text from notes order by rowid")]
"#;

/// A uvicorn with an application; killed when dropped.
struct Server {
    child: Child,
    log: PathBuf,
    port: u16,
}

impl Server {
    /// Starts it on a free port.
    fn start(world: &World) -> Self {
        let log = world.path(format!("log-{}", world.files(".").len()));
        let template = world.shell("");
        let mut command = python();
        command.args(["-m", "uvicorn", "app:app", "--port", "0"]).current_dir(world.work()).env_clear();
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?)))).env_remove("HEIRLOOM_NOW");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let mut server = Self { child: command.spawn().unwrap(), log, port: 0 };
        let started = Instant::now();
        while server.port == 0 {
            let said = server.said();
            assert!(server.child.try_wait().unwrap().is_none() && started.elapsed() < LIMIT, "{said}");
            let address = said.split_once("running on http://127.0.0.1:").and_then(|(_, rest)| rest.split_once(' '));
            server.port = address.map_or(0, |(port, _)| port.parse().unwrap());
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Returns the status and the body of the answer.
    fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    #[track_caller]
    fn gives(&self, method: &str, path: &str) -> Value {
        let (status, body) = self.ask(method, path);
        assert_eq!(status, 200, "{method} {path}: {body} {}", self.said());
        body
    }

    fn end(mut self, signal: Signal) {
        kill(self.child.id(), signal);
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Throws away the disk, and with it what the host knew.
fn fresh_disk(world: &World) {
    nobody_is_left(world);
    for name in ["app.db", "app.db-wal", "app.db-shm"] {
        fs::remove_file(world.path(name)).unwrap_or_default();
    }
    fs::remove_dir_all(world.path("../state")).unwrap();
}

#[test]
fn a_fastapi_application_finds_its_rows_on_a_fresh_disk() {
    if !have_modules("the example for FastAPI", "fastapi, uvicorn") {
        return;
    }
    let mut world = World::new();
    world.env("DATABASE_URL", "sqlite:///app.db").env("HEIRLOOM_HOST", "app").env("HEIRLOOM_DIR", "store");
    fs::write(world.path("app.py"), NOTES).unwrap();
    fs::copy(scripts("fastapi.example.py"), world.path("backups.py")).unwrap();

    // Only the backup that is asked for.
    world.env("AUTO_BACKUP_ENABLED", "false");
    let server = Server::start(&world);
    assert_eq!(server.gives("GET", "/notes"), Value::from(Vec::<Value>::new()));
    server.gives("POST", "/notes/saved");
    server.gives("POST", "/database/backup");
    let info = server.gives("GET", "/database/info");
    assert_eq!(info["kind"], "manual", "{info}");
    let status = server.gives("GET", "/database/status");
    assert!(status.to_string().contains("app_"), "{status}");
    server.gives("POST", "/notes/mistake");
    server.gives("POST", "/database/restore");
    assert_eq!(server.gives("GET", "/notes"), Value::from(vec!["saved"]));
    server.end(Signal::KILL);
    fresh_disk(&world);

    world.env("AUTO_BACKUP_ENABLED", "true");
    let server = Server::start(&world);
    assert_eq!(server.gives("GET", "/notes"), Value::from(vec!["saved"]));
    server.gives("POST", "/notes/late");
    // What runs beside it saves what came after the last backup, as long as the machine lives.
    server.end(Signal::KILL);
    fresh_disk(&world);

    let server = Server::start(&world);
    assert_eq!(server.gives("GET", "/notes"), Value::from(vec!["saved", "late"]));
    server.gives("POST", "/notes/last");
    server.end(Signal::TERM);
    fresh_disk(&world);

    // A backup beside it would make the store anew.
    world.env("AUTO_BACKUP_ENABLED", "false");
    let server = Server::start(&world);
    assert_eq!(server.gives("GET", "/notes"), Value::from(vec!["saved", "late", "last"]));
    fs::rename(world.path("store"), world.path("away")).unwrap();
    let (status, body) = server.ask("POST", "/database/restore");
    assert_eq!(status, 503, "{body}");
    server.end(Signal::TERM);
    nobody_is_left(&world);
}

/// A daemon of pm2; ended when dropped.
struct Pm2<'a> {
    world: &'a World,
    program: PathBuf,
}

impl Pm2<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let template = self.world.shell("");
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.world.work()).env_clear();
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?)))).env_remove("HEIRLOOM_NOW");
        command.env("PM2_HOME", self.world.path("../pm2")).env("PM2_DISABLE_VERSION_CHECK", "true");
        command.stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str]) {
        let output = self.command(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
    }
}

impl Drop for Pm2<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["kill"]).output();
    }
}

#[test]
fn an_application_under_pm2_is_saved_when_it_is_stopped() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/.bin/pm2");
    if !program.is_file() {
        return not_tested("the example for pm2", "the Node package pm2");
    }
    let mut world = run_world::world();
    world.env("HEIRLOOM_HOST", "app");
    fs::create_dir(world.path("data")).unwrap();
    world.env("DATABASE_PATH", "data/app.db");
    fs::copy(scripts("pm2.example.config.js"), world.path("pm2.config.js")).unwrap();
    // `node server.js` becomes the application in Python. It takes longer to end than the 1.6 s of pm2.
    let words = ["python3", "app.py", "wal", "data/app.db", "acks", "1000"];
    let script = format!(
        "const child = require('child_process').spawn('{}', {:?}, {{stdio: 'inherit'}});
        process.on('SIGINT', () => child.kill('SIGINT'));
        child.on('exit', (code) => process.exit(code));",
        words[0],
        &words[1..]
    );
    fs::write(world.path("server.js"), script).unwrap();
    let pm2 = Pm2 { world: &world, program };
    pm2.run(&["start", "pm2.config.js"]);
    let started = Instant::now();
    while acks(&world.work()).len() < 50 {
        assert!(started.elapsed() < LIMIT, "{}", fs::read_to_string(world.path("../pm2/pm2.log")).unwrap());
        thread::sleep(Duration::from_millis(10));
    }
    pm2.run(&["stop", "app"]);
    assert_eq!(newest_saved(&world), acks(&world.work()).last().unwrap().0);
    drop(pm2);
    nobody_is_left(&world);
}
