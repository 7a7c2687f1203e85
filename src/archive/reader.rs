//! An opened archive of any tool: reads the databases in it.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::codec::Codec;
use super::codec::byte_stream::ByteStream;
use super::error::{ArchiveError, damaged, shown};
use super::format1::member_reader::MemberReader;
use super::format1::salvage::{Salvage, Unreadable};
use super::locked::Envelope;
use super::stream_reader::{self, CHUNK};
use super::tar_file::tar_stream::Tar;
use super::wanted::{Reach, ReadDatabase, ReadThrough, Wanted};
use crate::progress::Progress;
use crate::snapshot::{Contents, Part};
use crate::store::ReadAt;

/// An opened archive: its description was read and validated, its databases were not.
pub struct Archive {
    source: Arc<dyn ReadAt>,
    contents: Contents,
    route: Route,
    envelope: Option<Envelope>,
}

/// How the databases are reached.
pub(crate) enum Route {
    /// Format 1 as we write it, with the offset of the second member.
    Members { codec: Codec, second: u64 },
    /// A tar that is read from front to back, with the path of each database in it.
    Tar { codec: Option<Codec>, paths: Vec<String> },
    /// A plain database, with its path if it has sidecars beside it.
    Database { codec: Option<Codec>, place: Option<PathBuf> },
}

impl Archive {
    pub(crate) fn new(source: Arc<dyn ReadAt>, contents: Contents, route: Route) -> Self {
        Self { source, contents, route, envelope: None }
    }

    /// Returns the same archive as the contents of an encrypted file. Where the label of that differs from the metadata
    /// inside, the metadata counts, and the difference is an oddity.
    pub(crate) fn out_of(mut self, envelope: Envelope) -> Self {
        self.contents.is_encrypted = true;
        if let (Some(label), Some(metadata), Some(id)) = (&envelope.label, &self.contents.metadata, self.contents.id) {
            self.contents.oddities.extend(label.disagreements(metadata, id));
        }
        Self { envelope: Some(envelope), ..self }
    }

