//! `heirloom run` while somebody edits, restores, links, copies and deletes around it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::run_world::{Run, live};
use crate::world::{Ran, World};

/// A world with a set `app` in a configuration, and a script that writes one note: `put FILE TEXT`.
fn world() -> World {
    let world = World::new();
    configure(&world, "app.db", "");
    let put = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=20)\nc.execute('create table if not \
               exists notes(id integer primary key, text)')\nc.execute('insert into notes(text) values(?)', \
               (sys.argv[2],))\nc.commit()\n";
    fs::write(world.path("put.py"), put).unwrap();
    world
}

fn configure(world: &World, database: &str, more: &str) {
    let text = format!("[sets.app.databases]\napp = '{database}'\n[store]\ndir = 'backups'\n{more}");
    fs::write(world.path("heirloom.toml"), text).unwrap();
}

fn run(world: &World, script: &str) -> Ran {
    let heirloom = std::path::Path::new(env!("CARGO_BIN_EXE_heirloom")).parent().unwrap();
    let script = format!("PATH={}:$PATH; {script}", heirloom.display());
    world.run(&mut live(world, ["run", "--", "sh", "-euc", &script]))
}

/// What the newest archive of the set holds.
fn newest(world: &World) -> String {
    texts_of(world, "latest")
}

fn texts_of(world: &World, archive: &str) -> String {
    let _ = fs::remove_file(world.path("copy.db"));
    world.run(&mut live(world, ["restore", archive, "--to", "copy.db"])).success();
    texts(world, "copy.db")
}

fn texts(world: &World, file: &str) -> String {
    world.ask(file, "SELECT coalesce(group_concat(text), '') FROM (SELECT text FROM notes ORDER BY id)")
}

fn put(world: &World, file: &str, text: &str) {
    world.run(&mut world.shell(&format!("python3 put.py {file} {text}"))).success();
}

/// A script that waits until a backup is in the store.
const SAVED: &str = "until ls backups/*.tar.gz >/dev/null 2>&1; do sleep 0.02; done";

#[test]
fn the_next_run_starts_after_the_last_backup_of_the_one_before() {
    let world = world();
    put(&world, "app.db", "one");
    world.run(&mut live(&world, ["backup"])).success();
    // The last backup takes as long as its hook.
    let hook = "[ $HEIRLOOM_KIND != final ] || { touch saving; until [ -e go ]; do sleep 0.02; done; }";
    let hooks = format!("[hooks]\nbefore_backup = ['sh', '-c', '{hook}']\n");
    configure(&world, "app.db", &format!("{hooks}[run]\ngrace = '60s'\nlease_wait = '100ms'\n"));
    let named = ["run", "--config", "heirloom.toml", "--", "sh", "-c"];
    let mut first = Run::start(&world, &mut live(&world, named.iter().chain(&["python3 put.py app.db two"])));
    first.until(|_| world.path("saving").exists(), "the last backup");
    assert!(first.said().contains("ended with exit code 0"), "{}", first.said());
    let refused = world.run(&mut live(&world, named.iter().chain(&["touch started"]))).exits(11);
    assert!(!world.path("started").exists(), "{}", refused.stderr);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(first.code(), 0);
    world.run(&mut live(&world, named.iter().chain(&["touch started"]))).success();
    assert!(world.path("started").exists());
    configure(&world, "app.db", "");
    assert_eq!(newest(&world), "one,two");
}

#[test]
fn a_board_without_a_clock_does_not_start_on_an_empty_database() {
    let world = world();
    put(&world, "app.db", "one");
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    let mut command = world.command(["run", "--", "touch", "started"]);
    command.env("HEIRLOOM_NOW", "1970-01-02T00:00:00Z");
    world.run(&mut command).exits(12).says("dated in the future").says("the application was not started");
    assert!(!world.path("started").exists() && !world.path("app.db").exists());
    world.run(&mut world.command(["run", "--", "true"])).success();
    assert_eq!(texts(&world, "app.db"), "one", "once the clock is right it is restored");
}

#[test]
fn a_database_behind_a_link_whose_disk_is_missing_is_not_started_anew() {
    let world = world();
    put(&world, "app.db", "one");
    world.run(&mut live(&world, ["backup"])).success();
    fs::remove_file(world.path("app.db")).unwrap();
    symlink("volume/app.db", world.path("app.db")).unwrap();
    run(&world, "touch started").exits(12).says("the application was not started");
    assert!(!world.path("started").exists() && !world.path("volume").exists());
}

#[test]
fn a_configuration_that_is_edited_while_it_runs_is_named_and_changes_nothing_for_the_application() {
    let world = world();
    put(&world, "app.db", "one");
    put(&world, "new.db", "other");
    let edit = format!("{SAVED}; sed -i s/app.db/new.db/ heirloom.toml; python3 put.py app.db two; exit 5");
    let ran =
        run(&world, &edit).exits(5).says("the configuration \"heirloom.toml\" changed after this run was started");
    assert_eq!(ran.stderr.matches("changed after this run").count(), 1, "{}", ran.stderr);
    configure(&world, "app.db", "");
    // The archives of the two files stay apart.
    fs::remove_file(world.path("app.db")).unwrap();
    let _ = world.run(&mut live(&world, ["restore", "--set", "app"])).success();
    assert_eq!(texts(&world, "app.db"), "one");
}

