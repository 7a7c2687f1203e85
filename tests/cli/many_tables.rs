//! A database with a table for each customer.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use rusqlite::Connection;

use crate::world::World;

/// How many. Of 20,000 tables verify took a minute when its time grew with their square; of these it would take 25.
const TABLES: u32 = 100_000;
/// The smallest page there is, so that the tables need 50 MB.
const PAGE: u32 = 512;

/// Writes a database of empty tables: its schema as rows, and an empty leaf for each. `CREATE TABLE` itself takes
/// minutes for so many.
fn make(world: &World, name: &str) {
    let path = world.path(name);
    let mut before = 70_000;
    let pages = loop {
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("PRAGMA page_size={PAGE}; CREATE TABLE seed(x); PRAGMA writable_schema=ON; BEGIN;"))
            .unwrap();
        let mut insert = connection.prepare("INSERT INTO sqlite_schema VALUES ('table', ?1, ?1, ?2, ?3)").unwrap();
        for number in 0..TABLES {
            let table = format!("customer_{number:06}");
            let root = before + number + 1;
            insert.execute((&table, root, format!("CREATE TABLE {table}(id INTEGER PRIMARY KEY, name TEXT)"))).unwrap();
        }
        drop(insert);
        connection.execute_batch("COMMIT").unwrap();
        let pages: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.close().unwrap();
        if pages == before {
            break pages;
        }
        // Where the tables begin is known once the schema was written.
        before = pages;
        fs::remove_file(&path).unwrap();
    };
    let mut leaf = vec![0; PAGE as usize];
    (leaf[0], leaf[5]) = (13, 2);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&leaf.repeat(TABLES as usize)).unwrap();
    drop(file);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&(pages + TABLES).to_be_bytes(), 28).unwrap();
}

#[test]
fn a_hundred_thousand_tables_are_backed_up_verified_and_restored() {
    let world = World::new();
    make(&world, "app.db");
    world.heirloom(["backup", "app.db"]).success();
    world.heirloom(["verify"]).success();
    world.heirloom(["restore", "latest", "--to", "new.db"]).success();
    assert_eq!(
        world.ask("new.db", "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'customer%'"),
        TABLES.to_string()
    );
    let shown = world.heirloom(["show", "--json"]).success().json();
    assert_eq!(shown["metadata"]["databases"][0]["integrity"], "ok");
    assert_eq!(shown["metadata"]["databases"][0]["tables"].as_array().unwrap().len(), TABLES as usize + 1);
}
