//! What this host remembers making: of each stream the newest archive.
//!
//! A listing cannot show that an archive is missing from it: a store that was rolled back, a mount of yesterday, a
//! synchroniser that lags. So the newest one of each stream is noted in the workspace once it is committed, and `latest`
//! asks if it is not there. The notes are only a memory: one that is lost or cannot be read says nothing.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::latest::Remembered;
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::streams::{FileIdentity, Place, Stream};

/// The folder inside the workspace.
const FOLDER: &str = "made";

/// A note as it is stored.
#[derive(Serialize, Deserialize)]
struct Note {
    set: Name,
    host: HostLabel,
    /// The resolved path; absent if the stream has none.
    path: Option<String>,
    database: Name,
    file: Option<FileIdentity>,
    archive: ArchiveName,
    id: Option<ArchiveId>,
    created_at: DateTime<Utc>,
}

impl Note {
    fn of(made: &Remembered) -> Self {
        Self {
            set: made.stream.set.clone(),
            host: made.stream.host.clone(),
            path: made.stream.path().map(str::to_owned),
            database: made.database.clone(),
            file: made.stream.file.clone(),
            archive: made.archive.clone(),
            id: made.id,
            created_at: made.created_at,
        }
    }

    fn read(self) -> Remembered {
        let place = self.path.map_or_else(|| Place::Name(self.database.clone()), Place::Path);
        Remembered {
            stream: Stream { set: self.set, host: self.host, place, file: self.file },
            database: self.database,
            archive: self.archive,
            id: self.id,
            created_at: self.created_at,
        }
    }
}

/// Notes the newest archive of a stream. The caller holds the store's lock.
///
/// Dies before the rename: a `put-` file, which the next cleanup of leftovers removes, and the note of before.
pub fn remember(private: &Path, made: &Remembered) -> io::Result<()> {
    let folder = private.join(FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => fs::set_permissions(&folder, Permissions::from_mode(0o700))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let note = Note::of(made);
    let key = serde_json::to_vec(&(&note.set, &note.host, &note.path, &note.database, &note.file))?;
    let name = format!("{}.json", Sha256::of(&key));
    let staged = private.join(format!("put-made-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(&serde_json::to_vec_pretty(&note)?)?;
    // No sync: after a power cut a host may remember less, and never more than was there.
    fs::rename(&staged, folder.join(name))
}

/// Returns what this host remembers. A note that cannot be read is none.
pub fn all(private: &Path) -> Vec<Remembered> {
    files(private).iter().filter_map(|path| read(path)).collect()
}

/// Forgets an archive, because it is removed on purpose. A note that cannot be removed makes `latest` ask, no more.
pub fn forget(private: &Path, archive: &ArchiveName) {
    for path in files(private) {
        if read(&path).is_some_and(|made| made.archive == *archive) {
            let _ = fs::remove_file(&path);
        }
    }
}

fn read(path: &Path) -> Option<Remembered> {
    serde_json::from_slice::<Note>(&fs::read(path).ok()?).ok().map(Note::read)
}

fn files(private: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(private.join(FOLDER)).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_stream_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(all(folder.path()), []);
        let made = |path: &str, archive: &str| Remembered {
            database: Name::new("app").unwrap(),
            stream: Stream {
                set: Name::new("app").unwrap(),
                host: HostLabel::new("here").unwrap(),
                place: Place::Path(path.into()),
                file: None,
            },
            archive: ArchiveName::new(archive).unwrap(),
            id: None,
            created_at: DateTime::UNIX_EPOCH,
        };
        let (first, second, other) = (made("/a", "1.tar.gz"), made("/a", "2.tar.gz"), made("/b", "1.tar.gz"));
        for made in [&first, &other, &second] {
            remember(folder.path(), made).unwrap();
        }
        let mut found = all(folder.path());
        found.sort_by(|a, b| a.archive.cmp(&b.archive));
        assert_eq!(found, [other.clone(), second.clone()]);
        forget(folder.path(), &second.archive);
        assert_eq!(all(folder.path()), [other]);
        // Half a note is none.
        fs::write(folder.path().join(FOLDER).join("x.json"), "{").unwrap();
        assert_eq!(all(folder.path()).len(), 1);
    }
}