#[test]
fn a_configuration_that_is_broken_while_it_runs_is_a_warning() {
    let world = world();
    put(&world, "app.db", "one");
    let script = format!("{SAVED}; echo 'x = [' >> heirloom.toml; python3 put.py app.db two; exit 5");
    run(&world, &script).exits(5).says("the last backup failed").says("heirloom.toml:5").says("restart this run");
    assert_eq!(texts(&world, "app.db"), "one,two");
}

#[test]
fn a_restore_inside_an_update_is_what_the_last_backup_holds() {
    let world = world();
    put(&world, "app.db", "one");
    let script = format!(
        "{SAVED}; python3 put.py app.db wrong; heirloom restore --set app --force >&2; python3 put.py app.db two"
    );
    run(&world, &script).success();
    assert_eq!(newest(&world), "one,two");
    // The update that was taken back is kept.
    let ran = world.run(&mut live(&world, ["list", "--json"])).success();
    assert!(ran.stdout.contains("\"safety\""), "{}", ran.stdout);
}

#[test]
fn of_half_a_set_only_what_is_missing_is_restored() {
    let world = world();
    configure(&world, "app.db", "");
    let text = fs::read_to_string(world.path("heirloom.toml")).unwrap();
    fs::write(world.path("heirloom.toml"), text.replace("[store]", "blog = 'blog.db'\n[store]")).unwrap();
    put(&world, "app.db", "one");
    put(&world, "blog.db", "first");
    world.run(&mut live(&world, ["backup"])).success();
    put(&world, "app.db", "two");
    fs::remove_file(world.path("blog.db")).unwrap();
    run(&world, "true").success().says("restored app");
    assert_eq!((texts(&world, "app.db"), texts(&world, "blog.db")), ("one,two".into(), "first".into()));
}

#[test]
fn a_store_that_vanishes_while_it_runs_is_not_made_anew() {
    let world = world();
    put(&world, "app.db", "one");
    // The first backup of a store is remembered when it ends.
    let ended = "until ls ../state/stores/*.json >/dev/null 2>&1; do sleep 0.02; done";
    let script = format!("{SAVED}; {ended}; mv backups unmounted; python3 put.py app.db two; exit 5");
    run(&world, &script).exits(5).says("the last backup failed").says("mount the disk");
    assert_eq!(world.files("backups"), [""; 0], "an empty store would look like a first backup");
    fs::rename(world.path("unmounted"), world.path("backups")).unwrap();
    run(&world, "true").success();
    assert_eq!(newest(&world), "one,two");
}

#[test]
fn a_run_inside_a_run_waits_in_vain_and_the_outer_one_saves() {
    let world = world();
    configure(&world, "app.db", "[run]\nlease_wait = '50ms'\n");
    put(&world, "app.db", "one");
    world.run(&mut live(&world, ["backup"])).success();
    let script = "python3 put.py app.db two; heirloom run -- touch started || exit $?";
    run(&world, script).exits(11).says("another run saves into the store");
    assert!(!world.path("started").exists());
    assert_eq!(newest(&world), "one,two");
}

#[test]
fn an_update_under_a_guard_is_rolled_back_and_then_saved() {
    let world = world();
    put(&world, "app.db", "one");
    let script = "heirloom guard -- sh -c 'python3 put.py app.db wrong; exit 3' || python3 put.py app.db two";
    run(&world, script).success();
    assert_eq!((texts(&world, "app.db"), newest(&world)), ("one,two".into(), "one,two".into()));
}

#[test]
fn a_database_that_becomes_a_link_while_it_runs_keeps_the_history_of_the_first_file() {
    let world = world();
    put(&world, "app.db", "one");
    put(&world, "other.db", "other");
    let script = format!("{SAVED}; mv app.db first.db; ln -s other.db app.db; sleep 1");
    run(&world, &script).success();
    let archives = world.archives();
    assert_eq!(archives.len(), 2, "{archives:?}");
    world.run(&mut live(&world, ["rotate", "--keep-last", "1", "--force"])).success();
    assert_eq!(world.archives(), archives, "one does not displace the other");
    let held: Vec<String> = archives.iter().map(|archive| texts_of(&world, archive)).collect();
    assert_eq!(held, ["one", "other"]);
}

#[test]
fn without_a_place_for_records_it_still_saves() {
    let mut world = world();
    fs::write(world.path("full"), "").unwrap();
    let state = world.path("full/state").to_str().unwrap().to_owned();
    world.env("HEIRLOOM_STATE_DIR", &state);
    put(&world, "app.db", "one");
    run(&world, "python3 put.py app.db two").success();
    assert_eq!(newest(&world), "one,two");
}
