//! What is sent to a further store, and what is seen there.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;

use crate::archive::ArchiveError;
use crate::digest::Sha256;
use crate::names::{ArchiveId, ArchiveName};
use crate::ops::inventory::{DIGEST, Reading};
use crate::ops::pack::SealedFile;
use crate::ops::verify_digest::{Recorded, digest_of, recorded};
use crate::ops::{Committer, Repository};
use crate::platform::OpenFile;
use crate::progress::Progress;
use crate::snapshot::Snapshot;
use crate::store::ReadAt;
use crate::workspace::Workspace;

/// How much is read between two checks for cancellation.
const BLOCK: usize = 1 << 20;
/// How much of the end of a copy is compared.
const END: usize = 64 << 10;

/// A file that is sent.
pub(super) struct Sent {
    /// Its name there, if that is free.
    pub(super) name: ArchiveName,
    /// Its size.
    pub(super) bytes: u64,
    /// Held open: a local store takes the name away.
    file: Arc<OpenFile>,
    id: Option<ArchiveId>,
    /// The digest of the header, if it is encrypted.
    header: Option<Sha256>,
    /// What is recorded about it, if it was encrypted for the copy.
    seal: Option<SealedFile>,
}

/// What the beginning of a file in a store shows.
pub(super) struct Sight {
    bytes: u64,
    /// The id of its metadata, if it could be opened.
    id: Option<ArchiveId>,
    header: Option<Sha256>,
}

impl Sight {
    /// Looks at an archive in a store.
    pub(super) fn of(repository: &Repository, name: &ArchiveName, reading: &Reading) -> anyhow::Result<Self> {
        let file = repository.open(name, None)?;
        let bytes = file.bytes();
        match reading.opener.open(file, name.as_str(), DateTime::UNIX_EPOCH) {
            Ok(archive) => {
                let header = archive.envelope().map(|envelope| envelope.header);
                Ok(Self { bytes, id: archive.contents().id, header })
            }
            Err(ArchiveError::KeyMissing(locked)) => Ok(Self { bytes, id: None, header: Some(locked.envelope.header) }),
            Err(error) => Err(error.into()),
        }
    }
}

