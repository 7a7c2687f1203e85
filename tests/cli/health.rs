//! `heirloom health`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::tools::{have, have_modules, not_tested, python};
use crate::world::{Ran, World};

/// Makes a backup at 03:00 on each of these days of March 2026, and sets the clock to an hour after the last.
fn daily(world: &mut World, days: std::ops::RangeInclusive<u32>) {
    for day in days {
        world.at(&format!("2026-03-{day:02}T03:00:00Z")).heirloom(["backup", "app.db"]).success();
        world.at(&format!("2026-03-{day:02}T04:00:00Z"));
    }
}

fn world() -> World {
    let world = World::new();
    world.database("app.db");
    world
}

/// Returns the failed checks, as `check: state`.
fn wrong(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let checks = document["checks"].as_array().unwrap().iter().filter(|check| check["state"] != "ok");
    checks.map(|check| format!("{}: {}", check["check"].as_str().unwrap(), check["state"].as_str().unwrap())).collect()
}

fn health(world: &World) -> Ran {
    world.heirloom(["health", "--json"])
}

fn check(ran: &Ran, name: &str) -> Value {
    let document = ran.json();
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name} in {document:#}")).clone()
}

#[test]
fn a_fresh_store_is_in_order() {
    let mut world = world();
    daily(&mut world, 1..=1);
    let before = fs::read(world.path("app.db")).unwrap();
    let ran = health(&world).exits(0);
    assert_eq!(wrong(&ran), [""; 0]);
    assert_eq!((ran.json()["state"].clone(), ran.json()["store"].clone()), ("ok".into(), "backups".into()));
    assert_eq!(check(&ran, "contents")["measures"]["database_rows"]["value"], 100.0);
    assert_eq!(check(&ran, "backup_age")["measures"]["backup_age_seconds"]["value"], 3600.0);
    assert_eq!(ran.stderr, "");
    assert_eq!(world.files("."), ["app.db", "backups"], "nothing is left beside the database");
    assert_eq!(fs::read(world.path("app.db")).unwrap(), before);
    assert_eq!(world.leftovers(), [""; 0]);
    let shown = world.heirloom(["health"]).exits(0).stdout;
    assert!(shown.starts_with("app    ok        1 database · backed up 1 hour ago"), "{shown}");
    let shown = world.heirloom(["health", "-v"]).exits(0).stdout;
    assert!(
        shown.contains("ok        database app  integrity     ok") && shown.contains("[world]/work/app.db"),
        "{shown}"
    );
    assert_eq!(world.heirloom(["health", "-q"]).exits(0).stdout, "", "cron has nothing to mail");
    assert_eq!(
        world.heirloom(["log", "--json"]).json()["activities"].as_array().unwrap().len(),
        1,
        "looking is not logged"
    );
}

#[test]
fn a_stale_store_is_a_warning_and_then_critical() {
    let mut world = world();
    daily(&mut world, 1..=5);
    world.at("2026-03-07T03:30:00Z");
    assert_eq!(wrong(&health(&world).exits(0)), [""; 0], "48 and a half hours, two a day apart");
    world.at("2026-03-07T04:30:00Z");
    assert_eq!(wrong(&health(&world).exits(20)), ["backup_age: warning"]);
    world.at("2026-03-09T06:00:00Z");
    let ran = health(&world).exits(21);
    assert_eq!(wrong(&ran), ["backup_age: critical"]);
    assert!(
        check(&ran, "backup_age")["value"]
            .as_str()
            .unwrap()
            .contains("4 days old, limit 49 hours (usually one every 24 hours)")
    );
    fs::write(world.path("heirloom.toml"), "[health]\nmax_backup_age = '30d'\n").unwrap();
    health(&world).exits(0);
}

