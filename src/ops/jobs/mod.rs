//! Jobs: decisions shared by the command line, a supervisor and a server.
//!
//! The caller passes values, words the results, asks and prints. The jobs decide what is selected, kept, removed or
//! protected. Nothing here prints, and no remedy names a flag.

pub mod backup;
pub mod copies;
pub mod each;
pub mod first_deployment;
pub mod guard;
pub mod meant;
pub mod repair;
pub mod restore;
pub mod retention;
pub mod schedule;
mod selection;
mod surroundings;
#[cfg(test)]
mod tests;
pub mod undo;
pub mod verify;

pub use selection::{Chosen, Selection};
pub use surroundings::Surroundings;
