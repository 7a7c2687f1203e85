//! One database out of an archive with several: how much is read, and what a wrong place in the metadata changes.

use std::sync::atomic::Ordering;

use heirloom::archive::{FileSink, Opener, WriteOptions, Writer, metadata_room};
use heirloom::compression::Compression;
use heirloom::metadata::Metadata;
use heirloom::progress::Silent;

use super::compressions::name_of;
use super::{Bytes, THREADS, bytes_of, file_with, metadata, set, time, unpack};

/// Writes an archive whose metadata says where the databases start, as changed by `change`; returns it with those
/// places.
fn archive(sizes: &[usize], compression: Compression, change: fn(&mut Metadata)) -> (Vec<u8>, Vec<Option<u64>>) {
    let databases = set(sizes);
    let mut metadata = metadata(&databases);
    let file = tempfile::tempfile().unwrap();
    let options = WriteOptions { compression, threads: THREADS };
    let sink = FileSink::new(file.try_clone().unwrap());
    let mut writer = Writer::create(sink, &options, time(), metadata_room(&metadata)).unwrap();
    for (index, (entry, contents)) in databases.iter().enumerate() {
        let added = writer.add_database(entry, &file_with(contents), contents.len() as u64, &Silent).unwrap();
        metadata.databases[index].offset = added.offset;
    }
    let places = metadata.databases.iter().map(|database| database.offset).collect();
    change(&mut metadata);
    let _ = writer.finish(&metadata).unwrap();
    (bytes_of(&file), places)
}

/// Unpacks the last database and returns how many bytes were read and in how many calls.
fn last_one(archive: Vec<u8>, name: &str, sizes: &[usize]) -> (u64, u64) {
    let source = Bytes::new(archive);
    let opened = Opener::new(chrono_tz::UTC).open(source.clone(), name, time()).unwrap();
    let last = sizes.len() - 1;
    assert_eq!(unpack(&opened, &[last]).unwrap(), [set(sizes)[last].1.clone()]);
    (source.read.load(Ordering::Relaxed), source.calls.load(Ordering::Relaxed))
}

#[test]
fn only_its_own_part_of_the_archive_is_read() {
    let sizes = [20_000_000, 5_000_000, 40_000];
    for compression in [Compression::Gzip(1), Compression::Zstd(1), Compression::None] {
        let (archive, places) = archive(&sizes, compression, |_| ());
        assert_eq!(places.iter().all(Option::is_some), compression != Compression::None);
        let (read, calls) = last_one(archive, &name_of(compression), &sizes);
        assert!(read < 1_500_000 && calls < 30, "{compression:?}: {read} bytes in {calls} calls");
    }
}

#[test]
fn without_a_place_and_with_a_wrong_one_the_databases_before_it_are_passed_one_member_after_the_other() {
    let sizes = [20_000_000, 5_000_000, 40_000];
    let changes: [fn(&mut Metadata); 5] = [
        |metadata| metadata.databases[2].offset = None,
        |metadata| metadata.databases[2].offset = Some(0),
        |metadata| metadata.databases[2].offset = metadata.databases[2].offset.map(|offset| offset + 1),
        |metadata| metadata.databases[2].offset = metadata.databases[2].offset.map(|offset| offset - 40_000),
        |metadata| metadata.databases[2].offset = Some(u64::MAX),
    ];
    for change in changes {
        let (_, calls) =
            last_one(archive(&sizes, Compression::Gzip(1), change).0, "app_20250804T163829Z.tar.gz", &sizes);
        assert!(calls > 24, "{calls}");
    }
}

#[test]
fn a_place_of_another_database_never_yields_that_one() {
    let sizes = [40_000, 40_000, 40_000];
    let (archive, _) = archive(&sizes, Compression::Gzip(1), |metadata| {
        metadata.databases[1].offset = metadata.databases[2].offset;
    });
    let opened = Opener::new(chrono_tz::UTC).open(Bytes::new(archive), "app_20250804T163829Z.tar.gz", time()).unwrap();
    let error = unpack(&opened, &[1]).unwrap_err().to_string();
    assert!(error.contains("-rf.db") || error.contains("user data.db"), "{error}");
    // Everything else reads the members in their order.
    opened.read_through(THREADS, &Silent).unwrap();
}
