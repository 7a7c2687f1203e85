//! What is in `scripts/`, run for real: every shell script with bash and with dash, `docker` and `podman` played by
//! `stub/engine`.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod backup_restore;
mod containers;
mod deploy;
mod hosts;
mod stage;
mod start;
mod start_stories;
mod streams;
mod units;
mod units_run;
mod update;
mod volume;
mod volume_search;
mod wheel;
