//! Detects what a file is and reads its description. The only module that opens archives.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::cipher::decrypted_file::DecryptedFile;
use super::cipher::{Header, Keys, is_armored, is_encrypted};
use super::codec::Codec;
use super::codec::byte_stream::ByteStream;
use super::error::{ArchiveError, damaged};
use super::format::TAR_BLOCK;
use super::format1::metadata_reader;
use super::other_tools::file_label::FileLabel;
use super::other_tools::legacy::{self, Found};
use super::other_tools::{plain_database, sqlite_file};
use super::read_ahead::ReadAhead;
use super::reader::{Archive, Route};
use super::tar_file::tar_header;
use super::tar_file::tar_stream::Tar;
use crate::names::ENCRYPTED_ENDING;
use crate::store::ReadAt;

/// How much of a file is read to detect its kind: the whole description of most archives.
const HEAD_BYTES: usize = 16 * 1024;
/// The same for a remote source, where a second request costs more than the extra bytes of the first.
const DISTANT_HEAD_BYTES: usize = 64 * 1024;
/// Opens archives, with the settings that all archives of a run share.
#[derive(Debug, Clone)]
pub struct Opener {
    /// The zone of times that have none, as in archives of old tools.
    pub zone: Tz,
    /// The available keys.
    pub keys: Keys,
}

impl Opener {
    /// Opens archives without a key.
    pub fn new(zone: Tz) -> Self {
        Self { zone, keys: Keys::default() }
    }

    /// Opens an archive; for format 1, reads no more than its first member. An encrypted one that no key opens is
    /// [`ArchiveError::KeyMissing`].
    ///
    /// `modified` is used as its time if neither the contents nor the name give one.
    pub fn open(
        &self,
        source: Arc<dyn ReadAt>,
        file_name: &str,
        modified: DateTime<Utc>,
    ) -> Result<Archive, ArchiveError> {
        self.open_at(source, None, file_name, modified)
    }

    /// Like [`open`](Self::open), but also looks for the sidecars of a plain database at its path.
    pub fn open_at(
        &self,
        source: Arc<dyn ReadAt>,
        place: Option<&Path>,
        file_name: &str,
        modified: DateTime<Utc>,
    ) -> Result<Archive, ArchiveError> {
        let label = FileLabel { name: file_name, modified, zone: self.zone };
        let head_bytes = if source.block_bytes().is_some() { DISTANT_HEAD_BYTES } else { HEAD_BYTES };
        let mut head = vec![0; usize::try_from(source.bytes()).unwrap_or(usize::MAX).min(head_bytes)];
        source.read_exact_at(&mut head, 0)?;
        if is_armored(&head) {
            let why = "it is an age file in text form; `age -d` with your key decrypts it";
            return Err(ArchiveError::NotAnArchive { why: why.into() });
        }
        if !is_encrypted(&head) {
            return match open_plain(source, place, &label, head) {
                // Without a key, its name is all that shows that the first bytes were changed.
                Err(ArchiveError::NotAnArchive { .. }) if file_name.ends_with(ENCRYPTED_ENDING) => {
                    Err(damaged("its name says that it is encrypted, but it does not begin as an encrypted file does"))
                }
                opened => opened,
            };
        }
        let header = Header::read(&*source, &head)?;
        let opened = DecryptedFile::open(ReadAhead::over(source), &header, &self.keys)?;
        let inside = opened.map_err(|locked| ArchiveError::KeyMissing(Box::new(locked)))?;
        let mut head = vec![0; usize::try_from(inside.bytes()).unwrap_or(usize::MAX).min(HEAD_BYTES)];
        inside.read_exact_at(&mut head, 0)?;
        let name = file_name.strip_suffix(ENCRYPTED_ENDING).unwrap_or(file_name);
        // Nothing lies beside what is inside a file.
        let archive = open_plain(Arc::new(inside), None, &FileLabel { name, ..label }, head)?;
        Ok(archive.out_of(header.envelope))
    }
}

/// Opens an archive that is not encrypted. `head` is the start of it.
fn open_plain(
    source: Arc<dyn ReadAt>,
    place: Option<&Path>,
    label: &FileLabel<'_>,
    head: Vec<u8>,
) -> Result<Archive, ArchiveError> {
    let codec = Codec::of(&head);
    let described = codec.map(|codec| metadata_reader::first_member(codec, &*source, &head)).transpose()?.flatten();
    let source = ReadAhead::over(source);
    if let (Some(codec), Some(described)) = (codec, described) {
        let route = Route::Members { codec, second: described.second };
        return Ok(Archive::new(source, described.contents, route));
    }
    let mut inside = vec![0; TAR_BLOCK];
    if codec.is_some() {
        let count = ByteStream::new(source.clone(), codec)?.fill(&mut inside)?;
        inside.truncate(count);
    } else {
        inside = head[..head.len().min(TAR_BLOCK)].to_vec();
    }
    if sqlite_file::is_database(&inside) {
        let place = place.filter(|_| codec.is_none());
        let sidecars = place.map(plain_database::sidecars_beside).transpose()?.unwrap_or_default();
        let place = place.filter(|_| !sidecars.is_empty()).map(Path::to_owned);
        let contents = plain_database::describe(&inside, source.bytes(), codec, sidecars, label)?;
        return Ok(Archive::new(source, contents, Route::Database { codec, place }));
    }
    refuse_other_formats(&inside, codec, label.name)?;
    let (contents, paths) = match legacy::scan(&mut Tar::new(ByteStream::new(source.clone(), codec)?), label)? {
        Found::Legacy(contents, paths) => (*contents, paths),
        // Nothing else writes such members, and nothing protects their headers.
        Found::Format1(_) if codec.is_some_and(|codec| codec.claims_members(&head)) => {
            return Err(damaged("the first member was changed after it was written"));
        }
        Found::Format1(contents) => {
            let paths = contents.databases.iter().map(|held| held.file.clone()).collect();
            (*contents, paths)
        }
    };
    Ok(Archive::new(source, contents, Route::Tar { codec, paths }))
}

/// Recognises some formats that cannot be archives.
fn refuse_other_formats(inside: &[u8], codec: Option<Codec>, file_name: &str) -> Result<(), ArchiveError> {
    const KNOWN: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "it is a zip file"),
        (b"\xfd7zXZ\0", "it is compressed with xz"),
        (b"\x28\xb5\x2f\xfd", "it is compressed twice"),
        (b"BZh", "it is compressed with bzip2"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z file"),
        (b"\x1f\x8b", "it is compressed twice"),
    ];
    let why = |why: &str| Err(ArchiveError::NotAnArchive { why: why.into() });
    if inside.is_empty() {
        return why("it is empty");
    }
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| inside.starts_with(magic)) {
        return why(what);
    }
    let block = inside.first_chunk();
    if block.is_some_and(|block| block.iter().all(|&byte| byte == 0)) {
        return why("there is nothing in it");
    }
    if !block.is_some_and(tar_header::is_header) {
        return why("it is neither a tar nor a SQLite database");
    }
    if codec.is_none() && [".gz", ".tgz", ".zst", ".tzst"].iter().any(|ending| file_name.ends_with(ending)) {
        // Something decompressed it on the way, often a browser or a proxy. Anybody who relies on the name should know.
        return why("its name says that it is compressed, but it is not (rename it to end in .tar to use it)");
    }
    Ok(())
}
