//! Makes an archive out of private copies: checks, hashes and compresses them at the same time, reads the
//! result back, and commits it. Every archive is made here: backups, safety backups, backups before an update.
//!
//! The archive counts from the link of the finished, synced and read-back file into the store. Before that, everything
//! is in scratch; a crash leaves nothing that `list` would show.
//!
//! An encrypted archive is made from the finished plain one (`seal.rs`), which never leaves scratch.

mod check;
mod describe;
mod request;
mod seal;
mod vacuum;

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use chrono_tz::Tz;

use crate::archive::{Archive, FileSink, Opener, WriteOptions, Writer, metadata_room};
use crate::metadata::{Integrity, Metadata};
use crate::names::ArchiveName;
use crate::ops::syncing::while_syncing;
use crate::ops::{Repository, Taken};
use crate::platform::{OpenFile, private_file};
use crate::processors::Processors;
use crate::progress::{Progress, Stage};
use crate::workspace::{Scratch, Workspace};

use check::write_and_check;
use describe::{describe, draft, enter};
pub use request::{Host, Provenance, Request, Staged, ending};
pub use seal::{SealedFile, encrypt_archive};
use vacuum::{Vacuumed, vacuum};

/// An archive that was made and committed.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Its name in the store.
    pub archive: ArchiveName,
    /// Its size.
    pub bytes: u64,
    /// Its metadata.
    pub metadata: Metadata,
    /// What could not be recorded about it.
    pub unrecorded: Vec<String>,
}

impl Packed {
    /// Returns whether a damaged database was archived.
    pub fn is_damaged(&self) -> bool {
        self.metadata.databases.iter().any(|database| database.integrity == Integrity::Damaged)
    }
}

/// An archive that is finished, synced and read back, and has no name yet.
#[derive(Debug)]
pub struct Built {
    /// The file, in scratch.
    pub path: PathBuf,
    /// The name that it should get, if that is free.
    pub name: ArchiveName,
    /// Its size.
    pub bytes: u64,
    /// Its metadata.
    pub metadata: Metadata,
    /// What is recorded about it, if it is encrypted.
    pub seal: Option<SealedFile>,
    /// The folder of the file, if it is not in the scratch of the run.
    _staging: Option<Scratch>,
}