#[test]
fn a_damaged_database_is_critical() {
    let mut world = world();
    daily(&mut world, 1..=1);
    let path = world.path("app.db");
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() / 4096 - 1;
    bytes[page * 4096..page * 4096 + 200].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let ran = health(&world).exits(21);
    assert!(wrong(&ran).contains(&"integrity: critical".to_owned()), "{:?}", wrong(&ran));
    let advice = check(&ran, "integrity")["advice"].as_str().unwrap().to_owned();
    assert!(advice.contains("app_20260301T030000Z.tar.gz"), "it names the backup that helps: {advice}");
    assert!(
        !wrong(&world.heirloom(["health", "--json", "--check", "none"])).contains(&"integrity: critical".to_owned())
    );
    fs::write(&path, "no database any more").unwrap();
    assert_eq!(wrong(&health(&world).exits(21)), ["database: critical"]);
}

#[test]
fn a_shrunken_database_is_critical_before_and_after_the_next_backup() {
    let mut world = world();
    daily(&mut world, 1..=2);
    world.sql("app.db", "DELETE FROM notes");
    let ran = health(&world).exits(21);
    assert_eq!(wrong(&ran), ["contents: critical"]);
    assert!(check(&ran, "contents")["advice"].as_str().unwrap().contains("heirloom pin app_20260302T030000Z.tar.gz"));
    daily(&mut world, 3..=3);
    let ran = health(&world).exits(21);
    assert_eq!(wrong(&ran), ["shrunken: critical"]);
    assert!(check(&ran, "shrunken")["value"].as_str().unwrap().contains("no row is left of 100"));
    world.sql("app.db", "INSERT INTO notes(text) VALUES ('1'), ('2'), ('3')");
    daily(&mut world, 4..=4);
    let ran = health(&world).exits(20);
    assert_eq!(wrong(&ran), ["shrunken: warning"], "still less than a day before");
    assert!(
        check(&ran, "shrunken")["advice"].as_str().unwrap().contains("heirloom pin app_20260302T030000Z.tar.gz"),
        "the last full one"
    );
    daily(&mut world, 5..=5);
    assert_eq!(wrong(&health(&world).exits(0)), [""; 0]);
}

#[test]
fn a_damaged_archive_is_critical_where_it_is_the_newest() {
    let mut world = world();
    daily(&mut world, 1..=2);
    let path = world.path("backups/app_20260302T030000Z.tar.gz");
    let sound = fs::read(&path).unwrap();
    // The second gzip member is the first of the database.
    let members: Vec<usize> = (0..sound.len() - 4).filter(|at| sound[*at..].starts_with(&[0x1f, 0x8b, 8, 4])).collect();
    let mut bytes = sound.clone();
    bytes[members[1] + 40..members[1] + 60].fill(0);
    fs::write(&path, &bytes).unwrap();
    world.heirloom(["verify"]).exits(13);
    assert_eq!(wrong(&health(&world).exits(21)), ["damaged: critical"]);
    daily(&mut world, 3..=3);
    assert_eq!(wrong(&health(&world).exits(20)), ["damaged: warning"]);

    fs::write(&path, &sound).unwrap();
    world.heirloom(["verify", "app_20260302T030000Z.tar.gz"]).success();
    assert_eq!(wrong(&health(&world).exits(0)), [""; 0]);
    let newest = world.path("backups/app_20260303T030000Z.tar.gz");
    let mut bytes = fs::read(&newest).unwrap();
    bytes[members[0] + 600..members[0] + 700].fill(0);
    fs::write(&newest, bytes).unwrap();
    assert_eq!(
        wrong(&health(&world).exits(21)),
        ["damaged: critical"],
        "its description cannot be read: no verify is needed to see that"
    );
}

