//! Copies live databases while other processes (python3) write to them: the copy shows one state, and the source is
//! unchanged.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may panic, and says what it saw"
)]

mod another_user;
mod one_process;
mod refusals;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heirloom::clock::Clock;
use heirloom::database::{Depth, Effort, PinnedDatabase, Source, SourceError, Timeouts, check, pin};
use heirloom::metadata::Integrity;
use heirloom::names::Name;
use heirloom::progress::{Progress, Silent, Stage};

const LIMITS: Timeouts =
    Timeouts { busy: Duration::from_secs(20), stalled: Duration::from_secs(20), total: Duration::from_secs(60) };
const IMPATIENT: Timeouts = Timeouts { busy: Duration::from_millis(300), ..LIMITS };

/// Accounts whose balances sum to 5000, and a log without gaps whose last number is the counter.
const MAKE: &str = r#"
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode=" + sys.argv[2])
c.executescript("""BEGIN; CREATE TABLE account(id INTEGER PRIMARY KEY, balance INT NOT NULL, pad BLOB);
CREATE TABLE log(n INTEGER PRIMARY KEY); CREATE TABLE counter(n INT); INSERT INTO counter VALUES(0);
WITH RECURSIVE i(x) AS (SELECT 0 UNION ALL SELECT x+1 FROM i WHERE x<49)
INSERT INTO account SELECT x, 100, randomblob(20000) FROM i; COMMIT;""")
c.close()
"#;

/// Moves money from account to account until its standard input is closed.
const WRITE: &str = r#"
import sqlite3, sys, time, threading
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
n = 0
while not done.is_set():
    try:
        c.execute("BEGIN IMMEDIATE")
        c.execute("UPDATE account SET balance=balance-1 WHERE id=?", (n % 50,))
        c.execute("UPDATE account SET balance=balance+1 WHERE id=?", ((n * 7 + 1) % 50,))
        c.execute("UPDATE counter SET n=n+1")
        c.execute("INSERT INTO log SELECT n FROM counter")
        c.execute("COMMIT")
        if n == 0: print("ready", flush=True)
        n += 1
    except sqlite3.OperationalError:
        if c.in_transaction: c.execute("ROLLBACK")
    time.sleep(0.001)
print(n, flush=True)
"#;

/// Grows a database from 1 MB to 33 MB.
const BALLAST: &str = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE ballast AS \
                       SELECT zeroblob(32000000)')";

const COUNT: &str = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])";

/// Runs a python script to its end and returns what it printed.
fn python<A: AsRef<OsStr>>(script: &str, arguments: &[A]) -> String {
    let output = Command::new("python3").arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A python process that runs during the test; it has printed `ready`, and ends when its input is closed.
struct Beside(Child);

impl Beside {
    fn start<A: AsRef<OsStr>>(script: &str, arguments: &[A]) -> Self {
        let mut command = Command::new("python3");
        let mut child =
            command.arg("-c").arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::with_capacity(1, child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child.stdout = Some(output.into_inner());
        Self(child)
    }

    /// Ends it and returns what it printed after `ready`.
    fn finish(mut self) -> String {
        drop(self.0.stdin.take());
        let output = std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap();
        assert!(self.0.wait().unwrap().success());
        output.trim().to_owned()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct World {
    _folder: tempfile::TempDir,
    /// The folder of the databases.
    live: PathBuf,
    scratch: PathBuf,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (live, scratch) = (folder.path().join("live"), folder.path().join("scratch"));
        fs::create_dir(&live).unwrap();
        fs::create_dir(&scratch).unwrap();
        Self { _folder: folder, live, scratch }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.live.join(name)
    }

    fn database(&self, name: impl AsRef<Path>, mode: &str) -> PathBuf {
        let path = self.path(name);
        python(MAKE, &[path.as_os_str(), mode.as_ref()]);
        path
    }

    /// Everything about the files of the live folder that a backup could change. The `-shm` is only an index: it only
    /// has to exist.
    fn state(&self) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64)> {
        let entries = fs::read_dir(&self.live).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| {
                let metadata = fs::symlink_metadata(&path).unwrap();
                let index = path.to_string_lossy().ends_with("-shm");
                let bytes = if metadata.is_file() && !index && metadata.len() < 1 << 30 {
                    fs::read(&path).unwrap()
                } else {
                    Vec::new()
                };
                let modified = if index { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) };
                (path, (bytes, modified.0, modified.1))
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.state().keys().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn pin(&self, paths: &[&Path], limits: &Timeouts) -> Result<(Vec<PinnedDatabase>, bool), SourceError> {
        let source = |path: &&Path| Source { name: Name::from_path(path), path: path.to_path_buf() };
        let pinned = pin(
            &paths.iter().map(source).collect::<Vec<_>>(),
            &self.scratch,
            &Clock::new(chrono::Utc::now),
            limits,
            &Silent,
        )?;
        Ok((pinned.databases, pinned.consistent))
    }

    /// Backs up one database into the scratch folder.
    fn copy(&self, path: &Path) -> Result<PathBuf, SourceError> {
        let (databases, consistent) = self.pin(&[path], &IMPATIENT)?;
        assert!(consistent, "a single database is always consistent");
        Ok(self.copy_all(databases, &IMPATIENT).remove(0))
    }

    fn copy_all(&self, databases: Vec<PinnedDatabase>, limits: &Timeouts) -> Vec<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let copy = |database: PinnedDatabase| {
            let target = self.scratch.join(format!("copy-{}.db", NEXT.fetch_add(1, Ordering::Relaxed)));
            let said = database.bytes();
            let bytes = database.copy_to(&target, limits, &Silent).unwrap();
            let metadata = fs::metadata(&target).unwrap();
            assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (bytes, 0o600));
            assert_eq!(said, bytes);
            target
        };
        databases.into_iter().map(copy).collect()
    }

    /// The files in the scratch folder besides the copies, which should be none.
    fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(&self.scratch).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !(name.starts_with("copy-") && name.ends_with(".db"))).collect()
    }
}

