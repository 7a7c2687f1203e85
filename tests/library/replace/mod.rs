//! Replaces real databases that other processes read, write and lock, and in which they crash.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may panic, and prints its figures"
)]

mod results;
mod targets;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use heirloom::database::{
    Compared, Offline, Proof, Replacement, Target, TargetError, TargetState, Timeouts, holders, look_at, place_new,
    place_over_unusable,
};
use heirloom::progress::Silent;
use rusqlite::Connection;

fn limits(busy: Duration) -> Timeouts {
    Timeouts { busy, ..Timeouts::default() }
}

/// Creates a database of one generation: every row contains it, so that a mixture is detected.
fn make(path: &Path, mode: &str, generation: u32, rows: u32) {
    make_with(path, mode, generation, rows, "");
}

fn make_with(path: &Path, mode: &str, generation: u32, rows: u32, pragmas: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(pragmas).unwrap();
    let _: String = connection.query_row(&format!("PRAGMA journal_mode={mode}"), [], |row| row.get(0)).unwrap();
    connection
        .execute_batch(&format!(
            "BEGIN; CREATE TABLE t(generation, pad); CREATE INDEX i ON t(generation); CREATE TABLE counter(n);
             INSERT INTO counter VALUES(0);
             WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n < {rows}) INSERT INTO t SELECT \
             {generation}, randomblob(300) FROM r; COMMIT"
        ))
        .unwrap();
    connection.close().unwrap();
}

/// Copies a closed database to a private file.
fn staged(folder: &Path, name: &str, from: &Path) -> PathBuf {
    let copy = folder.join(name);
    fs::copy(from, &copy).unwrap();
    copy
}

/// The state as a reader sees it: generation, rows, whether all rows are of one generation, and the check.
fn state(path: &Path) -> (u32, u32) {
    let connection = Connection::open(path).unwrap();
    let seen = connection
        .query_row("SELECT min(generation), max(generation), count(*) FROM t", [], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?))
        })
        .unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!((seen.0, check.as_str()), (seen.1, "ok"), "a mixture of generations");
    (seen.0, seen.2)
}

fn counter(path: &Path) -> u64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT n FROM counter", [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
}

/// Replaces a database in place, with a safety copy, and returns the result of the comparison.
fn replace(target: &Path, copy: &Path, safety: &Path, busy: Duration) -> Result<Compared, TargetError> {
    let mut replacement = Replacement::open(&look_at(target)?, copy, &limits(busy), &Silent)?;
    let locked = replacement.lock(&limits(busy), &Silent)?;
    locked.copy_to(safety, &Silent)?;
    let committed = locked.write(&Silent)?.commit()?;
    let space = safety.with_extension("compare");
    let difference = committed.compare(&space, &Silent)?;
    let compared = replacement.judge(difference)?;
    replacement.close()?;
    Ok(compared)
}

fn no_sidecars(path: &Path) {
    for ending in ["-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        assert!(!Path::new(&name).exists(), "{name:?} was left");
    }
}

/// A python process working on a database; it prints lines until its stdin is closed.
struct Worker {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Worker {
    fn start(script: &str, path: &Path) -> Self {
        let prelude = "import sqlite3, sys, select, time\n\
                       def going(): return not select.select([sys.stdin], [], [], 0)[0]\n\
                       def say(*x): print(*x, flush=True)\n\
                       c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n";
        let mut child = Command::new("python3")
            .args(["-c", &format!("{prelude}{script}")])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        lines.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self { child, lines }
    }

