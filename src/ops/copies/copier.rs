//! Copies one archive from a store to another.

use std::fmt;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::sent::{Sent, Sight, evidence, for_each_block};
use crate::archive::ArchiveError;
use crate::clock::Clock;
use crate::config::VerifyCopies;
use crate::names::{ArchiveName, HostLabel, printable};
use crate::ops::inventory::{ACCEPTED, DAMAGED, KEEP, Reading};
use crate::ops::pack::encrypt_archive;
use crate::ops::{Repository, Taken};
use crate::platform::{free_bytes, private_file};
use crate::progress::{Progress, Stage};
use crate::snapshot::Snapshot;
use crate::workspace::{Held, Scratch};

/// What copying needs.
pub struct Copier<'a> {
    /// The store that has the archives.
    pub from: &'a Repository,
    /// The store that gets them.
    pub to: &'a Repository,
    /// How archives are read and encrypted.
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
    /// Its name there, which differs if another archive has the same one, or if it was encrypted for the copy.
    pub name: ArchiveName,
    /// Its size there.
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

/// A file in scratch, or the one in a local store itself.
struct Staged {
    path: PathBuf,
    scratch: Option<Scratch>,
}

impl Copier<'_> {
    /// Copies an archive with its pin and its acceptance. The source is read to its end first: a damaged one is not
    /// copied.
    ///
    /// Crash in between: the copy is complete there, or not there; then the next run makes it.
    pub fn copy(&self, snapshot: &Snapshot, progress: &dyn Progress) -> anyhow::Result<Copied> {
        let shown = || format!("cannot copy {} to \"{}\"", snapshot.name, printable(&self.to.location()));
        self.try_copy(snapshot, progress).with_context(shown)
    }

    fn try_copy(&self, snapshot: &Snapshot, progress: &dyn Progress) -> anyhow::Result<Copied> {
        let held = Held { command: "copy".into(), archives: vec![snapshot.name.clone()], guarded: Vec::new() };
        // A store that this user cannot write to needs no hold: no run of this user removes anything there.
        let _hold = self.from.workspace().hold(&held).ok();
        let staged = self.stage(snapshot, progress)?;
        let sent = self.prove(snapshot, &staged.path, progress)?;
        let (staged, sent) = self.encrypt(staged, sent, snapshot, progress)?;

        let name = if self.to.gives_a_name_once(sent.bytes)? { sent.name.clone() } else { sent.distinct_name() };
        let committer = self.to.committer(sent.bytes, self.host, self.clock.now(), self.wait, progress)?;
        // What holds the name counts as another file only for what it holds. After an outage nobody knows, and a guess
        // would put a second copy beside the first.
        let is_marked = |candidate: &ArchiveName| self.to.store().has(&format!("{candidate}{DAMAGED}"));
        let taken = |candidate: &ArchiveName| match Sight::of(self.to, candidate, self.reading) {
            // A damaged one may begin like it. It stays, and the good one gets the next name.
            Ok(there) if sent.is(&there) && !is_marked(candidate)? => Ok(Taken::IsSame),
            Ok(_) => Ok(Taken::TryNext),
            Err(error) => match error.downcast_ref::<ArchiveError>() {
                None | Some(ArchiveError::Io(_) | ArchiveError::Interrupted(_)) => Err(error),
                Some(_) => Ok(Taken::TryNext),
            },
        };
        // A local store takes the file over by its name: `stage` made one of its own for it.
        let named = committer.commit(&staged.path, &name, taken, progress)?;
        if let Some(why) = self.look_back(&named, &sent, progress)? {
            // Its name stays taken. Marked, it takes no slot, and the next run copies the archive again.
            let locked = committer.into_locked(self.wait, progress)?;
            locked.mark_damaged(&named, "copy", std::slice::from_ref(&why))?;
            return Err(NotCopied { archive: named, location: self.to.location(), why }.into());
        }
        sent.record(&committer, &named, self.from.workspace());
        let locked = committer.into_locked(self.wait, progress)?;
        if self.to.store().capabilities().marks {
            let has = |ending: &str| self.from.store().has(&format!("{}{ending}", snapshot.name));
            if has(KEEP)? {
                locked.pin(&named)?;
            }
            if has(ACCEPTED)? {
                locked.accept(&named)?;
            }
        }
        Ok(Copied { archive: snapshot.name.clone(), name: named, bytes: sent.bytes })
    }

    /// Returns the file to send: the one in a local store itself, or a download. A local store gets a file of its own,
    /// because it takes over the file that is committed.
    fn stage(&self, snapshot: &Snapshot, progress: &dyn Progress) -> anyhow::Result<Staged> {
        let name = snapshot.name.as_str();
        let is_sent_as_it_is = self.to.store().folder().is_none() || self.encrypts(snapshot);
        if let (Some(path), true) = (self.from.store().place(name), is_sent_as_it_is) {
            return Ok(Staged { path, scratch: None });
        }
        let scratch = self.scratch(snapshot)?;
        let source = self.from.open(&snapshot.name, None)?;
        let free = free_bytes(scratch.path())?;
        if free < source.bytes() {
            return Err(io::Error::from(io::ErrorKind::StorageFull)).context("there is no room for the download");
        }
        let path = scratch.path().join("copy");
        let mut file = private_file(&path)?;
        progress.begin(Stage::Download, name, source.bytes());
        for_each_block(&*source, progress, |block| file.write_all(block))?;
        file.sync_all()?;
        Ok(Staged { path, scratch: Some(scratch) })
    }

    /// Makes a scratch folder from which the target can take a file. It holds nothing plain of an encrypted store: what
    /// is encrypted for the copy is read from where it is.
    fn scratch(&self, snapshot: &Snapshot) -> anyhow::Result<Scratch> {
        let is_local = self.to.store().folder().is_some() && !self.encrypts(snapshot);
        let workspace = if is_local { self.to } else { self.from }.workspace();
        workspace.scratch().context("cannot make a scratch folder")
    }

    /// Returns whether a plain archive is encrypted for its copy.
    fn encrypts(&self, snapshot: &Snapshot) -> bool {
        self.reading.encryption.copies.is_some() && !snapshot.name.is_encrypted() && snapshot.id.is_some()
    }

    /// Reads the file that is sent to its end, so that no damaged archive is copied. One that no key here opens is
    /// compared with its digest.
    fn prove(&self, snapshot: &Snapshot, path: &Path, progress: &dyn Progress) -> anyhow::Result<Sent> {
        progress.begin(Stage::ReadBack, snapshot.name.as_str(), snapshot.unpacked_bytes().unwrap_or(0));
        Sent::of(snapshot, path, self.from, self.reading, self.threads, progress)
    }

    /// Encrypts a plain archive if its copies are encrypted.
    ///
    /// Crash in between: a file in scratch.
    fn encrypt(
        &self,
        staged: Staged,
        sent: Sent,
        snapshot: &Snapshot,
        progress: &dyn Progress,
    ) -> anyhow::Result<(Staged, Sent)> {
        let Some(sealing) = self.reading.encryption.copies.as_ref().filter(|_| self.encrypts(snapshot)) else {
            return Ok((staged, sent));
        };
        let local = self.to.store().folder().map(|_| self.to).unwrap_or(self.from);
        let scratch = local.workspace().scratch().context("cannot make a scratch folder")?;
        let path = scratch.path().join("encrypted");
        let seal = encrypt_archive(&staged.path, &path, sealing, progress)?;
        drop(staged.scratch);
        let sent = sent.encrypted(&path, seal)?;
        Ok((Staged { path, scratch: Some(scratch) }, sent))
    }

    /// Opens the copy where it arrived; returns what is wrong with it.
    fn look_back(&self, name: &ArchiveName, sent: &Sent, progress: &dyn Progress) -> anyhow::Result<Option<String>> {
        let there = match Sight::of(self.to, name, self.reading) {
            Ok(there) => there,
            Err(error) => return evidence(error).map(Some),
        };
        if let Some(why) = sent.differs(&there) {
            return Ok(Some(why));
        }
        if self.verify == VerifyCopies::Full {
            progress.begin(Stage::ReadBack, name.as_str(), sent.bytes);
            return sent.compare_all(&*self.to.open(name, None)?, progress);
        }
        sent.compare_end(&*self.to.open(name, None)?)
    }
}
