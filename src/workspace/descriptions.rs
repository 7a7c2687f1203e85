//! Descriptions of archives in a store that has versions: `descriptions.db` in the workspace.
//!
//! A cache: the archives are the source of truth, and it may be deleted at any time. A description counts only for the
//! very version of a file that it was read from, and only for the release that wrote it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::Workspace;
use crate::platform::{private_file, set_mode};

/// The file in the workspace.
const FILE: &str = "descriptions.db";
/// How long to wait for another process that is writing.
const BUSY: Duration = Duration::from_secs(2);
/// Descriptions of other releases are not read.
const RELEASE: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS described(
    name TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    version TEXT NOT NULL,
    release TEXT NOT NULL,
    description TEXT NOT NULL
) WITHOUT ROWID;";

/// What identifies the contents of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The store's name for this version.
    pub version: String,
}

/// The known descriptions of a store.
#[derive(Debug, Default)]
pub struct Descriptions {
    by_name: HashMap<String, (u64, String, String)>,
}

impl Descriptions {
    /// Returns the description of a file, if it was read from this very version.
    pub fn get(&self, file: &Version) -> Option<&str> {
        let (bytes, version, description) = self.by_name.get(&file.name)?;
        (*bytes == file.bytes && *version == file.version).then_some(description)
    }

    /// Returns whether any version of a file is described.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Returns the names that are described.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl Workspace {
    /// Returns the known descriptions; none if they cannot be read.
    pub fn descriptions(&self) -> Descriptions {
        let read = || -> rusqlite::Result<Descriptions> {
            let connection = Connection::open_with_flags(self.folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let mut statement =
                connection.prepare("SELECT name, bytes, version, description FROM described WHERE release = ?1")?;
            let rows = statement.query_map([RELEASE], |row| {
                let bytes = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
                Ok((row.get(0)?, (bytes, row.get(2)?, row.get(3)?)))
            })?;
            Ok(Descriptions { by_name: rows.collect::<Result<_, _>>()? })
        };
        read().unwrap_or_default()
    }

    /// Adds descriptions, and removes those of files that are gone. A cache that cannot be written is removed: the next
    /// run starts a new one.
    ///
    /// Crash in between: the descriptions before.
    pub fn describe(&self, new: &[(Version, String)], gone: &[String]) {
        if new.is_empty() && gone.is_empty() || self.create().is_err() {
            return;
        }
        let path = self.folder.join(FILE);
        if write(&path, new, gone).is_err() {
            for ending in ["", "-journal"] {
                let mut file = path.as_os_str().to_owned();
                file.push(ending);
                // Only a cache: without it, the archives are read again.
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

fn write(path: &Path, new: &[(Version, String)], gone: &[String]) -> rusqlite::Result<()> {
    // Created with its mode, before SQLite could create it with the umask's.
    match private_file(path) {
        Ok(file) => drop(set_mode(&file, 0o600)),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(_) => return Err(rusqlite::Error::InvalidPath(path.to_owned())),
    }
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch("PRAGMA synchronous=OFF;")?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT OR REPLACE INTO described VALUES(?1, ?2, ?3, ?4, ?5)")?;
        for (Version { name, bytes, version }, description) in new {
            insert.execute(params![name, i64::try_from(*bytes).unwrap_or(i64::MAX), version, RELEASE, description])?;
        }
        let mut delete = transaction.prepare("DELETE FROM described WHERE name = ?1")?;
        gone.iter().try_for_each(|name| delete.execute([name]).map(drop))?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_counts_for_the_version_that_it_was_read_from() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path().join("workspace"));
        let file = |version: &str, bytes| Version { name: "a.tar.gz".into(), bytes, version: version.into() };
        assert_eq!(workspace.descriptions().get(&file("1", 7)), None);
        workspace.describe(&[(file("1", 7), "text".into())], &[]);
        let known = workspace.descriptions();
        assert_eq!(known.get(&file("1", 7)), Some("text"));
        assert_eq!((known.get(&file("2", 7)), known.get(&file("1", 8))), (None, None));
        workspace.describe(&[(file("2", 7), "other".into())], &[]);
        assert_eq!(workspace.descriptions().get(&file("2", 7)), Some("other"));
        workspace.describe(&[], &["a.tar.gz".into()]);
        assert_eq!(workspace.descriptions().names().count(), 0);
    }

    #[test]
    fn a_damaged_cache_is_none_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        std::fs::write(folder.path().join(FILE), "garbage, and no database at all".repeat(100)).unwrap();
        assert_eq!(workspace.descriptions().names().count(), 0);
        let file = Version { name: "a.tar.gz".into(), bytes: 7, version: "1".into() };
        for _ in 0..2 {
            workspace.describe(&[(file.clone(), "text".into())], &[]);
        }
        assert_eq!(workspace.descriptions().get(&file), Some("text"));
    }
}
