//! integrity_check in parts that run at the same time.
//!
//! `quick_check` looks at every page and every row of the whole file, and asks FTS and R*Tree tables; what it leaves
//! out is whether each index holds exactly the rows of its table. That is what `integrity_check` of a single table
//! adds, and every table can be asked on a connection of its own. Together they see what one `integrity_check` sees,
//! for a sixth more work in about two thirds of the time on two processors.

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

/// How much memory the page caches of all checks that run at the same time take together, in bytes.
///
/// integrity_check looks up every row in every index. Of a database of 1 GB it reads 1.8 million pages with SQLite's
/// default of 2 MB, half a million with this, and no fewer with more. `mmap_size` would read none, but make the whole
/// database resident.
const CACHE_BYTES: usize = 24 * 1024 * 1024;
/// The most looks at tables that asking one by one may take. `integrity_check` of a single table goes over the list of
/// all tables, so that asking each of 20,000 took a minute where one `integrity_check` of the whole file takes a
/// second; a thousand take 0.1 s.
const MOST_LOOKS: usize = 1_000_000;

/// How much of the machine a check may take.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    threads: usize,
    cache: usize,
}

impl Effort {
    /// These threads, and 24 MiB for pages.
    pub fn threads(threads: NonZeroUsize) -> Self {
        Self { threads: threads.get(), cache: CACHE_BYTES }
    }

    /// One thread, and 24 MiB for pages.
    pub fn single() -> Self {
        Self::threads(NonZeroUsize::MIN)
    }

    /// An equal share of it for each of this many checks that run at the same time.
    pub fn shared(self, checks: usize) -> Self {
        let checks = checks.max(1);
        Self { threads: (self.threads / checks).max(1), cache: self.cache / checks }
    }

    /// Prepares a connection for a check with one thread's part of the memory.
    ///
    /// A check looks at every cell of every page by itself; `cell_size_check` would do so once more for the rows, and
    /// take a tenth longer.
    pub(in crate::database) fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        let cache = self.cache / self.threads / 1024;
        connection.execute_batch(&format!("PRAGMA cell_size_check=OFF; PRAGMA cache_size=-{cache};"))
    }
}

/// Returns whether all parts of an `integrity_check` find a copy in order. `connection` is one to the copy.
///
/// `false` says no more than that one part did not: it found something, or could not be run; or that one
/// `integrity_check` is faster: with one thread, or with thousands of tables. Whoever needs to know more asks in one
/// piece.
pub(in crate::database) fn all_in_order(copy: &Path, connection: &Connection, effort: Effort, progress: &dyn Progress) -> bool {
    if effort.threads < 2 {
        return false;
    }
    // Virtual tables have no pages.
    let Ok(tables) = names(connection, "SELECT name FROM sqlite_schema WHERE type='table' AND rootpage>0") else { return false };
    if tables.len().saturating_mul(tables.len()) > MOST_LOOKS {
        return false;
    }
    let next = AtomicUsize::new(0);
    let good = AtomicBool::new(true);
    let ask_tables = |connection: &Connection| {
        while good.load(Ordering::Relaxed)
            && let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed))
        {
            // As a value, since the name may hold anything, also bytes that are not text.
            if !says_ok(connection, "SELECT * FROM pragma_integrity_check(?1)", &[&Raw(table)]) {
                good.store(false, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..effort.threads.min(tables.len() + 1) {
            // Where no thread can be had, the others do its work; a table that this one had begun is not in order.
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

/// Returns whether a check answers with the one row "ok".
fn says_ok(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> bool {
    let answer = |connection: &Connection| {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(values)?;
        let ok = rows.next()?.is_some_and(|row| matches!(row.get_ref(0), Ok(ValueRef::Text(b"ok"))));
        Ok::<_, rusqlite::Error>(ok && rows.next()?.is_none())
    };
    answer(connection).unwrap_or(false)
}
