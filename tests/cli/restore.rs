//! `heirloom restore`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::World;

/// A world with one archive of `app.db` at 100 notes, and the database at 50 notes by now.
fn changed() -> World {
    let mut world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02");
    world.sql("app.db", "DELETE FROM notes WHERE id > 50");
    world
}

fn notes(world: &World, name: &str) -> String {
    assert_eq!(world.ask(name, "PRAGMA integrity_check"), "ok");
    world.ask(name, "SELECT count(*) FROM notes")
}

/// Asserts that the working directory contains only these files.
#[track_caller]
fn only_files(world: &World, names: &[&str]) {
    assert_eq!(world.files("."), names);
}

#[test]
fn a_restore_replaces_and_an_undo_goes_back() {
    let mut world = changed();
    let ran = world.heirloom(["restore", "--force"]).success();
    assert!(ran.stdout.contains("app to \"[world]/work/app.db\": rows 50 → 100 (+50)"), "{}", ran.stdout);
    assert!(ran.stdout.contains("undo with: heirloom restore --undo"), "{}", ran.stdout);
    assert_eq!(notes(&world, "app.db"), "100");

    world.at("2026-03-03");
    world.heirloom(["restore", "--undo", "--force"]).success();
    assert_eq!(notes(&world, "app.db"), "50");
    world.at("2026-03-04");
    world.heirloom(["restore", "--undo", "--force"]).success();
    assert_eq!(notes(&world, "app.db"), "100");
    only_files(&world, &["app.db", "backups"]);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn the_json_says_what_was_restored_and_how_to_go_back() {
    let world = changed();
    let document = world.heirloom(["restore", "latest", "--force", "--json"]).success().json();
    assert_eq!(document["outcome"], "restored");
    assert_eq!(document["archive"], "app_20260301T030000Z.tar.gz");
    assert_eq!(document["databases"][0]["name"], "app");
    assert_eq!(document["databases"][0]["rows"], 100);
    assert_eq!(document["databases"][0]["rows_before"], 50);
    assert_eq!(document["safety_backup"], "app_20260302T000000Z.tar.gz");
    assert_eq!(document["undo"], "heirloom restore --undo");
    let shown = world.heirloom(["show", "app_20260302T000000Z.tar.gz", "--json"]).success().json();
    assert_eq!(shown["kind"], "safety");
}

#[test]
fn existing_files_are_not_replaced_without_force() {
    let world = changed();
    let recorded = fs::metadata(world.path("app.db")).unwrap().permissions().mode() & 0o777;
    world.heirloom(["restore"]).exits(14).says("exists").says("--force");
    assert_eq!(notes(&world, "app.db"), "50");
    assert_eq!(world.archives().len(), 1);
    world.heirloom(["restore", "--to", "copy.db"]).success();
    assert_eq!(notes(&world, "copy.db"), "100");
    assert_eq!(fs::metadata(world.path("copy.db")).unwrap().permissions().mode() & 0o777, recorded);
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let world = changed();
    let before = fs::read(world.path("app.db")).unwrap();
    let ran = world.heirloom(["restore", "--dry-run"]).success();
    assert!(
        ran.stdout.contains("replaces") && ran.stdout.contains("50 rows") && ran.stdout.contains("100 rows"),
        "{}",
        ran.stdout
    );
    let document = world.heirloom(["restore", "--dry-run", "--json"]).success().json();
    assert_eq!(document["databases"][0]["method"], "replaced");
    assert_eq!(fs::read(world.path("app.db")).unwrap(), before);
    assert_eq!(world.archives().len(), 1);
    only_files(&world, &["app.db", "backups"]);
}

#[test]
fn at_takes_the_newest_at_or_before_a_time() {
    let mut world = changed();
    world.heirloom(["backup", "app.db"]).success();
    for (at, rows) in
        [("2026-03-01T03:00:00Z", "100"), ("2026-03-01", "100"), ("2026-03-02", "50"), ("2026-03-02 00:00", "50")]
    {
        world.heirloom(["restore", "--at", at, "--to", "then.db", "--force"]).success();
        assert_eq!(notes(&world, "then.db"), rows, "{at}");
    }
    world
        .heirloom(["restore", "--at", "2026-03-02 00:30", "--time-zone", "Europe/Berlin", "--to", "then.db", "--force"])
        .success();
    assert_eq!(notes(&world, "then.db"), "100");
    world.at("2026-04-01");
    world.heirloom(["restore", "--at", "2026-02-01", "--to", "then.db"]).exits(12).says("2026-02-01");
    world.heirloom(["restore", "--at", "some day", "--to", "then.db"]).exits(2).says("some day");
}

#[test]
fn safety_and_damaged_archives_are_never_taken_unasked() {
    let world = changed();
    world.heirloom(["restore", "--force"]).success();
    // The newest archive is now the safety backup.
    let document = world.heirloom(["restore", "latest", "--dry-run", "--json"]).success().json();
    assert_eq!(document["archive"], "app_20260301T030000Z.tar.gz");
    fs::write(world.path("backups/app_20260301T030000Z.tar.gz.damaged"), "").unwrap();
    world.heirloom(["restore", "app_20260301T030000Z.tar.gz", "--force"]).exits(13).says("--allow-damaged");
    world.heirloom(["restore", "app_20260301T030000Z.tar.gz", "--force", "--allow-damaged"]).success();
    flip(&world.path("backups/app_20260301T030000Z.tar.gz"));
    world.heirloom(["restore", "latest", "--force"]).exits(12).says("is damaged");
}

/// Flips a bit in the database of an archive. The second member is the first of the database; the metadata before it
/// stays readable.
pub fn flip(archive: &Path) {
    let mut bytes = fs::read(archive).unwrap();
    let second = bytes.windows(3).enumerate().skip(1).find(|(_, window)| *window == [0x1f, 0x8b, 8]).unwrap().0;
    bytes[second + 300] ^= 0x10;
    fs::write(archive, bytes).unwrap();
}

#[test]
fn a_damaged_archive_changes_nothing() {
    let world = changed();
    flip(&world.path("backups/app_20260301T030000Z.tar.gz"));
    world.heirloom(["restore", "--force"]).exits(13).says("app_20260301T030000Z");
    assert_eq!(notes(&world, "app.db"), "50");
    only_files(&world, &["app.db", "backups"]);
    assert_eq!(world.archives().len(), 1, "no safety backup without need");
}

/// Two databases that belong together, backed up as the set `shop` and changed since.
fn shop() -> World {
    let mut world = World::new();
    world.database("users.db");
    world.database("orders.db");
    world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
    world.at("2026-03-02");
    for name in ["users.db", "orders.db"] {
        world.sql(name, "DELETE FROM notes WHERE id > 50");
    }
    world
}

#[test]
fn several_databases_are_restored_and_undone_together() {
    let mut world = shop();
    world.heirloom(["restore", "--to", "one.db"]).exits(2).says("--only users");
    world.heirloom(["restore", "--force"]).success();
    assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("100".into(), "100".into()));
    world.at("2026-03-03");
    world.heirloom(["restore", "--undo", "--force"]).success();
    assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("50".into(), "50".into()));
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn one_of_several_can_be_chosen() {
    let world = shop();
    world.heirloom(["restore", "--only", "users", "--force"]).success();
    assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("100".into(), "50".into()));
    world.heirloom(["restore", "shop_20260301T030000Z.tar.gz", "--only", "nobody"]).exits(12).says("users, orders");
    fs::create_dir(world.path("out")).unwrap();
    world.heirloom(["restore", "--to-dir", "out"]).success();
    assert_eq!(world.files("out"), ["orders.db", "users.db"]);
    world.heirloom(["restore", "--to-dir", "nowhere"]).exits(2).says("mkdir -p nowhere");
}

