//! The identity of a store, independent of its path: the id in its `heirloom-store.json`.
//!
//! A path cannot identify a disk that is not mounted. The id can: it is stored on the disk.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::metadata::rfc3339;

/// The file in a store that holds its id.
pub const FILE: &str = "heirloom-store.json";
/// The digits of an id.
const DIGITS: usize = 32;

/// The id of a store: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreId(String);

impl StoreId {
    /// Creates an id from facts about a store and its first commit; `salt` is random.
    pub fn new(made_by: &str, made_at: DateTime<Utc>, salt: &[u64]) -> Self {
        let digest = Sha256::of(format!("{made_by} {} {salt:x?}", rfc3339(made_at)).as_bytes()).to_string();
        Self(digest[..DIGITS].to_owned())
    }

    /// Creates the id of a store that a service identifies by itself: the same from the same parts.
    pub fn of_service(parts: &[&str]) -> Self {
        Self(Sha256::of(parts.join("\n").as_bytes()).to_string()[..DIGITS].to_owned())
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StoreId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_id = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Self(text)) } else { Err("the id of a store has 32 hexadecimal digits".into()) }
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> Self {
        id.0
    }
}

/// The content of a store's `heirloom-store.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The id.
    pub id: StoreId,
    /// The release that wrote it, and the host label.
    pub made_by: String,
    /// When, in UTC.
    pub made_at: String,
}

impl Identity {
    /// Creates the identity of a new store.
    pub fn new(made_by: String, made_at: DateTime<Utc>, salt: &[u64]) -> Self {
        Self { id: StoreId::new(&made_by, made_at, salt), made_by, made_at: rfc3339(made_at) }
    }
}

impl Identity {
    /// Creates the identity of a store that a service identifies by itself.
    pub fn of_service(id: StoreId, made_by: String, made_at: DateTime<Utc>) -> Self {
        Self { id, made_by, made_at: rfc3339(made_at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_write_and_read_and_is_unique() {
        let one = Identity::new("heirloom 1 on here".into(), DateTime::UNIX_EPOCH, &[1, 2]);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&text).unwrap(), one);
        assert_ne!(Identity::new("heirloom 1 on here".into(), DateTime::UNIX_EPOCH, &[1, 3]).id, one.id);
        for wrong in ["", "ABCDEF0123456789ABCDEF0123456789", "../../../../../../../../../../etc", "0123"] {
            assert!(StoreId::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
