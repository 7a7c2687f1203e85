//! What must hold for everything that others wrote: one check for each kind of input, each takes any bytes.
//!
//! `tests/library/hostile_input.rs` calls them with random inputs, `tests/fuzz` with those that libFuzzer finds.

pub mod archives;
pub mod config;
pub mod databases;
pub mod metadata;
pub mod packing;
pub mod recipe;
pub mod seeds;
