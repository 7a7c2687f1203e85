//! Runs integrity_check as parts in parallel.
//!
//! `quick_check` examines every page and every row of the whole file, including FTS and R*Tree tables, but not whether
//! each index holds exactly the rows of its table. `integrity_check` of a single table adds that, and can run for every
//! table on a separate connection. Together they find what one `integrity_check` finds, with a sixth more work, in
//! about two thirds of the time on two processors.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql};

use crate::database::sqlite::connection::open_private;
use crate::database::sqlite::interrupt::watched;
use crate::database::sqlite::names::{Raw, names};
use crate::progress::Progress;

/// The total size of the page caches of all checks that run at the same time, in bytes.
///
/// integrity_check looks up every row in every index. For a database of 1 GB it reads 1.8 million pages with SQLite's
/// default of 2 MB, half a million with this size, and no fewer with a larger one. With `mmap_size` it would read none,
/// but the whole database would become resident.
const CACHE_BYTES: usize = 24 * 1024 * 1024;
/// The most table lookups for checking tables one by one. `integrity_check` of a single table goes through the list of
/// all tables, so checking each of 20,000 took a minute, while one `integrity_check` of the whole file takes a second;
/// a thousand take 0.1 s.
const MOST_LOOKS: usize = 1_000_000;

/// How many resources a check may use.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    threads: usize,
    cache: usize,
}

impl Effort {
    /// These threads, and 24 MiB of page cache.
    pub fn threads(threads: NonZeroUsize) -> Self {
        Self { threads: threads.get(), cache: CACHE_BYTES }
    }

    /// One thread, and 24 MiB of page cache.
    pub fn single() -> Self {
        Self::threads(NonZeroUsize::MIN)
    }

    /// Splits the resources equally among this many concurrent checks.
    pub fn shared(self, checks: usize) -> Self {
        let checks = checks.max(1);
        Self { threads: (self.threads / checks).max(1), cache: self.cache / checks }
    }

    /// Configures a connection for a check, with one thread's share of the memory.
    ///
    /// A check examines every cell of every page anyway; `cell_size_check` would do so again for the rows, and take a
    /// tenth longer.
    pub(in crate::database) fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        let cache = self.cache / self.threads / 1024;
        connection.execute_batch(&format!("PRAGMA cell_size_check=OFF; PRAGMA cache_size=-{cache};"))
    }
}

/// Returns whether all parts of an `integrity_check` find a copy intact. `connection` is one to the copy.
///
/// `false` is not a verdict: one part found something or could not be run, or a single `integrity_check` is faster, as
/// with one thread or with thousands of tables. The caller then runs that one.
pub(in crate::database) fn all_in_order(
    copy: &Path,
    connection: &Connection,
    effort: Effort,
    progress: &dyn Progress,
) -> bool {
    if effort.threads < 2 {
        return false;
    }
    // Virtual tables have no pages.
    let Ok(tables) = names(connection, "SELECT name FROM sqlite_schema WHERE type='table' AND rootpage>0") else {
        return false;
    };
    if tables.len().saturating_mul(tables.len()) > MOST_LOOKS {
        return false;
    }
    let next = AtomicUsize::new(0);
    let good = AtomicBool::new(true);
    let ask_tables = |connection: &Connection| {
        while good.load(Ordering::Relaxed)
            && let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed))
        {
            // Passed as a value, since the name may contain anything, even invalid text.
            if !says_ok(connection, "SELECT * FROM pragma_integrity_check(?1)", &[&Raw(table)]) {
                good.store(false, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..effort.threads.min(tables.len() + 1) {
            // If no thread can be spawned, the others do its work; a table that a failed thread had started does not
            // count as intact.
            let _ = thread::Builder::new().spawn_scoped(scope, || {
                let asked = open_private(copy).and_then(|connection| {
                    effort.prepare(&connection)?;
                    Ok(watched(&connection, progress, || ask_tables(&connection)))
                });
                if !matches!(asked, Ok(Ok(()))) {
                    good.store(false, Ordering::Relaxed);
                }
            });
        }
        if says_ok(connection, "PRAGMA quick_check", &[]) {
            ask_tables(connection);
        } else {
            good.store(false, Ordering::Relaxed);
        }
    });
    good.into_inner()
}

/// Returns whether a check returns the single row "ok".
fn says_ok(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> bool {
    let answer = |connection: &Connection| {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(values)?;
        let ok = rows.next()?.is_some_and(|row| matches!(row.get_ref(0), Ok(ValueRef::Text(b"ok"))));
        Ok::<_, rusqlite::Error>(ok && rows.next()?.is_none())
    };
    answer(connection).unwrap_or(false)
}