    /// Stops it and returns what it printed.
    fn stop(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let lines = self.lines.lines().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const READER: &str = "
say('ready')
reads = mixed = errors = 0
seen = set()
while going():
    try:
        low, high, rows = c.execute('SELECT min(generation), max(generation), count(*) FROM t').fetchone()
        reads += 1
        seen.add((low, rows))
        if low != high or (low, rows) not in ((1, 300), (2, 900)): mixed += 1
    except sqlite3.OperationalError as e:
        if 'locked' not in str(e): say('error', e)
        errors += 1
say('reads', reads); say('mixed', mixed); say('errors', errors); say('states', len(seen))
";

/// Counts up; prints each number only after its commit.
const WRITER: &str = "
say('ready')
while going():
    c.execute('BEGIN IMMEDIATE')
    n = c.execute('SELECT n FROM counter').fetchone()[0] + 1
    c.execute('UPDATE counter SET n=?', (n,))
    c.execute('COMMIT')
    say(n)
    time.sleep(0.001)
";

fn number(lines: &[String], word: &str) -> u64 {
    lines
        .iter()
        .find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {word} in {lines:?}"))
}

/// Restores two generations in turn, 50 times, with two readers and a writer.
fn under_fire(mode: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, second, live) = (folder.join("1.db"), folder.join("2.db"), folder.join("live.db"));
    make(&first, mode, 1, 300);
    make(&second, mode, 2, 900);
    fs::copy(&first, &live).unwrap();
    let copies = [staged(folder, "s1", &first), staged(folder, "s2", &second)];

    let readers = [Worker::start(READER, &live), Worker::start(READER, &live)];
    let writer = Worker::start(WRITER, &live);
    let started = Instant::now();
    let (mut overtaken, mut last) = (0, Vec::new());
    for round in 0..50 {
        let safety = folder.join(format!("safety-{round}"));
        match replace(&live, &copies[(round + 1) % 2], &safety, Duration::from_secs(30)).unwrap() {
            Compared::Same => {}
            Compared::Overtaken => overtaken += 1,
        }
        assert_eq!(
            state(&safety).0 as usize,
            round % 2 + 1,
            "the safety copy of round {round} is of the other generation"
        );
        last.push(counter(&safety));
        // Gives the writer time to commit between two restores.
        std::thread::sleep(Duration::from_millis(15));
    }
    let elapsed = started.elapsed();
    let commits = writer.stop();
    let (mut reads, mut states) = (0, 0);
    for reader in readers {
        let said = reader.stop();
        assert_eq!(number(&said, "mixed"), 0, "{said:?}");
        assert!(!said.iter().any(|line| line.starts_with("error ")), "{said:?}");
        reads += number(&said, "reads");
        states = states.max(number(&said, "states"));
    }
    assert!(
        reads > 100 && states == 2 && commits.len() > 50,
        "{reads} reads of {states} states, {} commits: no test",
        commits.len()
    );

    // Every printed number is the last one before a restore, whose safety copy has it, or is followed by the next.
    let numbers: Vec<u64> = commits.iter().map(|line| line.parse().unwrap()).collect();
    let ends: Vec<u64> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).map(|pair| pair[0]).collect();
    let kept: Vec<u64> = last.iter().copied().filter(|number| *number > 0).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1 || pair[1] == 1), "the counter jumped: {numbers:?}");
    let mut rest = kept.iter();
    assert!(
        ends.iter().all(|end| rest.any(|kept| kept == end)),
        "a commit between safety copy and restore was lost: {ends:?} {kept:?}"
    );
    eprintln!(
        "{mode}: 50 restores in {elapsed:?} under {reads} reads (0 mixed) and {} commits (0 lost); {overtaken} \
         overtaken",
        commits.len()
    );
    assert_eq!(state(&live), (1, 300));
}

#[test]
fn readers_of_a_wal_database_see_all_of_the_old_or_all_of_the_new() {
    under_fire("wal");
}

#[test]
fn readers_of_a_rollback_database_see_all_of_the_old_or_all_of_the_new() {
    under_fire("delete");
}

