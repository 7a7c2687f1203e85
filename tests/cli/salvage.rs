//! `heirloom restore --allow-damaged`.

use std::fs;
use std::ops::Range;

use crate::world::World;

const ARCHIVE: &str = "app_20260301T030000Z.tar.gz";
/// How many pages one member of an archive holds.
const PAGES: u64 = 256;

/// Puts a database of about 5 MiB, in rows of one page each, under a name.
fn large(world: &World, name: &str) {
    world.sql(
        name,
        "CREATE TABLE log(id INTEGER PRIMARY KEY, data BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1300)
         INSERT INTO log SELECT i, randomblob(3900) FROM n;",
    );
}

/// A world with an archive of a large `app.db`, and `whole.db` as it is in the archive.
fn backed_up() -> World {
    let mut world = World::new();
    large(&world, "app.db");
    world.heirloom(["backup", "app.db"]).success();
    world.heirloom(["restore", "latest", "--to", "whole.db"]).success();
    world.at("2026-03-02");
    world
}

/// Changes the bytes of an archive.
fn change(world: &World, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    let path = world.path("backups").join(name);
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

/// Returns where the members of an archive lie. The first one holds the metadata, the second one the tar header of the
/// first database.
fn members(archive: &[u8]) -> Vec<Range<usize>> {
    let mut members = Vec::new();
    let mut at = 0;
    while at < archive.len() {
        let size = u32::from_le_bytes(archive[at + 16..at + 20].try_into().unwrap()) as usize;
        members.push(at..at + size);
        at += size;
    }
    members
}

/// Returns the numbers of the pages that differ between two files, which are of one size, and demands that they are
/// zero in the second.
#[track_caller]
fn zeroed(world: &World, before: &str, after: &str) -> Vec<u64> {
    let (before, after) = (fs::read(world.path(before)).unwrap(), fs::read(world.path(after)).unwrap());
    assert_eq!(before.len(), after.len());
    let pages = before.chunks(4096).zip(after.chunks(4096)).zip(1..);
    let differing: Vec<_> = pages.filter(|((before, after), _)| before != after).collect();
    assert!(differing.iter().all(|((_, after), _)| after.iter().all(|&byte| byte == 0)));
    differing.into_iter().map(|(_, number)| number).collect()
}

#[test]
fn what_can_be_read_of_a_damaged_archive_comes_back_and_the_rest_is_named() {
    let world = backed_up();
    change(&world, ARCHIVE, |bytes| {
        let third = members(bytes)[4].clone();
        bytes[third.start + 5000] ^= 0x10;
    });
    world.heirloom(["restore", ARCHIVE, "--to", "back.db"]).exits(13);
    assert!(!world.path("back.db").exists());

    // Before the prompt.
    let plan = world.heirloom(["restore", ARCHIVE, "--to", "back.db", "--allow-damaged", "--dry-run"]).success();
    assert!(plan.stdout.contains("damaged: pages 513-768 of 13"), "{}", plan.stdout);
    assert!(plan.stdout.contains("gzip member"), "{}", plan.stdout);
    let plan = world
        .heirloom(["restore", ARCHIVE, "--to", "back.db", "--allow-damaged", "--dry-run", "--json"])
        .success()
        .json();
    assert_eq!(plan["databases"][0]["unreadable_pages"], serde_json::json!([[513, 768]]));

    let ran = world.heirloom(["restore", ARCHIVE, "--to", "back.db", "--allow-damaged"]).exits(3);
    assert_eq!(zeroed(&world, "whole.db", "back.db"), (2 * PAGES + 1..=3 * PAGES).collect::<Vec<_>>());
    let ran = ran.says("pages 513-768 of 13").says("zero");
    // The integrity check of the result, and the hint.
    ran.says("app: Tree 2 page").says("sqlite3 [world]/work/back.db .recover");

    let ran = world.heirloom(["restore", ARCHIVE, "--to", "again.db", "--allow-damaged", "--json"]).exits(3).json();
    assert_eq!(ran["databases"][0]["unreadable_pages"], serde_json::json!([[513, 768]]));
}

/// A live database is replaced by what is left, and the undo goes back.
#[test]
fn a_database_is_replaced_by_what_is_left_of_it_and_the_undo_goes_back() {
    let mut world = backed_up();
    world.sql("app.db", "DELETE FROM log WHERE id > 10");
    change(&world, ARCHIVE, |bytes| {
        let last = members(bytes)[7].clone();
        bytes[last.start + 100] ^= 0x10;
    });
    world.heirloom(["restore", ARCHIVE, "--allow-damaged"]).exits(14).says("--force");
    world.heirloom(["restore", ARCHIVE, "--allow-damaged", "--force"]).exits(3).says("cannot be read");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM log WHERE id < 1000"), "999");
    world.at("2026-03-03");
    world.heirloom(["restore", "--undo", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM log"), "10");
}

/// A sector that was lost takes the header of a member with it: what follows is found by the end of the archive.
#[test]
fn members_behind_a_lost_header_come_back() {
    let world = backed_up();
    let whole = fs::read(world.path("backups").join(ARCHIVE)).unwrap();
    let at = members(&whole);
    type Edit = Box<dyn Fn(&mut Vec<u8>)>;
    let (third, fourth, sixth) = (at[4].clone(), at[5].clone(), at[7].clone());
    let (first, end) = (at[2].clone(), whole.len());
    let cases: Vec<(&str, Edit, Range<u64>)> = vec![
        ("zeros over a boundary", Box::new(move |bytes| bytes[third.end - 2000..third.end + 2096].fill(0)), 2..4),
        ("zeros over three members", Box::new(move |bytes| bytes[first.end + 10..fourth.start + 10].fill(0)), 1..4),
        (
            "a size in a header",
            Box::new({
                let third = at[4].clone();
                move |bytes| bytes[third.start + 17] ^= 1
            }),
            2..3,
        ),
        (
            "a size in a trailer",
            Box::new({
                let third = at[4].clone();
                move |bytes| bytes[third.end - 3] ^= 1
            }),
            2..3,
        ),
        ("cut short", Box::new(move |bytes| bytes.truncate(end - (end - sixth.start) - 10)), 4..6),
    ];
    for (what, edit, lost) in cases {
        fs::write(world.path("backups").join(ARCHIVE), &whole).unwrap();
        change(&world, ARCHIVE, edit);
        let _ = fs::remove_file(world.path("back.db"));
        let ran = world.heirloom(["restore", ARCHIVE, "--to", "back.db", "--allow-damaged"]).exits(3);
        let pages = fs::metadata(world.path("app.db")).unwrap().len() / 4096;
        let expected: Vec<u64> = (lost.start * PAGES + 1..=(lost.end * PAGES).min(pages)).collect();
        assert_eq!(zeroed(&world, "whole.db", "back.db"), expected, "{what}");
        ran.says(&format!("pages {}-{}", expected[0], expected[expected.len() - 1]));
    }
}

#[test]
fn of_several_databases_the_others_are_whole() {
    let mut world = World::new();
    for name in ["one.db", "two.db", "three.db"] {
        large(&world, name);
    }
    world.heirloom(["backup", "one.db", "two.db", "three.db", "--set", "app"]).success();
    world.at("2026-03-02");
    for folder in ["whole", "out"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    world.heirloom(["restore", "latest", "--to-dir", "whole"]).success();
    change(&world, ARCHIVE, |bytes| {
        // A header of one, and one of the next: what lies between is found by the header of the database.
        let at = members(bytes);
        bytes[at[3].start] = 0;
        bytes[at[6].start + 200] ^= 1;
    });
    let ran = world.heirloom(["restore", ARCHIVE, "--to-dir", "out", "--allow-damaged", "--json"]).exits(3).json();
    assert_eq!(ran["databases"][0]["unreadable_pages"], serde_json::json!([[257, 512], [1025, 1280]]));
    for (name, number) in [("two.db", 1), ("three.db", 2)] {
        assert_eq!(ran["databases"][number]["unreadable_pages"], serde_json::json!([]), "{name}");
        assert_eq!(fs::read(world.path("whole").join(name)).unwrap(), fs::read(world.path("out").join(name)).unwrap());
    }
}

#[test]
fn without_its_first_page_nothing_is_restored() {
    let world = backed_up();
    let before = fs::read(world.path("app.db")).unwrap();
    change(&world, ARCHIVE, |bytes| {
        let first = members(bytes)[2].clone();
        bytes[first.start + 5000] ^= 0x10;
    });
    world
        .heirloom(["restore", ARCHIVE, "--allow-damaged", "--force"])
        .exits(13)
        .says("cannot be salvaged: pages 1-256 of 13");
    assert!(fs::read(world.path("app.db")).unwrap() == before);
    assert_eq!(world.archives().len(), 1);
}

/// A tar that is not compressed has no CRC: the digest tells that something is wrong, and not where.
#[test]
fn a_tar_whose_digest_is_wrong_comes_back_as_it_is() {
    let world = World::new();
    large(&world, "app.db");
    world.heirloom(["backup", "app.db", "--no-compress"]).success();
    world.heirloom(["restore", "latest", "--to", "whole.db"]).success();
    let archive = "app_20260301T030000Z.tar";
    change(&world, archive, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let plan = world.heirloom(["restore", archive, "--to", "back.db", "--allow-damaged", "--dry-run"]).success();
    assert!(plan.stdout.contains("damaged: ") && plan.stdout.contains("SHA-256"), "{}", plan.stdout);
    world.heirloom(["restore", archive, "--to", "back.db", "--allow-damaged"]).exits(3).says("SHA-256");
    let (before, after) = (fs::read(world.path("whole.db")).unwrap(), fs::read(world.path("back.db")).unwrap());
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
    // Cut short, the rest is zero.
    change(&world, archive, |bytes| bytes.truncate(bytes.len() / 2));
    world.heirloom(["restore", archive, "--to", "cut.db", "--allow-damaged"]).exits(3).says("cannot be read");
}

/// A mark counts even if everything can be read.
#[test]
fn the_plan_says_that_an_archive_is_marked() {
    let world = backed_up();
    fs::write(world.path("backups").join(format!("{ARCHIVE}.damaged")), "by me").unwrap();
    let plan = world.heirloom(["restore", ARCHIVE, "--to", "back.db", "--allow-damaged", "--dry-run"]).success();
    assert!(plan.stdout.contains("marked as damaged"), "{}", plan.stdout);
    world.heirloom(["restore", ARCHIVE, "--to", "back.db", "--allow-damaged"]).success();
}
