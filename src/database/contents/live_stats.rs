//! Reads basic figures of a live database without copying it, for checks that run every minute.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::database::error::SourceError;
use crate::database::files::access::{Way, way};
use crate::database::files::source_file::Located;
use crate::database::seen_twice::{is_damaged, read_through, seen_twice};
use crate::database::sidecars::{is_no_file, sidecar};
use crate::database::sqlite::connection::Live;
use crate::database::sqlite::transaction::{PIN, begin, is_busy, needs_private_copy};
use crate::database::timeouts::{Timeouts, pause};
use crate::progress::Progress;

/// Figures of a live database that need no copy and no check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveStats {
    /// Its size in bytes, including what is only in the `-wal` so far.
    pub bytes: u64,
    /// The size of a page, in bytes.
    pub page_bytes: u64,
    /// The number of pages on its freelist.
    pub free_pages: u64,
    /// The journal mode in the header: `wal`, or `delete` for every rollback mode.
    pub journal_mode: &'static str,
    /// The size of the `-wal` in bytes; `None` if there is none.
    pub wal_bytes: Option<u64>,
    /// The number of its tables, without `sqlite_...`; `None` if it cannot be read in place.
    pub tables: Option<u64>,
}

/// Reads the header and the schema in a read transaction, and changes nothing; waits for locks up to `busy`.
///
/// If reading in place would have to recover or write something, only the header is read from the file.
pub fn live_stats(path: &Path, busy: Duration, progress: &dyn Progress) -> Result<LiveStats, SourceError> {
    let located = Located::find(path, &Timeouts { busy, ..Timeouts::default() }, progress)?;
    let seen_header = from_header(&located)?;
    let started = Instant::now();
    let look = || {
        loop {
            progress.checkpoint()?;
            let way = way(&located)?;
            if way == Way::PrivateCopy {
                return Ok(seen_header.clone());
            }
            match in_place(&located.path, way, &seen_header) {
                Ok(seen) => return Ok(seen),
                Err(error) if needs_private_copy(&error) => return Ok(seen_header.clone()),
                Err(error) if !is_busy(&error) || started.elapsed() >= busy => {
                    return Err(SourceError::from_sqlite(path, "open", &error));
                }
                Err(_) => pause(Duration::from_millis(20), progress)?,
            }
        }
    };
    seen_twice(look, is_damaged, |_| read_through(&located.path, &located.given, progress))
}

fn from_header(located: &Located) -> Result<LiveStats, SourceError> {
    let header = located.header()?;
    let size_of = |path: &Path| fs::metadata(path).map(|found| found.len());
    let bytes = size_of(&located.path).map_err(|cause| located.io("read", cause))?;
    let wal_bytes = match size_of(&sidecar(&located.path, "-wal")) {
        Ok(bytes) => Some(bytes),
        Err(cause) if is_no_file(&cause) => None,
        Err(cause) => return Err(located.io("read the sidecars of", cause)),
    };
    Ok(LiveStats {
        bytes,
        page_bytes: header.page_bytes().into(),
        free_pages: header.free_pages().into(),
        journal_mode: header.journal_mode(),
        wal_bytes,
        tables: None,
    })
}

fn in_place(path: &Path, way: Way, header: &LiveStats) -> rusqlite::Result<LiveStats> {
    let live = Live::open(path, way)?;
    let connection = live.connection();
    begin(connection, PIN)?;
    let read = |sql: &str| number(connection, sql);
    let page_bytes = read("PRAGMA page_size")?;
    Ok(LiveStats {
        bytes: read("PRAGMA page_count")? * page_bytes,
        page_bytes,
        free_pages: read("PRAGMA freelist_count")?,
        tables: Some(read(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )?),
        ..header.clone()
    })
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_live_database_is_seen_with_its_wal_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let application = Connection::open(&path).unwrap();
        application.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x);").unwrap();
        application.execute_batch("INSERT INTO t VALUES (zeroblob(100000)); DELETE FROM t;").unwrap();
        let wal = fs::read(folder.path().join("app.db-wal")).unwrap();

        let seen = live_stats(&path, Duration::ZERO, &Silent).unwrap();

        assert_eq!((seen.journal_mode, seen.tables, seen.wal_bytes), ("wal", Some(1), Some(wal.len() as u64)));
        assert!(seen.bytes > 100_000 && seen.free_pages > 20, "what is only in the -wal counts: {seen:?}");
        assert_eq!(fs::read(folder.path().join("app.db-wal")).unwrap(), wal);
        drop(application);
        let seen = live_stats(&path, Duration::ZERO, &Silent).unwrap();
        assert_eq!((seen.journal_mode, seen.wal_bytes), ("wal", None));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no sidecar is left");
    }

    #[test]
    fn waiting_for_a_lock_ends_at_the_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let application = Connection::open(&path).unwrap();
        application.execute_batch("CREATE TABLE t(x); BEGIN EXCLUSIVE;").unwrap();
        let started = Instant::now();
        assert!(matches!(live_stats(&path, Duration::from_millis(100), &Silent), Err(SourceError::Busy { .. })));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
