//! The places where encryption and remote stores will be added: sinks that cannot seek back, and sources where each
//! read is a request.

use std::collections::BTreeSet;
use std::sync::Mutex;

use heirloom::archive::Sink;

use super::*;

/// Takes parts in order and sends each one immediately; only the reserved bytes are held back.
#[derive(Default)]
struct Parts {
    reserved: Option<u64>,
    sent: Vec<u8>,
    first: Vec<u8>,
}

impl Sink for Parts {
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        assert!(self.reserved.replace(bytes).is_none() && self.sent.is_empty());
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(self.reserved.is_some() && self.first.is_empty());
        self.sent.extend_from_slice(bytes);
        Ok(())
    }

    fn fill_reserved(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(self.first.is_empty() && self.reserved == Some(bytes.len() as u64));
        self.first = bytes.to_vec();
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.reserved.unwrap_or(0) + self.sent.len() as u64
    }
}

#[test]
fn a_sink_that_cannot_seek_back_gets_the_same_archive() {
    let databases = [("a.db", contents(3 * MEMBER_BYTES + 700, 1)), ("b.db", contents(4096, 2))];
    let metadata = metadata(&databases);
    for compression in EVERY {
        let options = WriteOptions { compression, threads: THREADS };
        let mut writer = Writer::create(Parts::default(), &options, time(), metadata_room(&metadata)).unwrap();
        for (entry, contents) in &databases {
            writer.add_database(entry, &file_with(contents), contents.len() as u64, &Silent).unwrap();
        }
        let finished = writer.finish(&metadata).unwrap();
        let bytes = finished.bytes();
        let parts = finished.into_sink();
        let archive = [parts.first, parts.sent].concat();
        assert_eq!(archive.len() as u64, bytes);
        assert!(archive == write(&databases, compression));
    }
}

/// A source where each read is a request, which records the requested offsets.
struct Distant {
    bytes: Vec<u8>,
    asked: Mutex<Vec<u64>>,
}

const BLOCK: usize = 256 * 1024;

impl ReadAt for Distant {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.asked.lock().unwrap().push(offset);
        self.bytes.read_at(buffer, offset)
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn block_bytes(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(BLOCK)
    }
}

#[test]
fn a_remote_archive_is_read_in_blocks_and_described_with_one_request() {
    let databases = [("a.db", contents(8 * MEMBER_BYTES, 1)), ("b.db", contents(5 * MEMBER_BYTES + 4096, 2))];
    for compression in EVERY {
        let bytes = write(&databases, compression);
        let source = Arc::new(Distant { bytes: bytes.clone(), asked: Mutex::default() });
        let archive = Opener::new(chrono_tz::UTC).open(source.clone(), "app_20250804T163829Z.tar", time()).unwrap();
        if compression != Compression::None {
            assert_eq!(source.asked.lock().unwrap().drain(..).collect::<Vec<_>>(), [0]);
        }
        archive.read_through(THREADS, &Silent).unwrap();
        let asked = source.asked.lock().unwrap().clone();
        let blocks: BTreeSet<u64> =
            (0..bytes.len().div_ceil(BLOCK) as u64).map(|number| number * BLOCK as u64).collect();
        assert!(asked.iter().all(|place| blocks.contains(place)), "every request is for a block: {asked:?}");
        assert!(asked.len() <= blocks.len() + blocks.len() / 4, "{} requests for {} blocks", asked.len(), blocks.len());
        assert!(archive.contents().databases.len() == 2);
    }
}

#[test]
fn opening_takes_one_small_read_and_unpacking_reads_only_that_database() {
    let databases = set(&[4_000_000, 20_000, 4_000_000]);
    for compression in [Compression::Gzip(1), Compression::Zstd(3)] {
        let bytes = Bytes::new(write(&databases, compression));
        let archive = Opener::new(chrono_tz::UTC).open(bytes.clone(), "a.tar", time()).unwrap();
        assert!(bytes.read.load(Ordering::Relaxed) <= 16 * 1024 + 40_000, "{:?}", bytes.read);
        let opened = bytes.read.swap(0, Ordering::Relaxed);
        assert!(bytes.calls.load(Ordering::Relaxed) <= 2, "{opened} bytes in {:?} calls", bytes.calls);
        assert_eq!(unpack(&archive, &[1]).unwrap(), [databases[1].1.clone()]);
        assert!(bytes.read.load(Ordering::Relaxed) < 50_000, "{:?}", bytes.read);
    }
}

#[test]
fn one_database_opens_with_a_single_read() {
    for compression in [Compression::Gzip(1), Compression::Zstd(3)] {
        let bytes = Bytes::new(write(&set(&[4_000_000]), compression));
        Opener::new(chrono_tz::UTC).open(bytes.clone(), "a.tar", time()).unwrap();
        assert_eq!((bytes.read.load(Ordering::Relaxed), bytes.calls.load(Ordering::Relaxed)), (16 * 1024, 1));
    }
}
