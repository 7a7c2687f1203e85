//! SQLite: copies live databases, checks copies, replaces live databases. The only place for rusqlite besides the activity log.
//!
//! Nothing here changes the content of a source, forces a checkpoint, or leaves a sidecar behind that was not there before.
//! A database file or its `-shm` is never opened and closed by other means while this process has SQLite
//! connections to it: `close()` would drop SQLite's POSIX locks ("How To Corrupt", section 2.2).

mod capture;
mod check;
mod compare;
mod error;
mod facts;
mod glance;
mod holders;
mod indexes;
mod open;
mod overwrite;
mod page_checksums;
mod pair_sum;
mod parts;
mod pin;
mod place;
mod recover;
mod replace;
mod schema;
mod sql;
mod stage;
mod target;
mod unlinked;
mod vacuum;
mod waiting;
mod wal;

pub use capture::{Copied, Limits, PinnedDatabase, Source};
pub use check::{Checked, Depth, check};
pub use compare::{difference, page_size, same_content};
pub use error::{SourceError, TargetError};
pub use facts::{Facts, count_rows, facts};
pub use glance::{Glance, glance};
pub use holders::{Holder, Holders, holders};
pub use indexes::{is_about_index, rebuild};
pub use open::{is_blank, probe};
pub use page_checksums::set_missing_checksum;
pub use parts::Effort;
pub use pin::{Pinned, pin};
pub use place::{Offline, Placed, Proof, Replaced, bring_back, exchange, place_new, place_over_unusable, set_aside, take_away};
pub use recover::{copy_with_sidecars, recover};
pub use replace::{Committed, Compared, Locked, Replacement, Written};
pub use schema::{SchemaFacts, schema};
pub use target::{Target, TargetFacts, TargetState, look_at};
pub use unlinked::{Unlinked, refuse_unlinked};
pub use vacuum::vacuum;

/// The oldest SQLite that may be used: older ones can corrupt a WAL database when connections checkpoint and commit at the same moment.
const OLDEST_SQLITE: i32 = 3_051_003;
const _: () = assert!(rusqlite::ffi::SQLITE_VERSION_NUMBER >= OLDEST_SQLITE, "SQLite 3.51.3 or newer is needed (the WAL-reset bug)");

/// Says whether the SQLite that was linked in is new enough. The check above sees the headers of the build; a build against the
/// system's library can meet an older one when it runs.
pub fn sqlite_is_new_enough() -> bool {
    rusqlite::version_number() >= OLDEST_SQLITE
}

/// Returns the release of SQLite that is linked in, as `3.54.1`.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
