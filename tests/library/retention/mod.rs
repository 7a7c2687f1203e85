//! Tests retention against a slow, obviously correct second implementation, with properties, and with examples with
//! exact dates.
//!
//! Each test uses ten thousand random histories; a failure prints its seed. `HEIRLOOM_SEED=n` starts at another seed,
//! `HEIRLOOM_HISTORIES=n` changes the number.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and prints its seeds")]

pub mod dice;
mod examples;
mod histories;
mod properties;
mod runs;
mod safety;
mod sealed;
mod slow;
mod stories;
mod world;
