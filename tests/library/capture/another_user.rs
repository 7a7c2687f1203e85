//! Sources that belong to another user, or are read-only.

use super::*;

/// Runs one backup as another user: the other half of the test below.
#[test]
#[ignore = "runs in a process of another user"]
fn backup_as_another_user() {
    let path = PathBuf::from(std::env::var_os("HEIRLOOM_TEST_SOURCE").unwrap());
    let world = World::new();
    let sidecars = || ["-wal", "-shm"].map(|ending| fs::metadata(format!("{}{ending}", path.display())).is_ok());
    let before = sidecars();
    match world.pin(&[&path], &IMPATIENT) {
        Ok((databases, _)) => {
            // Files created by this user would prevent the application from writing until we are done.
            assert_eq!(sidecars(), before);
            println!("\nrows {}", transfers(&world.copy_all(databases, &IMPATIENT)[0]));
        }
        Err(error) => println!("\nrefused {error}: {:?}", std::error::Error::source(&error).map(ToString::to_string)),
    }
}

/// Runs `backup_as_another_user` as nobody, and returns what it printed.
fn as_another_user(path: &Path) -> String {
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "capture::another_user::backup_as_another_user"])
        .env("HEIRLOOM_TEST_SOURCE", path)
        .env("TMPDIR", "/tmp")
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn another_user_reads_readable_databases_and_leaves_nothing_behind() {
    if !crate::tools::have("a database of another user is backed up", &["setpriv"]) {
        return;
    }
    // (mode of the folder, mode of the files, journal mode, state of the database, expected output)
    for (folder, files, mode, state, expected) in [
        (0o755, 0o644, "wal", "rest", "rows 0"),
        (0o755, 0o644, "delete", "rest", "rows 0"),
        (0o755, 0o644, "wal", "crash", "rows 29"),
        (0o755, 0o644, "delete", "crash", "rows 0"),
        // Everything is writable, but sidecars of the other user would lock the application out.
        (0o777, 0o666, "wal", "rest", "rows 0"),
        (0o777, 0o666, "wal", "crash", "rows 29"),
        (0o777, 0o666, "delete", "crash", "rows 0"),
        (0o755, 0o600, "delete", "rest", "refused cannot open "),
    ] {
        let world = World::new();
        fs::set_permissions(world.live.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
        let path = world.database("app.db", mode);
        if state == "crash" {
            python(CRASH, &[path.as_os_str(), mode.as_ref()]);
        }
        for file in fs::read_dir(&world.live).unwrap() {
            fs::set_permissions(file.unwrap().path(), Permissions::from_mode(files)).unwrap();
        }
        fs::set_permissions(&world.live, Permissions::from_mode(folder)).unwrap();
        let before = world.state();
        let said = as_another_user(&path);
        assert!(said.contains(expected), "{folder:o} {files:o} {mode} {state}: {said}");
        assert_eq!(world.state(), before, "{folder:o} {files:o} {mode} {state}");
    }
}

/// Commits continuously and never checkpoints.
const GROW: &str = r#"
import sqlite3, sys, threading, time
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA wal_autocheckpoint=0")
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
n = 0
while not done.is_set():
    n += 1
    c.execute("BEGIN"); c.execute("INSERT INTO log VALUES(?)", (n,))
    c.execute("UPDATE counter SET n=?", (n,)); c.execute("COMMIT")
    if n == 20: print("ready", flush=True)
"#;

#[test]
fn another_user_gets_a_consistent_state_of_a_growing_wal() {
    if !crate::tools::have("a database of another user is backed up", &["setpriv"]) {
        return;
    }
    let world = World::new();
    fs::set_permissions(world.live.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let path = world.database("app.db", "wal");
    let writer = Beside::start(GROW, &[&path]);
    for _ in 0..3 {
        let said = as_another_user(&path);
        let rows: i64 = said
            .lines()
            .find_map(|line| line.strip_prefix("rows "))
            .unwrap_or_else(|| panic!("{said}"))
            .parse()
            .unwrap();
        assert!(rows >= 20);
    }
    writer.finish();
}

#[test]
fn a_read_only_file_can_be_backed_up() {
    let world = World::new();
    let path = world.database("app.db", "wal");
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let before = world.state();
    world.copy(&path).unwrap();
    assert_eq!(world.state(), before);
    // The write version in the header: a file that SQLite reads but never writes.
    let other = world.database("other.db", "delete");
    let mut bytes = fs::read(&other).unwrap();
    bytes[18] = 9;
    fs::write(&other, &bytes).unwrap();
    let before = world.state();
    let (databases, consistent) = world.pin(&[&other, &path], &LIMITS).unwrap();
    assert!(consistent, "one is read-only, the other was locked");
    assert_eq!(world.copy_all(databases, &LIMITS).len(), 2);
    assert_eq!(world.state(), before);
    assert_eq!(OsStr::from_bytes(b"app.db"), path.file_name().unwrap());
}
