//! Builds archives from a few bytes: each byte decides something, so that a changed byte is a changed archive and not
//! only a wrong CRC.
//!
//! Missing bytes at the end of a recipe count as zeros, and zero is the good choice everywhere: an empty recipe is
//! almost a good archive, and a short one has few oddities.

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use heirloom::digest::Sha256;
use heirloom::metadata::{DatabaseMetadata, FORMAT, Integrity, Kind, Metadata, TableMetadata};
use heirloom::names::{METADATA_ENTRY, Name, RESTORE_ENTRY};

use super::packing::{self, BLOCK};

/// A file as a store would return it.
pub struct Given {
    /// Its bytes.
    pub bytes: Arc<Vec<u8>>,
    /// Its name.
    pub name: String,
}

/// Consumes an input from front to back.
struct Recipe<'a>(&'a [u8]);

impl<'a> Recipe<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> usize {
        usize::from(self.byte()) | usize::from(self.byte()) << 8
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

const ENDINGS: [&str; 8] = [".tar.gz", ".tar", ".db", ".gz", ".db.gz", ".tar.zst", ".sqlite3", ""];
const STEMS: [&str; 8] = [
    "app",
    "archerytools_backup_20250804_163829",
    "notes_20250330T023000Z",
    "backup-2025-10-26-023000",
    "app_20250804T163829Z-2",
    "_20250804_163829",
    "ä.tar",
    "20250804T163829Z20250804T163829Z",
];
const ENTRIES: [&[u8]; 20] = [
    b"app.db",
    b"user_data.db",
    b"arrow_database.db",
    b"second.db",
    METADATA_ENTRY.as_bytes(),
    RESTORE_ENTRY.as_bytes(),
    b"./user_data.db",
    b"././arrow_database.db",
    b"../user_data.db",
    b"/etc/passwd",
    b"folder/app.db",
    b"folder/",
    b"./",
    b".",
    b"",
    b"-rf.db",
    b"\x1b[2Japp.db",
    "\u{202e}bd.\u{e4}".as_bytes(),
    b"\xff\xfe.db",
    b"user_data.db\0hidden",
];
const KEYS: [&[u8]; 6] = [b"path", b"size", b"mtime", b"comment", b"GNU.sparse.size", b"linkpath"];

/// Builds a file from an input. The first byte decides how much of it is built: nothing, its wrapping, also its
/// checksums, or everything from the recipe.
pub fn given(input: &[u8]) -> Given {
    let mut recipe = Recipe(input);
    let (form, name) = (recipe.byte(), recipe.byte());
    let name = match name {
        255 => {
            let count = recipe.byte().into();
            String::from_utf8_lossy(recipe.bytes(count)).into_owned()
        }
        name => format!("{}{}", STEMS[usize::from(name / 8) % 8], ENDINGS[usize::from(name) % 8]),
    };
    let bytes = match form % 16 {
        0..=3 | 8..=11 => cooked(&mut recipe),
        4 | 12 => recipe.0.to_vec(),
        5 => packing::gzip(recipe.0),
        13 => packing::zstd(recipe.0),
        6 | 14 => wrapped(&mut recipe, |recipe| recipe.0.to_vec()),
        _ => wrapped(&mut recipe, |recipe| {
            let mut tar = recipe.0.to_vec();
            packing::mend_checksums(&mut tar);
            tar
        }),
    };
    Given { bytes: Arc::new(bytes), name }
}

/// Wraps a tar in a container, and changes bytes of both.
fn wrapped(recipe: &mut Recipe, tar: impl FnOnce(&mut Recipe) -> Vec<u8>) -> Vec<u8> {
    let (container, size, changes) = (recipe.byte(), recipe.byte(), recipe.byte());
    let inside: Vec<_> = (0..changes % 4).map(|_| (recipe.word(), recipe.byte())).collect();
    let outside: Vec<_> = (0..changes / 4 % 4).map(|_| (recipe.word(), recipe.byte())).collect();
    let mut table = [0; 4];
    if container % 8 == 7 {
        table.fill_with(|| recipe.byte());
    }
    let cut = if changes & 16 != 0 { recipe.word() } else { usize::MAX };
    let mut tar = tar(recipe);
    change(&mut tar, &inside);
    let member = BLOCK << ((u32::from(size) + 8) % 17);
    let mut packed = match container % 8 {
        0 => packing::members(&tar, member),
        1 => packing::gzip(&tar),
        2 => tar.chunks(usize::from(size) * 64 + 100).take(1000).flat_map(packing::gzip).collect(),
        3 => tar,
        4 | 7 => {
            let (mut packed, sizes) = packing::frames(&tar, member);
            packed.extend(packing::seek_table(sizes, table));
            packed
        }
        5 => packing::zstd(&tar),
        _ => {
            let part = |part: &[u8]| [packing::skippable(&part[..part.len().min(9)]), packing::zstd(part)].concat();
            tar.chunks(usize::from(size) * 64 + 100).take(1000).flat_map(part).collect()
        }
    };
    change(&mut packed, &outside);
    packed.truncate(cut);
    packed
}

