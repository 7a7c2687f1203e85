//! Findings already in the last archive of a database are not printed again.

use rusqlite::Connection;

use crate::world::World;

/// Makes a database with a collation that only its application has.
fn with_own_collation(world: &World, name: &str) {
    world.sql(
        name,
        "CREATE TABLE v(x TEXT); CREATE INDEX j ON v(x COLLATE NOCASE); INSERT INTO v VALUES('x'); PRAGMA \
         writable_schema=ON;
         UPDATE sqlite_schema SET sql='CREATE INDEX j ON v(x COLLATE app)' WHERE name='j';",
    );
}

fn break_foreign_keys(world: &World, name: &str, rows: usize) {
    let connection = Connection::open(world.path(name)).unwrap();
    connection.execute_batch("PRAGMA foreign_keys=OFF; CREATE TABLE IF NOT EXISTS p(id INTEGER PRIMARY KEY);").unwrap();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS c(p INT REFERENCES p(id));").unwrap();
    for _ in 0..rows {
        connection.execute("INSERT INTO c VALUES(77)", []).unwrap();
    }
}

#[test]
fn what_the_last_archive_knows_is_printed_only_when_asked_for() {
    let mut world = World::new();
    with_own_collation(&world, "app.db");
    break_foreign_keys(&world, "app.db", 2);
    let (collation, keys) = ("no such collation sequence: app", "2 rows break a foreign key");
    world.heirloom(["backup", "app.db"]).success().says(collation).says(keys);

    world.at("2026-03-02");
    let ran = world.heirloom(["backup", "app.db"]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    world.at("2026-03-03");
    world.heirloom(["backup", "app.db", "-v"]).success().says(collation).says(keys);
    let json = world.heirloom(["backup", "app.db", "--json"]).success().json();
    let findings: Vec<bool> =
        json["findings"].as_array().unwrap().iter().map(|one| one["new"].as_bool().unwrap()).collect();
    assert_eq!(findings, [false, false]);
    let show = world.heirloom(["show"]).success().stdout;
    assert!(show.contains(collation) && show.contains(keys), "{show}");
    let health = world.heirloom(["health", "app.db", "--check", "full", "-v"]).exits(20).stdout;
    assert!(health.contains(collation) && health.contains("2 rows break"), "{health}");

    // Only the new one is printed.
    break_foreign_keys(&world, "app.db", 1);
    world.at("2026-03-04");
    let ran = world.heirloom(["backup", "app.db"]).success().says("3 rows break a foreign key");
    assert!(!ran.stderr.contains(collation), "{}", ran.stderr);
}

/// Of two databases each is compared with its own last archive, whatever set it was in.
#[test]
fn what_another_database_has_is_not_known_of_this_one() {
    let mut world = World::new();
    for name in ["one.db", "two.db"] {
        world.database(name);
    }
    break_foreign_keys(&world, "one.db", 1);
    world.heirloom(["backup", "one.db", "two.db", "--set", "s"]).success().says("one: 1 rows break");
    break_foreign_keys(&world, "two.db", 1);
    world.at("2026-03-02");
    let ran = world.heirloom(["backup", "one.db", "two.db", "--set", "s"]).success().says("two: 1 rows break");
    assert!(!ran.stderr.contains("one:"), "{}", ran.stderr);
    // A safety backup is checked less thoroughly, so it does not make findings new.
    world.at("2026-03-03");
    world.heirloom(["restore", "latest", "--set", "s", "--force"]).success();
    world.at("2026-03-04");
    assert_eq!(world.heirloom(["backup", "one.db", "two.db", "--set", "s"]).success().stderr, "");
    // An unreadable archive does not count.
    let newest = world.archives().pop().unwrap();
    std::fs::write(world.path("backups").join(newest), "no archive").unwrap();
    world.at("2026-03-05");
    world.heirloom(["backup", "one.db", "two.db", "--set", "s"]).success();
}

#[test]
fn a_damaged_database_is_never_old_news() {
    let mut world = World::new();
    world.database("app.db");
    let mut bytes = std::fs::read(world.path("app.db")).unwrap();
    bytes[4096 * 2..4096 * 2 + 200].fill(0x55);
    std::fs::write(world.path("app.db"), bytes).unwrap();
    let first = world.heirloom(["backup", "app.db", "--keep-damaged"]).exits(3);
    world.at("2026-03-02");
    let second = world.heirloom(["backup", "app.db", "--keep-damaged"]).exits(3);
    assert!(!first.stderr.is_empty() && first.stderr == second.stderr, "{}", second.stderr);
}
