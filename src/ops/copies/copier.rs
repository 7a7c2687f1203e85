//! Copies one archive from a store to another.

use std::fmt;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::archive::ArchiveError;
use crate::clock::Clock;
use crate::config::VerifyCopies;
use crate::names::{ArchiveId, ArchiveName, HostLabel, printable};
use crate::ops::inventory::{ACCEPTED, KEEP, Reading};
use crate::ops::resolve::{Selected, in_store};
use crate::ops::{Repository, Taken};
use crate::platform::{OpenFile, free_bytes, private_file};
use crate::progress::{Progress, Stage};
use crate::workspace::{Held, Scratch};

/// How much is read between two checks for cancellation, and how much of the end of a copy is compared.
const BLOCK: usize = 1 << 20;

/// What copying needs.
pub struct Copier<'a> {
    /// The store that has the archives.
    pub from: &'a Repository,
    /// The store that gets them.
    pub to: &'a Repository,
    /// How archives are read.
    pub reading: &'a Reading,
    /// The label of this host, for the id of a new store.
    pub host: &'a HostLabel,
    /// The time.
    pub clock: &'a Clock,
    /// How many threads decompress.
    pub threads: NonZeroUsize,
    /// How much of a copy is read back.
    pub verify: VerifyCopies,
    /// How long to wait for another run.
    pub wait: Duration,
}

/// An archive that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub archive: ArchiveName,
    /// Its name there, which differs if another archive has the same one.
    pub name: ArchiveName,
    /// Its size.
    pub bytes: u64,
}

/// A copy is not what was sent. It was marked as damaged there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCopied {
    /// The archive.
    pub archive: ArchiveName,
    /// The store.
    pub location: String,
    /// What differs.
    pub why: String,
}

impl fmt::Display for NotCopied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = printable(&self.location);
        write!(f, "the copy of {} in \"{location}\" is not what was sent: {}", self.archive, self.why)
    }
}

impl std::error::Error for NotCopied {}

/// The file that is sent: in place, or in scratch.
struct Staged {
    path: PathBuf,
    _scratch: Option<Scratch>,
}

