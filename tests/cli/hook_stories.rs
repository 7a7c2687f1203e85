//! Hooks that do what nobody planned: they back up, restore, delete, write and replace what is backed up.

use std::fs;

use crate::world::World;

const HEIRLOOM: &str = env!("CARGO_BIN_EXE_heirloom");

/// A world with a database and a configuration with hooks, each a script of the shell.
fn world(hooks: &[(&str, &str)]) -> World {
    let mut world = World::new();
    world.database("app.db");
    let file = world.path("conf.toml").to_str().unwrap().to_owned();
    world.env("HEIRLOOM_CONFIG", &file);
    configure(&world, hooks);
    world
}

fn configure(world: &World, hooks: &[(&str, &str)]) {
    let hooks: String =
        hooks.iter().map(|(hook, script)| format!("{hook} = ['sh', '-euc', '''{script}''']\n")).collect();
    let text = format!("[sets.app.databases]\napp = 'app.db'\n[store]\ndir = 'backups'\n[hooks]\n{hooks}");
    fs::write(world.path("conf.toml"), text).unwrap();
}

/// Writes one note, as a hook does that fills the database.
const WRITE: &str = "python3 -c \"import sqlite3; c = sqlite3.connect('app.db'); c.execute('insert into notes(text) \
                     values(1)'); c.commit()\"";

/// The number of notes in an archive.
fn notes_in(world: &World, archive: &str) -> String {
    let _ = fs::remove_file(world.path("copy.db"));
    world.heirloom(["restore", archive, "--to", "copy.db"]).success();
    world.ask("copy.db", "SELECT count(*) FROM notes")
}

#[test]
fn a_hook_that_backs_up_the_same_set_leaves_two_sound_archives() {
    let world = world(&[("before_backup", &format!("{HEIRLOOM} backup --set app"))]);
    world.heirloom(["backup"]).success();
    assert_eq!(world.archives(), ["app_20260301T030000Z-2.tar.gz", "app_20260301T030000Z.tar.gz"]);
    world.heirloom(["verify", "--all"]).success();
}

#[test]
fn what_a_hook_writes_is_in_the_backup_that_it_runs_before() {
    let mut world = world(&[("before_backup", WRITE)]);
    world.heirloom(["backup", "--if-changed"]).success();
    assert_eq!(notes_in(&world, "latest"), "101");
    configure(&world, &[("after_backup", WRITE)]);
    world.at("2026-03-02").heirloom(["backup"]).success();
    assert_eq!(
        (notes_in(&world, "latest"), world.ask("app.db", "SELECT count(*) FROM notes")),
        ("101".into(), "102".into())
    );
    // What the hook wrote after the copy is a change, and is not counted as saved.
    configure(&world, &[]);
    world.at("2026-03-03").heirloom(["backup", "--if-changed"]).success();
    assert_eq!(notes_in(&world, "latest"), "102");
}

