//! Connections to live databases and to private copies, hardened against untrusted files.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::database::files::access::{Sidecars, Way, locks_out_owner};
use crate::database::sidecars::{is_no_file, sidecar};
use crate::platform::path_bytes;

/// How long SQLite itself waits for a lock; longer waits are our own loops, which can be cancelled.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// A connection to a source, or to a private copy of it. Closing it leaves no sidecar that SQLite created for it, and
/// checkpoints nothing.
pub(in crate::database) struct Live {
    connection: Option<Connection>,
    path: PathBuf,
    sidecars: Sidecars,
}

impl Live {
    /// Opens an existing database.
    pub(in crate::database) fn open(path: &Path, way: Way) -> rusqlite::Result<Self> {
        let (mode, access, sidecars) = match way {
            Way::ReadOnly => ("ro", OpenFlags::SQLITE_OPEN_READ_ONLY, Sidecars::Theirs),
            Way::Wal(sidecars) => ("rw", OpenFlags::SQLITE_OPEN_READ_WRITE, sidecars),
            Way::PrivateCopy => ("rw", OpenFlags::SQLITE_OPEN_READ_WRITE, Sidecars::Ours),
        };
        let connection = connect(path, &format!("mode={mode}"), access)?;
        // Otherwise closing it would checkpoint and delete the -wal of an application that crashed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(Self { connection: Some(connection), path: path.to_owned(), sidecars })
    }

    /// Returns the connection.
    pub(in crate::database) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is taken by drop alone")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // A normal close checkpoints and removes the sidecars, if there is no other connection. While the -wal is
        // empty, that checkpoint has nothing to write. If an application came, wrote and left in the meantime, its -wal
        // stays.
        let empty = match fs::symlink_metadata(sidecar(&self.path, "-wal")) {
            Ok(wal) => wal.len() == 0,
            Err(error) => is_no_file(&error),
        };
        if (self.sidecars == Sidecars::Ours || locks_out_owner(&self.path)) && empty {
            // If this fails, the sidecars stay, empty and harmless.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
        drop(connection);
    }
}

/// Opens a private copy read-only; sidecars are neither used nor created.
pub(in crate::database) fn open_private(copy: &Path) -> rusqlite::Result<Connection> {
    connect(copy, "mode=ro&immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a private copy so that SQLite sees its CHECK constraints, which it drops from a read-only schema.
///
/// Nothing is written. A copy in WAL mode has an empty `-wal` while the connection is open.
pub(in crate::database) fn open_private_with_checks(copy: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=ON;")?;
    Ok(connection)
}

/// Opens a private copy to change it, or to run a command that could. Nothing else may use it as a database at the same
/// time.
///
/// A copy in WAL mode has a `-wal` while the connection is open, which is checkpointed when it is closed.
pub(in crate::database) fn open_private_to_write(copy: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE;")?;
    Ok(connection)
}

/// Opens an existing database, and hardens the connection against untrusted files.
///
/// See "Defense Against The Dark Arts" (sqlite.org/security.html). None of this reads the file.
pub(in crate::database) fn connect(path: &Path, parameters: &str, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("{}?{parameters}", uri(path)), flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.execute_batch("PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0;")?;
    Ok(connection)
}

/// Formats a path as a `file:` URI; every byte that could have another meaning is escaped.
fn uri(path: &Path) -> String {
    // Two slashes introduce an authority, so a relative path must not follow them.
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for &byte in path_bytes(path) {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a String takes everything");
        }
    }
    uri
}