/// Commits into the -wal and exits without a checkpoint, or exits in the middle of a transaction that has spilled to
/// disk.
const CRASHER: &str = "
c.execute('PRAGMA wal_autocheckpoint=0')
c.execute('PRAGMA cache_size=5')
if c.execute('PRAGMA journal_mode').fetchone()[0] == 'wal':
    c.execute(\"INSERT INTO t SELECT 7, randomblob(3000) FROM t\")
else:
    c.execute('BEGIN')
    c.execute(\"UPDATE t SET generation=7, pad=randomblob(3000)\")
say('ready')
time.sleep(60)
";

#[test]
fn the_sidecars_of_a_crashed_application_are_not_replayed() {
    for mode in ["wal", "delete"] {
        for rows in [1, 3000] {
            let folder = tempfile::tempdir().unwrap();
            let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
            make(&live, mode, 1, 300);
            make(&archive, mode, 2, rows);
            Worker::start(CRASHER, &live).kill();
            let left = live.with_file_name(if mode == "wal" { "live.db-wal" } else { "live.db-journal" });
            assert!(fs::metadata(&left).unwrap().len() > 1000, "nothing was left: no test");
            // A plan must neither roll back nor checkpoint anything.
            let before = fs::read(&left).unwrap();
            look_at(&live).unwrap();
            assert_eq!(fs::read(&left).unwrap(), before);

            let safety = folder.path().join("safety");
            assert_eq!(
                replace(&live, &staged(folder.path(), "s", &archive), &safety, Duration::ZERO).unwrap(),
                Compared::Same
            );

            no_sidecars(&live);
            assert_eq!(state(&live), (2, rows));
            let old = Connection::open(&safety).unwrap();
            let kept: u32 = old.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
            assert_eq!(
                kept,
                if mode == "wal" { 600 } else { 300 },
                "the safety copy has what was committed, and no more"
            );
        }
    }
}

#[test]
fn a_busy_target_is_unchanged_after_the_timeout() {
    for (mode, begin) in [
        ("wal", "BEGIN IMMEDIATE"),
        ("delete", "BEGIN IMMEDIATE"),
        ("delete", "BEGIN EXCLUSIVE"),
        ("delete", "BEGIN; SELECT * FROM t"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
        make(&live, mode, 1, 300);
        make(&archive, mode, 2, 900);
        let holding: Vec<String> = begin.split("; ").map(|sql| format!("c.execute('{sql}').fetchone()\n")).collect();
        let holder = Worker::start(
            &format!("{}say('ready')\nwhile going(): time.sleep(0.01)\nc.execute('ROLLBACK')", holding.concat()),
            &live,
        );
        let before = fs::read(&live).unwrap();

        let refused = replace(
            &live,
            &staged(folder.path(), "s", &archive),
            &folder.path().join("safety"),
            Duration::from_millis(300),
        );

        assert!(matches!(refused, Err(TargetError::Busy { .. })), "{mode} {begin}: {:?}", refused.map(|_| ()));
        assert_eq!(fs::read(&live).unwrap(), before);
        // A server that another test starts in this process holds all of its files until it is another program.
        let expected = [(holder.child.id(), "python3".to_owned())];
        let found = || holders(&live).unwrap().processes.into_iter().map(|one| (one.pid, one.name)).collect::<Vec<_>>();
        let is_found = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(10));
            found() == expected
        });
        assert!(is_found, "{:?}", found());
        holder.stop();
        assert_eq!(state(&live), (1, 300));
    }
}

#[test]
fn a_reader_in_wal_mode_keeps_its_snapshot_and_does_not_block_the_restore() {
    let folder = tempfile::tempdir().unwrap();
    let (live, archive) = (folder.path().join("live.db"), folder.path().join("archive.db"));
    make(&live, "wal", 1, 300);
    make(&archive, "delete", 2, 900);
    let reader = Worker::start(
        "c.execute('BEGIN'); a = c.execute('SELECT sum(generation) FROM t').fetchone()
say('ready')
while going(): time.sleep(0.01)
say(a == c.execute('SELECT sum(generation) FROM t').fetchone()); c.execute('COMMIT')
say(c.execute('SELECT sum(generation) FROM t').fetchone()[0], c.execute('PRAGMA journal_mode').fetchone()[0])",
        &live,
    );
    let copy = staged(folder.path(), "s", &archive);
    assert_eq!(replace(&live, &copy, &folder.path().join("safety"), Duration::from_secs(5)).unwrap(), Compared::Same);
    assert_eq!(reader.stop(), ["True", "1800 wal"]);
    assert_eq!(state(&live), (2, 900));
}

