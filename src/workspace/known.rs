//! Remembers the store at each path, so that an unmounted disk is not mistaken for a store that was never used.
//!
//! There is one small file for each path, in `stores/` of the state directory. It may be deleted at any time: the path
//! then counts as new. It decides nothing else.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::identity::StoreId;
use crate::platform::{create_private_folders, private_file_anew, set_mode, sync_folder};

/// The folder inside the state directory.
const FOLDER: &str = "stores";

/// The memory of this user on this host.
#[derive(Debug, Clone)]
pub struct KnownStores {
    state: PathBuf,
}

/// The record of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    path: String,
    ids: Vec<StoreId>,
}

impl KnownStores {
    /// Uses a state directory, which need not exist.
    pub fn new(state: PathBuf) -> Self {
        Self { state }
    }

    /// Returns the ids of the stores that were accepted at a path (without symbolic links); none if it was never used.
    pub fn at(&self, path: &Path) -> io::Result<Vec<StoreId>> {
        let file = self.file(path);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(cause) => return Err(named(&file, &cause)),
        };
        serde_json::from_slice::<Memory>(&text).map(|memory| memory.ids).map_err(|cause| named(&file, &cause.into()))
    }

    /// Records another store at a path.
    ///
    /// Crash before the rename: the path's record is unchanged, and a leftover file stays, which the next call for this
    /// path replaces. Crash after it: the store is recorded. The id is in the store by then: in the opposite order, a
    /// store without its id would count as lost.
    pub fn remember(&self, path: &Path, id: &StoreId) -> io::Result<()> {
        // An unreadable record is replaced: it is of no use any more.
        let mut ids = self.at(path).unwrap_or_default();
        if ids.contains(id) {
            return Ok(());
        }
        ids.push(id.clone());
        let memory = Memory { path: path.to_string_lossy().into_owned(), ids };
        let folder = self.state.join(FOLDER);
        create_private_folders(&folder)?;
        let (file, staged) = (self.file(path), self.file(path).with_extension("new"));
        let mut written = private_file_anew(&staged)?;
        set_mode(&written, 0o600)?;
        written.write_all(&serde_json::to_vec_pretty(&memory)?)?;
        written.sync_all()?;
        fs::rename(&staged, &file)?;
        sync_folder(&folder)
    }

    fn file(&self, path: &Path) -> PathBuf {
        let digest = Sha256::of(path.as_os_str().as_encoded_bytes()).to_string();
        self.state.join(FOLDER).join(format!("{}.json", &digest[..32]))
    }
}

fn named(file: &Path, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("\"{}\": {cause}", file.display()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_store_accepted_at_a_path_is_known_only_there() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownStores::new(folder.path().join("state"));
        let id = |salt| StoreId::new("test", DateTime::UNIX_EPOCH, &[salt]);
        let path = Path::new("/mnt/usb/heirloom");
        assert_eq!(known.at(path).unwrap(), []);
        for salt in [1, 2, 1] {
            known.remember(path, &id(salt)).unwrap();
        }
        assert_eq!(known.at(path).unwrap(), [id(1), id(2)]);
        assert_eq!(known.at(Path::new("/mnt/usb")).unwrap(), []);

        fs::write(known.file(path), "{").unwrap();
        assert!(known.at(path).is_err(), "an unreadable record is not an empty one");
        known.remember(path, &id(3)).unwrap();
        assert_eq!(known.at(path).unwrap(), [id(3)]);
        assert!(crate::platform::is_private(&fs::metadata(folder.path().join("state")).unwrap()));
    }
}
