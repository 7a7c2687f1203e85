//! Runs integrity_check in parts.
//!
//! `integrity_check` of a single table examines its pages, its rows, and whether each of its indexes holds exactly
//! these rows; it can run for every table on a separate connection. Together with the schema, the freelist and the use
//! of each page ([`page_use`](super::page_use)), the parts find what one `integrity_check` finds, on all processors.
//! And they need not examine a full-text index twice: that of a table with external content is compared with its
//! content ([`indexes`](super::indexes)), which `integrity_check` does not do.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql};

use super::page_use::each_page_once;
use crate::database::sqlite::connection::open_private;
use crate::database::sqlite::interrupt::watched;
use crate::database::sqlite::names::{Raw, names};
use crate::processors::{Busy, Processors};
use crate::progress::Progress;

/// The size of the page caches of the first threads of all checks that run at the same time, in bytes.
///
/// integrity_check looks up every row in every index. For a database of 1 GB it reads 1.8 million pages with SQLite's
/// default of 2 MB, half a million with this size, and no fewer with a larger one. With `mmap_size` it would read none,
/// but the whole database would become resident, and a disk that cannot be read would end the process.
const CACHE_BYTES: usize = 24 * 1024 * 1024;
/// The same for all other threads together.
const CACHE_BYTES_OF_OTHERS: usize = 8 * 1024 * 1024;
/// The most table lookups for checking tables one by one. `integrity_check` of a single table goes through the list of
/// all tables, so checking each of 20,000 took a minute, while one `integrity_check` of the whole file takes a second;
/// a thousand take 0.1 s.
const MOST_LOOKS: usize = 1_000_000;

/// How many resources a check may use.
#[derive(Debug, Clone, Copy)]
pub struct Effort<'a> {
    threads: usize,
    cache: usize,
    cache_of_others: usize,
    processors: Option<&'a Processors>,
}

impl<'a> Effort<'a> {
    /// These threads, and 32 MiB of page cache.
    pub fn threads(threads: NonZeroUsize) -> Self {
        let cache_of_others = CACHE_BYTES_OF_OTHERS / (threads.get() - 1).max(1);
        Self { threads: threads.get(), cache: CACHE_BYTES, cache_of_others, processors: None }
    }

    /// One thread, and 24 MiB of page cache.
    pub fn single() -> Self {
        Self::threads(NonZeroUsize::MIN)
    }

    /// Splits the resources equally among this many concurrent checks.
    pub fn shared(self, checks: usize) -> Self {
        let checks = checks.max(1);
        Self {
            threads: (self.threads / checks).max(1),
            cache: self.cache / checks,
            cache_of_others: self.cache_of_others / checks,
            ..self
        }
    }

    /// Claims one of these processors for each thread that the check starts. The caller claims that of its own thread.
    pub fn claiming(self, processors: &'a Processors) -> Self {
        Self { processors: Some(processors), ..self }
    }

    fn claim(self) -> Option<Busy<'a>> {
        self.processors.map(Processors::claim)
    }

    /// Configures the first connection of a check.
    pub(in crate::database) fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        configure(connection, self.cache)
    }

    /// Configures the connection of another thread.
    fn prepare_other(self, connection: &Connection) -> rusqlite::Result<()> {
        configure(connection, self.cache_of_others)
    }
}

/// Configures a connection for a check, with this much memory.
///
/// A check examines every cell of every page anyway; `cell_size_check` would do so again for the rows, and take a tenth
/// longer.
fn configure(connection: &Connection, cache: usize) -> rusqlite::Result<()> {
    let kibibytes = cache / 1024;
    connection.execute_batch(&format!("PRAGMA cell_size_check=OFF; PRAGMA cache_size=-{kibibytes};"))
}

/// The parts of an `integrity_check`.
pub(super) struct Parts<'a> {
    copy: &'a Path,
    effort: Effort<'a>,
    progress: &'a dyn Progress,
    /// The tables that any connection can check.
    tables: Vec<Vec<u8>>,
    /// The number of the next part: the use of the pages, then the tables.
    next: AtomicUsize,
    good: AtomicBool,
}

impl<'a> Parts<'a> {
    /// Returns the parts of a check; `None` if a single `integrity_check` is faster, as with one thread or thousands of
    /// tables. The full-text tables `apart` are left out: they are compared with their content.
    pub(super) fn of(
        copy: &'a Path,
        connection: &Connection,
        apart: &[String],
        effort: Effort<'a>,
        progress: &'a dyn Progress,
    ) -> Option<Self> {
        // An error in the schema is reported by the check as a whole.
        let mut tables = names(connection, "SELECT name FROM sqlite_schema WHERE type='table'").ok()?;
        tables.retain(|table| !apart.iter().any(|name| name.as_bytes() == &table[..]));
        if effort.threads < 2 || tables.len().saturating_mul(tables.len()) > MOST_LOOKS {
            return None;
        }
        Some(Self { copy, effort, progress, tables, next: AtomicUsize::new(0), good: AtomicBool::new(true) })
    }

    /// Checks all parts, and runs `beside` at the same time. Returns whether all parts are intact, and the result of
    /// `beside`.
    ///
    /// `false` is not a verdict: one part found something or could not be run. The caller then checks the whole.
    pub(super) fn check<T: Send>(self, connection: &Connection, beside: impl Fn() -> T + Sync) -> (bool, T) {
        let other = thread::scope(|scope| {
            let started = thread::Builder::new().spawn_scoped(scope, || {
                let _busy = self.effort.claim();
                let result = beside();
                self.work_alone();
                result
            });
            for _ in 2..self.effort.threads.min(self.tables.len() + 2) {
                // If no thread can be spawned, the others do its work.
                let _ = thread::Builder::new().spawn_scoped(scope, || {
                    let _busy = self.effort.claim();
                    self.work_alone();
                });
            }
            self.work(connection);
            match started {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => beside(),
            }
        });
        (self.good.into_inner(), other)
    }

    /// Takes parts on a connection of its own. A part that a failed thread had started does not count as intact.
    fn work_alone(&self) {
        let worked = open_private(self.copy).and_then(|connection| {
            self.effort.prepare_other(&connection)?;
            Ok(watched(&connection, self.progress, || self.work(&connection)))
        });
        if !matches!(worked, Ok(Ok(()))) {
            self.good.store(false, Ordering::Relaxed);
        }
    }

    fn work(&self, connection: &Connection) {
        while self.good.load(Ordering::Relaxed) {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            let good = if part == 0 {
                each_page_once(self.copy, connection).unwrap_or(false)
            } else if let Some(table) = self.tables.get(part - 1) {
                // Passed as a value, since the name may contain anything, even invalid text.
                says_ok(connection, "SELECT * FROM pragma_integrity_check(?1)", &[&Raw(table)])
            } else {
                return;
            };
            if !good {
                self.good.store(false, Ordering::Relaxed);
            }
        }
    }
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
