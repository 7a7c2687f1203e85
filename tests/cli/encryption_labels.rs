//! Hosts without a key: what they remember, and what a lying label can do.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::sync::Arc;

use heirloom::archive::Opener;
use heirloom::archive::cipher::{Identity, Recipients, RunKey, encrypt as seal};
use heirloom::label::{Label, LabelDatabases};
use heirloom::progress::Silent;
use serde_json::Value;

use crate::encryption::{encrypt, key, listed, with_key};
use crate::world::World;

const DAILY: [&str; 5] = ["rotate", "--keep-daily", "3", "--keep-weekly", "2"];

/// The archives that a plan removes.
fn removed(plan: &Value) -> Vec<String> {
    plan["remove"].as_array().unwrap().iter().map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
}

/// Writes an archive with this label into the store of a world: what anybody can do who can write there. The data is of
/// no use.
fn plant(world: &World, name: &str, label: &Label) {
    let recipients = Recipients::new([Identity::generate().recipient()]).unwrap();
    let plain = tempfile::tempfile().unwrap();
    let path = world.path("backups").join(name);
    let out = File::create_new(&path).unwrap();
    seal(&plain, &out, &recipients, &RunKey::generate(), label, &Silent).unwrap();
    out.set_modified(std::time::SystemTime::now()).unwrap();
}

/// The label of the newest archive in the store.
fn label(world: &World) -> Label {
    let name = world.archives().pop().unwrap();
    let bytes = fs::read(world.path("backups").join(name)).unwrap();
    struct Bytes(Vec<u8>);
    impl heirloom::store::ReadAt for Bytes {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
        fn bytes(&self) -> u64 {
            self.0.len() as u64
        }
        fn block_bytes(&self) -> Option<NonZeroUsize> {
            None
        }
    }
    let opened = Opener::new(chrono_tz::UTC).open(Arc::new(Bytes(bytes)), "a.tar.gz.age", chrono::DateTime::UNIX_EPOCH);
    match opened {
        Err(heirloom::archive::ArchiveError::KeyMissing(locked)) => locked.envelope.label.unwrap(),
        other => panic!("{:?}", other.err()),
    }
}

/// Backups on ten days of March, with encryption and without a key.
fn ten_days(world: &mut World) {
    world.database("app.db");
    encrypt(world);
    for day in 1..=10 {
        world.at(&format!("2026-03-{day:02}T03:00:00Z")).heirloom(["backup", "app.db"]).success();
    }
    world.at("2026-03-10T04:00:00Z");
}

