//! Reads archives of every origin.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::ArchiveError;
use super::format::TAR_BLOCK;
use super::format1::member_reader::{self, Reading, Wanted};
use super::format1::metadata_reader::{damaged, shown};
use super::format1::salvage::{Salvage, Unreadable, rest};
use super::other_tools::legacy::{self, Found, Label};
use super::other_tools::sqlite_file;
use super::positional_write;
use super::tar_file::tar_header;
use super::tar_file::tar_stream::{Tar, Unwrapped};
use crate::digest::{Hasher, Sha256};
use crate::metadata::{Kind, Metadata};
use crate::names::{RESTORE_ENTRY, is_file_name};
use crate::progress::Progress;
use crate::snapshot::{Contents, Held, Origin, Part, Sidecar};
use crate::store::ReadAt;

/// How much of a file is read to see what it is: the whole description of most archives.
const HEAD_BYTES: usize = 16 * 1024;
/// How much of a stream is read, hashed and written at once.
const CHUNK: usize = 1024 * 1024;
/// The same where the stream is damaged: of the chunk in which that shows, nothing is used.
const SALVAGE_CHUNK: usize = 16 * 1024;

/// An archive that was opened: its description was read and validated, its databases were not.
pub struct Archive {
    source: Arc<dyn ReadAt>,
    contents: Contents,
    route: Route,
    /// The path of each database in a tar of another tool.
    paths: Vec<String>,
    /// Where a plain database lies that has sidecars beside it.
    place: Option<PathBuf>,
}

/// How the databases are reached.
#[derive(Clone, Copy)]
enum Route {
    /// Format 1 as we write it; the second member begins here.
    Members { second: u64 },
    /// A tar that is read from front to back, compressed or not.
    Tar { gzip: bool },
    /// A plain database.
    Database { gzip: bool },
}

/// One database as it was read out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadDatabase {
    /// Its size.
    pub bytes: u64,
    /// The digest of what was read. Where the archive recorded one, it is the same.
    pub sha256: Sha256,
}

/// What reading a whole archive gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadThrough {
    /// Every database, in the order of [`Contents::databases`].
    pub databases: Vec<ReadDatabase>,
    /// What is odd, beyond [`Contents::oddities`], and only shows on reading everything.
    pub oddities: Vec<String>,
}

impl Archive {
    /// Opens an archive; reads no more than its first member where it is of format 1.
    ///
    /// `zone` is used for times of old tools, which carry none, and `modified` where neither the contents nor the name give a time.
    pub fn open(source: Arc<dyn ReadAt>, file_name: &str, modified: DateTime<Utc>, zone: Tz) -> Result<Self, ArchiveError> {
        Self::open_at(source, None, file_name, modified, zone)
    }

    /// Does the same, and looks for the sidecars of a plain database beside the path that it lies at.
    pub fn open_at(
        source: Arc<dyn ReadAt>,
        place: Option<&Path>,
        file_name: &str,
        modified: DateTime<Utc>,
        zone: Tz,
    ) -> Result<Self, ArchiveError> {
        let label = Label { file_name, modified, zone };
        let mut head = vec![0; usize::try_from(source.bytes()).unwrap_or(usize::MAX).min(HEAD_BYTES)];
        source.read_exact_at(&mut head, 0)?;
        let gzip = head.starts_with(&[0x1f, 0x8b]);
        let mut inside = Vec::new();
        if gzip {
            if let Some((contents, second)) = member_reader::open(&*source, &head)? {
                return Ok(Self { source, contents, route: Route::Members { second }, paths: Vec::new(), place: None });
            }
            inside.resize(TAR_BLOCK, 0);
            let count = Unwrapped::new(source.clone(), true).fill(&mut inside)?;
            inside.truncate(count);
        } else {
            inside.extend_from_slice(&head[..head.len().min(TAR_BLOCK)]);
        }
        if sqlite_file::is_database(&inside) {
            let place = place.filter(|_| !gzip);
            let sidecars = place.map(sidecars_beside).transpose()?.unwrap_or_default();
            let place = place.filter(|_| !sidecars.is_empty()).map(Path::to_owned);
            let contents = describe_database(&inside, source.bytes(), gzip, sidecars, &label)?;
            return Ok(Self { source, contents, route: Route::Database { gzip }, paths: Vec::new(), place });
        }
        refuse_other_formats(&inside, gzip, file_name)?;
        let found = legacy::scan(&mut Tar::new(Unwrapped::new(source.clone(), gzip)), &label)?;
        let (contents, paths) = match found {
            Found::Legacy(contents, paths) => (*contents, paths),
            // Flag 4 is FEXTRA: ours, but the first member is not as it was written. gzip itself does not protect its header.
            Found::Format1(_) if gzip && head[3] & 4 != 0 => return Err(damaged("the first gzip member is not as it was written")),
            Found::Format1(contents) => {
                let paths = contents.databases.iter().map(|held| held.file.clone()).collect();
                (*contents, paths)
            }
        };
        Ok(Self { source, contents, route: Route::Tar { gzip }, paths, place: None })
    }