#[test]
fn none_is_replaced_when_one_of_them_is_busy() {
    for busy in ["users.db", "orders.db"] {
        let world = shop();
        let mut holder = hold(&world.path(busy));
        let before = fs::read(world.path("users.db")).unwrap();
        world.heirloom(["restore", "--force", "--busy-timeout", "300ms"]).exits(11).says(busy);
        assert_eq!(fs::read(world.path("users.db")).unwrap(), before);
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("50".into(), "50".into()));
        only_files(&world, &["backups", "orders.db", "users.db"]);
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

/// Starts a process that holds an exclusive lock.
fn hold(path: &Path) -> std::process::Child {
    use std::io::{BufRead as _, BufReader};
    let script = "import sqlite3,sys,time\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\nc.execute('BEGIN \
    EXCLUSIVE')\nprint('ready',flush=True)\ntime.sleep(60)";
    let mut child = Command::new("python3").args(["-c", script]).arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

#[test]
fn none_is_replaced_when_one_cannot_be_put_in_place() {
    let world = shop();
    // A set of a live database and one whose place is not there any more: the folder can be seen and not written.
    fs::create_dir(world.path("elsewhere")).unwrap();
    fs::rename(world.path("orders.db"), world.path("elsewhere/orders.db")).unwrap();
    fs::write(
        world.path("heirloom.toml"),
        "[sets.shop.databases]\nusers = \"users.db\"\norders = \"/proc/orders.db\"\n",
    )
    .unwrap();
    let ran = world.heirloom(["restore", "--force"]);
    assert_ne!(ran.code, 0);
    assert_eq!(notes(&world, "users.db"), "50");
    assert_eq!(world.archives().len(), 1);
}

/// Kills real runs over two databases at random moments: both old, both new, or reported by the next command and undone
/// by it.
#[test]
fn a_killed_restore_of_several_is_all_old_all_new_or_reported() {
    let (mut old, mut new, mut told) = (0, 0, 0);
    for round in 0..24_u64 {
        let mut world = shop();
        let mut child =
            world.command(["restore", "--force"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(3_000 + round * 4_500));
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = (notes(&world, "users.db"), notes(&world, "orders.db"));
        let interrupted = world.heirloom(["list"]).success().stderr.contains("was interrupted");
        match (seen.0.as_str(), seen.1.as_str()) {
            ("50", "50") => old += 1,
            ("100", "100") => new += 1,
            _ => assert!(interrupted, "{seen:?} and not a word of it"),
        }
        if interrupted {
            told += 1;
            world.at("2026-03-03");
            world.heirloom(["restore", "--undo", "--force"]).success();
            assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("50".into(), "50".into()));
            assert!(!world.heirloom(["list"]).success().stderr.contains("interrupted"));
        }
        world.heirloom(["backup", "users.db"]).success();
        assert_eq!(world.leftovers(), [""; 0], "the next run clears up");
    }
    eprintln!("24 kills: {old} old, {new} new, {told} told");
    assert!(old > 0, "the kills came too late");
}

#[test]
fn deployments_restore_only_what_is_missing() {
    let world = World::new();
    let deploy = ["restore", "--if-missing", "--if-backup-exists", "--to", "app.db", "--json"];
    let outcome = |world: &World| world.heirloom(deploy).success().json()["outcome"].clone();
    assert_eq!(outcome(&world), "skipped_no_backup", "no store");
    world.database("app.db");
    assert_eq!(outcome(&world), "skipped_exists");
    world.heirloom(["backup", "app.db"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    assert_eq!(outcome(&world), "restored");
    assert_eq!(notes(&world, "app.db"), "100");
    world.sql("app.db", "DELETE FROM notes WHERE id > 50");
    assert_eq!(outcome(&world), "skipped_exists");
    assert_eq!(notes(&world, "app.db"), "50");

    // An empty store; one that is not there; one whose parent is not there either.
    fs::create_dir(world.path("empty")).unwrap();
    world.heirloom(["restore", "--dir", "empty", "--to", "new.db"]).exits(12);
    world.heirloom(["restore", "--dir", "empty", "--to", "new.db", "--if-backup-exists"]).success();
    world.heirloom(["restore", "--dir", "gone", "--to", "new.db", "--if-missing"]).exits(16);
    world.heirloom(["restore", "--dir", "gone", "--to", "new.db", "--if-backup-exists"]).success();
    world
        .heirloom(["restore", "--dir", "un/mounted", "--to", "new.db", "--if-missing", "--if-backup-exists"])
        .exits(16);
}

#[test]
fn a_damaged_backup_is_not_reported_as_no_backup() {
    let world = changed();
    fs::remove_file(world.path("app.db")).unwrap();
    flip(&world.path("backups/app_20260301T030000Z.tar.gz"));
    fs::write(world.path("backups/app_20260301T030000Z.tar.gz.damaged"), "").unwrap();
    world.heirloom(["restore", "--if-missing", "--if-backup-exists", "--to", "app.db"]).exits(12);
    assert!(!world.path("app.db").exists());
}

#[test]
fn the_configured_path_wins_over_the_recorded_one() {
    let mut world = changed();
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = \"moved.db\"\n").unwrap();
    world.heirloom(["restore"]).exits(12).says("heirloom restore --from [world]/work/app.db");
    let old = world.path("app.db").to_string_lossy().into_owned();
    world.heirloom(["restore", "--from", &old]).success().says("app comes from here, \"[world]/work/app.db\"");
    assert_eq!((notes(&world, "moved.db"), notes(&world, "app.db")), ("100".into(), "50".into()));
    world.heirloom(["restore", "--from", &old, "--to-original", "--force"]).success();
    assert_eq!(notes(&world, "app.db"), "100");
    // The configuration says which targets an undo is about.
    world.at("2026-03-03");
    world.heirloom(["restore", "--undo", "--force"]).exits(12).says("moved.db").says("had no safety backup");
    world.heirloom(["restore", "--undo", "--to-original", "--force"]).success();
    assert_eq!(notes(&world, "app.db"), "50");
}

#[test]
fn without_a_known_target_the_whole_command_is_printed() {
    let world = World::new();
    world.database("app.db");
    fs::create_dir(world.path("backups")).unwrap();
    fs::copy(world.path("app.db"), world.path("backups/backup_20260101_000000.db")).unwrap();
    world.heirloom(["restore"]).exits(2).says("heirloom restore backup_20260101_000000.db --only").says("--to");
}

#[test]
fn an_archive_at_a_path_keeps_its_safety_backup_beside_it() {
    let world = changed();
    fs::rename(world.path("backups"), world.path("usb")).unwrap();
    let ran =
        world.heirloom(["restore", "usb/app_20260301T030000Z.tar.gz", "--to", "app.db", "--force", "--json"]).success();
    assert_eq!(ran.json()["undo"], "heirloom restore --undo --dir usb");
    assert!(world.path("usb/app_20260302T000000Z.tar.gz").exists());
    assert!(!world.path("backups").exists());
    world.heirloom(["restore", "--undo", "--force", "--dir", "usb"]).success();
    assert_eq!(notes(&world, "app.db"), "50");
}

#[test]
fn a_target_that_is_not_a_database_is_moved_aside() {
    let world = changed();
    fs::write(world.path("app.db"), "not a database, but perhaps somebody's").unwrap();
    let document = world.heirloom(["restore", "--force", "--json"]).success().json();
    let aside = document["databases"][0]["set_aside"].as_str().unwrap().to_owned();
    assert!(aside.ends_with("app.db.replaced-20260302T000000Z"), "{aside}");
    assert_eq!(
        fs::read(world.path("app.db.replaced-20260302T000000Z/app.db")).unwrap(),
        b"not a database, but perhaps somebody's"
    );
    assert_eq!(notes(&world, "app.db"), "100");
    assert_eq!(document["undo"], Value::Null);
}

#[test]
fn a_folder_is_refused() {
    let world = changed();
    fs::create_dir(world.path("folder.db")).unwrap();
    world.heirloom(["restore", "--to", "folder.db", "--force"]).exits(14).says("folder.db");
    assert_eq!(world.files("folder.db"), [""; 0]);
}

#[test]
fn an_archive_that_does_not_fit_on_the_disk_changes_nothing() {
    let world = changed();
    // A file system without room is hard to have in every test run; a limit on file sizes is not.
    let binary = env!("CARGO_BIN_EXE_heirloom");
    let mut command = world.command([""; 0]);
    let mut limited = Command::new("prlimit");
    limited.args(["--fsize=4000", binary, "restore", "--force"]).current_dir(world.work()).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))));
    command.env_clear();
    world.run(&mut limited).exits(15);
    assert_eq!(notes(&world, "app.db"), "50");
    only_files(&world, &["app.db", "backups"]);
}

