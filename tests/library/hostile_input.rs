//! Properties of all code that reads untrusted input: archives of all forms, metadata, configuration, names.
//!
//! For any bytes: no panic, no hang, and nothing bad is accepted as good. `PROPTEST_CASES` sets the number of cases.
//! `scripts/fuzz.sh` runs the same checks (`tests/library/hostile`) with libFuzzer, which finds what random inputs do
//! not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use chrono_tz::Tz;
use heirloom::archive::{Archive, Opener, ReadDatabase};
use heirloom::names::Name;
use heirloom::progress::Silent;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::hostile;

/// An archive of this tool of each compression; the same content as a file of one gzip and one Zstandard of another
/// tool; a plain database.
static SAMPLES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("app.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t SELECT i, \
                hex(i * i) FROM n;";
    connection.execute_batch(&format!("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT); {rows}")).unwrap();
    connection.close().unwrap();
    let backup = |args: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_heirloom"))
            .args(["backup", "app.db"])
            .args(args)
            .current_dir(folder.path())
            .env("HEIRLOOM_STATE_DIR", folder.path().join("state"))
            .status();
        assert!(done.unwrap().success());
    };
    backup(&["--name", "one.tar.gz"]);
    backup(&["--no-compress", "--name", "two.tar"]);
    backup(&["--compression", "zstd", "--name", "one.tar.zst"]);
    let read = |name: &str| std::fs::read(folder.path().join("backups").join(name)).unwrap();
    let tar = read("two.tar");
    let mut foreign = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    foreign.write_all(&tar).unwrap();
    let other = hostile::packing::zstd(&tar);
    vec![
        ("one.tar.gz", read("one.tar.gz")),
        ("two.tar", tar),
        ("foreign.tar.gz", foreign.finish().unwrap()),
        ("one.tar.zst", read("one.tar.zst")),
        ("foreign.tar.zst", other),
        ("plain.db", std::fs::read(&database).unwrap()),
    ]
});

/// Reads an archive as verify does; returns its databases if all of it was accepted.
fn accepted(name: &str, bytes: Vec<u8>) -> Option<Vec<ReadDatabase>> {
    let threads = NonZeroUsize::new(2).unwrap();
    let archive = Opener::new(Tz::UTC).open(Arc::new(bytes), name, DateTime::UNIX_EPOCH).ok()?;
    archive.read_through(threads, &Silent).ok().filter(|read| read.oddities.is_empty()).map(|read| read.databases)
}

fn is_accepted(name: &str, bytes: Vec<u8>) -> bool {
    accepted(name, bytes).is_some()
}

/// A change to bytes: some replaced, some removed, some repeated.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, u8),
    Cut(Index, u16),
    Repeat(Index, u16),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        1 => (any::<Index>(), any::<u16>()).prop_map(|(at, count)| Change::Cut(at, count)),
        1 => (any::<Index>(), any::<u16>()).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Replace(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Change::Cut(at, count) => {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + usize::from(*count));
            bytes.drain(at..end);
        }
        Change::Repeat(at, count) => {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + usize::from(*count));
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