fn count(copy: &Path, sql: &str) -> i64 {
    python(COUNT, &[copy.as_os_str(), sql.as_ref()]).parse().unwrap()
}

/// Checks that a copy shows one state of a database under `WRITE`, and returns its counter.
fn transfers(copy: &Path) -> i64 {
    assert_eq!(check(copy, Depth::Full, Effort::single(), &Silent).unwrap().integrity, Integrity::Ok);
    assert_eq!(count(copy, "SELECT sum(balance) FROM account"), 5000);
    let counter = count(copy, "SELECT n FROM counter");
    assert_eq!(count(copy, "SELECT count(*) FROM log"), counter);
    assert_eq!(count(copy, "SELECT coalesce(max(n), 0) FROM log"), counter);
    counter
}

#[test]
fn an_idle_database_is_left_unchanged_without_sidecars() {
    for mode in ["delete", "persist", "truncate", "wal"] {
        let world = World::new();
        let path = world.database("app.db", mode);
        let before = world.state();
        let copy = world.copy(&path).unwrap();
        assert_eq!(world.state(), before, "{mode}");
        assert_eq!(transfers(&copy), 0);
        let header = fs::read(&copy).unwrap();
        assert_eq!(header[18..20], if mode == "wal" { [2, 2] } else { [1, 1] });
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

#[test]
fn an_idle_set_is_left_unchanged_without_sidecars() {
    let world = World::new();
    let paths =
        [world.database("wal.db", "wal"), world.database("other.db", "delete"), world.database("third.db", "wal")];
    let before = world.state();
    let (databases, consistent) = world.pin(&[&paths[0], &paths[1], &paths[2]], &LIMITS).unwrap();
    assert!(consistent);
    world.copy_all(databases, &LIMITS);
    assert_eq!(world.state(), before);
}

/// Commits rows and exits without closing: leaves `-wal` and `-shm`, or a hot journal.
const CRASH: &str = r#"
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
if sys.argv[2] == "wal":
    c.execute("PRAGMA wal_autocheckpoint=0")
    for n in range(1, 30): c.execute("INSERT INTO log VALUES(?)", (n,))
    c.execute("UPDATE counter SET n=29")
else:
    c.execute("PRAGMA cache_size=2")
    c.execute("BEGIN IMMEDIATE")
    c.execute("UPDATE account SET balance=0, pad=randomblob(20000)")
os._exit(0)
"#;

#[test]
fn the_wal_of_an_application_that_crashed_is_read_and_kept() {
    for shm in ["kept", "lost"] {
        let world = World::new();
        let path = world.database("app.db", "wal");
        python(CRASH, &[path.as_os_str(), "wal".as_ref()]);
        if shm == "lost" {
            fs::remove_file(world.path("app.db-shm")).unwrap();
        }
        let before = world.state();
        assert!(before[&world.path("app.db-wal")].0.len() > 4096);
        let copy = world.copy(&path).unwrap();
        assert_eq!(world.state(), before, "-shm {shm}");
        assert_eq!(transfers(&copy), 29);
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

#[test]
fn a_hot_journal_is_rolled_back_only_in_the_copy() {
    for mode in ["delete", "persist"] {
        let world = World::new();
        let path = world.database("app.db", mode);
        python(CRASH, &[path.as_os_str(), "rollback".as_ref()]);
        assert!(fs::metadata(world.path("app.db-journal")).unwrap().len() > 512);
        let before = world.state();
        let copy = world.copy(&path).unwrap();
        assert_eq!(world.state(), before);
        assert_eq!(transfers(&copy), 0);
        let (databases, consistent) = world.pin(&[&path, &world.database("other.db", "wal")], &LIMITS).unwrap();
        assert!(!consistent, "a staged copy cannot be locked together with another database");
        assert_eq!(world.copy_all(databases, &LIMITS).iter().map(|copy| transfers(copy)).sum::<i64>(), 0);
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

/// Commits rows, and keeps its connection open until its input is closed; then it writes once more.
const IDLE: &str = r#"
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA wal_autocheckpoint=0")
for n in range(1, 30): c.execute("INSERT INTO log VALUES(?)", (n,))
c.execute("UPDATE counter SET n=29")
print("ready", flush=True)
sys.stdin.read()
c.execute("INSERT INTO log VALUES(30)")
"#;

#[test]
fn the_wal_of_a_running_application_is_read_and_kept() {
    let world = World::new();
    let path = world.database("app.db", "wal");
    let application = Beside::start(IDLE, &[&path]);
    let before = world.state();
    let copy = world.copy(&path).unwrap();
    assert_eq!(world.state(), before);
    assert_eq!(world.names(), ["app.db", "app.db-shm", "app.db-wal"]);
    assert_eq!(transfers(&copy), 29);
    application.finish();
    assert_eq!(count(&path, "SELECT count(*) FROM log"), 30);
}

#[test]
fn an_application_that_starts_during_a_copy_keeps_its_commits() {
    let world = World::new();
    let path = world.database("app.db", "wal");
    let (databases, _) = world.pin(&[&path], &LIMITS).unwrap();
    python(
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO log VALUES(1)'); c.commit()",
        &[&path],
    );
    let wal = fs::read(world.path("app.db-wal")).unwrap();
    assert!(!wal.is_empty());
    let copies = world.copy_all(databases, &LIMITS);
    assert_eq!(count(&copies[0], "SELECT count(*) FROM log"), 0, "the state when it was pinned");
    assert_eq!(fs::read(world.path("app.db-wal")).unwrap(), wal, "closing did not checkpoint the application's -wal");
    assert_eq!(count(&path, "SELECT count(*) FROM log"), 1);
}

#[test]
fn copies_beside_a_fast_writer_end_and_each_is_one_state() {
    for mode in ["wal", "delete"] {
        let world = World::new();
        let path = world.database("app.db", mode);
        // Larger than a step of the copy: without the read transaction, every commit between two steps would restart
        // it.
        python(BALLAST, &[&path]);
        let writer = Beside::start(WRITE, &[&path]);
        let mut last = 0;
        for _ in 0..5 {
            let (databases, _) = world.pin(&[&path], &LIMITS).unwrap();
            let copies = world.copy_all(databases, &Timeouts { total: Duration::from_secs(15), ..LIMITS });
            let now = transfers(&copies[0]);
            assert!(now >= last, "{mode}: an older state after a newer one");
            last = now;
        }
        let written: i64 = writer.finish().parse().unwrap();
        assert!(written >= last && last > 0, "{mode}: {written} written, {last} seen");
        assert_eq!(transfers(&path), written);
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

/// Creates two databases for `MOVE`.
const MAKE_TWO: &str = r#"
import sqlite3, sys
for path, start in ((sys.argv[1], 100), (sys.argv[2], 0)):
    c = sqlite3.connect(path, isolation_level=None)
    c.execute("PRAGMA journal_mode=" + sys.argv[3])
    c.executescript("CREATE TABLE acc(id INTEGER PRIMARY KEY, v INT); CREATE TABLE tx(id TEXT PRIMARY KEY);"
                    "CREATE TABLE pad(x);"
                    "INSERT INTO pad VALUES(randomblob(2000000));")
    c.executemany("INSERT INTO acc VALUES(?,?)", [(i, start) for i in range(10)])
"#;

/// Moves money from the first to the second: in one transaction on both, or first the debit and then the credit.
const MOVE: &str = r#"
import random, sqlite3, sys, threading, time
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
a, b, kind, who = sys.argv[1:]
c = sqlite3.connect(a, isolation_level=None, timeout=20)
d = sqlite3.connect(b, isolation_level=None, timeout=20)
c.execute("ATTACH ? AS b", (b,))
print("ready", flush=True)
n = 0
while not done.is_set():
    try:
        if kind == "attach":
            c.execute("BEGIN IMMEDIATE")
            c.execute("UPDATE main.acc SET v=v-1 WHERE id=?", (n % 10,))
            c.execute("UPDATE b.acc SET v=v+1 WHERE id=?", (n % 10,))
            c.execute("COMMIT")
        else:
            c.execute("INSERT INTO main.tx VALUES(?)", (f"{who}-{n}",))
            d.execute("INSERT INTO tx VALUES(?)", (f"{who}-{n}",))
    except sqlite3.OperationalError:
        if c.in_transaction: c.execute("ROLLBACK")
    n += 1
    time.sleep(random.random() * .002)
print(n, flush=True)
"#;

/// Prints `right` if two copies show the same point in time.
const JUDGE: &str = r#"
import sqlite3, sys
a, b = [sqlite3.connect(path) for path in sys.argv[1:]]
total = sum(c.execute("SELECT sum(v) FROM acc").fetchone()[0] for c in (a, b))
credits, debits = [set(c.execute("SELECT id FROM tx")) for c in (b, a)]
print("right" if total == 1000 and credits <= debits else f"total {total}, credits without debit {credits - debits}")
"#;

#[test]
fn a_set_shows_one_moment_while_transactions_span_its_databases() {
    let rounds: usize = std::env::var("HEIRLOOM_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    for (mode, kind) in [("wal", "attach"), ("wal", "causal"), ("delete", "attach"), ("delete", "causal")] {
        let world = World::new();
        let (a, b) = (world.path("a.db"), world.path("b.db"));
        python(MAKE_TWO, &[a.as_os_str(), b.as_os_str(), mode.as_ref()]);
        let arguments =
            |who: &'static str| [a.as_os_str().to_owned(), b.as_os_str().to_owned(), kind.into(), who.into()];
        let movers = ["x", "y"].map(|who| Beside::start(MOVE, &arguments(who)));
        let mut longest = Duration::ZERO;
        for round in 0..rounds {
            let started = Instant::now();
            let (databases, consistent) = world.pin(&[&b, &a], &LIMITS).unwrap();
            longest = longest.max(started.elapsed());
            assert!(consistent, "{mode} {kind}");
            let copies = world.copy_all(databases, &LIMITS);
            assert_eq!(python(JUDGE, &[&copies[1], &copies[0]]), "right", "{mode} {kind}, snapshot {round}");
            copies.iter().for_each(|copy| fs::remove_file(copy).unwrap());
        }
        let moved: i64 = movers.into_iter().map(|mover| mover.finish().parse::<i64>().unwrap()).sum();
        assert!(moved > i64::try_from(rounds).unwrap(), "{mode} {kind}: the writers made no progress");
        eprintln!("{mode} {kind}: {rounds} snapshots, {moved} moves, longest pin {longest:?}");
    }
}

/// Cancels once this much was copied.
struct StopAfter {
    bytes: u64,
    seen: AtomicU64,
}

impl Progress for StopAfter {
    fn begin(&self, _: Stage, _: &str, _: u64) {}
    fn advance(&self, bytes: u64) {
        self.seen.fetch_add(bytes, Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        self.seen.load(Ordering::Relaxed) >= self.bytes
    }
}

#[test]
fn an_interrupted_copy_leaves_no_target_and_no_sidecars() {
    let world = World::new();
    let path = world.database("app.db", "wal");
    python(
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE big AS SELECT \
         zeroblob(20000000)')",
        &[&path],
    );
    let before = world.state();
    let (mut databases, _) = world.pin(&[&path], &LIMITS).unwrap();
    let stop = StopAfter { bytes: 4 << 20, seen: AtomicU64::new(0) };
    let target = world.scratch.join("target.db");
    let error = databases.remove(0).copy_to(&target, &LIMITS, &stop).unwrap_err();
    assert!(matches!(error, SourceError::Interrupted(_)));
    assert!(stop.seen.load(Ordering::Relaxed) < 20_000_000, "it stopped during the copy");
    assert_eq!(world.leftovers(), [""; 0]);
    assert_eq!(world.state(), before);
}

#[test]
fn progress_adds_up_to_the_size_and_a_target_is_never_overwritten() {
    let world = World::new();
    let path = world.database("app.db", "delete");
    let (mut databases, _) = world.pin(&[&path], &LIMITS).unwrap();
    let bytes = databases[0].bytes();
    let counter = StopAfter { bytes: u64::MAX, seen: AtomicU64::new(0) };
    let target = world.scratch.join("copy-here.db");
    databases.remove(0).copy_to(&target, &LIMITS, &counter).unwrap();
    assert_eq!(counter.seen.load(Ordering::Relaxed), bytes);

    let written = fs::read(&target).unwrap();
    let (mut databases, _) = world.pin(&[&path], &LIMITS).unwrap();
    assert!(databases.remove(0).copy_to(&target, &LIMITS, &Silent).is_err());
    assert_eq!(fs::read(&target).unwrap(), written);
}
