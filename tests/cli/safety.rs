//! Safety archives: where they are committed, when they reach the store, which are kept, and what is protected.

use std::fs::{self, File};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

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
    world.ask(name, "SELECT count(*) FROM notes")
}

/// Holds the lock of the store, as another run does that commits to a slow one.
fn lock_store(world: &World) -> File {
    let lock =
        File::options().create(true).truncate(false).write(true).open(world.path("backups/.heirloom/lock")).unwrap();
    lock.lock().unwrap();
    lock
}

fn kind_of(world: &World, archive: &str) -> String {
    let document = world.heirloom(["show", archive, "--json"]).success().json();
    document["kind"].as_str().unwrap().to_owned()
}

#[test]
fn the_application_writes_while_a_restore_waits_for_the_store() {
    for mode in ["DELETE", "WAL"] {
        let world = changed();
        world.sql("app.db", &format!("PRAGMA journal_mode={mode}"));
        let lock = lock_store(&world);
        let mut command = world.command(["restore", "--force", "--busy-timeout", "60s"]);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let connection = rusqlite::Connection::open(world.path("app.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        // The restore succeeds although nothing could be committed to the store.
        while connection.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, u32>(0)).unwrap() != 100 {
            assert!(running.try_wait().unwrap().is_none(), "the restore ended without having restored");
            thread::sleep(Duration::from_millis(10));
        }
        connection.execute("INSERT INTO notes VALUES (999, 'written meanwhile')", []).unwrap();
        assert!(running.try_wait().unwrap().is_none(), "it waits for the store, and holds no lock of the target");
        assert_eq!(world.pending().len(), 1);
        drop(lock);
        world.ran("restore".into(), running.wait_with_output().unwrap()).success();
        assert_eq!(notes(&world, "app.db"), "101");
        assert_eq!((world.pending().len(), world.archives().len()), (0, 2));
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

#[test]
fn a_safety_backup_that_cannot_reach_the_store_is_pending_until_the_next_run() {
    let mut world = changed();
    let lock = lock_store(&world);
    let ran = world.heirloom(["restore", "--force", "--busy-timeout", "300ms", "--json"]).exits(3);
    assert_eq!(notes(&world, "app.db"), "100");
    let safety = ran.json()["safety_backup"].as_str().unwrap().to_owned();
    assert!(ran.json()["pending"].is_string());
    ran.says("1 safety backup pending").says(&safety);
    assert_eq!((world.pending(), world.archives().len()), (vec![safety.clone()], 1));

    // It is listed, shown, and found by name and by an undo.
    let list = world.heirloom(["list", "--json"]).success().json();
    assert_eq!(
        (&list["archives"][0]["archive"], &list["archives"][0]["pending"]),
        (&safety.as_str().into(), &true.into())
    );
    assert_eq!(kind_of(&world, &safety), "safety");
    world.at("2026-03-03");
    world.heirloom(["restore", &safety, "--to", "look.db"]).success().says("1 safety backup pending");
    assert_eq!(notes(&world, "look.db"), "50");
    world.heirloom(["restore", "--undo", "--force", "--busy-timeout", "300ms", "--to", "app.db"]).exits(3);
    assert_eq!(notes(&world, "app.db"), "50");
    assert_eq!(world.pending().len(), 2);

    drop(lock);
    let pending = world.pending();
    for (number, command) in [["backup", "app.db"], ["rotate", "--force"], ["cleanup", "--force"]].iter().enumerate() {
        world.heirloom(command).success();
        assert_eq!(world.pending(), [""; 0]);
        assert!(pending.iter().all(|name| world.archives().contains(name)), "{:?}", world.archives());
        // Pending again, for the next command.
        if number < 2 {
            fs::rename(
                world.path(format!("backups/{safety}")),
                world.path(format!("backups/.heirloom/pending/{safety}")),
            )
            .unwrap();
        }
    }
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn one_that_died_between_its_two_names_is_not_sent_twice() {
    let world = changed();
    world.heirloom(["restore", "--force"]).success();
    let safety = world.archives()[1].clone();
    fs::hard_link(world.path(format!("backups/{safety}")), world.path(format!("backups/.heirloom/pending/{safety}")))
        .unwrap();
    assert_eq!(world.heirloom(["list", "--json"]).success().json()["archives"].as_array().unwrap().len(), 2);
    world.heirloom(["cleanup", "--force"]).success();
    assert_eq!((world.pending().len(), world.archives().len()), (0, 2));
}

#[test]
fn seven_restores_in_one_night_keep_the_state_before_the_first() {
    for minutes in [1, 20] {
        let mut world = changed();
        for night in 0..7 {
            world.at(&format!("2026-03-02T{:02}:{:02}:00Z", 1 + night * minutes / 60, night * minutes % 60));
            world.sql("app.db", &format!("DELETE FROM notes WHERE id > {}", 50 - night));
            world.heirloom(["restore", "--force"]).success();
        }
        let safeties = world.archives().len() - 1;
        assert!((6..=7).contains(&safeties), "{safeties}");
        world.heirloom(["restore", "app_20260302T010000Z.tar.gz", "--to", "look.db"]).success();
        assert_eq!(notes(&world, "look.db"), "50", "the state before the first of them");
    }
}

#[test]
fn restores_to_other_paths_do_not_evict_safety_backups_of_production() {
    let mut world = changed();
    fs::write(world.path("heirloom.toml"), "[retention]\nsafety = 2\n").unwrap();
    world.heirloom(["restore", "--force"]).success();
    let of_production = world.archives()[1].clone();
    world.database("look.db");
    for minute in 0..6 {
        world.at(&format!("2026-03-02T05:{minute:02}:00Z"));
        world.sql("look.db", &format!("DELETE FROM notes WHERE id > {}", 90 - minute));
        world.heirloom(["restore", "app_20260301T030000Z.tar.gz", "--to", "look.db", "--force"]).success();
    }
    assert!(world.archives().contains(&of_production));
    assert_eq!(
        world.archives().len(),
        2 + 3,
        "of the other path the two newest and the first of the hour: {:?}",
        world.archives()
    );
}

#[test]
fn a_safety_backup_is_dated_when_the_locks_are_held() {
    let world = changed();
    let connection = rusqlite::Connection::open(world.path("app.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut command = world.command(["restore", "--force", "--busy-timeout", "60s", "--json"]);
    let running = command.env_remove("HEIRLOOM_NOW").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It has begun: its scratch is there.
    while !world.files(".").iter().any(|name| name.starts_with(".heirloom-run-")) {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(1_200));
    let committed = chrono::Utc::now();
    connection.execute_batch("DELETE FROM notes WHERE id > 40; COMMIT").unwrap();
    let document = world.ran("restore".into(), running.wait_with_output().unwrap()).success().json();
    let shown = world.heirloom(["show", document["safety_backup"].as_str().unwrap(), "--json"]).success().json();
    assert_eq!(shown["databases"][0]["rows"], 40);
    let created_at: chrono::DateTime<chrono::Utc> = shown["created_at"].as_str().unwrap().parse().unwrap();
    assert!(created_at >= committed, "{created_at} holds what was committed at {committed}");
}

#[test]
fn a_backup_of_the_kind_safety_is_refused() {
    let world = changed();
    world.heirloom(["backup", "app.db", "--kind", "safety"]).exits(2).says("safety");
}

#[test]
fn a_restore_holds_its_archive() {
    let mut world = changed();
    world.heirloom(["backup", "app.db"]).success();
    let connection = rusqlite::Connection::open(world.path("app.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut command = world.command(["restore", "app_20260301T030000Z.tar.gz", "--force", "--busy-timeout", "60s"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while world.files("backups/.heirloom/holds").is_empty() {
        assert!(running.try_wait().unwrap().is_none(), "it ended without a hold");
        thread::sleep(Duration::from_millis(10));
    }
    world.at("2026-03-03");
    world.heirloom(["cleanup", "--keep", "1", "--force"]).success();
    assert_eq!(world.archives().len(), 2, "one of them is in use");
    connection.execute_batch("COMMIT").unwrap();
    world.ran("restore".into(), running.wait_with_output().unwrap()).success();
    world.heirloom(["cleanup", "--keep", "1", "--force"]).success();
    assert_eq!(world.leftovers(), [""; 0]);
    assert!(!world.archives().contains(&"app_20260301T030000Z.tar.gz".to_owned()));
}

/// Runs guard over `app.db` with a command that runs the tool itself.
fn guard_with(world: &World, script: &str) -> crate::world::Ran {
    let script = script.replace("HEIRLOOM", env!("CARGO_BIN_EXE_heirloom"));
    world.heirloom(["guard", "app.db", "--", "sh", "-c", &script])
}

#[test]
fn a_backup_with_rotate_inside_guard_removes_nothing_that_guard_needs() {
    for backup in ["app.db", "link.db", "\"$PWD/sub/../app.db\""] {
        let mut world = changed();
        fs::create_dir(world.path("sub")).unwrap();
        std::os::unix::fs::symlink(world.path("app.db"), world.path("link.db")).unwrap();
        fs::write(world.path("heirloom.toml"), "[retention]\nlast = 1\n").unwrap();
        world.at("2026-03-03");
        let script = format!(
            "sqlite3 app.db 'DELETE FROM notes WHERE id > 10' && HEIRLOOM backup {backup} --set app --kind scheduled \
             --rotate && exit 7"
        );
        guard_with(&world, &script).exits(7).says("a guarded command is running").says("rolled back and verified");
        assert_eq!(notes(&world, "app.db"), "50");
        // A backup made in the middle is never `latest`.
        world.heirloom(["restore", "--set", "app", "--to", "new.db"]).success();
        assert_eq!(notes(&world, "new.db"), "50", "{backup}");
        // Afterwards, a backup has the requested kind.
        world.at("2026-03-04");
        world.heirloom(["backup", "app.db", "--kind", "scheduled"]).success();
        assert_eq!(kind_of(&world, "app_20260304T000000Z.tar.gz"), "scheduled");
    }
}

#[test]
fn guard_makes_no_backup_where_the_newest_one_holds_the_same() {
    let mut world = changed();
    world.heirloom(["backup", "app.db"]).success();
    let archives = world.archives();
    world.at("2026-03-03");
    // Another connection that changed nothing, and retention at the wrong moment.
    let script = "sqlite3 app.db 'DELETE FROM notes WHERE id > 10' && HEIRLOOM cleanup --keep 1 --force && exit 7";
    guard_with(&world, script).exits(7).says("no new backup is made").says("app_20260302T000000Z.tar.gz");
    assert_eq!(notes(&world, "app.db"), "50");
    assert!(world.archives().contains(&archives[1]));
    assert_eq!(world.archives().iter().filter(|name| kind_of(&world, name) == "pre-update").count(), 0);
    // Something changed since.
    world.sql("app.db", "INSERT INTO notes VALUES (999, 'x')");
    guard_with(&world, "true").success().says("backed up app");
    assert_eq!(kind_of(&world, "app_20260303T000000Z-2.tar.gz"), "pre-update");
}

#[test]
fn the_archive_that_guard_goes_back_to_may_be_removed_meanwhile() {
    let world = changed();
    guard_with(&world, "rm backups/*.tar.gz; sqlite3 app.db 'DELETE FROM notes'; exit 3")
        .exits(3)
        .says("rolled back and verified");
    assert_eq!(notes(&world, "app.db"), "50");
}

#[test]
fn the_way_back_after_the_folder_is_gone_works() {
    let mut world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    world.database("data/app.db");
    fs::write(world.path("own.toml"), "[sets.mine.databases]\napp = \"data/app.db\"\n").unwrap();
    let ran = world.heirloom([
        "guard",
        "--config",
        "own.toml",
        "--dir",
        "store",
        "--set",
        "mine",
        "--",
        "sh",
        "-c",
        "rm -rf data",
    ]);
    let ran = ran.exits(125).says("mkdir -p").says("--config own.toml --dir store");
    let (_, command) = ran.stderr.split_once("roll back with: ").unwrap();
    let command = command.lines().next().unwrap().replace("[world]", world.work().parent().unwrap().to_str().unwrap());
    world.at("2026-03-02");
    let command = command.replace("heirloom restore", &format!("{} restore", env!("CARGO_BIN_EXE_heirloom")));
    let mut shell = world.command([""; 0]);
    let mut pasted = std::process::Command::new("sh");
    pasted.arg("-c").arg(&command).current_dir(world.work()).env_clear();
    pasted.envs(shell.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))));
    shell.env_clear();
    world.run(&mut pasted).success();
    assert_eq!(notes(&world, "data/app.db"), "100");
}

#[test]
fn a_rollback_over_another_page_size_is_not_called_a_write_of_somebody_else() {
    for mode in ["WAL", "DELETE"] {
        let world = changed();
        world.sql("app.db", &format!("PRAGMA journal_mode={mode}"));
        let script = format!(
            "sqlite3 app.db 'PRAGMA journal_mode=DELETE; PRAGMA page_size=8192; VACUUM; PRAGMA journal_mode={mode}; \
             DELETE FROM notes WHERE id > 10' && exit 7"
        );
        let ran = guard_with(&world, &script).exits(7).says("rolled back and verified");
        assert!(!ran.stderr.contains("has written to it"), "{mode}: {}", ran.stderr);
        assert_eq!(notes(&world, "app.db"), "50");
        // And what is there already is not restored once more.
        let archives = world.archives().len();
        let pre_update = "app_20260302T000000Z.tar.gz";
        world.heirloom(["restore", pre_update, "--force"]).success();
        assert_eq!(world.archives().len(), archives, "{mode}");
    }
}

#[test]
fn a_guard_inside_of_a_guarded_command_makes_nothing_that_is_the_latest() {
    let mut world = changed();
    world.at("2026-03-03");
    world.sql("app.db", "INSERT INTO notes VALUES (999, 'x')");
    let script = "sqlite3 app.db 'DELETE FROM notes WHERE id > 10' && HEIRLOOM guard app.db -- true && exit 7";
    guard_with(&world, script).exits(7).says("rolled back and verified");
    let kinds: Vec<String> = world.archives().iter().map(|name| kind_of(&world, name)).collect();
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "safety").count(),
        2,
        "what the inner one made, and what was left: {kinds:?}"
    );
    world.heirloom(["restore", "--to", "new.db"]).success();
    assert_eq!(notes(&world, "new.db"), "51");
}