/// It begins like no archive at all: only that this host made it tells it from a file of somebody else.
#[test]
fn an_archive_that_was_overwritten_was_no_problem() {
    let mut world = world();
    daily(&mut world, 1..=3);
    fs::write(world.path("backups/photos_20260303T030000Z.tar.gz"), "somebody else's").unwrap();
    assert_eq!(wrong(&health(&world).exits(0)), [""; 0]);
    fs::write(world.path("backups/app_20260302T030000Z.tar.gz"), "garbage").unwrap();
    let ran = health(&world).exits(20);
    assert_eq!(wrong(&ran), ["damaged: warning"]);
    let advice = check(&ran, "damaged")["advice"].as_str().unwrap().to_owned();
    assert!(advice.contains("remove it yourself"), "no command removes it: {advice}");
    fs::write(world.path("backups/app_20260303T030000Z.tar.gz"), "").unwrap();
    let ran = health(&world).exits(21);
    assert_eq!(wrong(&ran), ["damaged: critical"]);
    let age = &check(&ran, "backup_age")["measures"]["backup_age_seconds"]["value"];
    assert_eq!(age, 2.0 * 86400.0 + 3600.0, "that of the first one, which can be read");
    assert_eq!(world.archives().len(), 4, "nothing was removed");
}

#[test]
fn a_nearly_full_disk_is_a_warning_and_then_critical() {
    let world = world();
    world.sql("app.db", "INSERT INTO notes(text) SELECT hex(randomblob(2000)) FROM notes, (SELECT 1 UNION SELECT 2)");
    let store = world.path("backups");
    fs::create_dir(&store).unwrap();
    let mount =
        |args: &[&str]| Command::new("mount").args(args).arg(&store).status().is_ok_and(|status| status.success());
    if !have("a nearly full disk is reported", &["mount"]) {
        return;
    }
    if !mount(&["-t", "tmpfs", "-o", "size=8m", "none"]) {
        not_tested("a nearly full disk is reported", "the right to mount");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        world.heirloom(["backup", "app.db"]).success();
        assert_eq!(wrong(&health(&world).exits(0)), [""; 0]);
        let needed = |ran: &Ran| check(ran, "free_space")["measures"].clone();
        let measures = needed(&health(&world));
        let number = |name: &str, part: &str| measures[name][part].as_f64().unwrap() as u64;
        let (free, two, one) = (
            number("store_free_bytes", "value"),
            number("store_free_bytes", "warning"),
            number("store_free_bytes", "critical"),
        );
        fs::write(store.join("filler"), vec![0; (free - (one + two) / 2) as usize]).unwrap();
        let ran = health(&world).exits(20);
        assert!(wrong(&ran).contains(&"free_space: warning".to_owned()), "{:?}", wrong(&ran));
        fs::write(store.join("more"), vec![0; (two - one) as usize]).unwrap();
        let ran = health(&world).exits(21);
        assert_eq!(wrong(&ran), ["free_space: critical"], "the copy is checked elsewhere");
        assert!(check(&ran, "free_space")["value"].as_str().unwrap().contains("the next one will fail"));
        world.heirloom(["backup", "app.db"]).exits(15);
    });
    assert!(Command::new("umount").arg(&store).status().unwrap().success());
    result.unwrap();
}

#[test]
fn a_clock_that_is_behind_is_a_warning() {
    let mut world = world();
    daily(&mut world, 1..=3);
    world.at("2026-02-01T00:00:00Z");
    let ran = health(&world).exits(20);
    assert_eq!(wrong(&ran), ["backup_age: warning", "clock: warning"]);
    assert!(check(&ran, "clock")["value"].as_str().unwrap().starts_with("30 days behind the newest archive"));
}

#[test]
fn a_missing_database_is_critical_and_never_created() {
    let mut world = world();
    daily(&mut world, 1..=1);
    fs::remove_file(world.path("app.db")).unwrap();
    let ran = health(&world).exits(21);
    assert_eq!(wrong(&ran), ["database: critical"], "the archive says where it was");
    assert!(check(&ran, "database")["advice"].as_str().unwrap().contains("heirloom restore"));
    assert!(!world.path("app.db").exists());
}

