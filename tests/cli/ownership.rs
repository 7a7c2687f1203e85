//! Files of another user: what root creates beside them, and which of them it trusts.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::mem::MaybeUninit;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::tools::have;
use crate::world::World;

const NOBODY: u32 = 65534;

/// Reports whether the tests of this file can run: they give files to another user.
fn is_root() -> bool {
    have("files of another user keep their owner", &["setpriv"])
}

/// A world with a WAL database of 100 notes in `data`, which is nobody's, and an archive of 1 note of it.
fn of_another_user() -> World {
    let mut world = World::new();
    for folder in [world.work().parent().unwrap(), &world.work()] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(world.path("data")).unwrap();
    world.sql(
        "data/app.db",
        "PRAGMA journal_mode=WAL; CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT); INSERT INTO notes VALUES(1, \
         'one');",
    );
    for path in [world.path("data"), world.path("data/app.db")] {
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    world.heirloom(["backup", "data/app.db"]).success();
    world.at("2026-03-02");
    application(
        &world,
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO notes SELECT i, \
         'more' FROM n",
    );
    world
}

/// Runs heirloom as root with a smaller bounding set of capabilities, as a unit of systemd does.
fn bounded<S: AsRef<OsStr>>(world: &World, capabilities: &str, args: impl IntoIterator<Item = S>) -> Command {
    let inner = world.command(args);
    let mut command = Command::new("setpriv");
    command.args([format!("--bounding-set={capabilities}"), format!("--inh-caps={capabilities}")]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(world.work()).env_clear().stdin(Stdio::null());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn as_nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
    // Other users cannot run a Python in root's home.
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}

/// Writes as the user whose database it is.
#[track_caller]
fn application(world: &World, sql: &str) {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=5); c.execute(sys.argv[2]); \
    c.commit(); c.close()";
    let output = as_nobody("python3").args(["-c", script]).arg(world.path("data/app.db")).arg(sql).output().unwrap();
    assert!(output.status.success(), "the application cannot write: {}", String::from_utf8_lossy(&output.stderr));
}

/// Keeps a connection of the user open whose database it is.
fn connected(world: &World) -> Child {
    use std::io::{BufRead as _, BufReader};
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO notes(text) \
    VALUES(1)'); c.commit()\n\
                  print('ready', flush=True); sys.stdin.read()";
    let mut command = as_nobody("python3");
    command.args(["-c", script]).arg(world.path("data/app.db")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// Notes which files are made in a folder, also those that are gone a moment later.
struct Watch(OwnedFd);

impl Watch {
    fn new(folder: &Path) -> Self {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO).unwrap();
        Self(watch)
    }

    fn made(self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.0, &mut buffer);
        let mut names = Vec::new();
        while let Ok(event) = reader.next() {
            names.extend(event.file_name().map(|name| name.to_str().unwrap().to_owned()));
        }
        names
    }
}

/// SQLite gives its sidecars to the owner of the database only as root with CAP_CHOWN. Made by a root without it, they
/// lock the application out as long as they are there, and after a kill for good.
#[test]
fn root_without_chown_makes_no_sidecars_beside_the_database_of_another_user() {
    if !is_root() {
        return;
    }
    let world = of_another_user();
    let watch = Watch::new(&world.path("data"));
    world.run(&mut bounded(&world, "-chown", ["backup", "data/app.db"])).success();
    world.run(&mut bounded(&world, "-chown", ["health"]));
    world.run(&mut bounded(&world, "-chown", ["restore", "--dry-run"])).success();
    assert_eq!(watch.made(), [""; 0]);
    application(&world, "DELETE FROM notes WHERE id > 50");
    // The copy was whole.
    world.heirloom(["restore", "app_20260302T000000Z.tar.gz", "--to", "copy.db"]).success();
    assert_eq!(world.ask("copy.db", "SELECT count(*) FROM notes"), "100");

    // With all capabilities it is still read where it lies, and the sidecars are the owner's.
    let watch = Watch::new(&world.path("data"));
    world.heirloom(["backup", "data/app.db"]).success();
    assert!(watch.made().contains(&"app.db-shm".to_owned()));
}

#[test]
fn root_without_chown_reads_a_database_in_place_whose_sidecars_are_there() {
    if !is_root() {
        return;
    }
    let world = of_another_user();
    let mut child = connected(&world);
    let watch = Watch::new(&world.path("data"));
    world.run(&mut bounded(&world, "-chown", ["backup", "data/app.db"])).success();
    assert_eq!(watch.made(), [""; 0]);
    for sidecar in ["app.db-wal", "app.db-shm"] {
        assert_eq!(fs::metadata(world.path("data").join(sidecar)).unwrap().uid(), NOBODY);
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    application(&world, "DELETE FROM notes");
}

#[test]
fn root_without_chown_replaces_no_database_that_its_owner_could_not_open_then() {
    if !is_root() {
        return;
    }
    let world = of_another_user();
    let before = fs::read(world.path("data/app.db")).unwrap();
    let archive = "app_20260301T030000Z.tar.gz";
    for more in [None, Some("--offline"), Some("--no-safety-backup")] {
        let watch = Watch::new(&world.path("data"));
        let args = ["restore", archive, "--force"].into_iter().chain(more);
        let args = args.chain(more.filter(|more| *more == "--offline").map(|_| "--assume-unused"));
        let ran = world.run(&mut bounded(&world, "-chown", args)).exits(14);
        ran.says("data/app.db\" cannot be replaced").says("user 65534").says("CAP_CHOWN").says("setpriv --reuid=65534");
        let made: Vec<String> = watch.made().into_iter().filter(|name| name.starts_with("app.db")).collect();
        assert_eq!(made, [""; 0], "{more:?}");
    }
    assert!(fs::read(world.path("data/app.db")).unwrap() == before);
    assert_eq!(world.archives().len(), 1);

    // What its application has open has sidecars of the right owner.
    let mut child = connected(&world);
    world.run(&mut bounded(&world, "-chown", ["restore", archive, "--force"])).success();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    application(&world, "INSERT INTO notes(text) VALUES('after')");
    assert_eq!(world.ask("data/app.db", "SELECT count(*) FROM notes"), "2");

    // A root that may give files away does.
    world.heirloom(["restore", archive, "--force"]).success();
    application(&world, "INSERT INTO notes(text) VALUES('after')");
}

#[test]
fn root_obeys_no_configuration_of_another_user() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let write = |name: &str, text: &str| {
        fs::write(world.path(name), text).unwrap();
        fs::set_permissions(world.path(name), Permissions::from_mode(0o644)).unwrap();
        chown(world.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    };
    write("heirloom.toml", "[store]\ndir = \"/tmp/theirs\"\n");
    let ran = world.heirloom(["list"]).exits(2);
    ran.says("\"heirloom.toml\" is not safe to use as root: it belongs to user 65534")
        .says("chown root heirloom.toml")
        .says("--config");
    // Naming it explicitly is consent.
    world.heirloom(["list", "--config", "heirloom.toml"]).exits(16).says("/tmp/theirs");
    chown(world.path("heirloom.toml"), Some(0), None).unwrap();
    world.heirloom(["list"]).exits(16).says("/tmp/theirs");

    // A link of theirs leads root to a file of its own that was not meant.
    fs::rename(world.path("heirloom.toml"), world.path("own.toml")).unwrap();
    symlink("own.toml", world.path("heirloom.toml")).unwrap();
    lchown(world.path("heirloom.toml"), Some(NOBODY), None).unwrap();
    world.heirloom(["list"]).exits(2).says("it belongs to user 65534");
    fs::remove_file(world.path("heirloom.toml")).unwrap();

    // It belongs to an application: only the values that are used matter.
    write(".env", "OTHER=1\n");
    world.heirloom(["config", "show"]).success();
    write(".env", "BACKUP_DIR=/tmp/theirs\n");
    world
        .heirloom(["list"])
        .exits(2)
        .says("\".env\" is not safe to use as root: it belongs to user 65534")
        .says("chown root .env");
    write(".env", "HEIRLOOM_CONFIG=own.toml\n");
    world.heirloom(["list"]).exits(2).says("\".env\" is not safe");
    chown(world.path(".env"), Some(0), None).unwrap();
    world.heirloom(["list"]).exits(16).says("/tmp/theirs");
}

#[test]
fn a_user_obeys_its_own_configuration_and_that_of_the_machine() {
    if !is_root() {
        return;
    }
    let world = World::new();
    fs::set_permissions(world.work().parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    for owner in [NOBODY, 0] {
        fs::write(world.path("heirloom.toml"), "[store]\ndir = \"/tmp/theirs\"\n").unwrap();
        chown(world.path("heirloom.toml"), Some(owner), None).unwrap();
        let inner = world.command(["list"]);
        let mut command = as_nobody(inner.get_program().to_str().unwrap());
        command.args(inner.get_args()).current_dir(world.work()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        world.run(&mut command).exits(16).says("/tmp/theirs");
    }
}
