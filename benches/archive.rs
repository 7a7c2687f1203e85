//! Benchmarks of archives: one member, writing and reading a whole archive, and its metadata.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may end in a panic")]

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heirloom::archive::format::MEMBER_BYTES;
use heirloom::archive::{FileSink, Opener, WriteOptions, Writer, metadata_room};
use heirloom::compression::Compression;
use heirloom::metadata::Metadata;
use heirloom::progress::Silent;
use heirloom::store::ReadAt;
use rusqlite::Connection;

/// The approximate size of the database, in bytes.
const DATABASE_BYTES: u64 = 32 << 20;

struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Creates a database whose rows are neither noise nor all the same.
fn database() -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "PRAGMA journal_mode=off; PRAGMA synchronous=off; CREATE TABLE log(id INTEGER PRIMARY KEY, at TEXT, who \
             TEXT, data BLOB);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
            INSERT INTO log SELECT i, datetime(1700000000 + i * 37, 'unixepoch'), 'user-' || (i * 7919 % 5003), \
            randomblob(40) || zeroblob(20) FROM n;",
            DATABASE_BYTES / 100
        ))
        .unwrap();
    File::open(path).unwrap()
}

fn metadata(tables: usize, bytes: u64, digest: &str) -> Metadata {
    let tables: Vec<_> = (0..tables)
        .map(|number| serde_json::json!({"name": format!("table_{number}"), "rows": number * 1000}))
        .collect();
    serde_json::from_value(serde_json::json!({
        "format": 1, "backup_name": "bench_20250804T163829Z", "created_at": "2025-08-04T16:38:29.591353Z",
        "version": "0.1.0",
        "set": "bench", "kind": "manual", "host": "api-1", "note": null, "consistent_set": true,
        "includes": {"bench": true},
        "databases": [{
            "name": "bench", "file": "bench.db", "source": "/app/bench.db", "bytes": bytes,
            "sha256": digest, "page_size": 4096,
            "page_count": bytes / 4096, "freelist_count": 0, "encoding": "UTF-8", "journal_mode": "wal",
            "auto_vacuum": "none",
            "application_id": 0, "user_version": 7, "schema_sha256": digest, "sqlite_version": "3.54.1",
            "integrity": "ok", "findings": [],
            "foreign_key_violations": 0, "vacuumed": false, "table_count": tables.len(), "index_count": 0,
            "trigger_count": 0,
            "view_count": 0, "tables": tables
        }]
    }))
    .unwrap()
}

fn write(source: &File, compression: Compression, threads: NonZeroUsize) -> File {
    let file = tempfile::tempfile().unwrap();
    let bytes = source.metadata().unwrap().len();
    let draft = metadata(10, bytes, &"0".repeat(64));
    let options = WriteOptions { compression, threads };
    let mut writer = Writer::create(
        FileSink::new(file.try_clone().unwrap()),
        &options,
        DateTime::<Utc>::UNIX_EPOCH,
        metadata_room(&draft),
    )
    .unwrap();
    let added = writer.add_database("bench.db", source, bytes, &Silent).unwrap();
    writer.finish(&metadata(10, bytes, &added.sha256.to_string())).unwrap().sync().unwrap();
    file
}

fn benches(criterion: &mut Criterion) {
    let source = database();
    let bytes = source.metadata().unwrap().len();
    let threads = |count| NonZeroUsize::new(count).unwrap();

    let mut block = vec![0; MEMBER_BYTES];
    source.read_exact_at(&mut block, bytes / 2).unwrap();
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Bytes(MEMBER_BYTES as u64));
    let mut packed = vec![0; 2 * MEMBER_BYTES];
    for level in [1, 4, 5, 6, 9] {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
        group.bench_function(format!("deflate {level}"), |bencher| {
            bencher.iter(|| compressor.deflate_compress(black_box(&block), &mut packed).unwrap())
        });
    }
    let length = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(5).unwrap())
        .deflate_compress(&block, &mut packed)
        .unwrap();
    let mut decompressor = libdeflater::Decompressor::new();
    group.bench_function("inflate", |bencher| {
        bencher.iter(|| decompressor.deflate_decompress(black_box(&packed[..length]), &mut block).unwrap())
    });
    group.finish();

    let mut group = criterion.benchmark_group("archive");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    for count in [1, 2] {
        group.bench_function(format!("write, {count} threads"), |bencher| {
            bencher.iter(|| write(&source, Compression::DEFAULT, threads(count)))
        });
    }
    let file = write(&source, Compression::DEFAULT, threads(2));
    let mut archive = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut archive, 0).unwrap();
    let archive = Arc::new(Bytes(archive));
    let open =
        || Opener::new(chrono_tz::UTC).open(archive.clone(), "bench.tar.gz", DateTime::<Utc>::UNIX_EPOCH).unwrap();
    for count in [1, 2] {
        group.bench_function(format!("read, {count} threads"), |bencher| {
            bencher.iter(|| open().read_through(threads(count), &Silent).unwrap())
        });
    }
    let target = tempfile::tempfile().unwrap();
    group.bench_function("unpack, 2 threads", |bencher| {
        bencher.iter(|| open().unpack(&[(0, &target)], threads(2), &Silent).unwrap())
    });
    group.finish();

    criterion.bench_function("open", |bencher| bencher.iter(open));
    for tables in [10, 1000] {
        let json = serde_json::to_vec(&metadata(tables, bytes, &"0".repeat(64))).unwrap();
        let parse = || serde_json::from_slice::<Metadata>(black_box(&json)).unwrap();
        criterion.bench_function(&format!("metadata of {tables} tables"), |bencher| bencher.iter(parse));
    }
}

criterion_group!(all, benches);
criterion_main!(all);
