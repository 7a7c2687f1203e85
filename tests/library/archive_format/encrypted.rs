//! Encrypted archives: what the keys open, what the label says, and every kind of damage.

use std::process::{Command, Stdio};

use heirloom::archive::cipher::{Encrypted, Identity, Keys, Recipients, RunKey, encrypt};
use heirloom::label::{Label, LabelDatabases, MAX_BYTES};
use heirloom::names::ArchiveId;

use super::*;
use crate::tools;

const CHUNK: usize = 64 * 1024;

/// The keys of one run, and those of a host that restores.
struct Office {
    identity: Identity,
    recipients: Recipients,
    run: RunKey,
}

impl Office {
    fn new() -> Self {
        let identity = Identity::generate();
        let recipients = Recipients::new([identity.recipient()]).unwrap();
        Self { identity, recipients, run: RunKey::generate() }
    }

    fn keys(&self) -> Keys {
        Keys::new(vec![self.identity.clone()])
    }

    fn seal(&self, plain: &[u8], label: &Label) -> Vec<u8> {
        let (from, to) = (file_with(plain), tempfile::tempfile().unwrap());
        let Encrypted { bytes, sha256 } = encrypt(&from, &to, &self.recipients, &self.run, label, &Silent).unwrap();
        let sealed = bytes_of(&to);
        assert_eq!((bytes, sha256), (sealed.len() as u64, Sha256::of(&sealed)));
        sealed
    }

    /// An encrypted archive with the label that belongs to it.
    fn archive(&self, databases: &[(&str, Vec<u8>)], compression: Compression) -> (Vec<u8>, Label) {
        let plain = write(databases, compression);
        let opened = open_as(plain.clone(), "a.tar").unwrap();
        let contents = opened.contents();
        let metadata = contents.metadata.as_ref().unwrap();
        let label = Label::of(metadata, contents.id.unwrap(), &self.recipients.texts());
        (self.seal(&plain, &label), label)
    }
}

fn open_with(keys: Keys, sealed: impl Into<Vec<u8>>) -> Result<Archive, ArchiveError> {
    let opener = Opener { zone: chrono_tz::UTC, keys };
    opener.open(Bytes::new(sealed), "app_20250804T163829Z.tar.age", time())
}

fn read_with(keys: Keys, sealed: impl Into<Vec<u8>>) -> Result<Vec<ReadDatabase>, ArchiveError> {
    Ok(open_with(keys, sealed)?.read_through(THREADS, &Silent)?.databases)
}

#[test]
fn an_archive_is_the_same_after_encryption_whoever_opens_it() {
    let office = Office::new();
    let databases = [("app.db", contents(5 * MEMBER_BYTES + 4096, 1)), ("log.db", contents(8192, 2))];
    for compression in EVERY {
        let (sealed, label) = office.archive(&databases, compression);
        assert!(!String::from_utf8_lossy(&sealed).contains("backup_metadata"), "nothing is in the clear");
        for keys in [office.keys(), Keys::default().with_run(office.run.clone())] {
            let archive = open_with(keys, sealed.clone()).unwrap();
            assert_eq!(archive.envelope().unwrap().label.as_ref(), Some(&label));
            assert_eq!(archive.contents().oddities, Vec::<String>::new());
            let unpacked = unpack(&archive, &[1, 0]).unwrap();
            assert!(unpacked == [databases[1].1.clone(), databases[0].1.clone()]);
            archive.read_through(THREADS, &Silent).unwrap();
        }
    }
}

#[test]
fn the_label_is_read_without_a_key_and_names_the_recipients() {
    let office = Office::new();
    let (sealed, label) = office.archive(&[("app.db", contents(20_000, 1))], Compression::DEFAULT);
    for (keys, tried) in [(Keys::default(), 0), (Office::new().keys(), 1)] {
        let Err(ArchiveError::KeyMissing(locked)) = open_with(keys, sealed.clone()) else { panic!("it was opened") };
        assert_eq!((locked.envelope.label.as_ref(), locked.tried), (Some(&label), tried));
        assert!(locked.to_string().contains(&office.identity.recipient().to_string()));
    }
    let text = String::from_utf8_lossy(&label.to_json()).into_owned();
    assert!(!text.contains("/app/") && !text.contains("bows"), "no path and no table: {text}");
    let LabelDatabases::Each(databases) = &label.databases else { panic!("one database is not summed up") };
    assert_eq!((databases[0].bytes, databases[0].rows), (20_000, Some(12)));
}

