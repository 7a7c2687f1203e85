//! The commands, run as a user runs them: the real binary, real SQLite files, a hermetic world around them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod absent;
mod backup;
mod config;
mod delete;
mod exit_codes;
mod guard;
mod health;
mod list;
mod long_names;
mod old_tool;
mod ownership;
mod restore;
mod rotate;
mod salvage;
mod store_id;
mod store_rights;
mod verify;
mod world;
