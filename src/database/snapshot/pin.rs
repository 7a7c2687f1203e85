//! Holds databases at one point in time.
//!
//! A read transaction pins one database: the backup API then copies that state whatever others commit, and never starts
//! over. For a set every database is locked against writers (`BEGIN IMMEDIATE`), all are pinned, and the locks are
//! released at once, after milliseconds. Nothing is written by any of this.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, ffi};

use crate::clock::Clock;
use crate::database::SourceError;
use crate::database::error::message;
use crate::database::files::source_file::{Live, Located, Sidecars, Way, has_only_a_wal, locks_out_owner, way};
use crate::database::processes::holders::{Holder, exclusive_holder};
use crate::database::snapshot::copy::{Limits, PinnedDatabase, Source};
use crate::database::snapshot::copy_with_sidecars::{Staged, read_through, stage};
use crate::progress::{Interrupted, Progress};

/// How often a database is opened again that could not be read in place, before it is copied with its sidecars.
const TRIES_IN_PLACE: u32 = 5;
/// From this wait on, one process that has kept all others out from the start to the end is not only writing.
const LONG_WAIT: Duration = Duration::from_millis(500);
/// Begins a read transaction, and makes it a real one by reading. The version is in the header: the schema itself is not parsed, so
/// that a damaged one can still be copied and kept.
pub(in crate::database) const PIN: &str = "BEGIN; PRAGMA schema_version;";

/// The databases of a set, each held at its point in time until it was copied.
pub struct Pinned {
    /// The databases, in the order in which they were given.
    pub databases: Vec<PinnedDatabase>,
    /// Whether all of them show one point in time.
    pub consistent: bool,
    /// That point in time: read while writers are locked out, for one database in WAL mode right after it was pinned.
    pub at: DateTime<Utc>,
}

/// Checks the paths of all sources, opens them without changing anything, and pins them at one point in time.
///
/// `scratch` is a private folder for those that cannot be opened where they are. Damage must be seen twice, with every byte read
/// in between: SQLite takes an EIO of the disk for a malformed database.
pub fn pin(sources: &[Source], scratch: &Path, clock: &Clock, limits: &Limits, progress: &dyn Progress) -> Result<Pinned, SourceError> {
    match pin_once(sources, scratch, clock, limits, progress) {
        Err(SourceError::Damaged { path, .. }) => {
            // Every connection went with the failure, so that a plain descriptor takes no lock of ours with it.
            read_through(&Located::find(&path)?, progress)?;
            pin_once(sources, scratch, clock, limits, progress)
        }
        other => other,
    }
}

fn pin_once(sources: &[Source], scratch: &Path, clock: &Clock, limits: &Limits, progress: &dyn Progress) -> Result<Pinned, SourceError> {
    let mut located = Vec::with_capacity(sources.len());
    for source in sources {
        located.push(Located::find(&source.path)?);
    }
    let alone = located.len() == 1;
    let mut members = Vec::with_capacity(located.len());
    for (index, located) in located.into_iter().enumerate() {
        let member = open_pinned(located, &scratch.join(format!("source-{index}.db")), limits, progress)?;
        if !alone {
            member.unpin()?;
        }
        members.push(member);
    }
    let (at, consistent) = if alone { (clock.now(), true) } else { pin_together(&members, clock, limits, progress)? };
    let databases = members.into_iter().map(Member::into_pinned).collect::<Result<_, _>>()?;
    Ok(Pinned { databases, consistent, at })
}

/// A database of a set on its way to being pinned.
struct Member {
    // The order matters: the connection goes first, then the copy under it, then the right to the file.
    live: Live,
    way: Way,
    staged: Option<Staged>,
    located: Located,
}

impl Member {
    /// Begins the read transaction.
    fn pin(&self) -> rusqlite::Result<()> {
        begin(self.live.connection(), PIN)
    }

    /// Ends the read transaction.
    fn unpin(&self) -> Result<(), SourceError> {
        roll_back(self.live.connection()).map_err(|error| SourceError::from_sqlite(&self.located.given, "read", &error))
    }

    /// Says whether the pin alone keeps every writer from committing: in rollback mode it does.
    fn freezes(&self) -> bool {
        self.way == Way::ReadOnly
    }

