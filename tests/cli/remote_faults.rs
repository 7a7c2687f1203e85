//! What users see if a remote store fails: at any request, for a while, for one archive, or only slowly.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::servers::proxy::{Fault, Proxy};
use crate::servers::{Kind, Place, place};
use crate::world::World;

/// The answer of S3 about an archive in cold storage.
const COLD: &str = "<Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage \
                    class</Message></Error>";

/// A world with a local store and a copy behind a proxy.
struct Behind {
    world: World,
    proxy: Proxy,
    /// The copy without the proxy.
    direct: String,
}

impl Behind {
    fn new(kind: Kind, promise: &str) -> Option<Self> {
        let place: Place = place(kind, promise)?;
        let proxy = Proxy::before(place.port);
        let mut world = World::new();
        for (name, value) in &place.variables {
            world.env(name, value);
        }
        world.database("app.db");
        let text = format!(
            "[sets.app.databases]\napp = 'app.db'\n[store]\ndir = 'main'\n[copies.offsite]\nurl = '{}'",
            place.behind(proxy.port).url
        );
        fs::write(world.path("heirloom.toml"), text).unwrap();
        Some(Self { world, proxy, direct: place.url })
    }

    /// The good archives in the copy, asked without the proxy.
    fn there(&self) -> Vec<String> {
        let listed = self.world.heirloom(["list", "--dir", &self.direct, "--json"]).success().json();
        let archives = listed["archives"].as_array().unwrap().iter();
        archives.map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
    }

    fn here(&self) -> Vec<String> {
        self.world.files("main").into_iter().filter(|name| name.ends_with(".gz")).collect()
    }
}

/// Each request of a backup with a copy fails once, in several ways: the backup is complete here, what the copy lists
/// is whole, and the next run makes up for it, without a second archive for a lost answer.
#[test]
fn a_copy_that_fails_at_any_request_is_made_up_for() {
    let Some(mut behind) = Behind::new(Kind::Moto, "a copy survives a fault at any request") else { return };
    behind.proxy.set(|_| None);
    behind.world.heirloom(["backup"]).success();
    let needed = behind.proxy.requests();
    assert!(needed > 4, "{needed}");
    let mut made = 1;
    for number in 1..=needed {
        for fault in [Fault::Cut, Fault::LoseAnswer, Fault::Answer(500, "", "<Error/>"), Fault::Answer(403, "", "")] {
            made += 1;
            behind.world.at(&format!("2026-03-{:02}T{:02}:{:02}:00Z", 2 + made / 1440, made / 60 % 24, made % 60));
            behind.proxy.fail(number, fault);
            let ran = behind.world.heirloom(["backup"]);
            assert!(matches!(ran.code, 0 | 3), "request {number}: {}\n{}", ran.code, ran.stderr);
            behind.proxy.set(|_| None);
            behind.world.heirloom(["copy"]).success();
            assert_eq!(behind.here().len(), made, "the backup itself is complete");
            let there = behind.there();
            assert!(there.contains(behind.here().last().unwrap()), "request {number}: the newest is not there");
            let doubled = there.iter().filter(|name| name.contains("Z-2.")).count();
            assert_eq!(doubled, 0, "request {number}: a second archive for a lost answer: {there:?}");
        }
    }
    behind.world.heirloom(["verify", "--all", "--dir", &behind.direct]).success();
}

/// The same archive has the name of a copy, as after a run whose last answer was lost. What fails is looking at it, at
/// each of the requests that this takes.
#[test]
fn a_taken_name_that_cannot_be_looked_at_makes_no_second_copy() {
    let Some(behind) = Behind::new(Kind::Moto, "an outage makes no second copy") else { return };
    behind.world.heirloom(["backup"]).success();
    let name = behind.here().pop().unwrap();
    for fault in [Fault::Answer(403, "", "<Error><Code>AccessDenied</Code></Error>"), Fault::Answer(403, "", COLD)] {
        for number in 1.. {
            let (refused, asked) = (AtomicBool::new(false), AtomicU64::new(0));
            let (planted, taken) = (fault.clone(), name.clone());
            behind.proxy.set(move |request| {
                let is_it = request.target.split('?').next().unwrap().ends_with(&taken);
                if request.method == "PUT" {
                    refused.fetch_or(is_it, Ordering::Relaxed);
                    return None;
                }
                let looks = is_it && refused.load(Ordering::Relaxed);
                let is_due = looks && asked.fetch_add(1, Ordering::Relaxed) + 1 >= number;
                is_due.then(|| planted.clone())
            });
            let ran = behind.world.heirloom(["copy", &name]);
            assert_eq!(behind.there(), [name.as_str()], "request {number}: {}", ran.stderr);
            if ran.code == 0 {
                assert!(number > 2, "nothing failed");
                break;
            }
        }
        behind.proxy.set(|_| None);
        behind.world.heirloom(["copy", &name]).success();
        assert_eq!(behind.there(), [name.as_str()]);
    }
}