#[test]
fn the_label_of_a_large_set_is_summed_up_and_stays_small() {
    let office = Office::new();
    let databases: Vec<(String, Vec<u8>)> =
        (0..200).map(|at| (format!("database-{at}.db"), contents(4096, at))).collect();
    let databases: Vec<(&str, Vec<u8>)> =
        databases.iter().map(|(name, contents)| (name.as_str(), contents.clone())).collect();
    let (sealed, label) = office.archive(&databases, Compression::DEFAULT);
    let LabelDatabases::Sum(sum) = &label.databases else { panic!("200 databases are listed") };
    assert_eq!((sum.count, sum.bytes, sum.rows), (200, 200 * 4096, Some(200 * 12)));
    assert!(label.to_json().len() <= MAX_BYTES);
    assert_eq!(open_with(office.keys(), sealed).unwrap().contents().oddities, Vec::<String>::new());
}

#[test]
fn a_lying_label_is_an_oddity_and_the_metadata_counts() {
    let office = Office::new();
    let plain = write(&[("app.db", contents(20_000, 1))], Compression::DEFAULT);
    let opened = open_as(plain.clone(), "a.tar").unwrap();
    let (metadata, id) = (opened.contents().metadata.clone().unwrap(), opened.contents().id.unwrap());
    let honest = Label::of(&metadata, id, &office.recipients.texts());
    let lies = [
        ("time", Label { created_at: "2031-01-01T00:00:00Z".parse().unwrap(), ..honest.clone() }),
        ("set", Label { set: name("other"), ..honest.clone() }),
        ("id", Label { id: ArchiveId::of_metadata(b"other"), ..honest.clone() }),
        ("host", Label { host_label: "elsewhere".parse().unwrap(), ..honest.clone() }),
        ("kind", Label { kind: Kind::Safety, ..honest.clone() }),
        ("metadata", Label { damaged: true, ..honest.clone() }),
        ("sizes", {
            let mut label = honest.clone();
            if let LabelDatabases::Each(databases) = &mut label.databases {
                databases[0].bytes = 1;
            }
            label
        }),
    ];
    for (what, lie) in lies {
        let archive = open_with(office.keys(), office.seal(&plain, &lie)).unwrap();
        let oddities = &archive.contents().oddities;
        assert!(oddities.len() == 1 && oddities[0].contains(what), "{what}: {oddities:?}");
        assert_eq!(archive.contents().metadata.as_ref(), Some(&metadata));
        archive.read_through(THREADS, &Silent).unwrap();
    }
}

/// Every byte of the header and the nonce, and one byte in each stretch of the data.
#[test]
fn every_changed_byte_is_found_with_a_key() {
    let office = Office::new();
    let (sealed, _) = office.archive(&[("app.db", contents(3 * MEMBER_BYTES, 1))], Compression::DEFAULT);
    let header = sealed.windows(5).position(|window| window == b"\n--- ").unwrap() + 66;
    let step = (sealed.len() - header) / 1500;
    let places = (0..header).chain((header..sealed.len()).step_by(step.max(1)));
    let mut damaged = sealed.clone();
    let (mut found, mut unopened) = (0, 0);
    for at in places {
        damaged[at] ^= 1 << (at % 8);
        match read_with(office.keys(), damaged.clone()) {
            Err(error) if error.is_evidence() => found += 1,
            // The stanza of the key itself cannot be distinguished from that of another key.
            Err(ArchiveError::KeyMissing(_)) => unopened += 1,
            other => panic!("byte {at}: {other:?}"),
        }
        damaged[at] = sealed[at];
    }
    assert!(found > 2000 && unopened < 300, "{found} found, {unopened} not opened");
}

#[test]
fn a_cut_anywhere_is_found_and_nothing_of_the_missing_part_is_made_up() {
    let office = Office::new();
    let database = contents(2 * MEMBER_BYTES + 4096, 1);
    let (sealed, _) = office.archive(&[("app.db", database)], Compression::None);
    let start = sealed.windows(5).position(|window| window == b"\n--- ").unwrap() + 49 + 16;
    let edges = (start..sealed.len()).step_by(CHUNK + 16).flat_map(|edge| [edge - 1, edge, edge + 1]);
    let others = (0..sealed.len()).step_by(CHUNK).chain([1, 21, 22, 100, start - 20, sealed.len() - 1]);
    for cut in edges.chain(others).filter(|cut| *cut < sealed.len()) {
        let result = read_with(office.keys(), &sealed[..cut]);
        assert!(result.as_ref().is_err_and(ArchiveError::is_evidence), "{cut}: {result:?}");
    }
    for more in [vec![0; 1], vec![7; 70_000], sealed[sealed.len() - 5000..].to_vec()] {
        let result = read_with(office.keys(), [sealed.clone(), more].concat());
        assert!(result.as_ref().is_err_and(ArchiveError::is_evidence), "{result:?}");
    }
}

