//! Metadata: accepted metadata survives write and read, and archives with it do not mislead.

use std::sync::Arc;

use chrono::SubsecRound as _;
use chrono_tz::Tz;
use heirloom::metadata::Metadata;
use heirloom::names::METADATA_ENTRY;

use super::archives;
use super::packing::{self, BLOCK};
use super::recipe::Given;

/// Checks a JSON text, alone and at the start of archives of all forms.
pub fn check(json: &[u8]) {
    if let Ok(metadata) = serde_json::from_slice::<Metadata>(json) {
        let text = serde_json::to_string(&metadata).unwrap();
        let again: Metadata = serde_json::from_str(&text).unwrap();
        // Times are written with microseconds.
        assert_eq!(again, Metadata { created_at: metadata.created_at.trunc_subsecs(6), ..metadata });
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }
    for given in archives(json) {
        archives::read(&given, 1, Tz::UTC);
    }
}

/// The archives that can contain this metadata: ours of each compression, and one of the old tool.
pub fn archives(json: &[u8]) -> [Given; 4] {
    let mut padded = json.to_vec();
    padded.resize((json.len() + 1).next_multiple_of(BLOCK) - 1, b' ');
    padded.push(b'\n');
    let mut tar = Vec::new();
    packing::append(&mut tar, METADATA_ENTRY.as_bytes(), b'0', padded.len() as u64, &padded);
    let mut old = Vec::new();
    packing::append(&mut old, METADATA_ENTRY.as_bytes(), b'0', json.len() as u64, json);
    let mut database = b"SQLite format 3\0\x02\0".to_vec();
    database.resize(BLOCK, 0);
    packing::append(&mut old, b"user_data.db", b'0', BLOCK as u64, &database);
    old.resize(old.len() + 2 * BLOCK, 0);
    let given = |name: &str, bytes| Given { bytes: Arc::new(bytes), name: name.into() };
    let (mut frames, sizes) = packing::frames(&tar, BLOCK);
    frames.extend(packing::seek_table(sizes, [0; 4]));
    [
        given("a.tar.gz", packing::members(&tar, BLOCK)),
        given("a.tar.zst", frames),
        given("a.tar", tar),
        given("old.tar.gz", packing::gzip(&old)),
    ]
}
