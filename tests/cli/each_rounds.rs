//! Rounds over the databases of a pattern: two are captured at a time, and whatever happens to one of them in the
//! meantime is its own affair.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::world::{Ran, World};

/// How long a process may take to get somewhere. Nothing passes because it takes that long.
const PATIENCE: Duration = Duration::from_secs(120);

fn world(tenants: &[&str]) -> World {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    tenants.iter().for_each(|tenant| drop(world.database(&format!("data/{tenant}.db"))));
    fs::write(world.path("heirloom.toml"), "[sets.tenants]\neach = 'data/*.db'\n[store]\ndir = 'backups'\n").unwrap();
    world
}

fn start(world: &World, args: &[&str]) -> Child {
    world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(world: &World, child: Child) -> Ran {
    world.ran("a command in the background".into(), child.wait_with_output().unwrap())
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps everybody from reading a database until it is dropped.
fn locked(world: &World, tenant: &str) -> Connection {
    let connection = Connection::open(world.path(format!("data/{tenant}.db"))).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    connection
}

/// How many databases are being captured.
fn captures(world: &World) -> usize {
    world.files("backups/.heirloom").iter().filter(|name| name.starts_with("run-")).count()
}

fn archives_of(world: &World, tenant: &str) -> usize {
    world.archives().iter().filter(|name| name.rsplit_once('_').is_some_and(|(set, _)| set == tenant)).count()
}

fn sets(document: &Value) -> Vec<&str> {
    document["backups"].as_array().unwrap().iter().map(|backup| backup["set"].as_str().unwrap()).collect()
}

#[test]
fn a_tenant_that_is_deleted_before_its_capture_is_not_there_yet_and_the_others_are_in_their_order() {
    let world = world(&["acme", "initech", "umbrella", "zeta"]);
    let locks = [locked(&world, "acme"), locked(&world, "initech")];
    let round = start(&world, &["backup", "--json"]);
    // The store was listed, and the first two wait for their locks side by side.
    wait_until("two are captured", || captures(&world) == 2);
    fs::remove_file(world.path("data/umbrella.db")).unwrap();
    drop(locks);
    let document = end(&world, round).success().json();
    assert_eq!(sets(&document), ["acme", "initech", "umbrella", "zeta"]);
    assert_eq!(document["backups"][2]["outcome"], "skipped_missing");
    assert_eq!(world.archives().len(), 3);
    assert_eq!(world.leftovers(), [""; 0]);
    // It never had an archive, so that nothing is gone.
    let document = world.heirloom(["backup", "--json"]).success().json();
    assert_eq!((sets(&document).len(), &document["gone"]), (3, &Value::Null));
}

#[test]
fn a_signal_ends_both_captures_and_what_was_finished_before_counts() {
    for (number, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let world = world(&["acme", "initech", "umbrella", "zeta"]);
        // The one between them is finished; those behind it wait for the two.
        let locks = [locked(&world, "acme"), locked(&world, "umbrella")];
        let round = start(&world, &["backup"]);
        wait_until("initech has an archive", || archives_of(&world, "initech") == 1);
        wait_until("two are captured", || captures(&world) == 2);
        signal(&round, number);
        let ran = end(&world, round).exits(code);
        assert_eq!(ran.stderr.matches("error:").count(), 1, "it is reported once: {}", ran.stderr);
        drop(locks);
        assert_eq!(world.leftovers(), [""; 0]);
        assert_eq!((world.archives().len(), archives_of(&world, "initech")), (1, 1));
        let log = world.heirloom(["log", "--json"]).success().json();
        let logged: Vec<(&str, &str)> = log["activities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["set"].as_str().unwrap(), entry["outcome"].as_str().unwrap()))
            .collect();
        assert!(logged.contains(&("initech", "done")), "{log}");
        world.heirloom(["backup"]).success();
        assert_eq!(world.archives().len(), 5);
    }
}

#[test]
fn two_rounds_of_cron_at_once_make_whole_archives() {
    let names: Vec<String> = (0..20).map(|number| format!("t{number:02}")).collect();
    let world = world(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let rounds = [start(&world, &["backup", "--json"]), start(&world, &["backup", "--json"])];
    let documents = rounds.map(|round| end(&world, round).success().json());
    for document in &documents {
        assert_eq!(sets(document), names);
    }
    assert_eq!(world.archives().len(), 40);
    assert_eq!(world.leftovers(), [""; 0]);
    let verified = world.heirloom(["verify", "--all", "--json"]).success().json();
    assert_eq!(verified["archives"].as_array().unwrap().len(), 40);
    world.heirloom(["health"]).success();
}

#[test]
fn a_damaged_tenant_between_two_good_ones_fails_alone() {
    let world = world(&["acme", "initech", "umbrella"]);
    let path = world.path("data/initech.db");
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() - 4096;
    bytes[page..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let ran = world.heirloom(["backup", "--json"]).exits(3).says("initech");
    assert_eq!(sets(&ran.json()), ["acme", "umbrella"]);
    assert_eq!(["acme", "initech", "umbrella"].map(|tenant| archives_of(&world, tenant)), [1, 0, 1]);
    assert_eq!(world.leftovers(), [""; 0]);
    world.heirloom(["verify", "--all"]).success();
}

#[test]
fn a_service_that_a_hook_stops_waits_for_its_own_database_alone() {
    let world = world(&["acme", "initech", "umbrella"]);
    let note = |word: &str| format!("['sh', '-c', 'echo {word} $HEIRLOOM_SET >>{}']", world.path("hooks").display());
    let hooks = format!("[hooks]\nbefore_backup = {}\nafter_backup = {}\n", note("stop"), note("start"));
    let sets = "[sets.tenants]\neach = 'data/*.db'\n[store]\ndir = 'backups'\n";
    fs::write(world.path("named.toml"), format!("{sets}{hooks}")).unwrap();
    world.heirloom(["backup", "--config", "named.toml"]).success();
    let ran = fs::read_to_string(world.path("hooks")).unwrap();
    let expected = ["acme", "initech", "umbrella"].map(|set| format!("stop {set}\nstart {set}\n")).concat();
    assert_eq!(ran, expected);
}

#[test]
fn results_and_hooks_come_in_the_order_of_the_sets_however_many_are_captured_at_a_time() {
    let named: String = [("a", "a"), ("b", "nowhere"), ("c", "c"), ("d", "d"), ("e", "e")]
        .map(|(set, file)| format!("[sets.{set}.databases]\n{set} = '{file}.db'\n"))
        .concat();
    let run = |threads: &str| {
        let world = World::new();
        ["a", "c", "d", "e"].iter().for_each(|name| drop(world.database(&format!("{name}.db"))));
        let note =
            |word: &str| format!("['sh', '-c', 'echo {word} $HEIRLOOM_SET >>{}']", world.path("hooks").display());
        let hooks = format!("[hooks]\nafter_backup = {}\non_failure = {}\n", note("after"), note("failure"));
        fs::write(world.path("named.toml"), format!("[store]\ndir = 'backups'\n{named}{hooks}")).unwrap();
        world.heirloom(["backup", "--config", "named.toml", "--set", "c"]).success();
        fs::remove_file(world.path("hooks")).unwrap();
        let backup = format!("heirloom backup --config named.toml --threads {threads}");
        let text = world.run(&mut world.shell(&format!("{backup} --if-older-than 1d -v 2>&1 || echo exit $?")));
        let is_result = |line: &&str| ["nothing", "backed", "error", "exit"].iter().any(|word| line.starts_with(word));
        // Without how long each took.
        let cut = |line: &str| line.split(" in ").next().unwrap().to_owned();
        let results: Vec<String> = text.stdout.lines().filter(is_result).map(cut).collect();
        let log = world.heirloom(["log", "--json"]).success().json();
        let logged: Vec<Value> =
            log["activities"].as_array().unwrap().iter().map(|entry| entry["set"].clone()).collect();
        let hooks = fs::read_to_string(world.path("hooks")).unwrap();
        let document = world.run(&mut world.shell(&format!("{backup} --json || true"))).json();
        let reported: Vec<String> = sets(&document).into_iter().map(str::to_owned).collect();
        (results, hooks, logged, reported)
    };
    let (one, two) = (run("1"), run("2"));
    assert_eq!(one.1, "after a\nfailure b\nafter d\nafter e\n");
    let results: Vec<&str> = one.0.iter().map(|line| &line[..6]).collect();
    assert_eq!(results, ["backed", "error:", "nothin", "backed", "backed", "exit 3"], "{:?}", one.0);
    assert_eq!(one.3, ["a", "c", "d", "e"]);
    assert_eq!(one, two);
}

#[test]
fn a_renamed_tenant_is_reported_as_gone_once_and_again_if_it_comes_and_goes() {
    let mut world = world(&["acme", "umbrella"]);
    world.heirloom(["backup"]).success();
    let (old, new) = (world.path("data/acme.db"), world.path("data/acme-corp.db"));
    fs::rename(&old, &new).unwrap();
    let planned = world.at("2026-03-02").heirloom(["backup", "--dry-run"]).success();
    assert!(planned.stderr.contains("1 database gone"), "{}", planned.stderr);
    // A dry run reported nothing to whoever reads the mail.
    let ran = world.heirloom(["backup"]).success().says("tenants: 1 database gone, archives are kept: acme");
    assert_eq!(ran.stdout, "");
    let ran = world.at("2026-03-03").heirloom(["backup"]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "cron has nothing to mail");
    fs::remove_file(world.path("data/umbrella.db")).unwrap();
    let document = world.at("2026-03-04").heirloom(["backup", "--json"]).success().json();
    assert_eq!(document["gone"], json!(["acme", "umbrella"]));
    assert_eq!(document["newly_gone"], json!(["umbrella"]));

    fs::rename(&new, &old).unwrap();
    world.at("2026-03-05").heirloom(["backup"]).success().says("1 database gone, archives are kept: acme-corp");
    fs::rename(&old, &new).unwrap();
    world.at("2026-03-06").heirloom(["backup"]).success().says("1 database gone, archives are kept: acme");
    assert_eq!(["acme", "acme-corp", "umbrella"].map(|set| archives_of(&world, set)), [2, 4, 3]);
}

#[test]
fn two_rounds_at_once_both_reported_what_was_gone() {
    let world = world(&["acme", "umbrella"]);
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("data/acme.db")).unwrap();
    let backup = ["backup", "--if-changed", "--json"];
    assert_eq!(world.heirloom(backup).success().json()["newly_gone"], json!(["acme"]));
    // The record of that round is the one that another round writes while this one waits for the lock.
    let folder = world.path("backups/.heirloom/gone");
    let [record] = &world.files("backups/.heirloom/gone")[..] else { panic!("one pattern") };
    let text = fs::read(folder.join(record)).unwrap();
    fs::remove_file(folder.join(record)).unwrap();
    let lock = fs::File::open(world.path("backups/.heirloom/lock")).unwrap();
    lock.lock().unwrap();
    let mut round = start(&world, &backup);
    let waits = |round: &Child| {
        let files = fs::read_dir(format!("/proc/{}/fd", round.id())).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|path| path.ends_with(".heirloom/lock"))
    };
    wait_until("the second round is at the lock", || waits(&round) || round.try_wait().unwrap().is_some());
    fs::write(folder.join(record), text).unwrap();
    drop(lock);
    let document = end(&world, round).success().json();
    assert_eq!((&document["gone"], &document["newly_gone"]), (&json!(["acme"]), &Value::Null));
}

#[test]
fn a_tenant_is_gone_if_its_file_does_not_exist_and_for_no_other_reason() {
    let world = World::new();
    for tenant in ["acme", "initech", "umbrella"] {
        fs::create_dir_all(world.path(format!("data/{tenant}"))).unwrap();
        world.database(&format!("data/{tenant}/app.db"));
    }
    fs::write(world.path("heirloom.toml"), "[sets.tenants]\neach = 'data/*/app.db'\n[store]\ndir = 'backups'\n")
        .unwrap();
    world.heirloom(["backup"]).success();
    // ENOTDIR, and a file of 0 bytes.
    fs::remove_dir_all(world.path("data/acme")).unwrap();
    fs::write(world.path("data/acme"), "no folder").unwrap();
    fs::write(world.path("data/initech/app.db"), "").unwrap();
    let document = world.heirloom(["backup", "--json"]).exits(3).says("is no database").json();
    assert_eq!((&document["gone"], &document["newly_gone"]), (&Value::Null, &Value::Null));
    world.database("data/initech/app.db");

    fs::remove_file(world.path("data/acme")).unwrap();
    let document = world.heirloom(["backup", "--json"]).success().json();
    assert_eq!(document["newly_gone"], json!(["acme"]));
    // It did not come back in the meantime.
    fs::write(world.path("data/acme"), "no folder").unwrap();
    let document = world.heirloom(["backup", "--json"]).success().json();
    assert_eq!(document["gone"], Value::Null);
    fs::remove_file(world.path("data/acme")).unwrap();
    let document = world.heirloom(["backup", "--json"]).success().json();
    assert_eq!((&document["gone"], &document["newly_gone"]), (&json!(["acme"]), &Value::Null));
}

#[test]
fn a_tenant_that_is_gone_is_in_one_notice() {
    let mut world = world(&["acme", "umbrella"]);
    let script = world.path("alert");
    fs::write(&script, format!("#!/bin/sh\ncat >>{0}\necho >>{0}\n", world.path("got").display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let notify = format!("[notify]\non = ['problems', 'recovery']\n[notify.s]\ncommand = ['{}']\n", script.display());
    let sets = "[sets.tenants]\neach = 'data/*.db'\n[store]\ndir = 'backups'\n";
    fs::write(world.path("named.toml"), format!("{sets}{notify}")).unwrap();
    let backup = ["backup", "--config", "named.toml"];
    world.heirloom(backup).success();
    fs::remove_file(world.path("data/acme.db")).unwrap();
    for day in 2..=4 {
        world.at(&format!("2026-03-0{day}")).heirloom(backup).success();
    }
    let got = fs::read_to_string(world.path("got")).unwrap();
    let notices: Vec<Value> = got.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(notices.len(), 1, "{got}");
    let gone = &notices[0]["data"]["sets"][0];
    assert_eq!((gone["set"].as_str(), gone["outcome"].as_str()), (Some("acme"), Some("gone")), "{got}");
}

#[test]
fn a_restore_of_all_tenants_that_is_stopped_goes_on() {
    let names: Vec<String> = (0..30).map(|number| format!("t{number:02}")).collect();
    for number in [Signal::INT, Signal::KILL] {
        let world = world(&names.iter().map(String::as_str).collect::<Vec<_>>());
        world.heirloom(["backup"]).success();
        fs::remove_dir_all(world.path("data")).unwrap();
        fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
        fs::remove_dir_all(world.work().join("../state")).unwrap();
        let restored = || world.files("data").iter().filter(|name| name.ends_with(".db")).count();
        let restore = start(&world, &["restore", "--if-missing"]);
        wait_until("some are restored", || restored() >= 3);
        signal(&restore, number);
        assert_ne!(end(&world, restore).code, 0);
        assert!(restored() < names.len(), "it was stopped in between");
        assert!(world.path("data/.heirloom-each-tenants").exists());
        world.heirloom(["restore", "--if-missing"]).success();
        let all: Vec<String> = names.iter().map(|name| format!("{name}.db")).collect();
        assert_eq!(world.files("data"), all, "and neither a note nor scratch");
        assert!(names.iter().all(|name| world.ask(&format!("data/{name}.db"), "SELECT count(*) FROM notes") == "100"));
    }
}

#[test]
fn guard_backs_up_and_rolls_back_many_tenants() {
    let world = world(&["acme", "initech", "umbrella"]);
    world.heirloom(["backup", "--set", "acme"]).success();
    let sql = "python3 -c \"import sqlite3; c = sqlite3.connect('data/initech.db'); c.execute('DELETE FROM notes'); \
               c.commit()\"; exit 7";
    let guarded = world.heirloom(["guard", "--json", "--", "sh", "-c", sql]).exits(7).json();
    let made: Vec<bool> =
        guarded["backups"].as_array().unwrap().iter().map(|backup| backup["made"].as_bool().unwrap()).collect();
    assert_eq!(made, [false, true, true], "{guarded}");
    assert_eq!(world.ask("data/initech.db", "SELECT count(*) FROM notes"), "100");
    assert_eq!(world.leftovers(), [""; 0]);
}
