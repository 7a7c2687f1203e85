//! A store in a local directory.
//!
//! Archives appear by `link` of a synced file, so an existing file is never replaced, and after a crash an archive is
//! either complete or absent. On file systems without hard links, `renameat2` without replace is used, or else the name
//! is claimed with `O_EXCL` and the file renamed onto our own empty claim.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::access::Access;
use super::{Capabilities, Entry, Found, ReadAt, ReadStore, Store, StoreError, Upload};
use crate::names::is_file_name;
use crate::platform::{
    First, OpenFile, Published, are_names_of_one_file, create_private_folder, is_private, lets_anybody_replace,
    make_private_folder, modified, parent, private_file, publish_new, sync_folder, write_synced,
};
use crate::progress::Progress;

/// The folder for scratch, locks and the activity log inside a store.
const PRIVATE: &str = ".heirloom";

/// A directory of archives.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
    access: Access,
    /// Why a file did not get the configured rights, if that happened.
    denied: Arc<Mutex<Option<String>>>,
}

impl LocalStore {
    /// Opens an existing store. Writes nothing: a read-only store can be listed, verified and restored from.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self { root: root.to_owned(), access: Access::default(), denied: Arc::default() };
        match fs::metadata(root) {
            Ok(found) if found.is_dir() => Ok(store),
            Ok(_) => Err(store.unreachable(io::ErrorKind::NotADirectory.into())),
            Err(cause) => Err(store.unreachable(cause)),
        }
    }

    /// Opens a store for writing, and creates its folder (0700) if only that is missing. The parent folder must exist.
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        Self::create_with(root, Access::default()).map(|(store, _)| store)
    }

    /// Like [`create`](Self::create), with the configured rights; also returns whether the folder was created.
    ///
    /// Crash in between: an empty folder stays, which is a store without archives.
    pub fn create_with(root: &Path, access: Access) -> Result<(Self, bool), StoreError> {
        let store = Self { root: root.to_owned(), access, denied: Arc::default() };
        let made = match make_private_folder(root) {
            Ok(()) => {
                sync_folder(parent(root)).map_err(|cause| store.unreachable(cause))?;
                store.note_denied(root, access.open_folder(root));
                true
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => false,
            Err(cause) => return Err(store.unreachable(cause)),
        };
        let store = Self { denied: store.denied, ..Self::open(root)? }.with_access(access);
        store.refuse_strangers()?;
        Ok((store, made))
    }

    /// Sets who else may read files that are written from now on.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    fn note_denied(&self, path: &Path, given: io::Result<()>) {
        if let Err(cause) = given {
            let why = format!("\"{}\": {cause}", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
            self.denied.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        }
    }

    /// Returns the folder inside the store that listings skip: for files that have no name yet, and the workspace. It
    /// may be missing.
    pub fn private(&self) -> PathBuf {
        Self::private_in(&self.root)
    }

    /// Returns the folder for scratch, locks and the activity log of a store in a folder, without a look at it.
    pub fn private_in(root: &Path) -> PathBuf {
        root.join(PRIVATE)
    }

    /// Creates the folder for files that have no final name yet.
    fn create_private(&self) -> Result<PathBuf, StoreError> {
        let path = self.private();
        create_private_folder(&path).map_err(|cause| self.failed("create", PRIVATE, cause))?;
        Ok(path)
    }

    /// Returns whether files do not get the mode that they are created with, as on FAT, where `chmod` has no effect.
    ///
    /// Crash in between: an empty hidden file stays.
    fn has_fixed_modes(&self) -> bool {
        let path = self.root.join(format!("{PRIVATE}-mode-{}", std::process::id()));
        let made = private_file(&path).and_then(|file| file.metadata());
        let Ok(made) = made else { return false };
        let _ = fs::remove_file(&path);
        !is_private(&made)
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        if is_file_name(name) {
            Ok(self.root.join(name))
        } else {
            Err(self.failed("use", name, io::ErrorKind::InvalidFilename.into()))
        }
    }

    fn unreachable(&self, cause: io::Error) -> StoreError {
        StoreError::Unreachable { location: self.location(), cause }
    }

    fn failed(&self, action: &'static str, name: &str, cause: io::Error) -> StoreError {
        match cause.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { name: name.to_owned(), location: self.location() },
            io::ErrorKind::NotFound if action != "create" => {
                StoreError::NotFound { name: name.to_owned(), location: self.location() }
            }
            _ => StoreError::io(action, name, self.location(), cause),
        }
    }

    /// Gives `staged` the name without replacing a file, and syncs the folder.
    ///
    /// Crash before the link: nothing is visible. Crash after it: the archive is complete, since `staged` was synced
    /// before. The folder entry may still be lost in a power cut, but then the run never reported success. The staged
    /// name is removed only after the folder was synced: until then it may be the only durable one (a pending archive).
    fn link(&self, staged: &Path, path: &Path) -> io::Result<()> {
        // Before others can see its name. A file that cannot get its rights is still good, and stays closed to others.
        self.note_denied(
            path,
            self.access.grant(staged, &self.root).and_then(|()| self.access.open_closed_folder(&self.root)),
        );
        let published = publish_new(staged, path, First::Link)?;
        sync_folder(&self.root)?;
        if published == Published::Linked {
            // Harmless if it stays: scratch is removed later, and a pending name is recognized as the same archive.
            let _ = fs::remove_file(staged);
        }
        Ok(())
    }
}