/// Makes an archive and commits it to the store. On an error nothing is visible in the store, and the copies are
/// worthless.
pub fn pack(
    repository: &Repository,
    scratch: &Scratch,
    databases: Vec<Staged>,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<Packed> {
    // In a second, two hosts may give one name, and such a store would keep only one of the archives.
    let bytes: u64 = databases.iter().map(|database| database.bytes).sum();
    // Data that does not compress grows by the frames around it.
    let largest = bytes + (bytes >> 6) + (1 << 20);
    let digits = (!repository.gives_a_name_once(largest)?).then(random_digits);
    let request = &Request { digits, ..request.clone() };
    let built = build(repository.workspace(), scratch, databases, request, progress)?;
    let (archive, unrecorded) = commit(repository, &built, request, progress)?;
    Ok(Packed { archive, bytes: built.bytes, metadata: built.metadata, unrecorded })
}

fn random_digits() -> u16 {
    // The keys of the standard library's hash maps come from the system's random number generator.
    RandomState::new().build_hasher().finish() as u16
}

/// Makes an archive in scratch. Crash anywhere: scratch, which the next run removes.
pub fn build(
    workspace: &Workspace,
    scratch: &Scratch,
    mut databases: Vec<Staged>,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<Built> {
    let automatic = || {
        let name = ArchiveName::automatic(&request.set, request.created_at, &request.ending());
        request.digits.map_or_else(|| name.clone(), |digits| name.distinct(digits))
    };
    let name = request.name.clone().unwrap_or_else(automatic);

    let mut vacuumed = vec![Vacuumed::No; databases.len()];
    if request.vacuum {
        for (index, (staged, vacuumed)) in databases.iter_mut().zip(&mut vacuumed).enumerate() {
            *vacuumed = vacuum(staged, &scratch.path().join(format!("{index}.vacuumed")), request, progress)?;
        }
    }
    let drafts = databases.iter().map(|staged| draft(staged, request.keep_damaged)).collect::<Result<Vec<_>, _>>()?;
    let mut metadata = describe(&databases, drafts, request, name.stem());

    let path = scratch.path().join("archive");
    let file = private_file(&path).context("cannot create the archive")?;
    let options = WriteOptions { compression: request.compression, threads: request.threads };
    let processors = Arc::new(Processors::new(request.threads.get()));
    let mut writer = Writer::create(FileSink::new(file), &options, request.created_at, metadata_room(&metadata))
        .context("cannot create the archive")?
        .sharing(processors.clone());

    let total = databases.iter().map(|staged| staged.bytes).sum();
    progress.begin(Stage::Pack, request.set.as_str(), total);
    let written = File::open(&path).context("cannot open the archive")?;
    let mut pack = || write_and_check(&mut writer, &databases, &metadata, request, &processors, progress);
    // A plain archive that is encrypted afterwards need not reach the disk.
    let (added, checks) = if request.sealing.is_some() { pack()? } else { while_syncing(&[&written], pack)? };
    for (index, (added, check)) in added.into_iter().zip(checks).enumerate() {
        enter(&mut metadata.databases[index], added, check, &vacuumed[index]);
    }
    let finished = writer.finish(&metadata).context("cannot finish the archive")?;
    if let Some(sealing) = &request.sealing {
        let staging = workspace.staging().context("cannot make a scratch folder in the workspace")?;
        let (path, seal) = seal::seal(&path, &staging, &metadata, request, sealing, progress)?;
        return Ok(Built { bytes: seal.bytes, path, name, metadata, seal: Some(seal), _staging: Some(staging) });
    }

    let opener = Opener::new(Tz::UTC);
    let check = || read_back(&path, &opener, &metadata, request, progress).map(drop);
    sync_and_check(|| finished.sync(), check)?;
    progress.checkpoint()?;
    Ok(Built { bytes: finished.bytes(), path, name, metadata, seal: None, _staging: None })
}

/// Syncs and reads back in parallel: both must succeed before the commit.
fn sync_and_check<T>(
    sync: impl Fn() -> std::io::Result<()> + Sync,
    check: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let synced = std::thread::Builder::new().spawn_scoped(scope, &sync);
        let read = check().context("the finished archive could not be read back");
        let synced = match synced {
            Ok(thread) => {
                thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread that synced it panicked")))
            }
            // If no thread can be spawned, it is done here.
            Err(_) => sync(),
        };
        let read = read?;
        synced.context("cannot sync the archive")?;
        Ok(read)
    })
}

/// Opens the finished file as a reader would and reads every byte of it.
fn read_back(
    path: &Path,
    opener: &Opener,
    metadata: &Metadata,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<Archive> {
    let file = OpenFile::open(path)?;
    progress.begin(
        Stage::ReadBack,
        request.set.as_str(),
        metadata.databases.iter().map(|database| database.bytes).sum(),
    );
    let archive = opener.open(Arc::new(file), "archive", request.created_at)?;
    if archive.contents().metadata.as_ref() != Some(metadata) {
        return Err(anyhow!("its metadata is not what was written"));
    }
    archive.read_through(request.threads, progress)?;
    Ok(archive)
}

/// Gives the archive its name. Once it has that, it is durable and counts. Then records what belongs to it; returns
/// what could not be recorded.
fn commit(
    repository: &Repository,
    built: &Built,
    request: &Request,
    progress: &dyn Progress,
) -> anyhow::Result<(ArchiveName, Vec<String>)> {
    // Another run of the same second has the automatic name; a name that the user chose is not changed.
    progress.begin(Stage::Commit, request.set.as_str(), 0);
    if !repository.takes(request.kind) {
        let archive = repository.workspace().commit_pending(&built.path, &built.name, &HashSet::new());
        return Ok((archive.context("cannot keep the archive in the workspace")?, Vec::new()));
    }
    let taken = if request.name.is_none() { Taken::TryNext } else { Taken::Refuse };
    let committer =
        repository.committer(built.bytes, &request.host.label, request.created_at, request.lock_wait, progress)?;
    let archive = committer.commit(&built.path, &built.name, |_| Ok(taken), progress)?;
    // Crash here: an encrypted archive without its digest, and which this host does not remember. It can be restored;
    // bit rot in it is found only with a key, and nothing removes it.
    let unrecorded = built.seal.as_ref().map(|seal| seal.record(&committer, &archive)).unwrap_or_default();
    Ok((archive, unrecorded))
}