fn change(bytes: &mut [u8], changes: &[(usize, u8)]) {
    for &(at, mask) in changes {
        let count = bytes.len();
        if count > 0 {
            bytes[at % count] ^= mask;
        }
    }
}

/// A database of the archive, as described in its metadata.
struct Part {
    file: String,
    contents: Vec<u8>,
    claim: u8,
}

fn cooked(recipe: &mut Recipe) -> Vec<u8> {
    let (database, plain) = (recipe.byte(), recipe.byte());
    if plain == 1 {
        // A plain database, compressed or not.
        let contents = contents(recipe);
        return match database % 4 {
            0 => contents,
            2 => packing::zstd(&contents),
            3 => contents.chunks(1000).flat_map(packing::zstd).collect(),
            _ => packing::gzip(&contents),
        };
    }
    wrapped(recipe, |recipe| {
        let (kind, end) = (recipe.byte(), recipe.byte());
        let mut body = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..40 {
            entry(recipe, &mut body, &mut parts);
            if recipe.0.is_empty() {
                break;
            }
        }
        let json = match kind % 4 {
            0 => json(&parts, kind & 128 != 0),
            1 => old_json(kind),
            _ => Vec::new(),
        };
        let mut tar = Vec::new();
        if !json.is_empty() && kind & 4 == 0 {
            packing::append(&mut tar, METADATA_ENTRY.as_bytes(), b'0', json.len() as u64, &json);
        }
        tar.append(&mut body);
        if !json.is_empty() && kind & 4 != 0 {
            packing::append(&mut tar, METADATA_ENTRY.as_bytes(), b'0', json.len() as u64, &json);
        }
        if kind % 4 == 0 && end & 1 == 0 {
            // It may claim to be longer than all following data.
            let claimed = [5, 5, 4, 600, 5000, 1 << 21, 1 << 40, u64::MAX >> 1][usize::from(end >> 4) % 8];
            packing::append(&mut tar, RESTORE_ENTRY.as_bytes(), b'0', claimed, b"text\n");
        }
        let zeros = match end >> 1 & 7 {
            0 => 2 * BLOCK,
            1 => 0,
            2 => BLOCK,
            3 => 3 * BLOCK + 100,
            4 => 1024 * 1024,
            5 => 1024 * 1024 + 2 * BLOCK,
            6 => 20 * BLOCK,
            _ => 2 * BLOCK - 1,
        };
        tar.resize(tar.len() + zeros, 0);
        tar
    })
}

fn entry(recipe: &mut Recipe, tar: &mut Vec<u8>, parts: &mut Vec<Part>) {
    let action = recipe.byte();
    match action % 8 {
        0 | 1 => {
            let (name, claim) = (name(recipe), recipe.byte());
            let contents = contents(recipe);
            packing::append(tar, &name, b'0', contents.len() as u64, &contents);
            parts.push(Part { file: String::from_utf8_lossy(&name).into_owned(), contents, claim });
        }
        2 => {
            let (name, kind, more) = (name(recipe), recipe.byte(), recipe.byte());
            let contents = contents(recipe);
            let claimed = match more {
                0 => contents.len() as u64,
                255 => u64::MAX >> (recipe.byte() % 64),
                more => contents.len() as u64 + u64::from(more) - 128_u64.min(contents.len() as u64),
            };
            packing::append(tar, &name, if kind == 0 { b'0' } else { kind }, claimed, &contents);
        }
        3 => {
            let mut records = Vec::new();
            let count = recipe.byte();
            for _ in 0..=count % 4 {
                let key = KEYS[usize::from(recipe.byte()) % KEYS.len()];
                let value = name(recipe);
                let length = key.len() + value.len() + 3;
                // It may claim to be shorter, or longer than the whole header.
                let (shorter, longer) = (usize::from(count) / 4 % 8, usize::from(count) / 32 * 40);
                let length = length + (length + 1).to_string().len() + longer - shorter;
                records.extend([length.to_string().as_bytes(), b" ", key, b"=", &value, b"\n"].concat());
            }
            packing::append(tar, b"pax", if action & 64 == 0 { b'x' } else { b'g' }, records.len() as u64, &records);
        }
        4 => {
            let name = [&name(recipe)[..], b"\0"].concat();
            packing::append(tar, b"././@LongLink", b'L', name.len() as u64, &name);
        }
        5 => {
            let count = recipe.word();
            let json = recipe.bytes(count);
            packing::append(tar, METADATA_ENTRY.as_bytes(), b'0', json.len() as u64, json);
        }
        6 => {
            let start = tar.len();
            let count = recipe.word() % (8 * BLOCK);
            tar.extend(recipe.bytes(count));
            tar.resize(tar.len().next_multiple_of(BLOCK), 0);
            packing::mend_checksums(&mut tar[start..]);
        }
        _ => {
            let name = name(recipe);
            let claimed = u64::from(recipe.byte());
            packing::append(tar, b"x", b'x', claimed, &name);
        }
    }
}

