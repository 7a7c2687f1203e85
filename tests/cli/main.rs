//! The commands, run as a user runs them: the real binary, real SQLite files, a hermetic world around them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod accept;
mod backup;
mod config;
mod delete;
mod exit_codes;
mod file_systems;
mod guard;
mod health;
mod keeping;
mod latest;
mod list;
mod long_names;
mod old_tool;
mod ownership;
mod plain;
mod restore;
mod rights;
mod rotate;
mod safety;
mod salvage;
mod space;
mod streams;
mod targets;
mod tools;
mod undo;
mod verify;
mod world;
