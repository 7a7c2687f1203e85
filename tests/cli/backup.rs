//! `heirloom backup`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::World;

#[test]
fn a_backup_needs_no_configuration() {
    let world = World::new();
    world.database("app.db");
    let ran = world.heirloom(["backup", "app.db"]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "quiet where nobody looks");
    assert_eq!(world.archives(), ["app_20260301T030000Z.tar.gz"]);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn the_json_says_what_was_archived() {
    let world = World::new();
    world.database("app.db");
    let document = world.heirloom(["backup", "app.db", "--json", "--note", "before \"it\""]).success().json();
    assert_eq!(document["archive"], "backups/app_20260301T030000Z.tar.gz");
    assert_eq!(document["set"], "app");
    let database = &document["databases"][0];
    assert_eq!(database["integrity"], "ok");
    assert_eq!(database["tables"], serde_json::json!([{"name": "notes", "rows": 100}]));
    assert_eq!(database["index_count"], 1);
}

#[test]
fn a_second_archive_of_the_same_second_gets_a_number() {
    let world = World::new();
    world.database("app.db");
    for _ in 0..3 {
        world.heirloom(["backup", "app.db"]).success();
    }
    assert_eq!(
        world.archives(),
        ["app_20260301T030000Z-2.tar.gz", "app_20260301T030000Z-3.tar.gz", "app_20260301T030000Z.tar.gz"]
    );
}

#[test]
fn a_chosen_name_is_never_replaced() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--name", "before-migration"]).success();
    let before = fs::read(world.path("backups/before-migration.tar.gz")).unwrap();
    world.heirloom(["backup", "app.db", "--name", "before-migration"]).exits(14).says("before-migration.tar.gz");
    assert_eq!(fs::read(world.path("backups/before-migration.tar.gz")).unwrap(), before);
    world.heirloom(["backup", "app.db", "--name", "../escape"]).exits(2).says("../escape");
}

#[test]
fn a_missing_database_is_an_error_and_is_never_created() {
    let world = World::new();
    world.heirloom(["backup", "app.db"]).exits(10).says("app.db");
    assert!(!world.path("app.db").exists());
    world.heirloom(["backup", "app.db", "--if-exists"]).success();
    assert_eq!(world.archives(), [""; 0]);
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_unchanged() {
    let world = World::new();
    fs::create_dir(world.path("folder.db")).unwrap();
    fs::write(world.path("empty.db"), "").unwrap();
    fs::write(world.path("text.db"), "This is not a database at all.\n".repeat(200)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(world.path("pipe.db")).status().unwrap().success());
    for (name, code) in [("folder.db", 10), ("empty.db", 10), ("pipe.db", 10), ("text.db", 13)] {
        world.heirloom(["backup", name]).exits(code).says(name);
    }
    assert_eq!(world.archives(), [""; 0]);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn a_damaged_database_is_refused_unless_it_is_to_be_kept() {
    let world = World::new();
    let path = world.database("app.db");
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() / 4096 - 1;
    bytes[page * 4096..page * 4096 + 64].fill(0x5a);
    fs::write(&path, &bytes).unwrap();

    world.heirloom(["backup", "app.db"]).exits(13).says("app.db");
    assert_eq!(world.archives(), [""; 0]);
    let document = world.heirloom(["backup", "app.db", "--keep-damaged", "--json"]).exits(3).json();
    assert_eq!(document["databases"][0]["integrity"], "damaged");
    world.heirloom(["verify", "latest"]).exits(12);
    world.heirloom(["verify", "--all"]).exits(13).says("damaged");
    assert_eq!(fs::read(&path).unwrap(), bytes, "the source is as it was");
}

#[test]
fn damage_is_reported_as_damage_wherever_it_is() {
    let world = World::new();
    let path = world.database("app.db");
    let sound = fs::read(&path).unwrap();
    let filled = |range: std::ops::Range<usize>| {
        let mut bytes = sound.clone();
        bytes[range].fill(0x5a);
        bytes
    };
    let cases = [
        ("the header's page size", filled(16..18)),
        ("the root of the schema", filled(100..200)),
        ("a page of a table", filled(4096..4200)),
        ("the end is missing", sound[..8192].to_vec()),
    ];
    for (what, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        assert_eq!(world.heirloom(["backup", "app.db"]).code, 13, "{what}");
        assert_eq!(world.heirloom(["health", "app.db", "--databases-only"]).code, 21, "{what}");
    }
    assert_eq!(world.archives(), [""; 0]);
}

#[test]
fn two_databases_make_one_archive() {
    let world = World::new();
    world.database("users.db");
    world.sql("orders.db", "PRAGMA journal_mode=WAL; CREATE TABLE orders(id INTEGER PRIMARY KEY);");
    let document = world.heirloom(["backup", "users.db", "orders.db", "--set", "shop", "--json"]).success().json();
    assert_eq!(document["consistent_set"], true);
    assert_eq!(document["databases"][1]["journal_mode"], "wal");
    assert_eq!(world.archives(), ["shop_20260301T030000Z.tar.gz"]);
    assert_eq!(world.files("."), ["backups", "orders.db", "users.db"], "no sidecar is left");
}

#[test]
fn a_vacuumed_copy_is_smaller_and_the_source_is_not() {
    let world = World::new();
    let path = world.database("app.db");
    world.sql(
        "app.db",
        "CREATE TABLE big(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE \
    i<200) INSERT INTO big SELECT randomblob(4000) FROM n; DROP TABLE big;",
    );
    let before = fs::metadata(&path).unwrap().len();
    let document = world.heirloom(["backup", "app.db", "--vacuum", "--json"]).success().json();
    assert_eq!(document["databases"][0]["vacuumed"], true);
    assert!(document["databases"][0]["bytes"].as_u64().unwrap() < before / 4);
    assert_eq!(fs::metadata(&path).unwrap().len(), before);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn archives_are_private() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let mode = |path: &str| fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("backups"), mode("backups/app_20260301T030000Z.tar.gz"), mode("backups/.heirloom")),
        (0o700, 0o600, 0o700)
    );
}