/// Recompresses the bytes of a tar with a valid CRC, so that the code behind it is reached.
fn repacked(tar: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn the_samples_are_good() {
    for (name, bytes) in SAMPLES.iter() {
        assert!(is_accepted(name, bytes.clone()), "{name}");
    }
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(&SAMPLES[0].1[..]).read_to_end(&mut unpacked).unwrap();
    assert!(is_accepted("again.tar.gz", repacked(&unpacked)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_archive_is_never_accepted_as_good(sample in 0_usize..5, changes in vec(change(), 1..6)) {
        let (name, good) = &SAMPLES[sample];
        let mut bytes = good.clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        prop_assume!(bytes != *good);
        let read = accepted(name, bytes);
        // No digest covers the time in another tool's gzip header, or texts and zeros of a bare tar. Of our archives,
        // every byte is covered.
        prop_assert!(read.is_none() || !name.starts_with("one"), "{name} was accepted after {changes:?}");
        prop_assert!(read.is_none() || read == accepted(name, good.clone()), "{name} gave another database after \
            {changes:?}");
    }

    #[test]
    fn a_changed_tar_in_a_valid_gzip_or_zstd_returns_the_same_database_or_none(changes in vec(change(), 1..4)) {
        let good = &SAMPLES[1].1;
        let mut bytes = good.clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        prop_assume!(bytes != *good);
        // Parts without a digest (the note, the instructions) may differ: a plain digest detects accidents, not
        // attackers.
        for repacked in [repacked(&bytes), hostile::packing::zstd(&bytes)] {
            let read = accepted("repacked.tar.gz", repacked);
            prop_assert!(read.is_none() || read == accepted("two.tar", good.clone()), "accepted after {changes:?}");
        }
    }

    #[test]
    fn any_bytes_under_any_ending_are_read_without_a_panic(
        bytes in vec(any::<u8>(), 0..4096),
        head in 0_usize..8,
        ending in 0_usize..4,
    ) {
        let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff";
        let heads: [&[u8]; 8] = [
            b"",
            b"\x1f\x8b\x08\x04",
            gzip,
            b"SQLite format 3\0",
            b"backup_metadata.json\0",
            b"\x28\xb5\x2f\xfd",
            b"\x28\xb5\x2f\xfd\xa4",
            b"\x5e\x2a\x4d\x18\x04\0\0\0",
        ];
        let whole = [heads[head], &bytes].concat();
        let name = ["a.tar.gz", "a.tar", "a.db", "a.db.gz"][ending];
        prop_assert!(head == 3 || !is_accepted(name, whole.clone()) || ending > 1);
        is_accepted("b.tar.gz", repacked(&whole));
        is_accepted("b.tar.zst", hostile::packing::zstd(&whole));
    }

    #[test]
    fn any_metadata_is_read_without_a_panic(changes in vec(change(), 0..6), cut in any::<Index>()) {
        let tar = &SAMPLES[1].1;
        let mut json = tar[512..512 + 4096.min(tar.len() - 512)].to_vec();
        changes.iter().for_each(|change| apply(&mut json, change));
        json.truncate(cut.index(json.len() + 1));
        hostile::metadata::check(&json);
    }

    #[test]
    fn any_configuration_is_read_without_a_panic(
        text in "([a-z_.]{1,12}|\\[{1,2}[a-z.\"]{0,12}\\]{0,2}|=|\"[^\"]{0,9}\"|[0-9]{1,25}|\\$[A-Z]{0,5}|[ \
                 \\n,{}'#]|\\PC){0,60}",
    ) {
        hostile::config::check(text.as_bytes());
    }

    #[test]
    fn a_name_that_is_accepted_stays_in_its_folder(text in "\\PC{0,80}|[./~a-z\\x00-\\x20-]{0,12}") {
        hostile::config::names(&text);
    }

    #[test]
    fn changed_seeds_of_the_fuzzers_violate_no_property(
        target in 0_usize..5,
        seed in any::<Index>(),
        changes in vec(change(), 0..5),
    ) {
        let (name, check) = TARGETS[target];
        let seeds = &SEEDS[target];
        let mut input = seeds[seed.index(seeds.len())].clone();
        changes.iter().for_each(|change| apply(&mut input, change));
        prop_assert!(std::panic::catch_unwind(|| check(&input)).is_ok(), "{name} breaks on {input:?}");
    }
}

type Check = fn(&[u8]);

/// The targets of `tests/fuzz`.
const TARGETS: [(&str, Check); 5] = [
    ("archive", |input| hostile::archives::check(&hostile::recipe::given(input))),
    ("legacy", |input| hostile::archives::check(&hostile::recipe::given(input))),
    ("metadata", hostile::metadata::check),
    ("config", hostile::config::check),
    ("database", hostile::databases::check),
];

static SEEDS: LazyLock<[Vec<Vec<u8>>; 5]> =
    LazyLock::new(|| TARGETS.map(|(target, _)| hostile::seeds::of(target).into_iter().map(|(_, seed)| seed).collect()));

#[test]
fn the_seeds_of_the_fuzzers_satisfy_all_properties_and_most_archives_are_good() {
    for ((_, check), seeds) in TARGETS.iter().zip(SEEDS.iter()) {
        seeds.iter().for_each(|seed| check(seed));
    }
    for archives in &SEEDS[..2] {
        let good = |seed: &&Vec<u8>| hostile::archives::read(&hostile::recipe::given(seed), 1, Tz::UTC).is_some();
        let count = archives.iter().filter(good).count();
        assert!(count * 10 >= archives.len() * 7, "{count} of {} seeds are archives", archives.len());
    }
}

/// Bugs found by the fuzzers and by code review; each was a panic, a wrong number, too much memory, or an archive that
/// two tools read differently.
mod found {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use heirloom::archive::ArchiveError;
    use heirloom::archive::limits::MAX_MEMBER_BYTES;
    use heirloom::config::FileLayer;
    use heirloom::metadata::{Metadata, TableMetadata};

    use super::*;
    use crate::hostile::recipe::{Given, database, sample};
    use crate::hostile::{archives, metadata, packing};

    fn opened(bytes: Vec<u8>) -> Result<Archive, ArchiveError> {
        Opener::new(Tz::UTC).open(Arc::new(bytes), "a.tar.gz", DateTime::UNIX_EPOCH)
    }

    #[test]
    fn rows_and_sizes_that_overflow_have_no_sum() {
        let mut databases: Vec<_> = ["a.db", "b.db", "c.db"].map(|file| database(file, b"")).into();
        databases.iter_mut().for_each(|database| database.bytes = i64::MAX as u64 / 512 * 512);
        databases[0].tables = vec![TableMetadata { name: "t".into(), rows: Some(u64::MAX) }; 2];
        assert_eq!(databases[0].rows(), None);
        let json = serde_json::to_vec(&sample(databases)).unwrap();
        for given in metadata::archives(&json) {
            let seen = Opener::new(Tz::UTC).open(given.bytes.clone(), &given.name, DateTime::UNIX_EPOCH);
            assert_eq!(seen.is_ok(), given.name != "old.tar.gz");
            assert!(archives::read(&given, 1, Tz::UTC).is_none());
            if let Ok(archive) = seen {
                let scratch = tempfile::tempdir().unwrap();
                let verified = heirloom::ops::verify::verify(
                    &archive,
                    heirloom::ops::verify::VerifyDepth::Quick,
                    scratch.path(),
                    NonZeroUsize::MIN,
                    &Silent,
                );
                assert_eq!(verified.unwrap().state, heirloom::ops::verify::ArchiveState::Damaged);
            }
        }
    }

    #[test]
    fn two_names_or_sizes_for_one_entry_are_refused() {
        let record = |key: &str, value: &str| {
            let length = key.len() + value.len() + 3;
            format!("{} {key}={value}\n", length + (length + 1).to_string().len())
        };
        for records in
            [record("path", "user_data.db") + &record("path", "app.db"), record("size", "512") + &record("size", "512")]
        {
            let mut tar = Vec::new();
            packing::append(&mut tar, b"pax", b'x', records.len() as u64, records.as_bytes());
            packing::append(&mut tar, b"user_data.db", b'0', 512, &[0; 512]);
            tar.resize(tar.len() + 1024, 0);
            assert!(matches!(opened(packing::gzip(&tar)), Err(ArchiveError::Hostile { .. })), "{records:?}");
        }
        let mut tar = Vec::new();
        let records = record("path", "app.db");
        packing::append(&mut tar, b"pax", b'x', records.len() as u64, records.as_bytes());
        packing::append(&mut tar, b"././@LongLink", b'L', 13, b"user_data.db\0");
        packing::append(&mut tar, b"x", b'0', 0, b"");
        assert!(matches!(opened(packing::gzip(&tar)), Err(ArchiveError::Hostile { .. })));
    }

    #[test]
    fn a_long_name_that_readers_end_at_different_places_is_refused() {
        let mut contents = [0; 512];
        contents[..18].copy_from_slice(b"SQLite format 3\0\x02\0");
        contents[28..32].copy_from_slice(&1_u32.to_be_bytes());
        for (name, whole) in [
            (&b"user_data.db\0"[..], true),
            (b"user_data.db", true),
            (b"user_data.db\0app.db\0", false),
            (b"user_data.db\0\0", false),
        ] {
            let mut tar = Vec::new();
            packing::append(&mut tar, b"././@LongLink", b'L', name.len() as u64, name);
            packing::append(&mut tar, b"x", b'0', 512, &contents);
            tar.resize(tar.len() + 1024, 0);
            match opened(packing::gzip(&tar)) {
                Ok(archive) => {
                    assert!(whole && archive.contents().databases[0].file == "user_data.db", "{name:?} was accepted")
                }
                Err(error) => assert!(!whole && matches!(error, ArchiveError::Hostile { .. }), "{name:?}: {error}"),
            }
        }
    }

    #[test]
    fn a_list_of_empty_items_takes_no_memory() {
        let mut one = sample(vec![database("app.db", b"one")]);
        one.databases[0].findings = vec![String::new(); 10_000];
        serde_json::from_slice::<Metadata>(&serde_json::to_vec(&one).unwrap()).unwrap();
        one.databases[0].findings.push(String::new());
        let error = serde_json::from_slice::<Metadata>(&serde_json::to_vec(&one).unwrap()).unwrap_err();
        assert!(error.to_string().contains("10000 findings"), "{error}");
        // A parsed tree of the old tool's metadata takes many times the length of its text.
        let old = |rest: &str| {
            format!(r#"{{"backup_name":"a","created_at":"2025-08-04T16:38:29","includes":{{}},"x":[0{rest}]}}"#)
        };
        let [.., small] = metadata::archives(old(&",0".repeat(100_000)).as_bytes());
        assert!(archives::read(&small, 1, Tz::UTC).is_some());
        let [.., large] = metadata::archives(old(&",0".repeat(200_000)).as_bytes());
        assert!(matches!(opened(large.bytes.to_vec()), Err(ArchiveError::Hostile { .. })));
    }

    #[test]
    fn at_most_ten_missing_databases_are_listed() {
        let mut one = sample(vec![database("app.db", b"one")]);
        one.includes = (0..1000).map(|number| (Name::new(format!("n{number}")).unwrap(), true)).collect();
        let [ours, ..] = metadata::archives(&serde_json::to_vec(&one).unwrap());
        let archive = opened(ours.bytes.to_vec()).unwrap();
        assert_eq!(archive.contents().oddities.len(), 10);
    }

    #[test]
    fn names_and_causes_are_shortened_for_display() {
        let long = "n".repeat(50_000);
        let json = serde_json::to_string(&sample(vec![database("app.db", b"one")])).unwrap();
        for json in [json.replace("app.db", &long), json.replace("\"manual\"", &format!("\"{long}\""))] {
            for given in metadata::archives(json.as_bytes()) {
                let Err(error) = opened(given.bytes.to_vec()) else { panic!("it was opened") };
                assert!(error.to_string().len() < 1000, "{} bytes", error.to_string().len());
            }
        }
    }

    #[test]
    fn an_overlong_name_is_refused() {
        for (bytes, refused) in [(1000, false), (1025, true)] {
            let name = [&b"n".repeat(bytes)[..], b"\0"].concat();
            let mut tar = Vec::new();
            packing::append(&mut tar, b"user_data.db", b'0', 512, &[&b"SQLite format 3\0"[..], &[0; 496]].concat());
            packing::append(&mut tar, b"././@LongLink", b'L', name.len() as u64, &name);
            packing::append(&mut tar, b"x", b'0', 0, b"");
            tar.resize(tar.len() + 1024, 0);
            let given = Given { bytes: Arc::new(packing::gzip(&tar)), name: "a.tar.gz".into() };
            assert_eq!(archives::read(&given, 1, Tz::UTC).is_none(), refused, "{bytes}");
        }
    }

    /// Members of 16 MiB are valid in the format, but not many at once: eight threads took 250 MB.
    #[test]
    fn the_largest_members_take_no_more_memory_than_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let contents = [&b"SQLite format 3\0"[..], &vec![0; 8 * MAX_MEMBER_BYTES - 16]].concat();
        let mut json = serde_json::to_vec(&sample(vec![database("app.db", &contents)])).unwrap();
        json.resize((json.len() + 1).next_multiple_of(512) - 1, b' ');
        json.push(b'\n');
        let mut tar = Vec::new();
        packing::append(&mut tar, b"backup_metadata.json", b'0', json.len() as u64, &json);
        packing::append(&mut tar, b"app.db", b'0', contents.len() as u64, &contents);
        packing::append(&mut tar, b"RESTORE.txt", b'0', 0, b"");
        tar.resize(tar.len() + 1024, 0);
        let (mut frames, sizes) = packing::frames(&tar, MAX_MEMBER_BYTES);
        frames.extend(packing::seek_table(sizes, [0; 4]));
        for (large, name) in [(packing::members(&tar, MAX_MEMBER_BYTES), "large.tar.gz"), (frames, "large.tar.zst")] {
            assert!(is_accepted(name, large.clone()));
            std::fs::write(folder.path().join(name), large).unwrap();
        }
        std::fs::write(folder.path().join("heirloom.toml"), "[backup]\nthreads = 8\n").unwrap();

        if !crate::tools::installed("the memory that a large archive takes", &["time"]) {
            return;
        }
        for name in ["large.tar.gz", "large.tar.zst"] {
            assert!(memory(folder.path(), name) < 64, "{name}: {} MiB", memory(folder.path(), name));
        }
    }

    /// Verifies an archive with the configuration beside it; returns how many MiB of memory that took.
    fn memory(folder: &Path, name: &str) -> u64 {
        let mut timed = Command::new("/usr/bin/time");
        timed.args(["-f", "%M", env!("CARGO_BIN_EXE_heirloom"), "--config", "heirloom.toml", "verify"]);
        let output = timed.args(["--depth", "quick", name]).current_dir(folder).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        text.lines().last().unwrap().parse::<u64>().unwrap() / 1024
    }

    /// What `zstd --long` asks for is the most that a file of another tool takes.
    #[test]
    fn the_largest_window_takes_its_size_in_memory_and_not_more() {
        if !crate::tools::installed("the memory that a large window takes", &["time"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut database = b"SQLite format 3\0\x02\0".to_vec();
        database.resize(300 << 20, 0);
        database[28..32].copy_from_slice(&(600_u32 << 10).to_be_bytes());
        let mut zstd = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        zstd.window_log(27).unwrap();
        zstd.write_all(&database).unwrap();
        std::fs::write(folder.path().join("large.db.zst"), zstd.finish().unwrap()).unwrap();
        std::fs::write(folder.path().join("heirloom.toml"), "").unwrap();
        let used = memory(folder.path(), "large.db.zst");
        assert!(used < 128 + 32, "{used} MiB");
    }

    /// A seek table is believed only as far as it fits the file.
    #[test]
    fn a_seek_table_that_claims_more_than_the_file_holds_is_refused() {
        let given = crate::hostile::recipe::given(&[0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert!(is_accepted("a.tar.zst", given.bytes.to_vec()));
        let footer = given.bytes.len() - 9;
        for count in [u32::MAX, u32::MAX / 8, 1 << 20, 5, 1, 0] {
            let mut bad = given.bytes.to_vec();
            bad[footer..footer + 4].copy_from_slice(&count.to_le_bytes());
            assert!(!is_accepted("a.tar.zst", bad), "{count} frames");
        }
    }

    /// A file of the maximum length; recounting its lines for each setting took minutes.
    #[test]
    fn a_long_configuration_is_read_quickly() {
        let started = Instant::now();
        for line in ["=1\n", "=\"x\"\n"] {
            let lines: String = (0..80_000).map(|number| format!("n{number:x}{line}")).collect();
            let text = format!("[sets.app.databases]\n{lines}");
            let (_, problems) = FileLayer::parse(std::path::Path::new("heirloom.toml"), &text);
            assert_eq!(problems.len(), if line.len() == 3 { 80_000 } else { 0 });
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
