//! Verifies an encrypted archive without its key: by the digest of the file, which was recorded when it was made.
//!
//! The digest is in the sidecar `ARCHIVE.sha256`, and in the memory of the host that made the archive. This finds bit
//! rot. It does not find somebody who changes the archive and the sidecar: only a key does.

use anyhow::Context as _;

use super::inventory::DIGEST;
use super::labelled::Memory;
use super::verify::{ArchiveState, Verified};
use crate::archive::Locked;
use crate::digest::{Hasher, Sha256};
use crate::names::ArchiveName;
use crate::ops::Repository;
use crate::progress::{Progress, Stage};
use crate::store::{ReadAt, StoreError};

/// The longest sidecar that is read, in bytes.
const MAX_SIDECAR_BYTES: u64 = 4096;
/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 20;

/// What is recorded about the digest of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// This digest.
    Digest(Sha256),
    /// The sidecar does not hold a digest.
    Unreadable,
    /// There is no sidecar.
    Missing,
}

/// Reads the sidecar of an archive.
pub fn recorded(repository: &Repository, name: &ArchiveName) -> Result<Recorded, StoreError> {
    let sidecar = format!("{}{DIGEST}", name.as_str());
    let file = match repository.store().open(&sidecar, None) {
        Ok(file) => file,
        Err(StoreError::NotFound { .. }) => return Ok(Recorded::Missing),
        Err(error) => return Err(error),
    };
    let mut text = vec![0; usize::try_from(file.bytes().min(MAX_SIDECAR_BYTES)).expect("4 KiB fit")];
    let read = file.read_exact_at(&mut text, 0);
    read.map_err(|cause| StoreError::io("read", &sidecar, repository.location(), cause))?;
    let text = String::from_utf8_lossy(&text);
    let digest = text.split_whitespace().next().and_then(|digest| digest.parse().ok());
    Ok(digest.map_or(Recorded::Unreadable, Recorded::Digest))
}

/// Compares an archive that no key opens with its recorded digest; `None` if there is none.
pub fn verify_digest(
    repository: &Repository,
    name: &ArchiveName,
    locked: &Locked,
    progress: &dyn Progress,
) -> anyhow::Result<Option<Verified>> {
    let file = repository.open(name, None)?;
    let bytes = file.bytes();
    let memory = Memory::of(repository.workspace()).sha256(&locked.envelope.header, bytes);
    let sidecar = recorded(repository, name)?;
    let expected = match (memory, sidecar) {
        (Some(own), _) => own,
        (None, Recorded::Digest(digest)) => digest,
        (None, _) => return Ok(None),
    };
    progress.begin(Stage::ReadBack, name.as_str(), bytes);
    let found = digest_of(&*file, progress)?;
    let mut findings = Vec::new();
    let state = if found == expected {
        ArchiveState::Good
    } else {
        findings.push("the file does not have the SHA-256 that was recorded when it was made".to_owned());
        ArchiveState::Damaged
    };
    findings.extend(missing(sidecar, found).filter(|_| state == ArchiveState::Good));
    Ok(Some(Verified { state, findings, examined: Vec::new(), by_digest_only: Some(bytes) }))
}

/// Returns what is wrong with the sidecar of an archive that is good. That is a finding and never damage, and no new
/// sidecar is made: it would vouch for bytes that nobody compared.
fn missing(sidecar: Recorded, found: Sha256) -> Option<String> {
    match sidecar {
        Recorded::Digest(digest) if digest == found => None,
        Recorded::Digest(_) => Some("the digest beside it is not that of the file".into()),
        Recorded::Unreadable => Some("the file beside it with its digest cannot be read".into()),
        Recorded::Missing => Some(NO_DIGEST.into()),
    }
}

/// What is said of an encrypted archive without a sidecar.
pub const NO_DIGEST: &str = "there is no digest beside it: bit rot is found only with a key";

/// Returns the digest of a whole file.
pub(super) fn digest_of(file: &dyn ReadAt, progress: &dyn Progress) -> anyhow::Result<Sha256> {
    let (mut hasher, mut buffer, mut at) = (Hasher::default(), vec![0; CHUNK], 0);
    loop {
        progress.checkpoint()?;
        match file.read_at(&mut buffer, at).context("cannot read the archive")? {
            0 => return Ok(hasher.finish()),
            count => {
                hasher.update(&buffer[..count]);
                at += count as u64;
                progress.advance(count as u64);
            }
        }
    }
}
