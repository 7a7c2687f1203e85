//! Encrypts a finished archive, for the store or for a copy, and records what only this host can vouch for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use chrono_tz::Tz;

use super::{Request, read_back, sync_and_check};
use crate::archive::cipher::{Encrypted, Keys, encrypt};
use crate::archive::{Archive, Opener};
use crate::digest::Sha256;
use crate::label::Label;
use crate::metadata::{Metadata, Replaces};
use crate::names::{ArchiveId, ArchiveName};
use crate::ops::Committer;
use crate::ops::sealing::Sealing;
use crate::ops::syncing::while_syncing;
use crate::platform::{OpenFile, private_file};
use crate::progress::{Progress, Stage};
use crate::workspace::{Scratch, Sealed, Workspace};

/// What is recorded about an encrypted archive.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedFile {
    /// Its size.
    pub bytes: u64,
    /// The digest of the file, for the sidecar beside it; `None` if all of it was not read.
    pub sha256: Option<Sha256>,
    /// The digest of its header, by which this host knows it again.
    header: Sha256,
    /// The complete label.
    label: Label,
    /// The path of each database.
    paths: Vec<String>,
    replaces: Option<Replaces>,
}

impl SealedFile {
    /// Returns the digest of its header.
    pub fn header(&self) -> Sha256 {
        self.header
    }

    /// Writes the digest beside the archive and remembers the archive in the workspace. Returns what failed: the
    /// archive is good without.
    pub fn record(&self, committer: &Committer<'_>, archive: &ArchiveName) -> Vec<String> {
        let digest = self.sha256.map_or(Ok(()), |sha256| committer.put_digest(archive, sha256));
        let digest = digest.err().map(|error| format!("its digest could not be written: {error:#}"));
        let known = self.remember(committer.repository().workspace(), archive).err();
        digest.into_iter().chain(known.map(|error| format!("this host will not know it again: {error:#}"))).collect()
    }

    /// Remembers the archive in a workspace.
    pub fn remember(&self, workspace: &Workspace, archive: &ArchiveName) -> anyhow::Result<()> {
        let Self { bytes, sha256, header, label, paths, replaces } = self.clone();
        let archive = archive.clone();
        Ok(workspace.remember_sealed(&Sealed { header, bytes, sha256, archive, label, paths, replaces })?)
    }

    /// Describes an archive that a key opened; `None` if it has no label.
    pub fn opened(archive: &Archive, bytes: u64) -> Option<Self> {
        let (envelope, contents) = (archive.envelope()?, archive.contents());
        let (metadata, id) = (contents.metadata.as_ref()?, contents.id?);
        let recipients = &envelope.label.as_ref()?.recipients;
        Some(Self::of((bytes, None), envelope.header, metadata, id, recipients))
    }

    /// Returns whether a record is about this file.
    pub fn is(&self, known: &Sealed) -> bool {
        known.header == self.header && known.bytes == self.bytes
    }

    fn of(
        (bytes, sha256): (u64, Option<Sha256>),
        header: Sha256,
        metadata: &Metadata,
        id: ArchiveId,
        recipients: &[String],
    ) -> Self {
        let path = |database: &crate::metadata::DatabaseMetadata| {
            database.source_resolved.clone().unwrap_or_else(|| database.source.clone())
        };
        Self {
            bytes,
            sha256,
            header,
            label: Label::complete(metadata, id, recipients),
            paths: metadata.databases.iter().map(path).collect(),
            replaces: metadata.replaces.clone(),
        }
    }
}

/// Encrypts the archive that a run has finished in scratch, syncs the result and reads it back through the key of the
/// run. Returns where it is in `staging`.
///
/// Crash anywhere: scratch.
pub(super) fn seal(
    plain: &Path,
    staging: &Scratch,
    metadata: &Metadata,
    request: &Request,
    sealing: &Sealing,
    progress: &dyn Progress,
) -> anyhow::Result<(PathBuf, SealedFile)> {
    let opened = Opener::new(Tz::UTC).open(Arc::new(OpenFile::open(plain)?), "archive", request.created_at)?;
    let id = opened.contents().id.context("the archive has no metadata")?;
    let path = staging.path().join("archive");
    let (encrypted, file) = write(plain, &path, metadata, id, sealing, progress)?;
    // Frees space early; the folder is removed in any case.
    let _ = std::fs::remove_file(plain);
    let opener = Opener { zone: Tz::UTC, keys: Keys::default().with_run(sealing.run.clone()) };
    let archive = sync_and_check(|| file.sync_all(), || read_back(&path, &opener, metadata, request, progress))?;
    progress.checkpoint()?;
    let seal = SealedFile::of(
        (encrypted.bytes, Some(encrypted.sha256)),
        header_of(&archive)?,
        metadata,
        id,
        &sealing.recipients.texts(),
    );
    Ok((path, seal))
}

/// Encrypts any plain archive of format 1, for a copy that leaves this host. The result is synced; its header was read,
/// but not all of it. Returns what is to be recorded about it.
///
/// Crash anywhere: an unfinished file at `out`, which the caller made in scratch.
pub fn encrypt_archive(
    plain: &Path,
    out: &Path,
    sealing: &Sealing,
    progress: &dyn Progress,
) -> anyhow::Result<SealedFile> {
    let file = OpenFile::open(plain)?;
    let modified = file.modified();
    let opened = Opener::new(Tz::UTC).open(Arc::new(file), "archive", modified)?;
    let (Some(metadata), Some(id)) = (&opened.contents().metadata, opened.contents().id) else {
        return Err(anyhow!("only archives of heirloom can be encrypted"));
    };
    let (encrypted, file) = write(plain, out, metadata, id, sealing, progress)?;
    file.sync_all().context("cannot sync the encrypted archive")?;
    let opener = Opener { zone: Tz::UTC, keys: Keys::default().with_run(sealing.run.clone()) };
    let archive = opener.open(Arc::new(OpenFile::open(out)?), "archive", modified)?;
    Ok(SealedFile::of(
        (encrypted.bytes, Some(encrypted.sha256)),
        header_of(&archive)?,
        metadata,
        id,
        &sealing.recipients.texts(),
    ))
}

fn write(
    plain: &Path,
    out: &Path,
    metadata: &Metadata,
    id: ArchiveId,
    sealing: &Sealing,
    progress: &dyn Progress,
) -> anyhow::Result<(Encrypted, File)> {
    let label = Label::of(metadata, id, &sealing.recipients.texts());
    let from = File::open(plain).context("cannot open the archive")?;
    let to = private_file(out).context("cannot create the encrypted archive")?;
    let bytes = from.metadata().context("cannot look at the archive")?.len();
    progress.begin(Stage::Encrypt, metadata.set.as_str(), bytes);
    let encrypted =
        while_syncing(&[&to], || Ok(encrypt(&from, &to, &sealing.recipients, &sealing.run, &label, progress)?));
    Ok((encrypted.context("cannot encrypt the archive")?, to))
}

/// Returns the digest of the header of an encrypted archive. Its label must agree with the metadata.
fn header_of(archive: &Archive) -> anyhow::Result<Sha256> {
    if let Some(oddity) = archive.contents().oddities.first() {
        return Err(anyhow!("the encrypted archive is not as it should be: {oddity}"));
    }
    Ok(archive.envelope().context("the archive is not encrypted")?.header)
}