#[test]
fn a_failed_backup_is_said_until_one_goes_well() {
    let mut world = world();
    daily(&mut world, 1..=1);
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    world.at("2026-03-02T03:00:00Z").heirloom(["backup", "app.db"]).exits(10);
    fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    world.at("2026-03-02T04:00:00Z");
    assert_eq!(wrong(&health(&world).exits(20)), ["last_run: warning"]);
    daily(&mut world, 3..=3);
    assert_eq!(wrong(&health(&world).exits(0)), [""; 0]);
}

#[test]
fn an_interrupted_restore_is_critical() {
    let mut world = world();
    daily(&mut world, 1..=1);
    // The state after a run was killed between its first and second commit.
    let target =
        |name: &str| serde_json::json!({"name": name, "path": world.path(format!("{name}.db")), "missing": false});
    let note = serde_json::json!({
        "restore": "0123", "set": "app", "host": "here", "archive": "app_20260301T030000Z.tar.gz",
        "began_at": "2026-03-01T03:30:00Z", "phase": "replacing", "targets": [target("app"), target("other")],
    });
    fs::write(world.path(".heirloom-restore-0123.json"), note.to_string()).unwrap();
    let ran = health(&world).exits(21);
    assert_eq!((wrong(&ran), ran.stderr.as_str()), (vec!["restore: critical".to_owned()], ""));
    assert!(check(&ran, "restore")["value"].as_str().unwrap().contains("of app, other some may be new and some old"));
}

