//! What rclone prints about files and about a remote.

use std::collections::BTreeMap;
use std::io;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::super::Entry;
use crate::names::is_file_name;

/// The checksum that we compute ourselves.
pub(super) const SHA256: &str = "sha256";
/// The others, best first; rclone computes them.
const PREFERRED: [&str; 3] = [SHA256, "md5", "sha1"];

/// One file or folder, as `lsjson` prints it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) name: String,
    size: i64,
    #[serde(rename = "ModTime")]
    pub(super) modified: DateTime<Utc>,
    pub(super) is_dir: bool,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl Listed {
    /// Parses a whole listing; a cut one is an error.
    pub(super) fn all(output: &[u8]) -> io::Result<Vec<Self>> {
        Ok(serde_json::from_slice(output)?)
    }

    /// Parses the answer about one path; `None` if it is a folder, which on a bucket also stands for "nothing".
    pub(super) fn one(output: &[u8]) -> io::Result<Option<Self>> {
        Ok(Some(serde_json::from_slice::<Self>(output)?).filter(|found| !found.is_dir))
    }

    /// Returns the entry of a file under its own name; `None` for folders, hidden files, files whose size the remote
    /// does not know, and names that are no file names here.
    pub(super) fn entry(self) -> Option<Entry> {
        let bytes = u64::try_from(self.size).ok()?;
        let shown = !self.is_dir && !self.name.starts_with('.') && is_file_name(&self.name);
        shown.then_some(Entry { name: self.name, bytes, modified: self.modified, version: None })
    }

    pub(super) fn bytes(&self) -> Option<u64> {
        u64::try_from(self.size).ok()
    }

    /// Returns a checksum in lower case; `None` if the remote has none of this kind for this file.
    pub(super) fn checksum(&self, kind: &str) -> Option<String> {
        self.hashes.get(kind).map(|digits| digits.to_ascii_lowercase()).filter(|digits| !digits.is_empty())
    }
}

/// What a remote can do, as `backend features` prints it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Abilities {
    #[serde(rename = "Hashes")]
    checksums: Option<Vec<String>>,
    #[serde(rename = "Features")]
    features: BTreeMap<String, serde_json::Value>,
}

impl Abilities {
    pub(super) fn parse(output: &[u8]) -> io::Result<Self> {
        Ok(serde_json::from_slice(output)?)
    }

    fn has(&self, feature: &str) -> bool {
        self.features.get(feature).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// Returns whether an object appears whole or not at all, and a move would be a copy and a removal.
    pub(super) fn writes_whole_objects(&self) -> bool {
        self.is_bucket() && !self.has("Move")
    }

    /// Returns whether folders are only parts of names.
    pub(super) fn is_bucket(&self) -> bool {
        self.has("BucketBased")
    }

    /// Returns whether a file can be renamed, or copied within the service.
    pub(super) fn renames(&self) -> bool {
        self.has("Move") || self.has("Copy")
    }

    /// Returns the kind of checksum to compare.
    pub(super) fn checksum(&self) -> Option<&str> {
        let kinds = self.checksums.as_deref().unwrap_or_default();
        let known = PREFERRED.into_iter().find(|kind| kinds.iter().any(|found| found == kind));
        known.or_else(|| kinds.first().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_holds_files_and_nothing_else() {
        let text = r#"[
            {"Path":"a.tar.gz","Name":"a.tar.gz","Size":10,"ModTime":"2026-11-26T11:23:15.788+01:00","IsDir":false,
             "Hashes":{"md5":"ABCD","sha1":""},"Tier":"STANDARD"},
            {"Path":".a.part-1","Name":".a.part-1","Size":10,"ModTime":"2026-11-26T11:23:15Z","IsDir":false},
            {"Path":"doc","Name":"doc","Size":-1,"ModTime":"2026-11-26T11:23:15Z","IsDir":false},
            {"Path":"b","Name":"b","Size":-1,"ModTime":"2026-11-26T11:23:15Z","IsDir":true}
        ]"#;
        let listed = Listed::all(text.as_bytes()).unwrap();
        assert_eq!(listed[0].checksum("md5"), Some("abcd".into()));
        assert_eq!((listed[0].checksum("sha1"), listed[0].checksum(SHA256)), (None, None));
        let entries: Vec<Entry> = listed.into_iter().filter_map(Listed::entry).collect();
        let modified = "2026-11-26T10:23:15.788Z".parse().unwrap();
        assert_eq!(entries, [Entry { name: "a.tar.gz".into(), bytes: 10, modified, version: None }]);
        assert!(Listed::all(&text.as_bytes()[..300]).is_err());
    }

    #[test]
    fn buckets_and_checksums_are_recognized() {
        let of = |text: &str| Abilities::parse(text.as_bytes()).unwrap();
        let bucket = of(r#"{"Hashes":["crc32","md5"],"Features":{"BucketBased":true,"Copy":true,"Move":false}}"#);
        assert!(bucket.writes_whole_objects() && bucket.checksum() == Some("md5"));
        let folder = of(r#"{"Hashes":["md5","sha256"],"Features":{"BucketBased":false,"Move":true}}"#);
        assert!(!folder.writes_whole_objects() && folder.checksum() == Some(SHA256));
        assert_eq!(of(r#"{"Hashes":["quickxor"],"Features":{}}"#).checksum(), Some("quickxor"));
        assert_eq!(of(r#"{"Hashes":null,"Features":{}}"#).checksum(), None);
    }
}