impl ReadStore for LocalStore {
    fn location(&self) -> String {
        self.root.to_string_lossy().into_owned()
    }

    /// Not an atomic commit: without hard links and `renameat2`, the name belongs to an empty claim for a moment. A
    /// commit takes milliseconds here, so committing outside the lock would gain nothing.
    fn capabilities(&self) -> Capabilities {
        Capabilities::OF_FILES
    }

    fn refuse_strangers(&self) -> Result<(), StoreError> {
        let found = fs::metadata(&self.root).map_err(|cause| self.unreachable(cause))?;
        if lets_anybody_replace(&found) {
            let why = if self.has_fixed_modes() {
                "any user may replace files in it, and its mount sets the modes of all files; mount it with the option \
                 `umask=077`"
            } else {
                "any user may replace files in it; run `chmod o-w` on it"
            };
            return Err(StoreError::Unsafe { location: self.location(), why });
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let unreachable = |cause| self.unreachable(cause);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(unreachable)? {
            let entry = entry.map_err(unreachable)?;
            // heirloom never creates a name that is not UTF-8.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            match entry.metadata() {
                Ok(found) if found.is_file() => entries.push(entry_of(name, &found)),
                Ok(_) => {}
                // Removed since the folder was read. Any other error makes the listing fail.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(self.failed("look up", &name, cause)),
            }
        }
        Ok(entries)
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn denied(&self) -> Option<String> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn open(&self, name: &str, _: Option<&Entry>) -> Result<Arc<dyn ReadAt>, StoreError> {
        let path = self.path(name)?;
        // As `list`: a symbolic link is no archive. Who may write here must not choose which file others are sent.
        OpenFile::open_no_link(&path)
            .map(|file| Arc::new(file) as Arc<dyn ReadAt>)
            .map_err(|cause| self.failed("open", name, cause))
    }

    fn stat(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        match fs::symlink_metadata(self.path(name)?) {
            Ok(found) => Ok(Some(entry_of(name.to_owned(), &found))),
            // "Gone" only if the store itself exists: an unmounted volume returns ENOENT for everything.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => match fs::metadata(&self.root) {
                Ok(_) => Ok(None),
                Err(cause) => Err(self.unreachable(cause)),
            },
            Err(cause) => Err(self.failed("look up", name, cause)),
        }
    }
}

impl Store for LocalStore {
    fn put(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name)?;
        let private = self.create_private()?;
        let staged = private.join(format!("put-{}-{name}", std::process::id()));
        // Crash before the link: a file below `.heirloom` stays; the next cleanup of leftovers removes it (both hold
        // the store's lock).
        let result = write_synced(&staged, &mut &*content).and_then(|()| self.link(&staged, &path));
        if result.is_err() {
            // The error below is the one that counts; the leftover is removed later.
            let _ = fs::remove_file(&staged);
        }
        result.map_err(|cause| self.failed("write", name, cause))
    }

    fn try_commit(&self, name: &str, upload: &Upload, _: &dyn Progress) -> Result<(), StoreError> {
        let path = self.path(name)?;
        self.link(upload.path(), &path).map_err(|cause| self.failed("write", name, cause))
    }

    /// The file has no token: it is our own if it has both names. If the reply to a link is lost, NFS retries and
    /// reports "exists".
    fn look_up(&self, name: &str, upload: &Upload) -> Result<Found, StoreError> {
        if self.stat(name)?.is_none() {
            return Ok(Found::Absent);
        }
        let path = self.path(name)?;
        match are_names_of_one_file(upload.path(), &path) {
            // Its name may not be durable yet.
            Ok(true) => {
                sync_folder(&self.root).map(|()| Found::Same).map_err(|cause| self.failed("write", name, cause))
            }
            Ok(false) => Ok(Found::Other),
            Err(cause) => Err(StoreError::io("look up", name, self.location(), cause)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        // Crash before this: it still exists. Crash after this: it is gone, but until the folder is synced, a power cut
        // can bring it back complete.
        fs::remove_file(&path).map_err(|cause| self.failed("remove", name, cause))?;
        sync_folder(&self.root).map_err(|cause| self.failed("sync after removing", name, cause))
    }
}

fn entry_of(name: String, found: &fs::Metadata) -> Entry {
    Entry { name, bytes: found.len(), modified: modified(found), version: None }
}

impl ReadAt for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }
}