#[test]
fn a_live_database_is_replaced_under_its_reader() {
    use std::io::{BufRead as _, BufReader};
    let world = changed();
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nprint(c.execute('SELECT count(*) FROM \
    notes').fetchone()[0],flush=True)\nsys.stdin.readline()\n\
    print(c.execute('SELECT count(*) FROM notes').fetchone()[0],flush=True)";
    let mut reader = Command::new("python3")
        .args(["-c", script])
        .arg(world.path("app.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "50");
    let plan = world.heirloom(["restore", "--dry-run"]).success();
    assert!(plan.stdout.contains(&format!("in use by python3 ({})", reader.id())), "{}", plan.stdout);
    world.heirloom(["restore", "--force", "--offline", "--assume-unused"]).exits(14).says("python3");
    world.heirloom(["restore", "--force"]).success();
    drop(reader.stdin.take());
    assert_eq!(lines.next().unwrap().unwrap(), "100");
    reader.wait().unwrap();
    world.heirloom(["restore", "--undo", "--force", "--offline", "--assume-unused"]).success();
    assert_eq!(notes(&world, "app.db"), "50");
}

#[test]
fn the_plan_lists_the_tables_that_differ_with_their_rows() {
    let world = World::new();
    world.database("app.db");
    world.sql(
        "app.db",
        "CREATE TABLE kept(x); CREATE TABLE gone(x); INSERT INTO kept VALUES(1); INSERT INTO gone VALUES(1);",
    );
    world.heirloom(["backup", "app.db"]).success();
    world.sql(
        "app.db",
        "DELETE FROM notes WHERE id > 10; DROP TABLE gone; CREATE TABLE later(x); UPDATE kept SET x = 2;",
    );
    let plan = world.heirloom(["restore", "--dry-run"]).success().stdout;
    let start =
        plan.lines().position(|line| line.trim_start().starts_with("notes")).unwrap_or_else(|| panic!("{plan}"));
    let lines: Vec<&str> = plan.lines().skip(start).take(4).collect();
    assert_eq!(
        lines,
        [
            "      notes  10 → 100 (+90)",
            "      gone   new, 1 row",
            "      later  removed, 0 rows",
            // Its row has changed: only the row count is the same.
            "    3 tables differ, 1 has the same number of rows"
        ],
        "{plan}"
    );
}
