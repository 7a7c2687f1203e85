//! Properties of all code that reads untrusted input: one check per kind of input, each takes any bytes.
//!
//! `tests/library/hostile_input.rs` calls them with random inputs, `tests/fuzz` with inputs that libFuzzer finds.

pub mod archives;
pub mod config;
pub mod databases;
pub mod metadata;
pub mod packing;
pub mod recipe;
pub mod seeds;
