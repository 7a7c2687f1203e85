//! Compares `man/heirloom-archive.5` with the archives that the tool writes, and the archives with the system's own
//! tools.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use heirloom::label::Label;
use heirloom::metadata::{DatabaseMetadata, Extent, Metadata, Replaces};
use serde_json::Value;

use crate::world::World;

/// Backs up two databases of real size and returns the folder, the archive and its metadata.
fn archive() -> (World, PathBuf, Value) {
    archive_as("gzip", "xzOf")
}

/// The same with another compression, and the flags of tar that print an entry.
fn archive_as(compression: &str, print: &str) -> (World, PathBuf, Value) {
    let world = World::new();
    let folder = world.work();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/real/chinook.sqlite");
    fs::copy(real, folder.join("chinook.sqlite")).unwrap();
    world.sql(
        "second.db",
        "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1), (2); CREATE VIEW v AS SELECT x FROM t;",
    );
    let backup = ["backup", "chinook.sqlite", "second.db", "--set", "shop", "--json", "--note", "a note"];
    let backup = backup.iter().copied().chain(["--compression", compression]);
    let document = world.heirloom(backup).success().json();
    let archive = folder.join(document["archive"].as_str().unwrap());
    let print: Vec<&str> = print.split(' ').chain([archive.to_str().unwrap(), "backup_metadata.json"]).collect();
    let metadata = run(&folder, "tar", &print);
    let metadata = serde_json::from_str(&metadata).unwrap();
    (world, archive, metadata)
}

