//! Retention against a slow, obviously right second implementation, by properties, and by examples with their exact
//! dates.
//!
//! Ten thousand random histories each; a failure names its seed. `HEIRLOOM_SEED=n` starts elsewhere,
//! `HEIRLOOM_HISTORIES=n` tries more.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and prints its seeds")]

mod dice;
mod examples;
mod histories;
mod properties;
mod runs;
mod safety;
mod slow;
mod stories;
mod world;
