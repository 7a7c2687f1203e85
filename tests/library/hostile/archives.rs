//! Archives of any origin: accepted data equals the recorded data, is the same on every read, and matches what `tar`
//! reads.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;

use chrono::DateTime;
use chrono_tz::Tz;
use heirloom::archive::limits::MAX_WINDOW_BYTES;
use heirloom::archive::{Archive, ArchiveError, Opener, ReadDatabase};
use heirloom::digest::Sha256;
use heirloom::names::{ArchiveName, HostLabel, is_file_name, printable};
use heirloom::ops::inventory::{Marks, summarize};
use heirloom::progress::Silent;
use heirloom::snapshot::{Contents, Origin};

use super::recipe::Given;

/// The longest text about an archive that is shown in one piece, in bytes.
const LONGEST: usize = 2000;
/// The most lines about one archive.
const MOST: usize = 100;
/// How much is also unpacked; more would make a case slow.
const SMALL: u64 = 1 << 20;
/// How files encrypted with age start, binary or armored.
const ENCRYPTED: [&[u8]; 1] = [b"age-encryption.org/v1\n"];

/// Checks one file.
pub fn check(given: &Given) {
    let once = read(given, 1, Tz::UTC);
    // Threads are slow to spawn; every fifth case is enough to see whether they make a difference.
    let again = read(given, if given.bytes.len().is_multiple_of(5) { 3 } else { 1 }, Tz::Europe__Stockholm);
    let (Some((contents, databases)), Some((_, same))) = (&once, &again) else {
        assert!(once.is_none() && again.is_none(), "accepted once, and refused once");
        return;
    };
    assert_eq!(databases, same, "two readings gave two results");
    for (held, read) in contents.databases.iter().zip(databases) {
        assert!(
            held.sha256.is_none_or(|recorded| recorded == read.sha256),
            "{} does not match its recorded digest",
            held.file
        );
        assert!(held.bytes.is_none_or(|bytes| bytes == read.bytes), "{} does not match its recorded size", held.file);
    }
    if databases.iter().map(|read| read.bytes).sum::<u64>() <= SMALL {
        let unpacked = unpack(given, databases);
        if contents.origin != Origin::Plain {
            as_tar_sees_it(given, contents, &unpacked);
        }
    }
}

/// Reads a file as verify does; returns its contents if all of it was accepted.
pub fn read(given: &Given, threads: usize, zone: Tz) -> Option<(Contents, Vec<ReadDatabase>)> {
    let archive = open(given, zone)?;
    let contents = archive.contents().clone();
    presentable(given, &contents);
    match archive.read_through(NonZeroUsize::new(threads).unwrap(), &Silent) {
        Ok(read) => {
            read.oddities.iter().for_each(|oddity| line(oddity));
            assert_eq!(read.databases.len(), contents.databases.len());
            Some((contents, read.databases))
        }
        Err(error) => {
            refused(given, &error);
            None
        }
    }
}

fn open(given: &Given, zone: Tz) -> Option<Archive> {
    let opened = Opener::new(zone).open(given.bytes.clone(), &given.name, DateTime::UNIX_EPOCH);
    opened.map_err(|error| refused(given, &error)).ok()
}

/// Reading bytes in memory cannot fail: every refusal is about their contents.
fn refused(given: &Given, error: &ArchiveError) {
    line(&error.to_string());
    let explained = match error {
        ArchiveError::FormatTooNew { .. } => true,
        ArchiveError::WindowTooLarge { bytes } => *bytes > MAX_WINDOW_BYTES,
        ArchiveError::KeyMissing(_) => ENCRYPTED.iter().any(|start| given.bytes.starts_with(start)),
        _ => error.is_evidence(),
    };
    assert!(explained, "{error:?}");
}

fn line(text: &str) {
    assert!(printable(text) == text, "{text:?} contains terminal controls");
    assert!(text.len() <= LONGEST, "a line of {} bytes", text.len());
}

