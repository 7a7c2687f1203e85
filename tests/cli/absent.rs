//! Databases that are empty, missing, or whose files were deleted under a running application.

use std::fs;
use std::process::Command;

use rusqlite::Connection;

use crate::world::World;

fn set(world: &World, names: &[&str]) {
    let lines: String = names.iter().map(|name| format!("{name} = '{name}.db'\n")).collect();
    fs::write(world.path("heirloom.toml"), format!("[sets.s.databases]\n{lines}")).unwrap();
}

#[test]
fn an_empty_database_of_a_set_does_not_stop_the_others() {
    let mut world = World::new();
    world.database("good.db");
    fs::write(world.path("empty.db"), "").unwrap();
    set(&world, &["good", "empty"]);
    let ran = world.heirloom(["backup", "--json"]).exits(3).says("\"empty.db\" is empty");
    let document = ran.json();
    assert_eq!(
        document["notes"],
        serde_json::json!([{"kind": "empty", "database": "empty", "path": document["notes"][0]["path"]}])
    );
    assert_eq!(document["databases"].as_array().unwrap().len(), 1);
    let shown = world.heirloom(["show", "latest", "--json"]).success().json();
    assert!(shown.to_string().contains("\"empty\":false"), "{shown}");
    world.at("2026-03-01T04:00:00Z").heirloom(["backup", "--dry-run"]).exits(3);

    // With data in a -wal beside it, a person must look at it; the others are still backed up.
    fs::write(world.path("empty.db-wal"), [1; 4096]).unwrap();
    world.at("2026-03-02").heirloom(["backup", "--if-exists"]).exits(3).says("empty.db");
    assert_eq!(fs::metadata(world.path("empty.db-wal")).unwrap().len(), 4096);
    fs::remove_file(world.path("empty.db-wal")).unwrap();

    // --if-exists treats it as never used.
    let ran = world.at("2026-03-03").heirloom(["backup", "--if-exists"]).success();
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    assert_eq!(world.archives().len(), 3);
    world.heirloom(["backup", "empty.db"]).exits(10).says("is empty");
    world.heirloom(["backup", "empty.db", "--if-exists"]).success();
    world.heirloom(["guard", "--", "touch", "ran"]).exits(125).says("empty.db");
    assert!(!world.path("ran").exists());
}

#[test]
fn an_encrypted_database_of_a_set_stopped_the_backup_of_the_others() {
    let mut world = World::new();
    world.database("good.db");
    fs::write(world.path("secret.db"), [0x5a; 8192]).unwrap();
    set(&world, &["good", "secret"]);
    let ran =
        world.heirloom(["backup", "--json"]).exits(3).says("\"secret.db\" is not a SQLite database").says("encrypted");
    let document = ran.json();
    assert_eq!(
        (document["notes"][0]["kind"].as_str(), document["notes"][0]["database"].as_str()),
        (Some("unreadable"), Some("secret"))
    );
    assert_eq!(document["databases"].as_array().unwrap().len(), 1);
    let shown = world.heirloom(["show", "latest", "--json"]).success().json();
    assert!(shown.to_string().contains("\"secret\":false"), "{shown}");
    world.at("2026-03-02").heirloom(["backup", "--dry-run"]).exits(3).says("\"secret.db\" is not");
    world.heirloom(["guard", "--", "touch", "ran"]).exits(125).says("secret.db");
    assert!(!world.path("ran").exists());
    // Without other databases there is nothing to back up, and it is damage if it ever was a database.
    world.heirloom(["backup", "--only", "secret"]).exits(13).says("encrypted");
    assert_eq!(world.archives().len(), 1);
}

#[test]
fn a_lost_database_is_not_a_first_deployment() {
    let mut world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let hint = "heirloom restore app_20260301T030000Z.tar.gz --only app --to app.db";
    for empty in [false, true] {
        fs::remove_file(world.path("app.db")).unwrap();
        if empty {
            fs::write(world.path("app.db"), "").unwrap();
        }
        let ran = world.at("2026-03-02").heirloom(["backup", "app.db", "--if-exists", "--json"]).exits(3);
        let ran = ran.says("archives of it exist").says(hint);
        assert_eq!(ran.json()["lost"], serde_json::json!(["app"]));
        world
            .heirloom(["guard", "app.db", "--if-exists", "--", "touch", "ran"])
            .exits(125)
            .says("archives of it exist")
            .says(hint);
        assert!(!world.path("ran").exists());
        let words: Vec<&str> = hint.split(' ').skip(1).chain(["--force"]).collect();
        world.heirloom(words).success();
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    }
    // Another database, and the same name at another path, never existed.
    fs::create_dir(world.path("new")).unwrap();
    world.heirloom(["backup", "new/app.db", "--if-exists"]).success();
    world.heirloom(["backup", "other.db", "--if-exists"]).success();
}

