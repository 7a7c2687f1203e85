//! A real application under `heirloom run`, and what is left of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::World;

/// Longer than anything takes; only a broken program waits for it.
const LIMIT: Duration = Duration::from_secs(240);

/// Writes numbers into a database and acknowledges each after its commit: `number time`. It ends with 7 at SIGTERM or
/// SIGINT, after a few more commits, unless it ignores them.
pub const APPLICATION: &str = r#"
import os, signal, sqlite3, sys, time
mode, path, acks, more = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
stop = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: stop.append(number))
open("pid", "w").write(str(os.getpid()))
c = sqlite3.connect(path, isolation_level=None, timeout=30)
c.execute("pragma journal_mode=" + mode)
c.execute("create table if not exists t(n integer primary key)")
n = c.execute("select coalesce(max(n), 0) from t").fetchone()[0]
with open(acks, "a") as out:
    while more:
        if stop: more -= 1
        n += 1
        c.execute("insert into t values(?)", (n,))
        out.write("%d %.6f\n" % (n, time.time()))
        out.flush()
        time.sleep(0.002)
c.close()
sys.exit(7)
"#;

/// Makes a world with the application; `app.db` does not exist yet.
pub fn world() -> World {
    let mut world = World::new();
    world.env("DATABASE_PATH", "app.db");
    fs::write(world.path("app.py"), APPLICATION).unwrap();
    world
}

/// Prepares a command whose clock runs.
pub fn live<S: AsRef<std::ffi::OsStr>>(world: &World, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = world.command(args);
    command.env_remove("HEIRLOOM_NOW");
    command
}

/// A `heirloom run` in the background. It is killed when dropped.
pub struct Run {
    child: Child,
    said: std::path::PathBuf,
}

impl Run {
    pub fn start(world: &World, command: &mut Command) -> Self {
        let said = world.path(format!("said-{}", world.files(".").len()));
        let child = command.stderr(File::create(&said).unwrap()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, said }
    }

    /// Starts the application.
    pub fn application(world: &World, options: &[&str], mode: &str, more: &str) -> Self {
        let words = ["--", "python3", "app.py", mode, "app.db", "acks", more];
        Self::start(world, &mut live(world, ["run"].iter().chain(options).chain(&words)))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn said(&self) -> String {
        let mut text = String::new();
        File::open(&self.said).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until it has written this.
    pub fn says(&mut self, text: &str) {
        self.until(|run| run.said().contains(text), text);
    }

    /// Waits until something holds, which must be before it ends.
    pub fn until(&mut self, holds: impl Fn(&Self) -> bool, what: &str) {
        let started = Instant::now();
        while !holds(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() || holds(self), "it ended ({ended:?}) before: {what}\n{}", self.said());
            assert!(started.elapsed() < LIMIT, "never: {what}\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Waits for its end, and returns its exit code; 128+N if a signal ended it.
    pub fn code(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let status: ExitStatus = status;
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(started.elapsed() < LIMIT, "it does not end\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until this many numbers were acknowledged.
    pub fn acknowledged(&mut self, world: &World, count: usize) {
        let world = world.work();
        self.until(move |_| acks(&world).len() >= count, "acknowledged numbers");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn kill(pid: u32, signal: Signal) {
    // It may have ended already.
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
}

/// The numbers that were acknowledged, with their times. The last line may be cut off.
pub fn acks(work: &Path) -> Vec<(i64, f64)> {
    let text = fs::read_to_string(work.join("acks")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let pair = |line: &str| line.split_once(' ').map(|(n, at)| (n.parse().unwrap(), at.parse().unwrap()));
    whole.lines().filter_map(pair).collect()
}

/// The PID that the application wrote down.
pub fn application_pid(world: &World) -> Option<u32> {
    fs::read_to_string(world.path("pid")).ok()?.parse().ok()
}

/// The newest number of the newest archive.
pub fn newest_saved(world: &World) -> i64 {
    let _ = fs::remove_file(world.path("copy.db"));
    world.run(&mut live(world, ["restore", "latest", "--to", "copy.db"])).success();
    let ok = world.ask("copy.db", "PRAGMA integrity_check");
    assert_eq!(ok, "ok");
    world.ask("copy.db", "SELECT max(n) FROM t").parse().unwrap()
}

/// Waits until no process works in the folder of this world: neither an orphan nor a zombie.
pub fn nobody_is_left(world: &World) {
    let started = Instant::now();
    loop {
        let left: Vec<String> =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| in_world(world, &entry.path())).collect();
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < LIMIT, "processes are left: {left:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn in_world(world: &World, process: &Path) -> Option<String> {
    let pid = process.file_name()?.to_str()?.parse::<u32>().ok()?;
    let folder = fs::read_link(process.join("cwd")).ok()?;
    let work = world.work().canonicalize().unwrap();
    (pid != std::process::id() && folder.starts_with(work)).then(|| {
        format!("{pid} {}", fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " "))
    })
}