/// Checks the parts of an archive that are shown and used whether its data is good or not.
pub fn presentable(given: &Given, contents: &Contents) {
    assert!(!contents.databases.is_empty());
    for (index, held) in contents.databases.iter().enumerate() {
        assert!(is_file_name(&held.file), "{:?}", held.file);
        assert!(
            contents.databases[..index].iter().all(|other| other.name != held.name),
            "two databases \"{}\"",
            held.name
        );
    }
    contents.oddities.iter().for_each(|oddity| line(oddity));
    assert!(contents.oddities.len() <= MOST, "{} oddities", contents.oddities.len());
    let name = ArchiveName::new(given.name.as_str()).unwrap_or_else(|_| ArchiveName::new("app.tar.gz").unwrap());
    let snapshot = summarize(name, given.bytes.len() as u64, contents, Marks::default(), &HostLabel::container());
    let bytes = sum(contents.databases.iter().map(|held| held.bytes));
    assert!(snapshot.unpacked_bytes().is_none_or(|sum| bytes == Some(sum.into())), "a wrong sum of sizes");
    for (brief, facts) in
        snapshot.databases.iter().zip(contents.metadata.iter().flat_map(|metadata| &metadata.databases))
    {
        let rows = sum(facts.tables.iter().map(|table| table.rows));
        assert!(brief.rows.is_none_or(|sum| rows == Some(sum.into())), "a wrong sum of rows");
    }
}

fn sum(mut numbers: impl Iterator<Item = Option<u64>>) -> Option<u128> {
    numbers.try_fold(0, |sum, number| Some(sum + u128::from(number?)))
}

/// Unpacks each database alone, and all at once in another order.
fn unpack(given: &Given, databases: &[ReadDatabase]) -> Vec<Vec<u8>> {
    let archive = open(given, Tz::UTC).unwrap();
    let files: Vec<File> = databases.iter().map(|_| tempfile::tempfile().unwrap()).collect();
    let wanted: Vec<_> = files.iter().enumerate().rev().collect();
    let threads = NonZeroUsize::new(2).unwrap();
    let all = archive.unpack(&wanted, threads, &Silent).unwrap();
    assert!(all.iter().eq(databases.iter().rev()), "unpacking gave other databases than reading");
    let contents = |file: &File, read: &ReadDatabase| {
        let mut bytes = vec![0; read.bytes as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(
            file.metadata().unwrap().len() == read.bytes && Sha256::of(&bytes) == read.sha256,
            "other bytes were unpacked"
        );
        bytes
    };
    for (index, read) in databases.iter().enumerate().filter(|_| databases.len() > 1) {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(archive.unpack(&[(index, &file)], threads, &Silent).unwrap(), std::slice::from_ref(read));
        contents(&file, read);
    }
    files.iter().zip(databases).map(|(file, read)| contents(file, read)).collect()
}

/// The archive outlives the tool: any tar finds the same bytes under the same names.
fn as_tar_sees_it(given: &Given, contents: &Contents, unpacked: &[Vec<u8>]) {
    let bytes = &given.bytes[..];
    let stream: Box<dyn Read> = if bytes.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::read::MultiGzDecoder::new(bytes))
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || bytes.get(1..4) == Some(&[0x2a, 0x4d, 0x18]) {
        Box::new(zstd::stream::read::Decoder::new(bytes).unwrap())
    } else {
        Box::new(bytes)
    };
    let mut seen = Vec::new();
    for entry in tar::Archive::new(stream).entries().unwrap() {
        // Data after the last database may not be gzip; gzip warns, and we report an oddity.
        let Ok(mut entry) = entry else { break };
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if contents.databases.iter().any(|held| held.file == name) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            seen.push((name, bytes));
        }
    }
    for (held, bytes) in contents.databases.iter().zip(unpacked) {
        let found: Vec<_> = seen.iter().filter(|(name, _)| *name == held.file).collect();
        assert!(found.len() == 1 && found[0].1 == *bytes, "tar sees {} entries \"{}\"", found.len(), held.file);
    }
}
