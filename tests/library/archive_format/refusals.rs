//! Errors while writing or reading: cancellation, full or failing disks, metadata that does not fit.

use super::*;

#[test]
fn a_copy_of_another_size_than_declared_is_an_error() {
    let contents = contents(2_000_000, 1);
    for (said, threads) in [(1_999_999, 3), (2_000_001, 3), (1_999_999, 1), (2_000_001, 1), (0, 2), (10_000_000, 2)] {
        let options = WriteOptions { compression: Compression::Gzip(1), threads: NonZeroUsize::new(threads).unwrap() };
        let mut writer = Writer::create(FileSink::new(tempfile::tempfile().unwrap()), &options, time(), 512).unwrap();
        let error = writer.add_database("a.db", &file_with(&contents), said, &Silent).unwrap_err();
        assert!(matches!(error, ArchiveError::Io(_)), "{said}: {error}");
    }
}

/// Cancels after a number of bytes.
struct StopAfter {
    left: AtomicU64,
}

impl Progress for StopAfter {
    fn begin(&self, _: Stage, _: &str, _: u64) {}

    fn advance(&self, units: u64) {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(units), Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

#[test]
fn writing_and_reading_can_be_cancelled_at_any_point() {
    let databases = set(&[5_000_000]);
    for compression in [Compression::Gzip(1), Compression::Zstd(3)] {
        let archive = open(write(&databases, compression)).unwrap();
        for after in [0, 1, 1_500_000, 3_000_000, 4_000_000] {
            let options = WriteOptions { compression, threads: THREADS };
            let mut writer =
                Writer::create(FileSink::new(tempfile::tempfile().unwrap()), &options, time(), 512).unwrap();
            let stop = StopAfter { left: after.into() };
            let stopped = writer.add_database("a.db", &file_with(&databases[0].1), 5_000_000, &stop);
            assert!(matches!(stopped, Err(ArchiveError::Interrupted(_))), "{after}");
            let stop = StopAfter { left: after.into() };
            assert!(matches!(archive.read_through(THREADS, &stop), Err(ArchiveError::Interrupted(_))), "{after}");
        }
    }
}

/// With O_APPEND, Linux writes at the end of the file and ignores the offset.
#[test]
fn a_file_that_does_not_hold_what_was_written_is_found_and_is_not_damage_of_the_archive() {
    let databases = set(&[300_000, 5000]);
    let tar = unpack_tar(&write(&databases, Compression::Gzip(5)));
    for (bytes, name) in [
        (write(&databases, Compression::Gzip(5)), "a.tar.gz"),
        (write(&databases, Compression::None), "a.tar"),
        // Read from front to back.
        (gzip(&tar), "a.tar.gz"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        fs::write(&path, [7; 512]).unwrap();
        let shifted = fs::OpenOptions::new().read(true).append(true).open(&path).unwrap();
        let archive = open_as(bytes, name).unwrap();
        let error = archive.unpack(&[(1, &shifted)], THREADS, &Silent).unwrap_err();
        assert!(matches!(error, ArchiveError::NotWritten { .. }) && !error.is_evidence(), "{name}: {error}");
        assert_eq!(fs::read(&path).unwrap().len(), 512 + 5000, "the bytes are in the file, but at the wrong place");
        assert!(archive.check(1, THREADS, &Silent).is_ok());
    }
}

#[test]
fn a_full_disk_is_an_error_and_not_a_hang() {
    let databases = set(&[5_000_000]);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for compression in [Compression::Gzip(1), Compression::Zstd(3)] {
        let options = WriteOptions { compression, threads: THREADS };
        let mut writer = Writer::create(FileSink::new(full()), &options, time(), 512).unwrap();
        let error = writer.add_database("a.db", &file_with(&databases[0].1), 5_000_000, &Silent).unwrap_err();
        assert!(matches!(error, ArchiveError::Io(_)), "{error}");
        let archive = open(write(&databases, compression)).unwrap();
        let error = archive.unpack(&[(0, &full())], THREADS, &Silent).unwrap_err();
        assert!(matches!(error, ArchiveError::Io(_)) && !error.is_evidence(), "{error}");
    }
}

/// Fails every read after an offset, as a disk does.
struct Broken {
    inner: Arc<Bytes>,
    from: u64,
}

impl ReadAt for Broken {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset + buffer.len() as u64 > self.from {
            Err(io::Error::from_raw_os_error(5))
        } else {
            self.inner.read_at(buffer, offset)
        }
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }
}

#[test]
fn a_failing_disk_is_never_reported_as_damage() {
    let databases = set(&[2_000_000]);
    let tar = write(&databases, Compression::None);
    let ours = EVERY.map(|compression| (write(&databases, compression), name_of(compression)));
    let other = [(gzip(&tar), "a.tar.gz".to_owned()), (zstd(&tar), "a.tar.zst".to_owned())];
    for (bytes, name) in ours.into_iter().chain(other) {
        let inner = Bytes::new(bytes);
        for part in 0..20 {
            let source = Arc::new(Broken { inner: inner.clone(), from: inner.bytes() * part / 20 });
            let result = Opener::new(chrono_tz::UTC)
                .open(source, &name, time())
                .and_then(|archive| archive.read_through(THREADS, &Silent));
            let error = result.unwrap_err();
            assert!(matches!(error, ArchiveError::Io(_)), "{name} {part}: {error}");
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let databases = set(&[5000]);
    let mut newer = metadata(&databases);
    newer.format = 2;
    for compression in EVERY {
        let archive = write_with(&databases, &newer, compression, THREADS);
        let tar = unpack_tar(&archive);
        for archive in [archive, gzip(&tar), zstd(&tar)] {
            assert!(
                matches!(open_as(archive, "a.tar"), Err(ArchiveError::FormatTooNew { found: 2, .. })),
                "{compression}"
            );
        }
    }
}

/// The metadata must match the archive; each of these contradicts it.
#[test]
fn metadata_that_disagrees_with_the_archive_is_refused() {
    let databases = set(&[5000, 6000]);
    let changes: [fn(&mut Metadata); 8] = [
        |changed| changed.databases[1].sha256 = Sha256::of(b"another"),
        |changed| changed.databases[1].bytes += 1,
        |changed| changed.databases[0].bytes = u64::MAX,
        |changed| changed.databases[0].file = "other.db".into(),
        |changed| changed.databases[0].file = "../../arrow.db".into(),
        |changed| changed.databases.swap(0, 1),
        |changed| changed.databases.truncate(1),
        |changed| changed.databases.clear(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut metadata = metadata(&databases);
        change(&mut metadata);
        for compression in [Compression::Gzip(5), Compression::Zstd(3)] {
            let archive = write_with(&databases, &metadata, compression, THREADS);
            let tar = unpack_tar(&archive);
            for archive in [archive, gzip(&tar), zstd(&tar)] {
                let error = read(archive).unwrap_err();
                assert!(error.is_evidence(), "change {number}, {compression}: {error}");
            }
        }
    }
}

/// Rebuilds the tar with another text as its metadata, and compresses it.
fn with_metadata(archive: &[u8], change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let tar = unpack_tar(archive);
    let mut builder = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        let mut header = entry.header().clone();
        if *header.path_bytes() == b"backup_metadata.json"[..] {
            contents = change(contents);
            header.set_size(contents.len() as u64);
            header.set_cksum();
        }
        builder.append(&header, &contents[..]).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

#[test]
fn metadata_truncated_in_its_padding_or_invalid_is_refused() {
    let good = write(&set(&[5000]), Compression::Gzip(5));
    read(with_metadata(&good, |json| json)).unwrap();
    let deep =
        |unknown: &str| format!("{{\"format\": 1, \"{unknown}\": {}{}}}\n", "[".repeat(200_000), "]".repeat(200_000));
    type Change<'a> = &'a dyn Fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change); 7] = [
        ("half", &(|json| json[..json.len() / 2].to_vec())),
        ("a block less", &(|json| json[..json.len() - 512].to_vec())),
        ("nothing", &(|_| Vec::new())),
        ("deep", &(|_| deep("includes").into_bytes())),
        ("deep in an unknown field", &(|_| deep("x").into_bytes())),
        ("not UTF-8", &(|json| [&json[..1], b"\"\xff\": 1, ", &json[1..]].concat())),
        ("capital digests", &(|json| String::from_utf8(json).unwrap().replace("a", "A").into_bytes())),
    ];
    for (what, change) in changes {
        let error = read(with_metadata(&good, change)).unwrap_err();
        assert!(error.is_evidence(), "{what}: {error}");
    }
}
