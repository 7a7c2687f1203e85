//! An application in a process of its own, which does what it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// One line for each command: `open PATH`, `close`, or SQL. Waits for no lock.
const SCRIPT: &str = r#"
import sqlite3, sys
c = None
for line in sys.stdin:
    line = line.rstrip("\n")
    try:
        if line == "close":
            c.close()
        elif line.startswith("open "):
            c = sqlite3.connect(line[5:], isolation_level=None, timeout=0)
            c.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        else:
            for statement in line.split(";"):
                c.execute(statement).fetchall()
        print("ok", flush=True)
    except sqlite3.OperationalError as error:
        if c.in_transaction: c.execute("ROLLBACK")
        print(error, flush=True)
"#;

pub struct Application {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Application {
    pub fn start() -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Runs a command; returns whether it succeeded. If not, a lock was in the way, and nothing changed.
    pub fn does(&mut self, line: &str) -> bool {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        match answer.trim() {
            "ok" => true,
            busy if busy.contains("locked") || busy.contains("cannot VACUUM") || busy.contains("within a") => false,
            other => panic!("{line}: {other:?}"),
        }
    }

    pub fn open(&mut self, path: &Path) -> bool {
        self.does(&format!("open {}", path.display()))
    }

    /// Kills it, so that its sidecars stay, and starts another one.
    pub fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        *self = Self::start();
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