#[track_caller]
fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the fields that a section of the page describes.
fn described(page: &str, section: &str) -> BTreeSet<String> {
    let start = page.find(&format!(".SS {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let rest = &page[start + 4..];
    let end = rest.find("\n.SS ").or_else(|| rest.find("\n.SH ")).unwrap_or(rest.len());
    let lines: Vec<&str> = rest[..end].lines().collect();
    let terms = lines.windows(2).filter(|pair| pair[0] == ".TP").filter_map(|pair| pair[1].strip_prefix(".B "));
    terms.map(str::to_owned).collect()
}

fn fields(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_page_describes_exactly_the_fields_that_are_written() {
    let (_, _, metadata) = archive();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/heirloom-archive.5")).unwrap();
    assert_eq!(described(&page, "The archive"), fields(&metadata));
    assert_eq!(described(&page, "A database"), fields(&metadata["databases"][0]));
    assert_eq!(described(&page, "A table"), fields(&metadata["databases"][0]["tables"][0]));

    // What is not in this one, because it is a first backup of one application.
    let mut full: Metadata = serde_json::from_value(metadata.clone()).unwrap();
    full.replaces = Some(Replaces { restore: String::new(), archive: String::new(), targets: Vec::new() });
    full.databases[0].stream_by_file = true;
    full.databases[0].acl = Some(String::new());
    full.databases[0].previous = Some(Extent { rows: None, bytes: 0 });
    let full = serde_json::to_value(full).unwrap();
    let more = |full: &Value, first: &Value| -> BTreeSet<String> {
        fields(full).difference(&fields(first)).cloned().collect()
    };
    let mut sometimes = more(&full, &metadata);
    sometimes.extend(more(&full["databases"][0], &metadata["databases"][0]));
    assert_eq!(described(&page, "Only in some archives"), sometimes);
}

#[test]
fn the_page_describes_exactly_the_fields_of_a_label() {
    let (_, _, metadata) = archive();
    let mut metadata: Metadata = serde_json::from_value(metadata).unwrap();
    metadata.includes.insert("absent".parse().unwrap(), false);
    metadata.databases[0].stream_by_file = true;
    metadata.databases[0].integrity = heirloom::metadata::Integrity::Damaged;
    metadata.databases[0].previous = Some(Extent { rows: None, bytes: 0 });
    let id = heirloom::names::ArchiveId::of_metadata(b"");
    let recipients = ["age1".to_owned()];
    let label = serde_json::to_value(Label::of(&metadata, id, &recipients)).unwrap();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/heirloom-archive.5")).unwrap();
    assert_eq!(described(&page, "The label"), fields(&label));
    assert_eq!(described(&page, "A database of the label"), fields(&label["databases"][0]));

    let one = metadata.databases[0].clone();
    metadata.databases.extend((0..200).map(|number| DatabaseMetadata { file: format!("{number}.db"), ..one.clone() }));
    let label = serde_json::to_value(Label::of(&metadata, id, &recipients)).unwrap();
    assert_eq!(described(&page, "The sum of many databases"), fields(&label["databases"]));
}

#[test]
fn tar_and_sqlite3_alone_restore_it() {
    let (world, archive, metadata) = archive();
    let folder = world.work();
    fs::create_dir(folder.join("restored")).unwrap();
    let archive = archive.to_str().unwrap();
    let entries = run(&folder, "tar", &["tzf", archive]);
    assert_eq!(
        entries.lines().collect::<Vec<_>>(),
        ["backup_metadata.json", "chinook.sqlite", "second.db", "RESTORE.txt"]
    );
    run(&folder, "gzip", &["-t", archive]);
    run(&folder, "tar", &["xzf", archive, "-C", "restored"]);
    for database in metadata["databases"].as_array().unwrap() {
        let file = format!("restored/{}", database["file"].as_str().unwrap());
        assert_eq!(run(&folder, "sqlite3", &[&file, "PRAGMA integrity_check"]).trim(), "ok");
        for table in database["tables"].as_array().unwrap() {
            let count = format!("SELECT count(*) FROM \"{}\"", table["name"].as_str().unwrap());
            assert_eq!(run(&folder, "sqlite3", &[&file, &count]).trim(), table["rows"].to_string());
        }
    }
    // Compared before sqlite3 opened them: a WAL database is written to on close.
    let sums = run(
        &folder,
        "sh",
        &[
            "-c",
            &format!("tar xzOf '{archive}' chinook.sqlite | sha256sum; tar xzOf '{archive}' second.db | sha256sum"),
        ],
    );
    let sums: Vec<&str> = sums.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    let recorded: Vec<&str> =
        metadata["databases"].as_array().unwrap().iter().map(|database| database["sha256"].as_str().unwrap()).collect();
    assert_eq!(sums, recorded);
}

#[test]
fn python_reads_it_and_finds_the_member_sizes() {
    let (world, archive, metadata) = archive();
    let folder = world.work();
    let script = r#"
import gzip, hashlib, io, json, struct, sys, tarfile
raw = open(sys.argv[1], "rb").read()
# Every member says its own size, and each lands on the next gzip magic.
at, members = 0, []
while at < len(raw):
    assert raw[at:at + 4] == b"\x1f\x8b\x08\x04", at
    xlen, ident, length, size = struct.unpack("<H2sHI", raw[at + 10:at + 20])
    assert (xlen, ident, length) == (8, b"IG", 4), at
    members.append(gzip.decompress(raw[at:at + size]))
    at += size
assert at == len(raw)
assert all(len(m) <= 1024 * 1024 + 511 for m in members[1:]), "a member is too large"
with tarfile.open(sys.argv[1], "r:gz") as tar:
    names = [m.name for m in tar]
    assert all(m.isreg() for m in tar)
    meta = json.load(tar.extractfile(names[0]))
    assert len(members[0]) == 512 + tar.getmember(names[0]).size
    sums = [hashlib.sha256(tar.extractfile(d["file"]).read()).hexdigest() for d in meta["databases"]]
assert gzip.open(sys.argv[1]).read() == b"".join(members)
print(json.dumps([names, sums]))
"#;
    let printed = run(&folder, "python3", &["-c", script, archive.to_str().unwrap()]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let recorded: Vec<&Value> =
        metadata["databases"].as_array().unwrap().iter().map(|database| &database["sha256"]).collect();
    assert_eq!(printed[0][0], "backup_metadata.json");
    assert_eq!(printed[1].as_array().unwrap().iter().collect::<Vec<_>>(), recorded);
}

#[test]
fn zstd_and_tar_read_frames_and_the_seek_table_gives_their_sizes() {
    let (world, archive, metadata) = archive_as("zstd", "--zstd -xOf");
    let folder = world.work();
    let script = r#"
import hashlib, io, json, struct, subprocess, sys, tarfile
raw = open(sys.argv[1], "rb").read()
unpack = lambda data: subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
count, flags, magic = struct.unpack("<IBI", raw[-9:])
assert (flags, magic) == (0, 0x8F92EAB1)
table = len(raw) - 9 - 8 * count - 8
assert struct.unpack("<II", raw[table:table + 8]) == (0x184D2A5E, 8 * count + 9)
at, frames = 0, []
for number in range(count):
    packed, size = struct.unpack_from("<II", raw, table + 8 + 8 * number)
    flags = raw[at + 4]
    assert raw[at:at + 4] == b"\x28\xb5\x2f\xfd" and flags & 0x3f == 0x24, at
    width = 4 if number == 0 else 1 if size < 256 else 2 if size < 65792 else 4
    given = int.from_bytes(raw[at + 5:at + 5 + width], "little") + (256 if width == 2 else 0)
    assert (flags >> 6, given) == ({1: 0, 2: 1, 4: 2}[width], size), number
    frames.append(unpack(raw[at:at + packed]))
    assert len(frames[-1]) == size, number
    at += packed
assert at == table
# The metadata in raw blocks: each gives its size, and its bytes follow.
place, left = 9, len(frames[0])
while left:
    block = int.from_bytes(raw[place:place + 3], "little")
    size = min(left, 128 * 1024)
    assert block == size << 3 | (left == size), place
    left -= size
    place += 3 + size
whole = unpack(raw)
assert whole == b"".join(frames)
with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
    names = [m.name for m in tar]
    meta = json.load(tar.extractfile(names[0]))
    assert len(frames[0]) == 512 + tar.getmember(names[0]).size
    sums = [hashlib.sha256(tar.extractfile(d["file"]).read()).hexdigest() for d in meta["databases"]]
print(json.dumps([names, sums, len(frames)]))
"#;
    let printed = run(&folder, "python3", &["-c", script, archive.to_str().unwrap()]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let recorded: Vec<&Value> =
        metadata["databases"].as_array().unwrap().iter().map(|database| &database["sha256"]).collect();
    assert_eq!(printed[0], serde_json::json!(["backup_metadata.json", "chinook.sqlite", "second.db", "RESTORE.txt"]));
    assert_eq!(printed[1].as_array().unwrap().iter().collect::<Vec<_>>(), recorded);
    assert!(printed[2].as_u64().unwrap() > 5, "one frame for each tar header, and one for each MiB");
    let text = run(&folder, "tar", &["--zstd", "-xOf", archive.to_str().unwrap(), "RESTORE.txt"]);
    assert!(text.contains("zstd -dc ARCHIVE.tar.zst | tar xf -"), "{text}");
}
