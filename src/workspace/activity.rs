//! The log of operations: `.heirloom/activity.db` in the workspace, for people and for `health`.
//!
//! It may be deleted at any time: only the history and the memory of created archives are lost. Losing it never removes
//! anything, and a log that cannot be written never fails an operation. A damaged log is renamed and a new one
//! started.

mod made;
mod sealed;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::Workspace;
use crate::metadata::rfc3339;
use crate::platform::{private_file, set_mode};
pub use crate::report::log::Activity;
pub use sealed::Sealed;

/// The file of the log in the workspace.
const FILE: &str = "activity.db";
/// How long to wait for another process that is writing.
const BUSY: Duration = Duration::from_secs(2);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS activity(
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    seconds REAL NOT NULL,
    command TEXT NOT NULL,
    kind TEXT,
    outcome TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    set_name TEXT,
    archive TEXT,
    bytes INTEGER,
    error TEXT,
    user TEXT NOT NULL,
    host TEXT NOT NULL
);";

/// Why the log could not be read or written.
#[derive(Debug)]
pub struct LogError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Sqlite(rusqlite::Error),
    Io(io::Error),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the activity log \"{}\": ", self.path.display())?;
        match &self.cause {
            Cause::Sqlite(cause) => cause.fmt(f),
            Cause::Io(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Sqlite(_) => None,
            Cause::Io(cause) => cause.source(),
        }
    }
}

impl Workspace {
    /// Appends to the log in the workspace. A damaged log is renamed to `activity.db.damaged` and a new one started.
    pub fn log(&self, activities: &[Activity]) -> Result<(), LogError> {
        let path = self.folder.join(FILE);
        match self.create().map_err(Cause::Io).and_then(|_| write(&path, activities)) {
            Err(Cause::Sqlite(cause)) if is_damage(&cause) => {
                // Crash here: no log, which is the same as an empty one. A -journal of the damaged one must not be
                // combined with the new one.
                put_aside(&path).map_err(Cause::Io).and_then(|()| write(&path, activities))
            }
            other => other,
        }
        .map_err(|cause| LogError { path, cause })
    }

    /// Reads the log, newest first; `since` omits older entries, `failed_only` successful ones. A missing log counts as
    /// empty.
    pub fn activities(&self, since: Option<DateTime<Utc>>, failed_only: bool) -> Result<Vec<Activity>, LogError> {
        let path = self.folder.join(FILE);
        let result = (|| {
            match std::fs::symlink_metadata(&path) {
                Ok(_) => {}
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(cause) => return Err(Cause::Io(cause)),
            }
            let connection = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let mut statement = connection.prepare(
                "SELECT at, seconds, command, kind, outcome, exit_code, set_name, archive, bytes, error, user, host \
                 FROM activity
                 WHERE at >= ?1 AND (NOT ?2 OR outcome NOT IN ('done', 'declined')) ORDER BY id DESC",
            )?;
            let rows = statement.query_map(params![since.map(rfc3339).unwrap_or_default(), failed_only], |row| {
                let at: String = row.get(0)?;
                Ok(Activity {
                    at: DateTime::parse_from_rfc3339(&at).map(|at| at.to_utc()).unwrap_or_default(),
                    seconds: row.get(1)?,
                    command: row.get(2)?,
                    kind: row.get(3)?,
                    outcome: row.get(4)?,
                    exit_code: row.get(5)?,
                    set: row.get(6)?,
                    archive: row.get(7)?,
                    bytes: row.get::<_, Option<i64>>(8)?.and_then(|bytes| u64::try_from(bytes).ok()),
                    error: row.get(9)?,
                    user: row.get(10)?,
                    host: row.get(11)?,
                })
            })?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })();
        result.map_err(|cause| LogError { path, cause })
    }
}

