//! The commands, run as a user runs them: the real binary, real SQLite files, a hermetic world around them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod absent;
mod accept;
mod backup;
mod config;
mod delete;
mod exit_codes;
mod file_systems;
mod guard;
mod health;
mod indexes;
mod keeping;
mod latest;
mod list;
mod long_names;
mod many_tables;
mod misleading;
mod old_tool;
mod other_tools;
mod ownership;
mod page_checksums;
mod plain;
mod quiet;
mod restore;
mod rights;
mod rotate;
mod safety;
mod salvage;
mod schema_change;
mod sidecars;
mod space;
mod store_id;
mod store_rights;
mod streams;
mod targets;
mod tools;
mod undo;
mod verify;
mod world;
