//! Writes and reads archives: round trips, other tools, and damage to every byte.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod compressions;
mod encrypted;
mod one_of_several;
mod refusals;
mod salvage;
mod seams;
mod zstd_frames;

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use heirloom::archive::format::MEMBER_BYTES;
use heirloom::archive::{Archive, ArchiveError, FileSink, Opener, ReadDatabase, WriteOptions, Writer, metadata_room};
use heirloom::compression::Compression;
use heirloom::digest::Sha256;
use heirloom::metadata::{DatabaseMetadata, FORMAT, Integrity, Kind, Metadata, TableMetadata};
use heirloom::names::Name;
use heirloom::progress::{Progress, Silent, Stage};
use heirloom::snapshot::Origin;
use heirloom::store::ReadAt;

use compressions::{EVERY, data_members, gzip, name_of, unpack_tar, zstd};

const THREADS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// An archive in memory, which counts how much of it is read.
struct Bytes {
    bytes: Vec<u8>,
    read: AtomicU64,
    calls: AtomicU64,
}

impl Bytes {
    fn new(bytes: impl Into<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self { bytes: bytes.into(), read: 0.into(), calls: 0.into() })
    }
}

impl ReadAt for Bytes {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(count)
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

fn time() -> DateTime<Utc> {
    "2025-08-04T16:38:29.591353Z".parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Bytes that compress about as well as a database.
fn contents(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut contents = Vec::with_capacity(bytes + 8);
    while contents.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match state >> 62 {
            0 => contents.extend_from_slice(&(state >> 20).to_le_bytes()),
            1 => contents.extend_from_slice(b"a row of text; "),
            _ => contents.extend_from_slice(&[0; 12]),
        }
    }
    contents.truncate(bytes);
    contents
}

fn describe(file: &str, contents: &[u8]) -> DatabaseMetadata {
    DatabaseMetadata {
        name: Name::from_path(Path::new(file)),
        file: file.into(),
        source: format!("/app/{file}"),
        source_resolved: Some(format!("/app/{file}")),
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
        page_size: 4096,
        page_count: contents.len() as u64 / 4096,
        freelist_count: 0,
        encoding: "UTF-8".into(),
        journal_mode: "wal".into(),
        auto_vacuum: "none".into(),
        application_id: 0,
        user_version: 7,
        schema_sha256: Sha256::of(b"schema"),
        sqlite_version: "3.54.1".into(),
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

fn metadata(databases: &[(&str, Vec<u8>)]) -> Metadata {
    let databases: Vec<_> = databases.iter().map(|(file, contents)| describe(file, contents)).collect();
    Metadata {
        format: FORMAT,
        backup_name: "app_20250804T163829Z".into(),
        created_at: time(),
        version: "0.1.0".into(),
        set: name("app"),
        kind: Kind::Manual,
        host: "api-1".into(),
        host_label: None,
        replaces: None,
        note: None,
        consistent_set: true,
        includes: databases.iter().map(|database| (database.name.clone(), true)).collect(),
        databases,
    }
}

fn file_with(contents: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(contents, 0).unwrap();
    file
}

fn bytes_of(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn write_with(
    databases: &[(&str, Vec<u8>)],
    metadata: &Metadata,
    compression: Compression,
    threads: NonZeroUsize,
) -> Vec<u8> {
    let file = tempfile::tempfile().unwrap();
    let options = WriteOptions { compression, threads };
    let mut writer =
        Writer::create(FileSink::new(file.try_clone().unwrap()), &options, time(), metadata_room(metadata)).unwrap();
    for (entry, contents) in databases {
        let added = writer.add_database(entry, &file_with(contents), contents.len() as u64, &Silent).unwrap();
        assert_eq!(added.sha256, Sha256::of(contents));
    }
    let bytes = writer.finish(metadata).unwrap().bytes();
    let archive = bytes_of(&file);
    assert_eq!(archive.len() as u64, bytes);
    archive
}

fn write(databases: &[(&str, Vec<u8>)], compression: Compression) -> Vec<u8> {
    write_with(databases, &metadata(databases), compression, THREADS)
}

fn open(archive: impl Into<Vec<u8>>) -> Result<Archive, ArchiveError> {
    Opener::new(chrono_tz::UTC).open(Bytes::new(archive), "app_20250804T163829Z.tar.gz", time())
}

fn open_as(archive: impl Into<Vec<u8>>, file_name: &str) -> Result<Archive, ArchiveError> {
    Opener::new(chrono_tz::UTC).open(Bytes::new(archive), file_name, time())
}

/// Opens an archive and reads all of it: the first step of a verify.
fn read(archive: impl Into<Vec<u8>>) -> Result<Vec<ReadDatabase>, ArchiveError> {
    Ok(open(archive)?.read_through(THREADS, &Silent)?.databases)
}

fn unpack(archive: &Archive, indices: &[usize]) -> Result<Vec<Vec<u8>>, ArchiveError> {
    let files: Vec<File> = indices.iter().map(|_| tempfile::tempfile().unwrap()).collect();
    let wanted: Vec<_> = indices.iter().copied().zip(&files).collect();
    let read = archive.unpack(&wanted, THREADS, &Silent)?;
    let contents: Vec<_> = files.iter().map(bytes_of).collect();
    for (read, contents) in read.iter().zip(&contents) {
        assert_eq!((read.bytes, read.sha256), (contents.len() as u64, Sha256::of(contents)));
    }
    Ok(contents)
}

fn set(sizes: &[usize]) -> Vec<(&'static str, Vec<u8>)> {
    const FILES: [&str; 4] = ["arrow.db", "user data.db", "-rf.db", "ünï☃.db"];
    FILES.iter().copied().zip(sizes.iter().zip(1..).map(|(&bytes, seed)| contents(bytes, seed))).collect()
}

#[test]
fn databases_of_any_size_are_restored_unchanged() {
    for bytes in [
        512,
        4096,
        MEMBER_BYTES - 512,
        MEMBER_BYTES - 1,
        MEMBER_BYTES,
        MEMBER_BYTES + 1,
        MEMBER_BYTES + 512,
        4 * MEMBER_BYTES,
        4 * MEMBER_BYTES + 700,
        8 * MEMBER_BYTES + 1,
        5_000_000,
    ] {
        let databases = set(&[bytes, 513, bytes + 1]);
        let expected: Vec<_> = databases.iter().map(|(_, contents)| contents.clone()).collect();
        for compression in EVERY {
            let bytes_of_archive = write(&databases, compression);
            let archive = open_as(bytes_of_archive, &name_of(compression)).unwrap();
            assert_eq!(archive.contents().origin, Origin::Format1);
            assert_eq!(archive.contents().metadata.as_ref(), Some(&metadata(&databases)));
            assert_eq!(unpack(&archive, &[0, 1, 2]).unwrap(), expected, "{bytes} {compression:?}");
            assert_eq!(unpack(&archive, &[2, 0]).unwrap(), [expected[2].clone(), expected[0].clone()]);
            let through = archive.read_through(THREADS, &Silent).unwrap();
            assert_eq!(through.databases.len(), 3);
            assert_eq!(through.oddities, Vec::<String>::new());
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_the_archive() {
    let databases = set(&[3_000_000, 700_001]);
    for compression in EVERY {
        let one = write_with(&databases, &metadata(&databases), compression, NonZeroUsize::MIN);
        for threads in 2..6 {
            let more = write_with(&databases, &metadata(&databases), compression, NonZeroUsize::new(threads).unwrap());
            assert!(one == more, "{threads} threads, {compression}");
        }
    }
}

#[test]
fn tar_gzip_zstd_and_python_read_our_archives() {
    let folder = tempfile::tempdir().unwrap();
    let databases = set(&[300_000, 4096, 131_072]);
    let script = "
import json, sys, tarfile
with tarfile.open(sys.argv[1]) as tar:
    members = tar.getmembers()
    metadata = json.load(tar.extractfile('backup_metadata.json'))
names = [member.name for member in members]
assert names == ['backup_metadata.json'] + [d['file'] for d in metadata['databases']] + ['RESTORE.txt'], names
assert all(m.mode == 0o600 and m.uid == 0 and m.mtime == 1754325509 for m in members)
";
    let has_zstd = crate::tools::installed("zstd reads our archives", &["zstd"]);
    for compression in EVERY.into_iter().filter(|one| has_zstd || !matches!(one, Compression::Zstd(_))) {
        let path = folder.path().join(format!("{compression}{}", compression.ending()));
        fs::write(&path, write(&databases, compression)).unwrap();
        let out = folder.path().join(format!("{compression}"));
        fs::create_dir(&out).unwrap();
        let run = |command: &mut Command| {
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
        };
        match compression {
            Compression::Gzip(_) => run(Command::new("gzip").arg("-t").arg(&path)),
            Compression::Zstd(_) => run(Command::new("zstd").arg("-qt").arg(&path)),
            Compression::None => {}
        }
        run(Command::new("tar").arg("xf").arg(&path).arg("-C").arg(&out));
        // Python reads Zstandard only from release 3.14 on.
        let mut tar = path.clone();
        if let Compression::Zstd(_) = compression {
            tar = folder.path().join("unpacked.tar");
            run(Command::new("zstd").args(["-qdf", "-o"]).arg(&tar).arg(&path));
        }
        run(Command::new("python3").arg("-c").arg(script).arg(&tar));
        for (entry, contents) in &databases {
            assert!(fs::read(out.join(entry)).unwrap() == *contents, "{entry}");
        }
        assert!(fs::read_to_string(out.join("RESTORE.txt")).unwrap().contains("PRAGMA integrity_check"));
    }
}

#[test]
fn recompressed_and_decompressed_archives_are_still_format_1() {
    let databases = set(&[300_000, 5000]);
    let tar = unpack_tar(&write(&databases, Compression::Gzip(5)));
    for compression in EVERY {
        assert!(unpack_tar(&write(&databases, compression)) == tar, "{compression}");
    }
    for (bytes, name) in [
        (gzip(&tar), "a.tar.gz"),
        (zstd(&tar), "a.tar.zst"),
        (zstd(&tar[..5000]).into_iter().chain(zstd(&tar[5000..])).collect(), "a.tar.zst"),
        (tar, "a.tar"),
    ] {
        let archive = open_as(bytes, name).unwrap();
        assert_eq!(archive.contents().metadata.as_ref(), Some(&metadata(&databases)));
        assert_eq!(unpack(&archive, &[1]).unwrap(), [databases[1].1.clone()]);
        assert_eq!(archive.read_through(THREADS, &Silent).unwrap().databases.len(), 2);
    }
}

#[test]
fn a_decompressed_file_with_a_compressed_name_is_reported_as_such() {
    let tar = write(&set(&[5000]), Compression::None);
    for name in ["app.tar.gz", "app.tgz", "app.tar.zst", "app.tzst"] {
        let refused = open_as(tar.clone(), name).err().unwrap();
        assert!(refused.to_string().contains("its name says that it is compressed"), "{name}: {refused}");
    }
}

/// The compressions in which every byte is changed, with the names of their archives.
const COMPRESSIONS: [(Compression, &str); 2] =
    [(Compression::Gzip(5), "app_20250804T163829Z.tar.gz"), (Compression::None, "app_20250804T163829Z.tar")];

/// A restore goes on with what was unpacked, without another check: the digest must have proved it.
#[test]
fn what_is_unpacked_of_an_archive_with_a_changed_byte_is_what_was_saved_or_nothing() {
    let databases = set(&[6000, 1025]);
    let files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
    let wanted: Vec<_> = files.iter().enumerate().collect();
    for (compression, name) in COMPRESSIONS {
        let good = write(&databases, compression);
        let (mut refused, mut unpacked) = (0, 0);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= [0x01, 0x08, 0x80, 0xff][at % 4];
            files.iter().for_each(|file| file.set_len(0).unwrap());
            match open_as(bad, name).and_then(|archive| archive.unpack(&wanted, THREADS, &Silent)) {
                Err(error) => {
                    let too_new = matches!(error, ArchiveError::FormatTooNew { .. });
                    assert!(error.is_evidence() || too_new, "{name}, byte {at}: {error}");
                    refused += 1;
                }
                Ok(_) => {
                    for (file, (_, contents)) in files.iter().zip(&databases) {
                        assert!(bytes_of(file) == *contents, "{name}: byte {at} changed what was unpacked");
                    }
                    unpacked += 1;
                }
            }
        }
        assert!(refused + unpacked > 2000 && refused > 2000 && unpacked > 0, "{name}: {refused} and {unpacked}");
    }
}

/// A changed byte is either detected or has no effect: some bits of a deflate stream are unused (the padding after its
/// last code), and some codes have two encodings.
#[test]
fn every_changed_byte_is_detected_or_changes_no_data() {
    let databases = set(&[6000, 1025]);
    let good = write(&databases, Compression::Gzip(5));
    let expected = read(good.clone()).unwrap();
    let in_data = data_members(&good);
    let mut silent = 0;
    for at in 0..good.len() {
        for change in [0x01, 0x08, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= change;
            match read(bad) {
                Err(error) => assert!(
                    error.is_evidence() || matches!(error, ArchiveError::FormatTooNew { .. }),
                    "byte {at}: {error}"
                ),
                Ok(read) => {
                    assert_eq!(read, expected, "byte {at} ^ {change:#x}");
                    assert!(
                        in_data.iter().any(|member| member.contains(&at)),
                        "byte {at} ^ {change:#x} went unnoticed"
                    );
                    silent += 1;
                }
            }
        }
    }
    assert!(silent < 60, "{silent} changes went unnoticed");
}

#[test]
fn truncation_at_any_byte_and_extra_bytes_are_detected() {
    let databases = set(&[3000, 1025]);
    for compression in [Compression::Gzip(5), Compression::Zstd(3)] {
        let good = write(&databases, compression);
        for length in 0..good.len() {
            let error = read(&good[..length]).unwrap_err();
            assert!(error.is_evidence(), "{length} bytes: {error}");
        }
        for extra in [&[0][..], &[0; 512], b"x", &good[..], &good[good.len() - 500..]] {
            let error = read([&good[..], extra].concat()).unwrap_err();
            assert!(error.is_evidence(), "{} more: {error}", extra.len());
        }
    }
    let tar = write(&databases, Compression::None);
    for length in (0..tar.len()).step_by(97).chain([tar.len() - 1, tar.len() - 512]) {
        let bad = open_as(&tar[..length], "a.tar").and_then(|archive| archive.read_through(THREADS, &Silent));
        assert!(bad.unwrap_err().is_evidence(), "{length} bytes of the tar");
    }
}

#[test]
fn the_longest_metadata_fits_and_metadata_beyond_the_reserved_space_fails_the_backup() {
    let databases = set(&[5000, 5000]);
    let draft = metadata(&databases);
    let mut longest = draft.clone();
    for database in &mut longest.databases {
        database.page_count = u64::MAX;
        database.freelist_count = u64::MAX;
        database.user_version = i32::MIN;
        database.application_id = i32::MIN;
        database.integrity = Integrity::Unchecked;
        database.foreign_key_violations = Some(u64::MAX);
        database.auto_vacuum = "incremental".into();
        database.encoding = "UTF-16be".into();
        database.findings = vec!["x".repeat(95); 80];
        database.tables[0].rows = Some(u64::MAX);
        (database.table_count, database.index_count) = (u64::MAX, u64::MAX);
        (database.trigger_count, database.view_count) = (u64::MAX, u64::MAX);
    }
    let finish = |metadata: &Metadata| {
        let file = tempfile::tempfile().unwrap();
        let options = WriteOptions { compression: Compression::Gzip(5), threads: THREADS };
        let mut writer =
            Writer::create(FileSink::new(file.try_clone().unwrap()), &options, time(), metadata_room(&draft)).unwrap();
        for (entry, contents) in &databases {
            writer.add_database(entry, &file_with(contents), contents.len() as u64, &Silent).unwrap();
        }
        writer.finish(metadata).map(|_| bytes_of(&file))
    };
    let archive = open(finish(&longest).unwrap()).unwrap();
    assert_eq!(archive.contents().metadata.as_ref(), Some(&longest));

    longest.databases[0].findings = vec!["x".repeat(95); 300];
    assert!(matches!(finish(&longest), Err(ArchiveError::MetadataTooLarge { .. })));
}

/// Real archives of other tools: made with `tar` and `gzip` from real files.
#[test]
fn plain_databases_and_tars_of_databases_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("user_data.db");
    rusqlite::Connection::open(&database)
        .unwrap()
        .execute_batch("CREATE TABLE a(b); INSERT INTO a VALUES(zeroblob(100000));")
        .unwrap();
    let expected = fs::read(&database).unwrap();

    let plain = open_as(expected.clone(), "backup-2025-08-04-163829.db").unwrap();
    assert_eq!((plain.contents().origin, plain.contents().set.as_str()), (Origin::Plain, "backup"));
    assert_eq!(plain.contents().created_at.to_rfc3339(), "2025-08-04T16:38:29+00:00");
    assert_eq!(unpack(&plain, &[0]).unwrap(), std::slice::from_ref(&expected));
    assert!(open_as(&expected[..expected.len() - 4096], "a.db").err().unwrap().is_evidence());

    for (compressed, name) in [(gzip(&expected), "app.db.gz"), (zstd(&expected), "app.db.zst")] {
        let packed = open_as(compressed.clone(), name).unwrap();
        let held = &packed.contents().databases[0];
        assert_eq!((held.file.as_str(), held.bytes), ("app.db", None));
        assert_eq!(unpack(&packed, &[0]).unwrap(), std::slice::from_ref(&expected));
        for length in [compressed.len() - 1, compressed.len() - 9, compressed.len() / 2] {
            let cut = open_as(&compressed[..length], name).and_then(|archive| archive.read_through(THREADS, &Silent));
            assert!(cut.unwrap_err().is_evidence(), "{name}, {length}");
        }
        let more = open_as([&compressed[..], b"junk"].concat(), name).unwrap();
        assert_eq!(more.read_through(THREADS, &Silent).unwrap().oddities.len(), 1, "{name}");
    }

    let tar = Command::new("tar")
        .arg("czf")
        .arg("-")
        .arg("-C")
        .arg(folder.path())
        .arg(".")
        .stderr(Stdio::null())
        .output()
        .unwrap()
        .stdout;
    let legacy = open_as(tar, "archerytools_backup_20250804_163829.tar.gz").unwrap();
    assert_eq!((legacy.contents().origin, legacy.contents().set.as_str()), (Origin::Plain, "archerytools"));
    assert_eq!(legacy.contents().databases[0].name.as_str(), "user");
    assert_eq!(legacy.contents().oddities, ["it holds no metadata"]);
    assert_eq!(unpack(&legacy, &[0]).unwrap(), [expected]);
}
