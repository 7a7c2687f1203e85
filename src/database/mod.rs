//! SQLite: copies live databases, checks copies, replaces live databases. The only module that uses rusqlite, apart
//! from the activity log.
//!
//! Nothing here changes the content of a source, forces a checkpoint, or leaves a new sidecar behind. A database file
//! or its `-shm` is never opened and closed by other means while this process has SQLite connections to it: `close()`
//! would drop SQLite's POSIX locks ("How To Corrupt", section 2.2).

mod check;
mod contents;
mod copies;
mod error;
mod files;
mod format;
mod look;
mod processes;
mod replace;
mod seen_twice;
mod sidecars;
mod snapshot;
mod sqlite;
mod timeouts;

pub use check::findings::Checked;
pub use check::indexes::{is_about_index, rebuild};
pub use check::integrity::{Depth, check};
pub use check::parallel_check::Effort;
pub use contents::facts::{Facts, count_rows, facts};
pub use contents::live_stats::{LiveStats, live_stats};
pub use contents::schema::{SchemaFacts, schema};
pub use copies::compare::{difference, page_size, same_content};
pub use copies::recover::{copy_with_sidecars, recover};
pub use copies::vacuum::vacuum;
pub use error::{SourceError, TargetError};
pub use files::source_file::{is_blank, probe, refuse_unlinked, refuse_unlinked_among};
pub use format::page_checksums::set_missing_checksum;
pub use look::look;
pub use processes::holders::{Holder, Holders, holders};
pub use processes::unlinked::{DeletedFiles, Unlinked};
pub use replace::live_database::{Committed, Compared, Locked, Replacement, Written};
pub use replace::replace_file::{
    Offline, Placed, Proof, Replaced, bring_back, exchange, place_new, place_over_unusable, set_aside, take_away,
};
pub use replace::target::{Target, TargetFacts, TargetState, look_at};
pub use snapshot::copy::{Copied, PinnedDatabase, Source};
pub use snapshot::pin::{Pinned, pin};
pub use timeouts::Timeouts;

/// The oldest supported SQLite: earlier ones can corrupt a WAL database when connections checkpoint and commit at the
/// same moment.
const OLDEST_SQLITE: i32 = 3_051_003;
const _: () = assert!(
    rusqlite::ffi::SQLITE_VERSION_NUMBER >= OLDEST_SQLITE,
    "SQLite 3.51.3 or newer is needed (the WAL-reset bug)"
);

/// Returns whether the linked SQLite is new enough. The check above sees the headers of the build; with a shared
/// library, an older one may be loaded at run time.
pub fn sqlite_is_new_enough() -> bool {
    rusqlite::version_number() >= OLDEST_SQLITE
}

/// Returns the version of the linked SQLite, such as `3.54.1`.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
