//! Sources that are refused: not a database, the same one twice, locked for too long, with another database's -wal.

use super::*;

#[test]
fn a_file_that_is_not_a_database_is_refused_and_unchanged() {
    let world = World::new();
    fs::create_dir(world.path("folder.db")).unwrap();
    assert!(Command::new("mkfifo").arg(world.path("fifo.db")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket.db")).unwrap();
    symlink("/dev/zero", world.path("zero.db")).unwrap();
    symlink("nowhere.db", world.path("dangling.db")).unwrap();
    symlink("loop.db", world.path("loop.db")).unwrap();
    fs::File::create(world.path("sparse.db")).unwrap().set_len(1 << 40).unwrap();
    fs::write(world.path("text.db"), "This is not a database.\n".repeat(300)).unwrap();
    fs::write(world.path("cut.db"), b"SQLite format 3\0and no more").unwrap();
    fs::write(world.path("nothing.db"), b"").unwrap();
    fs::write(world.path("lost.db"), b"").unwrap();
    fs::write(world.path("lost.db-wal"), b"the data").unwrap();
    let path = world.database("piped.db", "delete");
    assert!(Command::new("mkfifo").arg(world.path("piped.db-wal")).status().unwrap().success());
    let names = world.names();

    for (name, expected) in [
        ("folder.db", "folder.db\" is a folder, not a database file"),
        ("fifo.db", "fifo.db\" is a named pipe, not a database file"),
        ("socket.db", "socket.db\" is a socket, not a database file"),
        ("zero.db", "zero.db\" is a device, not a database file"),
        ("dangling.db", "no database at "),
        ("missing.db", "no database at "),
        ("loop.db", "cannot open "),
        ("sparse.db", "it does not start with a SQLite header"),
        ("text.db", "it does not start with a SQLite header"),
        ("cut.db", "it is truncated within its header, after 27 bytes"),
        ("nothing.db", "nothing.db\" is empty (0 bytes)"),
        ("lost.db", "lost.db\" is empty (0 bytes), but there is a -wal with data beside it"),
    ] {
        let started = Instant::now();
        let error = world.copy(&world.path(name)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(1), "{name}");
    }
    assert!(matches!(world.copy(&path), Err(SourceError::Io { .. })), "a pipe as -wal would block SQLite");
    assert_eq!(world.names(), names);
    assert_eq!(fs::read(world.path("lost.db-wal")).unwrap(), b"the data");
}

#[test]
fn special_characters_in_file_names_have_no_effect() {
    let world = World::new();
    let names: [&[u8]; 8] = [
        b":memory:",
        b"file:x?mode=memory",
        b"a%20b",
        b"new\nline.db",
        b"q?immutable=1#x&y.db",
        b"-rf.db",
        b"\xff\xfe.db",
        b"a'b\".db",
    ];
    let plain = world.database("plain.db", "wal");
    for name in names {
        let path = world.path(std::ffi::OsString::from_vec(name.to_vec()));
        fs::rename(&plain, &path).unwrap();
        let before = world.state();
        let copy = world.copy(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(world.state(), before);
        assert_eq!(count(&copy, "SELECT count(*) FROM account"), 50);
        fs::rename(&path, &plain).unwrap();
    }
}

#[test]
fn the_sidecars_of_a_linked_database_are_beside_its_target() {
    let world = World::new();
    let path = world.database("real.db", "wal");
    python(CRASH, &[path.as_os_str(), "wal".as_ref()]);
    let link = world.scratch.parent().unwrap().join("link.db");
    symlink(&path, &link).unwrap();
    let before = world.state();
    assert_eq!(transfers(&world.copy(&link).unwrap()), 29);
    assert_eq!(world.state(), before);
}

#[test]
fn the_same_file_twice_in_a_set_is_refused() {
    let world = World::new();
    let path = world.database("app.db", "delete");
    let again = world.path("again.db");
    fs::hard_link(&path, &again).unwrap();
    let error = world.pin(&[&path, &again], &LIMITS).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("again.db"), "{error}");
    // The refusal releases the first one as well.
    world.copy(&again).unwrap();
}

/// Holds a lock until its input is closed.
const HOLD: &str = r#"
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA locking_mode=" + sys.argv[3])
c.execute(sys.argv[2])
c.execute("UPDATE counter SET n=n")
print("ready", flush=True)
sys.stdin.read()
"#;

#[test]
fn a_permanent_lock_is_reported_with_the_file() {
    for (mode, begin, locking) in [("delete", "BEGIN EXCLUSIVE", "normal"), ("wal", "BEGIN IMMEDIATE", "exclusive")] {
        let world = World::new();
        let path = world.database("app.db", mode);
        let holder = Beside::start(HOLD, &[path.as_os_str(), begin.as_ref(), locking.as_ref()]);
        let before = world.state();
        let started = Instant::now();
        let error = world.pin(&[&path], &IMPATIENT).map(|_| ()).unwrap_err();
        assert!(matches!(error, SourceError::Busy { .. }) && error.to_string().contains("app.db"), "{error}");
        assert!((IMPATIENT.busy..Duration::from_secs(5)).contains(&started.elapsed()));
        assert_eq!(world.state(), before);
        assert_eq!(world.leftovers(), [""; 0]);
        holder.finish();
        world.copy(&path).unwrap();
    }
}

#[test]
fn a_set_waits_for_a_writer_until_the_timeout() {
    let world = World::new();
    let paths = [world.database("a.db", "wal"), world.database("b.db", "wal")];
    let holder = Beside::start(HOLD, &[paths[1].as_os_str(), "BEGIN IMMEDIATE".as_ref(), "normal".as_ref()]);
    // A single database needs no lock in WAL mode.
    world.copy(&paths[1]).unwrap();
    let error = world.pin(&[&paths[0], &paths[1]], &IMPATIENT).map(|_| ()).unwrap_err();
    assert!(matches!(error, SourceError::Busy { .. }) && error.to_string().contains("b.db"), "{error}");
    holder.finish();
    assert!(world.pin(&[&paths[0], &paths[1]], &LIMITS).unwrap().1);
}

/// Changes the header in the -wal, and exits without closing.
const CRASH_IN_HEADER: &str =
    "import os, sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version=7'); os._exit(0)";

#[test]
fn a_wal_that_is_older_than_its_database_is_refused() {
    let world = World::new();
    let path = world.database("app.db", "wal");
    python(CRASH_IN_HEADER, &[&path]);
    let wal = fs::read(world.path("app.db-wal")).unwrap();
    python(
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE VIEW newer AS SELECT 1'); c.close()",
        &[&path],
    );
    fs::write(world.path("app.db-wal"), wal).unwrap();
    let before = world.state();
    let error = world.copy(&path).unwrap_err();
    assert!(matches!(error, SourceError::Damaged { .. }) && error.to_string().contains("-wal is older"), "{error}");
    assert_eq!(world.state(), before);
}