#[test]
fn a_year_without_a_key() {
    let mut world = World::new();
    world.sql("app.db", "CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    encrypt(&world);
    let start: chrono::DateTime<chrono::Utc> = "2025-03-01T03:00:00Z".parse().unwrap();
    let mut most = 0;
    for day in (0..=365).step_by(5) {
        let now = start + chrono::TimeDelta::days(day);
        world.at(&now.to_rfc3339());
        world.sql("app.db", &format!("INSERT INTO t VALUES ({day})"));
        world.heirloom(["backup", "app.db", "--rotate"]).success();
        most = most.max(world.archives().len());
        if day % 30 == 0 {
            world.heirloom(["verify", "--all", "--depth", "quick"]).success();
            let health = world.heirloom(["health", "--json"]);
            // 90 days after the oldest archive it asks for the key, and for nothing else.
            let health = health.json();
            let bad = health["checks"].as_array().unwrap().iter().filter(|check| check["state"] != "ok");
            let bad: Vec<&str> = bad.map(|check| check["check"].as_str().unwrap()).collect();
            assert_eq!(bad, if day > 120 { vec!["key"] } else { vec![] }, "day {day}: {health}");
        }
    }
    let archives = world.archives();
    assert!(most <= 23 && archives.len() >= 17, "{most}, then {archives:?}");
    let list = world.heirloom(["list", "--json"]).success().json();
    assert!(listed(&list).iter().all(|(_, encryption)| encryption == "locked"), "{list}");
    assert_eq!(list["archives"][0]["databases"][0]["path"], "[world]/work/app.db");
    // The same archives are kept as without encryption.
    let plan = with_key(&world, &["rotate", "--dry-run", "--json"]).success().json();
    assert_eq!(removed(&plan), [""; 0]);
    with_key(&world, &["verify", "--all"]).success();
    with_key(&world, &["restore", "--to", "out.db"]).success();
    assert_eq!(world.ask("out.db", "SELECT count(*) FROM t"), "75");
    for name in world.archives() {
        assert!(world.path("backups").join(format!("{name}.sha256")).exists(), "{name}");
    }
}

#[test]
fn a_host_without_a_key_rotates_as_one_with_it() {
    let mut world = World::new();
    ten_days(&mut world);
    let dry: Vec<&str> = DAILY.into_iter().chain(["--dry-run", "--json"]).collect();
    let without = removed(&world.heirloom(&dry).success().json());
    assert_eq!(without, removed(&with_key(&world, &dry).success().json()));
    assert_eq!(without.len(), 6);
    // Pins and shrinks, too.
    world.heirloom(["pin", "app_20260302T030000Z"]).success();
    world.heirloom(DAILY).success();
    assert!(world.archives().contains(&"app_20260302T030000Z.tar.gz.age".to_owned()));
    world.heirloom(["pin", "latest"]).success();
    world.heirloom(["unpin", "latest"]).success();
    let mut shrunken = World::new();
    shrunken.sql(
        "app.db",
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         INSERT INTO t SELECT i FROM n;",
    );
    encrypt(&shrunken);
    shrunken.at("2026-03-01T03:00:00Z").heirloom(["backup", "app.db"]).success();
    shrunken.sql("app.db", "DELETE FROM t WHERE x > 10");
    shrunken.at("2026-03-02T03:00:00Z").heirloom(["backup", "app.db"]).exits(3).says("accept");
    shrunken.heirloom(["cleanup", "--keep", "1"]).exits(3).says("accept");
    shrunken.heirloom(["accept", "latest"]).success();
    shrunken.heirloom(["cleanup", "--keep", "1"]).success();
    assert_eq!(shrunken.archives().len(), 1);
}

#[test]
fn no_lying_label_removes_anything() {
    let mut world = World::new();
    ten_days(&mut world);
    let honest = label(&world);
    let dry: Vec<&str> = DAILY.into_iter().chain(["--dry-run", "--json"]).collect();
    let expected = removed(&world.heirloom(&dry).success().json());
    let dated = |time: &str| Label { created_at: time.parse().unwrap(), ..honest.clone() };
    let sized = |bytes: u64| {
        let mut label = Label { created_at: "2026-03-10T03:30:00Z".parse().unwrap(), ..honest.clone() };
        if let LabelDatabases::Each(databases) = &mut label.databases {
            databases[0].bytes = bytes;
            databases[0].rows = Some(bytes);
        }
        label
    };
    let lies = [
        // Dates: newer in every period, in the future, long ago.
        dated("2026-03-10T03:59:00Z"),
        dated("2026-03-09T23:59:00Z"),
        dated("2026-03-05T12:00:00Z"),
        dated("2031-01-01T00:00:00Z"),
        dated("2001-01-01T00:00:00Z"),
        // Sizes, which could hide a loss of rows or invent one.
        sized(1),
        sized(u64::MAX),
        // The identity of a genuine archive.
        Label { created_at: "2026-03-08T03:00:01Z".parse().unwrap(), ..honest.clone() },
        // Sets and hosts.
        Label { set: "other".parse().unwrap(), ..dated("2026-03-10T03:58:00Z") },
        Label { host_label: "elsewhere".parse().unwrap(), ..dated("2026-03-10T03:57:00Z") },
        Label { kind: heirloom::metadata::Kind::Safety, ..dated("2026-03-10T03:56:00Z") },
        Label { damaged: true, ..dated("2026-03-10T03:55:00Z") },
    ];
    let before = world.archives();
    for (number, lie) in lies.iter().enumerate() {
        plant(&world, &format!("lie-{number:02}.tar.gz.age"), lie);
    }
    let planned = world.heirloom(&dry).success().json();
    assert_eq!(removed(&planned), expected, "the plan is the same");
    for command in [&DAILY[..], &["cleanup", "--keep", "9"], &["cleanup", "--max-age", "30d", "--max-size", "1GB"]] {
        let ran = world.heirloom(command).exits(3);
        assert!(ran.stderr.contains("kept and not counted"), "{}", ran.stderr);
    }
    let gone: Vec<String> = before.into_iter().filter(|name| !world.archives().contains(name)).collect();
    assert_eq!(gone, expected);
    assert_eq!(world.archives().iter().filter(|name| name.starts_with("lie-")).count(), lies.len());

    // They calm nothing: a month later, health reports the genuine ones.
    world.at("2026-04-20T03:00:00Z");
    plant(&world, "fresh.tar.gz.age", &dated("2026-04-20T02:00:00Z"));
    let health = world.heirloom(["health", "--json"]).exits(21).json();
    let state = |name: &str| {
        let checks = health["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).map(|check| check["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state("backup_age").as_deref(), Some("critical"));
    assert_eq!((state("labels").as_deref(), state("label_dates").as_deref()), (Some("warning"), Some("warning")));
    // Nor are they compared with: a new backup is no shrink beside one that claims to be huge.
    world.heirloom(["backup", "app.db"]).success();
    // The date that cannot be right is named.
    world.heirloom(["list"]).success().says("its label is dated 2031-01-01");
    // They are of no use to restore from, and do not stand in the way.
    with_key(&world, &["restore", "--to", "out.db"]).success();
}

#[test]
fn a_stolen_header_is_a_copy_and_takes_no_slot() {
    let mut world = World::new();
    ten_days(&mut world);
    let dry: Vec<&str> = DAILY.into_iter().chain(["--dry-run", "--json"]).collect();
    let expected = removed(&world.heirloom(&dry).success().json());
    let newest = world.archives().pop().unwrap();
    let mut bytes = fs::read(world.path("backups").join(newest)).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    fs::write(world.path("backups/stolen.tar.gz.age"), &bytes).unwrap();
    fs::write(world.path("backups/longer.tar.gz.age"), [bytes, vec![0; 10]].concat()).unwrap();
    let list = world.heirloom(["list", "--json"]).success().json();
    let encryption = |name: &str| listed(&list).into_iter().find(|(found, _)| found == name).unwrap().1;
    assert_eq!(
        (encryption("stolen.tar.gz.age").as_str(), encryption("longer.tar.gz.age").as_str()),
        ("locked", "unproved")
    );
    assert_eq!(removed(&world.heirloom(&dry).success().json()), expected);
    world.heirloom(["verify", "--all", "--depth", "quick"]).exits(13);
    let marked = world.path("backups/stolen.tar.gz.age.damaged");
    assert!(marked.exists(), "its digest is not that of the archive that it claims to be");
}

#[test]
fn a_host_that_remembers_nothing_removes_nothing_until_a_key_was_tried() {
    let mut world = World::new();
    ten_days(&mut world);
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    let list = world.heirloom(["list", "--json"]).success().json();
    assert!(listed(&list).iter().all(|(_, encryption)| encryption == "unproved"));
    world.heirloom(DAILY).exits(3).says("key check");
    assert_eq!(world.archives().len(), 10);
    world.heirloom(["restore", "--to", "out.db"]).exits(17);
    world.heirloom(["delete", &world.archives()[0], "--force"]).success();
    // With the key it is as always, and the host knows them again afterwards.
    with_key(&world, &["key", "check"]).success();
    let list = world.heirloom(["list", "--json"]).success().json();
    assert!(listed(&list).iter().all(|(_, encryption)| encryption == "locked"));
    world.heirloom(DAILY).success();
    assert_eq!(world.archives().len(), 3);

    // Or the labels are trusted on purpose, except impossible ones.
    let mut world = World::new();
    ten_days(&mut world);
    plant(&world, "future.tar.gz.age", &Label { created_at: "2031-01-01T00:00:00Z".parse().unwrap(), ..label(&world) });
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    let config = fs::read_to_string(world.path("heirloom.toml")).unwrap();
    fs::write(world.path("heirloom.toml"), format!("{config}trust_labels = true\n")).unwrap();
    world.heirloom(DAILY).exits(3);
    assert_eq!(world.archives().len(), 5, "four, and the one from the future");
}

#[test]
fn a_key_that_opens_some_archives_never_takes_the_word_of_the_others() {
    let mut world = World::new();
    ten_days(&mut world);
    plant(
        &world,
        "app_20260310T035900Z.tar.gz.age",
        &Label { created_at: "2026-03-10T03:59:00Z".parse().unwrap(), ..label(&world) },
    );
    // The newest that the key opens is restored, and the other one is named.
    with_key(&world, &["restore", "--to", "out.db"]).success().says("passed over app_20260310T035900Z");
    let list = with_key(&world, &["list", "--json"]).success().json();
    let (newest, encryption) = listed(&list).remove(0);
    assert_eq!((newest.as_str(), encryption.as_str()), ("app_20260310T035900Z.tar.gz.age", "unproved"));
    with_key(&world, &DAILY).exits(3);
    assert_eq!(world.archives().len(), 5);
}

#[test]
fn a_first_deployment_without_a_key_is_not_mistaken_for_one_without_backups() {
    let world = World::new();
    world.database("app.db");
    let recipient = encrypt(&world);
    let config = fs::read_to_string(world.path("heirloom.toml")).unwrap();
    fs::write(world.path("heirloom.toml"), format!("{config}[sets.app.databases]\napp = 'app.db'\n")).unwrap();
    let start = ["restore", "--if-missing", "--if-backup-exists"];
    fs::create_dir(world.path("backups")).unwrap();
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    world.heirloom(start).success();
    fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(start).exits(17).says(&recipient);
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    world.heirloom(start).exits(17).says(&recipient);
    assert!(!world.path("app.db").exists());
    let with = ["restore", "--if-missing", "--if-backup-exists", "--identity", &key(&world, "key.txt")];
    world.heirloom(with).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn a_plain_archive_among_encrypted_ones_is_never_chosen_and_takes_no_slot() {
    let mut world = World::new();
    ten_days(&mut world);
    let dry: Vec<&str> = DAILY.into_iter().chain(["--dry-run", "--json"]).collect();
    let expected = removed(&world.heirloom(&dry).success().json());
    // Planted: with other contents, and newer than every encrypted one.
    fs::write(world.path("plain.toml"), "").unwrap();
    world.sql("app.db", "DELETE FROM notes WHERE id > 1");
    world.at("2026-03-10T03:59:00Z");
    world.heirloom(["backup", "app.db", "--config", "plain.toml"]).success();
    world.at("2026-03-10T04:00:00Z");
    let plain = "app_20260310T035900Z.tar.gz";
    let list = world.heirloom(["list", "--json"]).success().json();
    assert_eq!(listed(&list)[0], (plain.to_owned(), "missing".to_owned()));
    assert!(world.heirloom(["list"]).success().stdout.contains("ok,plain"));

    let planned = removed(&world.heirloom(&dry).success().json());
    assert_eq!(planned, expected, "the encrypted ones are decided as before");
    with_key(&world, &["restore", "--to", "out.db"]).success().says(plain);
    assert_eq!(world.ask("out.db", "SELECT count(*) FROM notes"), "100");
    with_key(&world, &["restore", "--at", "2026-03-10T03:59:30Z", "--to", "at.db"]).success();
    assert_eq!(world.ask("at.db", "SELECT count(*) FROM notes"), "100");
    world.heirloom(["restore", plain, "--to", "plain.db"]).exits(2).says("--allow-plain");
    world.heirloom(["restore", plain, "--to", "plain.db", "--allow-plain"]).success();
    assert_eq!(world.ask("plain.db", "SELECT count(*) FROM notes"), "1");

    // Where there is nothing else, it is not taken for a first deployment, nor restored.
    let only = World::new();
    only.database("app.db");
    only.heirloom(["backup", "app.db"]).success();
    encrypt(&only);
    only.heirloom(["restore", "--to", "out.db"]).exits(12).says("is not encrypted");
    only.heirloom(["restore", "--to", "out.db", "--if-backup-exists"]).exits(12);
    // The first encrypted one is compared with it, and then it ages out.
    only.heirloom(["backup", "app.db", "--name", "first"]).success();
    let mut later = only;
    for day in 2..=5 {
        later.at(&format!("2026-03-0{day}")).heirloom(["backup", "app.db"]).success();
    }
    later.heirloom(["cleanup", "--keep", "3"]).success();
    assert!(later.archives().iter().all(|name| name.ends_with(".age")) && later.archives().len() == 3);
}