#[test]
fn a_cut_behind_what_is_read_is_found_too() {
    let office = Office::new();
    let databases = [("app.db", contents(MEMBER_BYTES, 1)), ("log.db", contents(3 * MEMBER_BYTES, 2))];
    let (sealed, _) = office.archive(&databases, Compression::DEFAULT);
    let start = sealed.windows(5).position(|window| window == b"\n--- ").unwrap() + 49 + 16;
    let edges = (start..sealed.len()).step_by(CHUNK + 16).skip(2);
    for cut in edges.chain([sealed.len() - 1]) {
        let opened = open_with(office.keys(), &sealed[..cut]);
        let result = opened.and_then(|archive| unpack(&archive, &[0]).map(drop));
        assert!(result.as_ref().is_err_and(ArchiveError::is_evidence), "{cut}: {result:?}");
    }
}

#[test]
fn swapped_chunks_are_found() {
    let office = Office::new();
    let (mut sealed, _) = office.archive(&[("app.db", contents(MEMBER_BYTES, 1))], Compression::None);
    let start = sealed.windows(5).position(|window| window == b"\n--- ").unwrap() + 49 + 16;
    let (first, second) = sealed[start + CHUNK + 16..start + 3 * (CHUNK + 16)].split_at_mut(CHUNK + 16);
    first.swap_with_slice(second);
    assert!(read_with(office.keys(), sealed).unwrap_err().is_evidence());
}

#[test]
fn a_listing_reads_only_the_start_of_an_encrypted_archive() {
    let office = Office::new();
    let (sealed, _) = office.archive(&[("app.db", contents(20 * MEMBER_BYTES, 1))], Compression::DEFAULT);
    for (keys, most) in [(Keys::default(), 20_000), (office.keys(), 20_000 + 3 * CHUNK as u64)] {
        let source = Bytes::new(sealed.clone());
        let opener = Opener { zone: chrono_tz::UTC, keys };
        let _ = opener.open(source.clone(), "a.tar.age", time());
        let read = source.read.load(Ordering::Relaxed);
        assert!(read <= most, "{read} bytes were read");
    }
}

#[test]
fn an_error_of_the_source_is_not_damage() {
    struct Broken(Arc<Bytes>);
    impl ReadAt for Broken {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            if offset > 200_000 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the disk is tired"));
            }
            self.0.read_at(buffer, offset)
        }

        fn bytes(&self) -> u64 {
            self.0.bytes()
        }
    }
    let office = Office::new();
    for compression in EVERY {
        let (sealed, _) = office.archive(&[("app.db", contents(2 * MEMBER_BYTES, 1))], compression);
        let opener = Opener { zone: chrono_tz::UTC, keys: office.keys() };
        // The index of a tar is only found by reading all of it.
        let opened = opener.open(Arc::new(Broken(Bytes::new(sealed))), "a.tar.age", time());
        let error = opened.and_then(|archive| archive.read_through(THREADS, &Silent)).unwrap_err();
        assert!(matches!(&error, ArchiveError::Io(cause) if cause.to_string().contains("tired")), "{error:?}");
    }
}

#[test]
fn the_age_program_opens_our_archives_and_we_open_its_own() {
    if !tools::installed("archives of Debian's age", &["age", "tar"]) {
        return;
    }
    let office = Office::new();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.txt");
    fs::write(&key, office.identity.file_text("2026-03-01T00:00:00Z")).unwrap();
    let database = contents(2 * MEMBER_BYTES, 1);
    let databases = [("app.db", database.clone())];
    let (sealed, _) = office.archive(&databases, Compression::DEFAULT);
    let file = folder.path().join("a.tar.gz.age");
    fs::write(&file, sealed).unwrap();
    let mut age = Command::new("age").arg("-d").arg("-i").arg(&key).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let tar = Command::new("tar").args(["xz", "-C"]).arg(folder.path()).stdin(age.stdout.take().unwrap()).status();
    assert!(tar.unwrap().success() && age.wait().unwrap().success());
    assert!(fs::read(folder.path().join("app.db")).unwrap() == database);

    let plain = folder.path().join("b.tar.gz");
    fs::write(&plain, write(&databases, Compression::DEFAULT)).unwrap();
    let theirs = folder.path().join("b.tar.gz.age");
    let recipient = office.identity.recipient().to_string();
    let status = Command::new("age").args(["-r", &recipient, "-o"]).arg(&theirs).arg(&plain).status().unwrap();
    assert!(status.success());
    let theirs = fs::read(theirs).unwrap();
    let archive = open_with(office.keys(), theirs.clone()).unwrap();
    assert!(unpack(&archive, &[0]).unwrap() == [database] && archive.contents().oddities.is_empty());
    let Err(ArchiveError::KeyMissing(locked)) = open_with(Keys::default(), theirs) else { panic!("it was opened") };
    assert_eq!(locked.envelope.label, None);
}