fn name(recipe: &mut Recipe) -> Vec<u8> {
    match recipe.byte() {
        255 => {
            let count = recipe.byte().into();
            recipe.bytes(count).to_vec()
        }
        254 => b"n".repeat(recipe.word()),
        index => ENTRIES[usize::from(index) % ENTRIES.len()].to_vec(),
    }
}

fn contents(recipe: &mut Recipe) -> Vec<u8> {
    match recipe.byte() % 8 {
        0..=3 => {
            let (pages, tweak) = (recipe.byte() % 16, recipe.byte());
            let mut database = b"SQLite format 3\0\x02\0".to_vec();
            let pages = usize::from(pages).max(1);
            database.resize(BLOCK * pages, 0);
            database[28..32].copy_from_slice(&(pages as u32).to_be_bytes());
            if tweak != 0 {
                let at = recipe.word() % database.len();
                database[at] = tweak;
            }
            database
        }
        4 | 5 => {
            let count = recipe.byte().into();
            recipe.bytes(count).to_vec()
        }
        6 => vec![recipe.byte(); recipe.word()],
        // Large ones are slow, and therefore rare.
        _ if recipe.byte() == 0xa5 => vec![recipe.byte(); 1 << (recipe.byte() % 26)],
        _ => Vec::new(),
    }
}

fn json(parts: &[Part], promise: bool) -> Vec<u8> {
    let mut metadata = sample(parts.iter().filter(|part| part.claim != 5).map(described).collect());
    if promise {
        metadata.includes.insert(Name::new("other").unwrap(), true);
    }
    let mut json = serde_json::to_vec(&metadata).unwrap();
    json.resize((json.len() + 1).next_multiple_of(BLOCK) - 1, b' ');
    json.push(b'\n');
    json
}

fn described(part: &Part) -> DatabaseMetadata {
    let mut database = database(&part.file, &part.contents);
    match part.claim {
        1 => database.bytes += 1,
        2 => database.bytes = u64::MAX >> 1,
        3 => database.sha256 = Sha256::of(b"another"),
        4 => database.name = Name::new("app").unwrap(),
        6 => database.file = "another.db".into(),
        7 => database.tables = vec![TableMetadata { name: "t".into(), rows: Some(u64::MAX) }; 2],
        8 => database.integrity = Integrity::Damaged,
        9 => database.bytes = u64::MAX,
        10 => database.offset = Some(0),
        11 => database.offset = Some(u64::MAX),
        _ => {}
    }
    database
}

/// Creates metadata that matches these databases.
pub fn sample(databases: Vec<DatabaseMetadata>) -> Metadata {
    Metadata {
        format: FORMAT,
        backup_name: "app_20250804T163829Z".into(),
        created_at: DateTime::UNIX_EPOCH,
        version: "0.1.0".into(),
        set: Name::new("app").unwrap(),
        kind: Kind::Manual,
        host: "host".into(),
        host_label: None,
        replaces: None,
        note: None,
        consistent_set: true,
        includes: databases.iter().map(|database| (database.name.clone(), true)).collect(),
        databases,
    }
}

/// Creates the metadata of one database.
pub fn database(file: &str, contents: &[u8]) -> DatabaseMetadata {
    DatabaseMetadata {
        name: Name::from_path(Path::new(file)),
        file: file.into(),
        source: format!("/app/{file}"),
        source_resolved: None,
        file_id: None,
        stream_by_file: false,
        previous: None,
        owner: None,
        group: None,
        mode: None,
        acl: None,
        bytes: contents.len() as u64,
        sha256: Sha256::of(contents),
        offset: None,
        page_size: 512,
        page_count: contents.len() as u64 / 512,
        freelist_count: 0,
        encoding: "UTF-8".into(),
        journal_mode: "wal".into(),
        auto_vacuum: "none".into(),
        application_id: 0,
        user_version: 7,
        schema_sha256: Sha256::of(b"schema"),
        sqlite_version: "3.51.3".into(),
        integrity: Integrity::Ok,
        check: None,
        findings: Vec::new(),
        foreign_key_violations: Some(0),
        vacuumed: false,
        table_count: 1,
        index_count: 0,
        trigger_count: 0,
        view_count: 0,
        tables: vec![TableMetadata { name: "bows".into(), rows: Some(12) }],
    }
}

/// Metadata of the old tool.
fn old_json(kind: u8) -> Vec<u8> {
    let (user, stats) = (kind & 8 == 0, kind & 16 != 0);
    let mut json = serde_json::json!({
        "backup_name": "archerytools_backup_20250804_163829",
        "created_at": "2025-08-04T16:38:29.591353",
        "version": if kind & 32 == 0 { "1.0.0" } else { "2" },
        "includes": {"arrow_database": kind & 64 != 0, "user_database": user},
    });
    if stats {
        json["user_db_stats"] =
            serde_json::json!({"table_count": 1, "tables": {"users": 40, "broken": "unknown", "less": -1}});
    }
    json.to_string().into_bytes()
}