#[test]
fn one_archive_in_cold_storage_does_not_end_the_listing() {
    let Some(mut behind) = Behind::new(Kind::Moto, "an archive in cold storage is a state of that archive") else {
        return;
    };
    for day in 1..=5 {
        behind.world.at(&format!("2026-03-0{day}")).heirloom(["backup"]).success();
    }
    fs::remove_dir_all(behind.world.path("../state")).unwrap();
    let names = behind.there();
    assert_eq!(names.len(), 5);
    fs::remove_dir_all(behind.world.path("../state")).unwrap();
    let (cold, newest) = (names[2].clone(), names[0].clone());
    let frozen = cold.clone();
    behind.proxy.set(move |request| {
        (request.method == "GET" && request.target.contains(&frozen)).then_some(Fault::Answer(403, "", COLD))
    });
    let listed = behind.world.heirloom(["list", "--store", "offsite", "--json"]).success().json();
    assert_eq!(listed["archives"].as_array().unwrap().len(), 4);
    assert_eq!(listed["foreign"][0]["file"], cold.as_str());
    assert_eq!(listed["foreign"][0]["unread"], true);
    assert!(listed["foreign"][0]["why"].as_str().unwrap().contains("cold storage"), "{listed}");
    // It stays, and does not stand in the way of a newer one.
    behind.world.at("2026-03-06").heirloom(["rotate", "--store", "offsite", "--keep-last", "1"]).exits(3);
    assert!(behind.there().contains(&cold) && behind.there().contains(&newest));
    behind.world.heirloom(["restore", "--store", "offsite", "--to", "new.db"]).success();
}

#[test]
fn a_store_that_is_down_is_named_at_once_and_costs_the_backup_nothing() {
    let Some(behind) = Behind::new(Kind::Moto, "a store that is down") else { return };
    behind.proxy.set(|_| Some(Fault::Answer(403, "", "<Error><Code>AccessDenied</Code></Error>")));
    let ran = behind.world.heirloom(["backup"]).exits(3);
    assert!(ran.stderr.contains("access denied"), "{}", ran.stderr);
    assert_eq!(behind.here().len(), 1);
    behind.proxy.set(|_| None);
    behind.world.heirloom(["copy"]).success();
    assert_eq!(behind.there().len(), 1);
}

/// The writers of a live database wait for its lock only while pages are written, not while they are fetched.
#[test]
fn a_restore_over_a_slow_line_fetches_before_it_locks() {
    let Some(behind) = Behind::new(Kind::Moto, "a restore over a slow line") else { return };
    behind.world.sql(
        "app.db",
        "PRAGMA journal_mode = WAL; CREATE TABLE load(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 \
         FROM n WHERE i < 1000) INSERT INTO load SELECT randomblob(1000) FROM n; CREATE TABLE beats(at INTEGER)",
    );
    behind.world.heirloom(["backup"]).success();
    fs::remove_dir_all(behind.world.path("main")).unwrap();
    behind.proxy.limit(300_000);
    let mut command = behind.world.command(["restore", "--force", "--accept-older"]);
    let mut restore = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let connection = rusqlite::Connection::open(behind.world.path("app.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    let mut commits = 0;
    while restore.try_wait().unwrap().is_none() {
        if connection.execute("INSERT INTO beats VALUES (1)", ()).is_ok() {
            commits += 1;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(restore.wait().unwrap().success());
    // Fetching a megabyte takes seconds at this speed. A lock held meanwhile would leave room for a few commits.
    assert!(commits > 50, "{commits}");
}
