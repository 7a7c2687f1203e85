//! The encrypted archives that this host made: their headers, and what they hold.
//!
//! A host without a key can read nothing of an encrypted archive but its label, which anybody can have written. What is
//! recorded here was written by this host itself, and belongs to the file with exactly this header and size. Retention
//! counts and removes encrypted archives only if they are recorded here, or if a key opened them. So a lost or damaged
//! record keeps archives, and never removes one.

use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};

use super::{BUSY, Cause, FILE, LogError, open_for_writing};
use crate::digest::Sha256;
use crate::label::Label;
use crate::metadata::Replaces;
use crate::names::ArchiveName;
use crate::workspace::Workspace;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS sealed(
    header TEXT PRIMARY KEY, bytes INTEGER NOT NULL, archive TEXT NOT NULL, note TEXT NOT NULL);";

/// An encrypted archive whose label this host vouches for.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The digest of its header.
    pub header: Sha256,
    /// The size of the file.
    pub bytes: u64,
    /// The digest of the file, if this host made it.
    pub sha256: Option<Sha256>,
    /// Its name.
    pub archive: ArchiveName,
    /// The complete label: each database is listed, however many there are.
    pub label: Label,
    /// The path of each database of the label.
    pub paths: Vec<String>,
    /// The restore that a safety archive was made for.
    pub replaces: Option<Replaces>,
}

/// What is stored beside the columns.
#[derive(Serialize, Deserialize)]
struct Note {
    sha256: Option<Sha256>,
    label: Label,
    paths: Vec<String>,
    replaces: Option<Replaces>,
}

impl Workspace {
    /// Records an encrypted archive.
    ///
    /// Crash before this: the archive is there and unknown; nothing removes it.
    pub fn remember_sealed(&self, made: &Sealed) -> Result<(), LogError> {
        let path = self.folder.join(FILE);
        let write = || -> Result<(), Cause> {
            self.create().map_err(Cause::Io)?;
            let connection = open_for_writing(&path)?;
            connection.execute_batch(SCHEMA)?;
            let Sealed { header, bytes, sha256, archive, label, paths, replaces } = made.clone();
            let note = serde_json::to_string(&Note { sha256, label, paths, replaces })
                .map_err(|cause| Cause::Io(cause.into()))?;
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            connection.execute(
                "INSERT OR REPLACE INTO sealed VALUES(?1, ?2, ?3, ?4)",
                params![header.to_string(), bytes, archive.as_str(), note],
            )?;
            Ok(())
        };
        write().map_err(|cause| LogError { path, cause })
    }

    /// Returns the recorded archives. Unreadable records are omitted.
    pub fn sealed(&self) -> Vec<Sealed> {
        let read = || -> rusqlite::Result<Vec<(String, i64, String, String)>> {
            let connection = Connection::open_with_flags(self.folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let mut statement = connection.prepare("SELECT header, bytes, archive, note FROM sealed")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?.collect()
        };
        let sealed = |(header, bytes, archive, note): (String, i64, String, String)| {
            let Note { sha256, label, paths, replaces } = serde_json::from_str(&note).ok()?;
            let (header, archive) = (header.parse().ok()?, ArchiveName::new(archive).ok()?);
            Some(Sealed { header, bytes: u64::try_from(bytes).ok()?, sha256, archive, label, paths, replaces })
        };
        read().unwrap_or_default().into_iter().filter_map(sealed).collect()
    }

    /// Records that an archive got another name. A failure does no harm: only its removal leaves the record behind.
    pub(crate) fn rename_sealed(&self, before: &ArchiveName, after: &ArchiveName) {
        let write = || -> rusqlite::Result<usize> {
            let connection = Connection::open_with_flags(self.folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.busy_timeout(BUSY)?;
            connection.execute("UPDATE sealed SET archive = ?2 WHERE archive = ?1", [before.as_str(), after.as_str()])
        };
        let _ = write();
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::label::{FORMAT, LabelDatabases};
    use crate::metadata::Kind;
    use crate::names::{ArchiveId, HostLabel, Name};

    #[test]
    fn an_archive_is_recorded_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        assert_eq!(workspace.sealed(), []);
        let made = Sealed {
            header: Sha256::of(b"header"),
            bytes: 1234,
            sha256: Some(Sha256::of(b"file")),
            archive: ArchiveName::new("app_20260301T000000Z.tar.gz.age").unwrap(),
            label: Label {
                format: FORMAT,
                id: ArchiveId::of_metadata(b"x"),
                set: Name::new("app").unwrap(),
                host: "here".into(),
                host_label: HostLabel::new("here").unwrap(),
                created_at: DateTime::UNIX_EPOCH,
                kind: Kind::Manual,
                damaged: false,
                recipients: Vec::new(),
                absent: Vec::new(),
                databases: LabelDatabases::Each(Vec::new()),
            },
            paths: vec!["/app/app.db".into()],
            replaces: None,
        };
        workspace.remember_sealed(&made).unwrap();
        assert_eq!(workspace.sealed(), std::slice::from_ref(&made));
        let other = ArchiveName::new("app_20260301T000000Z-2.tar.gz.age").unwrap();
        workspace.rename_sealed(&made.archive, &other);
        assert_eq!(workspace.sealed(), [Sealed { archive: other.clone(), ..made }]);
        workspace.forget(&other);
        assert_eq!(workspace.sealed(), []);
    }
}
