//! Reads databases from front to back: from a tar, or as a plain file, compressed or not.

use std::fs::File;
use std::sync::Arc;

use super::codec::Codec;
use super::codec::byte_stream::ByteStream;
use super::error::{ArchiveError, damaged, shown, trailing};
use super::format1::salvage::{Unreadable, rest};
use super::other_tools::sqlite_file;
use super::positional_write;
use super::tar_file::tar_stream::{Tar, TarEntry};
use super::wanted::{ReadDatabase, ReadThrough, Wanted};
use crate::digest::Hasher;
use crate::metadata::Metadata;
use crate::names::{METADATA_ENTRY, RESTORE_ENTRY};
use crate::progress::Progress;
use crate::snapshot::{Contents, Held};
use crate::store::ReadAt;

/// How many bytes of a stream are read, hashed and written at once.
pub(crate) const CHUNK: usize = 1024 * 1024;
/// The same for a damaged stream: nothing is used of the chunk in which the damage shows.
const SALVAGE_CHUNK: usize = 16 * 1024;

/// Reads a tar to its end, whichever databases are wanted: only the end shows that a gzip stream is complete.
pub(crate) fn tar(
    source: &Arc<dyn ReadAt>,
    codec: Option<Codec>,
    contents: &Contents,
    paths: &[String],
    wanted: &[Wanted],
    progress: &dyn Progress,
) -> Result<ReadThrough, ArchiveError> {
    let mut tar = Tar::new(ByteStream::new(source.clone(), codec)?);
    let metadata = contents.metadata.as_ref();
    let mut databases = Vec::new();
    let mut next = 0;
    let mut place = 0;
    let mut buffer = vec![0; CHUNK];
    while let Some(entry) = tar.next()? {
        if let Some(metadata) = metadata {
            in_order(metadata, place, &entry)?;
        }
        place += 1;
        let Some(held) = contents.databases.get(next).filter(|_| paths[next] == entry.name) else { continue };
        if held.bytes != Some(entry.bytes) {
            return Err(damaged(format!("\"{}\" has changed size since the archive was opened", shown(&entry.name))));
        }
        let plan = wanted[next];
        next += 1;
        if plan.is_no() {
            continue;
        }
        let read = copy(&mut buffer, |buffer| tar.read(buffer), plan, progress)?;
        if held.sha256.is_some_and(|recorded| recorded != read.sha256) {
            return Err(ArchiveError::DigestMismatch { entry: shown(&held.file) });
        }
        databases.push(read);
    }
    let complete = metadata.is_none_or(|metadata| place == metadata.databases.len() + 2);
    if next < contents.databases.len() || !complete {
        return Err(damaged("an entry is missing"));
    }
    if metadata.is_some() {
        tar.refuse_folders()?;
    }
    if tar.trailing() > 0 && metadata.is_some() {
        return Err(damaged(trailing(tar.trailing())));
    }
    // The oddities of old archives were found when they were opened.
    Ok(ReadThrough { databases, oddities: Vec::new() })
}

/// Reads a plain database to its end.
pub(crate) fn database(
    source: &Arc<dyn ReadAt>,
    codec: Option<Codec>,
    held: &Held,
    wanted: Wanted,
    progress: &dyn Progress,
) -> Result<ReadThrough, ArchiveError> {
    let mut stream = ByteStream::new(source.clone(), codec)?;
    let mut head = Vec::new();
    let (mut seen, mut most) = (0, None);
    let mut buffer = vec![0; CHUNK];
    let fill = |buffer: &mut [u8]| {
        let count = stream.fill(buffer)?;
        if head.is_empty() {
            head.extend_from_slice(&buffer[..count.min(sqlite_file::HEADER_BYTES)]);
            most = codec.and_then(|_| sqlite_file::most_bytes(&head));
        }
        seen += count as u64;
        if most.is_some_and(|most| seen > most) {
            return Err(ArchiveError::Hostile { why: "it decompresses to far more than its header counts".into() });
        }
        Ok(count)
    };
    if wanted.is_no() {
        return Ok(ReadThrough { databases: Vec::new(), oddities: Vec::new() });
    }
    let read = copy(&mut buffer, fill, wanted, progress)?;
    let mut oddities = Vec::new();
    if codec.is_some() {
        // The size of an uncompressed one was compared when it was opened.
        oddities.extend(sqlite_file::check_header(&head, read.bytes, &held.file)?);
        oddities.extend((stream.trailing() > 0).then(|| trailing(stream.trailing())));
    }
    Ok(ReadThrough { databases: vec![read], oddities })
}