impl Copier<'_> {
    /// Copies an archive with its pin and its acceptance. The source is read to its end first: a damaged one is not
    /// copied.
    ///
    /// Crash in between: the copy is complete there, or not there; then the next run makes it.
    pub fn copy(&self, name: &ArchiveName, progress: &dyn Progress) -> anyhow::Result<Copied> {
        let shown = || format!("cannot copy {name} to \"{}\"", printable(&self.to.location()));
        self.try_copy(name, progress).with_context(shown)
    }

    fn try_copy(&self, name: &ArchiveName, progress: &dyn Progress) -> anyhow::Result<Copied> {
        let held = Held { command: "copy".into(), archives: vec![name.clone()], guarded: Vec::new() };
        // A store that this user cannot write to needs no hold: no run of this user removes anything there.
        let _hold = self.from.workspace().hold(&held).ok();
        let selected = in_store(self.from, name.as_str(), self.reading)?;
        let id = selected.snapshot.id;
        let staged = self.stage(&selected, progress)?;
        self.prove(&staged.path, &selected, progress)?;

        let committer = self.to.committer(self.host, self.clock.now(), self.wait, progress)?;
        let taken = |candidate: &ArchiveName| {
            let there = in_store(self.to, candidate.as_str(), self.reading);
            let is_same = there.is_ok_and(|there| id.is_some() && there.snapshot.id == id);
            Ok(if is_same { Taken::IsSame } else { Taken::TryNext })
        };
        // A local store takes the file over by its name, and the copy in scratch is its own.
        let named = committer.commit(&staged.path, name, taken, progress)?;
        let locked = committer.into_locked(self.wait, progress)?;
        if let Some(why) = self.look_back(&named, &selected, id, progress)? {
            // Its name stays taken. Marked, it takes no slot, and the next run copies the archive again.
            locked.mark_damaged(&named, "copy", std::slice::from_ref(&why))?;
            return Err(NotCopied { archive: named, location: self.to.location(), why }.into());
        }
        if self.to.store().capabilities().marks {
            let has = |ending: &str| self.from.store().stat(&format!("{name}{ending}")).map(|mark| mark.is_some());
            if has(KEEP)? {
                locked.pin(&named)?;
            }
            if has(ACCEPTED)? {
                locked.accept(&named)?;
            }
        }
        Ok(Copied { archive: name.clone(), name: named, bytes: selected.snapshot.bytes })
    }

    /// Returns the file to send: the one in a local store itself, or a download. A local store gets a file of its own,
    /// because it takes over the file that is committed.
    fn stage(&self, selected: &Selected, progress: &dyn Progress) -> anyhow::Result<Staged> {
        let name = selected.snapshot.name.as_str();
        if let (Some(path), None) = (self.from.store().place(name), self.to.store().folder()) {
            return Ok(Staged { path, _scratch: None });
        }
        let workspace = if self.to.store().folder().is_some() { self.to } else { self.from }.workspace();
        let scratch = workspace.scratch().context("cannot make a scratch folder")?;
        let source = self.from.open(&selected.snapshot.name, None)?;
        let free = free_bytes(scratch.path())?;
        if free < source.bytes() {
            return Err(io::Error::from(io::ErrorKind::StorageFull)).context("there is no room for the download");
        }
        let path = scratch.path().join("copy");
        let mut file = private_file(&path)?;
        progress.begin(Stage::Download, name, source.bytes());
        let (mut at, mut block) = (0, vec![0; BLOCK]);
        while at < source.bytes() {
            progress.checkpoint()?;
            let wanted = usize::try_from(source.bytes() - at).unwrap_or(BLOCK).min(BLOCK);
            source.read_exact_at(&mut block[..wanted], at)?;
            file.write_all(&block[..wanted])?;
            at += wanted as u64;
            progress.advance(wanted as u64);
        }
        file.sync_all()?;
        Ok(Staged { path, _scratch: Some(scratch) })
    }

    /// Reads the file that is sent to its end, so that no damaged archive is copied.
    fn prove(&self, path: &Path, selected: &Selected, progress: &dyn Progress) -> anyhow::Result<()> {
        let name = selected.snapshot.name.as_str();
        let file = OpenFile::open(path)?;
        progress.begin(Stage::ReadBack, name, selected.snapshot.unpacked_bytes().unwrap_or(0));
        let archive = self.reading.opener.open(Arc::new(file), name, selected.snapshot.created_at)?;
        archive.read_through(self.threads, progress)?;
        Ok(())
    }

    /// Opens the copy where it arrived; returns what is wrong with it.
    fn look_back(
        &self,
        name: &ArchiveName,
        selected: &Selected,
        id: Option<ArchiveId>,
        progress: &dyn Progress,
    ) -> anyhow::Result<Option<String>> {
        let there = match in_store(self.to, name.as_str(), self.reading) {
            Ok(there) => there,
            Err(error) => return evidence(error).map(Some),
        };
        if there.snapshot.bytes != selected.snapshot.bytes {
            return Ok(Some(format!("it has {} bytes, not {}", there.snapshot.bytes, selected.snapshot.bytes)));
        }
        if there.snapshot.id != id {
            return Ok(Some("its metadata is that of another archive".into()));
        }
        if self.verify == VerifyCopies::Full {
            progress.begin(Stage::ReadBack, name.as_str(), there.snapshot.unpacked_bytes().unwrap_or(0));
            return match there.archive.read_through(self.threads, progress) {
                Ok(_) => Ok(None),
                Err(error) => evidence(error.into()).map(Some),
            };
        }
        let end = |repository: &Repository, name: &ArchiveName| -> anyhow::Result<Vec<u8>> {
            let file = repository.open(name, None)?;
            let mut end = vec![0; usize::try_from(file.bytes()).unwrap_or(BLOCK).min(BLOCK / 16)];
            let at = file.bytes() - end.len() as u64;
            file.read_exact_at(&mut end, at)?;
            Ok(end)
        };
        let same = end(self.from, &selected.snapshot.name)? == end(self.to, name)?;
        Ok((!same).then(|| "its end differs".into()))
    }
}

/// Returns the text of an error that proves damage; any other error is returned.
fn evidence(error: anyhow::Error) -> anyhow::Result<String> {
    match error.downcast_ref::<ArchiveError>() {
        Some(found) if found.is_evidence() => Ok(found.to_string()),
        _ => Err(error),
    }
}
