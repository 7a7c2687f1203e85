//! Properties of everything that reads what others wrote: archives of all forms, metadata, configuration, names.
//!
//! Whatever the bytes are: no panic, no hang, and nothing is taken for good that is not. `PROPTEST_CASES` sets how many are tried.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use chrono_tz::Tz;
use heirloom::archive::{Archive, ReadDatabase};
use heirloom::config::{DotEnv, FileLayer, database_path};
use heirloom::metadata::Metadata;
use heirloom::names::{ArchiveName, Name, is_file_name, printable};
use heirloom::progress::Silent;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// An archive of this tool, gzipped and plain; the same content as one foreign gzip; a plain database.
static SAMPLES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("app.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t SELECT i, hex(i * i) FROM n;";
    connection.execute_batch(&format!("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT); {rows}")).unwrap();
    connection.close().unwrap();
    let backup = |args: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_heirloom")).args(["backup", "app.db"]).args(args).current_dir(folder.path()).status();
        assert!(done.unwrap().success());
    };
    backup(&["--name", "one.tar.gz"]);
    backup(&["--no-compress", "--name", "two.tar"]);
    let read = |name: &str| std::fs::read(folder.path().join("backups").join(name)).unwrap();
    let tar = read("two.tar");
    let mut foreign = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    foreign.write_all(&tar).unwrap();
    vec![
        ("one.tar.gz", read("one.tar.gz")),
        ("two.tar", tar),
        ("foreign.tar.gz", foreign.finish().unwrap()),
        ("plain.db", std::fs::read(&database).unwrap()),
    ]
});

/// Reads an archive as verify does; returns its databases, where all of it was accepted.
fn accepted(name: &str, bytes: Vec<u8>) -> Option<Vec<ReadDatabase>> {
    let threads = NonZeroUsize::new(2).unwrap();
    let archive = Archive::open(Arc::new(bytes), name, DateTime::UNIX_EPOCH, Tz::UTC).ok()?;
    archive.read_through(threads, &Silent).ok().filter(|read| read.oddities.is_empty()).map(|read| read.databases)
}

fn is_accepted(name: &str, bytes: Vec<u8>) -> bool {
    accepted(name, bytes).is_some()
}

/// A change to bytes: some replaced, some cut out, some repeated.
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

/// Gives the bytes between the tar and the gzip a CRC that is right, so that what lies below is reached.
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
    fn a_changed_archive_is_never_taken_for_a_good_one(sample in 0_usize..3, changes in vec(change(), 1..6)) {
        let (name, good) = &SAMPLES[sample];
        let mut bytes = good.clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        prop_assume!(bytes != *good);
        let read = accepted(name, bytes);
        // A foreign gzip has a time in its header, and a bare tar texts and zeros, that no digest covers. Of ours every byte is covered.
        prop_assert!(read.is_none() || sample > 0, "{name} was accepted after {changes:?}");
        prop_assert!(read.is_none() || read == accepted(name, good.clone()), "{name} gave another database after {changes:?}");
    }

    #[test]
    fn a_changed_tar_under_a_sound_gzip_gives_the_same_database_or_none(changes in vec(change(), 1..4)) {
        let good = &SAMPLES[1].1;
        let mut bytes = good.clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        prop_assume!(bytes != *good);
        // What no digest covers (the note, the instructions) may differ: a plain digest finds accidents, not attackers.
        let read = accepted("repacked.tar.gz", repacked(&bytes));
        prop_assert!(read.is_none() || read == accepted("two.tar", good.clone()), "accepted after {changes:?}");
    }

    #[test]
    fn any_bytes_under_any_ending_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..4096), head in 0_usize..5, ending in 0_usize..4) {
        let heads: [&[u8]; 5] = [b"", b"\x1f\x8b\x08\x04", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", b"SQLite format 3\0", b"backup_metadata.json\0"];
        let whole = [heads[head], &bytes].concat();
        prop_assert!(head == 3 || !is_accepted(["a.tar.gz", "a.tar", "a.db", "a.db.gz"][ending], whole.clone()) || ending > 1);
        is_accepted("b.tar.gz", repacked(&whole));
    }

    #[test]
    fn any_metadata_is_read_without_a_panic(changes in vec(change(), 0..6), cut in any::<Index>()) {
        let tar = &SAMPLES[1].1;
        let mut json = tar[512..512 + 4096.min(tar.len() - 512)].to_vec();
        changes.iter().for_each(|change| apply(&mut json, change));
        json.truncate(cut.index(json.len() + 1));
        let _ = serde_json::from_slice::<Metadata>(&json);
    }

    #[test]
    fn any_configuration_is_read_without_a_panic(
        text in "([a-z_.]{1,12}|\\[{1,2}[a-z.\"]{0,12}\\]{0,2}|=|\"[^\"]{0,9}\"|[0-9]{1,25}|\\$[A-Z]{0,5}|[ \\n,{}'#]|\\PC){0,60}",
    ) {
        let (_, problems) = FileLayer::parse(Path::new("/etc/heirloom/heirloom.toml"), &text);
        for problem in problems {
            let _ = format!("{problem:?}");
        }
        let _ = DotEnv::parse(&text);
        let _ = database_path(&text);
    }

    #[test]
    fn a_name_that_is_accepted_stays_in_its_folder(text in "\\PC{0,80}|[./~a-z\\x00-\\x20-]{0,12}") {
        if is_file_name(&text) {
            prop_assert!(!text.contains('/') && text != "." && text != ".." && !text.contains('\0'));
        }
        if let Ok(name) = ArchiveName::new(text.clone()) {
            prop_assert!(is_file_name(name.as_str()));
        }
        if let Ok(name) = Name::new(text.clone()) {
            prop_assert!(name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
        }
        prop_assert!(printable(&text).chars().all(|letter| !letter.is_control()));
    }
}
