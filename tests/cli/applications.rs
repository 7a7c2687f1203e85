//! Real applications check the result of a restore and its undo: `tests/applications/*.py`, each with its library from
//! PyPI.
//!
//! The application has the database open and writes all the time. `scripts/check.sh` installs the
//! packages and names the interpreter in `HEIRLOOM_TEST_PYTHON`.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and reports what it did not run")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use crate::tools::{have_modules, python};
use crate::world::{Ran, World};

/// Reports whether the interpreter has these modules.
fn has(modules: &str) -> bool {
    have_modules("applications go on while their database is restored", modules)
}

/// An application that runs: it answers each line with a line.
struct Application {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Application {
    fn start(script: &str, database: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/applications").join(script);
        let mut command = python();
        command.arg(script).arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut application = Self { child, answers };
        assert_eq!(application.answer(), "ready");
        application
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.child.stdin.as_ref().unwrap(), "{question}").unwrap();
        self.answer()
    }

    /// Stops it cleanly: it closes the database itself.
    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // A failed test must leave no process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the tool beside the database of an application, with the real clock.
fn output(world: &World, arguments: &[&str]) -> Ran {
    world.run(
        world
            .command(["--dir", "backups"])
            .args(arguments)
            .env("HEIRLOOM_CONFIG", "/dev/null")
            .env_remove("HEIRLOOM_NOW"),
    )
}

/// Runs the tool, which ends with this code, and returns what it prints on stderr.
#[track_caller]
fn heirloom(world: &World, arguments: &[&str], exit: i32) -> String {
    output(world, arguments).exits(exit).stderr
}

/// Backs up, restores and undoes while an application writes and checks each state; then again after a
/// restart.
fn restores_under(script: &str) {
    let world = World::new();
    let database = world.path("app.db");
    let mut application = Application::start(script, &database);
    assert_eq!(application.ask("add alice"), "alice");
    assert_eq!(application.ask("write"), "writing");
    let warnings = heirloom(&world, &["backup", "app.db"], 0);
    assert_eq!(warnings, "");
    assert_eq!(application.ask("add bob"), "bob");

    heirloom(&world, &["restore", "app.db", "--force"], 0);
    let judged =
        |application: &mut Application| ["judge", "find alice", "find bob"].map(|question| application.ask(question));
    assert_eq!(judged(&mut application), ["sound", "found", "not found"]);

    heirloom(&world, &["restore", "--undo", "--force"], 0);
    assert_eq!(judged(&mut application), ["sound", "found", "found"]);
    assert_eq!(application.ask("stop"), "written without errors");
    application.end();

    // Each state as seen by an application that starts on it.
    heirloom(&world, &["restore", "app.db", "--force"], 0);
    let mut application = Application::start(script, &database);
    assert_eq!(judged(&mut application), ["sound", "found", "not found"]);
    application.end();
    heirloom(&world, &["restore", "--undo", "--force"], 0);
    let mut application = Application::start(script, &database);
    assert_eq!(judged(&mut application), ["sound", "found", "found"]);
    application.end();
}

#[test]
fn a_django_site_is_restored_while_it_writes() {
    if has("django") {
        restores_under("django_site.py");
    }
}

#[test]
fn a_vector_search_is_restored_while_it_writes() {
    if has("apsw, sqlite_vec") {
        restores_under("vector_search.py");
    }
}

#[test]
fn a_vector_search_that_lost_its_documents_is_a_shrink_though_one_table_cannot_be_counted() {
    if !has("apsw, sqlite_vec") {
        return;
    }
    let world = World::new();
    let mut application = Application::start("vector_search.py", &world.path("app.db"));
    assert_eq!(application.ask("fill 1200"), "filled");
    assert_eq!(heirloom(&world, &["backup", "app.db"], 0), "");
    assert_eq!(application.ask("clear"), "cleared");
    let health = output(&world, &["health"]).stdout;
    assert!(health.contains(" left of 2"), "{health}");
    let warning = heirloom(&world, &["backup", "app.db"], 3);
    assert!(warning.contains("rows fell from 2,4"), "{warning}");
    application.end();
}