#[test]
fn which_databases_are_looked_at() {
    let mut world = World::new();
    assert_eq!(wrong(&health(&world).exits(21)), ["store: critical"], "nothing was ever set up");
    for name in ["a.db", "b.db"] {
        world.database(name);
    }
    world.heirloom(["backup", "a.db", "b.db", "--set", "shop"]).success();
    world.heirloom(["backup", "a.db"]).success();
    let looked_at = |ran: &Ran| -> Vec<String> {
        let document = ran.json();
        let checks = document["checks"].as_array().unwrap().iter().filter(|check| check["check"] == "database");
        checks
            .map(|check| format!("{}/{}", check["set"].as_str().unwrap(), check["database"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(looked_at(&health(&world).exits(0)), ["a/a", "shop/a", "shop/b"], "as recorded");
    assert_eq!(looked_at(&world.heirloom(["health", "--json", "--set", "shop"]).exits(0)), ["shop/a", "shop/b"]);
    assert_eq!(
        looked_at(&world.heirloom(["health", "--json", "b.db"]).exits(0)),
        ["shop/b"],
        "its backups are those of the set"
    );
    world.env("DATABASE_PATH", "a.db");
    assert_eq!(looked_at(&health(&world).exits(0)), ["a/a"]);
    fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\nb = 'b.db'\n").unwrap();
    assert_eq!(looked_at(&health(&world).exits(0)), ["shop/b"], "the configuration");
    assert_eq!(looked_at(&world.heirloom(["health", "--json", "a.db"]).exits(0)), ["a/a"], "the command line");
    world.heirloom(["health", "--set", "nope"]).exits(2).says("there is no set \"nope\"");
}

#[test]
fn a_set_that_was_never_backed_up_is_critical() {
    let mut world = world();
    daily(&mut world, 1..=1);
    world.database("new.db");
    assert_eq!(wrong(&world.heirloom(["health", "--json", "new.db"]).exits(21)), ["backup_age: critical"]);
}

#[test]
fn nagios_gets_its_line_and_its_codes() {
    let mut world = world();
    daily(&mut world, 1..=1);
    let nagios = |world: &World| world.heirloom(["health", "--nagios"]);
    let ran = nagios(&world).exits(0);
    assert_eq!(ran.stdout.lines().count(), 1);
    let (status, data) = ran.stdout.trim_end().split_once(" | ").unwrap();
    assert!(status.starts_with("HEIRLOOM OK - "), "{status}");
    assert!(data.contains("'set app backup_age_seconds'=3600s;93600;180000;0"), "{data}");
    // Labels in quotes, then the value with its unit and four fields.
    for item in data.split(" '") {
        let (label, value) = item.split_once("'=").unwrap();
        assert!(!label.trim_start_matches('\'').contains(['\'', '=']), "{item}");
        let number = value.split(';').next().unwrap().trim_end_matches(['s', 'B']);
        assert!(number.parse::<f64>().is_ok() && value.matches(';').count() == 3, "{item}");
    }
    world.at("2026-03-02T06:00:00Z");
    assert!(
        nagios(&world)
            .exits(1)
            .stdout
            .starts_with("HEIRLOOM WARNING - set app backup age: the newest good backup is 27 hours old")
    );
    fs::remove_dir_all(world.path("backups")).unwrap();
    world.heirloom(["health", "app.db", "--nagios"]).exits(2);
    fs::write(world.path("heirloom.toml"), "[store]\nkeep = 3\n").unwrap();
    assert!(nagios(&world).exits(3).stdout.starts_with("HEIRLOOM UNKNOWN - heirloom.toml:2"));
    world.heirloom(["health", "--nagios", "--prometheus"]).exits(2);
    world.heirloom(["health", "--output", "x"]).exits(2);
}

/// Checks a text against the exposition format: HELP and TYPE once in front of the samples of a family, families in one
/// piece, no sample twice, labels escaped. Returns the samples.
fn samples(text: &str) -> Vec<(String, f64)> {
    let mut families: Vec<&str> = Vec::new();
    let mut samples: Vec<(String, f64)> = Vec::new();
    let mut lines = text.lines().peekable();
    assert!(text.ends_with('\n'));
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let family = help.split(' ').next().unwrap();
            assert!(family.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert!(!families.contains(&family), "{family} twice");
            assert_eq!(lines.next(), Some(format!("# TYPE {family} gauge").as_str()));
            families.push(family);
            continue;
        }
        let (name, rest) = line.split_once('{').unwrap();
        assert_eq!(families.last(), Some(&name), "{line}");
        let mut rest = rest;
        while !rest.starts_with('}') {
            let (label, value) = rest.trim_start_matches(',').split_once("=\"").unwrap();
            assert!(!label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
            let mut escaped = false;
            let end = value.find(|char| {
                let ends = char == '"' && !escaped;
                assert!(!escaped || "\\\"n".contains(char), "{line}");
                escaped = char == '\\' && !escaped;
                ends
            });
            rest = &value[end.unwrap() + 1..];
        }
        let value = rest.strip_prefix("} ").unwrap().parse().unwrap();
        let key = line.rsplit_once(' ').unwrap().0.to_owned();
        assert!(samples.iter().all(|(other, _)| *other != key), "{key} twice");
        samples.push((key, value));
    }
    samples
}

#[test]
fn prometheus_gets_what_it_can_parse() {
    let mut world = World::new();
    for name in ["a.db", "b.db"] {
        world.database(name);
    }
    let strange = "back\\ups \"here\"\n";
    world.heirloom(["backup", "a.db", "b.db", "--set", "shop", "--dir", strange]).success();
    world.heirloom(["backup", "a.db", "--dir", strange]).success();
    let ran = world.at("2026-03-02T06:00:00Z").heirloom(["health", "--prometheus", "--dir", strange]).exits(20);
    let samples = samples(&ran.stdout);
    let store = "store=\"[world]/work/back\\\\ups \\\"here\\\"\\n\"";
    let value = |key: &str| {
        samples
            .iter()
            .find(|(found, _)| *found == key.replace("STORE", store))
            .unwrap_or_else(|| panic!("{key}: {samples:#?}"))
            .1
    };
    assert_eq!(value("heirloom_health_state{STORE}"), 1.0);
    assert_eq!(value("heirloom_check_state{check=\"backup_age\",set=\"shop\",database=\"\",STORE}"), 1.0);
    assert_eq!(value("heirloom_backup_age_seconds{set=\"shop\",STORE}"), 97200.0);
    assert_eq!(value("heirloom_database_rows{set=\"shop\",database=\"b\",STORE}"), 100.0);
    assert_eq!(value("heirloom_health_timestamp_seconds{STORE}"), 1_772_431_200.0);

    // The parser of Prometheus itself.
    if !have_modules("Prometheus parses the metrics", "prometheus_client") {
        return;
    }
    let parse = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as \
    p\nprint(sum(len(f.samples) for f in p(sys.stdin.read())))";
    fs::write(world.path("metrics"), &ran.stdout).unwrap();
    let parser = python().args(["-c", parse]).stdin(fs::File::open(world.path("metrics")).unwrap()).output().unwrap();
    assert!(parser.status.success(), "{}", String::from_utf8_lossy(&parser.stderr));
    assert_eq!(String::from_utf8(parser.stdout).unwrap().trim(), samples.len().to_string());
}

#[test]
fn the_file_for_the_collector_is_replaced_as_a_whole() {
    let mut world = world();
    daily(&mut world, 1..=1);
    fs::create_dir(world.path("collector")).unwrap();
    let run = |file: &str| world.heirloom(["health", "--prometheus", "--output", file]);
    for _ in 0..2 {
        assert_eq!(run("collector/heirloom.prom").exits(0).stdout, "");
        let mode = fs::metadata(world.path("collector/heirloom.prom")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        samples(&fs::read_to_string(world.path("collector/heirloom.prom")).unwrap());
    }
    assert_eq!(world.files("collector"), ["heirloom.prom"]);
    std::os::unix::fs::symlink("heirloom.prom", world.path("collector/link.prom")).unwrap();
    run("collector/link.prom").exits(1).says("not a regular file");
    run("collector").exits(1);
    run("nowhere/heirloom.prom").exits(1).says("nowhere/heirloom.prom");
    assert_eq!(world.files("collector"), ["heirloom.prom", "link.prom"]);
}

#[test]
fn a_live_database_in_wal_mode_is_looked_at_while_it_is_written() {
    let mut world = world();
    let application = rusqlite::Connection::open(world.path("app.db")).unwrap();
    application.execute_batch("PRAGMA journal_mode=WAL; INSERT INTO notes(text) VALUES ('only in the wal')").unwrap();
    daily(&mut world, 1..=1);
    let sidecars = || ["app.db", "app.db-wal"].map(|name| fs::read(world.path(name)).unwrap());
    let before = sidecars();
    application.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ran = health(&world).exits(0);
    assert_eq!(check(&ran, "contents")["measures"]["database_rows"]["value"], 101.0);
    assert_eq!(check(&ran, "journal_mode")["value"], "wal");
    assert_eq!(sidecars(), before);
    application.execute_batch("INSERT INTO notes(text) VALUES ('after'); COMMIT").unwrap();
}

#[test]
fn a_read_only_store_is_looked_at() {
    let mut world = world();
    daily(&mut world, 1..=1);
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    fs::write(world.path("backups/.heirloom"), "no folder can be made here").unwrap();
    let ran = health(&world);
    assert_eq!(check(&ran, "integrity")["state"], "ok", "{:?}", wrong(&ran));
    let left: Vec<_> = fs::read_dir(world.work().join("../tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn databases_alone_are_judged_without_their_backups() {
    let mut world = world();
    world.heirloom(["health", "app.db", "--json"]).exits(21);
    world.heirloom(["health", "app.db", "--databases-only"]).success();
    daily(&mut world, 1..=1);
    world.at("2026-06-01");
    let ran = world.heirloom(["health", "app.db", "--databases-only", "--json"]).success();
    assert!(ran.json()["checks"].as_array().unwrap().iter().all(|check| check["database"] == "app"));
    fs::write(world.path("app.db"), "no database ".repeat(100)).unwrap();
    world.heirloom(["health", "app.db", "--databases-only"]).exits(21);
    World::new().heirloom(["health", "--databases-only"]).exits(2).says("no database is known");
}
