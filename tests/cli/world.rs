//! A hermetic world: own home, own temp, cleared environment, UTC, a fixed clock, output normalised.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;

/// The default time of a world.
const NOW: &str = "2026-03-01T03:00:00Z";

/// A folder of its own with everything that a command sees.
pub struct World {
    root: tempfile::TempDir,
    now: String,
    env: Vec<(String, String)>,
}

/// What a command did.
pub struct Ran {
    /// The exit code; 128+N where a signal ended it.
    pub code: i32,
    /// Standard output, with the world's folder replaced by `[world]`.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    command: String,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "tmp", "work"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, now: NOW.into(), env: Vec::new() }
    }

    /// The working directory of commands.
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The folder around everything, as it stands in outputs that are not normalised.
    pub fn root(&self) -> &str {
        self.root.path().to_str().unwrap()
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.work().join(name)
    }

    /// Sets the clock: a day, or a whole RFC 3339 time.
    pub fn at(&mut self, time: &str) -> &mut Self {
        self.now = if time.len() == 10 { format!("{time}T00:00:00Z") } else { time.into() };
        self
    }

    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Makes a database of 100 notes in rollback mode.
    pub fn database(&self, name: &str) -> PathBuf {
        self.sql(
            name,
            "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL);
             CREATE INDEX by_text ON notes(text);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO notes SELECT i, 'note number ' || i FROM n;",
        )
    }

    /// Runs SQL on a database, which is made where it is not there.
    pub fn sql(&self, name: &str, sql: &str) -> PathBuf {
        let path = self.path(name);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
        path
    }

    /// Asks a database for one value, as text.
    pub fn ask(&self, name: &str, query: &str) -> String {
        let connection = Connection::open(self.path(name)).unwrap();
        let value: rusqlite::types::Value = connection.query_row(query, [], |row| row.get(0)).unwrap();
        match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{query}: {other:?}"),
        }
    }

    /// Prepares a command without running it.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_heirloom"));
        command.args(args);
        command
    }

    /// Prepares a script for the shell, which finds the program that is tested as `heirloom`.
    pub fn shell(&self, script: &str) -> Command {
        let mut folders = vec![Path::new(env!("CARGO_BIN_EXE_heirloom")).parent().unwrap().to_owned()];
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = self.program("sh");
        command.args(["-euc", script]).env("PATH", std::env::join_paths(folders).unwrap());
        command
    }

    fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.work()).stdin(Stdio::null()).env_clear();
        command.env("HOME", self.root.path().join("home")).env("TMPDIR", self.root.path().join("tmp"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env("USER", "tester").env("HEIRLOOM_NOW", &self.now);
        // Not root's own, where one test would see the stores of another.
        command.env("HEIRLOOM_STATE_DIR", self.root.path().join("state"));
        // Named, because the machine that runs the tests may be a container.
        command.env("HEIRLOOM_HOST", "here");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn heirloom<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.run(&mut self.command(args))
    }

    pub fn run(&self, command: &mut Command) -> Ran {
        let shown = format!("{command:?}");
        self.ran(shown, command.output().unwrap())
    }

    pub fn ran(&self, command: String, output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt as _;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8").replace(self.root(), "[world]");
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap());
        let ran = Ran { code, stdout: text(output.stdout), stderr: text(output.stderr), command };
        assert!(code != 101 && !ran.stderr.contains("panicked"), "panic: {}\n{}", ran.command, ran.stderr);
        ran
    }

    /// The archives of the default store, sorted.
    pub fn archives(&self) -> Vec<String> {
        let is_archive =
            |name: &String| [".tar.gz", ".tar.zst", ".tar", ".age"].iter().any(|ending| name.ends_with(ending));
        self.files("backups").into_iter().filter(is_archive).collect()
    }

    /// The names in a folder, sorted; empty where there is no folder.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = match fs::read_dir(self.path(folder)) {
            Ok(entries) => entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect(),
            Err(_) => Vec::new(),
        };
        names.sort();
        names
    }

    /// What runs left in the store's private folder, besides lock, log and records: scratch, holds, pending archives.
    pub fn leftovers(&self) -> Vec<String> {
        let kept = ["lock", "restores", "holds", "pending", "copies", "seen", "gone"];
        let names = self.files("backups/.heirloom").into_iter();
        let scratch = names.filter(|name| !kept.contains(&name.as_str()) && !name.starts_with("activity.db"));
        scratch.chain(self.files("backups/.heirloom/holds")).chain(self.pending()).collect()
    }

    /// The safety archives that wait in the workspace of the default store.
    pub fn pending(&self) -> Vec<String> {
        self.files("backups/.heirloom/pending")
    }
}

impl Ran {
    #[track_caller]
    pub fn success(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\nstdout: {}\nstderr: {}", self.command, self.stdout, self.stderr);
        self
    }

    /// Asserts that the error says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{}\n\"{text}\" is not in: {}", self.command, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{}\n{error}: {}", self.command, self.stdout))
    }
}
