//! `heirloom delete`, `pin` and `unpin`.

use crate::world::World;

fn two_archives() -> World {
    let mut world = World::new();
    world.database("app.db");
    for day in ["2026-02-27", "2026-02-28"] {
        world.at(day).heirloom(["backup", "app.db"]).success();
    }
    world
}

const OLD: &str = "app_20260227T000000Z.tar.gz";
const NEW: &str = "app_20260228T000000Z.tar.gz";

#[test]
fn nothing_is_deleted_unasked() {
    let world = two_archives();
    world.heirloom(["delete", OLD]).exits(2).says("--force");
    world.heirloom(["delete", OLD, "--dry-run"]).success();
    assert_eq!(world.archives(), [OLD, NEW]);
    world.heirloom(["delete", OLD, "--force"]).success();
    assert_eq!(world.archives(), [NEW]);
}

#[test]
fn the_last_good_archive_is_only_deleted_on_insistence() {
    let world = two_archives();
    world.heirloom(["delete", OLD, NEW, "--force"]).exits(14).says("last good");
    assert_eq!(world.archives(), [OLD, NEW]);
    std::fs::write(world.path(format!("backups/{OLD}.damaged")), "").unwrap();
    world.heirloom(["delete", NEW, "--force"]).exits(14).says("--even-last");
    world.heirloom(["delete", NEW, "--force", "--even-last"]).success();
    assert_eq!(world.archives(), [OLD]);
}

#[test]
fn a_pinned_archive_is_kept_until_the_pin_is_off() {
    let world = two_archives();
    world.heirloom(["pin", OLD]).success();
    world.heirloom(["pin", OLD]).success();
    world.heirloom(["delete", OLD, "--force"]).exits(14).says("unpin");
    world.heirloom(["unpin", OLD]).success();
    world.heirloom(["delete", OLD, "--force"]).success();
    assert_eq!(world.files("backups"), [".heirloom", NEW, "heirloom-store.json"], "its marks went with it");
}

#[test]
fn what_is_not_ours_is_not_deleted() {
    let world = two_archives();
    std::fs::write(world.path("backups/photos.tar.gz"), "something else").unwrap();
    std::fs::write(world.path("backups/notes.txt"), "notes").unwrap();
    world.heirloom(["delete", "photos.tar.gz", "--force"]).exits(2).says("photos.tar.gz");
    for name in ["notes.txt", "../app.db", "missing.tar.gz"] {
        world.heirloom(["delete", name, "--force"]).exits(12).says(name);
    }
    assert_eq!(world.archives(), [OLD, NEW, "photos.tar.gz"]);
}
