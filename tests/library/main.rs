//! Tests of the library, called as the operations call it: archives, live databases, stores and retention, without the
//! command line.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may panic, and prints its figures"
)]

mod archive_format;
mod capture;
mod changed;
mod check;
mod hostile;
mod hostile_input;
#[cfg(feature = "remote")]
mod object_faults;
#[cfg(feature = "remote")]
mod object_stores;
#[cfg(feature = "remote")]
mod remotes;
mod replace;
mod retention;
#[allow(dead_code, reason = "shared with the tests of the commands")]
#[cfg(feature = "remote")]
#[path = "../servers/mod.rs"]
mod servers;
mod store_contract;
#[allow(dead_code, reason = "shared with the tests of the commands")]
#[path = "../cli/tools.rs"]
mod tools;