    fn into_pinned(self) -> Result<PinnedDatabase, SourceError> {
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
fn open_pinned(located: Located, staging: &Path, limits: &Limits, progress: &dyn Progress) -> Result<Member, SourceError> {
    let before = checkpointed_schema(&located)?;
    let started = Instant::now();
    let mut elsewhere = 0;
    let mut waiting = None;
    let member = loop {
        progress.checkpoint()?;
        let way = if elsewhere < TRIES_IN_PLACE { way(&located)? } else { Way::Staged };
        let error = match way {
            Way::Staged => {
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
            let waiting = waiting.get_or_insert_with(|| Excluded::new(&located));
            if started.elapsed() > limits.busy {
                let why = format!("another process has kept readers out for {:?}: {}", limits.busy, message(&error));
                return Err(waiting.give_up(&located, limits, why));
            }
        } else if needs_staging(&error) {
            // A journal that a writer deletes at this moment looks like one of a writer that died; a copy is dear.
            elsewhere += 1;
        } else {
            return Err(SourceError::from_sqlite(&located.given, "open", &error));
        }
        pause(Duration::from_millis(20), progress)?;
    };
    let pinned = member.live.connection().query_row("PRAGMA schema_version", [], |row| row.get::<_, u32>(0));
    // The schema version only ever grows. SQLite itself takes a strange -wal for the database's own, and the result for sound.
    if pinned.is_ok_and(|pinned| before.is_some_and(|before| pinned < before)) {
        let why = "its -wal is older than the file, or belongs to another database; move the -wal away to back up the file alone";
        return Err(SourceError::Damaged { path: member.located.given, why: why.into() });
    }
    Ok(member)
}

/// Returns the schema version that the main file has on the disk, where only checkpoints write there; `None` where a transaction that
/// is not committed may have written it, which is rolled back.
fn checkpointed_schema(located: &Located) -> Result<Option<u32>, SourceError> {
    let header = located.header()?;
    let bytes = header[40..44].try_into().expect("four bytes");
    Ok(has_only_a_wal(located)?.then(|| u32::from_be_bytes(bytes)))
}

/// A wait for another process that keeps readers out.
pub(in crate::database) struct Excluded(Option<Holder>);

impl Excluded {
    /// Notes who does so at its start.
    pub(in crate::database) fn new(located: &Located) -> Self {
        Self(exclusive_holder(&located.path))
    }

    /// Ends it: one process that did so at the start and at the end does not only write.
    pub(in crate::database) fn give_up(&self, located: &Located, limits: &Limits, why: String) -> SourceError {
        let path = located.given.clone();
        match exclusive_holder(&located.path) {
            Some(holder) if self.0.as_ref() == Some(&holder) && limits.busy >= LONG_WAIT => {
                SourceError::Exclusive { path, holder, waited: limits.busy }
            }
            Some(holder) => SourceError::Busy { path, why: format!("{why} (process {})", holder.shown()) },
            None => SourceError::Busy { path, why },
        }
    }
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
fn open_staged(staged: &Staged) -> rusqlite::Result<Live> {
    let live = Live::open(staged.path(), Way::Staged)?;
    begin(live.connection(), PIN)?;
    Ok(live)
}

/// Pins all at one point in time, and says whether that succeeded; where a lock cannot be had at all they are pinned one by one.
///
/// A database whose pin stops its writers needs no lock: it is pinned before the first lock is taken and cannot move until after the last.
fn pin_together(members: &[Member], clock: &Clock, limits: &Limits, progress: &dyn Progress) -> Result<(DateTime<Utc>, bool), SourceError> {
    let mut order: Vec<&Member> = members.iter().collect();
    order.sort_by_key(|member| member.located.id);
    let mut lockers = Vec::with_capacity(order.len());
    for member in &order {
        lockers.push(Locker::open(member)?);
    }
    let started = Instant::now();
    let at = loop {
        progress.checkpoint()?;
        let (member, error) = match attempt(&order, &mut lockers, clock) {
            Ok(at) => break at,
            Err(refused) => refused,
        };
        for locker in lockers.iter().flat_map(Locker::connection) {
            roll_back(locker).map_err(|error| SourceError::from_sqlite(&member.located.given, "unlock", &error))?;
        }
        for member in &order {
            member.unpin()?;
        }
        if !is_busy(&error) {
            return Err(SourceError::from_sqlite(&member.located.given, "lock", &error));
        }
        if started.elapsed() > limits.busy {
            let why = format!("another process has held a lock on it for {:?}", limits.busy);
            return Err(SourceError::Busy { path: member.located.given.clone(), why });
        }
        // Random, so that two that want the same locks do not meet again.
        pause(Duration::from_millis(5 + RandomState::new().build_hasher().finish() % 50), progress)?;
    };
    Ok((at, lockers.iter().all(|locker| !matches!(locker, Locker::Impossible))))
}

/// Tries once to lock and pin all. On success all are pinned and all locks released; on failure the caller lets go of everything.
fn attempt<'a>(order: &[&'a Member], lockers: &mut [Locker], clock: &Clock) -> Result<DateTime<Utc>, (&'a Member, rusqlite::Error)> {
    for (member, locker) in order.iter().zip(&*lockers) {
        if matches!(locker, Locker::Needless) {
            member.pin().map_err(|error| (*member, error))?;
        }
    }
    for (member, locker) in order.iter().zip(&mut *lockers) {
        if let Locker::Ready(live) = locker {
            begin(live.connection(), "BEGIN IMMEDIATE").map_err(|error| (*member, error))?;
        }
    }
    for (member, locker) in order.iter().zip(&*lockers) {
        if !matches!(locker, Locker::Needless) {
            member.pin().map_err(|error| (*member, error))?;
        }
    }
    let at = clock.now();
    for (member, locker) in order.iter().zip(&*lockers) {
        if let Some(connection) = locker.connection() {
            roll_back(connection).map_err(|error| (*member, error))?;
        }
    }
    Ok(at)
}

/// What keeps the writers of one database away for a moment.
enum Locker {
    /// A second connection, which can take the write lock. On a read-only one `BEGIN IMMEDIATE` succeeds and locks nothing.
    Ready(Live),
    /// Nothing: the pin does it.
    Needless,
    /// Nothing can.
    Impossible,
}

impl Locker {
    fn open(member: &Member) -> Result<Self, SourceError> {
        if member.staged.is_some() {
            return Ok(Self::Impossible);
        }
        let instead = if member.freezes() { Self::Needless } else { Self::Impossible };
        // The pin's connection, which is closed later, tidies up for both.
        let opened = Live::open(&member.located.path, Way::Wal(Sidecars::Theirs));
        match opened.and_then(|live| Ok((live.connection().is_readonly("main")?, live))) {
            // The header can forbid writing (a write version of the future): that is known once it was read.
            Ok((false, live)) => match begin(live.connection(), PIN) {
                Ok(()) => {
                    roll_back(live.connection()).map_err(|error| SourceError::from_sqlite(&member.located.given, "unlock", &error))?;
                    Ok(if live.connection().is_readonly("main").unwrap_or(true) { instead } else { Self::Ready(live) })
                }
                Err(error) if is_busy(&error) => Ok(Self::Ready(live)),
                Err(error) => Err(SourceError::from_sqlite(&member.located.given, "open", &error)),
            },
            Ok((true, _)) => Ok(instead),
            Err(error) if needs_staging(&error) => Ok(instead),
            Err(error) => Err(SourceError::from_sqlite(&member.located.given, "open", &error)),
        }
    }

    fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Ready(live) => Some(live.connection()),
            Self::Needless | Self::Impossible => None,
        }
    }
}

/// Begins a transaction; on failure there is none.
pub(in crate::database) fn begin(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.execute_batch(sql).inspect_err(|_| {
        let _ = roll_back(connection);
    })
}

/// Ends a transaction, if there is one.
pub(in crate::database) fn roll_back(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
}

/// Says whether an error passes when another process lets go of its lock.
pub(in crate::database) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed))
}

/// Says whether an error means that reading in place would need to write: a hot journal, sidecars that cannot be made.
pub(in crate::database) fn needs_staging(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
}

/// Waits, and stops early with [`Interrupted`] where that is asked for.
pub(in crate::database) fn pause(wait: Duration, progress: &dyn Progress) -> Result<(), Interrupted> {
    let end = Instant::now() + wait;
    loop {
        progress.checkpoint()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}
