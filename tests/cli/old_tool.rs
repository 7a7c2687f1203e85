//! Archives of the old tool with wrong metadata or a broken tar.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::world::World;

/// The name that the old tool gave its archives; the time in it is in UTC here.
const NAMED: &str = "archerytools_backup_20250804_163829.tar.gz";

/// One entry of a tar, which claims to be longer than it is where `more` is not 0.
fn entry(name: &str, contents: &[u8], more: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_mode(0o644);
    header.set_size(contents.len() as u64 + more);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), contents].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Puts an archive of `user_data.db` into the store.
fn archive(world: &World, name: &str, entries: &[Vec<u8>]) {
    fs::create_dir_all(world.path("backups")).unwrap();
    let mut gzip = GzEncoder::new(fs::File::create(world.path("backups").join(name)).unwrap(), Compression::fast());
    gzip.write_all(&[entries.concat(), vec![0; 1024]].concat()).unwrap();
    gzip.finish().unwrap();
}

fn metadata(created_at: Option<Value>) -> Vec<u8> {
    let mut metadata = json!({
        "backup_name": "archerytools_backup_20250804_163829", "version": "1.0.0",
        "includes": {"arrow_database": false, "user_database": true},
    });
    if let Some(created_at) = created_at {
        metadata["created_at"] = created_at;
    }
    metadata.to_string().into_bytes()
}

#[test]
fn an_archive_whose_metadata_gives_no_time_is_restored() {
    for created_at in [
        Some(json!("2025-08-04")),
        Some(json!(1_754_325_509)),
        Some(json!("")),
        Some(json!("soon")),
        Some(Value::Null),
        None,
    ] {
        let world = World::new();
        let database = fs::read(world.database("user_data.db")).unwrap();
        let entries =
            [entry("user_data.db", &database, 0), entry("backup_metadata.json", &metadata(created_at.clone()), 0)];
        archive(&world, NAMED, &entries);
        let unnamed = "old.tar.gz";
        archive(&world, unnamed, &entries);
        let touched = Command::new("touch")
            .args(["-d", "2025-09-01T10:00:00Z"])
            .arg(world.path("backups").join(unnamed))
            .status();
        assert!(touched.unwrap().success());

        for (name, time, from) in [
            (NAMED, "2025-08-04T16:38:29", "the time in its name"),
            (unnamed, "2025-09-01T10:00:00", "the time of the file"),
        ] {
            let shown = world.heirloom(["show", name, "--json"]).success().json();
            assert!(shown["created_at"].as_str().unwrap().starts_with(time), "{created_at:?}: {}", shown["created_at"]);
            let document = world.heirloom(["verify", name, "--json"]).success().json();
            let findings = document["archives"][0]["findings"].to_string();
            assert!(
                findings.contains("the metadata gives no time") && findings.contains(from),
                "{created_at:?}: {findings}"
            );
            world.heirloom(["restore", name, "--to", "back.db", "--force"]).success();
            assert_eq!(world.ask("back.db", "SELECT count(*) FROM notes"), "100");
        }
    }
}

#[test]
fn a_time_that_the_metadata_gives_is_no_finding() {
    let world = World::new();
    let database = fs::read(world.database("user_data.db")).unwrap();
    let metadata = metadata(Some(json!("2025-08-03T10:00:00.5")));
    archive(&world, NAMED, &[entry("user_data.db", &database, 0), entry("backup_metadata.json", &metadata, 0)]);
    let document = world.heirloom(["verify", NAMED, "--json"]).success().json();
    assert_eq!(document["archives"][0]["findings"], json!([]));
    assert_eq!(world.heirloom(["show", NAMED, "--json"]).success().json()["created_at"], "2025-08-03T10:00:00.500000Z");
}

/// The size field of an entry that is 1,024 too large swallows the header and the contents of the next one.
#[test]
fn bytes_behind_the_last_page_of_a_database_are_a_finding() {
    for (pages, mode) in [(1024, "DELETE"), (4096, "DELETE"), (4096, "WAL")] {
        let world = World::new();
        world.sql("user_data.db", &format!("PRAGMA page_size={pages}; PRAGMA journal_mode={mode};"));
        let database = fs::read(world.database("user_data.db")).unwrap();
        archive(
            &world,
            NAMED,
            &[entry("user_data.db", &database, 1024), entry("backup_metadata.json", &metadata(None), 0)],
        );
        for depth in ["quick", "standard", "deep"] {
            let document = world.heirloom(["verify", NAMED, "--depth", depth, "--json"]).success().json();
            assert_eq!(document["archives"][0]["state"], "ok");
            let findings = document["archives"][0]["findings"].to_string();
            assert!(
                findings.contains(&format!(
                    "{} bytes, but its header counts only {}",
                    database.len() + 1024,
                    database.len()
                )),
                "{findings}"
            );
        }
        // The readable rest is still used.
        world.heirloom(["restore", NAMED, "--to", "back.db"]).success();
        assert_eq!(world.ask("back.db", "SELECT count(*) FROM notes"), "100");
    }
}
