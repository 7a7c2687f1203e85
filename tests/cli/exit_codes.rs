//! The exit codes that no other test covers: each is a stable interface.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::tools::{have, not_tested};
use crate::world::World;

#[test]
fn failed_is_1_where_no_other_code_fits() {
    if !have("a database that may not be read ends with 1", &["setpriv"]) {
        return;
    }
    let world = World::new();
    let path = world.database("app.db");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let chmod = |path: &std::path::Path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap()
    };
    chmod(world.work().parent().unwrap());
    let store = world.path("store");
    fs::create_dir(&store).unwrap();
    std::os::unix::fs::chown(&store, Some(65534), Some(65534)).unwrap();
    // Another user may not be able to read the build folder, but can read a copy of the binary.
    let binary = world.path("heirloom");
    fs::copy(env!("CARGO_BIN_EXE_heirloom"), &binary).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["backup", "app.db", "--dir", "store"]);
    command.current_dir(world.work()).env_clear();
    world.run(&mut command).exits(1).says("app.db").says("denied");
    assert_eq!(world.files("store").iter().filter(|name| name.contains("tar")).count(), 0);
}

#[test]
fn a_locked_database_is_11() {
    let world = World::new();
    world.database("app.db");
    let holder = rusqlite::Connection::open(world.path("app.db")).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    world.heirloom(["backup", "app.db", "--busy-timeout", "300ms"]).exits(11).says("app.db");
    drop(holder);
    world.heirloom(["backup", "app.db", "--busy-timeout", "300ms"]).success();
}

#[test]
fn a_locked_store_is_11_and_nothing_is_visible() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let lock = fs::File::open(world.path("backups/.heirloom/lock")).unwrap();
    lock.lock().unwrap();
    world.heirloom(["backup", "app.db", "--busy-timeout", "300ms"]).exits(11).says("lock");
    assert_eq!(world.archives().len(), 1);
    // A restore does not wait for it if no safety backup is needed.
    world.heirloom(["restore", "latest", "--to", "copy.db"]).success();
    drop(lock);
    world.heirloom(["backup", "app.db"]).success();
}

#[test]
fn a_full_disk_is_15_and_leaves_what_was_there() {
    let world = World::new();
    world.sql(
        "app.db",
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400) \
    INSERT INTO t SELECT randomblob(4000) FROM n;",
    );
    let store = world.path("backups");
    fs::create_dir(&store).unwrap();
    if !have("a full disk ends with 15", &["mount"]) {
        return;
    }
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&store)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        not_tested("a full disk ends with 15", "the right to mount");
        return;
    }
    let full = world.heirloom(["backup", "app.db"]);
    let (archives, leftovers) = (world.archives(), world.leftovers());
    world.sql("app.db", "DELETE FROM t; VACUUM;");
    let fits = world.heirloom(["backup", "app.db"]);
    assert!(Command::new("umount").arg(&store).status().unwrap().success());
    full.exits(15).says("hint:");
    assert_eq!((archives, leftovers), (Vec::new(), Vec::new()));
    fits.success();
}

#[test]
fn a_signal_is_128_and_its_number_and_leaves_nothing() {
    let world = World::new();
    world.database("app.db");
    let holder = rusqlite::Connection::open(world.path("app.db")).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let child = world.command(["backup", "app.db"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It is waiting for the lock or has not started: either way it must exit with the signal's code and
        // leave nothing behind.
        std::thread::sleep(Duration::from_millis(400));
        assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
        world.ran(format!("kill -{name}"), child.wait_with_output().unwrap()).exits(code);
        assert_eq!((world.archives(), world.leftovers()), (Vec::new(), Vec::new()), "{name}");
    }
}

#[test]
fn errors_are_objects_where_json_is_asked_for() {
    let world = World::new();
    let error: serde_json::Value =
        serde_json::from_str(&world.heirloom(["backup", "missing.db", "--json"]).exits(10).stderr).unwrap();
    assert_eq!(error["error"]["kind"], "no_database");
    assert!(error["error"]["message"].as_str().unwrap().contains("missing.db"));
    assert!(error["error"]["hint"].is_string());
}

#[test]
fn the_table_of_help_is_the_table_of_the_manual_page() {
    let world = World::new();
    let help = world.heirloom(["--help"]).success().stdout;
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/heirloom-operations.7")).unwrap();
    for code in ["0", "1", "2", "3", "10", "11", "12", "13", "14", "15", "16", "17", "20, 21", "125", "128+N"] {
        let row = page.lines().find_map(|line| line.strip_prefix(&format!("{code}|")));
        let meaning = row.unwrap_or_else(|| panic!("{code} is not in the manual page"));
        assert!(help.contains(meaning), "{code}: {meaning}");
    }
}

#[test]
fn an_encrypted_archive_without_a_key_is_17_and_no_damage() {
    let mut world = World::new();
    world.database("app.db");
    world.at("2026-03-01T03:00:00Z").heirloom(["backup", "app.db"]).success();
    let encrypted = "app_20260302T030000Z.tar.gz";
    fs::write(
        world.path(format!("backups/{encrypted}")),
        [
            &b"age-encryption.org/v1\n-> X25519 CJM36AHmTbdHSuOQL+NESqyVQE75f2e610iRdLPEN20\n"[..],
            b"C3ZAeY64NXS4QFrksLm3EGz+uPRyI0eQsWw7LWbbYig\n--- fgMiVLJHMlg9fW7CVG/hPS5EAU4Zeg19LyCP7SoH5nA\n",
            &[0; 100],
        ]
        .concat(),
    )
    .unwrap();
    world.at("2026-03-03T03:00:00Z");

    let document = world.heirloom(["list", "--json"]).success().json();
    let foreign = &document["foreign"][0];
    assert_eq!(
        (&foreign["file"], &foreign["key_missing"], &foreign["damaged"]),
        (&encrypted.into(), &true.into(), &false.into())
    );
    assert!(world.heirloom(["list"]).success().stdout.contains("no key"));

    let ran = world.heirloom(["verify", encrypted, "--json"]).exits(17);
    let error: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], "key_missing", "{}", ran.stderr);
    world.heirloom(["verify", "--all"]).exits(17).says("encrypted");
    assert!(!world.path(format!("backups/{encrypted}.damaged")).exists(), "that is no evidence of damage");

    world.heirloom(["show", encrypted]).exits(17);
    world.heirloom(["restore", "latest", "--to", "old.db"]).success().says(encrypted);
    world.heirloom(["cleanup", "--keep", "1"]).success();
    assert!(world.path(format!("backups/{encrypted}")).exists());
}
