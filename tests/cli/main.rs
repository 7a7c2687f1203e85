//! The commands, run as a user runs them: the real binary, real SQLite files, a hermetic world around them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod backup;
mod config;
mod delete;
mod exit_codes;
mod guard;
mod health;
mod list;
mod long_names;
mod many_tables;
mod old_tool;
mod other_tools;
mod ownership;
mod page_checksums;
mod restore;
mod rotate;
mod salvage;
mod sidecars;
mod verify;
mod world;