#[test]
fn a_hook_that_restores_backs_up_what_it_restored() {
    let mut world = world(&[]);
    world.heirloom(["backup"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 40");
    configure(&world, &[("before_backup", &format!("{HEIRLOOM} restore --set app --force"))]);
    world.at("2026-03-02").heirloom(["backup"]).success();
    // What the hook replaced is in the safety backup, which was made in the same second.
    assert_eq!(notes_in(&world, "app_20260302T000000Z.tar.gz"), "40");
    assert_eq!(notes_in(&world, "app_20260302T000000Z-2.tar.gz"), "100");
    world.heirloom(["restore", "--undo", "--set", "app", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "40");
}

#[test]
fn a_hook_that_removes_the_database_fails_the_backup_and_no_archive() {
    let mut world = world(&[]);
    world.heirloom(["backup"]).success();
    let failed = "echo $HEIRLOOM_OUTCOME $HEIRLOOM_EXIT_CODE >> notes";
    configure(&world, &[("before_backup", "rm app.db"), ("on_failure", failed)]);
    world.at("2026-03-02").heirloom(["backup", "--rotate"]).exits(10).says("no database at");
    assert_eq!(fs::read_to_string(world.path("notes")).unwrap(), "failed 10\n");
    assert_eq!(world.archives(), ["app_20260301T030000Z.tar.gz"]);
    assert_eq!(notes_in(&world, "latest"), "100");
}

#[test]
fn a_hook_that_deletes_the_new_archive_does_not_get_the_last_good_one() {
    let delete = format!("{HEIRLOOM} delete --force $(basename $HEIRLOOM_ARCHIVE)");
    let world = world(&[("after_backup", &delete)]);
    world.heirloom(["backup"]).success().says("the hook after_backup").says("exit code 14");
    assert_eq!(world.archives(), ["app_20260301T030000Z.tar.gz"]);
}

#[test]
fn a_hook_that_edits_the_configuration_does_not_change_the_backup_that_runs() {
    let mut world = world(&[("before_backup", "sed -i s/app.db/other.db/ conf.toml")]);
    world.sql("other.db", "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT)");
    world.heirloom(["backup"]).success();
    assert_eq!(notes_in(&world, "latest"), "100", "of the database that was configured at the start");
    world.at("2026-03-02").heirloom(["backup"]).success();
    assert_eq!(notes_in(&world, "app_20260302T000000Z.tar.gz"), "0");
    // They stay apart: the other database does not displace the archives of the first.
    world.at("2026-03-03").heirloom(["rotate", "--keep-last", "1", "--force"]).success();
    assert_eq!(world.archives(), ["app_20260301T030000Z.tar.gz", "app_20260302T000000Z.tar.gz"]);
}

#[test]
fn a_hook_that_links_another_database_in_place_starts_a_history_of_its_own() {
    let mut world = world(&[]);
    world.heirloom(["backup"]).success();
    world.sql("other.db", "CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT)");
    configure(&world, &[("before_backup", "mv app.db old.db; ln -s other.db app.db")]);
    world.at("2026-03-02").heirloom(["backup", "--if-changed"]).success();
    world.heirloom(["rotate", "--keep-last", "1", "--force"]).success();
    assert_eq!(world.archives(), ["app_20260301T030000Z.tar.gz", "app_20260302T000000Z.tar.gz"]);
    assert_eq!(notes_in(&world, "app_20260301T030000Z.tar.gz"), "100");
}

#[test]
fn an_archive_that_a_hook_moves_away_does_not_count_as_a_backup() {
    let mut world = world(&[("after_backup", "mkdir -p offsite; mv $HEIRLOOM_ARCHIVE offsite/")]);
    world.heirloom(["backup"]).success();
    assert_eq!(world.archives(), [""; 0]);
    // Nothing changed, but the store holds no backup of it.
    world.at("2026-03-02").heirloom(["backup", "--if-changed"]).success();
    assert_eq!(world.files("offsite"), ["app_20260301T030000Z.tar.gz", "app_20260302T000000Z.tar.gz"]);
    assert_eq!(notes_in(&world, "offsite/app_20260302T000000Z.tar.gz"), "100");
}

#[test]
fn an_archive_that_a_hook_pins_outlives_the_rotation() {
    let mut world = world(&[("after_backup", &format!("{HEIRLOOM} pin $(basename $HEIRLOOM_ARCHIVE)"))]);
    world.heirloom(["backup"]).success();
    configure(&world, &[]);
    for day in ["2026-03-02", "2026-03-03"] {
        world.at(day).sql("app.db", "INSERT INTO notes(text) VALUES ('more')");
        world.heirloom(["backup"]).success();
    }
    world.heirloom(["rotate", "--keep-last", "1", "--force"]).success();
    assert_eq!(world.archives(), ["app_20260301T030000Z.tar.gz", "app_20260303T000000Z.tar.gz"]);
}

#[test]
fn what_a_hook_writes_after_a_restore_is_not_lost_when_the_restore_is_undone() {
    let mut world = world(&[]);
    world.heirloom(["backup"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 40");
    configure(&world, &[("after_restore", WRITE)]);
    world.at("2026-03-02").heirloom(["restore", "latest", "--set", "app", "--force"]).success();
    let notes = |world: &World| world.ask("app.db", "SELECT count(*) FROM notes");
    assert_eq!(notes(&world), "101");
    configure(&world, &[]);
    for (day, expected) in [("2026-03-03", "40"), ("2026-03-04", "101")] {
        world.at(day).heirloom(["restore", "--undo", "--set", "app", "--force"]).success();
        assert_eq!(notes(&world), expected);
    }
}

#[test]
fn a_hook_that_removes_half_of_a_set_does_not_displace_the_backup_of_that_half() {
    let mut world = world(&[]);
    world.database("blog.db");
    let both = |world: &World, hooks: &[(&str, &str)]| {
        configure(world, hooks);
        let text = fs::read_to_string(world.path("conf.toml")).unwrap();
        fs::write(world.path("conf.toml"), text.replace("[store]", "blog = 'blog.db'\n[store]")).unwrap();
    };
    both(&world, &[]);
    world.heirloom(["backup"]).success();
    both(&world, &[("before_backup", "rm -f blog.db")]);
    for day in ["2026-03-02", "2026-03-03"] {
        world.at(day).sql("app.db", "INSERT INTO notes(text) VALUES ('more')");
        world.heirloom(["backup", "--if-exists"]).exits(3).says("archives of it exist");
    }
    world.heirloom(["rotate", "--keep-last", "1", "--force"]).success();
    assert_eq!(world.archives(), ["app_20260301T030000Z.tar.gz", "app_20260303T000000Z.tar.gz"]);
}
