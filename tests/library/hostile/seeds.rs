//! The initial inputs of the search: of every kind, most of them good, created by the program itself.

use heirloom::config::EXAMPLE;

use super::recipe;

/// Names and bytes of the seeds of one target.
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = match target {
        "archive" => archives(),
        "metadata" => metadata(),
        "legacy" => legacy(),
        "config" => config(),
        "database" => databases(),
        _ => Vec::new(),
    };
    seeds.into_iter().enumerate().map(|(index, bytes)| (format!("seed-{index}"), bytes)).collect()
}

/// Recipes: form, name, two bytes about plain databases, container, member size, changes, kind, end, then the entries.
fn archives() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for container in 0..8 {
        let mut head = vec![0, u8::from(container == 3), 0, 0, container, 0, 0];
        if container == 7 {
            // Nothing is wrong with the seek table.
            head.extend([0; 4]);
        }
        head.extend([0, 0]);
        seeds.push([&head[..], &[0, 0, 0, 0, 1, 0]].concat());
        seeds.push([&head[..], &[0, 0, 0, 0, 9, 0, 0, 3, 0, 6, 7, 0, 40]].concat());
        // Two pax records, a long name, and the entries they belong to.
        seeds.push([&head[..], &[3, 1, 2, 255, 3, b'0', b'.', b'5', 3, 1, 0, 0, 0, 0, 2, 0]].concat());
        seeds.push([&head[..], &[4, 0, 0, 0, 0, 4, 3, b'a', b'b', b'c', 0, 2, 0, 4, 1, b'd']].concat());
    }
    // A large entry of zeros.
    for container in [0, 4] {
        seeds.push(vec![0, 0, 0, 0, container, 8, 0, 0, 0, 0, 0, 0, 7, 0xa5, 0, 21]);
    }
    // The output of the recipe, unchanged and only wrapped.
    for seed in seeds.clone() {
        let bytes = recipe::given(&seed).bytes;
        seeds.push([&[4, 0], &bytes[..bytes.len().min(20_000)]].concat());
    }
    // A seek table with one wrong value.
    for wrong in [[1, 1, 1, 0], [5, 0, 0, 8]] {
        let recipe = [&[0, 0, 0, 0, 7, 0, 0][..], &wrong, &[0, 0, 0, 0, 0, 0, 1, 0]].concat();
        seeds.push(recipe);
    }
    // Encrypted, so that nothing can be said about it.
    seeds.push([&[4, 0], &b"age-encryption.org/v1\n-> X25519 abc\n--- mac\n"[..]].concat());
    seeds
}

fn legacy() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for container in [1, 2, 3, 5, 6] {
        for kind in [1, 5, 25, 0x41, 0x21, 2] {
            let head = [0, 8 + u8::from(container == 3), 0, 0, container, 3, 0, kind, 0];
            seeds.push([&head[..], &[0, 1, 0, 0, 1, 0]].concat());
            seeds.push([&head[..], &[0, 1, 0, 0, 1, 0, 0, 2, 0, 0, 1, 0]].concat());
        }
    }
    for (name, packed) in [(2, 0), (4, 1), (6, 0), (26, 0), (4, 2), (5, 3)] {
        seeds.push(vec![0, name, packed, 1, 0, 3, 0]);
        seeds.push(vec![0, name, packed, 1, 0, 3, 7, 30, 0]);
    }
    for seed in seeds.clone() {
        let bytes = recipe::given(&seed).bytes;
        seeds.push([&[4, seed[1]], &bytes[..bytes.len().min(20_000)]].concat());
    }
    seeds
}

fn metadata() -> Vec<Vec<u8>> {
    let one = recipe::sample(vec![recipe::database("app.db", b"one")]);
    let two = recipe::sample(vec![recipe::database("app.db", b"one"), recipe::database("user_data.db", b"two")]);
    let old = br#"{"backup_name": "archerytools_backup_20250804_163829", "created_at": "2025-08-04T16:38:29.591353",
 "version": "1.0.0",
 "includes": {"arrow_database": false, "user_database": true},
 "user_db_stats": {"file_size_mb": 0.0078125, "table_count": 1, "tables": {"users": 40, "gone": "unknown"}},
 "arrow_db_stats": {"error": "database is locked"}}"#;
    let outside = recipe::sample(vec![recipe::database(&format!("../{}", "\u{e4}".repeat(100)), b"one")]);
    vec![
        serde_json::to_vec(&outside).unwrap(),
        serde_json::to_vec(&one).unwrap(),
        serde_json::to_vec_pretty(&two).unwrap(),
        old.to_vec(),
        b"{\"format\": 2}".to_vec(),
    ]
}

fn config() -> Vec<Vec<u8>> {
    let commented = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").or(line.strip_prefix('#')).unwrap_or(line).to_owned() + "\n");
    let file = "[store]\ndir = \"$STORE/backups\"\n[retention]\nkeep = 3\nmax_age = \"90d\"\nmax_size = \
                \"20GB\"\ntime_zone = \"Europe/Berlin\"\n\
        [sets.app.databases]\nuser = [\"$HOME/a.db\", \"${DATA}/a.db\"]\nother = \"/var/lib/b.db\"\n";
    let dotenv = "# secrets\nexport DATABASE_URL=\"sqlite:////app/app.db\"\nMAX_DATABASE_BACKUPS = 5 # \
                  five\nKEY='a\nb'\nNAME\nQUOTED=\"a\\nb\\t\"";
    vec![
        EXAMPLE.as_bytes().to_vec(),
        commented.collect::<String>().into_bytes(),
        format!("{file}\0{dotenv}\090d 4h\0sqlite:///app.db?mode=ro").into_bytes(),
        format!("\0{dotenv}\0512MiB\0file:///app.db").into_bytes(),
        b"\0\0$HOME/${X}/a.db\0sqlite+aiosqlite:///file:%61.db?uri=true".to_vec(),
        b"[backup]\ncheck = \"quick\"\nthreads = 0x4\n\0\0app_20250804T163829Z.tar.gz\0Europe/Berlin".to_vec(),
    ]
}

fn databases() -> Vec<Vec<u8>> {
    let schemas = [
        "CREATE TABLE t(x); CREATE TABLE \u{e4}\u{f6}\u{fc}\u{df}\u{e4}\u{f6}\u{fc}\u{df}(x)",
        "PRAGMA auto_vacuum=1; CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE CHECK (length(text) > \
         0)); \
         INSERT INTO t VALUES (1, 'one'), (2, 'two'); CREATE VIEW v AS SELECT * FROM t; \
         CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE id = 3; END;",
        "PRAGMA encoding='UTF-16le'; CREATE TABLE a(x PRIMARY KEY) WITHOUT ROWID; INSERT INTO a VALUES \
         (zeroblob(2000)); \
         CREATE TABLE b(y REFERENCES a(x)); INSERT INTO b VALUES (7);",
    ];
    let made = schemas.map(|schema| {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(&format!("PRAGMA foreign_keys=off; PRAGMA page_size=512; {schema}")).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        connection.execute("VACUUM INTO ?", [file.path().to_str().unwrap()]).unwrap();
        std::fs::read(file.path()).unwrap()
    });
    made.to_vec()
}
