//! Jobs: what the command line, a supervisor and a server decide alike.
//!
//! A face passes values down, words what comes back, asks and prints. What is selected, kept, removed or protected is
//! decided here. Nothing here prints, and no remedy names a flag.

pub mod backup;
pub mod first_deployment;
pub mod guard;
pub mod meant;
pub mod restore;
pub mod retention;
mod selection;
mod surroundings;
#[cfg(test)]
mod tests;
pub mod undo;
pub mod verify;

pub use selection::{Chosen, Selection};
pub use surroundings::Surroundings;
