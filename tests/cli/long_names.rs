//! Databases whose file name is too long for some of their sidecar names.

use std::fs;

use crate::world::World;

/// A name of this many bytes that ends in `.db`.
fn long(bytes: usize) -> String {
    format!("{}.db", "n".repeat(bytes - 3))
}

/// A file name has 255 bytes at most: of 250, the `-wal` fits and the `-journal` does not; of 255, none does.
#[test]
fn a_database_with_a_long_name_is_backed_up_and_restored() {
    for (bytes, mode) in
        [(247, "DELETE"), (248, "DELETE"), (250, "DELETE"), (250, "WAL"), (251, "WAL"), (255, "DELETE")]
    {
        let mut world = World::new();
        let name = long(bytes);
        world.database("short.db");
        world.sql("short.db", &format!("PRAGMA journal_mode={mode}"));
        fs::rename(world.path("short.db"), world.path(&name)).unwrap();
        world.heirloom(["backup", &name, "--set", "app"]).success();
        world.heirloom(["config", "check"]);
        world.at("2026-03-02");
        world.heirloom(["restore", "latest", "--dry-run"]).success();

        fs::remove_file(world.path(&name)).unwrap();
        world.heirloom(["restore", "latest"]).success();
        assert_eq!(world.ask(&name, "SELECT count(*) FROM notes"), "100", "{bytes} {mode}");
        if mode == "WAL" {
            world.sql(&name, "DELETE FROM notes");
            world.heirloom(["restore", "latest", "--force"]).success();
            assert_eq!(world.ask(&name, "SELECT count(*) FROM notes"), "100", "{bytes} {mode}");
        }
        // A file that is not a database is moved aside and replaced.
        fs::write(world.path(&name), "not a database").unwrap();
        let ran = world.heirloom(["restore", "latest", "--force", "--json"]).success();
        assert_eq!(world.ask(&name, "SELECT count(*) FROM notes"), "100", "{bytes} {mode}");
        let aside = ran.json()["databases"][0]["set_aside"].as_str().unwrap().replace("[world]/work/", "");
        assert_eq!(fs::read_to_string(world.path(aside).join(&name)).unwrap(), "not a database");
    }
}

/// A database that its application has open in WAL mode is seen with what is in its `-wal`.
#[test]
fn the_wal_of_a_database_with_a_long_name_is_read() {
    let world = World::new();
    let name = long(250);
    world.sql("short.db", "PRAGMA journal_mode=WAL; CREATE TABLE notes(id); INSERT INTO notes VALUES(1)");
    fs::rename(world.path("short.db"), world.path(&name)).unwrap();
    let application = rusqlite::Connection::open(world.path(&name)).unwrap();
    application.execute_batch("INSERT INTO notes VALUES(2)").unwrap();
    world.heirloom(["backup", &name, "--set", "app"]).success();
    world.heirloom(["restore", "latest", "--to", "copy.db"]).success();
    assert_eq!(world.ask("copy.db", "SELECT count(*) FROM notes"), "2");
    drop(application);
}