#[test]
fn one_lost_database_of_a_set_is_named_and_the_others_are_backed_up() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.database(&format!("{name}.db"));
    }
    set(&world, &["a", "b", "c"]);
    world.heirloom(["backup", "--if-exists"]).success();
    fs::remove_file(world.path("b.db")).unwrap();
    let ran = world.at("2026-03-02").heirloom(["backup", "--if-exists", "--json"]).exits(3);
    assert_eq!((ran.json()["lost"].clone(), world.archives().len()), (serde_json::json!(["b"]), 2));
    assert!(ran.stderr.contains("b.db") && !ran.stderr.contains("c.db\", but"), "{}", ran.stderr);
}

/// An application with a database in WAL mode, as a process of its own. It holds `rows` rows, of which one is
/// checkpointed.
struct Application(std::process::Child);

impl Application {
    fn start(world: &World, script: &str) -> Self {
        use std::io::BufRead as _;
        let mut child = Command::new("python3")
            .args(["-c", script])
            .current_dir(world.work())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
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

const LOSES_ITS_WAL: &str = "
import os, sqlite3, sys
c = sqlite3.connect('app.db', isolation_level=None)
c.executescript('pragma journal_mode=wal; create table t(x); insert into t values(1); pragma wal_checkpoint(truncate)')
c.execute('insert into t values(2)')
os.unlink('app.db-wal'); os.unlink('app.db-shm')
c.execute('insert into t values(3)')
print('ready', flush=True); sys.stdin.read()";

#[test]
fn a_wal_that_was_deleted_under_the_application_is_not_a_backup_of_less() {
    let world = World::new();
    world.database("other.db");
    world.heirloom(["backup", "other.db", "--dir", "others"]).success();
    let application = Application::start(&world, LOSES_ITS_WAL);
    let pid = application.0.id();
    let refused = world
        .heirloom(["backup", "app.db"])
        .exits(13)
        .says(&format!("process {pid} (python3)"))
        .says("-wal was deleted");
    let restore = ["restore", "latest", "--dir", "others", "--to", "app.db", "--force"];
    world.heirloom(restore).exits(13).says("-wal was deleted");
    assert_eq!(world.files("."), ["app.db", "other.db", "others"], "no archive, no store, no sidecar");
    let health = world.heirloom(["health", "app.db"]).exits(21);
    assert!(
        health.stdout.contains("-wal was deleted") && health.stdout.contains(&format!("/proc/{pid}/fd/")),
        "{}",
        health.stdout
    );
    world.heirloom(["guard", "app.db", "--", "true"]).exits(125).says("-wal was deleted");

    // The hint's command restores every row.
    let hint = refused.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap();
    let command = hint.split(": cp ").nth(1).unwrap().split("; then").next().unwrap();
    let command = format!("cp {command}").replace("[world]", world.path("..").to_str().unwrap());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    assert_eq!(world.ask("app.db.rescued", "SELECT group_concat(x) FROM t"), "1,2,3");

    drop(application);
    world.heirloom(["backup", "app.db"]).success();
}

/// The open files of all processes are read once for all databases.
#[test]
fn health_finds_the_one_of_several_databases_whose_wal_was_deleted() {
    let world = World::new();
    for name in ["a", "z"] {
        world.database(&format!("{name}.db"));
    }
    let _application = Application::start(&world, LOSES_ITS_WAL);
    set(&world, &["a", "app", "z"]);
    let health = world.heirloom(["health", "--databases-only", "--json"]).exits(21).json();
    let incomplete = health["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "critical");
    let incomplete: Vec<_> = incomplete.map(|check| (&check["database"], check["value"].to_string())).collect();
    let [(database, value)] = incomplete.as_slice() else { panic!("{incomplete:?}") };
    assert!(*database == "app" && value.contains("-wal was deleted"), "{database}: {value}");
}

/// A program that opens the database makes another `-shm`: the two write over each other's commits in the `-wal`.
#[test]
fn a_shm_that_was_deleted_under_the_application_was_opened_beside_it() {
    let world = World::new();
    world.database("other.db");
    world.heirloom(["backup", "other.db", "--dir", "others"]).success();
    let application = Application::start(&world, &LOSES_ITS_WAL.replace("os.unlink('app.db-wal'); ", ""));
    let pid = application.0.id();
    let ran = world
        .heirloom(["backup", "app.db"])
        .exits(13)
        .says(&format!("process {pid} (python3)"))
        .says("-shm was deleted");
    let _ran = ran.says(&format!("stop process {pid}"));
    world
        .heirloom(["restore", "latest", "--dir", "others", "--to", "app.db", "--force"])
        .exits(13)
        .says("-shm was deleted");
    world.heirloom(["guard", "app.db", "--", "true"]).exits(125).says("-shm was deleted");
    let health = world.heirloom(["health", "app.db"]).exits(21);
    assert!(health.stdout.contains("-shm was deleted"), "{}", health.stdout);
    assert_eq!(world.files("."), ["app.db", "app.db-wal", "other.db", "others"], "nobody made another one");

    // Following the hint loses nothing.
    end(application);
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(world.ask("app.db", "SELECT group_concat(x) FROM t"), "1,2,3");
}

/// Lets an application close its database and end.
fn end(mut application: Application) {
    drop(application.0.stdin.take());
    assert!(application.0.wait().unwrap().success());
}

#[test]
fn a_database_that_was_replaced_under_the_application_is_another_one() {
    let world = World::new();
    let script = LOSES_ITS_WAL.replace(
        "os.unlink('app.db-wal'); os.unlink('app.db-shm')",
        "[os.unlink('app.db' + s) for s in ('', '-wal', '-shm')]",
    );
    let application = Application::start(&world, &script);
    world.database("app.db");
    let ran = world.heirloom(["backup", "app.db"]).exits(13).says("its file and its -wal were deleted");
    world.heirloom(["health", "app.db"]).exits(21);
    let command = ran.stderr.split(": cp ").nth(1).unwrap().split("; then").next().unwrap();
    let command = format!("cp {command}").replace("[world]", world.path("..").to_str().unwrap());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    assert_eq!(world.ask("app.db.rescued", "SELECT group_concat(x) FROM t"), "1,2,3");
    drop(application);
    world.heirloom(["backup", "app.db"]).success();
}

/// False positives: a reader of the old file, a child that inherited descriptors of a `-wal` that is
/// gone, another database.
#[test]
fn descriptors_that_nobody_writes_through_stop_no_backup() {
    let world = World::new();
    let inherited = "
import os, sqlite3, sys
c = sqlite3.connect('app.db', isolation_level=None)
c.executescript('pragma journal_mode=wal; create table t(x); insert into t values(1)')
c.execute('select * from t').fetchall()
r, w = os.pipe()
if os.fork() == 0:
    os.close(w); os.read(r, 1); os._exit(0)
os.close(r); c.close()
print('ready', flush=True); sys.stdin.read()";
    let _parent = Application::start(&world, inherited);
    let connection = Connection::open(world.path("app.db")).unwrap();
    connection.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    world.heirloom(["backup", "app.db"]).success();

    let _reader = Application::start(
        &world,
        "
import os, sys
open('other.db-wal', 'w').close(); open('old.db', 'w').close()
f = open('old.db'); g = open('other.db-wal', 'r+'); os.unlink('old.db'); os.unlink('other.db-wal')
print('ready', flush=True); sys.stdin.read()",
    );
    for name in ["old.db", "other.db"] {
        world.database(name);
        world.heirloom(["backup", name]).success();
    }
}

/// A process whose tenants all have databases of one name deletes one of them.
#[test]
fn a_deleted_database_of_the_same_name_elsewhere_is_another_one() {
    let world = World::new();
    let script = "
import os, sqlite3, sys
def tenant(name):
    os.mkdir(name)
    c = sqlite3.connect(name + '/app.db', isolation_level=None)
    c.executescript('pragma journal_mode=wal; create table t(x); insert into t values(1)')
    return c
gone, there = tenant('gone'), tenant('there')
[os.unlink('gone/app.db' + ending) for ending in ('-shm', '-wal', '')]
print('ready', flush=True); sys.stdin.read()";
    let application = Application::start(&world, script);
    world.heirloom(["backup", "there/app.db"]).success();
    drop(application);
}
