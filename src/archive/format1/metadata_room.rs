//! How much space the metadata of an archive can need, before all of its numbers are known.

use crate::archive::format::TAR_BLOCK;
use crate::metadata::{Integrity, Kind, Metadata};

/// How much the findings of one database may add to those of the draft, in bytes.
const FINDINGS_ROOM: usize = 8 * 1024;

/// Returns how many bytes the final metadata can need. `draft` holds every name, path and table; each of its numbers is
/// replaced by the longest possible one.
///
/// Each database may add 8 KiB of findings to those in the draft.
pub fn metadata_room(draft: &Metadata) -> usize {
    let mut longest = draft.clone();
    longest.format = u32::MAX;
    longest.kind = Kind::PreUpdate;
    longest.consistent_set = false;
    longest.includes.values_mut().for_each(|included| *included = false);
    for database in &mut longest.databases {
        database.bytes = u64::MAX;
        database.offset = Some(u64::MAX);
        database.page_size = u32::MAX;
        for count in [
            &mut database.page_count,
            &mut database.freelist_count,
            &mut database.table_count,
            &mut database.index_count,
            &mut database.trigger_count,
            &mut database.view_count,
        ] {
            *count = u64::MAX;
        }
        database.application_id = i32::MIN;
        database.user_version = i32::MIN;
        database.foreign_key_violations = Some(u64::MAX);
        database.vacuumed = false;
        database.integrity = Integrity::Unchecked;
        database.encoding = "UTF-16le".into();
        database.journal_mode = "delete".into();
        database.auto_vacuum = "incremental".into();
        if database.sqlite_version.len() < 16 {
            database.sqlite_version = "x".repeat(16);
        }
        database.tables.iter_mut().for_each(|table| table.rows = Some(u64::MAX));
    }
    let json = serde_json::to_vec(&longest).expect("metadata has no keys that JSON cannot have");
    (json.len() + 1 + longest.databases.len() * FINDINGS_ROOM).next_multiple_of(TAR_BLOCK)
}
