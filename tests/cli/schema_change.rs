//! What the plan and the end of a restore say about the schema, and about whoever has the database open.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::world::{Ran, World};

/// A world with an archive of version 5, and a database of version 9 with one column, one table more and one less.
fn changed(rows: u32, bytes: u32) -> World {
    let mut world = World::new();
    world.sql(
        "app.db",
        &format!(
            "CREATE TABLE t(x); CREATE TABLE old(a); PRAGMA user_version=5;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO t SELECT zeroblob({bytes}) FROM n;"
        ),
    );
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "ALTER TABLE t ADD y; CREATE TABLE new(b); DROP TABLE old; PRAGMA user_version=9;");
    world.at("2026-03-02");
    world
}

const LINE: &str = "user_version: archive 5, database 9; table \"t\" loses column \"y\"; table \"new\" is removed; \
table \"old\" is added";

fn says(ran: &Ran, text: &str) {
    assert!(ran.stdout.contains(text), "\"{text}\" is not in: {}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn the_plan_and_the_end_of_a_restore_say_what_the_schema_loses() {
    let world = changed(3, 10);
    says(&world.heirloom(["restore", "latest", "--dry-run"]).success(), LINE);
    let schema = json!({
        "user_version": {"archive": 5, "database": 9}, "tables_gained": ["old"], "tables_lost": ["new"],
        "columns": [{"table": "t", "gained": [], "lost": ["y"]}], "columns_compared": true,
    });
    let json = world.heirloom(["restore", "latest", "--dry-run", "--json"]).success().json();
    assert_eq!(json["databases"][0]["schema"], schema);
    says(&world.heirloom(["restore", "latest", "--force"]).success(), LINE);
    // The comparison leaves no files behind.
    let left: Vec<_> = std::fs::read_dir(world.work().join("../tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    let mut world = changed(3, 10);
    assert_eq!(
        world.heirloom(["restore", "latest", "--force", "--json"]).success().json()["databases"][0]["schema"],
        schema
    );
    // The other way round, and nothing where nothing changes.
    world.at("2026-03-03");
    let undo = world.heirloom(["restore", "--undo", "--force"]).success();
    says(&undo, "user_version: archive 9, database 5; table \"t\" gains column \"y\"");
    world.at("2026-03-04");
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "INSERT INTO new VALUES(1)");
    let same = world.heirloom(["restore", "latest", "--dry-run"]).success();
    assert!(!same.stdout.contains("schema:"), "{}", same.stdout);
    let none = world.heirloom(["restore", "latest", "--to", "none.db", "--dry-run", "--json"]).success().json();
    assert_eq!(none["databases"][0]["schema"], json!(null));
}

/// What would take long to unpack is compared by the names of its tables before, and by its columns afterwards.
#[test]
fn a_large_database_is_not_unpacked_for_a_dry_run() {
    let world = changed(70, 1_000_000);
    let plan = world.heirloom(["restore", "latest", "--dry-run"]).success();
    says(
        &plan,
        "user_version: archive 5, database 9; table \"new\" is removed; table \"old\" is added; columns not compared",
    );
    says(&world.heirloom(["restore", "latest", "--force"]).success(), LINE);
}

/// The archive of another tool has no metadata to trust, so its database is inspected.
#[test]
fn a_plain_database_is_compared_too() {
    let world = changed(3, 10);
    world.sql("plain.db", "CREATE TABLE t(x); CREATE TABLE new(b); PRAGMA user_version=7;");
    let plan = world.heirloom(["restore", "./plain.db", "--to", "app.db", "--dry-run"]).success();
    says(&plan, "user_version: archive 7, database 9; table \"t\" loses column \"y\"");
}

struct Application(Child);

impl Application {
    fn start(world: &World) -> Self {
        let code = "import sqlite3, sys; c = sqlite3.connect('app.db'); c.execute('select * from t').fetchall(); \
        print('ready', flush=True); sys.stdin.read()";
        let mut command = Command::new("python3");
        command.args(["-c", code]).current_dir(world.work()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_has_it_open_is_said_with_force_and_at_the_end() {
    let world = changed(3, 10);
    let application = Application::start(&world);
    let process = format!("python3 ({})", application.0.id());
    let ran = world.heirloom(["restore", "latest", "--force"]).success();
    let ran = ran.says(&format!("/app.db\" is in use by {process}")).says("restart it");
    assert_eq!(ran.stderr.matches(&process).count(), 2, "before and after: {}", ran.stderr);
    let json = world.heirloom(["restore", "--undo", "--force", "--json"]).success().json();
    assert_eq!(json["databases"][0]["in_use_by"][0]["pid"], application.0.id());
    drop(application);
    let json = world.heirloom(["restore", "latest", "--force", "--json"]).success().json();
    assert_eq!(json["databases"][0]["in_use_by"], json!([]));
}