    /// Returns what the header says of the encrypted file that it is in; `None` if it is not encrypted.
    pub fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_ref()
    }

    /// Returns the path of a plain database that has sidecars beside it. An application may be writing to them, so they
    /// must be copied together.
    pub fn place_with_sidecars(&self) -> Option<&Path> {
        match &self.route {
            Route::Database { place, .. } => place.as_deref(),
            _ => None,
        }
    }

    /// Writes a sidecar of a database in a tar into an empty file, which is open for reading and writing. Syncs
    /// nothing.
    pub fn unpack_sidecar(
        &self,
        index: usize,
        part: Part,
        file: &File,
        progress: &dyn Progress,
    ) -> Result<(), ArchiveError> {
        let Route::Tar { codec, paths } = &self.route else { return Err(damaged("it holds no sidecars")) };
        let name = format!("{}{}", paths[index], part.ending());
        let mut tar = Tar::new(ByteStream::new(self.source.clone(), *codec)?);
        while let Some(entry) = tar.next()? {
            if entry.name == name {
                let read =
                    stream_reader::copy(&mut vec![0; CHUNK], |buffer| tar.read(buffer), Wanted::Into(file), progress)?;
                let said = self.contents.databases[index]
                    .sidecars
                    .iter()
                    .any(|sidecar| sidecar.part == part && sidecar.bytes == read.bytes);
                return if said {
                    Ok(())
                } else {
                    Err(damaged(format!("\"{}\" has changed size since the archive was opened", shown(&name))))
                };
            }
        }
        Err(damaged(format!("the entry \"{}\" is missing", shown(&name))))
    }

    /// Returns the contents.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Writes the databases at these indices of [`Contents::databases`] into these empty files, which are open for
    /// reading and writing, and compares sizes and digests with what the files then hold. After an error the files must
    /// not be used. Syncs nothing.
    ///
    /// Each index must exist and be given once. Returns the databases in the order of `wanted`. Advances `progress` by
    /// bytes of databases.
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
        let read = self.read(&plan, Reach::LastWanted, threads, progress)?.databases;
        // `read` returns them in the order of the archive.
        let mut indices: Vec<usize> = wanted.iter().map(|&(index, _)| index).collect();
        indices.sort_unstable();
        indices.dedup();
        let place = |index| indices.binary_search(&index).ok().and_then(|place| read.get(place).cloned());
        wanted.iter().map(|&(index, _)| place(index).ok_or_else(|| damaged("a database is missing"))).collect()
    }

    /// Reads every byte to the end of the file: structure, CRCs, sizes, digests, padding. Returns every database in
    /// order.
    ///
    /// Advances `progress` by bytes of databases.
    pub fn read_through(&self, threads: NonZeroUsize, progress: &dyn Progress) -> Result<ReadThrough, ArchiveError> {
        self.read_through_into(None, threads, progress)
    }

    /// Like [`read_through`](Self::read_through), but also writes the first database into the empty file `first`, if
    /// given. Its contents count only if this succeeds.
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
        self.read(&plan, Reach::End, threads, progress)
    }

    /// Reads one database to its end and compares it, without writing it anywhere.
    pub fn check(&self, index: usize, threads: NonZeroUsize, progress: &dyn Progress) -> Result<(), ArchiveError> {
        let mut plan = vec![Wanted::No; self.contents.databases.len()];
        plan[index] = Wanted::Read;
        self.read(&plan, Reach::LastWanted, threads, progress).map(drop)
    }

    /// Reads as much as possible of one database of a damaged archive, writes it into an empty file if one is given,
    /// and returns what cannot be read. Those ranges are zeros in the file, which still gets the full size of the
    /// database.
    ///
    /// No digest is compared: data that was read may still be wrong if nothing protects it, as in an uncompressed tar.
    pub fn salvage(
        &self,
        index: usize,
        file: Option<&File>,
        progress: &dyn Progress,
    ) -> Result<Unreadable, ArchiveError> {
        let bytes = self.contents.databases[index].bytes;
        let (bytes, unreadable) = match (&self.route, &self.contents.metadata) {
            (Route::Members { codec, second }, Some(metadata)) => {
                let salvage = Salvage {
                    codec: *codec,
                    source: &*self.source,
                    second: *second,
                    databases: &metadata.databases,
                    progress,
                };
                (bytes.unwrap_or(0), salvage.database(index, file)?)
            }
            (Route::Members { .. }, None) => return Err(damaged("the metadata is missing")),
            (Route::Database { codec, .. }, _) => {
                let mut stream = ByteStream::new(self.source.clone(), *codec)?;
                stream_reader::as_far_as_possible(bytes, |buffer| stream.fill(buffer), file, progress)?
            }
            (Route::Tar { codec, paths }, _) => {
                let mut tar = Tar::new(ByteStream::new(self.source.clone(), *codec)?);
                let found = stream_reader::go_to(&mut tar, &paths[index])?;
                stream_reader::as_far_as_possible(
                    bytes,
                    |buffer| if found { tar.read(buffer) } else { Ok(0) },
                    file,
                    progress,
                )?
            }
        };
        if let Some(file) = file {
            file.set_len(bytes)?;
        }
        Ok(unreadable)
    }

    /// Reads the databases. A digest of a written file that does not match is evidence against the archive only if the
    /// archive does not match either: it is read again, without writing.
    fn read(
        &self,
        wanted: &[Wanted],
        reach: Reach,
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> Result<ReadThrough, ArchiveError> {
        let result = self.read_once(wanted, reach, threads, progress);
        let is_written = wanted.iter().any(|wanted| matches!(wanted, Wanted::Into(_)));
        match result {
            Err(ArchiveError::DigestMismatch { entry }) if is_written => {
                let unwritten: Vec<_> =
                    wanted.iter().map(|wanted| if wanted.is_no() { Wanted::No } else { Wanted::Read }).collect();
                self.read_once(&unwritten, reach, threads, progress)?;
                Err(ArchiveError::NotWritten { entry })
            }
            result => result,
        }
    }

    fn read_once(
        &self,
        wanted: &[Wanted],
        reach: Reach,
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> Result<ReadThrough, ArchiveError> {
        let (source, contents) = (&self.source, &self.contents);
        match (&self.route, &contents.metadata) {
            (Route::Members { codec, second }, Some(metadata)) => {
                let reader = MemberReader {
                    codec: *codec,
                    source: &**source,
                    second: *second,
                    databases: &metadata.databases,
                    wanted,
                    reach,
                    writing: Mutex::default(),
                };
                Ok(ReadThrough { databases: reader.run(threads, progress)?, oddities: Vec::new() })
            }
            (Route::Members { .. }, None) => Err(damaged("the metadata is missing")),
            (Route::Database { codec, .. }, _) => {
                stream_reader::database(source, *codec, &contents.databases[0], wanted[0], progress)
            }
            (Route::Tar { codec, paths }, _) => stream_reader::tar(source, *codec, contents, paths, wanted, progress),
        }
    }
}