    /// Returns where a plain database lies that has sidecars beside it. An application may write to them: they have to be copied together.
    pub fn place_with_sidecars(&self) -> Option<&Path> {
        self.place.as_deref()
    }

    /// Writes a sidecar of a database in a tar into an empty file. Syncs nothing.
    pub fn unpack_sidecar(&self, index: usize, part: Part, file: &File, progress: &dyn Progress) -> Result<(), ArchiveError> {
        let Route::Tar { gzip } = self.route else { return Err(damaged("it holds no sidecars")) };
        let name = format!("{}{}", self.paths[index], part.ending());
        let mut tar = Tar::new(Unwrapped::new(self.source.clone(), gzip));
        while let Some(entry) = tar.next()? {
            if entry.name == name {
                let read = copy(&mut vec![0; CHUNK], |buffer| tar.read(buffer), Wanted::Into(file), progress)?;
                let said =
                    self.contents.databases[index].sidecars.iter().any(|sidecar| sidecar.part == part && sidecar.bytes == read.bytes);
                return if said { Ok(()) } else { Err(damaged(format!("\"{}\" is not of the size that it had", shown(&name)))) };
            }
        }
        Err(damaged(format!("the entry \"{}\" is missing", shown(&name))))
    }

    /// Says what is in it.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Writes the databases at these indices of [`Contents::databases`] into these empty files, and compares sizes and digests. On an error the files hold nothing of worth. Syncs nothing.
    ///
    /// Each index is given once, and exists. Returns them in the order in which they were asked for. Advances `progress` by bytes of databases.
    pub fn unpack(
        &self,
        wanted: &[(usize, &File)],
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> Result<Vec<ReadDatabase>, ArchiveError> {
        let mut plan = vec![Wanted::No; self.contents.databases.len()];
        for &(index, file) in wanted {
            plan[index] = Wanted::Into(file);
        }
        let read = self.read(&plan, false, threads, progress)?.databases;
        // `read` has the order of the archive.
        let mut indices: Vec<usize> = wanted.iter().map(|&(index, _)| index).collect();
        indices.sort_unstable();
        indices.dedup();
        let place = |index| indices.binary_search(&index).ok().and_then(|place| read.get(place).cloned());
        wanted.iter().map(|&(index, _)| place(index).ok_or_else(|| damaged("a database is missing"))).collect()
    }

    /// Reads every byte to the end of the file: structure, CRCs, sizes, digests, padding. Returns every database in order.
    ///
    /// Advances `progress` by bytes of databases.
    pub fn read_through(&self, threads: NonZeroUsize, progress: &dyn Progress) -> Result<ReadThrough, ArchiveError> {
        self.read_through_into(None, threads, progress)
    }

    /// Does the same, and writes the first database into the empty file `first`, where one is given. What is in it counts only if all is well.
    pub fn read_through_into(
        &self,
        first: Option<&File>,
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> Result<ReadThrough, ArchiveError> {
        let mut plan = vec![Wanted::Read; self.contents.databases.len()];
        if let (Some(wanted), Some(file)) = (plan.first_mut(), first) {
            *wanted = Wanted::Into(file);
        }
        self.read(&plan, true, threads, progress)
    }

    /// Reads one database to its end and compares it, without writing it anywhere.
    pub fn check(&self, index: usize, threads: NonZeroUsize, progress: &dyn Progress) -> Result<(), ArchiveError> {
        let mut plan = vec![Wanted::No; self.contents.databases.len()];
        plan[index] = Wanted::Read;
        self.read(&plan, false, threads, progress).map(drop)
    }

    /// Reads one database of a damaged archive as far as that is possible, writes it into an empty file where one is given, and returns
    /// what cannot be read of it: zeros in the file, which has the size of the database all the same.
    ///
    /// Nothing is compared with a digest: what was read may be wrong too where nothing protects it, as in a tar that is not compressed.
    pub fn salvage(&self, index: usize, file: Option<&File>, progress: &dyn Progress) -> Result<Unreadable, ArchiveError> {
        let bytes = self.contents.databases[index].bytes;
        let (bytes, unreadable) = match (self.route, &self.contents.metadata) {
            (Route::Members { second }, Some(metadata)) => {
                let salvage = Salvage { source: &*self.source, second, databases: &metadata.databases, progress };
                (bytes.unwrap_or(0), salvage.database(index, file)?)
            }
            (Route::Database { gzip }, _) => {
                let mut source = Unwrapped::new(self.source.clone(), gzip);
                Self::read_as_far_as_possible(bytes, |buffer| source.fill(buffer), file, progress)?
            }
            _ => {
                let mut tar = Tar::new(Unwrapped::new(self.source.clone(), matches!(self.route, Route::Tar { gzip: true })));
                let found = tar_entry(&mut tar, &self.paths[index])?;
                Self::read_as_far_as_possible(bytes, |buffer| if found { tar.read(buffer) } else { Ok(0) }, file, progress)?
            }
        };
        if let Some(file) = file {
            file.set_len(bytes)?;
        }
        Ok(unreadable)
    }

    /// Reads until the end or the first damage. Returns the size that the database should have, and what is missing of it.
    fn read_as_far_as_possible(
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
        }
    }

    fn read(
        &self,
        wanted: &[Wanted],
        to_the_end: bool,
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> Result<ReadThrough, ArchiveError> {
        match (self.route, &self.contents.metadata) {
            (Route::Members { second }, Some(metadata)) => {
                let reading = Reading {
                    source: &*self.source,
                    second,
                    databases: &metadata.databases,
                    wanted,
                    to_the_end,
                    writing: Mutex::default(),
                };
                Ok(ReadThrough { databases: reading.run(threads, progress)?, oddities: Vec::new() })
            }
            (Route::Database { gzip }, _) => self.read_database(gzip, wanted[0], progress),
            (Route::Tar { gzip }, metadata) => self.read_tar(gzip, metadata.as_ref(), wanted, progress),
            (Route::Members { .. }, None) => Err(damaged("the metadata is missing")),
        }
    }

    /// Reads a tar to its end, whatever is wanted of it: only there a gzip stream shows that it is whole.
    fn read_tar(
        &self,
        gzip: bool,
        metadata: Option<&Metadata>,
        wanted: &[Wanted],
        progress: &dyn Progress,
    ) -> Result<ReadThrough, ArchiveError> {
        let mut tar = Tar::new(Unwrapped::new(self.source.clone(), gzip));
        let mut databases = Vec::new();
        let mut next = 0;
        let mut place = 0;
        let mut buffer = vec![0; CHUNK];
        while let Some(entry) = tar.next()? {
            if let Some(metadata) = metadata {
                in_order(metadata, place, &entry)?;
            }
            place += 1;
            let Some(held) = self.contents.databases.get(next).filter(|_| self.paths[next] == entry.name) else { continue };
            if held.bytes != Some(entry.bytes) {
                return Err(damaged(format!("\"{}\" is not of the size that it had", shown(&entry.name))));
            }
            let plan = wanted[next];
            next += 1;
            if matches!(plan, Wanted::No) {
                continue;
            }
            let read = copy(&mut buffer, |buffer| tar.read(buffer), plan, progress)?;
            if held.sha256.is_some_and(|recorded| recorded != read.sha256) {
                return Err(damaged(format!("\"{}\" does not have the sha256 that was recorded for it", shown(&held.file))));
            }
            databases.push(read);
        }
        let complete = metadata.is_none_or(|metadata| place == metadata.databases.len() + 2);
        if next < self.contents.databases.len() || !complete {
            return Err(damaged("an entry is missing"));
        }
        if metadata.is_some() {
            tar.refuse_folders()?;
        }
        if tar.trailing() > 0 && metadata.is_some() {
            return Err(damaged(legacy::trailing(tar.trailing())));
        }
        // The oddities of old archives were found when they were opened.
        Ok(ReadThrough { databases, oddities: Vec::new() })
    }

    fn read_database(&self, gzip: bool, wanted: Wanted, progress: &dyn Progress) -> Result<ReadThrough, ArchiveError> {
        let mut source = Unwrapped::new(self.source.clone(), gzip);
        let mut head = Vec::new();
        let mut buffer = vec![0; CHUNK];
        let fill = |buffer: &mut [u8]| {
            let count = source.fill(buffer)?;
            if head.is_empty() {
                head.extend_from_slice(&buffer[..count.min(sqlite_file::HEADER_BYTES)]);
            }
            Ok(count)
        };
        if matches!(wanted, Wanted::No) {
            return Ok(ReadThrough { databases: Vec::new(), oddities: Vec::new() });
        }
        let read = copy(&mut buffer, fill, wanted, progress)?;
        let mut oddities = Vec::new();
        if gzip {
            // For one that is not compressed the size was compared when it was opened.
            oddities.extend(sqlite_file::check_header(&head, read.bytes, &self.contents.databases[0].file)?);
            oddities.extend((source.trailing() > 0).then(|| legacy::trailing(source.trailing())));
        }
        Ok(ReadThrough { databases: vec![read], oddities })
    }
}

/// Goes to an entry of a tar; says whether it can be reached.
fn tar_entry(tar: &mut Tar, name: &str) -> Result<bool, ArchiveError> {
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

/// Reads one database to its end, hashes it, and writes it where that is wanted.
fn copy(
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
        if let Wanted::Into(file) = wanted {
            positional_write::write_at(file, &buffer[..count], bytes)?;
        }
        hasher.update(&buffer[..count]);
        bytes += count as u64;
        progress.advance(count as u64);
    }
}

/// Checks that an entry of a format 1 tar is the one that belongs at its place.
fn in_order(metadata: &Metadata, place: usize, entry: &super::tar_file::tar_stream::Entry) -> Result<(), ArchiveError> {
    let expected = match place {
        0 => crate::names::METADATA_ENTRY,
        _ => metadata.databases.get(place - 1).map_or(RESTORE_ENTRY, |database| database.file.as_str()),
    };
    if entry.raw != expected || place > metadata.databases.len() + 1 {
        let why = format!("the entry \"{}\" is not the one that the metadata names there", shown(&entry.raw));
        return Err(ArchiveError::Hostile { why });
    }
    let size = place.checked_sub(1).and_then(|index| metadata.databases.get(index)).map(|database| database.bytes);
    if size.is_some_and(|bytes| bytes != entry.bytes) {
        return Err(damaged(format!("\"{}\" is not of the size that the metadata gives", shown(&entry.raw))));
    }
    Ok(())
}

/// Describes a plain database by its name.
fn describe_database(head: &[u8], bytes: u64, gzip: bool, sidecars: Vec<Sidecar>, label: &Label) -> Result<Contents, ArchiveError> {
    let stem = legacy::stem(label.file_name);
    let set = legacy::set_of(stem);
    let file = label.file_name.strip_suffix(".gz").filter(|_| gzip).unwrap_or(label.file_name);
    let file = if is_file_name(file) { file.to_owned() } else { format!("{set}.db") };
    // With a sidecar the file itself may be shorter or longer than it will be.
    let oddities = if gzip || !sidecars.is_empty() { None } else { sqlite_file::check_header(head, bytes, &file)? };
    let held = Held {
        name: set.clone(),
        file,
        bytes: (!gzip).then_some(bytes),
        sha256: None,
        source: None,
        tables: None,
        table_count: None,
        sidecars,
    };
    Ok(Contents {
        origin: Origin::Plain,
        backup_name: stem.to_owned(),
        created_at: legacy::time_of(stem, label.zone).unwrap_or(label.modified),
        set,
        kind: Kind::Manual,
        databases: vec![held],
        oddities: oddities.into_iter().collect(),
        metadata: None,
        id: None,
    })
}

/// Looks for what SQLite keeps beside a database. An empty file is as good as none.
fn sidecars_beside(database: &Path) -> io::Result<Vec<Sidecar>> {
    let mut found = Vec::new();
    for part in Part::ALL {
        let mut path = database.as_os_str().to_owned();
        path.push(part.ending());
        match std::fs::symlink_metadata(path) {
            Ok(file) if file.is_file() && file.len() > 0 => found.push(Sidecar { part, bytes: file.len() }),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => return Err(error),
            _ => {}
        }
    }
    Ok(found)
}

/// Says what a file is that cannot be an archive, as far as that can be told.
fn refuse_other_formats(inside: &[u8], gzip: bool, file_name: &str) -> Result<(), ArchiveError> {
    const KNOWN: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "it is a zip file"),
        (b"\xfd7zXZ\0", "it is compressed with xz"),
        (b"\x28\xb5\x2f\xfd", "it is compressed with zstd"),
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
    if !gzip && [".gz", ".tgz"].iter().any(|ending| file_name.ends_with(ending)) {
        // Somebody unpacked it half way, often a browser or a proxy. Whoever relies on the name should know.
        return why("its name says that it is compressed, but it is not (let its name end in .tar to use it)");
    }
    Ok(())
}
