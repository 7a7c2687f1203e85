//! The newest archive of each stream that this host created.
//!
//! A listing cannot show that an archive is missing from it, as in a store that was rolled back, yesterday's mount, or
//! a synchronization that lags behind. So the newest archive of each stream is recorded beside the log once it is
//! committed, and `latest` asks for confirmation if it is missing. This is only a memory: a lost or unreadable record
//! has no effect.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};

use super::{BUSY, Cause, FILE, LogError, open_for_writing};
use crate::latest::Remembered;
use crate::names::{ArchiveId, ArchiveName, HostLabel, Name};
use crate::streams::{FileIdentity, Place, Stream};
use crate::workspace::Workspace;

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS made(stream TEXT PRIMARY KEY, archive TEXT NOT NULL, note TEXT NOT NULL);";

/// A record as stored.
#[derive(Serialize, Deserialize)]
struct Note {
    set: Name,
    host: HostLabel,
    /// The resolved path; null if the stream has none.
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

impl Workspace {
    /// Records the newest archives of their streams, all or none.
    pub fn remember(&self, made: &[Remembered]) -> Result<(), LogError> {
        let path = self.folder.join(FILE);
        let write = || -> Result<(), Cause> {
            self.create().map_err(Cause::Io)?;
            let mut connection = open_for_writing(&path)?;
            connection.execute_batch(SCHEMA)?;
            let transaction = connection.transaction()?;
            for made in made {
                let note = Note::of(made);
                let stream = json(&(&note.set, &note.host, &note.path, &note.database, &note.file))?;
                let (archive, note) = (made.archive.as_str(), json(&note)?);
                transaction
                    .execute("INSERT OR REPLACE INTO made VALUES(?1, ?2, ?3)", params![stream, archive, note])?;
            }
            // Crash before this: the earlier records stay.
            Ok(transaction.commit()?)
        };
        write().map_err(|cause| LogError { path, cause })
    }

    /// Returns the recorded archives. Unreadable records are omitted.
    pub fn remembered(&self) -> Vec<Remembered> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let connection = Connection::open_with_flags(self.folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let mut statement = connection.prepare("SELECT note FROM made")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let notes = read().unwrap_or_default();
        notes.iter().filter_map(|note| serde_json::from_str::<Note>(note).ok().map(Note::read)).collect()
    }

    /// Forgets an archive that is removed on purpose. If that fails, `latest` asks about it, and nothing else happens.
    pub fn forget(&self, archive: &ArchiveName) {
        let write = || -> rusqlite::Result<usize> {
            let connection = Connection::open_with_flags(self.folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.busy_timeout(BUSY)?;
            // The tables come with their first record.
            let made = connection.execute("DELETE FROM made WHERE archive = ?1", [archive.as_str()]);
            connection.execute("DELETE FROM sealed WHERE archive = ?1", [archive.as_str()]).and(made)
        };
        let _ = write();
    }
}

fn json(value: &impl Serialize) -> Result<String, Cause> {
    serde_json::to_string(value).map_err(|cause| Cause::Io(cause.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_archive_of_each_stream_is_remembered_until_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        assert_eq!(workspace.remembered(), []);
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
            workspace.remember(std::slice::from_ref(made)).unwrap();
        }
        let mut found = workspace.remembered();
        found.sort_by(|a, b| a.archive.cmp(&b.archive));
        assert_eq!(found, [other.clone(), second.clone()]);
        workspace.forget(&second.archive);
        assert_eq!(workspace.remembered(), [other]);
        assert_eq!(workspace.activities(None, false).unwrap(), [], "the log is there, and empty");
    }
}
