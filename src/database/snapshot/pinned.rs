//! A database on its way to being pinned, opened in whatever way it can be read.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, ffi};

use super::copy::PinnedDatabase;
use super::copy_with_sidecars::{PrivateCopy, stage};
use super::kept_out::KeptOut;
use crate::database::error::{SourceError, message};
use crate::database::files::access::{Way, has_only_a_wal, locks_out_owner, way};
use crate::database::files::source_file::Located;
use crate::database::limits::{Limits, pause};
use crate::database::sqlite::connection::Live;
use crate::database::sqlite::transaction::{PIN, begin, is_busy, needs_staging, roll_back};
use crate::progress::Progress;

/// How often a database is opened again that could not be read in place, before it is copied with its sidecars.
const TRIES_IN_PLACE: u32 = 5;

/// A database of a set on its way to being pinned.
pub(super) struct Member {
    // The order matters: the connection goes first, then the copy under it, then the right to the file.
    pub(super) live: Live,
    way: Way,
    pub(super) staged: Option<PrivateCopy>,
    pub(super) located: Located,
}

impl Member {
    /// Begins the read transaction.
    pub(super) fn pin(&self) -> rusqlite::Result<()> {
        begin(self.live.connection(), PIN)
    }

    /// Ends the read transaction.
    pub(super) fn unpin(&self) -> Result<(), SourceError> {
        roll_back(self.live.connection()).map_err(|error| SourceError::from_sqlite(&self.located.given, "read", &error))
    }

    /// Returns whether the pin alone keeps every writer from committing: in rollback mode it does.
    pub(super) fn freezes(&self) -> bool {
        self.way == Way::ReadOnly
    }

    pub(super) fn into_pinned(self) -> Result<PinnedDatabase, SourceError> {
        let connection = self.live.connection();
        let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u32>(0));
        let page_bytes = read("PRAGMA page_size").map_err(|error| SourceError::from_sqlite(&self.located.given, "read", &error))?;
        let bytes = match read("PRAGMA page_count") {
            Ok(pages) => u64::from(pages) * u64::from(page_bytes),
            // This one parses the schema, which may be damaged; the size of the file is near enough for a bar.
            Err(_) => fs::metadata(&self.located.path).map_err(|cause| self.located.io("read", cause))?.len(),
        };
        Ok(PinnedDatabase { bytes, page_bytes, live: self.live, _staged: self.staged, located: self.located })
    }
}

/// Opens a source in whatever way it can be read, and pins it.
pub(super) fn open_pinned(located: Located, staging: &Path, limits: &Limits, progress: &dyn Progress) -> Result<Member, SourceError> {
    let before = checkpointed_schema(&located)?;
    let started = Instant::now();
    let mut elsewhere = 0;
    let mut kept_out = None;
    let member = loop {
        progress.checkpoint()?;
        let way = if elsewhere < TRIES_IN_PLACE { way(&located)? } else { Way::PrivateCopy };
        let error = match way {
            Way::PrivateCopy => {
                let staged = stage(&located, staging, limits, progress)?;
                match open_staged(&staged) {
                    Ok(live) => break Member { live, way, staged: Some(staged), located },
                    Err(error) => {
                        // The disk under the copy may be what fails, which says nothing about the source.
                        if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) {
                            staged.read_through(progress)?;
                        }
                        return Err(SourceError::from_sqlite(&located.given, "read", &error));
                    }
                }
            }
            way => match open_in_place(&located, way) {
                Ok(live) => break Member { live, way, staged: None, located },
                Err(error) => error,
            },
        };
        if is_busy(&error) {
            let kept_out = kept_out.get_or_insert_with(|| KeptOut::new(&located));
            if started.elapsed() > limits.busy {
                let why = format!("another process has kept readers out for {:?}: {}", limits.busy, message(&error));
                return Err(kept_out.give_up(&located, limits, why));
            }
        } else if needs_staging(&error) {
            // A journal that a writer deletes at this moment looks like one of a writer that died; a copy is expensive.
            elsewhere += 1;
        } else {
            return Err(SourceError::from_sqlite(&located.given, "open", &error));
        }
        pause(Duration::from_millis(20), progress)?;
    };
    let pinned = member.live.connection().query_row("PRAGMA schema_version", [], |row| row.get::<_, u32>(0));
    // The schema version only ever grows. SQLite itself takes a strange -wal for the database's own, and the result for
    // sound.
    if pinned.is_ok_and(|pinned| before.is_some_and(|before| pinned < before)) {
        let why = "its -wal is older than the file, or belongs to another database; move the -wal away to back up the file alone";
        return Err(SourceError::Damaged { path: member.located.given, why: why.into() });
    }
    Ok(member)
}

/// Returns the schema version that the main file has on the disk, where only checkpoints write there; `None` if a
/// transaction that is not committed may have written it, which is rolled back.
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
        // Dropped, it takes them away.
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None));
    }
    Ok(live)
}

/// Opens a private copy and pins it; SQLite rolls back or recovers there what it has to.
fn open_staged(staged: &PrivateCopy) -> rusqlite::Result<Live> {
    let live = Live::open(staged.path(), Way::PrivateCopy)?;
    begin(live.connection(), PIN)?;
    Ok(live)
}
