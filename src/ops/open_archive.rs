//! Opens one archive: from the store by its full name, or at a path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::inventory::{ACCEPTED, DAMAGED, DIGEST, KEEP, Marks, Reading, in_its_store, summarize};
use crate::archive::Archive;
use crate::names::{ArchiveName, Name, printable};
use crate::ops::Repository;
use crate::platform::OpenFile;
use crate::snapshot::Snapshot;
use crate::store::StoreError;

/// An archive that was found and opened.
pub struct Selected {
    /// Its description, with its name in the store or its file name.
    pub snapshot: Snapshot,
    /// The archive, held open: it stays readable even if it is removed.
    pub archive: Archive,
    /// Where it is.
    pub place: Place,
    /// The same, for messages: a path or a URL.
    pub shown: String,
}

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the store.
    Store,
    /// At a path that the user gave.
    Path(PathBuf),
}

/// Opens an archive of the store by its full name.
pub fn in_store(repository: &Repository, name: &str, reading: &Reading) -> anyhow::Result<Selected> {
    let store = repository.store();
    let known = store.stat(name)?;
    let source = repository.open(&ArchiveName::new(name)?, known.as_ref())?;
    let modified = known.map(|entry| entry.modified).unwrap_or_default();
    let bytes = source.bytes();
    let place = store.place(name);
    let opened = reading.opener.open_at(source, place.as_deref(), name, modified);
    let archive = opened.with_context(|| format!("cannot open \"{}\"", printable(name)))?;
    let has = |ending: &str| store.has(&format!("{name}{ending}"));
    let marks = Marks { pinned: has(KEEP)?, damaged: has(DAMAGED)?, accepted: has(ACCEPTED)?, digest: has(DIGEST)? };
    let snapshot = summarize(ArchiveName::new(name)?, bytes, archive.contents(), marks, &reading.host);
    let snapshot = in_its_store(snapshot, reading);
    Ok(Selected { snapshot, archive, place: Place::Store, shown: repository.path_of(name) })
}

/// Opens an archive at a path. The marks beside it count as in a store.
pub fn at_path(path: &Path, reading: &Reading) -> anyhow::Result<Selected> {
    let shown = || format!("cannot open \"{}\"", printable(&path.to_string_lossy()));
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = match OpenFile::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let location = crate::platform::parent(path).to_string_lossy().into_owned();
            return Err(StoreError::NotFound { name: file_name, location }.into());
        }
        other => other.with_context(shown)?,
    };
    let (bytes, modified) = (crate::store::ReadAt::bytes(&file), file.modified());
    let archive = reading.opener.open_at(Arc::new(file), Some(path), &file_name, modified).with_context(shown)?;
    // An archive may have any file name outside a store.
    let name =
        ArchiveName::new(file_name.as_str()).or_else(|_| ArchiveName::new(format!("{}.gz", Name::from_path(path))))?;
    let has = |ending: &str| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        std::fs::symlink_metadata(beside).is_ok()
    };
    let marks = Marks { pinned: has(KEEP), damaged: has(DAMAGED), accepted: has(ACCEPTED), digest: has(DIGEST) };
    let snapshot = summarize(name, bytes, archive.contents(), marks, &reading.host);
    let place = Place::Path(path.to_owned());
    Ok(Selected { snapshot, archive, place, shown: path.to_string_lossy().into_owned() })
}