/// Runs in a separate process, which the test below kills.
#[test]
#[ignore = "the victim of the test below"]
fn victim() {
    let Some(folder) = std::env::var_os("VICTIM").map(PathBuf::from) else { return };
    let live = folder.join("live.db");
    println!("\nvictim ready");
    std::io::stdout().flush().unwrap();
    for round in 0.. {
        let safety = folder.join("safety");
        let _ = fs::remove_file(&safety);
        replace(&live, &folder.join(if round % 2 == 0 { "s2" } else { "s1" }), &safety, Duration::from_secs(30))
            .unwrap();
    }
}

#[test]
fn a_process_killed_in_the_middle_leaves_all_of_the_old_or_all_of_the_new() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut old, mut new, mut with_sidecar) = (0, 0, 0);
    for round in 0..60_u64 {
        let mode = if round % 2 == 0 { "wal" } else { "delete" };
        let (first, second, live) = (folder.join("1.db"), folder.join("2.db"), folder.join("live.db"));
        for left in
            ["1.db", "2.db", "live.db", "live.db-wal", "live.db-shm", "live.db-journal", "safety", "safety.compare"]
        {
            let _ = fs::remove_file(folder.join(left));
        }
        make(&first, mode, 1, 300);
        make(&second, mode, 2, 9000);
        fs::copy(&first, &live).unwrap();
        staged(folder, "s1", &first);
        staged(folder, "s2", &second);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "replace::victim", "--ignored", "--nocapture"])
            .env("VICTIM", folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "victim ready"));
        std::thread::sleep(Duration::from_micros(500 + (round * 7919) % 40_000));
        child.kill().unwrap();
        child.wait().unwrap();

        with_sidecar += u32::from(
            ["live.db-wal", "live.db-journal"]
                .iter()
                .any(|name| fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0)),
        );
        match state(&live) {
            (1, 300) => old += 1,
            (2, 9000) => new += 1,
            other => panic!("{mode}, round {round}: {other:?}"),
        }
    }
    eprintln!("60 kills: {old} old, {new} new, {with_sidecar} in the middle of a transaction");
    assert!(old > 0 && new > 0 && with_sidecar > 0, "the kills hit nothing: {old} old, {new} new, {with_sidecar}");
}

/// SQLite reports some disk errors as "malformed"; only a file that is confirmed to be truncated is moved aside as
/// unusable.
#[test]
fn a_disk_error_does_not_make_a_database_unusable() {
    if !crate::tools::installed("an error of the disk does not make a database unusable", &["strace"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live.db");
    make(&live, "wal", 1, 300);
    Worker::start(CRASHER, &live).kill();
    let mut looked = 0;
    for number in 1..40 {
        let output = Command::new("strace")
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=pread64",
                "-e",
                &format!("inject=pread64:error=EIO:when={number}"),
            ])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "replace::looker", "--ignored", "--nocapture"])
            .env("VICTIM", folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains("Unusable"), "read {number}: {said}");
        // The first reads are those of the loader, which fails before that.
        looked += u32::from(said.contains("running 1 test"));
    }
    assert!(looked > 20, "the test that looks ran only {looked} times");
}

/// Examines a target in a separate process, whose reads the test above makes fail.
#[test]
#[ignore = "the victim of the test above"]
fn looker() {
    let Some(folder) = std::env::var_os("VICTIM").map(PathBuf::from) else { return };
    println!("{:?}", look_at(&folder.join("live.db")).map(|target| target.state));
}