#[test]
fn a_store_whose_parent_is_missing_is_unreachable() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--dir", "not/mounted"]).exits(16).says("not/mounted");
}

#[test]
fn output_that_cannot_be_written_does_not_undo_the_backup() {
    let world = World::new();
    world.database("app.db");
    let mut command = world.command(["backup", "app.db", "--json"]);
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    world.run(&mut command).exits(3).says("standard output");
    assert_eq!(world.archives().len(), 1);
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db", "--dry-run"]).success();
    assert_eq!(world.files("."), ["app.db"]);
}

#[test]
fn older_archives_go_only_after_a_good_backup() {
    let mut world = World::new();
    let path = world.database("app.db");
    for day in 1..=5 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup", "app.db"]).success();
    }
    let before = world.archives();
    let good = fs::read(&path).unwrap();
    let mut damaged = good.clone();
    damaged[4096..4200].fill(0x5a);
    fs::write(&path, &damaged).unwrap();
    world.at("2026-03-06");
    world.heirloom(["backup", "app.db", "--cleanup", "--keep", "2"]).exits(13);
    assert_eq!(world.archives(), before, "a failed backup removes nothing");
    world.heirloom(["backup", "app.db", "--cleanup", "--keep", "2", "--keep-damaged"]).exits(3);
    assert_eq!(world.archives().len(), 6, "a damaged backup pushes nothing out");
    fs::write(&path, &good).unwrap();
    world.at("2026-03-07");
    let document = world.heirloom(["backup", "app.db", "--cleanup", "--keep", "2", "--json"]).success().json();
    // The damaged one takes no slot, and is kept as long as a good one would be.
    assert_eq!(
        world.archives(),
        ["app_20260305T000000Z.tar.gz", "app_20260306T000000Z.tar.gz", "app_20260307T000000Z.tar.gz"]
    );
    assert_eq!(document["retention"]["remove"].as_array().unwrap().len(), 4);
    world.at("2026-03-08").heirloom(["backup", "app.db", "--rotate"]).success();
    assert_eq!(world.archives().len(), 4);
    world.at("2026-03-09").heirloom(["backup", "app.db", "--cleanup", "--keep", "2"]).success();
    assert_eq!(world.archives(), ["app_20260308T000000Z.tar.gz", "app_20260309T000000Z.tar.gz"], "out of reach");
}

#[test]
fn a_young_archive_of_the_same_databases_is_enough() {
    let mut world = World::new();
    world.database("app.db");
    world.database("b.db");
    let backup = ["backup", "app.db", "--if-older-than", "20h"];
    world.at("2026-03-01T03:00:00Z").heirloom(backup).success();
    let ran = world.at("2026-03-01T22:59:59Z").heirloom(backup).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "cron has nothing to mail");
    let ran = world.heirloom(backup.into_iter().chain(["--verbose"])).success();
    assert_eq!(ran.stdout, "nothing to do: app_20260301T030000Z.tar.gz was made 19 hours ago\n");
    let document = world.heirloom(backup.into_iter().chain(["--json"])).success().json();
    assert_eq!(document["outcome"], "skipped_recent");
    assert_eq!(document["recent"], "app_20260301T030000Z.tar.gz");
    assert_eq!(world.archives().len(), 1);
    world.at("2026-03-01T23:00:00Z").heirloom(backup).success();
    assert_eq!(world.archives().len(), 2);

    // Neither another set, nor another database of the set, nor a damaged or future archive counts as a backup of
    // this one.
    world.at("2026-03-02T12:00:00Z").heirloom(["backup", "app.db", "b.db", "--set", "shop"]).success();
    world.heirloom(["backup", "b.db", "--set", "app"]).success();
    fs::write(world.path("backups/app_20260301T230000Z.tar.gz.damaged"), "").unwrap();
    world.at("2026-03-05T00:00:00Z").heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02T12:00:01Z").heirloom(backup).exits(3).says("check the clock");
    assert_eq!(world.archives().len(), 6);

    // An archive that also holds other databases is in its stream; an added database needs its own backup.
    world.at("2026-03-05T12:00:00Z").heirloom(["backup", "app.db", "b.db", "--set", "app"]).success();
    let document = world.heirloom(backup.into_iter().chain(["--json"])).success().json();
    assert_eq!(document["outcome"], "skipped_recent");
    world.database("c.db");
    let document = world
        .heirloom(["backup", "app.db", "c.db", "--set", "app", "--if-older-than", "20h", "--json"])
        .success()
        .json();
    assert_eq!(document["outcome"], serde_json::Value::Null, "c was never backed up");
}

