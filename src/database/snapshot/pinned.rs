//! A database that is about to be pinned, opened in whatever way it can be read.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, ffi};

use super::copy::PinnedDatabase;
use super::copy_with_sidecars::{PrivateCopy, private_copy};
use super::kept_out::KeptOut;
use crate::database::error::{SourceError, message};
use crate::database::files::access::{Way, has_only_a_wal, locks_out_owner, way};
use crate::database::files::source_file::Located;
use crate::database::sqlite::connection::Live;
use crate::database::sqlite::transaction::{PIN, begin, is_busy, needs_private_copy, roll_back};
use crate::database::timeouts::{Timeouts, pause};
use crate::progress::Progress;

/// How often a database that could not be read in place is reopened, before it is copied with its sidecars.
const TRIES_IN_PLACE: u32 = 5;

/// A database of a set that is about to be pinned.
pub(super) struct SetDatabase {
    // The order matters: the connection is dropped first, then the copy it is open on, then the claim on the file.
    pub(super) live: Live,
    way: Way,
    pub(super) staged: Option<PrivateCopy>,
    pub(super) located: Located,
}

impl SetDatabase {
    /// Begins the read transaction.
    pub(super) fn pin(&self) -> rusqlite::Result<()> {
        begin(self.live.connection(), PIN)
    }

    /// Ends the read transaction.
    pub(super) fn unpin(&self) -> Result<(), SourceError> {
        roll_back(self.live.connection()).map_err(|error| SourceError::from_sqlite(&self.located.given, "read", &error))
    }

    /// Returns whether the pin alone keeps writers from committing, as it does in rollback mode.
    pub(super) fn freezes(&self) -> bool {
        self.way == Way::ReadOnly
    }

    pub(super) fn into_pinned(self) -> Result<PinnedDatabase, SourceError> {
        let connection = self.live.connection();
        let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u32>(0));
        let page_bytes =
            read("PRAGMA page_size").map_err(|error| SourceError::from_sqlite(&self.located.given, "read", &error))?;
        let bytes = match read("PRAGMA page_count") {
            Ok(pages) => u64::from(pages) * u64::from(page_bytes),
            // This pragma parses the schema, which may be damaged; the file size is accurate enough for a progress bar.
            Err(_) => fs::metadata(&self.located.path).map_err(|cause| self.located.io("read", cause))?.len(),
        };
        let freezes = self.freezes();
        Ok(PinnedDatabase { bytes, page_bytes, freezes, live: self.live, _staged: self.staged, located: self.located })
    }
}

/// Opens a source in whatever way it can be read, and pins it.
pub(super) fn open_pinned(
    located: Located,
    staging: &Path,
    timeouts: &Timeouts,
    progress: &dyn Progress,
) -> Result<SetDatabase, SourceError> {
    let before = checkpointed_schema(&located)?;
    let started = Instant::now();
    let mut elsewhere = 0;
    let mut kept_out = None;
    let member = loop {
        progress.checkpoint()?;
        let way = if elsewhere < TRIES_IN_PLACE { way(&located)? } else { Way::PrivateCopy };
        let error = match way {
            Way::PrivateCopy => {
                let staged = private_copy(&located, staging, timeouts, progress)?;
                match open_private_copy(&staged) {
                    Ok(live) => break SetDatabase { live, way, staged: Some(staged), located },
                    Err(error) => {
                        // The disk of the copy may have failed, which says nothing about the source.
                        if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) {
                            staged.read_through(progress)?;
                        }
                        return Err(SourceError::from_sqlite(&located.given, "read", &error));
                    }
                }
            }
            way => match open_in_place(&located, way) {
                Ok(live) => break SetDatabase { live, way, staged: None, located },
                Err(error) => error,
            },
        };
        if is_busy(&error) {
            let kept_out = kept_out.get_or_insert_with(|| KeptOut::new(&located));
            if started.elapsed() > timeouts.busy {
                let why = format!("another process has kept readers out for {:?}: {}", timeouts.busy, message(&error));
                return Err(kept_out.give_up(&located, timeouts, why));
            }
        } else if needs_private_copy(&error) {
            // A journal that a writer is just deleting looks like that of a crashed one, and copying is expensive.
            elsewhere += 1;
        } else {
            return Err(SourceError::from_sqlite(&located.given, "open", &error));
        }
        pause(Duration::from_millis(20), progress)?;
    };
    let pinned = member.live.connection().query_row("PRAGMA schema_version", [], |row| row.get::<_, u32>(0));
    // The schema version never decreases. SQLite itself would accept a foreign -wal as the database's own, and report
    // the result as sound.
    if pinned.is_ok_and(|pinned| before.is_some_and(|before| pinned < before)) {
        let why = "its -wal is older than the file, or belongs to another database; move the -wal away to back up the \
                   file alone";
        return Err(SourceError::Damaged { path: member.located.given, why: why.into() });
    }
    Ok(member)
}

/// Returns the schema version of the main file on disk, if only checkpoints write there; `None` if an uncommitted
/// transaction, which is rolled back, may have written it.
fn checkpointed_schema(located: &Located) -> Result<Option<u32>, SourceError> {
    let header = located.header()?;
    Ok(has_only_a_wal(located)?.then(|| header.schema_version()))
}

fn open_in_place(located: &Located, way: Way) -> rusqlite::Result<Live> {
    let live = Live::open(&located.path, way)?;
    if matches!(way, Way::Wal(_)) && live.connection().is_readonly("main")? {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None));
    }
    begin(live.connection(), PIN)?;
    if matches!(way, Way::Wal(_)) && locks_out_owner(&located.path) {
        // Dropping it removes them.
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None));
    }
    Ok(live)
}

/// Opens a private copy and pins it; SQLite rolls back or recovers it if necessary.
fn open_private_copy(staged: &PrivateCopy) -> rusqlite::Result<Live> {
    let live = Live::open(staged.path(), Way::PrivateCopy)?;
    begin(live.connection(), PIN)?;
    Ok(live)
}