impl Workspace {
    /// Returns the file names of the archives that backups made, as far as the log goes back; none if it is unreadable.
    pub fn logged_archives(&self) -> HashSet<String> {
        let read = || -> rusqlite::Result<HashSet<String>> {
            let connection =
                Connection::open_with_flags(self.folder.join(FILE), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let mut statement = connection
                .prepare("SELECT DISTINCT archive FROM activity WHERE command = 'backup' AND archive IS NOT NULL")?;
            // A local store is logged with the path.
            let name = |archive: String| archive.rsplit('/').next().map(str::to_owned).unwrap_or(archive);
            statement.query_map([], |row| row.get(0).map(name))?.collect()
        };
        read().unwrap_or_default()
    }
}

fn open_for_writing(path: &Path) -> Result<Connection, Cause> {
    // We create it with its mode, before SQLite could create it with the umask's.
    match private_file(path) {
        Ok(file) => set_mode(&file, 0o600)?,
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(cause.into()),
    }
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY)?;
    // History does not need a sync: losing the last entry in a power cut loses nothing else.
    connection.execute_batch("PRAGMA synchronous=OFF;")?;
    let known: Option<i64> =
        connection.query_row("SELECT 1 FROM sqlite_schema WHERE name = 'activity'", [], |row| row.get(0)).optional()?;
    if known.is_none() {
        connection.execute_batch(SCHEMA)?;
    }
    Ok(connection)
}

fn write(path: &Path, activities: &[Activity]) -> Result<(), Cause> {
    let mut connection = open_for_writing(path)?;
    // One transaction for the thousands that a run over many sets makes. Crash before its end: none is logged.
    let transaction = connection.transaction()?;
    for activity in activities {
        transaction.execute(
            "INSERT INTO activity(at, seconds, command, kind, outcome, exit_code, set_name, archive, bytes, error, \
             user, host)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                rfc3339(activity.at),
                activity.seconds,
                activity.command,
                activity.kind,
                activity.outcome,
                activity.exit_code,
                activity.set,
                activity.archive,
                activity.bytes.and_then(|bytes| i64::try_from(bytes).ok()),
                activity.error,
                activity.user,
                activity.host,
            ],
        )?;
    }
    Ok(transaction.commit()?)
}

pub(super) fn is_damage(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames a damaged database, and removes its journal, which must not be combined with a new one.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    std::fs::rename(path, aside)?;
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    match std::fs::remove_file(journal) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

impl From<rusqlite::Error> for Cause {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sqlite(cause)
    }
}

impl From<io::Error> for Cause {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(command: &str, outcome: &str, second: i64) -> Activity {
        Activity {
            at: DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap(),
            seconds: 0.5,
            command: command.into(),
            kind: Some("manual".into()),
            outcome: outcome.into(),
            exit_code: u8::from(outcome == "failed"),
            set: Some("app".into()),
            archive: None,
            bytes: Some(12),
            error: None,
            user: "tester".into(),
            host: "here".into(),
        }
    }

    #[test]
    fn entries_are_read_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        assert_eq!(workspace.activities(None, false).unwrap(), []);
        let (first, second) = (activity("backup", "done", 0), activity("verify", "failed", 60));
        workspace.log(std::slice::from_ref(&first)).unwrap();
        workspace.log(std::slice::from_ref(&second)).unwrap();
        assert_eq!(workspace.activities(None, false).unwrap(), [second.clone(), first.clone()]);
        assert_eq!(workspace.activities(Some(second.at), false).unwrap(), std::slice::from_ref(&second));
        assert_eq!(workspace.activities(None, true).unwrap(), [second]);
        assert!(crate::platform::is_private(&std::fs::metadata(folder.path().join(FILE)).unwrap()));
    }

    #[test]
    fn a_damaged_log_is_renamed_and_a_new_one_started() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        std::fs::write(folder.path().join(FILE), "no database ".repeat(100)).unwrap();
        let only = activity("backup", "done", 0);
        workspace.log(std::slice::from_ref(&only)).unwrap();
        assert_eq!(workspace.activities(None, false).unwrap(), [only]);
        assert!(folder.path().join("activity.db.damaged").exists());
    }
}
