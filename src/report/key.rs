//! What `key` reports.

use std::collections::BTreeMap;

use serde::Serialize;

/// A new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewKey {
    /// The file with the secret key.
    pub file: String,
    /// The recipient.
    pub recipient: String,
}

/// What the keys of this host open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyCheck {
    /// The store, then its copies.
    pub stores: Vec<TriedStore>,
}

/// What the keys open in one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TriedStore {
    /// The store.
    pub store: String,
    /// Archives that a key opens.
    pub opened: u64,
    /// Archives that no key opens, by month.
    pub locked: BTreeMap<String, u64>,
    /// The recipients of those, and how many archives the key of each opens.
    pub recipients: BTreeMap<String, u64>,
    /// Archives that are not encrypted.
    pub plain: u64,
    /// Archives whose label differs from what is inside, one line each.
    pub lying_labels: Vec<String>,
}
