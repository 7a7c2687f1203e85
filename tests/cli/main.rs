//! The commands, run as a user runs them: the real binary, real SQLite files, a hermetic world around them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod absent;
mod accept;
mod all_stores;

mod applications;
mod archive_page;
mod backup;
mod changed;
mod changed_stories;
mod config;
#[allow(dead_code, reason = "shared with the tests of the library")]
#[cfg(feature = "remote")]
#[path = "../servers/connect.rs"]
mod connect_server;
mod copies;
mod corpus;
mod delete;
mod each;
mod each_rounds;
mod encryption;
mod encryption_labels;
#[cfg(feature = "remote")]
mod ephemeral;
mod exit_codes;
mod faults;
mod file_systems;
mod generated;
mod guard;
mod health;
mod hook_stories;
mod hooks;
mod indexes;
mod keeping;
mod latest;
mod latest_hosts;
mod list;
mod long_names;
mod many_tables;
mod misleading;
#[cfg(feature = "remote")]
#[path = "../servers/notice_sink.rs"]
mod notice_sink;
mod notice_stories;
mod notices;
mod old_tool;
mod other_tools;
mod ownership;
mod page_checksums;
#[cfg(feature = "remote")]
mod pins;
mod plain;
#[allow(dead_code, reason = "shared with the tests of the library")]
#[cfg(feature = "remote")]
#[path = "../servers/process.rs"]
mod process;
mod proof;
mod quiet;
mod readme;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "remote")]
mod remote_faults;
#[cfg(feature = "remote")]
mod remote_hosts;
#[cfg(feature = "remote")]
mod remote_kills;
mod repair;
mod restore;
mod rights;
mod rotate;
mod run;
#[cfg(feature = "remote")]
mod run_cycles;
mod run_give_way;
mod run_kills;
#[cfg(feature = "remote")]
mod run_lease;
mod run_pin;
mod run_restore;
mod run_schedule;
mod run_signals;
mod run_stale;
mod run_stories;
mod run_world;
mod safety;
mod salvage;
mod schedule;
mod schedule_stories;
mod schema_change;
mod scripts;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod serve_browser;
#[cfg(feature = "server")]
mod serve_code;
#[cfg(feature = "server")]
mod serve_documents;
#[cfg(feature = "server")]
mod serve_hostile;
#[cfg(feature = "server")]
mod serve_matrix;
#[cfg(feature = "server")]
mod serve_notices;
#[cfg(feature = "server")]
mod serve_page;
#[cfg(feature = "server")]
mod serve_plans;
#[cfg(feature = "server")]
mod serve_proxy;
#[cfg(feature = "server")]
mod serve_remote;
#[cfg(feature = "server")]
mod serve_run;
#[cfg(feature = "server")]
mod serve_scale;
#[cfg(feature = "server")]
mod serve_schema;
#[cfg(feature = "server")]
mod serve_stories;
#[cfg(feature = "server")]
mod serve_threats;
#[cfg(feature = "server")]
mod serve_tokens;
#[cfg(feature = "server")]
mod serve_world;
#[allow(dead_code, reason = "shared with the tests of the library")]
#[cfg(feature = "remote")]
#[path = "../servers/mod.rs"]
mod servers;
mod sidecars;
mod snapshots;
mod space;
mod status;
mod status_stories;
mod store_id;
mod store_rights;
mod stories;
mod streams;
mod targets;
#[cfg(feature = "remote")]
mod teams;
mod terminal;
mod tools;
mod undo;
mod verify;
mod verify_part;
mod workflows;
mod world;
mod zstd;
mod zstd_store;