/// Reads until the end or the first damage. Returns the expected size of the database, and the missing ranges.
pub(crate) fn as_far_as_possible(
    bytes: Option<u64>,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, ArchiveError>,
    file: Option<&File>,
    progress: &dyn Progress,
) -> Result<(u64, Unreadable), ArchiveError> {
    let mut head = Vec::new();
    let mut buffer = vec![0; SALVAGE_CHUNK];
    let mut reached = 0;
    loop {
        progress.checkpoint()?;
        let count = match fill(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.is_evidence() => 0,
            Err(error) => return Err(error),
        };
        if count == 0 {
            let bytes = bytes.or_else(|| sqlite_file::size_in_header(&head)).unwrap_or(reached);
            return Ok((bytes, rest(std::iter::once(0..reached.min(bytes)).collect(), bytes)));
        }
        if head.is_empty() {
            head.extend_from_slice(&buffer[..count.min(sqlite_file::HEADER_BYTES)]);
        }
        if let Some(file) = file {
            positional_write::write_at(file, &buffer[..count], reached)?;
        }
        reached += count as u64;
        progress.advance(count as u64);
        if let (None, Some(counted)) = (bytes, sqlite_file::size_in_header(&head))
            && reached >= counted
        {
            // SQLite does not look at more.
            return Ok((counted, Unreadable::new()));
        }
    }
}

/// Advances to an entry of a tar; returns whether it was found.
pub(crate) fn go_to(tar: &mut Tar, name: &str) -> Result<bool, ArchiveError> {
    loop {
        match tar.next() {
            Ok(Some(entry)) if entry.name == name => return Ok(true),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            Err(error) if error.is_evidence() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Reads one database to its end and hashes it. If it is wanted in a file, writes it and hashes what the file holds.
pub(crate) fn copy(
    buffer: &mut [u8],
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, ArchiveError>,
    wanted: Wanted,
    progress: &dyn Progress,
) -> Result<ReadDatabase, ArchiveError> {
    let mut hasher = Hasher::default();
    let mut bytes = 0;
    loop {
        progress.checkpoint()?;
        let count = fill(buffer)?;
        if count == 0 {
            return Ok(ReadDatabase { bytes, sha256: hasher.finish() });
        }
        let read = &mut buffer[..count];
        if let Wanted::Into(file) = wanted {
            positional_write::write_at(file, read, bytes)?;
            positional_write::hash_written(file, read, bytes, &mut hasher)?;
        } else {
            hasher.update(read);
        }
        bytes += count as u64;
        progress.advance(count as u64);
    }
}

/// Checks that an entry of a format 1 tar is the expected one.
fn in_order(metadata: &Metadata, place: usize, entry: &TarEntry) -> Result<(), ArchiveError> {
    let expected = match place {
        0 => METADATA_ENTRY,
        _ => metadata.databases.get(place - 1).map_or(RESTORE_ENTRY, |database| database.file.as_str()),
    };
    if entry.raw != expected || place > metadata.databases.len() + 1 {
        let why = format!("the entry \"{}\" is not the one that the metadata names there", shown(&entry.raw));
        return Err(ArchiveError::Hostile { why });
    }
    let size = place.checked_sub(1).and_then(|index| metadata.databases.get(index)).map(|database| database.bytes);
    if size.is_some_and(|bytes| bytes != entry.bytes) {
        return Err(damaged(format!("\"{}\" does not have the size recorded in the metadata", shown(&entry.raw))));
    }
    Ok(())
}