impl Sent {
    /// Reads a file to its end. One that no key here opens is compared with the digest beside it, if there is one.
    pub(super) fn of(
        snapshot: &Snapshot,
        path: &Path,
        from: &Repository,
        reading: &Reading,
        threads: NonZeroUsize,
        progress: &dyn Progress,
    ) -> anyhow::Result<Self> {
        let name = snapshot.name.clone();
        let file = Arc::new(OpenFile::open(path)?);
        let sent =
            Self { name: name.clone(), bytes: file.bytes(), file: file.clone(), id: None, header: None, seal: None };
        match reading.opener.open(file, name.as_str(), snapshot.created_at) {
            Ok(archive) => {
                archive.read_through(threads, progress)?;
                let header = archive.envelope().map(|envelope| envelope.header);
                Ok(Self { id: archive.contents().id, header, ..sent })
            }
            Err(ArchiveError::KeyMissing(locked)) => {
                if let Recorded::Digest(expected) = recorded(from, &name)? {
                    let found = digest_of(&*sent.file, progress)?;
                    if found != expected {
                        let why = format!("its SHA-256 is {found}, but {name}{DIGEST} says {expected}");
                        return Err(ArchiveError::Damaged { why }.into());
                    }
                }
                Ok(Self { header: Some(locked.envelope.header), ..sent })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns its name for a store in which two writers can take one name: the same for every copy of it.
    pub(super) fn distinct_name(&self) -> ArchiveName {
        let digits = self.id.map(|id| id.to_string()).or_else(|| self.header.map(|header| header.to_string()));
        let digits = digits.and_then(|text| u16::from_str_radix(text.get(..4)?, 16).ok());
        digits.map_or_else(|| self.name.clone(), |digits| self.name.distinct(digits))
    }

    /// Stands for its encrypted form.
    pub(super) fn encrypted(self, path: &Path, seal: SealedFile) -> anyhow::Result<Self> {
        let name = self.name.encrypted();
        Ok(Self {
            name,
            bytes: seal.bytes,
            file: Arc::new(OpenFile::open(path)?),
            header: Some(seal.header()),
            seal: Some(seal),
            ..self
        })
    }

    /// Returns whether an archive there is this one.
    pub(super) fn is(&self, there: &Sight) -> bool {
        match (self.id, there.id, self.header, there.header) {
            // Encrypted anew, it has another header.
            (Some(here), Some(there), ..) => here == there,
            (_, _, Some(here), Some(other)) => here == other && self.bytes == there.bytes,
            _ => false,
        }
    }

    /// Returns in what the beginning of the copy differs.
    pub(super) fn differs(&self, there: &Sight) -> Option<String> {
        if !self.is(there) && self.id.is_some() | self.header.is_some() {
            return Some("it begins like another archive".into());
        }
        // It was there already, under the same name, encrypted in another run.
        let is_its_own = self.header == there.header;
        (is_its_own && self.bytes != there.bytes).then(|| format!("it has {} bytes, not {}", there.bytes, self.bytes))
    }

    /// Returns whether the end of the copy differs.
    pub(super) fn compare_end(&self, copy: &dyn ReadAt) -> anyhow::Result<Option<String>> {
        if copy.bytes() != self.bytes {
            return Ok(None);
        }
        let same = end(&*self.file)? == end(copy)?;
        Ok((!same).then(|| "its end differs".into()))
    }

    /// Returns whether any byte of the copy differs.
    pub(super) fn compare_all(&self, copy: &dyn ReadAt, progress: &dyn Progress) -> anyhow::Result<Option<String>> {
        if copy.bytes() != self.bytes {
            return Ok(None);
        }
        let here = digest_of(&*self.file, progress)?;
        let there = digest_of(copy, progress)?;
        Ok((here != there).then(|| format!("its SHA-256 is {there}, not {here}")))
    }

    /// Writes the digest of an encrypted copy beside it, and lets this host know it again there. The copy is good
    /// without.
    pub(super) fn record(&self, committer: &Committer<'_>, named: &ArchiveName, main: &Workspace) {
        if let Some(seal) = &self.seal {
            seal.record(committer, named);
        } else if let Some(header) = self.header
            && let Some(sealed) = main.sealed().into_iter().find(|sealed| sealed.header == header)
        {
            if let Some(sha256) = sealed.sha256 {
                let _ = committer.put_digest(named, sha256);
            }
            let sealed = crate::workspace::Sealed { archive: named.clone(), ..sealed };
            let _ = committer.repository().workspace().remember_sealed(&sealed);
        }
    }
}

/// Reads a file block by block.
pub(super) fn for_each_block(
    file: &dyn ReadAt,
    progress: &dyn Progress,
    mut use_it: impl FnMut(&[u8]) -> io::Result<()>,
) -> anyhow::Result<()> {
    let (mut at, mut block) = (0, vec![0; BLOCK]);
    while at < file.bytes() {
        progress.checkpoint()?;
        let wanted = usize::try_from(file.bytes() - at).unwrap_or(BLOCK).min(BLOCK);
        file.read_exact_at(&mut block[..wanted], at)?;
        use_it(&block[..wanted])?;
        at += wanted as u64;
        progress.advance(wanted as u64);
    }
    Ok(())
}

fn end(file: &dyn ReadAt) -> anyhow::Result<Vec<u8>> {
    let mut end = vec![0; usize::try_from(file.bytes()).unwrap_or(END).min(END)];
    let at = file.bytes() - end.len() as u64;
    file.read_exact_at(&mut end, at)?;
    Ok(end)
}

/// Returns the text of an error that proves damage; any other error is returned.
pub(super) fn evidence(error: anyhow::Error) -> anyhow::Result<String> {
    match error.downcast_ref::<ArchiveError>() {
        Some(found) if found.is_evidence() => Ok(found.to_string()),
        _ => Err(error),
    }
}
