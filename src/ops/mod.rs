//! Operations: each makes a plan from values, then carries out exactly that plan through the adapters. They never print
//! and never ask.

pub mod backup;
pub mod changed;
pub mod copies;
pub mod delete;
mod descriptions;
pub mod explain;
pub mod guard;
pub mod health;
pub mod inventory;
pub mod jobs;
pub mod key_check;
pub mod labelled;
pub mod latest;
pub mod lease;
mod listing;
mod open_archive;
pub mod pack;
pub mod pending;
pub mod plain;
pub mod reach;
mod reading;
pub mod recorded;
pub mod reports;
mod repository;
pub mod reread;
pub mod resolve;
pub mod restore;
pub mod retain;
pub mod scratch_room;
pub mod sealing;
mod sidecars;
pub mod stale;
pub mod status;
mod syncing;
#[cfg(test)]
mod test_world;
#[cfg(test)]
mod tests;
pub mod verify;
pub mod verify_digest;
pub mod verify_part;

pub use listing::Listing;
pub use repository::{Committer, LockedStore, Repository, Taken};