#[test]
fn what_a_killed_restore_left_beside_a_database_goes_with_the_next_backup() {
    let world = World::new();
    world.database("app.db");
    let (dead, living) = (world.path(".heirloom-run-999999-0"), world.path(".heirloom-run-999998-0"));
    for folder in [&dead, &living] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("0.db"), "half").unwrap();
    }
    let lock = fs::File::create(living.join("lock")).unwrap();
    lock.lock().unwrap();

    world.heirloom(["backup", "app.db"]).success();
    assert!(!dead.exists(), "nobody holds it");
    assert!(living.join("0.db").exists(), "a restore is at work in it");
}

#[test]
fn thirty_days_of_a_damaged_database_remove_no_good_backup() {
    for keep in [false, true] {
        let mut world = World::new();
        let path = world.database("app.db");
        fs::write(world.path("heirloom.toml"), "[retention]\nlast = 1\ndaily = 3\nweekly = 0\nmonthly = 0\nkeep = 2\n")
            .unwrap();
        for day in 1..=5 {
            world.at(&format!("2026-03-{day:02}T03:00:00Z")).heirloom(["backup", "app.db", "--rotate"]).success();
        }
        let good = world.archives();
        let mut bytes = fs::read(&path).unwrap();
        let page = bytes.len() / 4096 - 1;
        bytes[page * 4096..page * 4096 + 64].fill(0x5a);
        fs::write(&path, &bytes).unwrap();
        let start: chrono::DateTime<chrono::Utc> = "2026-03-06T03:00:00Z".parse().unwrap();
        for day in 0..30 {
            world.at(&(start + chrono::TimeDelta::days(day)).format("%Y-%m-%dT%H:%M:%SZ").to_string());
            let code = world
                .heirloom(["backup", "app.db", "--rotate"].iter().chain(if keep {
                    &["--keep-damaged"][..]
                } else {
                    &[]
                }))
                .code;
            assert_eq!(code, if keep { 3 } else { 13 });
            // Other cron commands keep working, too.
            world.heirloom(["rotate"]).success();
            world.heirloom(["cleanup", "--keep", "2", "--max-age", "7d"]);
            world.heirloom(["health", "app.db", "--check", "full"]).exits(21);
        }
        let left = world.archives();
        assert!(left.contains(good.last().unwrap()), "the last good one is there: {left:?}");
        world.heirloom(["verify", good.last().unwrap()]).success();
        world.heirloom(["restore", "latest", "--to", "app.db", "--force"]).success();
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
        let printed = world.at("2026-04-05T03:00:00Z").heirloom(["health", "app.db"]).exits(21);
        assert!(printed.stdout.contains("CRITICAL"), "the newest good backup is a month old: {}", printed.stdout);
    }
}

#[test]
fn verbose_lists_the_stages_with_their_times() {
    let world = World::new();
    world.database("app.db");
    let ran = world.heirloom(["backup", "app.db", "-v", "--check", "none"]).success();
    let stages: Vec<&str> =
        ran.stderr.lines().filter_map(|line| line.split_once(" s  ")).map(|(_, label)| label).collect();
    let expected = [
        "read the store",
        "wait for locks",
        "copy app, 12.0 KiB",
        "hash + compress, 12.0 KiB",
        "read back, 12.0 KiB",
        "commit",
    ];
    assert_eq!(stages, expected, "{}", ran.stderr);
    let quiet = world.heirloom(["backup", "app.db"]).success();
    assert_eq!(quiet.stderr, "", "only -v prints them");
}

#[test]
fn the_log_names_the_user_whom_the_environment_does_not_name() {
    let world = World::new();
    world.database("app.db");
    world.run(world.command(["backup", "app.db"]).env_remove("USER")).success();
    let user = world.heirloom(["log", "--json"]).success().json()["activities"][0]["user"].as_str().unwrap().to_owned();
    let id = rustix::process::geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let known = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&id.to_string().as_str()));
    assert_eq!(user, known.map_or_else(|| format!("uid {id}"), |fields| fields[0].to_owned()));
}
